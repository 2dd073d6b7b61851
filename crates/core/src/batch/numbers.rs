//! Numbers with validity, in the layout of Arrow: the values one after the other, and a bit for each.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Mask;
use super::rows::{compact, compact_bits, gather, gather_bits};

/// Numbers of type `T` with validity. A value whose bit is clear is missing, whatever the number says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers<T> {
    /// The numbers; 0 where missing.
    pub values: Vec<T>,
    /// Set where there is a number (NaN and infinities are numbers here).
    pub valid: Mask,
}

impl<T: Copy + Default> Numbers<T> {
    /// All of them valid.
    pub fn all(values: Vec<T>) -> Self {
        Self { valid: Mask::filled(values.len(), true), values }
    }

    /// `len` of them, all missing.
    pub fn missing(len: usize) -> Self {
        Self { values: vec![T::default(); len], valid: Mask::filled(len, false) }
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
    pub fn get(&self, row: usize) -> Option<T> {
        self.valid.get(row).then(|| self.values[row])
    }

    /// Appends a value.
    pub fn push(&mut self, value: Option<T>) {
        self.values.push(value.unwrap_or_default());
        self.valid.push(value.is_some());
    }

    /// All values in order, `None` where missing.
    pub fn iter(&self) -> impl Iterator<Item = Option<T>> + '_ {
        self.values.iter().zip(self.valid.iter()).map(|(&value, valid)| valid.then_some(value))
    }

    /// The same made of another type, value by value.
    pub fn map<U>(&self, change: impl Fn(T) -> U) -> Numbers<U> {
        Numbers {
            values: self.values.iter().map(|&value| change(value)).collect(),
            valid: self.valid.clone(),
        }
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.values.reserve(more);
    }

    pub(super) fn extend_missing(&mut self, more: usize) {
        self.values.resize(self.values.len() + more, T::default());
        self.valid.extend_filled(more, false);
    }

    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self { values: self.values.split_off(at), valid: self.valid.split_off(at) }
    }

    pub(super) fn append_range(&mut self, other: &Self, range: Range<usize>) {
        self.values.extend_from_slice(&other.values[range.clone()]);
        self.valid.extend(range.map(|row| other.valid.get(row)));
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.valid.truncate(len);
    }

    pub(super) fn retain(&mut self, keep: &Mask) {
        compact(&mut self.values, keep);
        compact_bits(&mut self.valid, keep);
    }

    pub(super) fn take(&self, rows: &[u32]) -> Self {
        Self { values: gather(&self.values, rows), valid: gather_bits(&self.valid, rows) }
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.values.extend(&other.values);
        self.valid.extend(other.valid.iter());
    }
}

impl<T: Copy + Default> FromIterator<Option<T>> for Numbers<T> {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(values: I) -> Self {
        let mut numbers = Self::default();
        values.into_iter().for_each(|value| numbers.push(value));
        numbers
    }
}
