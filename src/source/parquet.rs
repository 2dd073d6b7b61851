//! `parquet`: columns in files.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use schemars::Schema as JsonSchema;

use super::file::{FileOptions, InputFile};
use super::typed::{Clock, Typed, batch_rows};
use super::{Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use crate::atomic::Outputs;
use crate::batch::{FieldKind, Schema};
use crate::chunk::Decoded;
use crate::error::{Error, Result};
use crate::format::columns::{ColumnOptions, Columns, Composite, Role, Roles};
use crate::offset::Offset;
use crate::registry::{Component, Configure, Options, merged, parameters_of};
use crate::sensor::SensorLookup;
use crate::time::TimeParser;

/// Parquet files. `null_values` and `decimal` are for columns of text; `time_format` is for times that are stored as integers or
/// text, `timezone` for those stored without a zone.
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

    fn files(&self, outputs: &Outputs) -> Vec<PathBuf> {
        self.files.paths(&EXTENSIONS, outputs)
    }

    fn times(&self) -> Result<Option<TimeParser>> {
        self.columns.times().map(Some)
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let files = self.files.files(&EXTENSIONS, &options.outputs)?;
        let first = files.first().ok_or_else(|| Error::config("`path` names no file"))?;
        let (_, total) = open(first)?;
        let columns = Columns::new(&self.columns)?.without_unpivot("parquet")?;
        self.files.check_sensors(&files, columns.are_sensors_files())?;
        let mut schema = schema(first, &columns)?;
        if columns.are_joined() {
            for file in &files[1..] {
                schema = Columns::joined(&schema, &self::schema(file, &columns)?)?;
            }
        }
        let schema = Arc::new(columns.declared(&schema)?);
        let rest = files[1..].iter().map(|file| open(file).map(|(_, records)| records));
        let total = rest.sum::<Result<u64>>()? + total;
        Ok(Box::new(Reader {
            columns,
            files,
            schema,
            origins: options.origins,
            batch: batch_rows(options),
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
fn schema(file: &InputFile, columns: &Columns) -> Result<Schema> {
    let (builder, _) = open(file)?;
    let fields = builder.schema().fields();
    let nested = fields.iter().find(|field| field.data_type().is_nested());
    if let Some(field) = nested {
        let (name, kind) = (field.name(), field.data_type());
        return Err(Error::config(format!("column `{name}` of `{}` is nested: {kind}", file.name))
            .with_help("flatten it first"));
    }
    let names = names(&builder, columns);
    let schema = columns.schema_of(&file.name, &names, |at| fields[at].data_type().is_numeric())?;
    let roles = columns.roles(&file.name, &names, &schema)?;
    let time = roles.fields.iter().position(|role| matches!(role, Role::Time(_)));
    let clock = time.and_then(|at| clock(fields[at].data_type()));
    let is_local = clock.map_or(schema.has_local_times(), |clock| clock.is_local);
    Ok(schema.with_local_times(is_local))
}

/// The names of a file's columns.
fn names(file: &ParquetRecordBatchReaderBuilder<File>, columns: &Columns) -> Vec<String> {
    let names: Vec<String> = file.schema().fields().iter().map(|field| field.name().clone()).collect();
    columns.distinct(&names)
}

/// The source in use.
struct Reader {
    files: Vec<InputFile>,
    schema: Arc<Schema>,
    columns: Columns,
    origins: bool,
    batch: usize,
    offset: Offset,
    /// The file's records, and what its columns are.
    open: Option<(ParquetRecordBatchReader, Roles)>,
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
                let builder = open(file)?.0;
                let roles = self.columns.roles(&name, &names(&builder, &self.columns), &self.schema)?;
                let reader = builder.with_batch_size(self.batch).with_offset(self.offset.at as usize).build();
                self.open = Some((reader.map_err(|error| damaged(&name, &error))?, roles));
            }
            match self.open.as_mut().and_then(|(records, _)| records.next()) {
                Some(records) => return records.map(Some).map_err(|error| damaged(&name, &error)),
                None => {
                    self.open = None;
                    self.offset = Offset { file: self.offset.file + 1, at: 0, line: 0 };
                }
            }
        }
        Ok(None)
    }

    /// The columns of the open file that column `at` comes from.
    fn sources(&self, at: usize) -> Vec<usize> {
        self.open.as_ref().map_or_else(Vec::new, |(_, roles)| roles.sources(at))
    }

    fn decode(
        &self,
        records: &RecordBatch,
        file: &InputFile,
        sensors: &mut dyn SensorLookup,
    ) -> Result<Decoded> {
        let mut typed = Typed::new(&self.columns, &self.schema, records.num_rows());
        for at in Typed::order(&self.schema) {
            let field = &self.schema.fields()[at];
            if let (FieldKind::Sensor, Some(name)) = (field.kind, self.columns.file_sensor(&file.stem)) {
                typed.one_sensor(name, sensors)?;
                continue;
            }
            let arrays: Vec<&ArrayRef> = self.sources(at).into_iter().map(|at| records.column(at)).collect();
            let Some(&array) = arrays.first() else {
                typed.missing(at);
                continue;
            };
            match field.kind {
                FieldKind::Time if let Some(made) = self.columns.made_time() => {
                    let texts = joined(&mut typed, at, made, &arrays, &file.name)?;
                    typed.time_texts(at, texts.iter().map(Option::as_deref));
                }
                FieldKind::Sensor if let Some(made) = self.columns.made_sensor() => {
                    let texts = joined(&mut typed, at, made, &arrays, &file.name)?;
                    typed.sensors(texts.iter().map(Option::as_deref), sensors)?;
                }
                FieldKind::Time => times(&mut typed, at, array, &file.name)?,
                FieldKind::Sensor => {
                    let names = texts(&mut typed, at, array, &file.name)?;
                    typed.sensors(names.as_string::<i32>().iter(), sensors)?;
                }
                FieldKind::Measurement => measurement(&mut typed, at, array, &file.name)?,
                _ => carried(&mut typed, at, array, &file.name)?,
            }
        }
        Ok(typed.finish(&file.name, self.offset.at, self.origins))
    }
}

/// What a column of dates or times counts.
fn clock(kind: &DataType) -> Option<Clock> {
    match kind {
        DataType::Timestamp(unit, zone) => Some(Clock::of(nanos(*unit), zone.is_none())),
        DataType::Date32 => Some(Clock::DAYS),
        DataType::Date64 => Some(Clock { is_date: true, ..Clock::of(1_000_000, true) }),
        _ => None,
    }
}

fn times(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<()> {
    match clock(array.data_type()) {
        Some(clock) => {
            let counts = cast(array, &DataType::Int64, file)?;
            typed.moments(at, counts.as_primitive::<Int64Type>().iter(), clock);
        }
        None => {
            let written = texts(typed, at, array, file)?;
            typed.time_texts(at, written.as_string::<i32>().iter());
        }
    }
    Ok(())
}

fn carried(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<()> {
    match clock(array.data_type()) {
        Some(clock) => {
            let counts = cast(array, &DataType::Int64, file)?;
            typed.moment_texts(at, counts.as_primitive::<Int64Type>().iter(), clock);
        }
        None => {
            let written = texts(typed, at, array, file)?;
            typed.texts(at, written.as_string::<i32>().iter());
        }
    }
    Ok(())
}

fn nanos(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    }
}

fn measurement(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<()> {
    match array.data_type() {
        // Rounded to the nearest f64, as their text would be.
        DataType::Int64 => {
            typed.numbers(
                at,
                array.as_primitive::<Int64Type>().iter().map(|value| value.map(|value| value as f64)),
            );
        }
        kind if is_text(kind) => {
            let written = texts(typed, at, array, file)?;
            typed.number_texts(at, written.as_string::<i32>().iter());
        }
        _ => typed.numbers(at, cast(array, &DataType::Float64, file)?.as_primitive::<Float64Type>().iter()),
    }
    Ok(())
}

/// The texts that several columns give together.
fn joined(
    typed: &mut Typed<'_>,
    at: usize,
    made: &Composite,
    arrays: &[&ArrayRef],
    file: &str,
) -> Result<Vec<Option<String>>> {
    let parts: Vec<ArrayRef> =
        arrays.iter().map(|array| texts(typed, at, array, file)).collect::<Result<_>>()?;
    let parts: Vec<Vec<Option<&str>>> =
        parts.iter().map(|part| part.as_string::<i32>().iter().collect()).collect();
    Ok(typed.joined(made, &parts))
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Column `at` as text. Bytes that are none refuse their record.
fn texts(typed: &mut Typed<'_>, at: usize, array: &ArrayRef, file: &str) -> Result<ArrayRef> {
    let texts = cast(array, &DataType::Utf8, file)?;
    if array.data_type().is_binary() {
        let lost = (0..array.len()).filter(|&row| texts.is_null(row) && array.is_valid(row));
        lost.for_each(|row| typed.refuse(row, at, "not UTF-8"));
    }
    Ok(texts)
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

    fn remarks(&self) -> Vec<String> {
        self.columns.remarks()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, total: Some(self.total) }
    }

    /// Which part of a file its records took up so far is not known: files count when they are begun.
    fn bytes(&self) -> u64 {
        let begun = self.offset.file as usize + usize::from(self.offset.at > 0);
        self.files.iter().take(begun).filter_map(InputFile::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Column;
    use crate::format::columns::Decimal;
    use crate::sensor::Sensors;
    use arrow_array::{
        BinaryArray, BooleanArray, Float32Array, Int64Array, StringArray, TimestampMillisecondArray,
    };
    use parquet::arrow::ArrowWriter;

    fn write(folder: &tempfile::TempDir, columns: Vec<(&str, ArrayRef)>) -> String {
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

    fn file(folder: &tempfile::TempDir) -> String {
        let times = TimestampMillisecondArray::from(vec![Some(1), None, Some(3), Some(32_503_680_000_000)]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("at", Arc::new(times)),
            ("site", Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a")]))),
            ("v", Arc::new(Float32Array::from(vec![Some(0.5), None, Some(1.0), Some(2.0)]))),
            ("n", Arc::new(Int64Array::from(vec![9_007_199_254_740_993, 2, 3, 4]))),
            ("ok", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]))),
        ];
        write(folder, columns)
    }

    fn options(time: Option<&str>, sensor: Option<&str>) -> ColumnOptions {
        let own = |name: Option<&str>| name.map(str::to_owned);
        ColumnOptions { time: time.map(Into::into), sensor: own(sensor), ..ColumnOptions::default() }
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
    fn text_among_numbers_and_bytes_that_are_no_text_are_rejected() {
        let folder = tempfile::tempdir().expect("folder");
        let numbers = StringArray::from(vec![Some("1,5"), Some("n/a"), Some("x"), None]);
        let notes = BinaryArray::from(vec![Some(&b"a"[..]), None, Some(b"b"), Some(b"\xff")]);
        let path = write(&folder, vec![("v", Arc::new(numbers)), ("note", Arc::new(notes))]);
        let options = ColumnOptions {
            measurements: Some(vec!["v".into()]),
            null_values: vec!["n/a".into()],
            decimal: Decimal::Comma,
            ..ColumnOptions::default()
        };
        let decoded = read(&Parquet::new(path, options));
        assert_eq!(decoded.batch.measurement(1).iter().collect::<Vec<_>>(), [Some(1.5), None]);
        let rejections: Vec<_> = decoded.rejections.iter().map(ToString::to_string).collect();
        assert!(
            rejections[0].ends_with("line 3, byte 0: column `v`: \"x\" is not a number"),
            "{rejections:?}"
        );
        assert!(rejections[1].ends_with("line 4, byte 0: column `note`: not UTF-8"), "{rejections:?}");
    }

    #[test]
    fn times_without_a_zone_are_those_of_the_option() {
        let folder = tempfile::tempdir().expect("folder");
        let midsummer = TimestampMillisecondArray::from(vec![1_719_835_200_000]);
        let utc: ArrayRef = Arc::new(midsummer.clone().with_timezone("UTC"));
        let path = write(&folder, vec![("none", Arc::new(midsummer)), ("utc", utc)]);
        for (column, hours) in [("none", 10), ("utc", 12)] {
            let berlin =
                ColumnOptions { timezone: Some("Europe/Berlin".into()), ..options(Some(column), None) };
            let batch = read(&Parquet::new(&path, berlin)).batch;
            let time = batch.times().expect("times")[0];
            assert_eq!(time.to_string(), format!("2024-07-01T{hours}:00:00Z"));
            let other = batch.columns().last().filter(|_| column == "none");
            if let Some(Column::Text(spans)) = other {
                assert_eq!(batch.text.get(spans[0]), Some(&b"2024-07-01T12:00:00Z"[..]), "carried");
            }
        }
    }

    #[test]
    fn a_rejected_record_leaves_no_sensor_behind_and_names_its_leftmost_fault() {
        let folder = tempfile::tempdir().expect("folder");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("site", Arc::new(StringArray::from(vec![Some("a"), Some("b"), None]))),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![None, Some(1), None]))),
        ];
        let spec = Parquet::new(write(&folder, columns), options(Some("at"), Some("site")));
        let (mut source, mut sensors) =
            (spec.open(&OpenOptions::default()).expect("open"), Sensors::default());
        let Some(Input::Records(decoded)) = source.next(&mut sensors).expect("read") else {
            panic!("records")
        };
        assert_eq!(sensors.names().collect::<Vec<_>>(), ["b"]);
        let columns: Vec<_> = decoded.rejections.iter().filter_map(|r| r.column.as_deref()).collect();
        assert_eq!(columns, ["at", "site"]);
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
