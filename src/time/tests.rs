//! The fast paths against tables of nasty cases, and against the calendar library as a judge.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn parser(format: &str, zone: Option<&str>) -> TimeParser {
    TimeParser::new(TimeFormat::parse(format).expect(format), zone).expect("a known zone")
}

/// Checks a table of inputs with what they read as: RFC 3339 in UTC, or an error.
fn check(format: &str, zone: Option<&str>, cases: &[(&str, Result<&str, TimeError>)]) {
    let parser = parser(format, zone);
    for (text, expected) in cases {
        let got = parser.parse(text.as_bytes()).map(|time| time.to_string());
        assert_eq!(got, expected.map(str::to_owned), "{format}: {text}");
    }
}

#[test]
fn rfc3339_taken() {
    let cases = [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("1970-01-01t00:00:00z", "1970-01-01T00:00:00Z"),
        ("1970-01-01 00:00:00", "1970-01-01T00:00:00Z"),
        ("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z"),
        ("2024-02-29T12:00:00.5+01:00", "2024-02-29T11:00:00.500Z"),
        ("2000-02-29T00:00:00-00:00", "2000-02-29T00:00:00Z"),
        ("2024-01-01T00:00:00+23:59", "2023-12-31T00:01:00Z"),
        ("2023-12-31T23:59:59-23:59", "2024-01-01T23:58:59Z"),
        ("2024-07-01T00:00:00.000001Z", "2024-07-01T00:00:00.000001Z"),
        ("2024-07-01T00:00:00.000000010Z", "2024-07-01T00:00:00.000000010Z"),
        ("2024-07-01T00:00:00.1000", "2024-07-01T00:00:00.100Z"),
        ("1677-09-21T00:12:43.145224192Z", "1677-09-21T00:12:43.145224192Z"),
        ("2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775807Z"),
        ("2262-04-12T00:47:16.854775807+01:00", "2262-04-11T23:47:16.854775807Z"),
    ];
    check("rfc3339", None, &cases.map(|(text, time)| (text, Ok(time))));
    let parser = parser("rfc3339", None);
    assert_eq!(parser.parse(b"1677-09-21T00:12:43.145224192Z"), Ok(Timestamp::MIN));
    assert_eq!(parser.parse(b"2262-04-11T23:47:16.854775807Z"), Ok(Timestamp::MAX));
}

#[test]
fn rfc3339_refused() {
    use TimeError::*;
    let cases = [
        ("", NotRfc3339),
        ("2024", NotRfc3339),
        ("2024-02-29", NotRfc3339),
        ("2024-02-29T12:00", NotRfc3339),
        ("2024-02-29T12:00Z", NotRfc3339),
        (" 2024-02-29T12:00:00Z", NotRfc3339),
        ("2024-02-29  12:00:00Z", NotRfc3339),
        ("2024-02-29_12:00:00Z", NotRfc3339),
        ("2024/02/29T12:00:00Z", NotRfc3339),
        ("24-02-29T12:00:00.000Z", NotRfc3339),
        ("+2024-02-29T12:00:00Z", NotRfc3339),
        ("2024-2-29T12:00:00.00Z", NotRfc3339),
        ("2024-02-29T1x:00:00Z", NotRfc3339),
        ("２024-02-29T12:00:00Z", NotRfc3339),
        ("2024-00-10T12:00:00Z", Month),
        ("2024-13-10T12:00:00Z", Month),
        ("2024-01-00T12:00:00Z", Day),
        ("2024-01-32T12:00:00Z", Day),
        ("2024-02-30T12:00:00Z", NoSuchDay),
        ("2023-02-29T12:00:00Z", NoSuchDay),
        ("1900-02-29T12:00:00Z", NoSuchDay),
        ("2024-04-31T12:00:00Z", NoSuchDay),
        ("2024-02-29T24:00:00Z", Hour),
        ("2024-02-29T25:00:00Z", Hour),
        ("2024-02-29T12:60:00Z", Minute),
        ("2024-02-29T12:00:61Z", Second),
        ("2016-12-31T23:59:60Z", LeapSecond),
        ("2024-02-29T12:00:00.Z", NotRfc3339),
        ("2024-02-29T12:00:00.", NotRfc3339),
        ("2024-02-29T12:00:00,5Z", Offset),
        ("2024-02-29T12:00:00.1234567890Z", TooFine),
        ("2024-02-29T12:00:00Zx", Offset),
        ("2024-02-29T12:00:00Z ", Offset),
        ("2024-02-29T12:00:00 Z", Offset),
        ("2024-02-29T12:00:00+01", Offset),
        ("2024-02-29T12:00:00+0100", Offset),
        ("2024-02-29T12:00:00+1:00", Offset),
        ("2024-02-29T12:00:00+24:00", Offset),
        ("2024-02-29T12:00:00+01:60", Offset),
        ("2024-02-29T12:00:00+01:00[Europe/Berlin]", Offset),
        ("0000-01-01T00:00:00Z", OutOfRange),
        ("9999-12-31T23:59:59Z", OutOfRange),
        ("1677-09-21T00:12:43.145224191Z", OutOfRange),
        ("2262-04-11T23:47:16.854775808Z", OutOfRange),
    ];
    check("rfc3339", None, &cases.map(|(text, error)| (text, Err(error))));
    check("rfc3339", Some("Europe/Berlin"), &[("9999-12-31T23:59:59", Err(OutOfRange))]);
}

#[test]
fn zone_gap_and_fold() {
    let cases = [
        ("2024-01-15 12:00:00", Ok("2024-01-15T11:00:00Z")),
        ("2024-07-15 12:00:00", Ok("2024-07-15T10:00:00Z")),
        ("2024-07-15 12:00:00Z", Ok("2024-07-15T12:00:00Z")),
        ("2024-07-15 12:00:00-05:00", Ok("2024-07-15T17:00:00Z")),
        ("2024-03-31 01:59:59.999999999", Ok("2024-03-31T00:59:59.999999999Z")),
        ("2024-03-31 02:30:00", Ok("2024-03-31T01:30:00Z")),
        ("2024-03-31 03:30:00", Ok("2024-03-31T01:30:00Z")),
        ("2024-10-27 02:30:00.25", Ok("2024-10-27T00:30:00.250Z")),
        ("2024-10-27 03:00:00", Ok("2024-10-27T02:00:00Z")),
    ];
    check("rfc3339", Some("Europe/Berlin"), &cases);
    check("rfc3339", Some("europe/berlin"), &cases);
    check("%Y-%m-%d %H:%M", Some("Europe/Berlin"), &[("2024-03-31 02:30", Ok("2024-03-31T01:30:00Z"))]);
}

#[test]
fn clocks_without_a_zone_are_read_as_their_text_is() {
    let berlin = parser("rfc3339", Some("Europe/Berlin"));
    let utc = parser("rfc3339", None);
    for text in ["2024-01-01T12:00:00.5", "2024-03-31T02:30:00", "2024-10-27T02:30:00", "1800-01-01T00:00:00"]
    {
        let clock = utc.parse(text.as_bytes()).expect(text);
        assert_eq!(berlin.local(clock), berlin.parse(text.as_bytes()), "{text}");
        assert_eq!(utc.local(clock), Ok(clock), "{text}");
    }
    assert_eq!(berlin.local(Timestamp::MIN), Err(TimeError::OutOfRange));
}

#[test]
fn any_year_can_be_written() {
    let days = |days: i128| {
        let mut out = Vec::new();
        write_civil(days * 86_400_000_000_000 + 500_000_000, &mut out)
            .map(|()| String::from_utf8(out).expect("text"))
    };
    assert_eq!(days(19_782).as_deref(), Ok("2024-02-29T00:00:00.500"));
    assert_eq!(days(2_932_896).as_deref(), Ok("9999-12-31T00:00:00.5"));
    assert_eq!(days(-719_528).as_deref(), Ok("0000-01-01T00:00:00.5"));
    assert_eq!(days(2_932_897), Err("before the year -9999 or after 9999".into()));
    assert!(days(i128::from(i64::MAX)).is_err());
}

#[test]
fn zone_names() {
    let error = |zone| TimeParser::new(TimeFormat::Rfc3339, Some(zone)).expect_err(zone);
    assert_eq!(error("Berlin"), "unknown time zone `Berlin`; did you mean `Europe/Berlin`?");
    assert!(error("new york").contains("`America/New_York`"));
    assert!(error("+01:00").contains("such as `Europe/Berlin`"));
    assert!(error("").contains("IANA"));
}

#[test]
fn epoch() {
    use TimeError::*;
    let seconds = [
        ("0", Ok("1970-01-01T00:00:00Z")),
        ("-0.5", Ok("1969-12-31T23:59:59.500Z")),
        ("+1700000000", Ok("2023-11-14T22:13:20Z")),
        ("1700000000.123456789", Ok("2023-11-14T22:13:20.123456789Z")),
        ("1700000000.1234567890000", Ok("2023-11-14T22:13:20.123456789Z")),
        ("1700000000.1234567891", Err(TooFine)),
        ("00000000000000000000000000001", Ok("1970-01-01T00:00:01Z")),
        ("-9223372036.854775808", Ok("1677-09-21T00:12:43.145224192Z")),
        ("-9223372036.854775809", Err(OutOfRange)),
        ("9223372036.854775807", Ok("2262-04-11T23:47:16.854775807Z")),
        ("9223372036.854775808", Err(OutOfRange)),
        ("99999999999999999999999999", Err(OutOfRange)),
        ("", Err(NotANumber)),
        ("-", Err(NotANumber)),
        (".5", Err(NotANumber)),
        ("5.", Err(NotANumber)),
        ("5.x", Err(NotANumber)),
        ("1.7e9", Err(NotANumber)),
        ("1e9", Err(NotANumber)),
        ("--1", Err(NotANumber)),
        ("1 ", Err(NotANumber)),
        ("1.2.3", Err(NotANumber)),
        ("NaN", Err(NotANumber)),
        ("1_000", Err(NotANumber)),
    ];
    check("s", None, &seconds);
    check("s", Some("Asia/Tokyo"), &seconds);
    check("ms", None, &[("1700000000123.5", Ok("2023-11-14T22:13:20.123500Z")), ("1.0000001", Err(TooFine))]);
    check(
        "us",
        None,
        &[("1700000000123456.789", Ok("2023-11-14T22:13:20.123456789Z")), ("1.0001", Err(TooFine))],
    );
    check(
        "ns",
        None,
        &[("-1", Ok("1969-12-31T23:59:59.999999999Z")), ("1.0", Ok("1970-01-01T00:00:00.000000001Z"))],
    );
    check(
        "ns",
        None,
        &[("-9223372036854775808", Ok("1677-09-21T00:12:43.145224192Z")), ("0.1", Err(TooFine))],
    );
}

#[test]
fn patterns_read() {
    use TimeError::*;
    let german = [
        ("31.12.2023 23:59:59", Ok("2023-12-31T23:59:59Z")),
        ("1.2.2024 3:04:05", Ok("2024-02-01T03:04:05Z")),
        ("30.02.2024 00:00:00", Err(NoSuchDay)),
        ("29.02.2023 00:00:00", Err(NoSuchDay)),
        ("01.13.2024 00:00:00", Err(NotThePattern)),
        ("01.12.2024 25:00:00", Err(NotThePattern)),
        ("01.12.2024 00:00:00x", Err(NotThePattern)),
        ("01.12.2024 00:00:59", Ok("2024-12-01T00:00:59Z")),
        ("31.12.2016 23:59:60", Err(LeapSecond)),
        ("01.12.1600 00:00:00", Err(OutOfRange)),
        ("", Err(NotThePattern)),
    ];
    check("%d.%m.%Y %H:%M:%S", None, &german);
    check("%Y-%m-%d", None, &[("2024-02-29", Ok("2024-02-29T00:00:00Z"))]);
    check("%Y%m%d%H%M%S%.f", None, &[("20240229120059.60", Ok("2024-02-29T12:00:59.600Z"))]);
    check("%m/%d/%y %I:%M %p", None, &[("7/4/24 1:05 PM", Ok("2024-07-04T13:05:00Z"))]);
    check("%FT%T%z", Some("Asia/Tokyo"), &[("2024-07-04T12:00:00-0500", Ok("2024-07-04T17:00:00Z"))]);
    check(
        "%FT%T%z",
        None,
        &[("2024-02-30T12:00:00-0500", Err(NoSuchDay)), ("9999-12-31T23:00:00-0500", Err(OutOfRange))],
    );
    check("%F %T %Q", None, &[("2024-07-04 12:00:00 Asia/Tokyo", Ok("2024-07-04T03:00:00Z"))]);
    check(
        "%F %T %Q",
        None,
        &[("2024-07-04 12:00:00 Asia/Nowhere", Err(Zone)), ("2024-02-30 12:00:00 UTC", Err(NoSuchDay))],
    );
    check("%s", Some("Asia/Tokyo"), &[("1700000000", Ok("2023-11-14T22:13:20Z"))]);
    check(
        "%a %d %b %Y",
        None,
        &[("Thu 29 Feb 2024", Ok("2024-02-29T00:00:00Z")), ("Fri 29 Feb 2024", Err(NotThePattern))],
    );
}

#[test]
fn formats_named() {
    for name in ["rfc3339", "s", "ms", "us", "ns", "%d.%m.%Y %H:%M", "%G-W%V-%u", "%Y-%j", "%e %B %Y %l:%M%P"]
    {
        assert_eq!(TimeFormat::parse(name).expect(name).to_string(), name);
    }
    let error = |name| TimeFormat::parse(name).expect_err(name);
    for name in ["", "iso", "S", "RFC3339", "YYYY-MM-DD"] {
        let text = error(name);
        assert!(
            ["`rfc3339`", "`s`", "`ms`", "`us`", "`ns`", "strptime"].iter().all(|part| text.contains(part)),
            "{text}"
        );
    }
    for name in ["%", "%!", "%Y-%m", "%H:%M:%S", "%F %Z", "%c", "%F %", "100%", "%F %S", "%%"] {
        assert!(error(name).contains("can't be used"), "{name}");
    }
    assert!(error("%F %I:%M").contains("`%p`"));
    assert!(error("%s%.f").contains("time format `s`"));
}

#[test]
fn timestamp_arithmetic_and_text() {
    let at = Timestamp::from_nanos;
    assert_eq!(at(5).checked_add(3), Some(at(8)));
    assert_eq!(at(5).checked_sub(8), Some(at(-3)));
    assert_eq!(Timestamp::MAX.checked_add(1), None);
    assert_eq!(Timestamp::MIN.checked_sub(1), None);
    assert_eq!(Timestamp::MIN.saturating_sub(1), Timestamp::MIN);
    assert_eq!(Timestamp::MAX.saturating_add(1), Timestamp::MAX);
    assert_eq!(at(5).checked_since(at(8)), Some(-3));
    assert_eq!(Timestamp::MAX.checked_since(at(-1)), None);
    assert_eq!(serde_json::to_string(&at(-7)).expect("a number"), "-7");
    assert_eq!(serde_json::from_str::<Timestamp>("42").expect("a timestamp"), at(42));
    assert_eq!(
        format!("{:>22}|{:?}", at(0), at(1_000)),
        "  1970-01-01T00:00:00Z|1970-01-01T00:00:00.000001Z"
    );
}

/// What the calendar library reads, in nanoseconds; a time without an offset is UTC.
fn judge(text: &str) -> Option<i128> {
    let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let datetime = text.parse::<DateTime>().ok()?;
        Some(datetime.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(instant.as_nanosecond())
}

/// RFC 3339 of our form, mostly valid: every part may be just out of its range.
fn rfc3339_text() -> impl Strategy<Value = String> {
    let date = (prop_oneof![8 => 1677..=2262_u32, 1 => 0..=9999_u32], 0..=13_u32, 0..=32_u32);
    let clock = (0..=24_u32, 0..=60_u32, 0..=59_u32);
    let tail = ("(\\.[0-9]{1,9})?", "(Z|z|[+-](0[0-9]|1[0-9]|2[0-3]):[0-5][0-9])?");
    (date, "[Tt ]", clock, tail).prop_map(|((y, mo, d), sep, (h, mi, s), (fraction, offset))| {
        format!("{y:04}-{mo:02}-{d:02}{sep}{h:02}:{mi:02}:{s:02}{fraction}{offset}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rfc3339_agrees_with_the_calendar(text in rfc3339_text()) {
        let ours = parser("rfc3339", None).parse(text.as_bytes()).ok().map(Timestamp::as_nanos);
        let theirs = judge(&text).and_then(|nanos| i64::try_from(nanos).ok());
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    /// Ours takes less (no leap second, no shorter forms, offsets below 24 hours), never something else.
    #[test]
    fn garbage_is_refused_or_read_alike(text in rfc3339_text(), changes in prop::collection::vec((0..40_usize, "[ -~]?"), 1..4)) {
        let mut text = text;
        for (at, with) in changes {
            let at = at.min(text.len());
            text.replace_range(at..(at + 1).min(text.len()), &with);
        }
        if let Ok(time) = parser("rfc3339", None).parse(text.as_bytes()) {
            prop_assert_eq!(Some(i128::from(time.as_nanos())), judge(&text), "{}", text);
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), digits in "[-+.0-9 :TZ]{0,40}") {
        for format in ["rfc3339", "s", "ns", "%d.%m.%Y %H:%M:%S%.f", "%FT%T%z", "%F %T %Q", "%s"] {
            for zone in [None, Some("America/New_York")] {
                let parser = parser(format, zone);
                let _ = parser.parse(&bytes);
                let _ = parser.parse(digits.as_bytes());
            }
        }
    }

    #[test]
    fn no_text_makes_a_pattern_panic(text in "[%a-zA-Z0-9.:_^# -]{0,12}") {
        let _ = TimeFormat::parse(&text);
        let _ = parse_duration(&text);
    }

    #[test]
    fn zones_agree_with_the_calendar(seconds in -3_000_000_000..7_000_000_000_i64, nanos in 0..1_000_000_000_i32) {
        let instant = jiff::Timestamp::new(seconds, 0).expect("in range");
        let datetime = TimeZone::UTC.to_datetime(instant).with().subsec_nanosecond(nanos).build().expect("a datetime");
        let zone = TimeZone::get("America/New_York").expect("compiled in");
        let theirs = datetime.to_zoned(zone).expect("in range").timestamp().as_nanosecond();
        let ours = parser("rfc3339", Some("America/New_York")).parse(datetime.to_string().as_bytes());
        prop_assert_eq!(ours.map(|time| i128::from(time.as_nanos())), Ok(theirs), "{}", datetime);
    }

    #[test]
    fn written_reads_back(nanos in prop_oneof![any::<i64>(), (-9_000_000_000..9_000_000_000_i64).prop_map(|s| s * 1_000_000_000), any::<i32>().prop_map(|m| i64::from(m) * 1_000_000), any::<i32>().prop_map(i64::from)]) {
        let time = Timestamp::from_nanos(nanos);
        let mut out = b"before ".to_vec();
        time.write_rfc3339(&mut out);
        let written = &out[7..];
        prop_assert_eq!(parser("rfc3339", None).parse(written), Ok(time));
        prop_assert!(matches!(written.len(), 20 | 24 | 27 | 30));
        prop_assert!(!written.ends_with(b"000Z") || !written.contains(&b'.'), "not the shortest");
        prop_assert_eq!(judge(&time.to_string()), Some(i128::from(nanos)));
    }

    #[test]
    fn epochs_are_exact(nanos in any::<i64>()) {
        let time = Timestamp::from_nanos(nanos);
        for (format, unit) in [("s", 1_000_000_000_u64), ("ms", 1_000_000), ("us", 1_000)] {
            let (whole, fraction) = (nanos.unsigned_abs() / unit, nanos.unsigned_abs() % unit);
            let width = unit.ilog10() as usize;
            let text = format!("{}{whole}.{fraction:0width$}", if nanos < 0 { "-" } else { "" });
            prop_assert_eq!(parser(format, None).parse(text.as_bytes()), Ok(time), "{}", text);
        }
        prop_assert_eq!(parser("ns", None).parse(nanos.to_string().as_bytes()), Ok(time));
    }

    #[test]
    fn durations_read_back(nanos in 1..=i64::MAX) {
        prop_assert_eq!(parse_duration(&format_duration(nanos)), Ok(nanos));
    }
}
