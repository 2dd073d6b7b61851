//! `parquet`: columns in files.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use schemars::Schema as JsonSchema;

use super::file::{FileOptions, InputFile};
use super::{Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use crate::batch::{
    Batch, Column, Field, FieldKind, Mask, Measurement, Origins, Schema, Span, Text, TimeColumn,
};
use crate::chunk::Decoded;
use crate::error::{Error, Rejection, RejectionKind, Result};
use crate::format::columns::{ColumnOptions, Columns};
use crate::offset::{Offset, Position};
use crate::registry::{Component, Configure, Options, merged, nearest, parameters_of};
use crate::sensor::SensorLookup;
use crate::time::Timestamp;

/// Parquet files. `null_values` and `decimal` have no meaning here; `time_format` is for times that are stored as integers or text.
#[derive(Clone, Debug)]
pub struct Parquet {
    /// Which files.
    pub files: FileOptions,
    /// What the columns are.
    pub columns: ColumnOptions,
}

inventory::submit! { Component::source::<Parquet>("parquet", "Parquet files: one or many") }

/// The extensions that a directory's files are known by.
const EXTENSIONS: [&str; 2] = ["parquet", "pq"];
/// Records a batch.
const BATCH: usize = 16_384;

impl Parquet {
    /// The file, glob or directory `path`, with these columns.
    pub fn new(path: impl Into<String>, columns: ColumnOptions) -> Self {
        Self { files: FileOptions::from(path.into()), columns }
    }
}

impl Configure for Parquet {
    fn schemas() -> Vec<JsonSchema> {
        vec![schemars::schema_for!(FileOptions), schemars::schema_for!(ColumnOptions)]
    }

    fn configure(options: &mut Options) -> Option<Self> {
        let (files, columns) = (options.take(), options.take());
        Some(Self { files: files?, columns: columns? })
    }
}

impl SourceSpec for Parquet {
    fn name(&self) -> &str {
        "parquet"
    }

    fn parameters(&self) -> serde_json::Value {
        merged([parameters_of(&self.files), parameters_of(&self.columns)])
    }

    fn traits(&self) -> Traits {
        self.files.traits()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.paths(&EXTENSIONS)
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let files = self.files.files(&EXTENSIONS)?;
        let first = files.first().ok_or_else(|| Error::config("`path` names no file"))?;
        let (_, total) = open(first)?;
        let schema = Arc::new(schema(first, &self.columns)?);
        let rest = files[1..].iter().map(|file| open(file).map(|(_, records)| records));
        let total = rest.sum::<Result<u64>>()? + total;
        Ok(Box::new(Reader {
            columns: Columns::new(&self.columns)?,
            sensor: self.columns.sensor.is_none(),
            files,
            schema,
            origins: options.origins,
            batch: BATCH.min(options.chunk_size / 16).max(1),
            offset: Offset::default(),
            open: None,
            done: 0,
            total,
        }))
    }
}

/// Opens a file; gives the number of its records too.
fn open(file: &InputFile) -> Result<(ParquetRecordBatchReaderBuilder<File>, u64)> {
    let Some(path) = &file.path else {
        return Err(
            Error::config("Parquet cannot be read from standard input").with_help("save it to a file first")
        );
    };
    let handle = File::open(path).map_err(|error| Error::io("read", &file.name, &error))?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(handle).map_err(|error| damaged(&file.name, &error))?;
    let records = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    Ok((builder, records))
}

fn damaged(name: &str, error: &dyn std::fmt::Display) -> Error {
    Error::data(format!("`{name}` cannot be read as Parquet: {error}"))
        .with_help("check that it is a whole Parquet file")
}

/// The columns of a file.
fn schema(file: &InputFile, options: &ColumnOptions) -> Result<Schema> {
    let (builder, _) = open(file)?;
    let names: Vec<&str> = builder.schema().fields().iter().map(|field| field.name().as_str()).collect();
    let measurements = options.measurements.iter().flatten();
    for wanted in options.time.iter().chain(&options.sensor).chain(measurements) {
        if !names.contains(&wanted.as_str()) {
            let help = match nearest(wanted, names.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("its columns are {}", names.join(", ")),
            };
            return Err(Error::config(format!("`{}` has no column `{wanted}`", file.name)).with_help(help));
        }
    }
    let mut fields = Vec::new();
    for field in builder.schema().fields() {
        let name = field.name();
        if field.data_type().is_nested() {
            return Err(Error::config(format!(
                "column `{name}` of `{}` is nested: {}",
                file.name,
                field.data_type()
            ))
            .with_help("flatten it first"));
        }
        fields.push(Field::new(name.as_str(), kind(name, field.data_type(), options)));
    }
    if options.sensor.is_none() {
        let place = fields.iter().position(|field| field.kind == FieldKind::Time).map_or(0, |at| at + 1);
        fields.insert(place, Field::new("sensor", FieldKind::Sensor));
    }
    Schema::new(fields).map_err(|error| error.with_context(&file.name))
}

fn kind(name: &String, data_type: &DataType, options: &ColumnOptions) -> FieldKind {
    let is_measurement = match &options.measurements {
        Some(names) => names.contains(name),
        None => data_type.is_numeric(),
    };
    if options.time.as_ref() == Some(name) {
        FieldKind::Time
    } else if options.sensor.as_ref() == Some(name) {
        FieldKind::Sensor
    } else if is_measurement {
        FieldKind::Measurement
    } else {
        FieldKind::Text
    }
}

/// The source in use.
struct Reader {
    files: Vec<InputFile>,
    schema: Arc<Schema>,
    columns: Columns,
    /// Whether the sensor is the file's.
    sensor: bool,
    origins: bool,
    batch: usize,
    offset: Offset,
    open: Option<ParquetRecordBatchReader>,
    done: u64,
    total: u64,
}

impl Reader {
    fn file(&self) -> Option<&InputFile> {
        self.files.get(self.offset.file as usize)
    }

    /// The next records of the file that is open, or of the one after.
    fn records(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(file) = self.file() {
            let name = Arc::clone(&file.name);
            if self.open.is_none() {
                let reader =
                    open(file)?.0.with_batch_size(self.batch).with_offset(self.offset.at as usize).build();
                self.open = Some(reader.map_err(|error| damaged(&name, &error))?);
            }
            match self.open.as_mut().and_then(Iterator::next) {
                Some(records) => return records.map(Some).map_err(|error| damaged(&name, &error)),
                None => {
                    self.open = None;
                    self.offset = Offset { file: self.offset.file + 1, at: 0, line: 0 };
                }
            }
        }
        Ok(None)
    }

    fn decode(
        &self,
        records: &RecordBatch,
        file: &InputFile,
        sensors: &mut dyn SensorLookup,
    ) -> Result<Decoded> {
        let mut text = Text::default();
        let mut refused: Vec<Option<(usize, String)>> = vec![None; records.num_rows()];
        let mut columns = Vec::new();
        for (at, field) in self.schema.fields().iter().enumerate() {
            if field.kind == FieldKind::Sensor && self.sensor {
                let name = self.columns.file_sensor(&file.stem).unwrap_or_default();
                columns.push(Column::Sensor(vec![sensors.id(name)?; records.num_rows()]));
                continue;
            }
            let array = records.column_by_name(&field.name).ok_or_else(|| {
                Error::data(format!("`{}` has no column `{}`", file.name, field.name))
                    .with_help("all files of one input have the same columns")
            })?;
            let mut refuse = |row: usize, reason: String| {
                refused[row].get_or_insert((at, reason));
            };
            columns.push(match field.kind {
                FieldKind::Time => self.times(array, &file.name, &mut refuse)?,
                FieldKind::Sensor => sensor_ids(array, &file.name, sensors, &mut refuse)?,
                FieldKind::Measurement => measurement(array, &file.name)?,
                _ => carried(array, &file.name, &mut text)?,
            });
        }
        let mut batch = Batch::new(Arc::clone(&self.schema), columns, text);
        let line = |row: usize| self.offset.at + row as u64 + 1;
        let position = |row: usize| Position { file: Arc::clone(&file.name), line: line(row), offset: 0 };
        batch.origins = self.origins.then(|| {
            let mut origins = Origins::of_file(Arc::clone(&file.name));
            (0..batch.len()).for_each(|row| origins.push(line(row), 0, Span::NULL));
            origins
        });
        let keep: Mask = refused.iter().map(Option::is_none).collect();
        batch.retain(&keep);
        let reject = |(row, refusal): (usize, Option<(usize, String)>)| {
            let (column, reason) = refusal?;
            Some(Rejection {
                kind: RejectionKind::Malformed,
                position: position(row),
                record: row as u64 + 1,
                column: Some(Arc::clone(&self.schema.fields()[column].name)),
                reason,
                raw: Vec::new(),
            })
        };
        let rejections = refused.into_iter().enumerate().filter_map(reject).collect();
        Ok(Decoded { batch, rejections, lines: 0 })
    }

    fn times(&self, array: &ArrayRef, file: &str, refuse: &mut dyn FnMut(usize, String)) -> Result<Column> {
        let mut values = Vec::with_capacity(array.len());
        let mut push = |row: usize, time: Result<Timestamp, String>| {
            values.push(time.unwrap_or_else(|reason| {
                refuse(row, reason);
                Timestamp::MIN
            }));
        };
        let none = || "no timestamp".to_owned();
        if array.data_type().is_temporal() {
            let nanos = cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, None), file)?;
            let nanos = nanos.as_primitive::<TimestampNanosecondType>();
            for row in 0..array.len() {
                let out_of_range = || if array.is_null(row) { none() } else { "outside 1677 to 2262".into() };
                push(
                    row,
                    nanos
                        .is_valid(row)
                        .then(|| Timestamp::from_nanos(nanos.value(row)))
                        .ok_or_else(out_of_range),
                );
            }
        } else {
            let texts = cast(array, &DataType::Utf8, file)?;
            for (row, text) in texts.as_string::<i32>().iter().enumerate() {
                let parse = |text: &str| {
                    self.columns
                        .times
                        .parse(text.as_bytes())
                        .map_err(|why| format!("{text:?} is not a time: {why}"))
                };
                push(row, text.ok_or_else(none).and_then(parse));
            }
        }
        Ok(Column::Time(TimeColumn { values, text: Vec::new() }))
    }
}

fn sensor_ids(
    array: &ArrayRef,
    file: &str,
    sensors: &mut dyn SensorLookup,
    refuse: &mut dyn FnMut(usize, String),
) -> Result<Column> {
    let names = cast(array, &DataType::Utf8, file)?;
    let mut ids = Vec::with_capacity(array.len());
    let mut last: Option<(&str, crate::sensor::SensorId)> = None;
    for (row, name) in names.as_string::<i32>().iter().enumerate() {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            refuse(row, "no sensor".into());
            ids.push(crate::sensor::SensorId(0));
            continue;
        };
        let id = match last {
            Some((known, id)) if known == name => id,
            _ => sensors.id(name)?,
        };
        last = Some((name, id));
        ids.push(id);
    }
    Ok(Column::Sensor(ids))
}

fn measurement(array: &ArrayRef, file: &str) -> Result<Column> {
    // Integers are rounded to the nearest f64, as their text would be.
    let numbers = if array.data_type() == &DataType::Int64 {
        let integers = array.as_primitive::<Int64Type>();
        return Ok(Column::Measurement(
            integers.iter().map(|value| value.map(|value| value as f64)).collect::<Measurement>(),
        ));
    } else {
        cast(array, &DataType::Float64, file)?
    };
    Ok(Column::Measurement(numbers.as_primitive::<Float64Type>().iter().collect::<Measurement>()))
}

fn carried(array: &ArrayRef, file: &str, text: &mut Text) -> Result<Column> {
    let texts = cast(array, &DataType::Utf8, file)?;
    let spans = texts
        .as_string::<i32>()
        .iter()
        .map(|value| value.map_or(Span::NULL, |value| text.push(value.as_bytes())));
    Ok(Column::Text(spans.collect()))
}

fn cast(array: &ArrayRef, to: &DataType, file: &str) -> Result<ArrayRef> {
    arrow_cast::cast(array, to).map_err(|error| damaged(file, &error))
}

impl Source for Reader {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let Some(records) = self.records()? else { return Ok(None) };
        let Some(file) = self.file() else { return Ok(None) };
        let decoded = self.decode(&records, file, sensors)?;
        self.offset.at += records.num_rows() as u64;
        self.done += records.num_rows() as u64;
        Ok(Some(Input::Records(decoded)))
    }

    fn offset(&self) -> Offset {
        self.offset
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.open = None;
        self.offset = offset;
        let before =
            self.files.iter().take(offset.file as usize).map(|file| open(file).map(|(_, records)| records));
        self.done = before.sum::<Result<u64>>()? + offset.at;
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, total: Some(self.total) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::Sensors;
    use arrow_array::{BooleanArray, Float32Array, Int64Array, StringArray, TimestampMillisecondArray};
    use parquet::arrow::ArrowWriter;

    fn file(folder: &tempfile::TempDir) -> String {
        let times = TimestampMillisecondArray::from(vec![Some(1), None, Some(3), Some(32_503_680_000_000)]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("at", Arc::new(times)),
            ("site", Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a")]))),
            ("v", Arc::new(Float32Array::from(vec![Some(0.5), None, Some(1.0), Some(2.0)]))),
            ("n", Arc::new(Int64Array::from(vec![9_007_199_254_740_993, 2, 3, 4]))),
            ("ok", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]))),
        ];
        let records =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
                .expect("records");
        let path = folder.path().join("x.parquet");
        let mut writer =
            ArrowWriter::try_new(File::create(&path).expect("file"), records.schema(), None).expect("writer");
        writer.write(&records).expect("written");
        writer.close().expect("closed");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn options(time: Option<&str>, sensor: Option<&str>) -> ColumnOptions {
        let own = |name: Option<&str>| name.map(str::to_owned);
        ColumnOptions { time: own(time), sensor: own(sensor), ..ColumnOptions::default() }
    }

    fn read(spec: &Parquet) -> Decoded {
        let (mut source, mut sensors) =
            (spec.open(&OpenOptions::default()).expect("open"), Sensors::default());
        match source.next(&mut sensors).expect("read") {
            Some(Input::Records(decoded)) => decoded,
            _ => unreachable!("one batch of records"),
        }
    }

    #[test]
    fn records_without_time_or_sensor_are_rejected() {
        let folder = tempfile::tempdir().expect("folder");
        let decoded = read(&Parquet::new(file(&folder), options(Some("at"), Some("site"))));
        let reasons: Vec<_> =
            decoded.rejections.iter().map(|r| format!("{} {}", r.position.line, r.reason)).collect();
        assert_eq!(reasons, ["2 no timestamp", "3 no sensor", "4 outside 1677 to 2262"]);
        let kinds: Vec<_> = decoded.batch.schema().fields().iter().map(|f| f.kind.to_string()).collect();
        assert_eq!(kinds, ["time", "sensor", "measurement", "measurement", "text"]);
        assert_eq!(decoded.batch.times().expect("times")[0].as_nanos(), 1_000_000);
        assert_eq!(decoded.batch.measurement(3).get(0), Some(9_007_199_254_740_992.0));
    }

    #[test]
    fn nulls_are_kept_and_other_columns_are_carried() {
        let folder = tempfile::tempdir().expect("folder");
        let decoded = read(&Parquet::new(file(&folder), options(None, None)));
        let names: Vec<_> = decoded.batch.schema().fields().iter().map(|f| f.name.to_string()).collect();
        assert_eq!(names, ["sensor", "at", "site", "v", "n", "ok"]);
        assert_eq!(
            decoded.batch.measurement(3).iter().collect::<Vec<_>>(),
            [Some(0.5), None, Some(1.0), Some(2.0)]
        );
        let Column::Text(spans) = &decoded.batch.columns()[5] else { panic!("text") };
        let texts: Vec<_> = spans.iter().map(|&span| decoded.batch.text.get(span)).collect();
        assert_eq!(texts, [Some(&b"true"[..]), None, Some(b"false"), Some(b"true")]);
    }

    #[test]
    fn seeking_goes_to_a_record() {
        let folder = tempfile::tempdir().expect("folder");
        let spec = Parquet::new(file(&folder), options(None, None));
        let mut source = spec.open(&OpenOptions::default()).expect("open");
        source.seek(Offset { file: 0, at: 3, line: 0 }).expect("sought");
        let Some(Input::Records(decoded)) = source.next(&mut Sensors::default()).expect("read") else {
            panic!("records")
        };
        assert_eq!(decoded.batch.measurement(4).get(0), Some(4.0));
        assert_eq!(decoded.batch.len(), 1);
    }

    #[test]
    fn what_is_no_parquet_is_said_so() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("x.parquet");
        std::fs::write(&path, "timestamp,value\n").expect("written");
        let spec = Parquet::new(path.to_str().expect("UTF-8"), options(None, None));
        let error = spec.open(&OpenOptions::default()).err().expect("no Parquet");
        assert!(error.to_string().contains("cannot be read as Parquet"), "{error}");
        let error = Parquet::new(file(&folder), options(Some("att"), None))
            .open(&OpenOptions::default())
            .err()
            .expect("no column");
        assert!(error.to_string().contains("did you mean `at`?"), "{error}");
    }
}
