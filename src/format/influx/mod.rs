//! InfluxDB line protocol: `table,tag=value field=value time`, one record a line.
//!
//! The time is always the timestamp, and the sensor one of the tags or the whole series. Fields with numbers are measurements; all other
//! fields, the tags and the table's name are text.

mod decode;
mod first_records;
mod line;
mod lines;
#[cfg(test)]
mod published_tests;

mod stamp;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{ColumnOptions, Columns, Role, Roles, SAMPLE};
use super::jsonl::UnknownFields;
use super::keys::byte_order_mark;
use super::rows::Layout;
use super::{Bound, Format, Head, MAX_FIELDS};
use crate::batch::{FieldKind, Pattern, Schema};
use crate::error::{Error, Result};

use decode::{InfluxDecoder, is_no_record, line_at};
pub use first_records::{FirstRecords, first_records};
use line::parse;

/// Options of line protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InfluxOptions {
    /// The unit of the timestamps.
    pub precision: Precision,
    /// What happens to a record without a timestamp: `reject` it, or take the time of its `arrival`, by the clock of this machine. That is
    /// for what comes in live, and a recording keeps it; what lies in files has none.
    pub missing_time: MissingTime,
    /// The name of the time's column.
    pub time: String,
    /// The tag with the sensor's name; without one, the sensor is the series: the table and the tags as they are written, in a column `sensor`.
    pub sensor: Option<String>,
    /// The fields with numbers; if not given, those that have nothing but numbers in the first 1,000 records of the first file,
    /// as far as they lie in its first MiB. A glob stands for those of them that fit it. Booleans in them are 1 and 0.
    pub measurements: Option<Vec<String>>,
    /// The tags and fields carried through as text, by name or glob; if not given, all others in the first 1,000 records of the first file. With
    /// `measurements` and `texts`, neither of which has a glob, the columns are known before there is a record.
    pub texts: Option<Vec<String>>,
    /// The tags and fields to read, by name or glob such as "T_*", besides those that `sensor` and `measurements` name; all if not given. The others
    /// are left out, whatever record they stand in; `table` is read where it is named here. Instead of `texts`.
    pub columns: Option<Vec<String>>,
    /// Other names for tags and fields, such as { "Temp [°C]" = "temp" }. All other options speak of the new names.
    pub rename: IndexMap<String, String>,
    /// The name of the column with the table's name (which older versions of line protocol call measurement); "" leaves it out.
    pub table: String,
    /// What happens to a record with a tag or field that has no column: `reject` it, or `ignore` the tag or field.
    pub unknown_fields: UnknownFields,
}

impl Default for InfluxOptions {
    fn default() -> Self {
        Self {
            precision: Precision::Nanoseconds,
            missing_time: MissingTime::Reject,
            time: "time".into(),
            sensor: None,
            measurements: None,
            texts: None,
            columns: None,
            rename: IndexMap::new(),
            table: "table".into(),
            unknown_fields: UnknownFields::Reject,
        }
    }
}

/// What happens to a record without a timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingTime {
    /// The record is refused.
    #[default]
    Reject,
    /// It is of the moment at which it came.
    Arrival,
}

/// The unit of timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Precision {
    /// Nanoseconds.
    #[default]
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
}

impl Precision {
    /// As a time format's name.
    fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    /// Nanoseconds a unit.
    fn nanos(self) -> i64 {
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
            Self::Milliseconds => 1_000_000,
            Self::Seconds => 1_000_000_000,
        }
    }
}

/// The format.
#[derive(Clone, Debug)]
pub struct Influx {
    options: InfluxOptions,
    columns: Columns,
    origins: bool,
}

impl Influx {
    /// Checks the options.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn new(options: &InfluxOptions) -> Result<Self> {
        check_named_once(options)?;
        if let Some(sensor) = options.sensor.as_ref().filter(|sensor| sensor.contains(['{', '}'])) {
            let message = format!("`sensor` is the name of one tag here, and {sensor:?} is none");
            return Err(Error::config(message)
                .with_help("name the tag; without `sensor`, the table and all tags are the sensor"));
        }
        if options.columns.is_some() && options.texts.is_some() {
            return Err(Error::config("`columns` and `texts` exclude one another")
                .with_help("name in `columns` what is carried through as text, too"));
        }
        let columns = ColumnOptions {
            time: Some(options.time.as_str().into()),
            time_format: options.precision.name().into(),
            sensor: options.sensor.clone(),
            measurements: options.measurements.clone(),
            columns: options.columns.clone(),
            rename: options.rename.clone(),
            ..ColumnOptions::default()
        };
        Ok(Self { options: options.clone(), columns: Columns::new(&columns)?, origins: false })
    }

    /// Whether batches say where their records came from.
    pub fn with_origins(mut self, origins: bool) -> Self {
        self.origins = origins;
        self
    }

    /// The columns that every input has, then the texts that the options name; as records call them.
    fn named(&self) -> Vec<String> {
        let InfluxOptions { time, sensor, table, texts, .. } = &self.options;
        let table = Some(table).filter(|table| !table.is_empty());
        let own = [Some(time), sensor.as_ref(), table];
        let named = own.into_iter().flatten().chain(texts.iter().flatten());
        named.map(|name| self.columns.written_name(name)).collect()
    }

    /// The columns that the options say there are.
    fn schema_of_options(&self, head: Head<'_>) -> Result<Schema> {
        let mut names = self.named();
        for name in self.columns.named_fields().unwrap_or_default() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.columns.schema_of(head.name, &names, |_| false)
    }

    /// Whether the options say which columns there are, before there is a record.
    fn knows_names(&self) -> bool {
        let InfluxOptions { measurements, texts, .. } = &self.options;
        let has_glob = || measurements.iter().chain(texts).flatten().any(|name| Pattern::new(name).is_glob());
        measurements.is_some() && texts.is_some() && !has_glob()
    }

    /// Every tag and field that the options name is among the first records, or it is said that it is not.
    fn check_there(&self, found: &Sample) {
        let InfluxOptions { measurements, texts, .. } = &self.options;
        for (option, names) in [("measurements", measurements), ("texts", texts)] {
            let missing = names.iter().flatten().filter(|name| found.key(name).is_none());
            missing.for_each(|name| self.is_missing(option, name));
        }
    }

    fn is_missing(&self, option: &str, name: &str) {
        self.columns.remark(format!("`{name}` in `{option}` is no tag or field of the first records"));
    }

    /// The same with names in place of globs.
    fn without_globs(&self, found: &Sample) -> Result<Self> {
        let mut options = self.options.clone();
        let mut taken = self.named();
        taken.extend(options.measurements.iter().flatten().cloned());
        let groups = [("measurements", &mut options.measurements), ("texts", &mut options.texts)];
        for (option, names) in groups {
            let is_kind = |key: &Key| option == "texts" || key.is_number();
            let mut own = Vec::new();
            for name in names.iter().flatten() {
                let pattern = Pattern::new(name.as_str());
                if !pattern.is_glob() || found.key(name).is_some() {
                    if option == "texts" && found.key(name).is_none() {
                        self.is_missing(option, name);
                    }
                    own.push(name.clone());
                    continue;
                }
                let is_new = |(key, kind): &(&String, &Key)| {
                    pattern.fits(key) && is_kind(kind) && !taken.contains(key)
                };
                let fitting: Vec<_> = found.keys.iter().filter(is_new).map(|(key, _)| key.clone()).collect();
                if fitting.is_empty() {
                    let what = if option == "texts" { "tag or field" } else { "field with numbers" };
                    self.columns
                        .remark(format!("`{name}` in `{option}` fits no {what} of the first records"));
                }
                taken.extend(fitting.iter().cloned());
                own.extend(fitting);
            }
            *names = names.as_ref().map(|_| own);
        }
        Ok(Self { origins: self.origins, ..Self::new(&options)? })
    }

    /// The columns that the options and the first records say there are.
    fn schema_of_sample(&self, head: Head<'_>, found: &Sample) -> Result<Schema> {
        if found.keys.is_empty() {
            let what = format!("`{}` has no line protocol among its first lines", head.name);
            let help = "a line is `table,tag=value field=1.5 1700000000000000000`; to begin without lines, name the \
                `measurements`";
            return Err(Error::data(what).with_help(help));
        }
        self.check_own_names(head, found)?;
        let InfluxOptions { sensor, texts, .. } = &self.options;
        let mut names = self.named();
        // A sensor that no record has is missed as a column that is named and not there.
        let sensor = sensor.as_ref().map(|name| self.columns.written_name(name));
        names.retain(|name| sensor.as_ref() != Some(name) || found.key(name).is_some());
        let is_taken = |key: &Key| texts.is_none() || key.is_number();
        let more = found.keys.iter().filter(|(name, key)| !names.contains(name) && is_taken(key));
        let own = names.len();
        names.extend(more.map(|(name, _)| name.clone()).collect::<Vec<_>>());
        let is_number = |at: usize| at >= own && found.key(&names[at]).is_some_and(Key::is_number);
        self.columns.schema_of(head.name, &names, is_number)
    }

    /// The columns of the time and the table must not have the names of tags or fields.
    fn check_own_names(&self, head: Head<'_>, found: &Sample) -> Result<()> {
        for (option, column) in [("time", &self.options.time), ("table", &self.options.table)] {
            if found.key(column).is_some() {
                let what = format!(
                    "`{}` has a tag or field `{column}`, as the option `{option}` calls a column",
                    head.name
                );
                return Err(
                    Error::config(what).with_help(format!("call it something else: {option} = \"…\""))
                );
            }
        }
        Ok(())
    }

    fn decoder(&self, schema: &Arc<Schema>) -> InfluxDecoder {
        let table = schema.index_of(&self.options.table).filter(|_| !self.options.table.is_empty());
        let series = self.options.sensor.is_none().then(|| schema.sensor());
        let (mut keys, mut roles) = (Vec::<Box<[u8]>>::new(), Vec::new());
        for (at, field) in schema.fields().iter().enumerate() {
            let role = match field.kind {
                FieldKind::Measurement => Role::Measurement(at),
                FieldKind::Sensor if series.is_none() => Role::Sensor(at),
                FieldKind::Text if table != Some(at) => Role::Text(at),
                _ => continue,
            };
            keys.push(self.columns.written_name(&field.name).into_bytes().into());
            roles.push(role);
        }
        let time = schema.time().unwrap_or_default();
        roles.push(Role::Time(time));
        roles.extend(series.map(Role::Sensor));
        roles.extend(table.map(Role::Text));
        let roles = Roles { fields: roles, missing: Vec::new() };
        let layout = Layout { sensor: None, ..Layout::new(&self.columns, schema, roles, "", self.origins) };
        let ignore_unknown = self.options.unknown_fields == UnknownFields::Ignore;
        let unit = self.options.precision.nanos();
        let missing_time = self.options.missing_time;
        InfluxDecoder { keys, ignore_unknown, missing_time, unit, time, series, table, layout }
    }
}

impl Format for Influx {
    fn knows_columns(&self, head: Head<'_>, records: usize) -> bool {
        self.knows_names() || Sample::has(head, records.max(1))
    }

    fn declared(&self, name: &str) -> Result<Option<Schema>> {
        let is_said = self.knows_names() || self.options.measurements.is_some();
        is_said.then(|| self.schema_of_options(Head::unseen(name))).transpose()
    }

    fn can_bind(&self, head: Head<'_>) -> bool {
        // A byte order mark may be on its way.
        head.bytes.len() >= 3
    }

    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        if head.bytes.is_empty()
            && let Some(schema) = self.declared(head.name)?
        {
            return Ok(schema);
        }
        let found = Sample::of(head);
        if self.knows_names() {
            // Of live input, little may have come.
            let is_enough = head.is_whole || Sample::has(head, SAMPLE);
            found.iter().filter(|_| is_enough).for_each(|found| self.check_there(found));
            return self.schema_of_options(head);
        }
        let found = found?;
        self.without_globs(&found)?.schema_of_sample(head, &found)
    }

    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<Bound> {
        let decoder = Arc::new(self.decoder(schema));
        Ok(Bound { decoder, skip_bytes: byte_order_mark(head.bytes), skip_lines: 0 })
    }

    fn columns(&self) -> &Columns {
        &self.columns
    }
}

/// What the first records have for one tag or field.
#[derive(Default)]
struct Key {
    numbers: usize,
    others: usize,
}

impl Key {
    fn is_number(&self) -> bool {
        self.numbers > 0 && self.others == 0
    }
}

/// The tags and fields of the first records, in the order in which they come.
#[derive(Default)]
struct Sample {
    records: usize,
    keys: IndexMap<String, Key>,
}

impl Sample {
    /// Whether there are so many `records`, at most [`SAMPLE`]; or twice as many lines that should be records, so that many are none.
    fn has(head: Head<'_>, records: usize) -> bool {
        let lines = lines(head).filter(|line| !is_no_record(line)).take(2 * records).count();
        lines == 2 * records
            || lines >= records && Self::of(head).map_or(true, |sample| sample.records >= records)
    }

    fn of(head: Head<'_>) -> Result<Self> {
        let mut sample = Self::default();
        for line in lines(head).filter(|line| !is_no_record(line)) {
            if sample.records == SAMPLE {
                break;
            }
            sample.records += usize::from(sample.take_in(line));
            if sample.keys.len() > MAX_FIELDS {
                let what = format!(
                    "the records of `{}` have more than {MAX_FIELDS} different tags and fields",
                    head.name
                );
                return Err(
                    Error::data(what).with_help("name the `measurements` and `texts` that are wanted")
                );
            }
        }
        Ok(sample)
    }

    /// Whether it is a record.
    fn take_in(&mut self, line: &[u8]) -> bool {
        let Ok(line) = parse(line) else { return false };
        line.tags.iter().for_each(|(key, _)| self.count(&key.content, false));
        line.fields.iter().for_each(|(key, value)| self.count(&key.content, value.number.is_some()));
        true
    }

    /// A key that is no text cannot be that of a column: its records will say so.
    fn count(&mut self, key: &[u8], is_number: bool) {
        let key = self.keys.entry(String::from_utf8_lossy(key).into_owned()).or_default();
        *if is_number { &mut key.numbers } else { &mut key.others } += 1;
    }

    fn key(&self, name: &str) -> Option<&Key> {
        self.keys.get(name)
    }
}

/// The whole lines of a head.
fn lines(head: Head<'_>) -> impl Iterator<Item = &[u8]> {
    let mut at = byte_order_mark(head.bytes);
    std::iter::from_fn(move || {
        let (end, next) = line_at(head.bytes, at);
        let is_whole = next > at && (head.is_whole || head.bytes[..next].ends_with(b"\n"));
        let line = &head.bytes[at..end];
        at = next;
        is_whole.then_some(line)
    })
}

fn check_named_once(options: &InfluxOptions) -> Result<()> {
    let InfluxOptions { time, sensor, measurements, texts, table, .. } = options;
    let table = Some(table).filter(|table| !table.is_empty());
    let single = [Some(time), sensor.as_ref(), table].into_iter().flatten();
    let listed = measurements.iter().chain(texts).flatten();
    let named: Vec<&String> = single.chain(listed).collect();
    match named.iter().enumerate().find(|(at, name)| named[..*at].contains(name)) {
        None => Ok(()),
        Some((_, name)) => Err(Error::config(format!(
            "column `{name}` is named twice in `time`, `sensor`, `table`, `measurements` and `texts`"
        ))
        .with_help("a column is one of these only")),
    }
}
