//! Integers of a chunk that f64 cannot represent.

use std::collections::BTreeMap;
use std::ops::Range;

/// Integers that f64 cannot represent, in columns of type f64, with their rounded values.
#[derive(Default)]
pub(super) struct Rounded {
    /// Those of the current record, by column.
    pub(super) of_record: Vec<(usize, f64)>,
    /// Those of a run of records, by record and column.
    pub(super) of_run: Vec<(u32, usize, f64)>,
    /// By column: their number, and the largest.
    pub(super) accepted: BTreeMap<usize, (u64, f64)>,
}

impl Rounded {
    fn accept(&mut self, at: usize, value: f64) {
        let (count, largest) = self.accepted.entry(at).or_insert((0, value));
        *count += 1;
        *largest = largest.max(value);
    }

    pub(super) fn accept_record(&mut self) {
        while let Some((at, value)) = self.of_record.pop() {
            self.accept(at, value);
        }
    }

    /// Accepts the records `records` of a run; those before them in the run were rejected.
    pub(super) fn accept_run(&mut self, records: Range<usize>) {
        if self.of_run.is_empty() {
            return;
        }
        for (record, at, value) in std::mem::take(&mut self.of_run) {
            match record as usize {
                record if records.contains(&record) => self.accept(at, value),
                later if later >= records.end => self.of_run.push((record, at, value)),
                _ => {}
            }
        }
    }
}
