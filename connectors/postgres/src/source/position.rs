//! How far rows were read. Rows with the same value of the cursor may come in any order, and more of them later: those that were read are known by their content.

use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};

use super::copied::InputColumn;

/// The most rows of one value of the cursor that are remembered.
const MOST: usize = 65_536;

/// What stands for a row.
type Digest = [u8; 16];

/// The position after the rows that were returned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The number of rows before it.
    pub(super) rows: u64,
    /// The text of the last cursor.
    pub(super) cursor: Option<String>,
    /// The rows with that cursor that were read.
    ties: Vec<Digest>,
    /// Whether all rows were read.
    pub(super) is_over: bool,
}

/// What a checkpoint has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) columns: Vec<InputColumn>,
    pub(super) position: Position,
}

impl Saved {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self)
            .map_err(|error| Error::internal(format!("the position cannot be saved: {error}")))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        postcard::from_bytes(bytes).map_err(|error| {
            Error::data(format!("the position of another source, or of another version: {error}"))
                .with_help("begin a new run with another --state")
        })
    }
}

/// Follows the rows of one statement, which begins at a position.
#[derive(Debug, Default)]
pub(super) struct Progression {
    cursor: Option<String>,
    ties: Vec<Digest>,
    /// Rows with that cursor that have no digest yet: most never need one.
    fresh: Vec<Bytes>,
    /// Rows that were read before, and how often; only those with the first cursor can be.
    known: HashMap<Digest, u64>,
}

impl Progression {
    /// From `position` on.
    pub(super) fn from(position: &Position) -> Self {
        let mut known = HashMap::new();
        position.ties.iter().for_each(|digest| *known.entry(*digest).or_default() += 1);
        Self { cursor: position.cursor.clone(), ties: position.ties.clone(), fresh: Vec::new(), known }
    }

    /// Whether a row with this cursor is a new one.
    ///
    /// # Errors
    /// A configuration error if too many rows have the same cursor.
    pub(super) fn is_new(&mut self, cursor: &str, row: &Bytes) -> Result<bool> {
        if self.cursor.as_deref() != Some(cursor) {
            self.cursor = Some(cursor.to_owned());
            self.ties.clear();
            self.fresh.clear();
            self.known.clear();
        } else if !self.known.is_empty() {
            let digest = digest(row);
            if let Some(count) = self.known.get_mut(&digest) {
                *count -= 1;
                if *count == 0 {
                    self.known.remove(&digest);
                }
                return Ok(false);
            }
        }
        if self.ties.len() + self.fresh.len() >= MOST {
            return Err(Error::config(format!("more than {MOST} rows have the value {cursor} of `cursor`"))
                .with_help("use a column with more different values, such as a serial number"));
        }
        self.fresh.push(row.clone());
        Ok(true)
    }

    /// `rows` new rows were returned: moves `position` behind them.
    pub(super) fn settle(&mut self, position: &mut Position, rows: u64) {
        self.ties.extend(self.fresh.drain(..).map(|row| digest(&row)));
        position.rows += rows;
        position.cursor.clone_from(&self.cursor);
        position.ties.clone_from(&self.ties);
    }
}

fn digest(row: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&blake3::hash(row).as_bytes()[..16]);
    digest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table of rows with a cursor and a content, sorted by cursor but in any order otherwise.
    fn poll(position: &mut Position, table: &[(u8, u8)], most: usize) -> Vec<(u8, u8)> {
        let begin = position.cursor.clone();
        let mut progression = Progression::from(position);
        let mut read = Vec::new();
        for (cursor, content) in table {
            let text = format!("{cursor:03}");
            if begin.as_ref().is_some_and(|begin| text < *begin) {
                continue;
            }
            if read.len() == most {
                break;
            }
            let row = Bytes::from(vec![*cursor, *content]);
            if progression.is_new(&text, &row).expect("few rows") {
                read.push((*cursor, *content));
            }
        }
        progression.settle(position, read.len() as u64);
        read
    }

    proptest! {
        #[test]
        fn rows_that_come_later_are_read_once_whatever_their_order(
            mut rows in proptest::collection::vec((0u8..4, 0u8..3), 0..30),
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), 1usize..5, any::<u64>()), 1..8),
        ) {
            // Rows are inserted in the order of the cursor; those with the same one are seen in any order.
            rows.sort_by_key(|row| row.0);
            let (mut position, mut read, mut there) = (Position::default(), Vec::new(), 0);
            for (cut, most, seed) in cuts {
                there = there.max(cut.index(rows.len() + 1));
                let mut table = rows[..there].to_vec();
                table.sort_by_key(|row| (row.0, (u64::from(row.1) * 7 + seed) % 5));
                let saved = Saved { columns: Vec::new(), position };
                position = Saved::from_bytes(&saved.to_bytes().expect("saved")).expect("read").position;
                read.extend(poll(&mut position, &table, most));
            }
            read.extend(poll(&mut position, &rows, usize::MAX));
            prop_assert_eq!(position.rows, read.len() as u64);
            read.sort_unstable();
            rows.sort_unstable();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn any_bytes_are_a_position_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _either = Saved::from_bytes(&bytes);
        }
    }

    #[test]
    fn too_many_rows_of_one_cursor_are_an_error() {
        let mut progression = Progression::default();
        let row = Bytes::from_static(b"row");
        for _ in 0..MOST {
            assert!(progression.is_new("7", &row).expect("room"));
        }
        let error = progression.is_new("7", &row).expect_err("too many").to_string();
        assert!(error.contains("65536 rows have the value 7 of `cursor`"), "{error}");
        assert!(progression.is_new("8", &row).expect("another one"));
    }
}
