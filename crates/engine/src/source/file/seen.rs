//! The identity of a file that was read, and how far.

use std::fs::File;

use serde::{Deserialize, Serialize};

use super::input_file::InputFile;
use super::remote::RemoteFile;
use crate::error::{Error, Result};
use crate::source::stream::fingerprint::Fingerprint;

/// A file that was read, and how far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct Seen {
    pub(in crate::source) name: String,
    /// `None` for anything but a regular file, and for a file that did not exist at resume.
    pub(in crate::source) file: Option<SeenFile>,
}

/// A regular file that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct SeenFile {
    pub(super) length: u64,
    pub(super) beginning: Fingerprint,
    /// The offset up to which it was read; its length if it is compressed.
    pub(super) end: u64,
    /// The fingerprint of the bytes before that offset.
    pub(super) before: Fingerprint,
}

impl Seen {
    /// An input that is not a regular file.
    pub(super) fn stream(name: &str) -> Self {
        Self { name: name.to_owned(), file: None }
    }

    /// The regular file `name`, read up to `end`; completely if `None`.
    pub(super) fn file(name: &str, file: &File, end: Option<u64>) -> Result<Self> {
        let failed = |error| Error::io("look at", name, &error);
        let length = file.metadata().map_err(failed)?.len();
        let end = end.unwrap_or(length).min(length);
        let beginning = Fingerprint::of_beginning(file).map_err(failed)?;
        let before = Fingerprint::before(file, end).map_err(failed)?;
        Ok(Self { name: name.to_owned(), file: Some(SeenFile { length, beginning, end, before }) })
    }

    /// The file `name` with an address, read up to `end`; completely if `None`. Its bytes are not read: the version identifies them.
    pub(super) fn remote(name: &str, file: &RemoteFile, end: Option<u64>) -> Self {
        let (length, version) = (file.length(), file.version());
        let end = end.unwrap_or(length).min(length);
        let backwards: Vec<u8> = version.iter().rev().copied().collect();
        let (beginning, before) = (Fingerprint::of_last(version), Fingerprint::of_last(&backwards));
        Self { name: name.to_owned(), file: Some(SeenFile { length, beginning, end, before }) }
    }

    /// The current state of `input`, as if it had been read completely.
    pub(in crate::source) fn of(input: &InputFile) -> Result<Self> {
        if let Some(remote) = &input.remote {
            return Ok(Self::remote(&input.name, remote, None));
        }
        let Some(path) = input.regular() else { return Ok(Self::stream(&input.name)) };
        let file = File::open(path).map_err(|error| Error::io("read", &input.name, &error))?;
        Self::file(&input.name, &file, None)
    }

    pub(in crate::source) fn name(&self) -> &str {
        &self.name
    }
}

/// The error that the file `name` of the input has changed.
pub(super) fn changed(name: &str, what: &str) -> Error {
    Error::data(format!("the input has changed since the checkpoint: `{name}` {what}"))
        .with_help("restore the original files, or start a new run with another --state")
}
