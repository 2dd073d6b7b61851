//! Times that are numbers.

use super::Epochs;
use crate::time::lanes::ways;
use crate::time::testing::{check, parser};
use crate::time::*;

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

proptest::proptest! {
    #[test]
    fn clause_4_plain_digits_are_parsed_as_any_number_is(text in "[0-9]{0,22}|[0-9]{6,12}[-+.:/e ][0-9]{0,9}") {
        for places in [0, 3, 6, 9] {
            proptest::prop_assert_eq!(epoch::parse(text.as_bytes(), places), epoch::any(text.as_bytes(), places), "{}", text);
        }
    }

    #[test]
    fn clause_4_epochs_side_by_side_are_read_as_one_by_one(
        texts in proptest::collection::vec("[0-9]{13}|[0-9]{16}|[0-9]{19}|[09]{8,20}|[0-9]{6,12}[-+.:/e ][0-9]{0,9}|", LANES),
    ) {
        let (all, mut lanes) = (format!("{:16}{}{:16}", "", texts.concat(), ""), Texts::default());
        let mut end = 16;
        for (lane, text) in texts.iter().enumerate() {
            end += text.len();
            lanes.set(lane, all.as_bytes(), end - text.len(), end);
        }
        for places in [0, 3, 6, 9] {
            for length in texts.iter().map(String::len) {
                let Some(epochs) = Epochs::new(length, places) else { continue };
                for read in ways() {
                    let mut times = [Timestamp::MIN; LANES];
                    let unread = read(&lanes, &epochs, &mut times);
                    for (lane, text) in texts.iter().enumerate() {
                        let time = (unread >> lane & 1 == 0).then_some(times[lane]);
                        let expected = epoch::plain(text.as_bytes(), places).filter(|_| text.len() == length);
                        proptest::prop_assert_eq!(time, expected, "{} of {} digits", text, length);
                    }
                }
            }
        }
    }
}
