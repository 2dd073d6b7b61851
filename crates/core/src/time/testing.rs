//! Helpers for tests of parsing.

use super::{TimeError, TimeFormat, TimeParser};

pub(super) fn parser(format: &str, zone: Option<&str>) -> TimeParser {
    TimeParser::new(TimeFormat::parse(format).expect(format), zone).expect("a known zone")
}

/// Checks a table of inputs and results: RFC 3339 in UTC, or an error.
pub(super) fn check(format: &str, zone: Option<&str>, cases: &[(&str, Result<&str, TimeError>)]) {
    let parser = parser(format, zone);
    for (text, expected) in cases {
        let got = parser.parse(text.as_bytes()).map(|time| time.to_string());
        assert_eq!(got, expected.map(str::to_owned), "{format}: {text}");
    }
}
