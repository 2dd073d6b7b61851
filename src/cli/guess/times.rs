//! Guesses which columns are the time, and its format.

use super::formats::{compact, dated, few_times, is_date, of_day, parser, pattern, reads_all};
use super::parts::{clock, parts};
use super::sample::{Sample, number, shown};
use super::words::{has_one, is_half, is_offset, words};
use super::zone_texts::{abbreviations, is_known, may_be_zone, unclear, zone_columns};
use super::zones::{self, Zone};
use crate::cli::summary::plural;

/// Columns with the time, and how it is written there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct TimeColumns {
    /// One column, or several that are joined: a date and a time of day, a year and a month and so on.
    pub(in crate::cli) columns: Vec<usize>,
    /// The option `time_format`; empty where it is the usual one.
    pub(in crate::cli) format: String,
    /// Another format that matches as well: day and month are ambiguous.
    pub(in crate::cli) other_format: Option<String>,
    /// Whether the newest record comes first.
    pub(in crate::cli) newest_first: bool,
    /// The zone of times without an offset, if the file gives it.
    pub(in crate::cli) zone: Option<Zone>,
    /// Whether times have no offset, so that they need a zone.
    pub(in crate::cli) is_local: bool,
    /// The zone abbreviations in times, and their offsets from UTC: the option `zones`.
    pub(in crate::cli) zones: Vec<(&'static str, &'static str)>,
}

/// A column whose times count from an unknown start.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Relative {
    pub(in crate::cli) column: usize,
    /// The option `time_format`.
    pub(in crate::cli) format: String,
}

/// What was found out about times.
#[derive(Debug, Default)]
pub(super) struct TimesFound {
    pub(super) time: Option<TimeColumns>,
    pub(super) relative: Option<Relative>,
    /// Other columns that have times.
    pub(super) others: Vec<usize>,
    /// Open questions.
    pub(super) doubts: Vec<String>,
}

/// How certain it is that columns have the time: the lower, the more certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Certainty {
    /// Dates and times of day.
    Whole,
    Parts,
    /// A number since 1970 under a name that says so.
    Epoch,
    Date,
    /// Days since some day, likewise.
    Days,
    /// Numbers that could be times.
    Numbers,
}

struct TimeCandidate {
    /// A time that is the same in all records is not the records' time.
    is_constant: bool,
    kind: Certainty,
    /// How well its name fits: the lower, the better.
    name: u8,
    time: TimeColumns,
}

/// Epochs by magnitude: the unit, and the years 1990 and 2040 in it.
const EPOCHS: [(&str, f64, f64); 4] =
    [("s", 6.3e8, 2.21e9), ("ms", 6.3e11, 2.21e12), ("us", 6.3e14, 2.21e15), ("ns", 6.3e17, 2.21e18)];

/// The days of 1995 to 2040: as spreadsheets count them, as modified Julian days, as Julian days.
const DAYS: [(&str, f64, f64); 3] =
    [("excel", 34_700.0, 51_136.0), ("mjd", 51_136.0, 66_154.0), ("julian", 2_449_718.5, 2_466_154.5)];

/// Seconds since 1904 or 1900, in 1990 to 2040.
const SINCE_1900: (f64, f64) = (2.7e9, 4.42e9);

pub(super) const TIME_NAMES: [&str; 8] = ["time", "date", "stamp", "epoch", "zeit", "datum", "utc", "fecha"];

/// Names of durations that contain a word for time.
const LENGTHS: [&str; 14] = [
    "uptime",
    "runtime",
    "run_time",
    "elapsed",
    "duration",
    "lifetime",
    "downtime",
    "laufzeit",
    "betriebszeit",
    "standzeit",
    "response",
    "latency",
    "timeout",
    "interval",
];
/// Names for the time when a record was processed, not measured.
const HANDLED: [&str; 14] = [
    "received",
    "recv",
    "server",
    "created",
    "updated",
    "processed",
    "arrival",
    "ingest",
    "insert",
    "export",
    "upload",
    "end",
    "until",
    "modified",
];

/// The time among the columns of a sample.
pub(super) fn find(sample: &Sample<'_>) -> TimesFound {
    let mut candidates = Vec::new();
    let (mut dates, mut clocks) = (Vec::new(), Vec::new());
    for at in 0..sample.names.len() {
        let fields: Vec<&str> = sample.fields(at).collect();
        if fields.is_empty() || !few_times(sample.rows.len() - fields.len(), sample.rows.len()) {
            continue;
        }
        if let Some((format, other)) = pattern(&fields).or_else(|| Some((digits(sample, at, &fields)?, None)))
        {
            let kind = if is_date(&format) { Certainty::Date } else { Certainty::Whole };
            dates.extend((kind == Certainty::Date).then_some(at));
            candidates.push(TimeCandidate::new(sample, kind, vec![at], format, other));
        } else if let Some(format) = of_day(&fields, is_clock(&sample.names[at])) {
            clocks.push((at, format));
        } else if let Some((kind, format)) = count(sample, at, &fields) {
            candidates.push(TimeCandidate::new(sample, kind, vec![at], format.to_owned(), None));
        }
    }
    let in_parts = clock(sample);
    let of_both = |date: usize| clocks.iter().map(move |&(clock, _)| vec![date, clock]);
    for columns in dates.iter().flat_map(|&date| of_both(date)) {
        if let Some((format, other)) = joined_pattern(sample, &columns) {
            candidates.push(TimeCandidate::new(sample, Certainty::Whole, columns, format, other));
        }
    }
    let clock_format = [" %H", " %H %M", " %H %M %S"].get(in_parts.len().wrapping_sub(1));
    for (&date, clock) in dates.iter().flat_map(|date| clock_format.map(|clock| (date, clock))) {
        let columns = [&[date], &in_parts[..]].concat();
        let texts = sample.joined(&columns);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if let Some((format, other)) = dated(&texts, clock) {
            candidates.push(TimeCandidate::new(sample, Certainty::Whole, columns, format, other));
        }
    }
    if let Some((columns, format)) = parts(sample) {
        let kind = if is_date(&format) { Certainty::Date } else { Certainty::Parts };
        candidates.push(TimeCandidate::new(sample, kind, columns, format, None));
    }
    let best =
        candidates.iter().min_by_key(|candidate| (candidate.is_constant, candidate.kind, candidate.name));
    let Some(best) = best else { return without(sample, &clocks) };
    let time = with_marks(sample, best.time.clone());
    let is_other =
        |candidate: &&TimeCandidate| candidate.kind < Certainty::Days && candidate.time.columns.len() == 1;
    let others = candidates.iter().filter(is_other).map(|candidate| candidate.time.columns[0]);
    let others = others.chain(rising_times(sample)).filter(|at| !time.columns.contains(at));
    let mut others: Vec<usize> = others.collect();
    others.sort_unstable();
    others.dedup();
    let doubts = doubts(sample, &time, &others);
    let newest_first = is_newest_first(sample, &time);
    let is_local = is_local(sample, &time);
    let mut time = TimeColumns { newest_first, is_local, ..time };
    let mut doubts = doubts;
    if is_local {
        let names: Vec<&str> = time.columns.iter().map(|&at| sample.names[at].as_str()).collect();
        let found = zones::find(&names, sample.before, &zone_columns(sample, &time.columns));
        doubts.extend(found.doubt);
        time.zone = found.zone;
    } else {
        time.zones = abbreviations(sample, &time.columns);
    }
    TimesFound { time: Some(time), others, doubts, ..TimesFound::default() }
}

impl Sample<'_> {
    /// The time of a record, as written.
    pub(super) fn time_text(&self, row: usize, time: &TimeColumns) -> String {
        self.joined_in(row, &time.columns)
    }
}

impl TimeCandidate {
    fn new(
        sample: &Sample<'_>,
        kind: Certainty,
        columns: Vec<usize>,
        format: String,
        other_format: Option<String>,
    ) -> Self {
        let texts = sample.joined(&columns);
        let is_constant = texts.len() > 2 && texts.iter().all(|text| *text == texts[0]);
        let name = &sample.names[columns[0]];
        let name = match name.to_lowercase().as_str() {
            name if has_one(name, &HANDLED) => 3,
            name if name.contains("utc") => 0,
            name if has_one(name, &TIME_NAMES) => 1,
            _ => 2,
        };
        let time = TimeColumns { columns, format, other_format, ..TimeColumns::default() };
        Self { is_constant, kind, name, time }
    }
}

/// The format of the joined texts of several columns.
fn joined_pattern(sample: &Sample<'_>, columns: &[usize]) -> Option<(String, Option<String>)> {
    let texts = sample.joined(columns);
    pattern(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The format of dates that are digits alone, under a name that says so or one after the other.
fn digits(sample: &Sample<'_>, at: usize, fields: &[&str]) -> Option<String> {
    let format = compact(fields)?;
    let is_so = is_named(&sample.names[at])
        || fields.len() > 2 && fields.is_sorted() && fields.first() < fields.last();
    is_so.then(|| format.to_owned())
}

/// The time joined with a column of its AM/PM mark or its offset from UTC.
fn with_marks(sample: &Sample<'_>, time: TimeColumns) -> TimeColumns {
    let is_mark = |at: &usize| {
        let mut fields = sample.fields(*at).peekable();
        let has_some = fields.peek().is_some();
        let is_abbreviation = |field| may_be_zone(sample, &time.columns, *at) && is_known(field);
        has_some
            && (fields.clone().all(is_half) || fields.all(|field| is_offset(field) || is_abbreviation(field)))
    };
    let marks = (0..sample.names.len()).filter(|at| !time.columns.contains(at)).filter(is_mark);
    for mark in marks {
        let columns = [&time.columns[..], &[mark]].concat();
        if let Some((format, other_format)) = joined_pattern(sample, &columns) {
            return TimeColumns { columns, format, other_format, ..time };
        }
    }
    time
}

fn is_named(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_short = || last == "t" || words(name).last().is_some_and(|word| word == "ts");
    !has_one(name, &LENGTHS) && (has_one(name, &TIME_NAMES) || is_short())
}

/// Whether a name says that digits are a time of day.
fn is_clock(name: &str) -> bool {
    !has_one(name, &LENGTHS) && has_one(name, &["time", "hour", "hhmm", "zeit", "clock", "heure"])
}

/// The unit of a column that counts from some day: all but a few values are plausible, and it is either named so or never decreases.
fn count(sample: &Sample<'_>, at: usize, fields: &[&str]) -> Option<(Certainty, &'static str)> {
    let values = numbers(sample, fields)?;
    let name = &sample.names[at];
    let is_length = has_one(name, &LENGTHS);
    let rises = values.len() > 2 && values.is_sorted() && values.first() < values.last();
    let within = |low: f64, high: f64| values.iter().all(|value| (low..high).contains(value));
    let unit = |units: &[(&'static str, f64, f64)]| {
        units.iter().find(|&&(_, low, high)| within(low, high)).map(|&(unit, ..)| unit)
    };
    if let Some(epoch) = unit(&EPOCHS).filter(|_| !is_length && (is_named(name) || rises)) {
        return Some((if is_named(name) { Certainty::Epoch } else { Certainty::Numbers }, epoch));
    }
    // Days look like any other number.
    let has_fraction = values.iter().any(|value| value.fract() != 0.0);
    let is_mjd = name.to_lowercase().contains("mjd");
    match unit(&DAYS) {
        Some(days) if is_mjd && days != "julian" => Some((Certainty::Days, "mjd")),
        Some(days) if has_fraction && is_named(name) => Some((Certainty::Days, days)),
        Some("excel") if rises && has_one(name, &["date", "datum"]) => Some((Certainty::Days, "excel")),
        _ => None,
    }
}

/// The numbers of a column, except for a few fields that are not numbers.
fn numbers(sample: &Sample<'_>, fields: &[&str]) -> Option<Vec<f64>> {
    let values: Vec<f64> = fields.iter().filter_map(|field| number(field, sample.comma)).collect();
    (!values.is_empty() && few_times(fields.len() - values.len(), fields.len())).then_some(values)
}

/// Columns of numbers that are named as times and never decrease: times of another kind.
fn rising_times(sample: &Sample<'_>) -> impl Iterator<Item = usize> {
    let is_called = |name: &str| has_one(name, &TIME_NAMES) && !has_one(name, &LENGTHS);
    let is_long = sample.rows.len() >= 5;
    (0..sample.names.len()).filter(move |&at| is_long && is_called(&sample.names[at]) && rises(sample, at))
}

fn rises(sample: &Sample<'_>, at: usize) -> bool {
    let fields: Vec<&str> = sample.fields(at).collect();
    let values = numbers(sample, &fields).unwrap_or_default();
    values.len() > 2 && values.is_sorted() && values.first() < values.last()
}

/// If no column is the time: a column that counts from a start may be.
fn without(sample: &Sample<'_>, clocks: &[(usize, &'static str)]) -> TimesFound {
    let last = |at: usize| sample.names[at].to_lowercase();
    let counts = |&at: &usize| {
        let name = last(at);
        let bare = name.split(['[', '(']).next().unwrap_or_default().trim();
        let is_called = is_named(bare)
            || name.contains("elapsed")
            || matches!(
                name.trim(),
                "s" | "sec" | "secs" | "second" | "seconds" | "ms" | "millis" | "sekunden"
            );
        is_called && rises(sample, at)
    };
    let clock = clocks.iter().find(|(_, format)| format.contains(':'));
    let relative = match clock {
        Some(&(column, format)) => Some(Relative { column, format: format.to_owned() }),
        None => (0..sample.names.len()).find(counts).map(|column| Relative {
            column,
            format: if has_one(&last(column), &["ms", "milli"]) { "ms" } else { "s" }.to_owned(),
        }),
    };
    let Some(relative) = relative else {
        let doubt = unclear(sample).or_else(|| without_day(sample));
        return TimesFound { doubts: doubt.into_iter().collect(), ..TimesFound::default() };
    };
    let name = shown(&sample.names[relative.column]);
    let first = sample.fields(relative.column).next().and_then(|field| number(field, sample.comma));
    let doubt = match first {
        _ if clock.is_some() => {
            format!(
                "{name} has times of day without a date: set `start` to the first date, as the pipeline shows"
            )
        }
        Some(first) if (SINCE_1900.0..SINCE_1900.1).contains(&first) => format!(
            "{name} could count seconds since 1904, as LabVIEW does, or since 1900: set `start`, as the pipeline shows"
        ),
        _ => format!(
            "{name} counts from an unknown start: set `start` to that time and `time_format` to the unit, as the pipeline shows"
        ),
    };
    TimesFound { relative: Some(relative), doubts: vec![doubt], ..TimesFound::default() }
}

/// A warning about a column with years or months.
fn without_day(sample: &Sample<'_>) -> Option<String> {
    let is_year =
        |text: &str| text.len() == 4 && text.parse().is_ok_and(|year: u32| (1900..2100).contains(&year));
    let is_month = |text: &str| text.parse().is_ok_and(|month: u32| (1..=12).contains(&month));
    let is_date = |field: &str| match field.split_once(['-', '/']) {
        Some((year, month)) => is_year(year) && is_month(month),
        None => is_year(field),
    };
    let is_called = |at: &usize| {
        has_one(&sample.names[*at], &["year", "month", "jahr", "monat", "date", "datum", "time"])
    };
    let at = (0..sample.names.len()).filter(is_called).find(|at| {
        let fields: Vec<&str> = sample.fields(*at).collect();
        reads_all(&fields, is_date)
    })?;
    Some(format!(
        "{} has dates without a day, which no option reads: add one, such as 2024-01-01",
        shown(&sample.names[at])
    ))
}

fn doubts(sample: &Sample<'_>, time: &TimeColumns, others: &[usize]) -> Vec<String> {
    let mut doubts = Vec::new();
    let name = shown(&sample.names[time.columns[0]]);
    let Some(parser) = parser(&time.format) else { return doubts };
    let texts = sample.joined(&time.columns);
    let mut odd = texts.iter().filter(|text| parser.parse(text.as_bytes()).is_err());
    if let Some(first) = odd.next() {
        let count = plural(1 + odd.count() as u64, "record");
        doubts.push(format!("{count} without a readable time in {name}, such as {first:?}: rejected"));
    }
    let first = texts.iter().find_map(|text| parser.parse(text.as_bytes()).ok());
    if let Some(first) = first.filter(|first| !(SINCE..UNTIL).contains(&first.as_nanos())) {
        doubts.push(format!("the times of {name} begin with {first}: `time_format` may be wrong"));
    }
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|&at| shown(&sample.names[at])).collect();
        let has = if others.len() == 1 { "has times too, and is" } else { "have times too, and are" };
        doubts.push(format!(
            "{} {has} carried as text: `time` names the one that orders the records",
            others.join(", ")
        ));
    }
    if sample.names[time.columns[0]].to_lowercase().contains("local") {
        doubts.push(format!("{name} is local time, by its name: set its zone in `timezone`"));
    }
    doubts
}

/// 1970 and 2040: data from other times are rare.
const SINCE: i64 = 0;
const UNTIL: i64 = 2_208_988_800_000_000_000;

/// Whether times have no offset from UTC.
fn is_local(sample: &Sample<'_>, time: &TimeColumns) -> bool {
    let Some(parser) = parser(&time.format) else { return false };
    let texts = sample.joined(&time.columns);
    let first = texts.iter().find(|text| parser.parse(text.as_bytes()).is_ok());
    first.is_some_and(|text| parser.is_local(text.as_bytes()))
}

/// Whether no time is later than the one before it, and some are earlier.
fn is_newest_first(sample: &Sample<'_>, time: &TimeColumns) -> bool {
    let Some(parser) = parser(&time.format) else { return false };
    let times: Vec<i64> = (0..sample.rows.len())
        .filter_map(|row| Some(parser.parse(sample.time_text(row, time).as_bytes()).ok()?.as_nanos()))
        .collect();
    times.len() > 2 && times.is_sorted_by(|a, b| a >= b) && times.first() > times.last()
}
