//! Whose a record is: by names, and by whether a column tells apart what has the same time.

use std::collections::HashSet;

use super::formats::{few, is_time};
use super::sample::{Sample, is_number, shown};
use super::times::Time;
use super::values::values;
use super::words::{Meaning, are_measures, are_remarks, are_units_of, is_kind, is_numbered, meaning};

/// What was chosen.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// The columns that say together whose a record is.
    pub(super) columns: Vec<usize>,
    /// What could not be told.
    pub(super) doubts: Vec<String>,
}

/// A column that may say whose a record is.
struct Candidate {
    at: usize,
    meaning: Option<Meaning>,
    /// How many different texts it has.
    distinct: usize,
}

/// So many records are too few to ask that names recur.
const FEW_RECORDS: usize = 20;

/// Chooses among the columns that are not `taken`.
pub(super) fn sensor(sample: &Sample<'_>, time: Option<&Time>, taken: &[usize]) -> Choice {
    let times = time.map(|time| sample.joined(&time.columns));
    let free = (0..sample.names.len()).filter(|at| !taken.contains(at));
    let candidates: Vec<Candidate> = free.filter_map(|at| candidate(sample, times.as_deref(), at)).collect();
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
    let by_quantity = varying().find(|candidate| candidate.meaning == Some(Meaning::Quantity));
    if let Some(quantity) = by_quantity.filter(|quantity| !columns.contains(&quantity.at)) {
        if is_constant {
            columns.clear();
        }
        columns.push(quantity.at);
    }
    // What has one time and one sensor is of two: another column tells which.
    if times.is_some() && !tells_apart(&columns) {
        let recurs = |other: &Candidate| other.distinct * 2 <= sample.rows.len();
        let is_one = |other: &Candidate| {
            !matches!(other.meaning, Some(Meaning::Remark | Meaning::Clock))
                || is_kind(&sample.names[other.at])
        };
        let with = |other: &&Candidate| {
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
    Choice { columns, doubts }
}

impl Candidate {
    /// How surely its name says whose a record is: the less, the surer.
    fn rank(&self) -> Option<usize> {
        match self.meaning? {
            Meaning::Sensor(rank) => Some(rank),
            Meaning::Quantity => Some(usize::MAX),
            Meaning::Remark | Meaning::Clock => None,
        }
    }
}

/// Column `at`, if it may say whose a record is: it is hardly ever empty, and has texts that are no numbers, times or measures, or whole
/// numbers under a name that leaves no doubt; and these come again.
fn candidate(sample: &Sample<'_>, times: Option<&[String]>, at: usize) -> Option<Candidate> {
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
    let is_named = matches!(meaning, Some(Meaning::Sensor(_) | Meaning::Quantity));
    let is_marked = sample.texts.contains(&at);
    let numbers = fields.iter().filter(|field| is_number(field, sample.comma)).count();
    let is_good = if numbers * 2 > fields.len() {
        let is_whole = fields.iter().all(|field| field.bytes().all(|byte| byte.is_ascii_digit()));
        is_whole && is_named && is_numbered(name) && (distinct < records || is_marked) && recurs()
    } else if values_are_measured(sample, at) {
        false
    } else {
        let odd = values.iter().filter(|value| !is_time(value)).count();
        let is_of_times = odd * 2 < distinct || meaning == Some(Meaning::Clock);
        let says_nothing = match is_named {
            true => are_measures(&values) || are_units_of(name, &values),
            false => are_remarks(&values),
        };
        !is_of_times && !says_nothing && recurs()
    };
    is_good.then_some(Candidate { at, meaning, distinct })
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
    candidates: &[Candidate],
) -> Vec<String> {
    let mut doubts = Vec::new();
    let others = candidates
        .iter()
        .filter(|other| other.meaning.is_none() && other.distinct > 1 && !columns.contains(&other.at))
        .filter(|other| other.distinct * 2 <= sample.rows.len());
    let others: Vec<String> = others.map(|other| shown(&sample.names[other.at])).collect();
    if times.is_some_and(|times| clashes(sample, times, columns) > 0) {
        doubts.push(
            "several records have one time and one sensor: if they are of several, name the columns that tell them apart in `sensor`, \
             such as \"{a}-{b}\"; in the hour that clocks show twice, `timezone` does"
                .to_owned(),
        );
    } else if columns.is_empty() && !others.is_empty() {
        let (has, it, says) =
            if others.len() == 1 { ("has", "it", "says") } else { ("have", "one of them", "says") };
        doubts.push(format!(
            "{} {has} few different texts: if {it} {says} whose a record is, name it in `sensor`",
            others.join(", ")
        ));
    }
    doubts
}
