//! The records that a guess is based on.

use tidemill_core::kernel::number::{parse_decimal_comma, parse_f64};

/// The inspected names and fields.
pub(super) struct Sample<'s> {
    pub(super) names: &'s [String],
    pub(super) rows: &'s [Vec<String>],
    pub(super) comma: bool,
    /// Columns whose values are marked as text, even where they look like numbers.
    pub(super) texts: &'s [usize],
    /// The lines before the records.
    pub(super) before: &'s [String],
}

impl<'s> Sample<'s> {
    /// The fields of a column that are not empty.
    pub(super) fn fields(&self, at: usize) -> impl Iterator<Item = &'s str> + Clone {
        self.rows.iter().map(move |row| row[at].trim()).filter(|field| !field.is_empty())
    }

    /// The texts of several columns in each record, with a blank between.
    pub(super) fn joined(&self, columns: &[usize]) -> Vec<String> {
        (0..self.rows.len()).map(|row| self.joined_in(row, columns)).collect()
    }

    pub(super) fn joined_in(&self, row: usize, columns: &[usize]) -> String {
        let parts: Vec<&str> = columns.iter().map(|&at| self.rows[row][at].trim()).collect();
        parts.join(" ")
    }
}

/// Whether a field is a number; with `comma` as decimal mark or with a point.
pub(super) fn is_number(field: &str, comma: bool) -> bool {
    number(field, comma).is_some()
}

pub(super) fn number(field: &str, comma: bool) -> Option<f64> {
    let field = field.trim().as_bytes();
    if comma { parse_decimal_comma(field) } else { parse_f64(field) }
}

/// A name as people are shown it.
pub(super) fn shown(name: &str) -> String {
    format!("`{}`", name.escape_debug())
}

/// Adds those that are not there yet.
pub(super) fn add<T: Clone + PartialEq>(known: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !known.contains(one) {
            known.push(one.clone());
        }
    }
}
