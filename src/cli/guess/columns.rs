//! Guesses which column is the time, which is the sensor, and which are measurements.

use super::sample::{Sample, add, number, shown};
use super::sensors::sensor;
use super::times::{self, Relative, TimeColumns};
use super::values::{ColumnValues, odd_one, values};
use super::words::words;
use crate::cli::summary::plural;

/// What the columns of a file are, by index.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct Roles {
    pub(in crate::cli) time: Option<TimeColumns>,
    /// If there is no time: a column that counts from an unknown start.
    pub(in crate::cli) relative: Option<Relative>,
    /// One column, or several that identify the sensor only together.
    pub(in crate::cli) sensor: Vec<usize>,
    pub(in crate::cli) measurements: Vec<usize>,
    /// The lowest and highest value of each measurement in the sample.
    pub(in crate::cli) ranges: Vec<(f64, f64)>,
    pub(in crate::cli) null_values: Vec<String>,
    /// Numbers that probably mark missing values: the column, and the number as written.
    pub(in crate::cli) suspects: Vec<(usize, String)>,
    pub(in crate::cli) true_words: Vec<String>,
    pub(in crate::cli) false_words: Vec<String>,
    /// Columns without information, and why.
    pub(in crate::cli) useless: Vec<(usize, String)>,
    pub(in crate::cli) decimal_comma: bool,
    /// The separator of groups of three digits.
    pub(in crate::cli) thousands: Option<char>,
    /// Units after the numbers of measurements, by column.
    pub(in crate::cli) units: Vec<(usize, &'static str)>,
    /// Whether any number has a decimal mark.
    pub(in crate::cli) has_fractions: bool,
    /// Open questions, and the options that answer them.
    pub(in crate::cli) doubts: Vec<String>,
}

/// Names of columns that number the records.
const COUNTER_NAMES: [&str; 9] = ["record", "seq", "seqno", "no", "nr", "index", "row", "line", "id"];

/// Guesses from names and a sample of fields.
pub(super) fn guess(sample: &Sample<'_>) -> Roles {
    let found = times::find(sample);
    let mut taken = found.others;
    taken.extend(found.time.iter().flat_map(|time| &time.columns));
    taken.extend(found.relative.iter().map(|relative| relative.column));
    let choice = sensor(sample, found.time.as_ref(), &taken);
    let mut roles = Roles {
        decimal_comma: sample.comma,
        time: found.time,
        relative: found.relative,
        sensor: choice.columns,
        doubts: found.doubts.into_iter().chain(choice.doubts).collect(),
        ..Roles::default()
    };
    let mut measured = Vec::new();
    for at in (0..sample.names.len()).filter(|at| !taken.contains(at)) {
        if roles.sensor.contains(&at) {
            continue;
        }
        let values = values(sample, at);
        if let Some(why) = sample.is_useless(at, values.as_ref()) {
            roles.useless.push((at, why));
            let only = values.and_then(|values| values.only);
            add(&mut roles.null_values, only.as_slice());
        } else if let Some(values) = values {
            measured.push((at, values));
        } else if let Some(text) = odd_one(sample, at) {
            roles.doubts.push(format!(
                "{} has numbers and {text:?}, and is carried as text: if it is a measurement, name it in `measurements`, and its other texts in `null_values`",
                shown(&sample.names[at])
            ));
        }
    }
    check_suspects(sample, &mut measured, &mut roles);
    for (at, values) in measured {
        if let Some((odd, text)) = &values.odd {
            roles.doubts.push(format!(
                "{} of {} not numeric, such as {text:?}: such records are rejected unless `null_values` names it",
                plural(*odd as u64, "value"),
                format_args!("{} {}", shown(&sample.names[at]), if *odd == 1 { "is" } else { "are" }),
            ));
        }
        roles.measure(at, values);
    }
    roles
}

/// Drops suspected null values that are real values in other columns: null values apply to all columns.
fn check_suspects(sample: &Sample<'_>, measured: &mut [(usize, ColumnValues)], roles: &mut Roles) {
    let is_value_of = |suspect: f64, values: &ColumnValues| {
        let is_suspect = values.suspects.iter().any(|text| number(text, sample.comma) == Some(suspect));
        let (low, high) = values.range;
        !is_suspect
            && ((low..=high).contains(&suspect) || values.rises && suspect > high && suspect.fract() == 0.0)
    };
    let mut refused = Vec::new();
    for (at, values) in &*measured {
        for text in &values.suspects {
            let suspect = number(text, sample.comma).unwrap_or(f64::NAN);
            let others = || measured.iter().filter(|(other, _)| other != at);
            if let Some((other, _)) = others().find(|(_, values)| is_value_of(suspect, values)) {
                refused.push((*at, text.clone()));
                roles.doubts.push(format!(
                    "{text} seems to mark missing values in {}, but could be a real value in {}, and `null_values` applies to all columns: a \
                     stage `threshold` with `columns` can remove it",
                    shown(&sample.names[*at]),
                    shown(&sample.names[*other])
                ));
            }
        }
    }
    for (at, values) in measured {
        values.suspects.retain(|text| !refused.contains(&(*at, text.clone())));
    }
}

impl Sample<'_> {
    /// Why a column can be left out, if it can.
    fn is_useless(&self, at: usize, values: Option<&ColumnValues>) -> Option<String> {
        if !self.rows.is_empty() && self.fields(at).next().is_none() {
            return Some("is empty".to_owned());
        }
        if let Some(only) = values.and_then(|values| values.only.as_ref()) {
            return Some(format!("contains only {only}, which seems to mark missing values"));
        }
        let name = &self.names[at];
        let is_index = at == 0 && ["column_1", "Unnamed: 0"].contains(&name.as_str());
        let is_named =
            is_index || name == "#" || words(name).any(|word| COUNTER_NAMES.contains(&word.as_str()));
        let numbers: Vec<i64> = self.fields(at).filter_map(|field| field.parse().ok()).collect();
        let is_counter = numbers.len() == self.rows.len() && numbers.len() > 1 && is_named;
        let counts = numbers.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
        (is_counter && counts).then(|| "numbers the records".to_owned())
    }
}

impl Roles {
    /// Makes column `at` a measurement with these values.
    pub(super) fn measure(&mut self, at: usize, values: ColumnValues) {
        self.measurements.push(at);
        self.ranges.push(values.range);
        self.has_fractions |= values.has_fractions;
        add(&mut self.null_values, &values.nulls);
        add(&mut self.null_values, &values.suspects);
        self.suspects.extend(values.suspects.into_iter().map(|suspect| (at, suspect)));
        add(&mut self.true_words, &values.true_words);
        add(&mut self.false_words, &values.false_words);
    }
}
