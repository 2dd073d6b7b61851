//! Positions in the input: to resume ([`Offset`]), for people ([`Position`]), to order records ([`Sequence`], [`Trigger`]).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The ordinal of a chunk or batch in its source, from 0; restores the order after parallel work.
pub type Sequence = u64;

/// Where a source resumes: all records before it have been delivered to the pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offset {
    /// The ordinal of the file in the source, from 0.
    pub file: u64,
    /// Bytes into the (decompressed) file; for sources of records, records into it.
    pub at: u64,
    /// The line at that offset, from 1; 0 if the source does not count lines.
    pub line: u64,
}

/// Where a record begins, for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The file's name in the pipeline; `-` is standard input. Empty for a record made by a stage.
    pub file: Arc<str>,
    /// The line in the file, from 1; for files without lines, the record's ordinal, from 1. 0 for a record made by a stage.
    pub line: u64,
    /// Bytes into the (decompressed) file, from 0.
    pub offset: u64,
}

/// The record whose arrival decided something: line and byte of its beginning, in the chunk that is under way. What is set aside is
/// ordered by it, so that no cut between chunks can be seen. What the end of the input decides stands behind all records. Where sources are merged,
/// it is the record's place among those of all of them ([`Trigger::merged`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trigger {
    /// The line, as in [`Position`].
    pub line: u64,
    /// The byte, as in [`Position`].
    pub offset: u64,
}

impl Trigger {
    /// The record at `place`, from 0, among those of several sources that are read together.
    pub fn merged(place: u64) -> Self {
        Self { line: place + 1, offset: 0 }
    }

    /// Behind this record, where it is one of several sources, and before the next one.
    #[must_use]
    pub fn behind(self) -> Self {
        Self { offset: 1, ..self }
    }

    /// The end of the input, for the record that is the `ordinal`-th of those that a stage gives back then.
    pub fn end(ordinal: u64) -> Self {
        Self { line: u64::MAX, offset: ordinal }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() && self.line == 0 {
            return f.write_str("a record made by a stage");
        }
        write!(f, "{}, line {}, byte {}", self.file, self.line, self.offset)
    }
}
