//! Guesses the values of a measurement, and its null values.

use super::formats::few;
use super::sample::{Sample, add, number};

/// The values of one column.
#[derive(Debug, Default)]
pub(super) struct ColumnValues {
    /// The lowest and the highest.
    pub(super) range: (f64, f64),
    /// Null values.
    pub(super) nulls: Vec<String>,
    /// Numbers so far from all others that they are probably null values.
    pub(super) suspects: Vec<String>,
    /// The only number of the column, if it is a null value.
    pub(super) only: Option<String>,
    pub(super) true_words: Vec<String>,
    pub(super) false_words: Vec<String>,
    /// How many fields are not numeric, and one of them.
    pub(super) odd: Option<(usize, String)>,
    pub(super) has_fractions: bool,
    /// Whether the numbers are whole and never decrease, as those of a counter.
    pub(super) rises: bool,
}

/// Common null values, in any case.
const NULLS: [&str; 27] = [
    "na",
    "n/a",
    "n.a.",
    "#n/a",
    "null",
    "nil",
    "none",
    "nan",
    "-nan",
    "nan(ind)",
    "1.#qnan",
    "-1.#ind",
    "1.#inf",
    "-",
    "--",
    "---",
    "?",
    "*",
    "missing",
    "unavailable",
    "unknown",
    "no data",
    "bad",
    "err",
    "error",
    "#value!",
    "#div/0!",
];

/// Null values of weather services, case-sensitive.
const CAPITALS: [&str; 2] = ["MM", "M"];

/// Null values of loggers that are numbers, besides sequences of nines: 16-bit fill values, fill values of data sets.
const FILLS: [f64; 7] = [-7999.0, 7999.0, 6999.0, 32767.0, -32768.0, 65535.0, -1e30];

/// How many unknown texts may be null values in one column.
const MOST_NULLS: usize = 3;

/// Words for true and false, in any case.
const WORDS: [(&str, &str); 9] = [
    ("true", "false"),
    ("on", "off"),
    ("yes", "no"),
    ("open", "closed"),
    ("ein", "aus"),
    ("ja", "nein"),
    ("wahr", "falsch"),
    ("an", "aus"),
    ("running", "stopped"),
];

pub(super) fn is_null(field: &str) -> bool {
    NULLS.iter().any(|null| null.eq_ignore_ascii_case(field))
}

/// The one text of a column of numbers, if there are too few numbers to be sure that it is a measurement.
pub(super) fn odd_one<'s>(sample: &Sample<'s>, at: usize) -> Option<&'s str> {
    let (numbers, texts): (Vec<&str>, Vec<&str>) = sample
        .fields(at)
        .filter(|field| !is_null(field))
        .partition(|field| number(field, sample.comma).is_some());
    match texts.as_slice() {
        [only] if numbers.len() > 1 => Some(only),
        _ => None,
    }
}

/// The values of column `at`; `None` if it has other fields than numbers or words for true and false, except a few.
pub(super) fn values(sample: &Sample<'_>, at: usize) -> Option<ColumnValues> {
    let mut values = ColumnValues::default();
    let mut numbers = Vec::new();
    let mut words: Vec<(&str, usize)> = Vec::new();
    let mut all = 0;
    for field in sample.fields(at) {
        all += 1;
        match number(field, sample.comma) {
            Some(value) if !value.is_nan() => numbers.push((value, field)),
            _ if is_null(field) || CAPITALS.contains(&field) => add(&mut values.nulls, &[field.to_owned()]),
            _ => match words.iter_mut().find(|(word, _)| word.eq_ignore_ascii_case(field)) {
                Some((_, count)) => *count += 1,
                None => words.push((field, 1)),
            },
        }
    }
    if numbers.is_empty() {
        return values.with_words(&words);
    }
    values.with_odd(&words, all)?;
    values.only = only(&numbers);
    values.suspects = suspects(&numbers);
    let is_suspect =
        |value: f64| values.suspects.iter().any(|text| number(text, sample.comma) == Some(value));
    let real: Vec<f64> = numbers
        .iter()
        .map(|(value, _)| *value)
        .filter(|value| value.is_finite() && !is_suspect(*value))
        .collect();
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    values.range = real.iter().fold(none, |(low, high), number| (low.min(*number), high.max(*number)));
    values.has_fractions = real.iter().any(|value| value.fract() != 0.0);
    values.rises = !values.has_fractions && real.is_sorted() && real.first() < real.last();
    Some(values)
}

impl ColumnValues {
    /// The values of a column that has only such words; `None` if they are not one pair.
    fn with_words(mut self, words: &[(&str, usize)]) -> Option<Self> {
        words.first()?;
        let (yes, no) = WORDS.into_iter().find(|(yes, no)| {
            words.iter().all(|(word, _)| word.eq_ignore_ascii_case(yes) || word.eq_ignore_ascii_case(no))
        })?;
        self.range = (0.0, 1.0);
        (self.true_words, self.false_words) = (vec![yes.to_owned()], vec![no.to_owned()]);
        Some(self)
    }

    /// Takes texts among `all` fields of numbers: one that comes again stands for a missing value, others are odd. Nothing where there are
    /// too many for that.
    fn with_odd(&mut self, words: &[(&str, usize)], all: usize) -> Option<()> {
        let again: Vec<_> = words.iter().filter(|(_, count)| *count > 1).collect();
        let often: usize = again.iter().map(|(_, count)| count).sum();
        let (odd, first) = match again.len() <= MOST_NULLS && often * 5 <= all {
            true => {
                again.iter().for_each(|(word, _)| add(&mut self.nulls, &[(*word).to_owned()]));
                let mut once = words.iter().filter(|(_, count)| *count == 1);
                (once.clone().count(), once.next())
            }
            false => (words.iter().map(|(_, count)| count).sum(), words.first()),
        };
        self.odd = first.map(|(word, _)| (odd, (*word).to_owned()));
        few(odd, all).then_some(())
    }
}

/// Numbers that are probably null values, as first written: only nines or a known fill value, far from all others.
fn suspects(numbers: &[(f64, &str)]) -> Vec<String> {
    let mut suspects: Vec<(f64, String)> = Vec::new();
    for &(number, text) in numbers {
        let is_known = suspects.iter().any(|(known, _)| *known == number);
        if !is_known && is_fill(number) && is_apart(number, numbers) {
            suspects.push((number, text.to_owned()));
        }
    }
    suspects.into_iter().map(|(_, text)| text).collect()
}

/// The fill value that is all a column has, if no sensor would measure it all the time.
fn only(numbers: &[(f64, &str)]) -> Option<String> {
    let (first, text) = *numbers.first()?;
    let is_all = numbers.len() > 1 && numbers.iter().all(|(number, _)| *number == first);
    (is_all && first <= SURE && is_fill(first)).then(|| text.to_owned())
}

/// Fill values below this one count even if they occur once.
const SURE: f64 = -999.0;

fn is_fill(number: f64) -> bool {
    let size = number.abs();
    let nines = [99.0, 999.0, 9999.0, 99999.0, 999_999.0, 9_999_999.0, 99.9, 999.9, 999.99, 9999.9, 9999.99];
    nines.contains(&size) || FILLS.contains(&number)
}

/// Whether a number is far from all others, relative to their spread and magnitude; uncertain for a constant column.
fn is_apart(suspect: f64, numbers: &[(f64, &str)]) -> bool {
    let times = numbers.iter().filter(|(number, _)| *number == suspect).count();
    let mut others: Vec<f64> = numbers.iter().map(|(number, _)| *number).collect();
    others.retain(|number| number.is_finite() && !is_fill(*number));
    others.sort_unstable_by(f64::total_cmp);
    others.dedup();
    let (Some(&low), Some(&high)) = (others.first(), others.last()) else { return false };
    let is_sure = suspect <= SURE;
    if times < 2 && !is_sure || others.len() < 3 && suspect > SURE {
        return false;
    }
    let (distance, edge) = if suspect < low { (low - suspect, low) } else { (suspect - high, high) };
    // A column that is otherwise never negative does not reach -999, whatever its spread.
    let spreads = if is_sure && low >= 0.0 && times > 1 { 0.5 } else { 3.0 };
    distance > spreads * (high - low) && distance > edge.abs()
}
