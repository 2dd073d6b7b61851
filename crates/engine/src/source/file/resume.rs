//! The position in an input as stored in a checkpoint.

use serde::{Deserialize, Serialize};

use super::position::{InFiles, Reached, ReadPosition};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};

/// The position in an input.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) struct ResumePosition {
    /// Its columns, for when the input does not exist at resume.
    fields: Vec<Field>,
    pub(in crate::source) reading: ReadPosition,
    /// The length of the recording made of it.
    pub(super) recorded: Option<Reached>,
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
