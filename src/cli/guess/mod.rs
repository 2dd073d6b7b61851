//! Guesses the content of a data file from its beginning: `table` finds records and fields by their `delimiter`, `layout` what precedes
//! them, `columns` the role of each column, `times`, `sensors` and `values` its format. Open questions are reported.

mod columns;
mod delimiter;
#[cfg(test)]
mod doubt_tests;
mod formats;
mod json;
mod layout;
mod lines;
mod numerals;
mod parts;
mod refusal;
mod sample;
mod sensors;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod time_tests;
mod times;
mod values;
mod widths;
mod words;
mod zone_texts;
mod zones;

pub(super) use columns::Roles;
pub(super) use refusal::Refusal;
pub(super) use table::{Dialect, FileKind};

use crate::cli::summary::plural;
use sample::{Sample, add, number};
use table::SampleTable;
use tidemill_core::format::{Refused, influx};

/// How many bytes are inspected.
pub(super) const SAMPLE: usize = 1 << 18;

/// How many records are shown.
const SHOWN: usize = 3;

/// A guess at a file.
#[derive(Debug)]
pub(super) struct Guess {
    /// Which source reads it.
    pub(super) kind: FileKind,
    /// The dialect, if it is delimited text.
    pub(super) dialect: Dialect,
    /// The encoding of the text, if an option is needed.
    pub(super) encoding: Option<&'static str>,
    /// The names of the columns.
    pub(super) names: Vec<String>,
    /// What the columns are.
    pub(super) roles: Roles,
    /// How many records were inspected.
    pub(super) records: usize,
    /// The first records, as parsed by column.
    pub(super) first: Vec<Vec<String>>,
    /// The station that the file names.
    pub(super) station: Option<String>,
    /// The name of the one series that all files belong to.
    pub(super) series: Option<String>,
    /// Columns that would cause rejections if they were read.
    pub(super) unreadable: Vec<String>,
    /// Whether other files have other columns.
    pub(super) differs: bool,
    /// The layout of JSON objects, if detection from the beginning of the file would be wrong.
    pub(super) layout: Option<&'static str>,
    /// The array whose elements are records.
    pub(super) unfold: Option<String>,
    /// The unit of times of line protocol.
    pub(super) precision: Option<&'static str>,
    /// How many records lack a time.
    pub(super) timeless: usize,
    /// Open questions, and the options that answer them.
    pub(super) doubts: Vec<String>,
    /// Why no options can read it, if none can.
    pub(super) refusal: Option<Refusal>,
}

/// Guesses from the first bytes of a text file.
pub(super) fn guess(bytes: &[u8], is_whole: bool) -> Guess {
    // A logger that lost its power leaves NULs, which are skipped before a value.
    let has_odd_start = bytes.iter().take_while(|byte| **byte != b'\n').any(|byte| *byte == 0);
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    if let Some(sample) = influx::first_records(&bytes, is_whole) {
        return of_line_protocol(sample);
    }
    if let Some(guess) = of_json(&bytes, is_whole) {
        return guess;
    }
    let mut table = SampleTable::read(&bytes, is_whole);
    let taken = numerals::take_out(&mut table.rows, table.names.len());
    let comma = taken.numerals.map_or_else(|| table.decimal_comma(), |numerals| numerals.comma);
    let mut guess = of_table(table, comma);
    if guess.roles.measurements.is_empty() && is_markup(&bytes) {
        return refuse(FileKind::Delimited, Refusal::of_markup());
    }
    if has_odd_start && guess.dialect.has_header {
        return refuse(FileKind::Delimited, Refusal::of_bytes());
    }
    if guess.records == 0 && !guess.names.is_empty() && guess.refusal.is_none() {
        guess.doubts.push("there are no records yet: run `init` again when there are some".to_owned());
    }
    let roles = &mut guess.roles;
    let is_measured = |at: &usize| roles.measurements.contains(at);
    let is_grouped = taken.grouped.iter().any(is_measured);
    roles.units = taken.units.into_iter().filter(|(at, _)| is_measured(at)).collect();
    roles.thousands = taken.numerals.and_then(|numerals| numerals.thousands).filter(|_| is_grouped);
    guess
}

/// Guesses from records whose fields are known.
pub(super) fn of_records(kind: FileKind, names: Vec<String>, rows: Vec<Vec<String>>) -> Guess {
    of_table(SampleTable { kind, names, rows, ..SampleTable::default() }, false)
}

/// Whether a text begins as HTML and XML do.
fn is_markup(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    matches!(bytes, [b'<', b'!' | b'?' | b'a'..=b'z' | b'A'..=b'Z', ..]) && bytes.contains(&b'>')
}

fn refuse(kind: FileKind, refusal: Refusal) -> Guess {
    Guess { refusal: Some(refusal), ..empty(kind, Vec::new()) }
}

/// A guess at JSON. An array of objects is unfolded where the time is in it.
fn of_json(bytes: &[u8], is_whole: bool) -> Option<Guess> {
    let json::JsonFound { objects, values, refused, layout } = json::find(bytes, is_whole)?;
    if objects.is_empty() {
        let broken = refused.first.filter(|_| json::begins(bytes));
        let refusal = broken.map_or_else(Refusal::of_arrays, |(line, why)| Refusal::of_json(line, &why));
        return Some(refuse(FileKind::Json, refusal));
    }
    let columns = json::otherwise(&objects);
    let unfolded = json::arrays(&objects).into_iter().map(|array| {
        let guess = of_table(json::table(json::unfolded(&objects, &array)), false);
        Guess { unfold: Some(array), ..guess }
    });
    let mut with_time =
        unfolded.filter(|guess| guess.roles.time.is_some() && !guess.roles.measurements.is_empty());
    let inside = with_time.next();
    drop(with_time);
    let as_it_is = of_table(json::table(objects), false);
    let is_better = as_it_is.roles.time.is_none() || as_it_is.roles.measurements.is_empty();
    let mut guess = inside.filter(|_| is_better).unwrap_or(as_it_is);
    guess.layout = layout;
    let refused = refused_of(&refused, values, "value", "JSON");
    guess.doubts.splice(..0, refused.into_iter().chain(columns));
    Some(guess).filter(|guess| !guess.names.is_empty())
}

/// A warning about lines or values, of `all`, that are not records of a format.
fn refused_of(refused: &Refused, all: usize, what: &str, format: &str) -> Option<String> {
    let (line, why) = refused.first.as_ref()?;
    let (count, lines) = (refused.count, plural(all as u64, what));
    let fails = if count > 10 && count * 100 > all {
        ", on which a run fails unless `max_rejects` allows it"
    } else {
        ""
    };
    Some(match count {
        1 => format!("1 of {lines} is not {format}, and is rejected: line {line} ({why})"),
        _ => format!(
            "{count} of {lines} are not {format}, and are rejected{fails}: the first is line {line} ({why})"
        ),
    })
}

fn of_table(table: SampleTable, comma: bool) -> Guess {
    let SampleTable { kind, dialect, names, rows, station, texts, before, mut doubts, refusal } = table;
    let sample = Sample { names: &names, rows: &rows, comma, texts: &texts, before: &before };
    let mut roles = columns::guess(&sample);
    doubts.append(&mut roles.doubts);
    let first = (0..rows.len()).filter_map(|row| understood(&sample, row, &roles)).take(SHOWN).collect();
    Guess { dialect, roles, first, station, doubts, refusal, records: rows.len(), ..empty(kind, names) }
}

fn empty(kind: FileKind, names: Vec<String>) -> Guess {
    Guess {
        kind,
        dialect: Dialect::default(),
        encoding: None,
        names,
        roles: Roles::default(),
        records: 0,
        first: Vec::new(),
        station: None,
        series: None,
        unreadable: Vec::new(),
        differs: false,
        layout: None,
        unfold: None,
        precision: None,
        timeless: 0,
        doubts: Vec::new(),
        refusal: None,
    }
}

/// The time, the sensor and the measurements of a record as the source reads them; `None` if it rejects them.
fn understood(sample: &Sample<'_>, row: usize, roles: &Roles) -> Option<Vec<String>> {
    let time = match &roles.time {
        None => None,
        Some(time) => {
            let zone = time.zone.as_ref().map(|zone| zone.option.as_str());
            let parser = formats::parser_in(&time.format, zone)?;
            Some(parser.parse(sample.time_text(row, time).as_bytes()).ok()?.to_string())
        }
    };
    let field = |at: usize| sample.rows[row][at].trim();
    let sensor = roles.sensor.iter().map(|&at| field(at)).collect::<Vec<_>>().join("-");
    let sensor = (!roles.sensor.is_empty()).then_some(sensor);
    let is_null = |text: &str| {
        let same = |null: &String| {
            null == text || number(null, sample.comma).is_some_and(|n| number(text, sample.comma) == Some(n))
        };
        text.is_empty() || roles.null_values.iter().any(same)
    };
    let is_one_of = |words: &[String], text: &str| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    let value = |at: usize| match number(field(at), sample.comma) {
        _ if is_null(field(at)) => Some("null".to_owned()),
        Some(value) => Some(value.to_string()),
        None if is_one_of(&roles.true_words, field(at)) => Some("1".to_owned()),
        None if is_one_of(&roles.false_words, field(at)) => Some("0".to_owned()),
        None => None,
    };
    let measurements =
        roles.measurements.iter().map(|&at| Some(format!("{} = {}", sample.names[at], value(at)?)));
    let measurements: Vec<String> = measurements.collect::<Option<_>>()?;
    Some(time.into_iter().chain(sensor).chain(measurements).collect())
}

fn of_line_protocol(sample: influx::FirstRecords) -> Guess {
    let influx::FirstRecords { records, numbers, texts, latest, timeless, refused } = sample;
    let doubts = refused_of(&refused, records + refused.count, "line", "line protocol");
    let doubts = doubts.into_iter().collect();
    // Three more digits per unit: seconds, milliseconds, microseconds.
    let units = [("s", 100_000_000_000), ("ms", 100_000_000_000_000), ("us", 100_000_000_000_000_000)];
    let unit = |latest: u64| units.into_iter().find(|(_, end)| latest < *end).map(|(unit, _)| unit);
    let count = numbers.len();
    let names: Vec<String> = numbers.into_iter().chain(texts).collect();
    let roles = Roles {
        measurements: (0..count).collect(),
        ranges: vec![(f64::INFINITY, f64::NEG_INFINITY); count],
        ..Roles::default()
    };
    let precision = latest.and_then(unit);
    Guess { roles, records, precision, timeless, doubts, ..empty(FileKind::Influx, names) }
}

impl Guess {
    /// Why the options for this file cannot read the other one, if they cannot.
    pub(super) fn differs_in(&self, other: &Guess) -> Option<&'static str> {
        let time = |guess: &Guess| {
            let time = guess.roles.time.as_ref()?;
            let names: Vec<&String> = time.columns.iter().map(|&at| &guess.names[at]).collect();
            Some((time.format.clone(), time.zone.clone(), names.into_iter().cloned().collect::<Vec<_>>()))
        };
        let has_times = self.roles.time.is_some() && other.roles.time.is_some();
        if self.kind != other.kind {
            Some("their formats differ")
        } else if self.dialect.has_header != other.dialect.has_header {
            Some("one has no header")
        } else if self.dialect != other.dialect {
            Some("their text layouts differ")
        } else if self.unfold != other.unfold {
            Some("their record layouts differ")
        } else if has_times && time(self) != time(other) {
            Some("their time formats differ")
        } else if self.roles.decimal_comma != other.roles.decimal_comma
            && self.roles.has_fractions
            && other.roles.has_fractions
        {
            Some("one has decimal commas, the other decimal points")
        } else {
            None
        }
    }

    /// Joins the guess about another file of the same input.
    pub(super) fn join(&mut self, other: Guess) {
        let is_known = |name: &String, names: &[String]| names.contains(name);
        self.differs |= self.names.len() != other.names.len()
            || other.names.iter().any(|name| !is_known(name, &self.names));
        for (at, range) in other.roles.measurements.iter().zip(&other.roles.ranges) {
            let name = &other.names[*at];
            if !is_known(name, &self.names) {
                self.names.push(name.clone());
                self.roles.measurements.push(self.names.len() - 1);
                self.roles.ranges.push(*range);
                let unit = other.roles.units.iter().find(|(column, _)| column == at);
                self.roles.units.extend(unit.map(|(_, unit)| (self.names.len() - 1, *unit)));
            }
        }
        self.roles.decimal_comma |= other.roles.decimal_comma;
        self.roles.thousands = self.roles.thousands.or(other.roles.thousands);
        self.roles.has_fractions |= other.roles.has_fractions;
        add(&mut self.doubts, &other.doubts);
        add(&mut self.unreadable, &other.unreadable);
        if let Some((time, other)) = self.roles.time.as_mut().zip(other.roles.time.as_ref()) {
            add(&mut time.zones, &other.zones);
        }
        add(&mut self.roles.null_values, &other.roles.null_values);
        add(&mut self.roles.true_words, &other.roles.true_words);
        add(&mut self.roles.false_words, &other.roles.false_words);
        self.encoding = self.encoding.or(other.encoding);
        self.layout = self.layout.or(other.layout);
        if self.station != other.station {
            self.station = None;
        }
        self.records += other.records;
        self.timeless += other.timeless;
    }
}
