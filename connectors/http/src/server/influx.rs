//! What clients of InfluxDB expect: its paths, the precision of times, its errors.

use serde_json::json;

use super::access::parameter;

/// What a path of InfluxDB is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// That of version 1.
    Write,
    /// That of version 2.
    WriteV2,
    /// Whether the server is there.
    Ping,
    Health,
    /// Clients of version 1 create their database first.
    Query,
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/write" => Some(Self::Write),
            "/api/v2/write" => Some(Self::WriteV2),
            "/ping" => Some(Self::Ping),
            "/health" => Some(Self::Health),
            "/query" => Some(Self::Query),
            _ => None,
        }
    }
}

/// Whether a query does nothing but create a database. It is in the query of the address, or a form in the body, which is written the same way.
pub(super) fn creates_database(query: &str) -> bool {
    let text = parameter(query, "q").unwrap_or_default();
    text.trim_start().to_ascii_uppercase().starts_with("CREATE DATABASE")
}

/// What a time of another precision than nanoseconds is multiplied with: so many of a power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    times: u64,
    zeros: usize,
}

impl Scale {
    /// That of nanoseconds.
    pub(super) const NONE: Self = Self { times: 1, zeros: 0 };

    /// That of the precision in `query`; `None` if there is no such precision.
    pub(super) fn of(query: &str) -> Option<Self> {
        let (times, zeros) = match parameter(query, "precision").as_deref() {
            None | Some("" | "ns" | "n") => (1, 0),
            Some("us" | "u") => (1, 3),
            Some("ms") => (1, 6),
            Some("s") => (1, 9),
            // Of version 1.
            Some("m") => (6, 10),
            Some("h") => (36, 11),
            _ => return None,
        };
        Some(Self { times, zeros })
    }

    /// The lines with times in nanoseconds: those at the ends of lines are multiplied.
    pub(super) fn apply(self, lines: Vec<u8>) -> Vec<u8> {
        if self == Self::NONE {
            return lines;
        }
        let mut out = Vec::with_capacity(lines.len() + lines.len() / 4);
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let content = line.trim_ascii_end();
            match digits_of_time(content) {
                0 => out.extend_from_slice(content),
                digits => self.scaled(content, digits, &mut out),
            }
            out.extend_from_slice(&line[content.len()..]);
        }
        out
    }

    /// A line that ends with a time of so many digits. One that is too large stays so: it is refused.
    fn scaled(self, line: &[u8], digits: usize, out: &mut Vec<u8>) {
        let (before, time) = line.split_at(line.len() - digits);
        let number = std::str::from_utf8(time).ok().and_then(|time| time.parse::<u64>().ok());
        match number.and_then(|number| number.checked_mul(self.times)).filter(|_| self.times > 1) {
            Some(number) => {
                out.extend_from_slice(before);
                out.extend_from_slice(number.to_string().as_bytes());
            }
            None => out.extend_from_slice(line),
        }
        out.extend(std::iter::repeat_n(b'0', self.zeros));
    }
}

/// How many digits the time has with which a line ends: behind a space. What else ends with digits has `=` before them, and text ends with a quote.
fn digits_of_time(line: &[u8]) -> usize {
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let before = &line[..line.len() - digits];
    let before = before.strip_suffix(b"-").unwrap_or(before);
    let is_time = before.ends_with(b" ") && !before.ends_with(b"\\ ") && line.first() != Some(&b'#');
    if is_time { digits } else { 0 }
}

/// The body of an answer for points of which some are refused.
pub(super) fn partial(why: &str, dropped: usize) -> String {
    let text = format!("partial write: {why} dropped={dropped}");
    json!({ "code": "invalid", "message": text, "error": text }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_of_any_precision_are_nanoseconds() {
        let lines = "m v=1 17\nm v=2\r\nm,t=a\\ 5 v=3i -2\r\nm s=\"a 5\"\n# 5\nm s=\"x\" 9";
        let scaled = |query: &str, lines: &str| {
            let scale = Scale::of(query).expect("a precision");
            String::from_utf8(scale.apply(lines.into())).expect("text")
        };
        assert_eq!(
            scaled("precision=u&db=x", lines),
            "m v=1 17000\nm v=2\r\nm,t=a\\ 5 v=3i -2000\r\nm s=\"a 5\"\n# 5\nm s=\"x\" 9000"
        );
        for (query, expected) in [
            ("", "m v=1 -17"),
            ("precision=ns", "m v=1 -17"),
            ("precision=ms", "m v=1 -17000000"),
            ("precision=s", "m v=1 -17000000000"),
            ("precision=m", "m v=1 -1020000000000"),
            ("precision=h", "m v=1 -61200000000000"),
        ] {
            assert_eq!(scaled(query, "m v=1 -17"), expected, "{query}");
        }
        let large = "m v=1 18446744073709551615";
        assert_eq!(scaled("precision=h", large), large.to_owned() + "00000000000", "it stays too large");
        assert_eq!(Scale::of("precision=d"), None);
    }

    #[test]
    fn clients_of_version_1_may_create_a_database_and_no_more() {
        assert!(creates_database("q=CREATE+DATABASE+%22x%22"));
        assert!(!creates_database("q=SELECT+1") && !creates_database(""));
    }

    proptest! {
        #[test]
        fn strangers_send_anything(lines in any::<Vec<u8>>(), query in ".*") {
            let scaled = |query: &str| Scale::of(query).map(|scale| scale.apply(lines.clone()));
            prop_assert!(scaled("precision=ms").is_some_and(|scaled| scaled.len() >= lines.len()));
            let _any = (scaled("precision=h"), scaled(&query), creates_database(&query));
        }
    }
}
