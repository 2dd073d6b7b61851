//! InfluxDB line protocol: `table,tag=value field=value time`, one record a line.
//!
//! The time is always the timestamp, and the sensor comes from tags, from the options, or is the whole series. Fields with numbers are
//! measurements; all other fields, the tags and the table's name are text.

mod decode;
mod decoder;
mod first_records;
mod line;
mod lines;
#[cfg(test)]
mod published_tests;
mod reference;

mod stamp;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{ColumnOptions, Columns, Role, Roles, SAMPLE, UnknownColumns, Unpivot};
use super::jsonl::UnknownFields;
use super::keys::byte_order_mark;
use super::rows::FileColumns;
use super::{BoundFormat, Format, Head, MAX_FIELDS};
use crate::batch::{FieldType, Number, Pattern, Schema};
use crate::error::{Error, Result};

use decoder::InfluxDecoder;
pub use first_records::{FirstRecords, first_records};
use line::parse;
use reference::{is_no_record, line_at};

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
    /// With names of tags in braces, such as "{host}-{dc}", it is put together from several, to a column called `sensor`; the name of the
    /// table's column stands for the table there.
    pub sensor: Option<String>,
    /// The name of the one sensor that the whole input is of; instead of `sensor`.
    pub sensor_name: Option<String>,
    /// The fields with numbers; if not given, those that have nothing but numbers in the first 1,000 records of the first file,
    /// as far as they lie in its first MiB. A glob stands for those of them that fit it. Booleans in them are "bool"; strings only as
    /// `null_values`, `true_words` and `false_words` say.
    pub measurements: Option<Vec<String>>,
    /// What the values of fields are, by name or glob, such as { count = "u64" }: "f64", "i64", "u64", "bool" or "text"; the last match wins. A
    /// field with a type other than "text" is a measurement. Without it, a field is what it is in the first
    /// 1,000 records, and "f64" where it is of several types, or not there, or where the columns are known before there is a record. A value that is none of the type is refused.
    pub types: IndexMap<String, FieldType>,
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
    /// Whose columns the input has: those of its first file (`error`: what is in no column there is for `unknown_fields` to say), or those of all
    /// its files (`null`).
    pub unknown_columns: UnknownColumns,
    /// Makes a record of every measurement, whose sensor is named after the field. `sensor` ("{column}") is the sensor's name, made of {column} and
    /// of {sensor}, the sensor of the wide record; `value` ("value") names the column with the values; `nulls` says whether nulls make no record
    /// (`drop`) or one with a null (`keep`). Where records are of several sensors, `sensor` has to contain {sensor}.
    pub unpivot: Option<Unpivot>,
    /// Values that are missing in times, sensors and measurements, besides empty strings; other text stays as it is. Those that are numbers are
    /// compared as numbers: with "-999", -999.0 and -999i are missing; others with strings.
    pub null_values: Vec<String>,
    /// Strings that are read as 1 in measurements, in any case; none if not given. Where it is given, fields of nothing but such strings are
    /// measurements. Booleans need no words.
    pub true_words: Option<Vec<String>>,
    /// Strings that are read as 0, likewise.
    pub false_words: Option<Vec<String>>,
}

impl Default for InfluxOptions {
    fn default() -> Self {
        Self {
            precision: Precision::Nanoseconds,
            missing_time: MissingTime::Reject,
            time: "time".into(),
            sensor: None,
            sensor_name: None,
            measurements: None,
            types: IndexMap::new(),
            texts: None,
            columns: None,
            rename: IndexMap::new(),
            table: "table".into(),
            unknown_fields: UnknownFields::Reject,
            unknown_columns: UnknownColumns::Error,
            unpivot: None,
            null_values: Vec::new(),
            true_words: None,
            false_words: None,
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
    sensors: SensorsAre,
    origins: bool,
}

/// Where the sensor of a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SensorsAre {
    /// The table and the tags, as they are written.
    Series,
    /// One tag, or several.
    Tags,
    /// The options name the one that there is.
    Named,
    /// The file, as it is called.
    Files,
}

impl Influx {
    /// Checks the options.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn new(options: &InfluxOptions) -> Result<Self> {
        if options.columns.is_some() && options.texts.is_some() {
            return Err(Error::config("`columns` and `texts` exclude one another")
                .with_help("name in `columns` what is carried through as text, too"));
        }
        let columns = ColumnOptions {
            time: Some(options.time.as_str().into()),
            time_format: options.precision.name().into(),
            sensor: options.sensor.clone(),
            sensor_name: options.sensor_name.clone(),
            measurements: options.measurements.clone(),
            types: options.types.clone(),
            columns: options.columns.clone(),
            rename: options.rename.clone(),
            unknown_columns: options.unknown_columns,
            unpivot: options.unpivot.clone(),
            null_values: options.null_values.clone(),
            true_words: options.true_words.clone(),
            false_words: options.false_words.clone(),
            ..ColumnOptions::default()
        };
        columns.check_named_fields("line protocol")?;
        let sensors = match (&options.sensor, &options.sensor_name) {
            (Some(_), _) => SensorsAre::Tags,
            (None, Some(_)) => SensorsAre::Named,
            (None, None) => SensorsAre::Series,
        };
        let columns = Columns::new(&columns)?;
        check_named_once(options, &columns)?;
        Ok(Self { options: options.clone(), columns, sensors, origins: false })
    }

    /// The same for an input whose sensors are called after its files, where nothing else names them.
    pub fn with_sensors_of_files(mut self) -> Self {
        if self.sensors == SensorsAre::Series {
            self.sensors = SensorsAre::Files;
        }
        self
    }

    /// Measurements that become sensors still tell apart what the records' own sensors tell apart.
    ///
    /// # Errors
    /// A configuration error where they do not.
    pub fn check_unpivot(&self) -> Result<()> {
        match (&self.options.unpivot, self.sensors) {
            (Some(unpivot), SensorsAre::Series) => unpivot.check_sensors(),
            _ => Ok(()),
        }
    }

    /// Whether batches say where their records came from.
    pub fn with_origins(mut self, origins: bool) -> Self {
        self.origins = origins;
        self
    }

    /// The columns that every input has, then the texts that the options name; as records call them.
    fn named(&self) -> Vec<String> {
        let own = self.columns.own_columns().into_iter().chain(self.table());
        let named = own.chain(self.options.texts.iter().flatten().map(String::as_str));
        named.map(|name| self.columns.written_name(name)).collect()
    }

    /// The column of the table, where it has one of its own.
    fn table(&self) -> Option<&str> {
        own_table(&self.options, &self.columns)
    }

    /// The columns that the options say there are.
    fn schema_of_options(&self, head: Head<'_>) -> Result<Schema> {
        let mut names = self.named();
        for name in self.columns.named_fields().unwrap_or_default() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.columns.schema_of(head.name, &names, |_| FieldType::Text)
    }

    /// The tags that the sensor comes from; as records call them.
    fn sensor_tags(&self) -> Vec<String> {
        let own = self.columns.own_columns().into_iter();
        let tags = own.filter(|&name| name != self.options.time && name != self.options.table);
        tags.map(|name| self.columns.written_name(name)).collect()
    }

    /// Whether the options say which columns there are, before there is a record.
    fn knows_names(&self) -> bool {
        let InfluxOptions { measurements, texts, .. } = &self.options;
        let has_glob = || measurements.iter().chain(texts).flatten().any(|name| Pattern::new(name).is_glob());
        measurements.is_some() && texts.is_some() && !has_glob()
    }

    /// The tags and fields that have to be seen before all columns are known.
    fn sought(&self) -> Option<Vec<String>> {
        let table = self.columns.written_name(&self.options.table);
        let time = self.columns.written_name(&self.options.time);
        let mut sought = self.columns.sought_fields()?;
        sought.retain(|name| *name != table && *name != time);
        Some(sought)
    }

    /// Every tag and field that the options name is among the first records, or it is said that it is not.
    fn check_there(&self, found: &Sample) {
        let InfluxOptions { measurements, texts, .. } = &self.options;
        if self.columns.may_differ() {
            // Another file may have it.
            return;
        }
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
        Ok(Self { origins: self.origins, sensors: self.sensors, ..Self::new(&options)? })
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
        let texts = &self.options.texts;
        let mut names = self.named();
        // A sensor that no record has is missed as a column that is named and not there.
        let sensors = self.sensor_tags();
        names.retain(|name| !sensors.contains(name) || found.key(name).is_some());
        let is_taken = |key: &Key| texts.is_none() || key.is_number();
        let more = found.keys.iter().filter(|(name, key)| !names.contains(name) && is_taken(key));
        let own = names.len();
        names.extend(more.map(|(name, _)| name.clone()).collect::<Vec<_>>());
        let ty = |at: usize| {
            let is_measured =
                |key: &&Key| at >= own && key.is_number() || self.columns.names_measurement(&names[at]);
            found
                .key(&names[at])
                .filter(is_measured)
                .map_or(FieldType::Text, |key| key.ty.unwrap_or(FieldType::F64))
        };
        self.columns.schema_of(head.name, &names, ty)
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

    fn decoder(&self, stem: &str, schema: &Arc<Schema>) -> InfluxDecoder {
        let is_series = self.sensors == SensorsAre::Series;
        let series = is_series.then(|| schema.sensor());
        let (mut keys, mut roles, mut table) = (Vec::<Box<[u8]>>::new(), Vec::new(), None);
        let table_name = Some(&self.options.table).filter(|table| !table.is_empty());
        let table_name = table_name.map(|table| self.columns.written_name(table));
        for (key, role) in self.columns.keys(schema) {
            match role {
                // Its place is not among those of the keys.
                Role::Time(_) => {}
                role if table_name.as_ref() == Some(&key) => table = Some(role),
                role => {
                    keys.push(key.into_bytes().into());
                    roles.push(role);
                }
            }
        }
        let time = schema.time().unwrap_or_default();
        roles.push(Role::Time(time));
        roles.extend(series.map(Role::Sensor));
        roles.extend(table);
        let roles = Roles { fields: roles, missing: Vec::new() };
        let mut layout = FileColumns::new(&self.columns, schema, roles, stem, self.origins);
        if is_series {
            layout.sensor = None;
        }
        let ignore_unknown = self.options.unknown_fields == UnknownFields::Ignore;
        let unit = self.options.precision.nanos();
        let missing_time = self.options.missing_time;
        InfluxDecoder { keys, ignore_unknown, missing_time, unit, time, series, table, layout }
    }
}

impl Format for Influx {
    fn knows_columns(&self, head: Head<'_>, records: usize) -> bool {
        self.knows_names() || Sample::has(head, records.max(1), &self.columns, &self.sought())
    }

    fn declared(&self, name: &str) -> Result<Option<Schema>> {
        let is_said = self.knows_names() || self.options.measurements.is_some();
        is_said.then(|| self.schema_of_options(Head::unseen(name))).transpose()
    }

    fn can_bind(&self, head: Head<'_>) -> bool {
        // A byte order mark may be on its way.
        head.bytes.len() >= 3
    }

    fn records_name_fields(&self) -> bool {
        true
    }

    fn naming_options(&self) -> &'static str {
        "`measurements`, and `texts` or `columns`"
    }

    fn names_sensors_after_files(&self) -> bool {
        self.sensors == SensorsAre::Files
    }

    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        if head.bytes.is_empty()
            && let Some(schema) = self.declared(head.name)?
        {
            return Ok(schema);
        }
        let found = Sample::of(head, &self.columns, &self.sought());
        if self.knows_names() {
            // Of live input, little may have come.
            let is_enough = head.is_whole || Sample::has(head, SAMPLE, &self.columns, &None);
            found.iter().filter(|_| is_enough).for_each(|found| self.check_there(found));
            return self.schema_of_options(head);
        }
        let found = found?;
        self.without_globs(&found)?.schema_of_sample(head, &found)
    }

    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<BoundFormat> {
        let decoder = Arc::new(self.decoder(head.stem, schema));
        Ok(BoundFormat { decoder, skip_bytes: byte_order_mark(head.bytes), skip_lines: 0 })
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
    /// The type of its values: floats where they are of several.
    ty: Option<FieldType>,
}

impl Key {
    fn is_number(&self) -> bool {
        self.numbers > 0 && self.others == 0
    }

    /// Takes note of a value's type.
    fn note(&mut self, ty: Option<FieldType>) {
        let known = self.ty.or(ty);
        self.ty = if ty.is_some() && ty != known { Some(FieldType::F64) } else { known };
    }
}

/// The tags and fields of the first records, in the order in which they come.
#[derive(Default)]
struct Sample {
    records: usize,
    keys: IndexMap<String, Key>,
}

impl Sample {
    /// Whether there are so many `records`, at most [`SAMPLE`], or all keys that are `sought`; or twice as many lines that should be records, so
    /// that many are none.
    fn has(head: Head<'_>, records: usize, columns: &Columns, sought: &Option<Vec<String>>) -> bool {
        let lines = lines(head).filter(|line| !is_no_record(line)).take(2 * records).count();
        let may_be = lines >= records || lines > 0 && sought.is_some();
        let is_enough = |sample: Self| sample.records >= records || sample.has_all(sought);
        lines == 2 * records || may_be && Self::of(head, columns, sought).map_or(true, is_enough)
    }

    /// The first ones of a head, up to the one with which all keys that are `sought` have been seen.
    fn of(head: Head<'_>, columns: &Columns, sought: &Option<Vec<String>>) -> Result<Self> {
        let mut sample = Self::default();
        for line in lines(head).filter(|line| !is_no_record(line)) {
            if sample.records == SAMPLE || sample.has_all(sought) {
                break;
            }
            sample.records += usize::from(sample.take_in(line, columns));
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

    /// Whether it is known which keys are `sought`, and each has been seen.
    fn has_all(&self, sought: &Option<Vec<String>>) -> bool {
        let is_seen = |name| self.keys.contains_key(name);
        self.records > 0 && sought.as_ref().is_some_and(|sought| sought.iter().all(is_seen))
    }

    /// Whether it is a record.
    fn take_in(&mut self, line: &[u8], columns: &Columns) -> bool {
        let Ok(line) = parse(line) else { return false };
        line.tags.iter().for_each(|(key, _)| self.key_mut(&key.content).others += 1);
        for (key, value) in &line.fields {
            let shown = match value.number {
                Some(_) => Some(true),
                None => columns.word_shows_number(&value.text.content),
            };
            let ty = value.number.or_else(|| value.boolean()).map(Number::ty);
            let key = self.key_mut(&key.content);
            key.note(ty.or(shown.map(|_| FieldType::F64)));
            match shown {
                Some(true) => key.numbers += 1,
                Some(false) => key.others += 1,
                None => {}
            }
        }
        true
    }

    /// A key that is no text cannot be that of a column: its records will say so.
    fn key_mut(&mut self, key: &[u8]) -> &mut Key {
        self.keys.entry(String::from_utf8_lossy(key).into_owned()).or_default()
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

/// The column of the table, where it has one of its own, and is no part of the sensor.
fn own_table<'o>(options: &'o InfluxOptions, columns: &Columns) -> Option<&'o str> {
    let table = options.table.as_str();
    let is_part = columns.made_sensor().is_some_and(|made| made.names().iter().any(|name| name == table));
    (!table.is_empty() && !is_part).then_some(table)
}

fn check_named_once(options: &InfluxOptions, columns: &Columns) -> Result<()> {
    let single = columns.own_columns().into_iter().chain(own_table(options, columns));
    let listed = options.measurements.iter().chain(&options.texts).flatten().map(String::as_str);
    let named: Vec<&str> = single.chain(listed).collect();
    match named.iter().enumerate().find(|(at, name)| named[..*at].contains(name)) {
        None => Ok(()),
        Some((_, name)) => Err(Error::config(format!(
            "column `{name}` is named twice in `time`, `sensor`, `table`, `measurements` and `texts`"
        ))
        .with_help("a column is one of these only")),
    }
}
