//! Which column is the time, which the sensor, which are measurements.

use crate::kernel::number::{parse_decimal_comma, parse_f64};
use crate::time::{TimeFormat, TimeParser};

/// What the columns of a file are, by index.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct Roles {
    pub(in crate::cli) time: Option<(usize, String)>,
    /// Another format that would fit as well: the day and the month cannot be told apart.
    pub(in crate::cli) other_format: Option<&'static str>,
    pub(in crate::cli) sensor: Option<usize>,
    pub(in crate::cli) measurements: Vec<usize>,
    /// The lowest and highest value of each measurement in the sample.
    pub(in crate::cli) ranges: Vec<(f64, f64)>,
    pub(in crate::cli) null_values: Vec<String>,
    pub(in crate::cli) decimal_comma: bool,
}

/// Time formats that are tried, in this order.
const FORMATS: [&str; 19] = [
    "rfc3339",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%Y%m%dT%H%M%S",
];

/// Epochs by magnitude: the unit, and what 1990 and 2100 are in it.
const EPOCHS: [(&str, f64, f64); 4] =
    [("s", 6.3e8, 4.2e9), ("ms", 6.3e11, 4.2e12), ("us", 6.3e14, 4.2e15), ("ns", 6.3e17, 4.2e18)];

const TIME_NAMES: [&str; 6] = ["time", "date", "stamp", "epoch", "zeit", "datum"];
const SENSOR_NAMES: [&str; 14] = [
    "sensor", "device", "station", "tag", "channel", "node", "meter", "machine", "asset", "signal", "point",
    "unit", "name", "id",
];
/// Text of few values that says something about a record, not whose it is.
const REMARK_NAMES: [&str; 10] =
    ["status", "state", "quality", "flag", "note", "comment", "remark", "type", "mode", "alarm"];
/// How missing values are often written.
const NULLS: [&str; 10] = ["NA", "N/A", "n/a", "null", "NULL", "None", "-", "--", "?", "#N/A"];

/// Whether a field is a number; with `comma` as decimal mark or with a point.
pub(super) fn is_number(field: &str, comma: bool) -> bool {
    number(field, comma).is_some()
}

fn number(field: &str, comma: bool) -> Option<f64> {
    let field = field.trim().as_bytes();
    if comma { parse_decimal_comma(field) } else { parse_f64(field) }
}

/// Whether a field is a time in one of the formats that are tried.
pub(super) fn is_time(field: &str) -> bool {
    FORMATS
        .iter()
        .any(|format| parser(format).is_some_and(|parser| parser.parse(field.trim().as_bytes()).is_ok()))
}

fn parser(format: &str) -> Option<TimeParser> {
    TimeParser::new(TimeFormat::parse(format).ok()?, None).ok()
}

/// Guesses from names and a sample of fields.
pub(super) fn guess(names: &[String], rows: &[Vec<String>], decimal_comma: bool) -> Roles {
    let sample = Sample { names, rows, comma: decimal_comma };
    let mut roles = Roles { decimal_comma, ..Roles::default() };
    if let Some((at, format, other)) = sample.time() {
        roles.time = Some((at, format));
        roles.other_format = other;
    }
    let time = roles.time.as_ref().map(|(at, _)| *at);
    roles.sensor = sample.sensor(time);
    for at in (0..names.len()).filter(|&at| Some(at) != time && Some(at) != roles.sensor) {
        if let Some((range, nulls)) = sample.numbers(at) {
            roles.measurements.push(at);
            roles.ranges.push(range);
            for null in nulls {
                if !roles.null_values.iter().any(|known| known == null) {
                    roles.null_values.push(null.to_owned());
                }
            }
        }
    }
    roles
}

struct Sample<'s> {
    names: &'s [String],
    rows: &'s [Vec<String>],
    comma: bool,
}

impl<'s> Sample<'s> {
    /// The fields of a column that are not empty.
    fn fields(&self, at: usize) -> impl Iterator<Item = &'s str> + Clone {
        self.rows.iter().map(move |row| row[at].trim()).filter(|field| !field.is_empty())
    }

    /// Columns in order, those with a telling name first.
    fn by_name(&self, words: &[&str]) -> Vec<usize> {
        let mut columns: Vec<usize> = (0..self.names.len()).collect();
        columns.sort_by_key(|&at| rank(&self.names[at], words));
        columns
    }

    fn time(&self) -> Option<(usize, String, Option<&'static str>)> {
        self.by_name(&TIME_NAMES).into_iter().find_map(|at| {
            let (format, other) = self.pattern(at).or_else(|| Some((self.epoch(at)?, None)))?;
            Some((at, format.to_owned(), other))
        })
    }

    /// The format that reads the whole column, and the next one that does.
    fn pattern(&self, at: usize) -> Option<(&'static str, Option<&'static str>)> {
        let fields = self.fields(at);
        fields.clone().next()?;
        let reads_all = |format: &&str| {
            parser(format)
                .is_some_and(|parser| fields.clone().all(|field| parser.parse(field.as_bytes()).is_ok()))
        };
        let mut fitting = FORMATS.into_iter().filter(reads_all);
        Some((fitting.next()?, fitting.next()))
    }

    /// The unit of a column of epochs: all of a plausible size, and either named so or never falling.
    fn epoch(&self, at: usize) -> Option<&'static str> {
        let values: Option<Vec<f64>> = self.fields(at).map(|field| number(field, false)).collect();
        let values = values.filter(|values| !values.is_empty())?;
        let is_named = rank(&self.names[at], &TIME_NAMES) < TIME_NAMES.len() || self.names[at] == "ts";
        let never_falls = values.len() > 2 && values.is_sorted();
        let within = |low: f64, high: f64| values.iter().all(|value| (low..high).contains(value));
        let unit = EPOCHS.into_iter().find(|&(_, low, high)| within(low, high)).map(|(unit, ..)| unit);
        unit.filter(|_| is_named || never_falls)
    }

    fn sensor(&self, time: Option<usize>) -> Option<usize> {
        let candidates = self.by_name(&SENSOR_NAMES);
        candidates.into_iter().filter(|&at| Some(at) != time).find(|&at| self.is_sensor(at))
    }

    /// A column that is never empty, and either text of few values or named like a sensor.
    fn is_sensor(&self, at: usize) -> bool {
        if self.rows.is_empty() || self.fields(at).count() < self.rows.len() {
            return false;
        }
        let words: Vec<_> = words(&self.names[at]).collect();
        let is_named = SENSOR_NAMES.iter().any(|name| words.iter().any(|word| word == name));
        let mut values: Vec<_> = self.fields(at).collect();
        values.sort_unstable();
        values.dedup();
        if self.numbers(at).is_some() {
            // Numbers are sensors only if they are whole, recur, and the name leaves no doubt.
            let is_whole = values.iter().all(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            return is_named && is_whole && values.len() < self.rows.len();
        }
        let is_remark = REMARK_NAMES.iter().any(|name| words.iter().any(|word| word == name));
        is_named || !is_remark && values.len() * 10 <= self.rows.len()
    }

    /// The lowest and highest number of a column, and how its nulls are written; `None` where it is not of numbers.
    fn numbers(&self, at: usize) -> Option<((f64, f64), Vec<&'static str>)> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut count, mut nulls) = (0, Vec::new());
        for field in self.fields(at) {
            match (number(field, self.comma), NULLS.iter().find(|null| **null == field)) {
                (Some(value), _) => {
                    count += 1;
                    if value.is_finite() {
                        (low, high) = (low.min(value), high.max(value));
                    }
                }
                (None, Some(null)) if nulls.contains(null) => {}
                (None, Some(null)) => nulls.push(*null),
                (None, None) => return None,
            }
        }
        (count > 0).then_some(((low, high), nulls))
    }
}

/// The words of a name: `sensor_id`, `sensorId` and `Sensor ID` are `sensor` and `id`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && spaced.ends_with(char::is_lowercase) {
            spaced.push(' ');
        }
        spaced.extend(letter.to_lowercase());
    }
    let words: Vec<_> = spaced.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
    words.into_iter()
}

/// How telling a name is: the place of the first of `words` in it, or their number.
fn rank(name: &str, words: &[&str]) -> usize {
    let name = name.to_lowercase();
    words.iter().position(|word| name.contains(word)).unwrap_or(words.len())
}
