//! The time zone that a file gives in the name of the time column or in the lines before the records.

use super::sample::shown;
use tidemill_core::time::{TimeFormat, TimeParser};

/// The zone of times without an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Zone {
    /// The option `timezone`.
    pub(in crate::cli) option: String,
    /// The text in the file.
    pub(in crate::cli) said: String,
}

/// The meaning of a text about a zone.
#[derive(Debug, PartialEq, Eq)]
enum ZoneText {
    Zone(Zone),
    /// The text is ambiguous.
    Unclear(String),
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ZoneFound {
    pub(super) zone: Option<Zone>,
    /// Open questions.
    pub(super) doubt: Option<String>,
}

/// Unambiguous abbreviations, and their offsets from UTC.
pub(super) const KNOWN: [(&str, &str); 12] = [
    ("WET", "+00:00"),
    ("WEST", "+01:00"),
    ("CET", "+01:00"),
    ("MEZ", "+01:00"),
    ("MET", "+01:00"),
    ("CEST", "+02:00"),
    ("MESZ", "+02:00"),
    ("MEST", "+02:00"),
    ("EET", "+02:00"),
    ("EEST", "+03:00"),
    ("MSK", "+03:00"),
    ("JST", "+09:00"),
];

/// Pairs of standard and daylight saving time, and their place. Names such as `CET` and `EST5EDT` are
/// links to these places in the IANA database.
const IN_TURN: [([&str; 2], &str); 19] = [
    (["CET", "CEST"], "Europe/Brussels"),
    (["MEZ", "MESZ"], "Europe/Berlin"),
    (["MET", "MEST"], "Europe/Brussels"),
    (["EET", "EEST"], "Europe/Athens"),
    (["WET", "WEST"], "Europe/Lisbon"),
    (["GMT", "BST"], "Europe/London"),
    (["GMT", "IST"], "Europe/Dublin"),
    (["MSK", "MSD"], "Europe/Moscow"),
    (["NST", "NDT"], "America/St_Johns"),
    (["AST", "ADT"], "America/Halifax"),
    (["EST", "EDT"], "America/New_York"),
    (["CST", "CDT"], "America/Chicago"),
    (["MST", "MDT"], "America/Denver"),
    (["PST", "PDT"], "America/Los_Angeles"),
    (["AKST", "AKDT"], "America/Anchorage"),
    (["IST", "IDT"], "Asia/Jerusalem"),
    (["ACST", "ACDT"], "Australia/Adelaide"),
    (["AEST", "AEDT"], "Australia/Sydney"),
    (["NZST", "NZDT"], "Pacific/Auckland"),
];

/// Both of two in one word.
const TOGETHER: [(&str, &str); 3] = [("CE(S)T", "CET/CEST"), ("ME(S)Z", "MEZ/MESZ"), ("E(S/D)T", "EST/EDT")];

/// Ambiguous abbreviations, or zones whose place only the user knows.
pub(super) const UNCLEAR: [&str; 22] = [
    "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT", "AST", "ADT", "IST", "BST", "SST", "GST", "AEST",
    "AEDT", "ACST", "AWST", "NZST", "NZDT", "PKT", "WIB",
];

/// Labels of a zone in a preamble.
const LABELS: [&str; 8] =
    ["time zone", "timezone", "time_zone", "zeitzone", "utc offset", "utc_offset", "fuseau horaire", "tz"];

/// In which zone times are that stand in columns called `names`, below the lines `before` and beside columns that have nothing but `zones`,
/// and do not say it themselves.
pub(super) fn find(names: &[&str], before: &[String], zones: &[Vec<&str>]) -> ZoneFound {
    let in_names = names.iter().filter_map(|name| said(name));
    let in_lines = before.iter().filter_map(|line| labelled(line).and_then(said_in_full));
    let in_columns = zones.iter().flat_map(|zones| match in_turn(&zones.join("/")) {
        Some(zone) => vec![ZoneText::Zone(zone)],
        None => zones.iter().filter_map(|zone| said(zone)).collect(),
    });
    let mut all: Vec<ZoneText> = in_names.chain(in_lines).chain(in_columns).collect();
    let offsets = |said: &ZoneText| match said {
        ZoneText::Zone(zone) => Some(zone.option.clone()),
        ZoneText::Unclear(_) => None,
    };
    let first = all.first().and_then(offsets);
    if all.iter().any(|said| offsets(said) != first) {
        let written = all.iter().map(|said| match said {
            ZoneText::Zone(zone) => shown(&zone.said),
            ZoneText::Unclear(text) => shown(text),
        });
        let written: Vec<String> = written.collect();
        let doubt = format!("the time zone is given as {}: set `timezone`", written.join(" and "));
        return ZoneFound { zone: None, doubt: Some(doubt) };
    }
    match (all.is_empty(), all.drain(..).next()) {
        (false, Some(ZoneText::Zone(zone))) => ZoneFound { doubt: doubt(&zone), zone: Some(zone) },
        (false, Some(ZoneText::Unclear(text))) => ZoneFound {
            doubt: Some(format!(
                "the time zone is given as {}, which several places use: name one in `timezone`",
                shown(&text)
            )),
            zone: None,
        },
        _ => ZoneFound::default(),
    }
}

/// Warnings about abbreviations: one is a fixed offset, but is also used where daylight saving time applies; two are used in many places.
fn doubt(zone: &Zone) -> Option<String> {
    let said = shown(&zone.said);
    let is_offset = zone.option.starts_with(['+', '-']);
    if is_offset && has_words(&zone.said) {
        return Some(format!(
            "{said} is read as {} all year: if daylight saving time applies, name a place in `timezone`",
            zone.option
        ));
    }
    let (_, place) =
        IN_TURN.iter().find(|(names, place)| *place == zone.option || names.contains(&zone.said.as_str()))?;
    if zone.option == *place {
        let is_said = zone.said.contains(place);
        return (!is_said).then(|| {
            format!(
                "{said} is used by several places, whose rules for daylight saving time differed: {place} is assumed; if it is \
                 another one, name it in `timezone`"
            )
        });
    }
    Some(format!("{said} is {} all year: if daylight saving time applies, timezone = {place:?}", zone.option))
}

/// The place of a pair of abbreviations in a text, such as `CET/CEST` and `CET-1CEST`.
fn in_turn(text: &str) -> Option<Zone> {
    let text = TOGETHER.iter().find(|(one, _)| text.contains(one)).map_or(text, |(_, both)| *both);
    let words: Vec<&str> = text.split(|letter: char| !letter.is_ascii_alphabetic()).collect();
    let (names, place) = IN_TURN.iter().find(|(names, _)| names.iter().all(|name| words.contains(name)))?;
    Some(Zone { option: (*place).to_owned(), said: names.join("/") })
}

/// The text after a label of a zone in a line.
fn labelled(line: &str) -> Option<&str> {
    let small = line.to_ascii_lowercase();
    LABELS.iter().find_map(|label| {
        let at = small.find(label)?;
        let is_word = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric());
        let is_apart =
            is_word(small[..at].chars().next_back()) && is_word(small[at + label.len()..].chars().next());
        // An offset alone is one of UTC behind such a label.
        is_apart.then(|| line[at..].split_at(label.len()).1)
    })
}

/// The zone that a text gives, if any.
fn said(text: &str) -> Option<ZoneText> {
    let zone = |option: String, said: &str| ZoneText::Zone(Zone { option, said: said.trim().to_owned() });
    if let Some(place) = place_in(text) {
        return Some(zone(place.to_owned(), place));
    }
    // Before the offset that one of the two may be, as in `GMT/BST`.
    if let Some(zone) = in_turn(text) {
        return Some(ZoneText::Zone(zone));
    }
    if let Some((minutes, said)) = offset_in(text) {
        return Some(zone(offset(minutes), said));
    }
    let words: Vec<&str> = text.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    if let Some((name, offset)) = KNOWN.iter().find(|(name, _)| words.contains(name)) {
        return Some(zone((*offset).to_owned(), name));
    }
    UNCLEAR.iter().find(|name| words.contains(name)).map(|name| ZoneText::Unclear((*name).to_owned()))
}

/// The same of what stands behind a label; where it says more than an offset, as `(UTC-05:00) Eastern Time` does, in full.
fn said_in_full(text: &str) -> Option<ZoneText> {
    match said(text)? {
        ZoneText::Zone(zone)
            if has_words(text) && zone.option.starts_with(['+', '-']) && !is_known(&zone.said) =>
        {
            let text = text.trim_matches(|letter: char| letter.is_whitespace() || ":=,;\"'".contains(letter));
            Some(ZoneText::Zone(Zone { said: text.to_owned(), ..zone }))
        }
        said => Some(said),
    }
}

fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// Whether a text has words other than what an offset is written with.
fn has_words(text: &str) -> bool {
    let mut words = text.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty());
    words.any(|word| !["UTC", "GMT"].contains(&word.to_uppercase().as_str()) && !is_known(word))
}

/// An IANA zone, such as `Europe/Berlin`.
fn place_in(text: &str) -> Option<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "/_+-".contains(letter);
    let mut names = text.split(|letter| !is_part(letter)).filter(|name| name.contains('/'));
    names.find(|name| TimeParser::new(TimeFormat::Rfc3339, Some(name)).is_ok())
}

/// The offset from UTC in a text such as `GMT+01:00`, in minutes, and its position in the text. UTC alone is not an offset.
fn offset_in(text: &str) -> Option<(i32, &str)> {
    let upper = text.to_ascii_uppercase();
    let mut starts = ["UTC", "GMT"].iter().flat_map(|name| upper.match_indices(name)).map(|(at, _)| at);
    let start = starts.find(|&at| {
        let is_apart = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_ascii_alphabetic());
        is_apart(upper[..at].chars().next_back()) && is_apart(upper[at + 3..].chars().next())
    });
    // After a label, an offset may be without `UTC`.
    let from = match start {
        Some(start) => start + 3,
        None => text.find(|letter: char| !letter.is_whitespace() && !":=,;\"'".contains(letter))?,
    };
    let rest = text[from..].trim_start();
    let signed = match rest.chars().next() {
        Some('+') => Some((1, rest[1..].trim_start())),
        Some(minus @ ('-' | '\u{2212}')) => Some((-1, rest[minus.len_utf8()..].trim_start())),
        _ => None,
    };
    let minutes = match (start, signed) {
        (_, Some((sign, digits))) => length(digits).map(|(minutes, used)| (sign * minutes, &digits[used..])),
        (Some(_), None) => None,
        (None, None) => return None,
    };
    match (start, minutes) {
        (None, None) => None,
        (_, Some((minutes, behind))) => {
            let end = text.len() - behind.len();
            Some((minutes, text[start.unwrap_or(from)..end].trim()))
        }
        (Some(start), None) => Some((0, &text[start..start + 3])),
    }
}

/// The minutes of `1`, `01`, `0100` or `01:00`, and the length of that text.
fn length(text: &str) -> Option<(i32, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i32>().ok();
    let (hours, minutes, used) = match digits {
        4 => (number(0, 2)?, number(2, 4)?, 4),
        1 | 2 => {
            let behind = &text.as_bytes()[digits..];
            match behind {
                [b':', tens, ones, ..] if tens.is_ascii_digit() && ones.is_ascii_digit() => {
                    (number(0, digits)?, number(digits + 1, digits + 3)?, digits + 3)
                }
                _ => (number(0, digits)?, 0, digits),
            }
        }
        _ => return None,
    };
    // Digits before a word are not an offset.
    let is_offset = !text[used..].trim_start().starts_with(char::is_alphanumeric);
    (hours <= 14 && minutes < 60 && is_offset).then_some((hours * 60 + minutes, used))
}

/// An offset as written in the option.
fn offset(minutes: i32) -> String {
    match minutes {
        0 => "UTC".to_owned(),
        _ => {
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(names: &[&str], before: &[&str]) -> Option<String> {
        let before: Vec<String> = before.iter().map(|&line| line.to_owned()).collect();
        find(names, &before, &[]).zone.map(|zone| zone.option)
    }

    #[test]
    fn names_say_in_which_zone_times_are() {
        let cases = [
            ("time_utc", "UTC"),
            ("timestamp_gmt", "UTC"),
            ("Timestamp (UTC)", "UTC"),
            ("Timestamp (UTC+1)", "+01:00"),
            ("Date Time, GMT+01:00", "+01:00"),
            ("Date Time, GMT-0730", "-07:30"),
            ("time [UTC + 5:30]", "+05:30"),
            ("Zeit UTC\u{2212}3", "-03:00"),
            ("Zeit (MEZ)", "+01:00"),
            ("time [CET]", "+01:00"),
            ("UTC - 5 min means", "UTC"),
            ("MTU (CET/CEST)", "Europe/Brussels"),
            ("Zeit (ME(S)Z)", "Europe/Berlin"),
            ("Time (EST/EDT)", "America/New_York"),
            ("time EST5EDT", "America/New_York"),
            ("Time, GMT/BST", "Europe/London"),
            ("time (CET/CEST, UTC+1/+2)", "Europe/Brussels"),
            ("time [Europe/Berlin]", "Europe/Berlin"),
        ];
        for (name, zone) in cases {
            assert_eq!(option(&[name], &[]).as_deref(), Some(zone), "{name}");
        }
        for name in [
            "time",
            "date/time",
            "outcome",
            "Time (est.)",
            "cet",
            "t+1",
            "UTCI",
            "Time (EST)",
            "local time",
            "GMTs",
            "v-1",
        ] {
            assert_eq!(option(&[name], &[]), None, "{name}");
        }
    }

    #[test]
    fn lines_before_the_records_say_it_behind_a_label() {
        for (line, zone) in [
            ("Time zone: UTC+1", "+01:00"),
            ("# timezone=Europe/Zurich", "Europe/Zurich"),
            ("Zeitzone;MEZ", "+01:00"),
            ("UTC offset: -06:00", "-06:00"),
            ("TZ, UTC", "UTC"),
            ("TZ=CET-1CEST,M3.5.0,M10.5.0/3", "Europe/Brussels"),
            ("Timezone: AEST/AEDT", "Australia/Sydney"),
        ] {
            assert_eq!(option(&["time"], &[line]).as_deref(), Some(zone), "{line}");
        }
        for line in ["made in UTC+1", "Time zone: of the plant", "quartz UTC", "Time zone:"] {
            assert_eq!(option(&["time"], &[line]), None, "{line}");
        }
    }

    #[test]
    fn columns_may_say_it_of_each_record() {
        let zone = |zones: &[&str]| find(&["time"], &[], &[zones.to_vec()]);
        assert_eq!(zone(&["EST", "EDT"]).zone.map(|zone| zone.option).as_deref(), Some("America/New_York"));
        assert_eq!(zone(&["Asia/Tokyo"]).zone.map(|zone| zone.option).as_deref(), Some("Asia/Tokyo"));
        let several = zone(&["CET", "JST"]);
        assert!(
            several.zone.is_none() && several.doubt.is_some_and(|doubt| doubt.contains("`CET` and `JST`"))
        );
    }

    #[test]
    fn places_and_offsets_are_those_of_the_database() {
        for zone in IN_TURN.iter().map(|(_, place)| *place).chain(KNOWN.iter().map(|(_, offset)| *offset)) {
            assert!(TimeParser::new(TimeFormat::Rfc3339, Some(zone)).is_ok(), "{zone}");
        }
        // Its own names for such clocks are links to these places.
        let read = |zone: &str, time: &str| {
            let parser = TimeParser::new(TimeFormat::Rfc3339, Some(zone)).expect("a zone");
            parser.parse(time.as_bytes()).expect("a time")
        };
        for (name, place) in [
            ("CET", "Europe/Brussels"),
            ("MET", "Europe/Brussels"),
            ("EET", "Europe/Athens"),
            ("WET", "Europe/Lisbon"),
            ("EST5EDT", "America/New_York"),
            ("CST6CDT", "America/Chicago"),
            ("MST7MDT", "America/Denver"),
            ("PST8PDT", "America/Los_Angeles"),
        ] {
            for time in ["1975-07-01 12:00:00", "2026-01-15 12:00:00", "2026-07-01 12:00:00"] {
                assert_eq!(read(name, time), read(place, time), "{name} {time}");
            }
        }
    }

    #[test]
    fn what_is_not_clear_is_said() {
        let doubt = |name: &str, line: &str| find(&[name], &[line.to_owned()], &[]).doubt.unwrap_or_default();
        assert!(doubt("Time (EST)", "").contains("which several places use"));
        assert!(doubt("time_utc", "Time zone: UTC+2").contains("`utc` and `UTC+2`"));
        assert!(doubt("time [CET]", "").contains("timezone = \"Europe/Brussels\""));
        assert!(doubt("time [CET/CEST]", "").contains("Europe/Brussels is assumed"));
        assert_eq!(doubt("time [Europe/Brussels]", ""), "");
        assert!(doubt("time", "Time zone: (UTC-05:00) Eastern Time").contains("name a place"));
        assert_eq!(doubt("time", "Time zone: UTC-05:00"), "");
        assert_eq!(doubt("time_utc", "Time zone: UTC"), "");
        assert_eq!(option(&["time_utc"], &["Time zone: UTC+2"]), None);
    }
}
