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
pub(in crate::source) struct Place {
    /// Its columns, for one that is not there when the run goes on.
    fields: Vec<Field>,
    pub(in crate::source) reading: Reading,
    /// How far the recording reached that was made of it.
    pub(super) recorded: Option<Reached>,
}

/// The place by how the input is read.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) enum Reading {
    /// Files, one after the other.
    Files(InFiles),
    /// Files that grow.
    Growing(Following),
    /// A recording, and where in it.
    Played(InFiles, Played),
    /// Files of columns, of which a place is a record.
    Columns(InFiles),
    /// Nothing but records that are made: how many have been.
    Made(u64),
}

/// A place in a list of files, and what they looked like.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) struct InFiles {
    /// Its file is an ordinal among `files`.
    pub(in crate::source) offset: Offset,
    /// Those that were read, wholly or, the last one, in part.
    pub(in crate::source) files: Vec<Seen>,
    /// Those that had not been begun; `None` where nobody looked.
    pub(in crate::source) ahead: Option<Ahead>,
}

impl Place {
    pub(in crate::source) fn new(schema: &Schema, reading: Reading) -> Self {
        Self { fields: schema.fields().to_vec(), reading, recorded: None }
    }

    pub(in crate::source) fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self)
            .map_err(|error| Error::internal(format!("the place in the input cannot be saved: {error}")))
    }

    pub(in crate::source) fn from_bytes(state: &[u8]) -> Result<Self> {
        postcard::from_bytes(state)
            .map_err(|error| Error::data(format!("the place in the input cannot be read: {error}")))
    }

    /// The columns of the input.
    pub(in crate::source) fn schema(&self) -> Result<Schema> {
        Schema::new(self.fields.clone())
    }
}

/// The place that `state` says, for people.
pub(in crate::source) fn place(state: &[u8]) -> Option<String> {
    let (InFiles { offset, files, .. }, unit) = match Place::from_bytes(state).ok()?.reading {
        Reading::Files(place) | Reading::Played(place, _) => (place, "byte"),
        Reading::Columns(place) => (place, "record"),
        Reading::Made(records) => return Some(format!("behind reading {records}")),
        Reading::Growing(_) => return None,
    };
    Some(match files.get(offset.file as usize) {
        Some(file) => format!("{}, {unit} {}", file.name, offset.at),
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
