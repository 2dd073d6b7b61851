//! The place in an input, as a checkpoint has it.

use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use super::follow::Following;
use super::recording::{Played, Reached, Recorder};
use super::seen::Seen;
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::offset::Offset;

/// The place in an input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    /// Its columns, for one that is not there when the run goes on.
    fields: Vec<Field>,
    pub(super) reading: Reading,
    /// How far the recording reached that was made of it.
    pub(super) recorded: Option<Reached>,
}

/// The place by how the input is read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reading {
    /// Files, one after the other.
    Files(InFiles),
    /// Files that grow.
    Growing(Following),
    /// A recording, and where in it.
    Played(InFiles, Played),
}

/// A place in a list of files, and what they looked like.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InFiles {
    /// Its file is an ordinal among `files`.
    pub(super) offset: Offset,
    /// Those that were read, wholly or, the last one, in part.
    pub(super) files: Vec<Seen>,
    /// Those that had not been begun; `None` where nobody looked.
    pub(super) ahead: Option<Ahead>,
}

impl Place {
    pub(super) fn new(schema: &Schema, reading: Reading) -> Self {
        Self { fields: schema.fields().to_vec(), reading, recorded: None }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self)
            .map_err(|error| Error::internal(format!("the place in the input cannot be saved: {error}")))
    }

    pub(super) fn from_bytes(state: &[u8]) -> Result<Self> {
        postcard::from_bytes(state)
            .map_err(|error| Error::data(format!("the place in the input cannot be read: {error}")))
    }

    /// The columns of the input.
    pub(super) fn schema(&self) -> Result<Schema> {
        Schema::new(self.fields.clone())
    }
}

/// The place that `state` says, for people.
pub(in crate::source) fn place(state: &[u8]) -> Option<String> {
    let (Reading::Files(InFiles { offset, files, .. }) | Reading::Played(InFiles { offset, files, .. }, _)) =
        Place::from_bytes(state).ok()?.reading
    else {
        return None;
    };
    Some(match files.get(offset.file as usize) {
        Some(file) => format!("{}, byte {}", file.name, offset.at),
        None => format!("behind {}, the last one", files.last()?.name),
    })
}

impl Recorder {
    /// Goes on as a run that is over has left it, whose `place` in the input a checkpoint has: it may have been killed before it said that the
    /// recording is complete.
    ///
    /// # Errors
    /// When the place cannot be read, or the recording is another one.
    pub(crate) fn go_on(&self, place: &[u8]) -> Result<()> {
        Place::from_bytes(place)?.recorded.map_or(Ok(()), |reached| self.resume(&reached))
    }
}
