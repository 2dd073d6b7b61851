//! `parquet`: columns, compressed, with statistics.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::atomic::{self, AtomicFile};
use super::{Repeat, Sink, SinkSpec};
use crate::batch::{Batch, Column, FieldKind, Schema};
use crate::error::{Error, Result};
use crate::registry::{Component, parameters_of};
use crate::sensor::Sensors;

/// A Parquet file: times as timestamps in UTC, sensors as a dictionary, measurements as doubles; zstd, with statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetFile {
    /// The file. Folders on the way are made.
    pub path: String,
    /// The level of zstd, 1 (fast) to 22 (small).
    #[serde(default = "default_level")]
    pub level: i32,
    /// Records a row group: what a reader can skip as a whole, and what is kept in memory while writing.
    #[serde(default = "default_row_group")]
    pub row_group: usize,
}

inventory::submit! { Component::sink::<ParquetFile>("parquet", "a Parquet file: zstd, statistics, sensors as a dictionary") }

fn default_level() -> i32 {
    1
}

fn default_row_group() -> usize {
    1 << 18
}

impl ParquetFile {
    /// The file `path`.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), level: default_level(), row_group: default_row_group() }
    }

    fn properties(&self, schema: &Schema) -> Result<WriterProperties> {
        let level = ZstdLevel::try_new(self.level)
            .map_err(|_| Error::config(format!("`level` {} is not from 1 to 22", self.level)))?;
        if self.row_group == 0 {
            return Err(Error::config("`row_group` must be at least 1"));
        }
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("tidemill ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(self.row_group))
            .set_statistics_enabled(EnabledStatistics::Page);
        for field in schema.fields() {
            let encoding = match field.kind {
                FieldKind::Time | FieldKind::Count => Encoding::DELTA_BINARY_PACKED,
                FieldKind::Measurement => Encoding::BYTE_STREAM_SPLIT,
                _ => continue,
            };
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
        Repeat::Harmless
    }

    fn file(&self) -> Option<PathBuf> {
        atomic::file(&self.path)
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        if atomic::is_stdout(&self.path) {
            return Err(Error::config("Parquet cannot be written to standard output")
                .with_help("name a file in `path`"));
        }
        self.properties(schema)?;
        atomic::check(&self.path)
    }

    fn open(&self, schema: &Arc<Schema>) -> Result<Box<dyn Sink>> {
        let arrow = Arc::new(arrow_schema(schema));
        let file = AtomicFile::create(&self.path)?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&arrow), Some(self.properties(schema)?))
            .map_err(|error| parquet_error(&self.path, error))?;
        Ok(Box::new(Open { path: self.path.clone(), schema: arrow, writer: Some(writer), file: None }))
    }
}

/// The columns as Arrow has them.
fn arrow_schema(schema: &Schema) -> ArrowSchema {
    let fields = schema.fields().iter().map(|field| {
        let (kind, is_nullable) = match field.kind {
            FieldKind::Time => (DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), false),
            FieldKind::Sensor => {
                (DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), false)
            }
            FieldKind::Measurement => (DataType::Float64, true),
            FieldKind::Flag => (DataType::Boolean, false),
            FieldKind::Count => (DataType::UInt64, false),
            FieldKind::Text => (DataType::Utf8, true),
        };
        ArrowField::new(&*field.name, kind, is_nullable)
    });
    ArrowSchema::new(fields.collect::<Vec<_>>())
}

struct Open {
    path: String,
    schema: Arc<ArrowSchema>,
    /// Until the end is written.
    writer: Option<ArrowWriter<AtomicFile>>,
    /// From then on.
    file: Option<AtomicFile>,
}

impl Sink for Open {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let columns = batch
            .columns()
            .iter()
            .map(|column| arrow_column(batch, column, sensors))
            .collect::<Result<_>>()?;
        let records = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal(format!("columns that do not fit: {error}")))?;
        match &mut self.writer {
            Some(writer) => writer.write(&records).map_err(|error| parquet_error(&self.path, error)),
            None => Err(Error::internal("records after the end of a Parquet file")),
        }
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            let mut file = writer.into_inner().map_err(|error| parquet_error(&self.path, error))?;
            file.finish()?;
            self.file = Some(file);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.flush()?;
        self.file.as_mut().map_or(Ok(()), AtomicFile::commit)?;
        Ok(Vec::new())
    }
}

fn arrow_column(batch: &Batch, column: &Column, sensors: &Sensors) -> Result<ArrayRef> {
    Ok(match column {
        Column::Time(times) => {
            let nanos = times.values.iter().map(|time| time.as_nanos());
            Arc::new(TimestampNanosecondArray::from_iter_values(nanos).with_timezone("UTC"))
        }
        Column::Sensor(ids) => Arc::new(dictionary(ids.iter().map(|id| id.0), sensors)?),
        Column::Measurement(measurement) => {
            let mut builder = Float64Builder::with_capacity(batch.len());
            measurement.iter().for_each(|value| builder.append_option(value));
            Arc::new(builder.finish())
        }
        Column::Flag(bits) => Arc::new(BooleanArray::from_iter(bits.iter().map(Some))),
        Column::Count(counts) => Arc::new(UInt64Array::from_iter_values(counts.iter().copied())),
        Column::Text(spans) => {
            let mut builder = StringBuilder::new();
            for &span in spans {
                builder.append_option(batch.text.get(span).map(|text| String::from_utf8_lossy(text)));
            }
            Arc::new(builder.finish())
        }
    })
}

/// The sensors of one batch, each name once, in order of first appearance.
fn dictionary(
    ids: impl ExactSizeIterator<Item = u32>,
    sensors: &Sensors,
) -> Result<DictionaryArray<Int32Type>> {
    let mut places = vec![-1; sensors.len()];
    let mut names = Vec::new();
    let mut keys = Vec::with_capacity(ids.len());
    for id in ids {
        let place = &mut places[id as usize];
        if *place < 0 {
            *place = names.len() as i32;
            names.push(sensors.name(crate::sensor::SensorId(id)));
        }
        keys.push(*place);
    }
    DictionaryArray::try_new(Int32Array::from(keys), Arc::new(StringArray::from(names)))
        .map_err(|error| Error::internal(format!("sensors that do not fit: {error}")))
}

fn parquet_error(path: &str, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => Error::io("write", path, &error),
            Err(other) => Error::internal(format!("cannot write {path}: {other}")),
        },
        other => Error::internal(format!("cannot write {path}: {other}")),
    }
}
