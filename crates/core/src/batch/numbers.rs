//! Numbers with validity, in the layout of Arrow: the values one after the other, and a bit for each.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::rows::{compact_bits, compact_buffer, gather, gather_bits};
use super::{Buffer, Mask};

/// Numbers of type `T` with validity. A value whose bit is clear is null, whatever its number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers<T> {
    /// The numbers; 0 for null.
    pub values: Buffer<T>,
    /// Set unless the value is null (NaN and infinities are valid numbers).
    pub valid: Mask,
}

impl<T: Copy + Default> Numbers<T> {
    /// Numbers that are all valid.
    pub fn all(values: Vec<T>) -> Self {
        Self { valid: Mask::filled(values.len(), true), values: values.into() }
    }

    /// `len` nulls.
    pub fn missing(len: usize) -> Self {
        Self { values: vec![T::default(); len].into(), valid: Mask::filled(len, false) }
    }

    /// The number of values, including nulls.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value at `row`, `None` for null.
    pub fn get(&self, row: usize) -> Option<T> {
        self.valid.get(row).then(|| self.values[row])
    }

    /// Appends a value.
    pub fn push(&mut self, value: Option<T>) {
        self.values.to_mut().push(value.unwrap_or_default());
        self.valid.push(value.is_some());
    }

    /// All values in order, `None` for null.
    pub fn iter(&self) -> impl Iterator<Item = Option<T>> + '_ {
        self.values.iter().zip(self.valid.iter()).map(|(&value, valid)| valid.then_some(value))
    }

    /// The numbers converted to another type by `change`.
    pub fn map<U>(&self, change: impl Fn(T) -> U) -> Numbers<U> {
        Numbers {
            values: self.values.iter().map(|&value| change(value)).collect(),
            valid: self.valid.clone(),
        }
    }

    pub(super) fn share(&mut self) {
        self.values.share();
        self.valid.share();
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.values.to_mut().reserve(more);
    }

    pub(super) fn extend_missing(&mut self, more: usize) {
        let len = self.values.len() + more;
        self.values.to_mut().resize(len, T::default());
        self.valid.extend_filled(more, false);
    }

    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self { values: self.values.to_mut().split_off(at).into(), valid: self.valid.split_off(at) }
    }

    pub(super) fn append_range(&mut self, other: &Self, range: Range<usize>) {
        self.values.to_mut().extend_from_slice(&other.values[range.clone()]);
        self.valid.extend(range.map(|row| other.valid.get(row)));
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.values.to_mut().truncate(len);
        self.valid.truncate(len);
    }

    pub(super) fn retain(&mut self, keep: &Mask) {
        compact_buffer(&mut self.values, keep);
        compact_bits(&mut self.valid, keep);
    }

    pub(super) fn take(&self, rows: &[u32]) -> Self {
        Self { values: gather(&self.values, rows).into(), valid: gather_bits(&self.valid, rows) }
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.values.to_mut().extend_from_slice(&other.values);
        self.valid.extend(other.valid.iter());
    }
}

impl<T: Copy + Default> FromIterator<Option<T>> for Numbers<T> {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(values: I) -> Self {
        let (mut numbers, mut valid) = (Vec::new(), Mask::default());
        for value in values {
            numbers.push(value.unwrap_or_default());
            valid.push(value.is_some());
        }
        Self { values: numbers.into(), valid }
    }
}
