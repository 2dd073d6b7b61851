//! Splitting a file into segments: row groups that are read, and those that need not be.

use std::collections::{HashSet, VecDeque};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef};

use super::file::ParquetFile;
use super::statistics::{Statistics, is_always_good};
use crate::arrow::convert::texts_of;
use crate::error::Result;
use crate::error::guard::survived;
use crate::sensor::{MAX_NAME, SensorLookup};
use crate::source::Foresee;

/// A segment of a file.
#[derive(Debug, PartialEq)]
pub(super) enum Segment {
    /// Row groups to read, without the first `skipped` records.
    Read { groups: Vec<usize>, skipped: u64 },
    /// A row group that need not be read: without its first `skipped` records, the stage `stage` filters the remaining `records`.
    Foreseen { group: usize, skipped: u64, records: u64, stage: usize },
}

/// The segments of a file from record `from` on.
pub(super) fn segments(
    statistics: &Statistics<'_>,
    foresee: Option<&Foresee>,
    from: u64,
) -> VecDeque<Segment> {
    let (mut segments, mut start) = (VecDeque::new(), 0);
    for (at, group) in statistics.file.groups().iter().enumerate() {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let skipped = from.saturating_sub(start).min(rows);
        start += rows;
        if skipped == rows {
            continue;
        }
        let extent = || survived(|| statistics.extent(group)).ok().flatten();
        let filtered_by = |foresee: &Foresee| foresee.filtered_by(statistics.schema, &extent()?);
        match (foresee.and_then(filtered_by), segments.back_mut()) {
            (Some(stage), _) => {
                segments.push_back(Segment::Foreseen { group: at, skipped, records: rows - skipped, stage });
            }
            (None, Some(Segment::Read { groups, .. })) => groups.push(at),
            (None, _) => segments.push_back(Segment::Read { groups: vec![at], skipped }),
        }
    }
    segments
}

/// Assigns ids to the sensors of a row group without its first `skipped` records, in their order; returns false if one of the names would
/// be rejected. `source` is the sensor column.
pub(super) fn take_sensors(
    statistics: &Statistics<'_>,
    (group, skipped): (usize, u64),
    source: usize,
    (name, batch): (&str, usize),
    sensors: &mut dyn SensorLookup,
) -> Result<bool> {
    let file = statistics.file;
    if !is_always_good(file.kind(source)) {
        return Ok(false);
    }
    let only = survived(|| statistics.only_sensor(&file.groups()[group], source)).ok().flatten();
    let names = match only {
        Some(only) => Some(vec![only]),
        None => names(file, (group, skipped), source, (name, batch))?,
    };
    let Some(names) = names else { return Ok(false) };
    let is_good = |name: &String| name.len() <= MAX_NAME && !statistics.columns.is_null(name.as_bytes());
    if !names.iter().all(is_good) {
        return Ok(false);
    }
    for name in &names {
        sensors.id(name)?;
    }
    Ok(true)
}

/// The distinct names in a column, in the order of the records; `None` if one is null.
fn names(
    file: &ParquetFile,
    (group, skipped): (usize, u64),
    source: usize,
    (name, batch): (&str, usize),
) -> Result<Option<Vec<String>>> {
    let (mut known, mut names) = (HashSet::new(), Vec::new());
    let mut batches = file.records_of(vec![group], skipped, &[source], batch)?;
    while let Some(records) = file.call(|| batches.next().transpose())? {
        let Some(texts) = distinct(records.column(0), name)? else { return Ok(None) };
        for text in texts {
            if !known.contains(&text) {
                known.insert(text.clone());
                names.push(text);
            }
        }
    }
    Ok(Some(names))
}

/// The texts of an array in order, mostly without repeats; `None` if one is null.
fn distinct(array: &ArrayRef, name: &str) -> Result<Option<Vec<String>>> {
    let (mut texts, mut last) = (Vec::new(), None);
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
        let values = texts_of(dictionary.values(), name)?;
        let mut is_known = vec![false; values.len()];
        for key in dictionary.keys() {
            let key = key.and_then(|key| usize::try_from(key).ok()).filter(|&key| values.is_valid(key));
            let Some(key) = key else { return Ok(None) };
            if !std::mem::replace(&mut is_known[key], true) {
                texts.push(values.value(key).to_owned());
            }
        }
        return Ok(Some(texts));
    }
    let all = texts_of(array, name)?;
    for text in &all {
        let Some(text) = text else { return Ok(None) };
        if last != Some(text) {
            texts.push(text.to_owned());
        }
        last = Some(text);
    }
    Ok(Some(texts))
}
