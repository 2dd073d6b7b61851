//! The formats of times that are tried, and their parsers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::zones::KNOWN;
use tidemill_core::time::{TimeFormat, TimeParser, Timestamp};

/// A format, and what a text must have so that it is worth trying.
struct CandidateFormat {
    name: String,
    /// The part after the date.
    clock: &'static str,
    parser: TimeParser,
    /// The first byte that is neither a letter nor a digit; 0 where there is none.
    mark: u8,
    has_colon: bool,
}

/// The usual format, and those of C and of mail.
const WHOLE: [&str; 3] = ["rfc3339", "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S %z"];

/// Dates; of two that match the same text, the first is chosen, and the other one reported.
const DATES: [&str; 18] = [
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%Y/%m/%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %Y",
    "%b %d %Y",
    "%b %d, %Y",
    "%d/%b/%Y",
    "%Y.%m.%d",
    "%Y%m%d",
];

/// What may follow a date.
const CLOCKS: [&str; 26] = [
    "",
    " %H:%M:%S",
    " %H:%M",
    " %I:%M:%S %p",
    " %I:%M %p",
    " %H:%M:%S%.f",
    " %I:%M:%S%.f %p",
    " %H:%M:%S %z",
    " %H:%M %z",
    " %H:%M:%S%.f %z",
    " %H:%M:%S %Z",
    " %H:%M %Z",
    " %H:%M:%S%.f %Z",
    "T%H:%M:%S%.f",
    "T%H:%M",
    ", %H:%M:%S",
    ", %H:%M",
    ", %I:%M:%S %p",
    "_%H:%M:%S",
    " %H.%M.%S",
    " %H.%M",
    " %H%M",
    " %H%M%S",
    " %H",
    " %H %M",
    " %H %M %S",
];

/// How times of day are written.
const TIMES_OF_DAY: [&str; 4] = ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p"];
/// The same without marks: numbers, if nothing says what they are.
const DIGITS_OF_DAY: [&str; 2] = ["%H%M", "%H%M%S"];

/// Digits alone, by their number.
const COMPACT: [(usize, &str); 4] =
    [(14, "%Y%m%d%H%M%S"), (12, "%Y%m%d%H%M"), (10, "%Y%m%d%H"), (8, "%Y%m%d")];

static FORMATS: LazyLock<Vec<CandidateFormat>> = LazyLock::new(|| {
    let dated = DATES.iter().flat_map(|date| {
        CLOCKS.iter().map(move |clock| CandidateFormat::new(format!("{date}{clock}"), clock))
    });
    WHOLE.iter().map(|name| CandidateFormat::new((*name).to_owned(), name)).chain(dated).flatten().collect()
});

static OF_DAY: LazyLock<Vec<CandidateFormat>> = LazyLock::new(|| {
    TIMES_OF_DAY.iter().filter_map(|format| CandidateFormat::new((*format).to_owned(), format)).collect()
});

impl CandidateFormat {
    fn new(name: String, clock: &'static str) -> Option<Self> {
        let parser = parser(&name)?;
        let text = if name == "rfc3339" { "0-0" } else { &name };
        let mut letters = text.bytes();
        let mut mark = 0;
        while let Some(letter) = letters.next() {
            match letter {
                b'%' => drop(letters.find(u8::is_ascii_alphabetic)),
                letter if letter.is_ascii_alphanumeric() => {}
                letter => {
                    mark = letter;
                    break;
                }
            }
        }
        let has_colon = name.contains(':');
        Some(Self { name, clock, parser, mark, has_colon })
    }

    /// Whether it parses a text as a time in the plausible range.
    fn reads(&self, field: &str) -> bool {
        self.time(field).is_some()
    }

    fn time(&self, field: &str) -> Option<Timestamp> {
        let is_iso = self.name == "rfc3339";
        let is_like = is_iso
            || mark(field) == self.mark && (!self.has_colon || field.contains(':')) && !is_digits(field);
        let time = if is_like { self.parser.parse(field.as_bytes()).ok()? } else { return None };
        (FIRST..LAST).contains(&time.as_nanos()).then_some(time)
    }
}

/// 1900 and 2100: the plausible range.
const FIRST: i64 = -2_208_988_800_000_000_000;
const LAST: i64 = 4_102_444_800_000_000_000;

fn mark(field: &str) -> u8 {
    field.bytes().find(|byte| !byte.is_ascii_alphanumeric()).unwrap_or_default()
}

static ZONES: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| KNOWN.into_iter().map(|(name, offset)| (name.to_owned(), offset.to_owned())).collect());

/// The parser of a format.
pub(super) fn parser(format: &str) -> Option<TimeParser> {
    parser_in(format, None)
}

/// The same with a time `zone`.
pub(super) fn parser_in(format: &str, zone: Option<&str>) -> Option<TimeParser> {
    let format = if format.is_empty() { "rfc3339" } else { format };
    let parser = TimeParser::new(TimeFormat::parse(format).ok()?, zone).ok()?;
    // Formats without zone abbreviations reject the option.
    let parser = parser.clone().with_zones(&ZONES).unwrap_or(parser);
    match parser.is_time_of_day() {
        true => parser.with_start("2000-01-01T00:00:00Z").ok(),
        false => Some(parser),
    }
}

/// Whether a field is a time, or the date of one, or a time of day.
pub(super) fn is_time(field: &str) -> bool {
    let field = field.trim();
    let digits = field.bytes().filter(u8::is_ascii_digit).count();
    let marks = field.bytes().filter(|byte| !byte.is_ascii_alphanumeric()).count();
    let may_be = (4..=40).contains(&field.len()) && digits >= 3 && (marks > 1 || field.contains(':'));
    may_be && !is_digits(field) && (is_of_day(field) || FORMATS.iter().any(|format| format.reads(field)))
        || field.len() > 14 && FORMATS[0].reads(field) && !is_digits(field)
}

fn is_of_day(field: &str) -> bool {
    field.contains(':') && OF_DAY.iter().any(|format| format.reads(field))
}

/// Whether a field is only digits, perhaps with a decimal point: more likely a number than a time.
pub(super) fn is_digits(field: &str) -> bool {
    let mut marks = field.bytes().filter(|byte| !byte.is_ascii_digit());
    marks.next().is_none_or(|mark| mark == b'.') && marks.next().is_none()
}

/// Whether so few of `all` are odd that they can be ignored.
pub(super) fn few(odd: usize, all: usize) -> bool {
    odd * 20 <= all || odd == 1 && all >= 8
}

/// The same for times: hardly anything else looks like one, so fewer are enough.
pub(super) fn few_times(odd: usize, all: usize) -> bool {
    few(odd, all) || odd == 1 && all >= 3
}

/// The format that parses all but a few, and another one that parses them as different times, if day and month are ambiguous.
pub(super) fn pattern(fields: &[&str]) -> Option<(String, Option<String>)> {
    pattern_among(fields, |_| true)
}

/// The same for a date followed by `clock`.
pub(super) fn dated(fields: &[&str], clock: &str) -> Option<(String, Option<String>)> {
    pattern_among(fields, |format| format.clock == clock)
}

fn pattern_among(
    fields: &[&str],
    is_wanted: impl Fn(&CandidateFormat) -> bool,
) -> Option<(String, Option<String>)> {
    let wanted = FORMATS.iter().filter(|format| is_wanted(format));
    let mut fitting = wanted.filter(|format| reads_all(fields, |field| format.reads(field)));
    let first = fitting.next()?;
    let parsed = |format: &CandidateFormat| fields.iter().map(|field| format.time(field)).collect::<Vec<_>>();
    let times = parsed(first);
    let other = fitting.filter(|format| format.clock == first.clock).find(|format| {
        let others = parsed(format);
        times.iter().zip(&others).any(|(one, other)| other.is_some() && one != other)
    });
    Some((first.name.clone(), other.map(|other| other.name.clone())))
}

/// The format of dates, or dates and times of day, that are digits alone.
pub(super) fn compact(fields: &[&str]) -> Option<&'static str> {
    let length = fields.first()?.len();
    let (_, format) = COMPACT.into_iter().find(|(digits, _)| *digits == length)?;
    let parser = parser(format)?;
    let read = |field: &str| {
        let is_of_digits = field.len() == length && field.bytes().all(|byte| byte.is_ascii_digit());
        let time = parser.parse(field.as_bytes()).ok().filter(|_| is_of_digits);
        // 1970 to 2050: a count of something else is seldom a date of our time.
        time.is_some_and(|time| (0..2_524_608_000_000_000_000).contains(&time.as_nanos()))
    };
    reads_all(fields, read).then_some(format)
}

/// The format of times of day; digits alone are some where the column `is_named` so.
pub(super) fn of_day(fields: &[&str], is_named: bool) -> Option<&'static str> {
    let is_clock = |field: &str| field.bytes().all(|byte| byte.is_ascii_digit());
    // Up to two digits count minutes or anything.
    let is_long = fields.iter().any(|field| field.len() > 2);
    let digits: &[&'static str] =
        if is_named && is_long && reads_all(fields, is_clock) { &DIGITS_OF_DAY } else { &[] };
    let formats = TIMES_OF_DAY.iter().chain(digits).copied();
    formats.into_iter().find(|format| {
        let Some(parser) = parser(format) else { return false };
        let is_like = |field: &str| is_digits(field) == DIGITS_OF_DAY.contains(format);
        reads_all(fields, |field| is_like(field) && parser.parse(field.as_bytes()).is_ok())
    })
}

/// Whether all fields but a few match, checking as few as possible.
pub(super) fn reads_all(fields: &[&str], is_such: impl Fn(&str) -> bool) -> bool {
    let mut odd = 0;
    !fields.is_empty()
        && fields.iter().all(|field| {
            odd += usize::from(!is_such(field));
            few_times(odd, fields.len())
        })
}

/// Whether a format gives dates without a time of day.
pub(super) fn is_date(format: &str) -> bool {
    format.contains('%') && !["%H", "%I", "%z", "%Z"].iter().any(|part| format.contains(part))
}
