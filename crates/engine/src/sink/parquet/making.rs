//! One Parquet file in the making. Records are gathered to whole row groups, whatever batches they came in; each is encoded by whoever has time,
//! and appended in order.

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

/// Numbers of a row group that are looked at to choose its encoding.
const SAMPLE: usize = 4096;

/// What all files of a sink have in common.
pub(super) struct Layout {
    pub(super) path: FilePath,
    pub(super) schema: Arc<ArrowSchema>,
    pub(super) level: ZstdLevel,
    /// For columns that are not encoded here, and for the file as a whole.
    pub(super) properties: WriterProperties,
    /// Records of a row group.
    pub(super) row_group: usize,
}

/// A file in the making.
pub(super) struct Making {
    gathered: Gathered,
    /// The ordinal of the next row group.
    next: usize,
    shared: Arc<Shared>,
}

/// What all workers use.
struct Shared {
    layout: Arc<Layout>,
    columns: Vec<ColumnDescPtr>,
    /// For columns that are not encoded here.
    writers: ArrowRowGroupWriterFactory,
    /// Row groups that nobody has begun to encode.
    waiting: Mutex<BTreeMap<usize, Vec<RecordBatch>>>,
    appender: Mutex<Appender>,
    /// Something was appended, or never will be.
    changed: Condvar,
}

/// A column of one row group.
enum EncodedColumn {
    Ours(ColumnChunk),
    Theirs(ArrowColumnChunk),
}

/// The file, and the row groups that are encoded but not in turn yet.
struct Appender {
    next: usize,
    encoded: BTreeMap<usize, Vec<EncodedColumn>>,
    /// Whether a row group was begun that will never be appended.
    is_broken: bool,
    /// Until the end is written.
    writer: Option<SerializedFileWriter<AtomicFile>>,
}

/// A row group that is being encoded; what stands behind it waits in vain where that is given up.
struct Begun<'a> {
    shared: &'a Shared,
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
        // A run that fails before its first row group gives a stream nothing, not even what the file begins with.
        if let (0, Some(writer)) = (self.next, &mut self.writer) {
            writer.inner_mut().discard();
        }
    }
}

impl Making {
    /// Begins it in `file`, which is empty.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn begin(layout: &Arc<Layout>, file: AtomicFile) -> Result<Self> {
        let schema = Arc::clone(&layout.schema);
        let (writer, writers) =
            ArrowWriter::try_new(file, Arc::clone(&schema), Some(layout.properties.clone()))
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(|error| layout.failed(error))?;
        let columns = writer.schema_descr().columns().to_vec();
        let appender = Appender { next: 0, encoded: BTreeMap::new(), is_broken: false, writer: Some(writer) };
        let shared = Shared {
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

    /// Takes records in; what is left to do with the row groups that are full.
    ///
    /// # Errors
    /// Records of other columns are an internal error.
    pub(super) fn add(&mut self, records: RecordBatch) -> Result<Option<Job>> {
        let full = self.gathered.add(records).map_err(|error| unfit(&error))?;
        let jobs: Vec<Job> = full.into_iter().map(|group| self.row_group(group)).collect();
        Ok((!jobs.is_empty()).then(|| -> Job { Box::new(|| jobs.into_iter().try_for_each(|job| job())) }))
    }

    /// What is left to do with a row group.
    fn row_group(&mut self, records: Vec<RecordBatch>) -> Job {
        let (ordinal, shared) = (self.next, Arc::clone(&self.shared));
        self.next += 1;
        shared.waiting().insert(ordinal, records);
        Box::new(move || {
            // Whoever ends the file may have done it.
            let records = shared.waiting().remove(&ordinal);
            records.map_or(Ok(()), |records| shared.work(ordinal, records))
        })
    }

    /// Bytes of the row groups that are encoded so far.
    pub(super) fn bytes(&self) -> u64 {
        self.shared.appender().writer.as_ref().map_or(0, |writer| writer.bytes_written() as u64)
    }

    /// Nothing more will come: encodes what nobody has begun to encode, and writes the end; gives the file, which is complete. Waits for jobs
    /// that others have begun; those wait for nobody.
    ///
    /// # Errors
    /// What the system says; an internal error where a job was given up, or it is complete already.
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

impl Shared {
    /// Encodes the row group `ordinal` and appends it in its turn.
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

    /// Encodes column `at` if it is of sensors or of numbers: by a dictionary, or with their bytes split where too many are distinct. An
    /// instrument has few numbers.
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

    /// Encodes any column.
    fn by_theirs(
        &self,
        at: usize,
        parts: &[&dyn Array],
        mut writer: ArrowColumnWriter,
    ) -> Result<ArrowColumnChunk> {
        let failed = |error| self.layout.failed(error);
        // In one piece, so that pages end where the records say and not the batches.
        let whole = concat(parts).map_err(|error| unfit(&error))?;
        for leaf in compute_leaves(self.layout.schema.field(at), &whole).map_err(failed)? {
            writer.write(&leaf).map_err(failed)?;
        }
        writer.close().map_err(failed)
    }

    /// Appends the row group `ordinal`, and those that waited for it.
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

    /// A job that panicked ends the run: nobody looks at what it left.
    fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a column of numbers has so few distinct ones that a dictionary pays: fewer than half as many as there are rows.
///
/// Judged by how many of a sample are alike: of `n` drawn from `d` equally likely values, n²/2d are one that was drawn before (the
/// birthday problem). A wrong guess costs room, never a value.
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

impl Layout {
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
    Error::internal(format!("parts that do not fit: {error}"))
}
