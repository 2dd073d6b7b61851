//! Which delimiter a text has: the one by which most lines read evenly, with times and numbers under a header.

use super::formats::is_time;
use super::lines::Record;
use super::numerals::is_quantity;
use super::sample::is_number;
use super::values::is_null;

/// Delimiters, the surest sign first: a comma may be a decimal mark, and a blank stands in texts and times.
pub(super) const DELIMITERS: [u8; 5] = [b'\t', b';', b'|', b',', b' '];

/// Others, where none of those but the blank could be meant.
pub(super) const RARE: [u8; 7] = [b'~', b'^', b'#', b'!', b'&', b'$', b'@'];

/// How many records are looked at to tell.
const LOOKED_AT: usize = 300;

/// What a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Time,
    Number,
    /// Nothing, or a text for it.
    Null,
    Text,
}

/// How records look that a delimiter makes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    /// How many fields most records of data have.
    pub(super) width: usize,
    /// Which record is the first of data.
    pub(super) first: usize,
    /// From 0 to 1: how even they are, and how much of them was understood.
    pub(super) score: f64,
}

pub(super) fn look(field: &str) -> Look {
    let field = field.trim();
    match () {
        () if field.is_empty() || is_null(field) => Look::Null,
        () if is_number(field, false) || is_number(field, true) => Look::Number,
        () if is_time(field) => Look::Time,
        () if is_quantity(field) => Look::Number,
        () => Look::Text,
    }
}

/// The shape of records; `None` where no two fields stand in a line of times and numbers.
pub(super) fn shape(records: &[Record]) -> Option<Shape> {
    let records = &records[..records.len().min(LOOKED_AT)];
    let looks: Vec<Vec<Look>> =
        records.iter().map(|record| record.fields.iter().map(|field| look(field)).collect()).collect();
    let has_value = |looks: &&Vec<Look>| looks.iter().any(|look| matches!(look, Look::Time | Look::Number));
    let width = most_frequent(looks.iter().filter(|looks| looks.len() > 1).filter(has_value).map(Vec::len))?;
    let typical: Vec<&Vec<Look>> =
        looks.iter().filter(|looks| looks.len() == width).filter(has_value).collect();
    let mostly = |wanted: Look| -> Vec<usize> {
        let count = |at: usize| typical.iter().filter(|looks| looks[at] == wanted).count();
        (0..width).filter(|&at| count(at) * 2 >= typical.len()).collect()
    };
    let (times, numbers) = (mostly(Look::Time), mostly(Look::Number));
    let is_data = |looks: &Vec<Look>| {
        let understood = |at: &&usize| looks[**at] != Look::Text;
        looks.len() == width
            && match times.as_slice() {
                [] => numbers.iter().filter(understood).count() * 2 > numbers.len() && has_value(&looks),
                times => times.iter().any(|&at| looks[at] == Look::Time),
            }
    };
    let first = looks.iter().position(is_data)?;
    let data: Vec<&Vec<Look>> = looks[first..].iter().filter(|looks| is_data(looks)).collect();
    let even = data.len() as f64 / (looks.len() - first) as f64;
    let understood = data.iter().flat_map(|looks| looks.iter()).filter(|look| **look != Look::Text).count();
    let understood = understood as f64 / (data.len() * width) as f64;
    // Names stand above most tables: above this one they do not, or there are more or fewer.
    let fits =
        |looks: &Vec<Look>| looks.len() == width || looks.len() == width + 1 && looks[width] == Look::Null;
    let has_header = match looks[..first].last() {
        None => 1.0,
        Some(_) if looks[..first].iter().any(fits) => 1.0,
        Some(names) if names.len() > 1 && !has_value(&names) => 0.8,
        Some(_) => 0.5,
    };
    Some(Shape { width, first, score: even * understood * has_header * trust(&records[first..]) })
}

/// Less where the fields have another delimiter, as often in each record, that never stands in a value.
fn trust(records: &[Record]) -> f64 {
    let is_hidden = |delimiter: char| {
        let count =
            |record: &Record| record.fields.iter().map(|field| field.matches(delimiter).count()).sum();
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
