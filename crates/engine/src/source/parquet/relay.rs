//! The columns of a segment, decoded by several workers at once.
//!
//! ```text
//! batch 0   time ──▶ sensor ──▶ value        each arrow down hands over the reader
//!             ↓         ↓         ↓          of one column, which is behind the
//! batch 1   time ──▶ sensor ──▶ value        records of the batch above
//! ```
//!
//! Each column has a reader of its own. Whoever has claimed a batch takes the reader of a column from the batch before, decodes, and hands the reader on: so workers are in
//! different columns at the same time, no record is read twice, and each worker has the columns of one batch in memory. A batch that fails or is dropped hands nothing on,
//! which fails those behind it; the first batch of all that are claimed waits for none. So nobody waits for ever.

use arrow_array::{Array, ArrayRef};
use arrow_schema::ArrowError;
use crossbeam::channel::{Receiver, Sender, bounded};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::file::ParquetFile;
use super::library::damaged;
use crate::error::{Error, Result};

/// The records of a segment that are not claimed yet.
pub(super) struct Relay {
    records: u64,
    /// The most records of a batch.
    batch: usize,
    /// By column: where the next batch gets the reader.
    readers: Vec<Receiver<ParquetRecordBatchReader>>,
}

impl Relay {
    /// The records of some row groups, without the first `skipped`, `batch` at once; `columns` as [`ParquetFile::columns_of`] takes them.
    pub(super) fn open(
        file: &ParquetFile,
        groups: &[usize],
        skipped: u64,
        columns: (&[usize], Option<usize>),
        batch: usize,
    ) -> Result<Self> {
        let records = groups.iter().map(|&at| u64::try_from(file.groups()[at].num_rows()).unwrap_or(0));
        let records = records.sum::<u64>().saturating_sub(skipped);
        let ready = |reader| {
            let (give, take) = bounded(1);
            // There is room for it.
            let _given = give.send(reader);
            take
        };
        let readers = file.columns_of(groups, skipped, columns, batch)?;
        Ok(Self { records, batch, readers: readers.into_iter().map(ready).collect() })
    }

    /// Claims the next records; `None` if there are none.
    pub(super) fn claim(&mut self) -> Option<ClaimedRecords> {
        let records = usize::try_from(self.records).unwrap_or(usize::MAX).min(self.batch);
        if records == 0 {
            return None;
        }
        self.records -= records as u64;
        let link = |next: &mut Receiver<_>| {
            let (to, behind) = bounded(1);
            Link { from: std::mem::replace(next, behind), to }
        };
        let links = self.readers.iter_mut().map(link).collect();
        Some(ClaimedRecords { records, is_last: self.records == 0, links })
    }
}

/// The records of a batch, to be decoded.
pub(super) struct ClaimedRecords {
    records: usize,
    /// Whether none follow in the segment.
    is_last: bool,
    /// By column.
    links: Vec<Link>,
}

/// How a batch gets the reader of a column, and hands it on.
struct Link {
    from: Receiver<ParquetRecordBatchReader>,
    to: Sender<ParquetRecordBatchReader>,
}

impl ClaimedRecords {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.records
    }

    /// Decodes them, column by column, each as soon as the batch before has left it.
    ///
    /// # Errors
    /// A data error if `file` is damaged; another one if an earlier batch has failed.
    pub(super) fn decode(self, file: &ParquetFile) -> Result<Vec<ArrayRef>> {
        let Self { records, is_last, links } = self;
        links.into_iter().map(|link| link.decode(file, records, is_last)).collect()
    }
}

impl Link {
    fn decode(self, file: &ParquetFile, records: usize, is_last: bool) -> Result<ArrayRef> {
        // The run ends with the error of that batch.
        let mut reader =
            self.from.recv().map_err(|_| Error::internal("an earlier batch of the file was not decoded"))?;
        let array = file.call(|| next_array(&mut reader))?;
        let is_more = is_last && file.call(|| next_array(&mut reader))?.is_some();
        let is_whole = |array: &ArrayRef| array.len() == records && !is_more;
        let array = array.filter(is_whole).ok_or_else(|| {
            damaged(file.name(), &"its columns have another number of records than its footer says")
        })?;
        // Nobody takes it behind the last batch, or when the source has moved.
        let _handed = self.to.send(reader);
        Ok(array)
    }
}

/// The next records of a reader of one column; `None` at its end.
fn next_array(reader: &mut ParquetRecordBatchReader) -> std::result::Result<Option<ArrayRef>, ArrowError> {
    Ok(reader.next().transpose()?.map(|records| records.column(0).clone()))
}
