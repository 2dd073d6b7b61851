//! What the values of a measurement are, and how it is written that there is none.

use super::columns::{Sample, add, number};

/// The values of one column.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// The lowest and the highest.
    pub(super) range: (f64, f64),
    /// Texts that stand for a missing value.
    pub(super) nulls: Vec<String>,
    /// Numbers that stand so far from all others that they seem to be none.
    pub(super) suspects: Vec<String>,
    pub(super) true_words: Vec<String>,
    pub(super) false_words: Vec<String>,
}

/// How missing values are often written, in any case.
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

/// Numbers that loggers write for a missing value, besides rows of nines: fills of 16 bits, of data sets.
const FILLS: [f64; 7] = [-7999.0, 7999.0, 6999.0, 32767.0, -32768.0, 65535.0, -1e30];

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

/// The values of column `at`; nothing where it is not of numbers or words for true and false.
pub(super) fn values(sample: &Sample<'_>, at: usize) -> Option<Values> {
    let mut values = Values::default();
    let mut numbers = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    for field in sample.fields(at) {
        match number(field, sample.comma) {
            Some(value) if !value.is_nan() => numbers.push((value, field)),
            _ if is_null(field) => add(&mut values.nulls, &[field.to_owned()]),
            _ if words.contains(&field) => {}
            _ if words.len() < 2 => words.push(field),
            _ => return None,
        }
    }
    if !words.is_empty() {
        return if numbers.is_empty() { values.with_words(&words) } else { None };
    }
    if numbers.is_empty() {
        return None;
    }
    values.suspects = suspects(&numbers);
    let is_suspect =
        |value: f64| values.suspects.iter().any(|text| number(text, sample.comma) == Some(value));
    let real = numbers.iter().filter(|(value, _)| value.is_finite() && !is_suspect(*value));
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    values.range = real.fold(none, |(low, high), (number, _)| (low.min(*number), high.max(*number)));
    Some(values)
}

impl Values {
    /// Those of a column that has nothing but these words; nothing where they are not of one pair.
    fn with_words(mut self, words: &[&str]) -> Option<Self> {
        let (yes, no) = WORDS.into_iter().find(|(yes, no)| {
            words.iter().all(|word| word.eq_ignore_ascii_case(yes) || word.eq_ignore_ascii_case(no))
        })?;
        self.range = (0.0, 1.0);
        (self.true_words, self.false_words) = (vec![yes.to_owned()], vec![no.to_owned()]);
        Some(self)
    }
}

/// Numbers that stand for a missing value as it seems, as they are first written: nines alone or a known fill, far from all others, and
/// not once only where they are positive.
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

fn is_fill(number: f64) -> bool {
    let size = number.abs();
    let nines = [99.0, 999.0, 9999.0, 99999.0, 999_999.0, 9_999_999.0, 99.9, 999.9, 999.99, 9999.9, 9999.99];
    nines.contains(&size) || FILLS.contains(&number)
}

fn is_apart(suspect: f64, numbers: &[(f64, &str)]) -> bool {
    let times = numbers.iter().filter(|(number, _)| *number == suspect).count();
    let others =
        || numbers.iter().map(|(number, _)| *number).filter(|&number| number.is_finite() && !is_fill(number));
    let (low, high) =
        others().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(n), high.max(n)));
    let distance = if suspect < low { low - suspect } else { suspect - high };
    let is_far = low <= high && distance > 3.0 * (high - low);
    is_far && (suspect < 0.0 || times > 1)
}
