//! The fast paths against tables of difficult cases, and with the calendar library as the oracle.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn parser(format: &str, zone: Option<&str>) -> TimeParser {
    TimeParser::new(TimeFormat::parse(format).expect(format), zone).expect("a known zone")
}

/// Checks a table of inputs and results: RFC 3339 in UTC, or an error.
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
        ("2024-02-29T12", NotRfc3339),
        ("2024-02-29T12:0", NotRfc3339),
        ("2024-02-29T12:00:", NotRfc3339),
        ("2024-02-29T12:00.5", NotRfc3339),
        ("2024-02-29T1200", NotRfc3339),
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
        ("2024-02-29T24:00:01Z", Hour),
        ("2024-02-29T24:01:00Z", Hour),
        ("2024-02-29T24:00:00.000000001Z", Hour),
        ("2024-02-30T24:00:00Z", NoSuchDay),
        ("9999-12-31T24:00:00Z", OutOfRange),
        ("2024-02-29T25:00:00Z", Hour),
        ("2024-02-29T12:00:00,Z", NotRfc3339),
        ("2024-02-29T12:00:00,1234567890Z", TooFine),
        ("2024-02-29T12:00:00  Z", Offset),
        ("2024-02-29T12:00:00 ", Offset),
        ("2024-02-29T12:00:00+0160", Offset),
        ("2024-02-29T12:00:00+24", Offset),
        ("2024-02-29T12:00:00+010", Offset),
        ("2024-02-29T12:00:00 CET", Offset),
        ("20240229", NotRfc3339),
        ("20240229T1200", NotRfc3339),
        ("2024022912000", NotRfc3339),
        ("202402291200000", NotRfc3339),
        ("1700000000123", NotRfc3339),
        ("20241329120000", Month),
        ("20240230T120000Z", NoSuchDay),
        ("20240229T240001", Hour),
        ("20240229T120060", LeapSecond),
        ("2024-02-29T12:60:00Z", Minute),
        ("2024-02-29T12:00:61Z", Second),
        ("2016-12-31T23:59:60Z", LeapSecond),
        ("2024-02-29T12:00:00.Z", NotRfc3339),
        ("2024-02-29T12:00:00.", NotRfc3339),
        ("2024-02-29T12:00:00.1234567890Z", TooFine),
        ("2024-02-29T12:00:00Zx", Offset),
        ("2024-02-29T12:00:00Z ", Offset),
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
    let last = ["9999-12-31T23:59:59", "9999-12-31T24:00:00"];
    check("rfc3339", Some("Europe/Berlin"), &last.map(|text| (text, Err(OutOfRange))));
}

#[test]
fn other_forms_of_the_same() {
    let cases = [
        ("2024-02-29T24:00:00Z", "2024-03-01T00:00:00Z"),
        ("2023-12-31 24:00:00.000+01:00", "2023-12-31T23:00:00Z"),
        ("2024-02-29T12:00:00,5Z", "2024-02-29T12:00:00.500Z"),
        ("2024-02-29 12:00:00,123456789", "2024-02-29T12:00:00.123456789Z"),
        ("2024-02-29T12:00:00+01", "2024-02-29T11:00:00Z"),
        ("2024-02-29T12:00:00-0330", "2024-02-29T15:30:00Z"),
        ("2024-02-29 12:00:00 +0100", "2024-02-29T11:00:00Z"),
        ("2024-02-29 12:00:00 -08:00", "2024-02-29T20:00:00Z"),
        ("2024-02-29 12:00:00 Z", "2024-02-29T12:00:00Z"),
        ("2024-02-29 12:00:00 UTC", "2024-02-29T12:00:00Z"),
        ("2024-02-29 12:00:00GMT", "2024-02-29T12:00:00Z"),
        ("2020-07-19T23:06", "2020-07-19T23:06:00Z"),
        ("2020-07-19 23:06Z", "2020-07-19T23:06:00Z"),
        ("2020-07-19T23:06+02:00", "2020-07-19T21:06:00Z"),
        ("2020-07-19T23:06 +0200", "2020-07-19T21:06:00Z"),
        ("2020-07-19T24:00", "2020-07-20T00:00:00Z"),
        ("20200719T230640", "2020-07-19T23:06:40Z"),
        ("20200719t230640Z", "2020-07-19T23:06:40Z"),
        ("20200719230640", "2020-07-19T23:06:40Z"),
        ("20200719 230640,25-0700", "2020-07-20T06:06:40.250Z"),
        ("20201231T240000+00", "2021-01-01T00:00:00Z"),
    ];
    check("rfc3339", None, &cases.map(|(text, time)| (text, Ok(time))));
    let winter = [
        ("2024-03-30 24:00:00", Ok("2024-03-30T23:00:00Z")),
        ("20240331 023000", Ok("2024-03-31T01:30:00Z")),
        ("2024-12-31 24:00:00 UTC", Ok("2025-01-01T00:00:00Z")),
    ];
    check("rfc3339", Some("Europe/Berlin"), &winter);
}

#[test]
fn abbreviations_of_zones() {
    let zones = |table: &[(&str, &str)]| {
        table.iter().map(|(name, offset)| (name.to_string(), offset.to_string())).collect()
    };
    let known =
        zones(&[("CET", "+01:00"), ("CEST", "+0200"), ("NST", "-0330"), ("MST", "-07"), ("Mar", "Z")]);
    let of = |format: &str, text: &str| {
        let parser = parser(format, Some("Asia/Tokyo")).with_zones(&known).expect("zones");
        parser.parse(text.as_bytes()).map(|time| time.to_string())
    };
    let taken = [
        ("rfc3339", "2024-07-01 12:00:00 CEST", "2024-07-01T10:00:00Z"),
        ("rfc3339", "2024-01-01T12:00:00CET", "2024-01-01T11:00:00Z"),
        ("rfc3339", "2024-01-01 24:00:00,5 NST", ""),
        ("rfc3339", "2024-01-01 24:00:00 NST", "2024-01-02T03:30:00Z"),
        ("rfc3339", "2024-01-01 12:00:00 UTC", "2024-01-01T12:00:00Z"),
        ("rfc3339", "2024-01-01 12:00:00", "2024-01-01T03:00:00Z"),
        ("%d %b %Y %H:%M %Z", "01 Mar 2024 12:00 MST", "2024-03-01T19:00:00Z"),
        ("%d.%m.%Y %H:%M:%S %Z", "01.07.2024 12:00:00 CEST", "2024-07-01T10:00:00Z"),
        ("%Z %F %H:%M", "CET 2024-12-31 24:00", "2024-12-31T23:00:00Z"),
    ];
    for (format, text, time) in taken {
        match time {
            "" => assert_eq!(of(format, text), Err(TimeError::Hour), "{text}"),
            _ => assert_eq!(of(format, text).as_deref(), Ok(time), "{text}"),
        }
    }
    assert_eq!(of("rfc3339", "2024-01-01 12:00:00 EST"), Err(TimeError::Offset));
    assert_eq!(of("%F %H:%M %Z", "2024-01-01 12:00 EST"), Err(TimeError::Zone));
    assert_eq!(of("%F %H:%M %Z", "2024-01-01 12:00 CETA"), Err(TimeError::Zone));
    let refused = |format: &str, table: &[(&str, &str)]| {
        parser(format, None).with_zones(&zones(table)).expect_err("no such zones")
    };
    assert!(refused("rfc3339", &[("CET", "+1")]).contains("`CET`: `+1` is not an offset"));
    assert!(refused("rfc3339", &[("CET", "+24:00")]).contains("`+24:00`"));
    assert!(refused("rfc3339", &[("C T", "Z")]).contains("`C T`"));
    for format in ["s", "excel", "%F %T"] {
        assert!(refused(format, &[("CET", "+01:00")]).contains("no time zone abbreviations"), "{format}");
    }
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
    assert!(error("+1").contains("is not an offset from UTC"));
    assert!(error("+25:00").contains("is not an offset from UTC"));
    assert!(error("").contains("IANA"));
}

#[test]
fn a_zone_may_be_an_offset_whose_clocks_never_change() {
    for (zone, utc) in [
        ("+01:00", "2024-07-01T11:00:00Z"),
        ("+0530", "2024-07-01T06:30:00Z"),
        ("-03", "2024-07-01T15:00:00Z"),
        ("+00:00", "2024-07-01T12:00:00Z"),
    ] {
        let parser = TimeParser::new(TimeFormat::Rfc3339, Some(zone)).expect(zone);
        assert_eq!(parser.parse(b"2024-07-01 12:00:00").expect("a time").to_string(), utc, "{zone}");
        assert!(parser.folds().is_none());
        assert_eq!(
            parser.parse(b"2024-07-01T12:00:00Z").expect("a time").to_string(),
            "2024-07-01T12:00:00Z"
        );
    }
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
        ("1.7e9", Ok("2023-11-14T22:13:20Z")),
        ("1.5952e+09", Ok("2020-07-19T23:06:40Z")),
        ("1.5952000001E9", Ok("2020-07-19T23:06:40.100Z")),
        ("-1e-9", Ok("1969-12-31T23:59:59.999999999Z")),
        ("17000000000000000000000e-13", Ok("2023-11-14T22:13:20Z")),
        ("170000000000000000000000000000e-20", Ok("2023-11-14T22:13:20Z")),
        ("0.0000000000000000000000017e33", Ok("2023-11-14T22:13:20Z")),
        ("0e9999", Ok("1970-01-01T00:00:00Z")),
        ("1700000000,25", Ok("2023-11-14T22:13:20.250Z")),
        ("1e-10", Err(TooFine)),
        ("1.0000000001e0", Err(TooFine)),
        ("1e10", Err(OutOfRange)),
        ("1e9999", Err(OutOfRange)),
        ("1e", Err(NotANumber)),
        ("1e+", Err(NotANumber)),
        ("1e99999", Err(NotANumber)),
        ("1e1.5", Err(NotANumber)),
        ("e9", Err(NotANumber)),
        ("1.e9", Err(NotANumber)),
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
fn days_with_fractions() {
    use TimeError::*;
    let excel = [
        ("45674.412777777776", Ok("2025-01-17T09:54:24Z")),
        ("45674.413472222222", Ok("2025-01-17T09:55:24Z")),
        ("45674.4127777778", Ok("2025-01-17T09:54:24Z")),
        ("45674,5", Ok("2025-01-17T12:00:00Z")),
        ("45674", Ok("2025-01-17T00:00:00Z")),
        ("0", Ok("1899-12-30T00:00:00Z")),
        ("1.99999999999999999999999", Ok("1900-01-01T00:00:00Z")),
        ("0000000000045674", Ok("2025-01-17T00:00:00Z")),
        ("45674.00000001157407407", Ok("2025-01-17T00:00:00.001Z")),
        ("132000.0", Ok("2261-05-26T00:00:00Z")),
        ("133000", Err(OutOfRange)),
        ("99999999999999999999", Err(OutOfRange)),
        ("-1", Err(NegativeDay)),
        ("", Err(NotANumber)),
        (".5", Err(NotANumber)),
        ("5.", Err(NotANumber)),
        ("4.5e4", Err(NotANumber)),
        ("45674.5x", Err(NotANumber)),
        ("45674.1.2", Err(NotANumber)),
        ("+45674", Err(NotANumber)),
    ];
    check("excel", None, &excel);
    // A spreadsheet shows local time.
    check("excel", Some("Europe/Berlin"), &[("45474.5", Ok("2024-07-01T10:00:00Z"))]);
    check(
        "%F %T %z",
        None,
        &[
            ("2024-07-01 12:00:00 UTC", Ok("2024-07-01T12:00:00Z")),
            ("2024-07-01 12:00:00 +02", Ok("2024-07-01T10:00:00Z")),
        ],
    );
    check("excel1904", None, &[("44012.5", Ok("2024-07-01T12:00:00Z")), ("0", Ok("1904-01-01T00:00:00Z"))]);
    check("excel1904", Some("Europe/Berlin"), &[("44012.5", Ok("2024-07-01T10:00:00Z"))]);
    let noon = [("2451545.0", Ok("2000-01-01T12:00:00Z")), ("2440587.5", Ok("1970-01-01T00:00:00Z"))];
    check("julian", None, &noon);
    check("julian", Some("Asia/Tokyo"), &noon);
    check("mjd", None, &[("51544.5", Ok("2000-01-01T12:00:00Z")), ("0", Ok("1858-11-17T00:00:00Z"))]);
}

#[test]
fn counted_from_a_start() {
    use TimeError::*;
    let started = |format: &str, zone: Option<&str>, start: &str, text: &str| {
        let parser = parser(format, zone).with_start(start).expect("a start");
        parser.check().expect("complete");
        parser.parse(text.as_bytes()).map(|time| time.to_string())
    };
    let cases = [
        ("s", None, "2024-01-01T00:00:00Z", "0.1", Ok("2024-01-01T00:00:00.100Z")),
        ("s", None, "2024-01-01", "86400", Ok("2024-01-02T00:00:00Z")),
        ("ms", Some("Europe/Berlin"), "2024-07-01", "1.5e3", Ok("2024-06-30T22:00:01.500Z")),
        ("ns", None, "2024-01-01T00:00:00+01:00", "-1", Ok("2023-12-31T22:59:59.999999999Z")),
        ("s", None, "2262-04-11T23:47:16Z", "1", Err(OutOfRange)),
        ("%H:%M:%S", None, "2024-01-01", "23:59:59", Ok("2024-01-01T23:59:59Z")),
        ("%H:%M:%S%.f", None, "2024-01-01T06:00:00Z", "05:59:59,5", Ok("2024-01-02T05:59:59.500Z")),
        ("%H:%M", None, "2024-01-01T06:00:00Z", "06:00", Ok("2024-01-01T06:00:00Z")),
        ("%H:%M", None, "2024-01-01", "24:00", Ok("2024-01-01T00:00:00Z")),
        ("%H%M", Some("Europe/Berlin"), "2024-07-01", "930", Ok("2024-07-01T07:30:00Z")),
        ("%I:%M %p", None, "2024-01-01", "1:05 PM", Ok("2024-01-01T13:05:00Z")),
        ("%H:%M", None, "2024-01-01", "25:00", Err(NotThePattern)),
    ];
    for (format, zone, start, text, time) in cases {
        assert_eq!(
            started(format, zone, start, text).as_deref().map_err(|&e| e),
            time,
            "{format} {start} {text}"
        );
    }
    for format in ["rfc3339", "excel", "%F"] {
        let error = parser(format, None).with_start("2024-01-01").expect_err(format);
        assert!(error.contains("need no start"), "{error}");
    }
    let error = parser("s", None).with_start("yesterday").expect_err("no time");
    assert!(error.contains("`yesterday` is not a time"), "{error}");
    let error = parser("%H:%M", None).check().expect_err("no start");
    assert!(error.contains("`start`"), "{error}");
}

#[test]
fn moments_in_options() {
    let berlin = parser("s", Some("Europe/Berlin"));
    let moment = |text| berlin.moment(text).map(|time| time.to_string());
    assert_eq!(moment("2024-07-01").as_deref(), Ok("2024-06-30T22:00:00Z"));
    assert_eq!(moment(" 2024-07-01T00:00:00Z ").as_deref(), Ok("2024-07-01T00:00:00Z"));
    assert_eq!(moment("2024-07-01 12:00:00").as_deref(), Ok("2024-07-01T10:00:00Z"));
    for text in ["2024-02-30", "2024", "now", "", "2024-07-01T", "1700000000"] {
        let error = moment(text).expect_err(text);
        assert!(error.contains("is not a time") && error.contains("2024-02-29T12:00:00Z"), "{error}");
    }
}

#[test]
fn times_shown_twice() {
    let at = |text: &str| parser("rfc3339", None).parse(text.as_bytes()).expect(text);
    let second = |zone: &str, text: &str| {
        let mut folds = parser("rfc3339", Some(zone)).folds().expect(zone);
        let alone = folds.second(at(text));
        // The result does not depend on earlier queries.
        for other in
            ["2013-01-01T00:00:00Z", "2013-10-27T00:30:00Z", "2100-01-01T00:00:00Z", "1800-01-01T00:00:00Z"]
        {
            folds.second(at(other));
            assert_eq!(folds.second(at(text)), alone, "{text} behind {other}");
        }
        alone.map(|time| time.to_string())
    };
    let zurich = |text| second("Europe/Zurich", text);
    assert_eq!(zurich("2013-10-26T23:59:59.999999999Z"), None);
    assert_eq!(zurich("2013-10-27T00:00:00Z").as_deref(), Some("2013-10-27T01:00:00Z"));
    assert_eq!(zurich("2013-10-27T00:59:59.999999999Z").as_deref(), Some("2013-10-27T01:59:59.999999999Z"));
    assert_eq!(zurich("2013-10-27T01:00:00Z"), None, "that is the second time");
    assert_eq!(zurich("2013-03-31T01:00:00Z"), None, "nothing is shown twice in spring");
    assert_eq!(
        second("Australia/Lord_Howe", "2024-04-06T14:30:00Z").as_deref(),
        Some("2024-04-06T15:00:00Z")
    );
    assert_eq!(second("Australia/Lord_Howe", "2024-04-06T14:29:59Z"), None);
    assert!(parser("rfc3339", None).folds().is_none());
    assert!(parser("rfc3339", Some("UTC")).folds().is_none());
    assert!(parser("s", Some("Europe/Zurich")).folds().is_none());
    assert!(parser("%FT%T%z", Some("Europe/Zurich")).folds().is_none());
    assert!(parser("excel", Some("Europe/Zurich")).folds().is_some());
    let berlin = parser("rfc3339", Some("Europe/Berlin"));
    assert!(berlin.is_local(b"2024-02-29T24:00:00") && !berlin.is_local(b"20240229T120000 UTC"));
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
    let noon_and_midnight = [
        ("7/4/2024 12:00 AM", Ok("2024-07-04T00:00:00Z")),
        ("7/4/2024 12:59 pm", Ok("2024-07-04T12:59:00Z")),
        ("07/04/2024 11:59PM", Ok("2024-07-04T23:59:00Z")),
        ("7/4/2024 13:00 PM", Err(NotThePattern)),
        ("7/4/2024 0:30 AM", Err(NotThePattern)),
    ];
    check("%m/%d/%Y %I:%M %p", None, &noon_and_midnight);
    let end_of_day = [
        ("2018-01-01 24:00", Ok("2018-01-02T00:00:00Z")),
        ("2024-02-28 24:00", Ok("2024-02-29T00:00:00Z")),
        ("2018-12-31 24:00", Ok("2019-01-01T00:00:00Z")),
        ("2024-12-24 24:00", Ok("2024-12-25T00:00:00Z")),
        ("2018-01-01 24:01", Err(NotThePattern)),
        ("2018-01-01 25:00", Err(NotThePattern)),
        ("2018-01-24 25:00", Err(NotThePattern)),
        ("2018-02-30 24:00", Err(NoSuchDay)),
    ];
    check("%Y-%m-%d %H:%M", None, &end_of_day);
    check("%d.%m.%Y %H:%M:%S%.f", None, &[("24.12.2024 24:00:00,000", Ok("2024-12-25T00:00:00Z"))]);
    check("%d.%m.%Y %H:%M:%S%.f", None, &[("24.12.2024 24:00:00,001", Err(NotThePattern))]);
    check("%F %H:%M", Some("Europe/Berlin"), &[("2024-03-30 24:00", Ok("2024-03-30T23:00:00Z"))]);
    check("%F %H:%M %Q", None, &[("2024-03-30 24:00 Europe/Berlin", Ok("2024-03-30T23:00:00Z"))]);
    check("%d/%b/%Y:%H:%M:%S%.f", None, &[("04/Jul/2024:12:00:00,25", Ok("2024-07-04T12:00:00.250Z"))]);
    check("%F %H:%M:%S,%f", None, &[("2024-07-04 12:00:00,25", Ok("2024-07-04T12:00:00.250Z"))]);
    // Any amount of whitespace, within the limit on the length.
    let [wide, wider] = [200, 300].map(|blanks| format!("2024-07-04{}24:00", " ".repeat(blanks)));
    check("%F %H:%M", None, &[(&wide, Ok("2024-07-05T00:00:00Z")), (&wider, Err(NotThePattern))]);
    let offsets = [
        ("2024-07-04 12:00 +0100", Ok("2024-07-04T11:00:00Z")),
        ("2024-07-04 12:00 +01", Ok("2024-07-04T11:00:00Z")),
        ("2024-07-04 12:00+01:00", Ok("2024-07-04T11:00:00Z")),
        ("2024-07-04 12:00 -08:30", Ok("2024-07-04T20:30:00Z")),
        ("2024-07-04 12:00Z", Ok("2024-07-04T12:00:00Z")),
        ("2024-07-04 24:00 -01", Ok("2024-07-05T01:00:00Z")),
        ("2024-07-04 12:00", Err(NotThePattern)),
        ("2024-07-04 12:00 CET", Err(NotThePattern)),
    ];
    check("%F %H:%M %z", None, &offsets);
    check("%F %H:%M %:z", None, &offsets);
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
fn digits_with_nothing_between_them() {
    use TimeError::*;
    let logger = [
        ("2012 123 930", Ok("2012-05-02T09:30:00Z")),
        ("2012 123 130", Ok("2012-05-02T01:30:00Z")),
        ("2012 5 45", Ok("2012-01-05T00:45:00Z")),
        ("2012 5 0", Ok("2012-01-05T00:00:00Z")),
        ("2012 366 2359", Ok("2012-12-31T23:59:00Z")),
        ("2012 366 2400", Ok("2013-01-01T00:00:00Z")),
        ("2024 124 2400", Ok("2024-05-04T00:00:00Z")),
        ("2013 366 1200", Err(NotThePattern)),
        ("2012 123 2401", Err(NotThePattern)),
        ("2012 123 960", Err(NotThePattern)),
        ("2012 123 12345", Err(NotThePattern)),
        ("2012 123", Err(NotThePattern)),
    ];
    check("%Y %j %H%M", None, &logger);
    check(
        "%Y,%j,%H%M",
        None,
        &logger.map(|(text, time)| (text, if text.contains(',') { time } else { Err(NotThePattern) })),
    );
    check(
        "%Y%j %H%M%S",
        None,
        &[("2012123 93005", Ok("2012-05-02T09:30:05Z")), ("201223 93005", Err(NotThePattern))],
    );
    let compact = [
        ("202402291200", Ok("2024-02-29T12:00:00Z")),
        ("202402292400", Ok("2024-03-01T00:00:00Z")),
        ("20240229120", Err(NotThePattern)),
        ("2024229120", Err(NotThePattern)),
        ("2024022912000", Err(NotThePattern)),
    ];
    check("%Y%m%d%H%M", None, &compact);
    check("%d%m%Y", None, &[("29022024", Ok("2024-02-29T00:00:00Z")), ("1022024", Err(NotThePattern))]);
    check("%FT%H%M", None, &[("2024-02-29T115", Ok("2024-02-29T01:15:00Z"))]);
    check("%Y%m%d%H%M%S%f", None, &[("20240229120059123", Ok("2024-02-29T12:00:59.123Z"))]);
}

#[test]
fn formats_named() {
    for name in [
        "rfc3339",
        "s",
        "ms",
        "us",
        "ns",
        "excel",
        "julian",
        "mjd",
        "%H:%M:%S",
        "%F %Z",
        "%d.%m.%Y %H:%M",
        "%G-W%V-%u",
        "%Y-%j",
        "%e %B %Y %l:%M%P",
    ] {
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
    for name in ["%", "%!", "%Y-%m", "%m %H:%M", "%H:%S", "%H:%M %z", "%c", "%F %", "100%", "%F %S", "%%"] {
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

/// The result of the calendar library in nanoseconds; a time without an offset is UTC. It supports neither 24:00 nor a space before the
/// offset.
fn judge(text: &str) -> Option<i128> {
    let is_end_of_day = text.get(11..19) == Some("24:00:00")
        && !text[19..].split(['Z', 'z', '+', '-']).next()?.contains(|c| ('1'..='9').contains(&c));
    if is_end_of_day {
        let midnight = format!("{}00{}", &text[..11], &text[13..]);
        return judge(&midnight).map(|nanos| nanos + 86_400_000_000_000);
    }
    if let Some((clock, offset)) = text.get(..19).zip(text.get(19..)).filter(|(_, rest)| rest.contains(' ')) {
        return judge(&format!("{clock}{}", offset.replacen(' ', "", 1)));
    }
    let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let datetime = text.parse::<DateTime>().ok()?;
        Some(datetime.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(instant.as_nanosecond())
}

/// RFC 3339 in our form, mostly valid: every part may be just out of range.
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

    /// For texts close to RFC 3339 our parser accepts fewer (no leap second, no shorter forms, offsets below 24 hours), but never with
    /// another result.
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
        for format in ["rfc3339", "s", "ns", "excel", "%d.%m.%Y %H:%M:%S%.f", "%FT%T%z", "%F %T %Q", "%s", "%Y %j %H%M", "%F %T %Z"] {
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
    fn numbers_with_exponents_are_those_without(nanos in any::<i64>(), shift in -8..12_i32) {
        // The point moved by `shift` digits, and moved back by the exponent.
        let digits = format!("{:0>40}", nanos.unsigned_abs());
        let point = (digits.len() as i32 - 9 - shift) as usize;
        let sign = if nanos < 0 { "-" } else { "" };
        let text = format!("{sign}{}.{}e{shift}", &digits[..point], &digits[point..]);
        prop_assert_eq!(parser("s", None).parse(text.as_bytes()), Ok(Timestamp::from_nanos(nanos)), "{}", text);
    }

    #[test]
    fn other_forms_agree_with_the_calendar(seconds in -9_000_000_000..9_000_000_000_i64, fraction in "([.,][0-9]{1,9})?", offset in "(Z|[+-](0[0-9]|1[0-9]|2[0-3])([0-5][0-9])?)?", space in "[Tt ]?") {
        let written = Timestamp::from_nanos(seconds * 1_000_000_000).to_string();
        let head = &written[..19];
        let colons = match offset.len() {
            3 => format!("{offset}:00"),
            5 => format!("{}:{}", &offset[..3], &offset[3..]),
            _ => offset.clone(),
        };
        let judged = judge(&format!("{head}{}{colons}", fraction.replace(',', "."))).and_then(|nanos| i64::try_from(nanos).ok());
        let digits: String = head.chars().filter(char::is_ascii_digit).collect();
        for text in [format!("{head}{fraction}{offset}"), format!("{}{space}{}{fraction}{offset}", &digits[..8], &digits[8..])] {
            let ours = parser("rfc3339", None).parse(text.as_bytes()).ok().map(Timestamp::as_nanos);
            prop_assert_eq!(ours, judged, "{}", text);
        }
    }

    #[test]
    fn days_are_the_nearest_millisecond(days in 1..130_000_i64, millis in 0..86_400_000_i64) {
        // As a float is displayed: the shortest text that parses to it.
        let serial = days as f64 + millis as f64 / 86_400_000.0;
        let time = parser("excel", None).parse(serial.to_string().as_bytes()).expect("a day");
        prop_assert_eq!(time.as_nanos(), ((days - 25_569) * 86_400_000 + millis) * 1_000_000, "{}", serial);
    }

    #[test]
    fn what_is_shown_twice_is_what_the_calendar_says(seconds in -3_000_000_000..7_000_000_000_i64, near in any::<bool>()) {
        let zone = TimeZone::get("America/New_York").expect("compiled in");
        let at = jiff::Timestamp::new(seconds, 0).expect("in range");
        // Most times are far from any clock change.
        let turn = zone.following(at).next().map(|next| next.timestamp()).expect("there is always one more");
        let at = if near { turn + jiff::Span::new().seconds(seconds % 7_200) } else { at };
        let shown = zone.to_ambiguous_timestamp(zone.to_datetime(at));
        let (first, last) = (shown.earlier().expect("in range"), shown.later().expect("in range"));
        let expected = (first == at && last != at).then_some(last.as_nanosecond());
        let mut folds = parser("rfc3339", Some("America/New_York")).folds().expect("folds");
        let ours = folds.second(Timestamp::from_nanos(at.as_nanosecond() as i64));
        prop_assert_eq!(ours.map(|time| i128::from(time.as_nanos())), expected, "{}", at);
    }

    #[test]
    fn durations_read_back(nanos in 1..=i64::MAX) {
        prop_assert_eq!(parse_duration(&format_duration(nanos)), Ok(nanos));
    }
}
