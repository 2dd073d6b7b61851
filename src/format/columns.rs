//! Which field of a file is which column (clauses 1 and 2), the same for every format.

use std::borrow::Cow;
use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::{Field, FieldKind, Schema};
use crate::error::{Error, Result, nearest};
use crate::kernel::number::{parse_decimal_comma, parse_f64};
use crate::time::{TimeFormat, TimeParser};

/// How many records are looked at to tell measurements from text.
pub const SAMPLE: usize = 1000;

/// What the columns of the input are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ColumnOptions {
    /// The column with the event time; without one, records have no time.
    pub time: Option<String>,
    /// How times are written: "rfc3339", a strptime pattern such as "%d.%m.%Y %H:%M:%S", or "s", "ms", "us", "ns" since 1970.
    pub time_format: String,
    /// The IANA time zone of times without an offset, such as "Europe/Berlin"; UTC if not given.
    pub timezone: Option<String>,
    /// The column with the sensor's name; without one, each file is one sensor, named after the file.
    pub sensor: Option<String>,
    /// The name of the one sensor that the whole input is of; instead of `sensor`.
    pub sensor_name: Option<String>,
    /// The columns with numbers; if not given, those that have nothing but numbers in the first 1,000 records of the first
    /// file. All other columns are carried through as text.
    pub measurements: Option<Vec<String>>,
    /// Texts that stand for a missing value, besides the empty field.
    pub null_values: Vec<String>,
    /// The decimal mark of numbers.
    pub decimal: Decimal,
}

impl Default for ColumnOptions {
    fn default() -> Self {
        Self {
            time: None,
            time_format: "rfc3339".into(),
            timezone: None,
            sensor: None,
            sensor_name: None,
            measurements: None,
            null_values: Vec::new(),
            decimal: Decimal::Point,
        }
    }
}

/// A decimal mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decimal {
    /// 19.5
    #[default]
    #[serde(rename = ".")]
    Point,
    /// 19,5
    #[serde(rename = ",")]
    Comma,
}

/// What a field of the input becomes: the index of its column in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The event time.
    Time(usize),
    /// The sensor's name.
    Sensor(usize),
    /// A measurement.
    Measurement(usize),
    /// Carried text.
    Text(usize),
}

impl Role {
    /// The column's index in the schema.
    pub fn column(self) -> usize {
        match self {
            Self::Time(at) | Self::Sensor(at) | Self::Measurement(at) | Self::Text(at) => at,
        }
    }
}

/// The options, checked and ready to read fields.
#[derive(Clone, Debug)]
pub struct Columns {
    options: ColumnOptions,
    /// Reads times.
    pub times: TimeParser,
}

impl Columns {
    /// Checks the options.
    ///
    /// # Errors
    /// A configuration error: a time format or zone that is none, options that exclude one another.
    pub fn new(options: &ColumnOptions) -> Result<Self> {
        if options.sensor.is_some() && options.sensor_name.is_some() {
            return Err(Error::config("`sensor` and `sensor_name` exclude one another")
                .with_help("`sensor` names a column, `sensor_name` is the name of the one sensor"));
        }
        check_named_once(options)?;
        let format = TimeFormat::parse(&options.time_format)
            .map_err(|why| Error::config(format!("`time_format`: {why}")))?;
        let times = TimeParser::new(format, options.timezone.as_deref())
            .map_err(|why| Error::config(format!("`timezone`: {why}")))?;
        Ok(Self { options: options.clone(), times })
    }

    /// The text of a field without the spaces around it.
    pub fn trim(field: &[u8]) -> &[u8] {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        if let [first, .., last] = field
            && !is_space(first)
            && !is_space(last)
        {
            return field;
        }
        let Some(first) = field.iter().position(|byte| !is_space(byte)) else { return &[] };
        let last = field.iter().rposition(|byte| !is_space(byte)).unwrap_or(first);
        &field[first..=last]
    }

    /// Whether a trimmed field stands for a missing value.
    pub fn is_null(&self, field: &[u8]) -> bool {
        field.is_empty() || self.options.null_values.iter().any(|null| null.as_bytes() == field)
    }

    /// Whether texts besides the empty one stand for a missing value.
    pub fn has_null_values(&self) -> bool {
        !self.options.null_values.is_empty()
    }

    /// Whether the options say which columns are measurements, so that no records have to be looked at.
    pub fn are_named(&self) -> bool {
        self.options.measurements.is_some()
    }

    /// The decimal mark of numbers.
    pub fn decimal_mark(&self) -> u8 {
        match self.options.decimal {
            Decimal::Point => b'.',
            Decimal::Comma => b',',
        }
    }

    /// The number in a trimmed field that is not null.
    pub fn number(&self, field: &[u8]) -> Option<f64> {
        match self.options.decimal {
            Decimal::Point => parse_f64(field),
            Decimal::Comma => parse_decimal_comma(field),
        }
    }

    /// The columns of an input whose first file has fields called `names` and begins with the records `sample`.
    ///
    /// # Errors
    /// When a column that the options name is not there, or two have one name.
    pub fn schema(&self, file: &str, names: &[String], sample: &[Vec<Cow<'_, [u8]>>]) -> Result<Schema> {
        self.schema_of(file, names, |at| self.is_number(at, sample))
    }

    /// The columns of an input that says itself which of its fields called `names` are numbers: `is_number` tells by index.
    ///
    /// # Errors
    /// As for [`Columns::schema`].
    pub fn schema_of(
        &self,
        file: &str,
        names: &[String],
        is_number: impl Fn(usize) -> bool,
    ) -> Result<Schema> {
        check_distinct(file, names)?;
        self.check_named(file, names)?;
        let measurements = self.options.measurements.as_ref();
        let mut fields = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let kind = if self.options.time.as_ref() == Some(name) {
                FieldKind::Time
            } else if self.options.sensor.as_ref() == Some(name) {
                FieldKind::Sensor
            } else if measurements.map_or_else(|| is_number(at), |chosen| chosen.contains(name)) {
                FieldKind::Measurement
            } else {
                FieldKind::Text
            };
            fields.push(Field::new(name.as_str(), kind));
        }
        if self.options.sensor.is_none() {
            check_no_sensor(file, names)?;
            let place = fields.iter().position(|field| field.kind == FieldKind::Time).map_or(0, |at| at + 1);
            fields.insert(place, Field::new("sensor", FieldKind::Sensor));
        }
        Schema::new(fields).map_err(|error| error.with_context(file))
    }

    /// What the fields called `names` of a file are in `schema`.
    ///
    /// # Errors
    /// A data error when the file has other columns than the schema.
    pub fn roles(&self, file: &str, names: &[String], schema: &Schema) -> Result<Vec<Role>> {
        check_distinct(file, names)?;
        let own_sensor = self.options.sensor.is_none();
        // The sensor column that was put in is no column of any file.
        let is_made = |at| own_sensor && at == schema.sensor();
        for (at, field) in schema.fields().iter().enumerate() {
            if !is_made(at) && !names.iter().any(|name| **name == *field.name) {
                return Err(Error::data(format!("`{file}` has no column `{}`", field.name))
                    .with_help("all files of one input have the same columns, in any order"));
            }
        }
        let column = |name: &String| schema.index_of(name).filter(|&at| !is_made(at));
        names.iter().map(|name| role(file, name, schema, column(name))).collect()
    }

    /// The sensor of a whole file with this stem; `None` where a column has it.
    pub fn file_sensor<'a>(&'a self, stem: &'a str) -> Option<&'a str> {
        match &self.options.sensor {
            Some(_) => None,
            None => Some(self.options.sensor_name.as_deref().unwrap_or(stem)),
        }
    }

    /// Whether there is something in field `at` of the records, and nothing but numbers.
    fn is_number(&self, at: usize, sample: &[Vec<Cow<'_, [u8]>>]) -> bool {
        let fields = || sample.iter().filter_map(|record| record.get(at)).map(|field| Self::trim(field));
        let mut present = fields().filter(|field| !self.is_null(field)).peekable();
        present.peek().is_some() && present.all(|field| self.number(field).is_some())
    }

    fn check_named(&self, file: &str, names: &[String]) -> Result<()> {
        let options = &self.options;
        let wanted = [("time", &options.time), ("sensor", &options.sensor)];
        let wanted = wanted.iter().filter_map(|(option, name)| Some((*option, name.as_ref()?)));
        let measurements = options.measurements.iter().flatten().map(|name| ("measurements", name));
        for (option, name) in wanted.chain(measurements) {
            if !names.contains(name) {
                let help = match nearest(name, names.iter().map(String::as_str)) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("its columns are {}", listed(names)),
                };
                return Err(Error::config(format!("`{file}` has no column `{name}` (option `{option}`)"))
                    .with_help(help));
            }
        }
        Ok(())
    }
}

fn role(file: &str, name: &str, schema: &Schema, column: Option<usize>) -> Result<Role> {
    let Some(at) = column else {
        return Err(Error::data(format!(
            "`{file}` has a column `{name}` that the first file of the input has not"
        ))
        .with_help("all files of one input have the same columns, in any order"));
    };
    Ok(match schema.fields()[at].kind {
        FieldKind::Time => Role::Time(at),
        FieldKind::Sensor => Role::Sensor(at),
        FieldKind::Measurement => Role::Measurement(at),
        _ => Role::Text(at),
    })
}

fn check_named_once(options: &ColumnOptions) -> Result<()> {
    let single = options.time.iter().chain(&options.sensor);
    let named: Vec<_> = single.chain(options.measurements.iter().flatten()).collect();
    match named.iter().enumerate().find(|(at, name)| named[..*at].contains(name)) {
        None => Ok(()),
        Some((_, name)) => Err(Error::config(format!(
            "column `{name}` is named twice in `time`, `sensor` and `measurements`"
        ))
        .with_help("a column is one of these only")),
    }
}

/// A column called `sensor` that is not said to be one would clash with the column that is put in.
fn check_no_sensor(file: &str, names: &[String]) -> Result<()> {
    if !names.iter().any(|name| name == "sensor") {
        return Ok(());
    }
    Err(Error::config(format!("`{file}` has a column `sensor`, but the option `sensor` is not set"))
        .with_help("set sensor = \"sensor\""))
}

fn check_distinct(file: &str, names: &[String]) -> Result<()> {
    let mut seen = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        if let Some(earlier) = seen.insert(name, at) {
            return Err(Error::data(format!(
                "`{file}` has two columns called `{name}`: numbers {} and {}",
                earlier + 1,
                at + 1
            ))
            .with_help("rename one, or give all names with `header` and `names`"));
        }
    }
    Ok(())
}

/// Names as a message shows them: on one line, and not a whole screen of them.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown = names.iter().take(MOST).map(|name| {
        let short: String = name.chars().take(40).collect();
        let more = if short.len() < name.len() { "…" } else { "" };
        format!("`{}{more}`", short.escape_debug())
    });
    let list = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

/// A field as a message shows it: quoted, shortened, undecodable bytes replaced.
pub fn shown(field: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(&field[..field.len().min(4 * LONGEST)]);
    let short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() || field.len() > text.len() {
        format!("{short:?}…")
    } else {
        format!("{short:?}")
    }
}
