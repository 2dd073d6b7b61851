//! Times in parts: a column of years, one of months, and so on.

use super::formats::{parser, reads_all};
use super::sample::Sample;

/// A part of a time in a column of its own: column names, directive, minimum and maximum.
struct TimePart {
    names: &'static [&'static str],
    directive: &'static str,
    low: u32,
    high: u32,
}

const YEAR: TimePart = TimePart {
    names: &["year", "yyyy", "yr", "jahr", "año", "annee", "année"],
    directive: "%Y",
    low: 1900,
    high: 2100,
};
const SHORT_YEAR: TimePart =
    TimePart { names: &["yy", "year", "yr", "jahr"], directive: "%y", low: 0, high: 99 };
const LONG_YY: TimePart = TimePart { names: &["yy"], directive: "%Y", low: 1900, high: 2100 };
const MONTH: TimePart = TimePart {
    names: &["month", "mon", "mo", "mm", "monat", "mes", "mois"],
    directive: "%m",
    low: 1,
    high: 12,
};
const DAY: TimePart = TimePart {
    names: &["day", "dd", "dy", "da", "tag", "dia", "día", "jour", "dom"],
    directive: "%d",
    low: 1,
    high: 31,
};
const DAY_OF_YEAR: TimePart = TimePart {
    names: &["doy", "jday", "jd", "yday", "julian", "dayofyear", "day_of_year", "day of year", "julian_day"],
    directive: "%j",
    low: 1,
    high: 366,
};
const HOUR: TimePart = TimePart {
    names: &["hour", "hh", "hr", "hours", "stunde", "hora", "heure"],
    directive: "%H",
    low: 0,
    high: 24,
};
const MINUTE: TimePart = TimePart {
    names: &["minute", "min", "mm", "mn", "mi", "minutes", "minuto"],
    directive: "%M",
    low: 0,
    high: 59,
};
const SECOND: TimePart =
    TimePart { names: &["second", "sec", "ss", "seconds", "sekunde"], directive: "%S", low: 0, high: 59 };
const CLOCK: TimePart = TimePart {
    names: &["hhmm", "hrmn", "hourmin", "hour_minute", "hm", "time", "zeit", "uhrzeit"],
    directive: "%H%M",
    low: 0,
    high: 2400,
};

/// The columns that give a time together, and its format.
pub(super) fn parts(sample: &Sample<'_>) -> Option<(Vec<usize>, String)> {
    let mut columns = Vec::new();
    let mut directives = Vec::new();
    let mut take = |parts: &[&TimePart]| {
        let found = parts.iter().find_map(|part| Some((column(sample, part, &columns)?, part.directive)));
        let (column, directive) = found?;
        columns.push(column);
        directives.push(directive);
        Some(())
    };
    take(&[&YEAR, &LONG_YY, &SHORT_YEAR])?;
    match take(&[&MONTH]) {
        Some(()) => take(&[&DAY])?,
        None => take(&[&DAY_OF_YEAR])?,
    }
    if take(&[&HOUR]).is_some() {
        if take(&[&MINUTE]).is_some() {
            take(&[&SECOND]);
        }
    } else {
        take(&[&CLOCK]);
    }
    let format = directives.join(" ");
    let parser = parser(&format)?;
    let texts = sample.joined(&columns);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    reads_all(&texts, |text| parser.parse(text.as_bytes()).is_ok()).then_some((columns, format))
}

/// The columns that give a time of day in parts: the hour alone, or with minutes and seconds.
pub(super) fn clock(sample: &Sample<'_>) -> Vec<usize> {
    let mut columns = Vec::new();
    for part in [&HOUR, &MINUTE, &SECOND] {
        let Some(column) = column(sample, part, &columns) else { break };
        columns.push(column);
    }
    columns
}

/// The first column with such a name and such numbers that is not `taken`.
fn column(sample: &Sample<'_>, part: &TimePart, taken: &[usize]) -> Option<usize> {
    let is_called = |at: &usize| {
        let name = sample.names[*at].trim().to_lowercase();
        let name = name.split(['(', '[']).next().unwrap_or_default().trim().to_owned();
        part.names.contains(&name.as_str())
    };
    let has_such = |at: &usize| {
        let fields: Vec<&str> = sample.fields(*at).collect();
        reads_all(&fields, |field| field.parse().is_ok_and(|number| (part.low..=part.high).contains(&number)))
    };
    (0..sample.names.len()).filter(|at| !taken.contains(at)).filter(is_called).find(has_such)
}
