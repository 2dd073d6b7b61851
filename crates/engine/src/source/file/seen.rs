//! What a file looked like when it was read, and how far that was.

use std::fs::File;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::input_file::InputFile;
use crate::error::{Error, Result};

/// A file that has been read, and how far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct Seen {
    pub(in crate::source) name: String,
    /// `None` for what is no regular file, or was gone when the run went on.
    pub(in crate::source) file: Option<SeenFile>,
}

/// A regular file that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct SeenFile {
    pub(super) length: u64,
    pub(super) beginning: Fingerprint,
    /// Where what was read of it ends: of a packed file, always at its end.
    pub(super) end: u64,
    /// Of the bytes before that.
    pub(super) before: Fingerprint,
}

impl Seen {
    /// What is no regular file.
    pub(super) fn stream(name: &str) -> Self {
        Self { name: name.to_owned(), file: None }
    }

    /// The regular file `name`, of which everything before `end` was read; of all of it where `None`.
    pub(super) fn file(name: &str, file: &File, end: Option<u64>) -> Result<Self> {
        let failed = |error| Error::io("look at", name, &error);
        let length = file.metadata().map_err(failed)?.len();
        let end = end.unwrap_or(length).min(length);
        let beginning = Fingerprint::of_beginning(file).map_err(failed)?;
        let before = Fingerprint::before(file, end).map_err(failed)?;
        Ok(Self { name: name.to_owned(), file: Some(SeenFile { length, beginning, end, before }) })
    }

    /// `input` as it is now, as if all of it had been read.
    pub(in crate::source) fn of(input: &InputFile) -> Result<Self> {
        let Some(path) = input.regular() else { return Ok(Self::stream(&input.name)) };
        let file = File::open(path).map_err(|error| Error::io("read", &input.name, &error))?;
        Self::file(&input.name, &file, None)
    }

    pub(in crate::source) fn name(&self) -> &str {
        &self.name
    }
}

/// That the input's file `name` is not what it was.
pub(super) fn changed(name: &str, what: &str) -> Error {
    Error::data(format!("the input is not what it was at the checkpoint: `{name}` {what}"))
        .with_help("bring back the files as they were, or start anew with another --state")
}
