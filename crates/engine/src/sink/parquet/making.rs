//! One Parquet file being written. Records are gathered to whole row groups, independent of batches; each is encoded by any worker and
//! appended in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, Float64Array, RecordBatch};
use arrow_schema::{ArrowError, Schema as ArrowSchema};
use arrow_select::concat::concat;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::basic::ZstdLevel;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnDescPtr;

use super::gathered::Gathered;
use super::pages::ColumnChunk;
use super::{dictionary, split};
use crate::atomic::{AtomicFile, Job};
use crate::error::{Error, Result};
use crate::files::FilePath;

/// Numbers sampled from a row group to choose its encoding.
const SAMPLE: usize = 4096;

/// What all files of a sink share.
pub(super) struct ParquetLayout {
    pub(super) path: FilePath,
    pub(super) schema: Arc<ArrowSchema>,
    pub(super) level: ZstdLevel,
    /// For columns encoded by `arrow-rs`, and for the file.
    pub(super) properties: WriterProperties,
    /// Records per row group.
    pub(super) row_group: usize,
}

/// A file being written.
pub(super) struct ParquetWriter {
    gathered: Gathered,
    /// The ordinal of the next row group.
    next: usize,
    shared: Arc<WriterShared>,
}

/// State shared by all workers.
struct WriterShared {
    layout: Arc<ParquetLayout>,
    columns: Vec<ColumnDescPtr>,
    /// For columns encoded by `arrow-rs`.
    writers: ArrowRowGroupWriterFactory,
    /// Row groups that no worker has started to encode.
    waiting: Mutex<BTreeMap<usize, Vec<RecordBatch>>>,
    appender: Mutex<Appender>,
    /// Notified when a row group was appended, or never will be.
    changed: Condvar,
}

/// A column of one row group.
enum EncodedColumn {
    Ours(ColumnChunk),
    Theirs(ArrowColumnChunk),
}

/// The file, and encoded row groups that wait for earlier ones.
struct Appender {
    next: usize,
    encoded: BTreeMap<usize, Vec<EncodedColumn>>,
    /// Whether the encoding of a row group was abandoned.
    is_broken: bool,
    /// `None` once the footer is written.
    writer: Option<SerializedFileWriter<AtomicFile>>,
}

/// A row group being encoded. If it is dropped before it is appended, those that wait for it are woken with an error.
struct Begun<'a> {
    shared: &'a WriterShared,
    is_done: bool,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.shared.appender().is_broken |= !self.is_done;
        self.shared.changed.notify_all();
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        // A run that fails before its first row group writes nothing to a stream, not even the magic number.
        if let (0, Some(writer)) = (self.next, &mut self.writer) {
            writer.inner_mut().discard();
        }
    }
}

impl ParquetWriter {
    /// Begins a Parquet file in `file`, which is empty.
    ///
    /// # Errors
    /// An I/O error.
    pub(super) fn begin(layout: &Arc<ParquetLayout>, file: AtomicFile) -> Result<Self> {
        let schema = Arc::clone(&layout.schema);
        let (writer, writers) =
            ArrowWriter::try_new(file, Arc::clone(&schema), Some(layout.properties.clone()))
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(|error| layout.failed(error))?;
        let columns = writer.schema_descr().columns().to_vec();
        let appender = Appender { next: 0, encoded: BTreeMap::new(), is_broken: false, writer: Some(writer) };
        let shared = WriterShared {
            layout: Arc::clone(layout),
            columns,
            writers,
            waiting: Mutex::default(),
            appender: Mutex::new(appender),
            changed: Condvar::new(),
        };
        let gathered = Gathered::new(schema, layout.row_group);
        Ok(Self { gathered, next: 0, shared: Arc::new(shared) })
    }

    /// Adds records; returns a job that encodes the row groups that are now complete.
    ///
    /// # Errors
    /// An internal error if the records have other columns.
    pub(super) fn add(&mut self, records: RecordBatch) -> Result<Option<Job>> {
        let full = self.gathered.add(records).map_err(|error| unfit(&error))?;
        let jobs: Vec<Job> = full.into_iter().map(|group| self.row_group(group)).collect();
        Ok((!jobs.is_empty()).then(|| -> Job { Box::new(|| jobs.into_iter().try_for_each(|job| job())) }))
    }

    /// A job that encodes a row group.
    fn row_group(&mut self, records: Vec<RecordBatch>) -> Job {
        let (ordinal, shared) = (self.next, Arc::clone(&self.shared));
        self.next += 1;
        shared.waiting().insert(ordinal, records);
        Box::new(move || {
            // `finish` may have encoded it already.
            let records = shared.waiting().remove(&ordinal);
            records.map_or(Ok(()), |records| shared.work(ordinal, records))
        })
    }

    /// The encoded size so far in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.shared.appender().writer.as_ref().map_or(0, |writer| writer.bytes_written() as u64)
    }

    /// Encodes the row groups that no worker has started, writes the footer, and returns the complete file. Waits for running jobs, which
    /// do not wait for anything else.
    ///
    /// # Errors
    /// An I/O error; an internal error if a job was abandoned or the file is complete already.
    pub(super) fn finish(&mut self) -> Result<AtomicFile> {
        let rest = self.gathered.take();
        if !rest.is_empty() {
            self.row_group(rest)()?;
        }
        let shared = &*self.shared;
        loop {
            let next = shared.waiting().pop_first();
            let Some((ordinal, records)) = next else { break };
            shared.work(ordinal, records)?;
        }
        let is_open = |appender: &mut Appender| appender.next < self.next && !appender.is_broken;
        let appender = shared.changed.wait_while(shared.appender(), is_open);
        let mut appender = appender.unwrap_or_else(PoisonError::into_inner);
        if appender.is_broken {
            return Err(Error::internal("a row group of a Parquet file was never written"));
        }
        let writer = appender.writer.take().ok_or_else(is_complete)?;
        drop(appender);
        let mut file = writer.into_inner().map_err(|error| shared.layout.failed(error))?;
        file.finish()?;
        Ok(file)
    }
}

impl WriterShared {
    /// Encodes row group `ordinal` and appends it in order.
    fn work(&self, ordinal: usize, records: Vec<RecordBatch>) -> Result<()> {
        let mut begun = Begun { shared: self, is_done: false };
        let chunks = self.encode(ordinal, &records)?;
        drop(records);
        self.append(ordinal, chunks)?;
        begun.is_done = true;
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<RecordBatch>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn encode(&self, ordinal: usize, gathered: &[RecordBatch]) -> Result<Vec<EncodedColumn>> {
        let failed = |error| self.layout.failed(error);
        let writers = self.writers.create_column_writers(ordinal).map_err(failed)?;
        let mut chunks = Vec::new();
        for (at, writer) in writers.into_iter().enumerate() {
            let parts: Vec<&dyn Array> = gathered.iter().map(|records| &**records.column(at)).collect();
            chunks.push(match self.by_ours(at, &parts).map_err(failed)? {
                Some(chunk) => EncodedColumn::Ours(chunk),
                None => EncodedColumn::Theirs(self.by_theirs(at, &parts, writer)?),
            });
        }
        Ok(chunks)
    }

    /// Encodes column `at` with the encoders of this module, if it is of sensors or numbers: dictionary-encoded, or byte-stream split if
    /// too many values are distinct. Instruments usually have few distinct values.
    fn by_ours(
        &self,
        at: usize,
        parts: &[&dyn Array],
    ) -> std::result::Result<Option<ColumnChunk>, ParquetError> {
        let column = &self.columns[at];
        if let Some(parts) = downcast::<DictionaryArray<Int32Type>>(parts) {
            return dictionary::names(column, self.layout.level, &parts);
        }
        let Some(parts) = downcast::<Float64Array>(parts) else { return Ok(None) };
        let chunk = match has_few_values(&parts) {
            true => dictionary::numbers(column, self.layout.level, &parts)?,
            false => None,
        };
        chunk.map_or_else(|| split::numbers(column, self.layout.level, &parts), Ok).map(Some)
    }

    /// Encodes any column with `arrow-rs`.
    fn by_theirs(
        &self,
        at: usize,
        parts: &[&dyn Array],
        mut writer: ArrowColumnWriter,
    ) -> Result<ArrowColumnChunk> {
        let failed = |error| self.layout.failed(error);
        // In one piece, so that page boundaries do not depend on batches.
        let whole = concat(parts).map_err(|error| unfit(&error))?;
        for leaf in compute_leaves(self.layout.schema.field(at), &whole).map_err(failed)? {
            writer.write(&leaf).map_err(failed)?;
        }
        writer.close().map_err(failed)
    }

    /// Appends row group `ordinal`, and those that waited for it.
    fn append(&self, ordinal: usize, chunks: Vec<EncodedColumn>) -> Result<()> {
        let Appender { next, encoded, writer, .. } = &mut *self.appender();
        let writer = writer.as_mut().ok_or_else(is_complete)?;
        encoded.insert(ordinal, chunks);
        let mut append = |chunks: Vec<EncodedColumn>| {
            let mut group = writer.next_row_group()?;
            chunks.into_iter().try_for_each(|chunk| match chunk {
                EncodedColumn::Ours(chunk) => chunk.append_to_row_group(&mut group),
                EncodedColumn::Theirs(chunk) => chunk.append_to_row_group(&mut group),
            })?;
            group.close().map(drop)
        };
        while let Some(chunks) = encoded.remove(next) {
            append(chunks).map_err(|error| self.layout.failed(error))?;
            *next += 1;
        }
        Ok(())
    }

    /// A job that panicked ends the run, so the state it left does not matter.
    fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a column has so few distinct numbers that a dictionary is smaller: fewer than half the number of rows.
///
/// Estimated from repeats in a sample: among `n` draws from `d` equally likely values, n²/2d are expected to repeat (the birthday problem).
/// A wrong estimate costs space, never a value.
pub(super) fn has_few_values(parts: &[&Float64Array]) -> bool {
    let rows: usize = parts.iter().map(|part| part.len()).sum();
    let step = rows.div_ceil(SAMPLE).max(4);
    let numbers = parts.iter().flat_map(|part| part.values());
    let mut sample: Vec<u64> = numbers.step_by(step).map(|value| value.to_bits()).collect();
    let drawn = sample.len();
    sample.sort_unstable();
    sample.dedup();
    let alike = drawn - sample.len();
    alike * rows > drawn * drawn
}

fn downcast<'a, A: Array + 'static>(parts: &[&'a dyn Array]) -> Option<Vec<&'a A>> {
    parts.iter().map(|part| part.as_any().downcast_ref()).collect()
}

impl ParquetLayout {
    fn failed(&self, error: ParquetError) -> Error {
        let path = &self.path;
        match error {
            ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(error) => Error::io("write", path, &error),
                Err(other) => Error::internal(format!("cannot write {path}: {other}")),
            },
            other => Error::internal(format!("cannot write {path}: {other}")),
        }
    }
}

fn is_complete() -> Error {
    Error::internal("records after the end of a Parquet file")
}

fn unfit(error: &ArrowError) -> Error {
    Error::internal(format!("cannot build a row group: {error}"))
}
