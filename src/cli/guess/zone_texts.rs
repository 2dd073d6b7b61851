//! Time zones in times or in columns beside them.

use std::collections::BTreeSet;

use super::formats::{is_time, reads_all};
use super::sample::{Sample, shown};
use super::words::{is_zone, words};
use super::zones::{KNOWN, UNCLEAR};

/// Whether a text is an abbreviation of a zone with one meaning; `WEST` is a direction as well.
pub(super) fn is_known(field: &str) -> bool {
    matches!(field, "UTC" | "GMT") || field != "WEST" && KNOWN.iter().any(|(name, _)| *name == field)
}

/// The abbreviations of zones in times, but for those that need no option.
pub(super) fn abbreviations(sample: &Sample<'_>, columns: &[usize]) -> Vec<(&'static str, &'static str)> {
    let texts = sample.joined(columns);
    let has = |name: &str| {
        let words =
            |text: &String| text.split(|letter: char| !letter.is_ascii_alphabetic()).any(|word| word == name);
        texts.iter().any(words)
    };
    KNOWN.into_iter().filter(|(name, _)| has(name)).collect()
}

/// Whether a column is named as a zone.
fn is_called_zone(name: &str) -> bool {
    words(name).any(|word| word == "tz" || word.contains("zone"))
}

/// Whether a column may have zone abbreviations: it is named as a zone, or has no name and follows the time. Elsewhere, `MET` may mean
/// anything.
pub(super) fn may_be_zone(sample: &Sample<'_>, columns: &[usize], at: usize) -> bool {
    let name = &sample.names[at];
    let is_behind = || name.starts_with("column_") && columns.contains(&at.wrapping_sub(1));
    is_called_zone(name) || is_behind()
}

/// The different texts of other columns that name the zone of each record.
pub(super) fn zone_columns<'s>(sample: &Sample<'s>, columns: &[usize]) -> Vec<Vec<&'s str>> {
    let is_other = |at: &usize| !columns.contains(at) && is_called_zone(&sample.names[*at]);
    let others = (0..sample.names.len()).filter(is_other);
    let different = others.map(|at| sample.fields(at).collect::<BTreeSet<_>>().into_iter().collect());
    let are_zones =
        |zones: &Vec<&str>| !zones.is_empty() && zones.iter().all(|zone| is_zone(&zone.to_lowercase()));
    different.filter(are_zones).collect()
}

/// A warning about a column of times with ambiguous zone abbreviations.
pub(super) fn unclear(sample: &Sample<'_>) -> Option<String> {
    let parts = |field: &'_ str| {
        let (time, zone) = field.rsplit_once(' ')?;
        let zone = UNCLEAR.into_iter().find(|unclear| *unclear == zone)?;
        is_time(time).then_some(zone)
    };
    (0..sample.names.len()).find_map(|at| {
        let fields: Vec<&str> = sample.fields(at).collect();
        let zone = parts(fields.first()?)?;
        reads_all(&fields, |field| parts(field).is_some()).then(|| {
            format!(
                "{} has times in the zone {zone}, which several places use: name the column in `time`, and set its offset in `zones`, \
                 such as zones = {{ {zone} = \"-05:00\" }}",
                shown(&sample.names[at])
            )
        })
    })
}
