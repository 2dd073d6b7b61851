//! Time patterns and the names of formats.

use super::testing::check;
use super::*;

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
