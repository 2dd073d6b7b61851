//! Gathers records to whole row groups.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema};
use arrow_select::concat::concat_batches;

/// Pieces of at least this many rows are not merged.
const LARGE: usize = 8192;

/// Records of an incomplete row group.
pub(super) struct Gathered {
    schema: Arc<Schema>,
    row_group: usize,
    pieces: Vec<RecordBatch>,
    rows: usize,
}

impl Gathered {
    /// Gathers to row groups of `row_group` rows.
    pub(super) fn new(schema: Arc<Schema>, row_group: usize) -> Self {
        Self { schema, row_group, pieces: Vec::new(), rows: 0 }
    }

    /// Adds records; returns the row groups that are now complete, in pieces.
    pub(super) fn add(&mut self, mut records: RecordBatch) -> Result<Vec<Vec<RecordBatch>>, ArrowError> {
        let mut full = Vec::new();
        while self.rows + records.num_rows() >= self.row_group {
            let missing = self.row_group - self.rows;
            let rest = records.slice(missing, records.num_rows() - missing);
            self.pieces.push(records.slice(0, missing));
            full.push(self.take());
            records = rest;
        }
        if records.num_rows() > 0 {
            self.rows += records.num_rows();
            self.pieces.push(records);
            self.join()?;
        }
        Ok(full)
    }

    /// Removes the records of the incomplete row group.
    pub(super) fn take(&mut self) -> Vec<RecordBatch> {
        self.rows = 0;
        std::mem::take(&mut self.pieces)
    }

    /// Live input comes in pieces of one or two records, whose arrays have a large overhead: merges small pieces into larger ones as in a
    /// binary counter, so that each record is copied only a few times.
    fn join(&mut self) -> Result<(), ArrowError> {
        while let [.., before, last] = &self.pieces[..]
            && before.num_rows() < LARGE
            && before.num_rows() <= 2 * last.num_rows()
        {
            let joined = concat_batches(&self.schema, [before, last])?;
            self.pieces.truncate(self.pieces.len() - 2);
            self.pieces.push(joined);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int32Array;
    use arrow_schema::{DataType, Field};

    use super::*;

    fn schema() -> Arc<Schema> {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]))
    }

    fn records(range: std::ops::Range<i32>) -> RecordBatch {
        RecordBatch::try_new(schema(), vec![Arc::new(Int32Array::from_iter_values(range))]).expect("records")
    }

    fn numbers(pieces: &[RecordBatch]) -> Vec<i32> {
        let column = |piece: &RecordBatch| {
            let numbers = piece.column(0).as_any().downcast_ref::<Int32Array>().expect("integers");
            numbers.values().to_vec()
        };
        pieces.iter().flat_map(column).collect()
    }

    #[test]
    fn a_row_group_of_single_records_is_kept_in_few_pieces() {
        let mut gathered = Gathered::new(schema(), 1 << 18);
        for at in 0..50_000 {
            assert!(gathered.add(records(at..at + 1)).expect("joined").is_empty());
            assert!(
                gathered.pieces.len() <= 2 + 13 + at as usize / LARGE,
                "{} pieces",
                gathered.pieces.len()
            );
        }
        assert_eq!(numbers(&gathered.take()), (0..50_000).collect::<Vec<_>>());
    }

    #[test]
    fn row_groups_have_as_many_rows_however_the_records_come() {
        for size in [1, 3, 7, 10, 25, 100] {
            let mut gathered = Gathered::new(schema(), 10);
            let mut groups = Vec::new();
            for start in (0..100).step_by(size) {
                groups.extend(gathered.add(records(start..(start + size as i32).min(100))).expect("joined"));
            }
            assert_eq!(groups.iter().map(|group| numbers(group).len()).collect::<Vec<_>>(), [10; 10]);
            assert_eq!(
                groups.iter().flat_map(|group| numbers(group)).collect::<Vec<_>>(),
                (0..100).collect::<Vec<_>>()
            );
            assert!(gathered.take().is_empty());
        }
    }

    #[test]
    fn large_pieces_stay_as_they_are() {
        let mut gathered = Gathered::new(schema(), 1 << 18);
        (0..4).for_each(|at| drop(gathered.add(records(at * 10_000..(at + 1) * 10_000)).expect("kept")));
        assert_eq!(gathered.pieces.len(), 4);
    }
}
