//! Where in the input: for resuming ([`Offset`]), for people ([`Position`]), for order ([`Sequence`], [`Trigger`]).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The ordinal of a chunk or batch in its source, from 0; it restores order after parallel work.
pub type Sequence = u64;

/// Where a source can resume: everything before it has been given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offset {
    /// Ordinal of the file in the source, from 0.
    pub file: u64,
    /// Bytes into the (decompressed) file; for sources of records, records into it.
    pub at: u64,
    /// Line at that place, from 1; 0 where the source does not count lines.
    pub line: u64,
}

/// Where a record begins, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The file as the pipeline names it; `-` is standard input. Empty for a record that a stage made.
    pub file: Arc<str>,
    /// Line in the file, from 1; for files without lines, the record's ordinal, from 1. 0 for a record that a stage made.
    pub line: u64,
    /// Bytes into the (decompressed) file, from 0.
    pub offset: u64,
}

/// The record whose arrival decided something: line and byte of its beginning, in the chunk that is under way. What is set aside is
/// ordered by it, so that no cut between chunks can be seen. What the end of the input decides stands behind all records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trigger {
    /// Its line, as in [`Position`].
    pub line: u64,
    /// Its byte, as in [`Position`].
    pub offset: u64,
}

impl Trigger {
    /// The end of the input, for the record that is the `ordinal`-th of those that a stage gives back then.
    pub fn end(ordinal: u64) -> Self {
        Self { line: u64::MAX, offset: ordinal }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() && self.line == 0 {
            return f.write_str("a record that a stage made");
        }
        write!(f, "{}, line {}, byte {}", self.file, self.line, self.offset)
    }
}
