//! `parquet`: compressed columns with statistics.
//!
//! | | |
//! |---|---|
//! | `making` | one file being written: row groups, encoded by any worker |
//! | `gathered` | gathers records to row groups |
//! | `dictionary`, `split`, `pages` | encoders implemented here |
//! | `rolling` | rolling files, and how they resume |

mod dictionary;
mod gathered;
mod making;
mod pages;
mod rolling;
mod split;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema as ArrowSchema;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::making::{ParquetLayout, ParquetWriter};
use self::rolling::RollingParquet;
use super::{Block, FileTarget, Job, Prepare, Repeat, Roll, Sink, SinkContext, SinkSpec};
use crate::arrow;
use crate::atomic::AtomicFile;
use crate::batch::{Batch, FieldRole, FieldType, Schema};
use crate::error::{Error, Result};
use crate::files::{Base, FilePath};
use crate::options::parameters_of;
use crate::sensor::Sensors;
use crate::sink::Component;

/// A Parquet file: times as UTC timestamps, sensors dictionary-encoded, measurements as doubles; zstd, with statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetFile {
    /// The file. Missing folders are created. With the feature `objects`, `s3://bucket/key`
    /// and the like are objects in a store.
    pub path: FilePath,
    /// The zstd level, from 1 (fast) to 22 (small).
    #[serde(default = "default_level")]
    pub level: i32,
    /// Records per row group: the unit that readers can skip, and that is held in memory while writing.
    #[serde(default = "default_row_group")]
    pub row_group: usize,
    /// When to end a file and begin another, and how long to keep files: `{ every = "1h", size = "256MiB", keep = "30d" }`. `path` is then
    /// a template: "out/{date}/{hour}-{epoch}.parquet".
    #[serde(default)]
    pub roll: Option<Roll>,
}

inventory::submit! { Component::of::<ParquetFile>("parquet", "a Parquet file: zstd, statistics, sensors as a dictionary") }

fn default_level() -> i32 {
    1
}

fn default_row_group() -> usize {
    1 << 18
}

impl ParquetFile {
    /// A file at `path`.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self { path: path.into(), level: default_level(), row_group: default_row_group(), roll: None }
    }

    fn written(&self) -> FileTarget {
        FileTarget::new(self.path.clone(), self.roll.clone())
    }

    fn level(&self) -> Result<ZstdLevel> {
        ZstdLevel::try_new(self.level)
            .map_err(|_| Error::config(format!("`level` {} is not from 1 to 22", self.level)))
    }

    /// Encodings of the columns that `arrow-rs` encodes.
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
            // Measured integers more often have few distinct values than even steps.
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
        self.written().repeat()
    }

    fn target(&self) -> Option<FileTarget> {
        Some(self.written())
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base), ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        if self.roll.is_none() && self.is_stdout() {
            return Err(Error::config("Parquet cannot be written to standard output")
                .with_help("name a file in `path`"));
        }
        self.properties(schema)?;
        self.written().check(Some(schema))
    }

    /// A file that rolls is made again from its rows in the state folder; one that does not may be too long for that.
    fn can_resume(&self) -> bool {
        self.roll.is_some()
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let layout = ParquetLayout {
            path: self.path.clone(),
            schema: Arc::new(arrow::schema(schema)),
            level: self.level()?,
            properties: self.properties(schema)?,
            row_group: self.row_group,
        };
        Ok(match &self.roll {
            Some(roll) => Box::new(RollingParquet::open(layout, roll, context)?),
            None => {
                let arrays = Arc::new(Arrays(Arc::clone(&layout.schema)));
                let making =
                    ParquetWriter::begin(&Arc::new(layout), AtomicFile::begin(&self.path, context)?.0)?;
                Box::new(OpenParquetFile { arrays, making, file: None })
            }
        })
    }
}

/// Converts batches to Arrow arrays.
struct Arrays(Arc<ArrowSchema>);

impl Arrays {
    fn of(&self, batch: &Batch, sensors: &Sensors) -> Result<RecordBatch> {
        arrow::records(batch, &self.0, sensors)
    }
}

impl Prepare for Arrays {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        Ok(Box::new(self.of(batch, sensors)?))
    }
}

/// A single file for the whole run.
struct OpenParquetFile {
    arrays: Arc<Arrays>,
    making: ParquetWriter,
    /// Set when it is complete.
    file: Option<AtomicFile>,
}

impl Sink for OpenParquetFile {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.making.add(self.arrays.of(batch, sensors)?)?.map_or(Ok(()), |job| job())
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.arrays) as _)
    }

    fn is_prompt(&self) -> bool {
        true
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        match block.downcast::<RecordBatch>() {
            Ok(records) => self.making.add(*records),
            Err(_) => Err(Error::internal("a prepared block is not a batch of arrays")),
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(self.making.finish()?);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.flush()?;
        self.file.as_mut().map_or(Ok(()), AtomicFile::commit)?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Float64Array;

    use super::*;
    use crate::batch::{Column, Field, Numbers, Text};

    fn few(values: impl IntoIterator<Item = f64>) -> bool {
        making::has_few_values(&[&Float64Array::from_iter_values(values)])
    }

    #[test]
    fn an_instrument_has_few_values_and_a_mean_has_many() {
        // Readings with three decimals, scattered; and numbers with many digits.
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
            let mut open = sink.open(&schema, &SinkContext::default()).expect("open");
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
        let mut open = sink.open(&schema, &SinkContext::default()).expect("open");
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
