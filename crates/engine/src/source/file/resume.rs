//! The position in an input as stored in a checkpoint.

use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use super::follow::Following;
use super::recording::{Played, Reached, Recorder};
use super::seen::Seen;
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::offset::Offset;

/// The position in an input.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) struct ResumePosition {
    /// Its columns, for when the input does not exist at resume.
    fields: Vec<Field>,
    pub(in crate::source) reading: ReadPosition,
    /// The length of the recording made of it.
    pub(super) recorded: Option<Reached>,
}

/// The position by kind of input.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) enum ReadPosition {
    /// Files, one after the other.
    Files(InFiles),
    /// Followed files.
    Growing(Following),
    /// A recording, and the frame in it.
    Played(InFiles, Played),
    /// Parquet files, whose offsets count records.
    Columns(InFiles),
    /// The number of generated records.
    Made(u64),
}

impl ReadPosition {
    /// The error if another kind of input is to resume from it.
    pub(super) fn of_another_input(&self) -> Error {
        not_resumed(match self {
            Self::Files(_) => "at the checkpoint, its files were neither followed nor recordings",
            Self::Growing(_) => "at the checkpoint, its files were followed",
            Self::Played(..) => "at the checkpoint, it was a recording",
            Self::Columns(_) | Self::Made(_) => return another_kind(),
        })
    }
}

/// The error for a position of another kind of source.
pub(in crate::source) fn another_kind() -> Error {
    not_resumed("at the checkpoint, a different kind of source read it")
}

fn not_resumed(why: &str) -> Error {
    Error::config(format!("the input cannot be resumed: {why}"))
        .with_help("undo the change, or start a new run with another --state")
}

/// A position in a list of files, with fingerprints.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) struct InFiles {
    /// Its `file` is an index into `files`.
    pub(in crate::source) offset: Offset,
    /// Files that were read; the last one possibly in part.
    pub(in crate::source) files: Vec<Seen>,
    /// Files that were not begun; `None` if they were not inspected.
    pub(in crate::source) ahead: Option<Ahead>,
}

impl ResumePosition {
    pub(in crate::source) fn new(schema: &Schema, reading: ReadPosition) -> Self {
        Self { fields: schema.fields().to_vec(), reading, recorded: None }
    }

    pub(in crate::source) fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self)
            .map_err(|error| Error::internal(format!("the position in the input cannot be saved: {error}")))
    }

    pub(in crate::source) fn from_bytes(state: &[u8]) -> Result<Self> {
        postcard::from_bytes(state)
            .map_err(|error| Error::data(format!("the position in the input cannot be decoded: {error}")))
    }

    /// The columns of the input.
    pub(in crate::source) fn schema(&self) -> Result<Schema> {
        Schema::new(self.fields.clone())
    }
}

/// The position in `state`, as text for people.
pub(in crate::source) fn place(state: &[u8]) -> Option<String> {
    let (InFiles { offset, files, .. }, unit) = match ResumePosition::from_bytes(state).ok()?.reading {
        ReadPosition::Files(place) | ReadPosition::Played(place, _) => (place, "byte"),
        ReadPosition::Columns(place) => (place, "record"),
        ReadPosition::Made(records) => return Some(format!("after reading {records}")),
        ReadPosition::Growing(_) => return None,
    };
    Some(match files.get(offset.file as usize) {
        Some(file) => format!("{}, {unit} {}", file.name, offset.at),
        None => format!("after {}, the last one", files.last()?.name),
    })
}

impl Recorder {
    /// Finishes the recording of a run that has ended, whose input position `place` is in a checkpoint: the run may have been killed before
    /// it marked the recording as complete.
    ///
    /// # Errors
    /// If the position cannot be decoded, or the recording is a different one.
    pub(crate) fn finish_from(&self, place: &[u8]) -> Result<()> {
        ResumePosition::from_bytes(place)?.recorded.map_or(Ok(()), |reached| self.resume(&reached))
    }
}
