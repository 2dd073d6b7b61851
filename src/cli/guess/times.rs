//! Which columns are the time, and how times are written in them.

use super::columns::{Sample, Words, number};
use crate::time::{TimeFormat, TimeParser};

/// Columns with the time, and how it is written there.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Time {
    /// One column, or one of dates and one of times of day.
    pub(in crate::cli) columns: Vec<usize>,
    /// The option `time_format`; empty where it is the usual one.
    pub(in crate::cli) format: String,
    /// Another format that would fit as well: the day and the month cannot be told apart.
    pub(in crate::cli) other_format: Option<&'static str>,
    /// Whether the newest record comes first.
    pub(in crate::cli) newest_first: bool,
}

/// Time formats that are tried, in this order.
const FORMATS: [&str; 37] = [
    "rfc3339",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y-%m-%d %I:%M %p",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%d.%m.%y %H:%M:%S",
    "%d.%m.%y %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y %I:%M %p",
    "%m/%d/%y %H:%M:%S",
    "%m/%d/%y %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%d-%b-%Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%Y%m%dT%H%M%S",
    "%Y%m%d %H%M%S",
    "%d.%m.%Y %H:%M:%S%.f",
    "%Y/%m/%d %H:%M:%S%.f",
    "%m/%d/%Y %H:%M:%S%.f",
    "%d/%m/%Y %H:%M:%S%.f",
    "%d-%b-%Y %H:%M:%S%.f",
];

/// How times of day are written.
const TIMES_OF_DAY: [&str; 4] = ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p"];

/// Epochs by magnitude: the unit, and what 1990 and 2100 are in it.
const EPOCHS: [(&str, f64, f64); 4] =
    [("s", 6.3e8, 4.2e9), ("ms", 6.3e11, 4.2e12), ("us", 6.3e14, 4.2e15), ("ns", 6.3e17, 4.2e18)];

/// Days of 1954 to 2118 as spreadsheets count them, and those of 1977 to 2132 as astronomers do.
const DAYS: [(&str, f64, f64); 2] = [("excel", 2e4, 8e4), ("julian", 2_443_144.5, 2.5e6)];

pub(super) const TIME_NAMES: [&str; 7] = ["time", "date", "stamp", "epoch", "zeit", "datum", "utc"];

/// Whether a field is a time, or the date of one.
pub(super) fn is_time(field: &str) -> bool {
    FORMATS.iter().chain(&TIMES_OF_DAY).any(|format| reads(format, field))
}

fn reads(format: &str, field: &str) -> bool {
    !is_digits(field) && parser(format).is_some_and(|parser| parser.parse(field.trim().as_bytes()).is_ok())
}

/// Who reads times so written; formats are tried by the thousand, and made once.
pub(super) fn parser(format: &str) -> Option<TimeParser> {
    let format = if format.is_empty() { "rfc3339" } else { format };
    let parser = TimeParser::new(TimeFormat::parse(format).ok()?, None).ok()?;
    match TIMES_OF_DAY.contains(&format) {
        true => parser.with_start("2000-01-01T00:00:00Z").ok(),
        false => Some(parser),
    }
}

/// The time among the columns of a sample.
pub(super) fn time(sample: &Sample<'_>) -> Option<Time> {
    let columns = sample.by_name(&TIME_NAMES);
    let single = || columns.iter().find_map(|&at| single(sample, at));
    let found = columns.iter().find_map(|&at| pair(sample, at, &columns)).or_else(single);
    found.map(|mut time| {
        time.newest_first = is_newest_first(sample, &time);
        time
    })
}

fn single(sample: &Sample<'_>, at: usize) -> Option<Time> {
    let fields: Vec<&str> = sample.fields(at).collect();
    let (format, other_format) = pattern(&fields).or_else(|| Some((count(sample, at, &fields)?, None)))?;
    Some(Time { columns: vec![at], format: format.into(), other_format, newest_first: false })
}

/// A column of dates with one of times of day; nothing where the dates have times already.
fn pair(sample: &Sample<'_>, date: usize, columns: &[usize]) -> Option<Time> {
    let dates: Vec<&str> = sample.fields(date).collect();
    let is_date = |field: &&str| field.len() <= 11 && !field.contains(':');
    if dates.len() < sample.rows.len() || !dates.iter().all(is_date) || dates.is_empty() {
        return None;
    }
    let is_time_of_day = |at: usize| {
        let fields: Vec<&str> = sample.fields(at).collect();
        fields.len() == sample.rows.len()
            && TIMES_OF_DAY.iter().any(|format| fields.iter().all(|field| reads(format, field)))
    };
    columns.iter().filter(|&&at| at != date && is_time_of_day(at)).find_map(|&at| {
        let joined: Vec<String> =
            dates.iter().zip(sample.fields(at)).map(|(date, time)| format!("{date} {time}")).collect();
        let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
        let (format, other_format) = pattern(&joined)?;
        Some(Time { columns: vec![date, at], format: format.into(), other_format, newest_first: false })
    })
}

/// The format that reads all, and the next one that does.
fn pattern(fields: &[&str]) -> Option<(&'static str, Option<&'static str>)> {
    fields.first()?;
    let reads_all = |format: &&str| {
        let Some(parser) = parser(format) else { return false };
        // One odd line in a hundred is no time, and does no harm.
        let odd = fields.iter().filter(|field| !is_read(&parser, field)).count();
        odd * 100 <= fields.len()
    };
    let mut fitting = FORMATS.into_iter().filter(reads_all);
    let first = fitting.next()?;
    // Day and month are in doubt; that another format reads the same times is none.
    let is_doubtful = |format: &&str| parsed(first, fields) != parsed(format, fields);
    Some((first, fitting.find(is_doubtful)))
}

/// What has digits alone is rather a number, though it could be read as a time.
fn is_digits(field: &str) -> bool {
    let mut marks = field.bytes().filter(|byte| !byte.is_ascii_digit());
    marks.next().is_none_or(|mark| mark == b'.') && marks.next().is_none()
}

fn is_read(parser: &TimeParser, field: &str) -> bool {
    !is_digits(field) && parser.parse(field.as_bytes()).is_ok()
}

fn parsed(format: &str, fields: &[&str]) -> Vec<Option<i64>> {
    let parser = parser(format);
    let parse = |field: &&str| Some(parser.as_ref()?.parse(field.as_bytes()).ok()?.as_nanos());
    fields.iter().map(parse).collect()
}

/// The unit of a column that counts from some day: all of a plausible size, and either named so or never falling.
fn count(sample: &Sample<'_>, at: usize, fields: &[&str]) -> Option<&'static str> {
    let values: Option<Vec<f64>> = fields.iter().map(|field| number(field, sample.comma)).collect();
    let values = values.filter(|values| !values.is_empty())?;
    let name = &sample.names[at];
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_named = name.to_lowercase().has_one(&TIME_NAMES) || matches!(last, "ts" | "t");
    let never_falls = values.len() > 2 && values.is_sorted();
    let within = |low: f64, high: f64| values.iter().all(|value| (low..high).contains(value));
    let unit = |units: &[(&'static str, f64, f64)]| {
        units.iter().find(|&&(_, low, high)| within(low, high)).map(|&(unit, ..)| unit)
    };
    let epoch = unit(&EPOCHS).filter(|_| is_named || never_falls);
    // Days look like any other number.
    epoch.or_else(|| unit(&DAYS).filter(|_| is_named && values.iter().any(|value| value.fract() != 0.0)))
}

/// Whether no time is later than the one before it, and some are earlier.
fn is_newest_first(sample: &Sample<'_>, time: &Time) -> bool {
    let Some(parser) = parser(&time.format) else { return false };
    let times: Vec<i64> = (0..sample.rows.len())
        .filter_map(|row| Some(parser.parse(sample.time_text(row, time).as_bytes()).ok()?.as_nanos()))
        .collect();
    times.len() > 2 && times.is_sorted_by(|a, b| a >= b) && times.first() > times.last()
}
