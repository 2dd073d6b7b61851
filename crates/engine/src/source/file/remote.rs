//! A file of another file system, such as an object in a store: its path is an address.

use std::io;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::files::FileHandle;
pub(in crate::source) use crate::files::read_exact_at;

/// A file that is read by requests.
#[derive(Clone, Debug)]
pub(in crate::source) struct RemoteFile {
    handle: Arc<dyn FileHandle>,
    length: u64,
    version: Option<String>,
}

impl PartialEq for RemoteFile {
    fn eq(&self, other: &Self) -> bool {
        (self.length, &self.version) == (other.length, &other.version)
    }
}

impl Eq for RemoteFile {}

impl RemoteFile {
    pub(super) fn new(handle: Arc<dyn FileHandle>) -> io::Result<Self> {
        let (length, version) = (handle.size()?, handle.version());
        Ok(Self { handle, length, version })
    }

    /// For reading.
    pub(in crate::source) fn handle(&self) -> &Arc<dyn FileHandle> {
        &self.handle
    }

    /// Its length in bytes.
    pub(in crate::source) fn length(&self) -> u64 {
        self.length
    }

    /// What identifies its content; empty if nothing but the length does.
    pub(super) fn version(&self) -> &[u8] {
        self.version.as_ref().map_or(b"", |version| version.as_bytes())
    }
}

/// The error of a failed read of `name`.
pub(in crate::source) fn read_error(name: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StaleNetworkFileHandle => Error::new(
            ErrorKind::Io,
            format!("input changed while reading: `{name}` was replaced or removed"),
        )
        .with_help("run again when no process writes to it, or read a copy"),
        io::ErrorKind::NotFound => Error::unavailable(format!("cannot read {name}: {error}"))
            .with_help("check the host or bucket, and the rest of the address; upper and lower case differ"),
        _ => Error::io("read", name, error),
    }
}
