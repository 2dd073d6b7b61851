//! [`Near`](super::Near) against the parser that it stands in for.

use proptest::prelude::*;

use super::{Near, Places};
use crate::time::lanes::{LANES, Texts, ways};
use crate::time::{TimeFormat, TimeParser, Timestamp};

/// Checks that `text` is read by the help of `like` as the parser reads it, or not at all. Returns whether it was read.
fn check(parser: &TimeParser, like: &str, text: &str) -> Result<bool, TestCaseError> {
    let Some(near) = near(parser, like) else { return Ok(false) };
    let read = near.read(text.as_bytes());
    if let Some(read) = read {
        prop_assert_eq!(parser.parse(text.as_bytes()), Ok(read), "{} like {}", text, like);
    }
    Ok(read.is_some())
}

fn near(parser: &TimeParser, like: &str) -> Option<Near> {
    let time = parser.parse(like.as_bytes()).ok()?;
    parser.near(like.as_bytes(), time, None)
}

#[test]
fn clause_4_a_text_that_ends_before_its_places_is_left_to_the_parser() {
    let time = Timestamp::from_nanos(0);
    let text = b"2026-01-01T10:00:00.123456789+01:00";
    for end in 0..=text.len() {
        for digits in 0..=9 {
            let places = Places { digits, ..Places::rfc3339(text) };
            let near = Near::new(&text[..end], time, places);
            assert!(near.is_none() || end >= 19 && (digits == 0 || end >= 20 + digits), "{end} {digits}");
        }
    }
}

/// Checks that `texts` are read side by side as one by one, in every way that this processor has.
fn check_lanes(near: &Near, texts: &[&[u8]; LANES]) -> Result<(), TestCaseError> {
    // Times at an end of the text are left to others.
    let around = [0; 16];
    let (all, mut lanes) = ([&around[..], &texts.concat(), &around].concat(), Texts::default());
    let mut end = around.len();
    for (lane, text) in texts.iter().enumerate() {
        end += text.len();
        lanes.set(lane, &all, end - text.len(), end);
    }
    for read in ways() {
        let mut times = [Timestamp::MIN; LANES];
        let unread = read(&lanes, near, &mut times);
        for (lane, text) in texts.iter().enumerate() {
            let time = (unread >> lane & 1 == 0).then_some(times[lane]);
            let expected = near.read(text);
            prop_assert_eq!(time, expected, "{:?}", String::from_utf8_lossy(text));
        }
    }
    Ok(())
}

fn parsers() -> Vec<TimeParser> {
    let format = || TimeFormat::parse("rfc3339").expect("a format");
    let zones = [None, Some("Europe/Berlin")];
    zones.map(|zone| TimeParser::new(format(), zone).expect("a zone")).into()
}

#[test]
fn clause_4_times_of_the_same_hour_are_read() {
    let parser = TimeParser::utc();
    for (like, text) in [
        ("2026-01-01T10:00:00Z", "2026-01-01T10:59:59Z"),
        ("2026-01-01 10:00:00", "2026-01-01 10:00:01"),
        ("2026-01-01T10:00:00.5Z", "2026-01-01T10:07:00.4Z"),
        ("2026-01-01T10:00:00.123+01:00", "2026-01-01T10:00:00.124+01:00"),
        ("2026-01-01T10:00:00.12345678Z", "2026-01-01T10:00:00.00000000Z"),
        ("2026-01-01T10:00:00.123456789Z", "2026-01-01T10:00:59.987654321Z"),
        ("2026-01-01T10:00:00,5Z", "2026-01-01T10:00:00,6Z"),
        ("20260101T100000Z", "20260101T101159Z"),
        ("2026-01-01 10:00", "2026-01-01 10:59"),
    ] {
        assert!(check(&parser, like, text).expect("as the parser"), "{text} like {like}");
    }
}

#[test]
fn clause_4_others_are_left_to_the_parser() {
    for (like, text) in [
        ("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:60:00Z"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:60Z"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:0:Z"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00z"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00.0Z"),
        ("2026-01-01T10:00:00.000Z", "2026-01-01T10:00:00.0/0Z"),
        ("2026-01-01T24:00:00Z", "2026-01-01T24:00:01Z"),
        ("1677-09-21T00:12:43.145224192Z", "1677-09-21T00:12:43.145224193Z"),
        ("2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775808Z"),
    ] {
        assert!(!check(&TimeParser::utc(), like, text).expect("as the parser"), "{text} like {like}");
    }
}

#[test]
fn clause_4_local_times_of_an_hour_in_which_the_clocks_change() {
    let berlin = &parsers()[1];
    for (like, text) in [
        // An hour that the clocks skip, and one that occurs twice: of both, all moments are read alike.
        ("2026-03-29T02:00:00", "2026-03-29T02:30:00"),
        ("2026-10-25T02:59:59", "2026-10-25T02:00:00"),
        ("2026-03-29T02:00:00Z", "2026-03-29T02:30:00Z"),
        ("2026-07-01 12:00:00.5", "2026-07-01 12:34:56.7"),
    ] {
        assert!(check(berlin, like, text).expect("as the parser"), "{text} like {like}");
    }
    // Here the clocks change by half an hour.
    let format = TimeFormat::parse("rfc3339").expect("a format");
    let lord_howe = TimeParser::new(format, Some("Australia/Lord_Howe")).expect("a zone");
    for (like, is_read) in [("2026-10-04T02:10:00", false), ("2026-10-04T03:10:00", true)] {
        assert_eq!(
            check(&lord_howe, like, &like.replace("10:00", "50:00")).expect("as the parser"),
            is_read,
            "{like}"
        );
    }
}

/// Patterns, and how their times are written.
const PATTERNS: [(&str, &str); 12] = [
    ("%d.%m.%Y %H:%M:%S%.f", "%d.%m.%Y %H:%M:%S%.3f"),
    ("%d.%m.%Y %H:%M:%S%.f", "%d.%m.%Y %H:%M:%S%.9f"),
    ("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M:%S"),
    ("%Y%m%d%H%M%S", "%Y%m%d%H%M%S"),
    ("%m/%d/%y %H:%M", "%m/%d/%y %H:%M"),
    ("%d-%b-%Y %I:%M:%S %p", "%d-%b-%Y %I:%M:%S %p"),
    ("%A, %d %B %Y %H:%M", "%A, %d %B %Y %H:%M"),
    ("%S:%M:%H %j %Y", "%S:%M:%H %j %Y"),
    ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%.6f+0130"),
    ("%M %Y-%m-%d %H", "%M %Y-%m-%d %H"),
    ("%Y-%m-%d %H", "%Y-%m-%d %H"),
    ("%s", "%s"),
];

fn parsers_of(pattern: &str) -> Vec<TimeParser> {
    let zones = [None, Some("Europe/Berlin"), Some("Australia/Lord_Howe"), Some("-04:30")];
    let parser =
        |zone| TimeParser::new(TimeFormat::parse(pattern).expect("a pattern"), zone).expect("a zone");
    zones.map(parser).into()
}

fn written(form: &str, nanos: i64) -> String {
    let time =
        jiff::Timestamp::from_nanosecond(nanos.into()).expect("a time").to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(form, &time).expect("a text")
}

#[test]
fn clause_4_times_of_the_same_hour_are_read_by_any_pattern_with_minutes() {
    const TEN: i64 = 1_782_900_000_000_000_000;
    for (pattern, form) in PATTERNS {
        let has_minutes = pattern.contains("%M");
        for parser in parsers_of(pattern) {
            let (like, text) = (written(form, TEN + 1_000_000_000), written(form, TEN + 3_599_123_456_789));
            let is_short_enough = like.len() <= 32;
            let is_read = check(&parser, &like, &text).expect("as the parser");
            assert_eq!(is_read, has_minutes && is_short_enough, "{pattern}: {text} like {like}");
        }
    }
}

proptest! {
    #[test]
    fn clause_4_what_is_read_is_what_the_parser_reads(
        like in "(1677|2026|2262)-0[1-4]-(01|11|29)[Tt ](00|02|10|23|24):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-]0[0-9]:[0-5]0)?",
        changes in proptest::collection::vec((0..40usize, proptest::sample::select(&b"0123456789:/.Z+ \xff"[..])), 0..4),
        within in "[0-9]{4}[0-9]{9}",
    ) {
        for parser in parsers() {
            // Other digits where digits are, then any bytes anywhere.
            let mut text = like.clone().into_bytes();
            let digits = (14..text.len()).filter(|&at| text[at].is_ascii_digit()).collect::<Vec<_>>();
            digits.into_iter().zip(within.bytes()).for_each(|(at, digit)| text[at] = digit);
            let mut odd = text.clone();
            for (at, byte) in &changes {
                if let Some(place) = odd.get_mut(*at) {
                    *place = *byte;
                }
            }
            if let Some(near) = near(&parser, &like) {
                let (like, longer) = (like.as_bytes(), [&text[..], b"0Z"].concat());
                check_lanes(&near, &[&text, &odd, like, &text[1..], b"", &longer, &odd, &text[..15]])?;
                check_lanes(&near, &[&text, like, &text, &text, like, &text, &text, like])?;
            }
            for text in [text, odd] {
                if let Ok(text) = std::str::from_utf8(&text) {
                    check(&parser, &like, text)?;
                }
            }
        }
    }

    #[test]
    fn clause_4_what_is_read_by_a_pattern_is_what_the_parser_reads(
        of in proptest::sample::select(&PATTERNS[..]),
        // Days on which the clocks of the zones change, and others.
        day in proptest::sample::select(&[20_541_i64, 20_730, 20_751, 20_546, 20_800][..]),
        like in 0..86_400_000_000_000_i64,
        other in 0..3_600_000_000_000_i64,
        changes in proptest::collection::vec((0..40usize, proptest::sample::select(&b"0123456789:/.Z+ \xff"[..])), 0..3),
    ) {
        let (pattern, form) = of;
        let midnight = day * 86_400_000_000_000;
        let (like, text) = (midnight + like, midnight + like - like % 3_600_000_000_000 + other);
        let (like, text) = (written(form, like), written(form, text));
        let mut odd = text.clone().into_bytes();
        for (at, byte) in changes {
            if let Some(place) = odd.get_mut(at) {
                *place = byte;
            }
        }
        for parser in parsers_of(pattern) {
            check(&parser, &like, &text)?;
            if let Ok(odd) = str::from_utf8(&odd) {
                check(&parser, &like, odd)?;
            }
            if let Some(near) = near(&parser, &like) {
                let (like, text) = (like.as_bytes(), text.as_bytes());
                check_lanes(&near, &[text, like, &odd, text, &text[1..], like, b"", &odd])?;
            }
        }
    }
}
