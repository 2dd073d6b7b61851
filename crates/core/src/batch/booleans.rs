//! Booleans with validity, one bit each.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::rows::{compact_bits, gather_bits};
use super::{Mask, Numbers};

/// Booleans with validity. A value whose bit in `valid` is clear is null, whatever its bit in `values`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Booleans {
    /// The values; false where missing.
    pub values: Mask,
    /// Set where there is a value.
    pub valid: Mask,
}

impl Booleans {
    /// All of them valid.
    pub fn all(values: Mask) -> Self {
        Self { valid: Mask::filled(values.len(), true), values }
    }

    /// `len` of them, all missing.
    pub fn missing(len: usize) -> Self {
        Self { values: Mask::filled(len, false), valid: Mask::filled(len, false) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value at `row`, `None` where missing.
    pub fn get(&self, row: usize) -> Option<bool> {
        self.valid.get(row).then(|| self.values.get(row))
    }

    /// Appends a value.
    pub fn push(&mut self, value: Option<bool>) {
        self.values.push(value.unwrap_or_default());
        self.valid.push(value.is_some());
    }

    /// All values in order, `None` where missing.
    pub fn iter(&self) -> impl Iterator<Item = Option<bool>> + '_ {
        self.values.iter().zip(self.valid.iter()).map(|(value, valid)| valid.then_some(value))
    }

    /// The same as numbers: 1 and 0.
    pub fn to_numbers(&self) -> Numbers<f64> {
        let values = self.values.iter().map(|value| f64::from(u8::from(value))).collect();
        Numbers { values, valid: self.valid.clone() }
    }

    pub(super) fn share(&mut self) {
        self.values.share();
        self.valid.share();
    }

    pub(super) fn extend_missing(&mut self, more: usize) {
        self.values.extend_filled(more, false);
        self.valid.extend_filled(more, false);
    }

    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self { values: self.values.split_off(at), valid: self.valid.split_off(at) }
    }

    pub(super) fn append_range(&mut self, other: &Self, range: Range<usize>) {
        self.values.extend(range.clone().map(|row| other.values.get(row)));
        self.valid.extend(range.map(|row| other.valid.get(row)));
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.valid.truncate(len);
    }

    pub(super) fn retain(&mut self, keep: &Mask) {
        compact_bits(&mut self.values, keep);
        compact_bits(&mut self.valid, keep);
    }

    pub(super) fn take(&self, rows: &[u32]) -> Self {
        Self { values: gather_bits(&self.values, rows), valid: gather_bits(&self.valid, rows) }
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.values.extend(other.values.iter());
        self.valid.extend(other.valid.iter());
    }
}

impl FromIterator<Option<bool>> for Booleans {
    fn from_iter<I: IntoIterator<Item = Option<bool>>>(values: I) -> Self {
        let mut booleans = Self::default();
        values.into_iter().for_each(|value| booleans.push(value));
        booleans
    }
}
