//! Caches the last time that was parsed: sensors that are read together share it, and later ones differ in their last digits.

use super::columns::Columns;
use crate::time::{Alike, Halves, Near, TimeError, Timestamp};

/// The text and value of the last time.
pub(super) struct LastTime {
    /// The text if it is of the usual length.
    halves: Option<Halves>,
    /// Any other text.
    text: Vec<u8>,
    time: Timestamp,
    near: Option<Near>,
}

impl LastTime {
    pub(super) fn new() -> Self {
        Self { halves: None, text: Vec::new(), time: Timestamp::MIN, near: None }
    }

    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    /// What times have in common that are likely to follow one of `length` bytes.
    pub(super) fn alike(&self, length: usize, columns: &Columns) -> Option<Alike> {
        let epochs = || columns.times.epochs(length).map(Alike::Epochs);
        self.near.map(Alike::Hour).or_else(epochs)
    }

    /// Whether it occurs at `start..end` of `text`; without a call for times of the usual length.
    #[inline(always)]
    pub(super) fn is_at(&self, text: &[u8], start: usize, end: usize) -> bool {
        let field = &text[start..end];
        match (self.halves, Halves::of(field)) {
            (Some(halves), Some(own)) => halves == own,
            // A time is never empty, but the text is until one has been read, and where there are halves.
            _ => field == self.text && !field.is_empty(),
        }
    }

    /// Parses a trimmed time field.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        field: &[u8],
        columns: &Columns,
    ) -> std::result::Result<Timestamp, TimeError> {
        if self.is_at(field, 0, field.len()) {
            return Ok(self.time);
        }
        if let (Some(near), Some(halves)) = (&self.near, Halves::of(field))
            && let Some(time) = near.read(halves)
        {
            (self.halves, self.time) = (Some(halves), time);
            return Ok(time);
        }
        // As fast as it could be compared.
        if let Some(time) = columns.times.plain_epoch(field) {
            return Ok(time);
        }
        self.parse(field, columns)
    }

    /// Parses a time that is not like the last one.
    #[inline(never)]
    fn parse(&mut self, field: &[u8], columns: &Columns) -> std::result::Result<Timestamp, TimeError> {
        self.time = columns.times.parse(field)?;
        self.near = columns.times.near(field, self.time);
        self.halves = Halves::of(field);
        self.text.clear();
        if self.halves.is_none() {
            self.text.extend_from_slice(field);
        }
        Ok(self.time)
    }
}
