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
    /// How often something was learnt in vain, and how many times are parsed before the next attempt.
    misses: u32,
    wait: u32,
}

/// At most 2^10 times are parsed between two attempts.
const MOST_MISSES: u32 = 10;

impl LastTime {
    pub(super) fn new() -> Self {
        Self { halves: None, text: Vec::new(), time: Timestamp::MIN, near: None, misses: 0, wait: 0 }
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
            (Some(_), None) => false,
            // A time is never empty, but the text is until one has been read.
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
        if let Some(time) = self.near.as_ref().and_then(|near| near.read(field)) {
            self.misses = 0;
            self.keep(field, time);
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
        let time = columns.times.parse(field)?;
        self.keep(field, time);
        match self.wait {
            0 => self.learn(field, columns),
            wait => self.wait = wait - 1,
        }
        Ok(time)
    }

    /// Learns what others of the hour look like. That takes as long as parsing some: while it does not pay, it is done ever less often.
    fn learn(&mut self, field: &[u8], columns: &Columns) {
        let known = self.near.map(|near| near.places());
        self.near = columns.times.near(field, self.time, known);
        self.wait = (1 << self.misses) - 1;
        self.misses = (self.misses + 1).min(MOST_MISSES);
    }

    /// Most of many times were like those of the hour.
    pub(super) fn note_hits(&mut self) {
        self.misses = 0;
    }

    #[inline(always)]
    fn keep(&mut self, field: &[u8], time: Timestamp) {
        (self.halves, self.time) = (Halves::of(field), time);
        if self.halves.is_none() {
            self.text.clear();
            self.text.extend_from_slice(field);
        }
    }
}
