//! Guesses the delimiter of a text: the one that splits most lines evenly, with times and numbers under a header.

use super::formats::is_time;
use super::lines::SampleRecord;
use super::numerals::is_quantity;
use super::sample::is_number;
use super::values::is_null;

/// Delimiters, the most reliable first: a comma may be a decimal mark, and texts and times contain blanks.
pub(super) const DELIMITERS: [u8; 5] = [b'\t', b';', b'|', b',', b' '];

/// Others, tried if none of those except the blank fits.
pub(super) const RARE: [u8; 7] = [b'~', b'^', b'#', b'!', b'&', b'$', b'@'];

/// How many records are used for the guess.
const LOOKED_AT: usize = 300;

/// What a field seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldKind {
    Time,
    Number,
    /// Empty, or a text that means null.
    Null,
    Text,
}

/// The shape of the records that a delimiter gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RecordShape {
    /// The number of fields of most data records.
    pub(super) width: usize,
    /// The first data record.
    pub(super) first: usize,
    /// From 0 to 1: how even the records are, and how many fields are recognised.
    pub(super) score: f64,
}

pub(super) fn look(field: &str) -> FieldKind {
    let field = field.trim();
    match () {
        () if field.is_empty() || is_null(field) => FieldKind::Null,
        () if is_number(field, false) || is_number(field, true) => FieldKind::Number,
        () if is_time(field) => FieldKind::Time,
        () if is_quantity(field) => FieldKind::Number,
        () => FieldKind::Text,
    }
}

/// The shape of records; `None` if no line of times and numbers has two fields.
pub(super) fn shape(records: &[SampleRecord]) -> Option<RecordShape> {
    let records = &records[..records.len().min(LOOKED_AT)];
    let looks: Vec<Vec<FieldKind>> =
        records.iter().map(|record| record.fields.iter().map(|field| look(field)).collect()).collect();
    let has_value = |looks: &&Vec<FieldKind>| {
        looks.iter().any(|look| matches!(look, FieldKind::Time | FieldKind::Number))
    };
    let width = most_frequent(looks.iter().filter(|looks| looks.len() > 1).filter(has_value).map(Vec::len))?;
    let typical: Vec<&Vec<FieldKind>> =
        looks.iter().filter(|looks| looks.len() == width).filter(has_value).collect();
    let mostly = |wanted: FieldKind| -> Vec<usize> {
        let count = |at: usize| typical.iter().filter(|looks| looks[at] == wanted).count();
        (0..width).filter(|&at| count(at) * 2 >= typical.len()).collect()
    };
    let (times, numbers) = (mostly(FieldKind::Time), mostly(FieldKind::Number));
    let is_data = |looks: &Vec<FieldKind>| {
        let understood = |at: &&usize| looks[**at] != FieldKind::Text;
        looks.len() == width
            && match times.as_slice() {
                [] => numbers.iter().filter(understood).count() * 2 > numbers.len() && has_value(&looks),
                times => times.iter().any(|&at| looks[at] == FieldKind::Time),
            }
    };
    let first = looks.iter().position(is_data)?;
    let data: Vec<&Vec<FieldKind>> = looks[first..].iter().filter(|looks| is_data(looks)).collect();
    let even = data.len() as f64 / (looks.len() - first) as f64;
    let understood =
        data.iter().flat_map(|looks| looks.iter()).filter(|look| **look != FieldKind::Text).count();
    let understood = understood as f64 / (data.len() * width) as f64;
    // Names stand above most tables: above this one they do not, or there are more or fewer.
    let fits = |looks: &Vec<FieldKind>| {
        looks.len() == width || looks.len() == width + 1 && looks[width] == FieldKind::Null
    };
    let has_header = match looks[..first].last() {
        None => 1.0,
        Some(_) if looks[..first].iter().any(fits) => 1.0,
        Some(names) if names.len() > 1 && !has_value(&names) => 0.8,
        Some(_) => 0.5,
    };
    Some(RecordShape { width, first, score: even * understood * has_header * trust(&records[first..]) })
}

/// Lower if the fields contain another delimiter equally often in each record.
fn trust(records: &[SampleRecord]) -> f64 {
    let is_hidden = |delimiter: char| {
        let count =
            |record: &SampleRecord| record.fields.iter().map(|field| field.matches(delimiter).count()).sum();
        let counts: Vec<usize> = records.iter().map(count).collect();
        counts[0] > 0 && counts.iter().all(|count| *count == counts[0])
    };
    if ['\t', ';', '|'].into_iter().any(is_hidden) { 0.3 } else { 1.0 }
}

/// The most frequent number; of several the largest.
pub(super) fn most_frequent(numbers: impl Iterator<Item = usize>) -> Option<usize> {
    let mut counts = std::collections::BTreeMap::new();
    numbers.for_each(|number| *counts.entry(number).or_insert(0_usize) += 1);
    counts.into_iter().max_by_key(|&(number, count)| (count, number)).map(|(number, _)| number)
}
