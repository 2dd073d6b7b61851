//! Guesses the sensor column: by names, and by whether a column distinguishes records with the same time.

use std::collections::HashSet;

use super::formats::{few, is_time};
use super::sample::{Sample, is_number, shown};
use super::times::TimeColumns;
use super::values::values;
use super::words::{NameMeaning, are_measures, are_remarks, are_units_of, is_kind, is_numbered, meaning};

/// What was chosen.
#[derive(Debug, Default)]
pub(super) struct SensorChoice {
    /// The columns that identify the sensor together.
    pub(super) columns: Vec<usize>,
    /// Open questions.
    pub(super) doubts: Vec<String>,
}

/// A column that may identify the sensor.
struct SensorCandidate {
    at: usize,
    meaning: Option<NameMeaning>,
    /// How many different texts it has.
    distinct: usize,
}

/// So many records are too few to ask that names recur.
const FEW_RECORDS: usize = 20;

/// Chooses among the columns that are not `taken`.
pub(super) fn sensor(sample: &Sample<'_>, time: Option<&TimeColumns>, taken: &[usize]) -> SensorChoice {
    let times = time.map(|time| sample.joined(&time.columns));
    let free = (0..sample.names.len()).filter(|at| !taken.contains(at));
    let candidates: Vec<SensorCandidate> =
        free.filter_map(|at| candidate(sample, times.as_deref(), at)).collect();
    let tells_apart =
        |columns: &[usize]| times.as_ref().is_some_and(|times| clashes(sample, times, columns) == 0);
    let mut columns = Vec::new();
    let named = candidates.iter().filter_map(|candidate| Some((candidate.rank()?, candidate)));
    columns.extend(
        named.min_by_key(|(rank, candidate)| (candidate.distinct == 1, *rank)).map(|(_, found)| found.at),
    );
    let is_constant = columns.first().is_some_and(|first| {
        candidates.iter().any(|candidate| candidate.at == *first && candidate.distinct == 1)
    });
    let varying = || candidates.iter().filter(|candidate| candidate.distinct > 1);
    let by_quantity = varying().find(|candidate| candidate.meaning == Some(NameMeaning::Quantity));
    if let Some(quantity) = by_quantity.filter(|quantity| !columns.contains(&quantity.at)) {
        if is_constant {
            columns.clear();
        }
        columns.push(quantity.at);
    }
    // Records with the same time and sensor are from two sensors: another column distinguishes them.
    if times.is_some() && !tells_apart(&columns) {
        let recurs = |other: &SensorCandidate| other.distinct * 2 <= sample.rows.len();
        let is_one = |other: &SensorCandidate| {
            !matches!(other.meaning, Some(NameMeaning::Remark | NameMeaning::Clock))
                || is_kind(&sample.names[other.at])
        };
        let with = |other: &&SensorCandidate| {
            recurs(other)
                && is_one(other)
                && !columns.contains(&other.at)
                && tells_apart(&[&columns[..], &[other.at]].concat())
        };
        if let Some(other) = varying().find(with).map(|other| other.at) {
            if is_constant && columns.len() == 1 {
                columns.clear();
            }
            columns.push(other);
        }
    }
    let doubts = doubts(sample, times.as_deref(), &columns, &candidates);
    SensorChoice { columns, doubts }
}

impl SensorCandidate {
    /// How reliably its name means a sensor: the lower, the more reliable.
    fn rank(&self) -> Option<usize> {
        match self.meaning? {
            NameMeaning::Sensor(rank) => Some(rank),
            NameMeaning::Quantity => Some(usize::MAX),
            NameMeaning::Remark | NameMeaning::Clock => None,
        }
    }
}

/// Column `at`, if it may identify the sensor: it is hardly ever empty, and has recurring texts that are not numbers, times or measures, or
/// recurring whole numbers under an unambiguous name.
fn candidate(sample: &Sample<'_>, times: Option<&[String]>, at: usize) -> Option<SensorCandidate> {
    let (name, records) = (&sample.names[at], sample.rows.len());
    let fields: Vec<&str> = sample.fields(at).collect();
    // A name with braces would be taken for a template.
    if fields.is_empty() || !few(records - fields.len(), records) || name.contains(['{', '}']) {
        return None;
    }
    let meaning = meaning(name);
    let mut values: Vec<&str> = fields.clone();
    values.sort_unstable();
    values.dedup();
    let distinct = values.len();
    let recurs = || {
        let times = times.map_or(records, |times| times.iter().collect::<HashSet<_>>().len());
        distinct * 2 <= records || times * 2 <= records || records < FEW_RECORDS
    };
    let is_named = matches!(meaning, Some(NameMeaning::Sensor(_) | NameMeaning::Quantity));
    let is_marked = sample.texts.contains(&at);
    let numbers = fields.iter().filter(|field| is_number(field, sample.comma)).count();
    let is_good = if numbers * 2 > fields.len() {
        let is_whole = fields.iter().all(|field| field.bytes().all(|byte| byte.is_ascii_digit()));
        is_whole && is_named && is_numbered(name) && (distinct < records || is_marked) && recurs()
    } else if values_are_measured(sample, at) {
        false
    } else {
        let odd = values.iter().filter(|value| !is_time(value)).count();
        let is_of_times = odd * 2 < distinct || meaning == Some(NameMeaning::Clock);
        let says_nothing = match is_named {
            true => are_measures(&values) || are_units_of(name, &values),
            false => are_remarks(&values),
        };
        !is_of_times && !says_nothing && recurs()
    };
    is_good.then_some(SensorCandidate { at, meaning, distinct })
}

/// Whether a column has words for true and false.
fn values_are_measured(sample: &Sample<'_>, at: usize) -> bool {
    values(sample, at).is_some()
}

/// How many records have the time and the sensor of another one, if that is more than a few.
fn clashes(sample: &Sample<'_>, times: &[String], columns: &[usize]) -> usize {
    let sensors = sample.joined(columns);
    let different = times.iter().zip(&sensors).collect::<HashSet<_>>().len();
    let clashes = times.len() - different;
    if few(clashes, times.len()) { 0 } else { clashes }
}

fn doubts(
    sample: &Sample<'_>,
    times: Option<&[String]>,
    columns: &[usize],
    candidates: &[SensorCandidate],
) -> Vec<String> {
    let mut doubts = Vec::new();
    let others = candidates
        .iter()
        .filter(|other| other.meaning.is_none() && other.distinct > 1 && !columns.contains(&other.at))
        .filter(|other| other.distinct * 2 <= sample.rows.len());
    let others: Vec<String> = others.map(|other| shown(&sample.names[other.at])).collect();
    if times.is_some_and(|times| clashes(sample, times, columns) > 0) {
        doubts.push(
            "several records have the same time and sensor: if they are from several sensors, name the columns that distinguish them in `sensor`, \
             such as \"{a}-{b}\"; for the repeated hour when clocks are set back, set `timezone`"
                .to_owned(),
        );
    } else if columns.is_empty() && !others.is_empty() {
        let (has, it) = if others.len() == 1 { ("has", "it") } else { ("have", "one of them") };
        doubts.push(format!(
            "{} {has} few distinct texts: if {it} identifies the sensor, name it in `sensor`",
            others.join(", ")
        ));
    }
    doubts
}
