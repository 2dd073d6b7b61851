//! Time zones: abbreviations, gaps, folds.

use super::testing::{check, parser};
use super::*;

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
