//! Which column is the time, which the sensor, which are measurements.

use super::times::{Time, time};
use super::values::{Values, values};
use crate::kernel::number::{parse_decimal_comma, parse_f64};

/// What the columns of a file are, by index.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct Roles {
    pub(in crate::cli) time: Option<Time>,
    pub(in crate::cli) sensor: Option<usize>,
    pub(in crate::cli) measurements: Vec<usize>,
    /// The lowest and highest value of each measurement in the sample.
    pub(in crate::cli) ranges: Vec<(f64, f64)>,
    pub(in crate::cli) null_values: Vec<String>,
    /// Numbers among those that are suspected to stand for missing values: the column, and the number as it is written.
    pub(in crate::cli) suspects: Vec<(usize, String)>,
    pub(in crate::cli) true_words: Vec<String>,
    pub(in crate::cli) false_words: Vec<String>,
    /// Columns that say nothing, and why.
    pub(in crate::cli) useless: Vec<(usize, &'static str)>,
    pub(in crate::cli) decimal_comma: bool,
}

const SENSOR_NAMES: [&str; 22] = [
    "sensor", "device", "entity", "station", "tag", "channel", "node", "meter", "machine", "asset", "signal",
    "point", "unit", "dev", "location", "site", "room", "raum", "host", "name", "id", "serial",
];
/// Text of few values that says something about a record, not whose it is.
const REMARK_NAMES: [&str; 11] =
    ["status", "state", "quality", "flag", "note", "comment", "remark", "type", "mode", "alarm", "error"];
/// What columns are called that number the records.
const COUNTER_NAMES: [&str; 8] = ["record", "seq", "seqno", "no", "nr", "index", "row", "line"];

/// Whether a field is a number; with `comma` as decimal mark or with a point.
pub(super) fn is_number(field: &str, comma: bool) -> bool {
    number(field, comma).is_some()
}

pub(super) fn number(field: &str, comma: bool) -> Option<f64> {
    let field = field.trim().as_bytes();
    if comma { parse_decimal_comma(field) } else { parse_f64(field) }
}

/// Guesses from names and a sample of fields.
pub(super) fn guess(sample: &Sample<'_>) -> Roles {
    let Sample { names, comma: decimal_comma, .. } = *sample;
    let mut roles = Roles { decimal_comma, time: time(sample), ..Roles::default() };
    let times = roles.time.as_ref().map(|time| time.columns.clone()).unwrap_or_default();
    roles.sensor = sample.sensor(&times);
    let sensor = roles.sensor;
    for at in (0..names.len()).filter(|at| !times.contains(at) && Some(*at) != sensor) {
        if let Some(why) = sample.is_useless(at) {
            roles.useless.push((at, why));
        } else if let Some(values) = values(sample, at) {
            roles.measure(at, values);
        }
    }
    roles
}

impl Roles {
    /// Takes column `at` for a measurement with these values.
    pub(super) fn measure(&mut self, at: usize, values: Values) {
        self.measurements.push(at);
        self.ranges.push(values.range);
        add(&mut self.null_values, &values.nulls);
        add(&mut self.null_values, &values.suspects);
        self.suspects.extend(values.suspects.into_iter().map(|suspect| (at, suspect)));
        add(&mut self.true_words, &values.true_words);
        add(&mut self.false_words, &values.false_words);
    }
}

/// Adds those that are not there yet.
pub(super) fn add(known: &mut Vec<String>, more: &[String]) {
    for text in more {
        if !known.contains(text) {
            known.push(text.clone());
        }
    }
}

/// Names and fields that are looked at.
pub(super) struct Sample<'s> {
    pub(super) names: &'s [String],
    pub(super) rows: &'s [Vec<String>],
    pub(super) comma: bool,
    /// Columns whose values are marked as text, even where they look like numbers.
    pub(super) texts: &'s [usize],
}

impl<'s> Sample<'s> {
    /// The fields of a column that are not empty.
    pub(super) fn fields(&self, at: usize) -> impl Iterator<Item = &'s str> + Clone {
        self.rows.iter().map(move |row| row[at].trim()).filter(|field| !field.is_empty())
    }

    /// Columns in order, those with a telling name first.
    pub(super) fn by_name(&self, words: &[&str]) -> Vec<usize> {
        let mut columns: Vec<usize> = (0..self.names.len()).collect();
        columns.sort_by_key(|&at| rank(&self.names[at], words));
        columns
    }

    /// The time of a record, as it is written.
    pub(super) fn time_text(&self, row: usize, time: &Time) -> String {
        let parts: Vec<&str> = time.columns.iter().map(|&at| self.rows[row][at].trim()).collect();
        parts.join(" ")
    }

    fn sensor(&self, times: &[usize]) -> Option<usize> {
        let candidates = self.by_name(&SENSOR_NAMES);
        candidates.into_iter().filter(|at| !times.contains(at)).find(|&at| self.is_sensor(at))
    }

    /// A column that is never empty, and either text of few values or named like a sensor.
    fn is_sensor(&self, at: usize) -> bool {
        if self.rows.is_empty() || self.fields(at).count() < self.rows.len() {
            return false;
        }
        let words: Vec<_> = words(&self.names[at]).collect();
        let is_named = SENSOR_NAMES.iter().any(|name| words.iter().any(|word| word == name));
        let mut distinct: Vec<_> = self.fields(at).collect();
        distinct.sort_unstable();
        distinct.dedup();
        if values(self, at).is_some() {
            // Numbers are sensors only if they are whole, recur, and the name leaves no doubt.
            let is_whole = distinct.iter().all(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            return is_named && is_whole && (distinct.len() < self.rows.len() || self.texts.contains(&at));
        }
        let is_remark = REMARK_NAMES.iter().any(|name| words.iter().any(|word| word == name));
        is_named || !is_remark && distinct.len() * 10 <= self.rows.len()
    }

    /// Why a column can be left out, if it can.
    fn is_useless(&self, at: usize) -> Option<&'static str> {
        if !self.rows.is_empty() && self.fields(at).next().is_none() {
            return Some("is empty");
        }
        let is_named = words(&self.names[at]).any(|word| COUNTER_NAMES.contains(&word.as_str()));
        let numbers: Vec<i64> = self.fields(at).filter_map(|field| field.parse().ok()).collect();
        let is_counter = numbers.len() == self.rows.len() && numbers.len() > 1 && is_named;
        let counts = numbers.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
        (is_counter && counts).then_some("numbers the records")
    }
}

/// The words of a name: `sensor_id`, `sensorId` and `SENSOR ID` are `sensor` and `id`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let (mut spaced, mut last_is_small) = (String::new(), false);
    for letter in name.chars() {
        if letter.is_uppercase() && last_is_small {
            spaced.push(' ');
        }
        last_is_small = letter.is_lowercase();
        spaced.extend(letter.to_lowercase());
    }
    let words: Vec<_> = spaced.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
    words.into_iter()
}

/// Texts that stand in a name.
pub(super) trait Words {
    /// Whether one of `words` does.
    fn has_one(&self, words: &[&str]) -> bool;
}

impl Words for String {
    fn has_one(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.contains(word))
    }
}

/// How telling a name is: the place of the first of `words` in it, or their number.
fn rank(name: &str, words: &[&str]) -> usize {
    let name = name.to_lowercase();
    words.iter().position(|word| name.contains(word)).unwrap_or(words.len())
}
