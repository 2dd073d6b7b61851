//! Caches the last time that was parsed: sensors that are read together share it.

use super::columns::Columns;
use crate::time::{TimeError, Timestamp};

/// The text and value of the last time.
pub(super) struct LastTime {
    text: Vec<u8>,
    /// The first and last bytes of a text of the usual length, which they cover together.
    halves: Option<[u128; 2]>,
    time: Timestamp,
}

/// The halves of a text of 16 to 32 bytes; they may overlap.
#[inline(always)]
fn halves(text: &[u8]) -> Option<[u128; 2]> {
    let (first, last) = text.first_chunk::<16>().zip(text.last_chunk::<16>())?;
    (text.len() <= 32).then_some([u128::from_le_bytes(*first), u128::from_le_bytes(*last)])
}

impl LastTime {
    pub(super) fn new() -> Self {
        Self { text: Vec::new(), halves: None, time: Timestamp::MIN }
    }

    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    /// Whether it occurs at `start..end` of `text`; without a call for times of the usual length.
    #[inline(always)]
    pub(super) fn is_at(&self, text: &[u8], start: usize, end: usize) -> bool {
        let field = &text[start..end];
        // A time is never empty, but the text is until one has been read.
        match (self.halves, halves(field)) {
            (Some([first, last]), Some([own_first, own_last])) => {
                (first ^ own_first) | (last ^ own_last) == 0 && field.len() == self.text.len()
            }
            _ => field == self.text && !field.is_empty(),
        }
    }

    /// Parses a trimmed time field.
    #[inline]
    pub(super) fn read(
        &mut self,
        field: &[u8],
        columns: &Columns,
    ) -> std::result::Result<Timestamp, TimeError> {
        if !self.is_at(field, 0, field.len()) {
            let time = columns.times.parse(field)?;
            self.text.clear();
            self.text.extend_from_slice(field);
            self.halves = halves(field);
            self.time = time;
        }
        Ok(self.time)
    }
}
