//! Reports what was guessed.

use super::found::InputsFound;
use crate::cli::guess::{FileKind, Guess};
use crate::cli::output;
use crate::cli::summary::plural;
use tidemill_core::error::visible;

/// The maximum number of open questions that are reported.
const MOST_DOUBTS: usize = 12;

/// The maximum number of left-out files that are named.
const MOST_LEFT_OUT: usize = 10;

/// The maximum number of columns that are named, and that are shown of a record.
const MOST_COLUMNS: usize = 20;

pub(super) fn tell(found: &InputsFound) {
    let guess = &found.guess;
    let mut lines = vec![looked_at(found)];
    lines.push(format!("format: {}", format_of(guess)));
    lines.extend(
        guess
            .encoding
            .map(|encoding| format!("encoding: {}; check the non-ASCII characters", encoding.to_lowercase())),
    );
    lines.extend(layout(guess));
    lines.extend(time(guess));
    lines.push(sensor(guess));
    lines.push(match guess.roles.measurements.as_slice() {
        [] => "measurements: none found; name them in [source] `measurements`, and add stages".to_owned(),
        columns => format!("measurements: {}", named(guess, columns)),
    });
    lines.extend(numerals(guess));
    lines.extend(missing(guess));
    lines.extend(differences(found));
    lines.extend(guess.doubts.iter().take(MOST_DOUBTS).map(|doubt| format!("check: {doubt}")));
    if guess.doubts.len() > MOST_DOUBTS {
        lines.push(format!("check: {} more of other files", guess.doubts.len() - MOST_DOUBTS));
    }
    if !guess.first.is_empty() && !guess.roles.measurements.is_empty() {
        lines.push("the first records, as read:".to_owned());
        lines.extend(guess.first.iter().map(|record| format!("  {}", some(record.iter().cloned()))));
    }
    lines.iter().for_each(|line| output::note(&visible(line)));
}

fn named(guess: &Guess, columns: &[usize]) -> String {
    some(columns.iter().map(|&at| format!("`{}`", guess.names[at].escape_debug())))
}

/// The first of many texts, and how many more there are.
fn some(texts: impl ExactSizeIterator<Item = String>) -> String {
    let more = texts.len().saturating_sub(MOST_COLUMNS);
    let mut texts: Vec<String> = texts.take(MOST_COLUMNS).collect();
    texts.extend((more > 0).then(|| format!("and {more} more")));
    texts.join(", ")
}

fn looked_at(found: &InputsFound) -> String {
    let records = plural(found.guess.records as u64, "record");
    match &found.first {
        None => format!("looked at {records} of standard input"),
        Some(first) if found.files > 1 => {
            format!("looked at {records} of {} files, {} first", found.files, first.display())
        }
        Some(first) if found.guess.kind == FileKind::Parquet => {
            format!("looked at the columns of {}", first.display())
        }
        Some(first) => format!("looked at {records} of {}", first.display()),
    }
}

fn format_of(guess: &Guess) -> String {
    match guess.kind {
        FileKind::Delimited => {
            let header = if guess.dialect.has_header { "a header" } else { "no header" };
            let decimal = if guess.roles.decimal_comma { "comma" } else { "point" };
            let fields = match guess.dialect.delimiter {
                _ if guess.dialect.widths.is_some() => "fixed-width fields".to_owned(),
                b' ' => "delimited by blanks".to_owned(),
                other => format!("delimited by {:?}", char::from(other)),
            };
            format!("{fields}, {header}, decimal {decimal}")
        }
        FileKind::Json => match &guess.unfold {
            Some(array) => format!("JSON, each element of `{}` a record", array.escape_debug()),
            None => match guess.layout {
                Some(layout) => format!("JSON, read by layout = {layout:?}"),
                None => "JSON".to_owned(),
            },
        },
        FileKind::Influx => "line protocol".to_owned(),
        FileKind::Parquet => "Parquet".to_owned(),
    }
}

fn layout(guess: &Guess) -> Option<String> {
    let layout = &guess.dialect.layout;
    let part = |what: &str, line: Option<usize>| line.map(|line| format!("{what} in line {line}"));
    let parts = [
        part("names", layout.header_row),
        part("units", layout.units_row),
        part("the first record", layout.data_row),
        layout.skip_lines.map(|lines| format!("{} before the first record", plural(lines as u64, "line"))),
        layout.ragged.filter(|_| guess.dialect.widths.is_none()).map(|ragged| {
            format!("records have more or fewer fields than the header, read with ragged = {ragged:?}")
        }),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("lines: {}", parts.join(", ")))
}

fn time(guess: &Guess) -> Vec<String> {
    if guess.kind == FileKind::Influx {
        let mut lines =
            vec![format!("time: the timestamps of the lines, in {}", guess.precision.unwrap_or("ns"))];
        if guess.timeless > 0 {
            lines.push(format!(
                "  {} without a time, rejected in a file; for a live feed, missing_time = \"arrival\" uses the arrival time",
                plural(guess.timeless as u64, "record")
            ));
        }
        return lines;
    }
    let Some(time) = &guess.roles.time else {
        if guess.roles.relative.is_some() {
            return vec!["time: none yet, because no column gives its start".to_owned()];
        }
        return vec!["time: none found; set `time` in [source] if there is one".to_owned()];
    };
    let name = named(guess, &time.columns);
    let mut lines = vec![match time.format.as_str() {
        "" => format!("time: {name}"),
        format => format!("time: {name}, written as {format}"),
    }];
    lines.extend(time.is_local.then(|| match &time.zone {
        Some(zone) => format!("  in the zone {}, because the file calls it {:?}", zone.option, zone.said),
        None => {
            "  without an offset or a zone: UTC is assumed; if it is another one, set `timezone`".to_owned()
        }
    }));
    let zones = time.zones.iter().map(|(name, offset)| format!("  {name} is {offset}"));
    lines.extend(zones);
    lines.extend(
        time.other_format.as_ref().map(|other| format!("  it could also be {other}: check `time_format`")),
    );
    if time.newest_first {
        lines.push("  the newest record comes first: `order` sorts them".to_owned());
    }
    lines
}

fn sensor(guess: &Guess) -> String {
    match (guess.roles.sensor.as_slice(), guess.station.as_ref().or(guess.series.as_ref())) {
        _ if guess.kind == FileKind::Influx => {
            "sensor: the series (table and tags); `sensor` can name a tag instead".to_owned()
        }
        ([], Some(series)) if guess.station.is_none() => {
            format!(
                "sensor: {series}, because the files are named after their start times and are read as one series"
            )
        }
        ([], Some(station)) => format!("sensor: {station}, as given in the file"),
        ([], None) => "sensor: no column; each file is one sensor, named after the file".to_owned(),
        ([only], _) => format!("sensor: {}", named(guess, &[*only])),
        (several, _) => {
            format!("sensor: {} combined, because one alone has several series", named(guess, several))
        }
    }
}

/// Thousands separators and units.
fn numerals(guess: &Guess) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(mark) = guess.roles.thousands {
        lines.push(format!("numbers: {mark:?} separates groups of three digits"));
    }
    for (at, unit) in &guess.roles.units {
        lines.push(format!("unit: {unit} follows the numbers of {}, and is removed", named(guess, &[*at])));
    }
    lines
}

/// Null values, and words for true and false.
fn missing(guess: &Guess) -> Vec<String> {
    let roles = &guess.roles;
    let texts =
        |texts: &[String]| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    if !roles.null_values.is_empty() {
        lines.push(format!("missing values: {}", texts(&roles.null_values)));
    }
    for (at, suspect) in &roles.suspects {
        lines.push(format!(
            "  {suspect} is far from all other values of {}, and seems to mark missing values; if it is a real value, remove it from `null_values`",
            named(guess, &[*at])
        ));
    }
    if !roles.true_words.is_empty() {
        lines.push(format!("1 and 0: {} and {}", texts(&roles.true_words), texts(&roles.false_words)));
    }
    lines
}

fn differences(found: &InputsFound) -> Vec<String> {
    let guess = &found.guess;
    let mut lines = Vec::new();
    if guess.differs {
        lines.push("the files have different columns: columns that a file lacks are null".to_owned());
    }
    for (at, why) in &guess.roles.useless {
        lines.push(format!("{} {why}, and could be left out", named(guess, &[*at])));
    }
    for name in &guess.unreadable {
        lines.push(format!("`{}` has bytes that are not text, and is left out", name.escape_debug()));
    }
    let left_out = found.left_out.iter().take(MOST_LEFT_OUT);
    lines.extend(left_out.map(|(file, why)| format!("left out: {}: {why}", file.display())));
    if found.left_out.len() > MOST_LEFT_OUT {
        let more = plural((found.left_out.len() - MOST_LEFT_OUT) as u64, "file");
        lines.push(format!("left out: {more} more"));
    }
    lines
}
