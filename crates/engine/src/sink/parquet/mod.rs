//! `parquet`: columns, compressed, with statistics.

mod dictionary;
mod gathered;
mod pages;
mod split;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, Float64Array, RecordBatch};
use arrow_schema::{ArrowError, Schema as ArrowSchema};
use arrow_select::concat::concat;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::gathered::Gathered;
use self::pages::ColumnChunk;
use super::{Block, Job, Outset, Prepare, Repeat, Sink, SinkSpec};
use crate::arrow;
use crate::atomic::{self, AtomicFile};
use crate::batch::{Batch, FieldRole, FieldType, Schema};
use crate::error::{Error, Result};
use crate::files::{Base, FilePath};
use crate::options::parameters_of;
use crate::sensor::Sensors;
use crate::sink::Component;

/// Numbers of a row group that are looked at to choose its encoding.
const SAMPLE: usize = 4096;

/// A Parquet file: times as timestamps in UTC, sensors as a dictionary, measurements as doubles; zstd, with statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetFile {
    /// The file. Folders on the way are made.
    pub path: FilePath,
    /// The level of zstd, 1 (fast) to 22 (small).
    #[serde(default = "default_level")]
    pub level: i32,
    /// Records a row group: what a reader can skip as a whole, and what is kept in memory while writing.
    #[serde(default = "default_row_group")]
    pub row_group: usize,
}

inventory::submit! { Component::of::<ParquetFile>("parquet", "a Parquet file: zstd, statistics, sensors as a dictionary") }

fn default_level() -> i32 {
    1
}

fn default_row_group() -> usize {
    1 << 18
}

impl ParquetFile {
    /// The file `path`.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self { path: path.into(), level: default_level(), row_group: default_row_group() }
    }

    fn level(&self) -> Result<ZstdLevel> {
        ZstdLevel::try_new(self.level)
            .map_err(|_| Error::config(format!("`level` {} is not from 1 to 22", self.level)))
    }

    /// How columns are encoded, but for those that are encoded here.
    fn properties(&self, schema: &Schema) -> Result<WriterProperties> {
        let level = self.level()?;
        if self.row_group == 0 {
            return Err(Error::config("`row_group` must be at least 1"));
        }
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("tidemill ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(self.row_group))
            .set_statistics_enabled(EnabledStatistics::Page);
        for field in schema.fields() {
            // Integers that are measured have more often few values than even steps.
            let is_even = field.role == FieldRole::Time || field.ty == FieldType::U64;
            let encoding = if is_even { Encoding::DELTA_BINARY_PACKED } else { continue };
            let path = ColumnPath::from(&*field.name);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, encoding);
        }
        Ok(properties.build())
    }
}

impl SinkSpec for ParquetFile {
    fn name(&self) -> &str {
        "parquet"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn repeat(&self) -> Repeat {
        Repeat::of(&self.path)
    }

    fn file(&self) -> Option<PathBuf> {
        atomic::file(&self.path)
    }

    fn stream(&self) -> Option<PathBuf> {
        atomic::stream(&self.path)
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base), ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        if atomic::is_stdout(&self.path) {
            return Err(Error::config("Parquet cannot be written to standard output")
                .with_help("name a file in `path`"));
        }
        self.properties(schema)?;
        atomic::check(&self.path)
    }

    fn open(&self, schema: &Arc<Schema>, outset: &Outset) -> Result<Box<dyn Sink>> {
        let arrow = Arc::new(arrow::schema(schema));
        let file = AtomicFile::begin(&self.path, outset)?.0;
        let failed = |error| parquet_error(&self.path, error);
        let (writer, writers) =
            ArrowWriter::try_new(file, Arc::clone(&arrow), Some(self.properties(schema)?))
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(failed)?;
        let columns = writer.schema_descr().columns().to_vec();
        let appender = Appender { next: 0, encoded: BTreeMap::new(), writer: Some(writer), file: None };
        let shared = Shared {
            path: self.path.clone(),
            schema: arrow,
            level: self.level()?,
            columns,
            writers,
            appender: Mutex::new(appender),
        };
        let gathered = Gathered::new(Arc::clone(&shared.schema), self.row_group);
        Ok(Box::new(Open { gathered, next: 0, shared: Arc::new(shared) }))
    }
}

/// A Parquet file in the making. Records are gathered to whole row groups, whatever batches they came in; each is
/// encoded by whoever has time, and appended in order.
struct Open {
    gathered: Gathered,
    /// The ordinal of the next row group.
    next: usize,
    shared: Arc<Shared>,
}

/// What all workers use.
struct Shared {
    path: FilePath,
    schema: Arc<ArrowSchema>,
    level: ZstdLevel,
    columns: Vec<ColumnDescPtr>,
    /// For columns that are not encoded here.
    writers: ArrowRowGroupWriterFactory,
    appender: Mutex<Appender>,
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
    /// Until the end is written.
    writer: Option<SerializedFileWriter<AtomicFile>>,
    /// From then on.
    file: Option<AtomicFile>,
}

impl Drop for Appender {
    fn drop(&mut self) {
        // A run that fails before its first row group gives a stream nothing, not even what the file begins with.
        if let (0, Some(writer)) = (self.next, &mut self.writer) {
            writer.inner_mut().discard();
        }
    }
}

impl Open {
    /// Takes records in; what is left to do with the row groups that are full.
    fn gather(&mut self, records: RecordBatch) -> Result<Option<Job>> {
        let full = self.gathered.add(records).map_err(|error| unfit(&error))?;
        let jobs: Vec<Job> = full.into_iter().map(|group| self.row_group(group)).collect();
        Ok((!jobs.is_empty()).then(|| -> Job { Box::new(|| jobs.into_iter().try_for_each(|job| job())) }))
    }

    /// What is left to do with a row group.
    fn row_group(&mut self, records: Vec<RecordBatch>) -> Job {
        let (ordinal, shared) = (self.next, Arc::clone(&self.shared));
        self.next += 1;
        Box::new(move || {
            let chunks = shared.encode(ordinal, &records)?;
            drop(records);
            shared.append(ordinal, chunks)
        })
    }
}

impl Shared {
    fn encode(&self, ordinal: usize, gathered: &[RecordBatch]) -> Result<Vec<EncodedColumn>> {
        let failed = |error| parquet_error(&self.path, error);
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
            return dictionary::names(column, self.level, &parts);
        }
        let Some(parts) = downcast::<Float64Array>(parts) else { return Ok(None) };
        let chunk = match has_few_values(&parts) {
            true => dictionary::numbers(column, self.level, &parts)?,
            false => None,
        };
        chunk.map_or_else(|| split::numbers(column, self.level, &parts), Ok).map(Some)
    }

    /// Encodes any column.
    fn by_theirs(
        &self,
        at: usize,
        parts: &[&dyn Array],
        mut writer: ArrowColumnWriter,
    ) -> Result<ArrowColumnChunk> {
        let failed = |error| parquet_error(&self.path, error);
        // In one piece, so that pages end where the records say and not the batches.
        let whole = concat(parts).map_err(|error| unfit(&error))?;
        for leaf in compute_leaves(self.schema.field(at), &whole).map_err(failed)? {
            writer.write(&leaf).map_err(failed)?;
        }
        writer.close().map_err(failed)
    }

    /// Appends the row group `ordinal`, and those that waited for it.
    fn append(&self, ordinal: usize, chunks: Vec<EncodedColumn>) -> Result<()> {
        let Appender { next, encoded, writer, .. } = &mut *self.appender();
        let writer =
            writer.as_mut().ok_or_else(|| Error::internal("records after the end of a Parquet file"))?;
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
            append(chunks).map_err(|error| parquet_error(&self.path, error))?;
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
fn has_few_values(parts: &[&Float64Array]) -> bool {
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

/// Makes arrays of a batch's columns.
impl Prepare for Shared {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let columns = batch.columns().iter().map(|column| arrow::array(batch, column, sensors));
        let records = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_>>()?);
        let records =
            records.map_err(|error| Error::internal(format!("columns that do not fit: {error}")))?;
        Ok(Box::new(records))
    }
}

impl Sink for Open {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let block = self.shared.prepare(batch, sensors)?;
        self.accept(block)?.map_or(Ok(()), |job| job())
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.shared) as _)
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        match block.downcast::<RecordBatch>() {
            Ok(records) => self.gather(*records),
            Err(_) => Err(Error::internal("a block that is no batch of arrays")),
        }
    }

    fn flush(&mut self) -> Result<()> {
        let rest = self.gathered.take();
        if !rest.is_empty() {
            self.row_group(rest)()?;
        }
        let mut appender = self.shared.appender();
        if let Some(writer) = appender.writer.take() {
            let mut file = writer.into_inner().map_err(|error| parquet_error(&self.shared.path, error))?;
            file.finish()?;
            appender.file = Some(file);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.flush()?;
        self.shared.appender().file.as_mut().map_or(Ok(()), AtomicFile::commit)?;
        Ok(Vec::new())
    }
}

fn unfit(error: &ArrowError) -> Error {
    Error::internal(format!("parts that do not fit: {error}"))
}

fn parquet_error(path: &FilePath, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => Error::io("write", path, &error),
            Err(other) => Error::internal(format!("cannot write {path}: {other}")),
        },
        other => Error::internal(format!("cannot write {path}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Column, Field, Numbers, Text};

    fn few(values: impl IntoIterator<Item = f64>) -> bool {
        has_few_values(&[&Float64Array::from_iter_values(values)])
    }

    #[test]
    fn an_instrument_has_few_values_and_a_mean_has_many() {
        // Readings with three decimals, scattered; and numbers without end.
        let scattered = |at: u64| {
            let mixed = (at ^ at >> 7).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((mixed ^ mixed >> 31).wrapping_mul(0x94d0_49bb_1331_11eb) >> 20) as f64
        };
        assert!(few((0..262_144).map(|at| scattered(at) % 50_000.0 / 1000.0)));
        assert!(!few((0..262_144).map(|at| scattered(at) / 3.0)));
        assert!(few([0.0; 5000]) && few([7.5; 40]));
        assert!(!few([]) && !few([1.0, 2.0, 3.0]));
    }

    #[test]
    fn records_that_come_one_by_one_make_the_same_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let fields = vec![Field::sensor("s"), Field::measurement("v"), Field::text("x")];
        let schema = Arc::new(Schema::new(fields).expect("a schema"));
        let mut sensors = Sensors::default();
        let ids: Vec<_> = (0..500).map(|at| sensors.id(&format!("s{at}")).expect("room")).collect();
        let write = |size: usize| {
            let path = folder.path().join(format!("{size}.parquet"));
            let sink = ParquetFile { row_group: 300, ..ParquetFile::new(path.display().to_string()) };
            let mut open = sink.open(&schema, &Outset::default()).expect("open");
            for rows in (0..1000).collect::<Vec<usize>>().chunks(size) {
                let mut text = Text::default();
                let values: Numbers<f64> =
                    rows.iter().map(|&at| (at % 7 > 0).then_some(at as f64 / 3.0)).collect();
                let columns = vec![
                    Column::Sensor(rows.iter().map(|&at| ids[at * at % 500]).collect()),
                    Column::F64(values),
                    Column::Text(rows.iter().map(|at| text.push(format!("text {at}").as_bytes())).collect()),
                ];
                open.write(&Batch::new(Arc::clone(&schema), columns, text), &sensors).expect("written");
            }
            open.commit().expect("committed");
            std::fs::read(path).expect("a file")
        };
        assert!(write(1) == write(1000));
    }

    #[test]
    fn the_encoding_goes_by_the_values_of_a_row_group() {
        use parquet::file::reader::{FileReader, SerializedFileReader};

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.parquet").display().to_string();
        let fields = vec![Field::sensor("s"), Field::measurement("v")];
        let schema = Arc::new(Schema::new(fields).expect("a schema"));
        let mut sensors = Sensors::default();
        let id = sensors.id("a").expect("room");
        let sink = ParquetFile { row_group: 1000, ..ParquetFile::new(&*path) };
        let mut open = sink.open(&schema, &Outset::default()).expect("open");
        let values = (0..2000).map(|at| if at < 1000 { f64::from(at % 10) } else { f64::from(at).sqrt() });
        let values: Numbers<f64> = values.map(Some).collect();
        let columns = vec![Column::Sensor(vec![id; 2000]), Column::F64(values)];
        let batch = Batch::new(Arc::clone(&schema), columns, Text::default());
        open.write(&batch, &sensors).expect("written");
        open.commit().expect("committed");
        let reader = SerializedFileReader::new(std::fs::File::open(&path).expect("a file")).expect("Parquet");
        let encodings =
            |group: usize| -> Vec<_> { reader.metadata().row_group(group).column(1).encodings().collect() };
        assert!(encodings(0).contains(&Encoding::RLE_DICTIONARY), "{:?}", encodings(0));
        assert!(encodings(1).contains(&Encoding::BYTE_STREAM_SPLIT), "{:?}", encodings(1));
    }
}
