//! Real servers for tests, started on loopback in temporary folders, and a proxy between tidemill and them that misbehaves.
