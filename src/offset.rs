//! Where in the input: for resuming ([`Offset`]), for people ([`Position`]), for order ([`Sequence`]).

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

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() && self.line == 0 {
            return f.write_str("a record that a stage made");
        }
        write!(f, "{}, line {}, byte {}", self.file, self.line, self.offset)
    }
}
