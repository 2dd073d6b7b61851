//! [`Near`](super::Near) against the parser that it stands in for.

use proptest::prelude::*;

use super::{Halves, Near};
use crate::time::lanes::{LANES, Texts, ways};
use crate::time::{TimeFormat, TimeParser, Timestamp};

/// Checks that `text` is read by the help of `like` as the parser reads it, or not at all. Returns whether it was read.
fn check(parser: &TimeParser, like: &str, text: &str) -> Result<bool, TestCaseError> {
    let Ok(time) = parser.parse(like.as_bytes()) else { return Ok(false) };
    let (Some(near), Some(halves)) = (parser.near(like.as_bytes(), time), Halves::of(text.as_bytes())) else {
        return Ok(false);
    };
    let read = near.read(halves);
    if let Some(read) = read {
        prop_assert_eq!(parser.parse(text.as_bytes()), Ok(read), "{} like {}", text, like);
    }
    Ok(read.is_some())
}

/// Checks that `texts` are read side by side as one by one, in every way that this processor has.
fn check_lanes(near: &Near, texts: &[&[u8]; LANES]) -> Result<(), TestCaseError> {
    let (all, mut lanes) = (texts.concat(), Texts::default());
    let mut end = 0;
    for (lane, text) in texts.iter().enumerate() {
        end += text.len();
        lanes.set(lane, &all, end - text.len(), end);
    }
    for read in ways() {
        let mut times = [Timestamp::MIN; LANES];
        let unread = read(&lanes, near, &mut times);
        for (lane, text) in texts.iter().enumerate() {
            let time = (unread >> lane & 1 == 0).then_some(times[lane]);
            let expected = Halves::of(text).and_then(|halves| near.read(halves));
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
        ("2026-01-01T10:00:00,5Z", "2026-01-01T10:00:00,6Z"),
        ("1677-09-21T00:12:43.145224192Z", "1677-09-21T00:12:43.145224193Z"),
        ("2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775808Z"),
    ] {
        assert!(!check(&TimeParser::utc(), like, text).expect("as the parser"), "{text} like {like}");
    }
    let berlin = &parsers()[1];
    assert!(!check(berlin, "2026-03-29T02:00:00", "2026-03-29T02:30:00").expect("as the parser"));
    assert!(check(berlin, "2026-03-29T02:00:00Z", "2026-03-29T02:30:00Z").expect("as the parser"));
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
            let near = parser.parse(like.as_bytes()).ok().and_then(|time| parser.near(like.as_bytes(), time));
            if let Some(near) = near {
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
}
