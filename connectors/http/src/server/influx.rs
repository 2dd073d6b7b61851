//! What clients of InfluxDB expect: its paths, the precision of times, its errors.

use serde_json::json;

use super::access::parameter;

/// What a path of InfluxDB is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Write,
    /// Whether the server is there.
    Ping,
    Health,
    /// Clients of version 1 create their database first.
    Query,
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/write" | "/api/v2/write" => Some(Self::Write),
            "/ping" => Some(Self::Ping),
            "/health" => Some(Self::Health),
            "/query" => Some(Self::Query),
            _ => None,
        }
    }
}

/// Whether a query does nothing but create a database.
pub(super) fn creates_database(query: &str) -> bool {
    let text = parameter(query, "q").unwrap_or_default();
    text.trim_start().to_ascii_uppercase().starts_with("CREATE DATABASE")
}

/// How many zeros make a time of the precision in `query` one in nanoseconds; `None` if there is no such precision.
pub(super) fn zeros(query: &str) -> Option<usize> {
    match parameter(query, "precision").as_deref() {
        None | Some("" | "ns" | "n") => Some(0),
        Some("us" | "u") => Some(3),
        Some("ms") => Some(6),
        Some("s") => Some(9),
        _ => None,
    }
}

/// The lines with times in nanoseconds: those at the ends of lines get so many zeros.
pub(super) fn scaled(lines: Vec<u8>, zeros: usize) -> Vec<u8> {
    if zeros == 0 {
        return lines;
    }
    let mut out = Vec::with_capacity(lines.len() + lines.len() / 4);
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let content = line.trim_ascii_end();
        out.extend_from_slice(content);
        if has_time(content) {
            out.extend(std::iter::repeat_n(b'0', zeros));
        }
        out.extend_from_slice(&line[content.len()..]);
    }
    out
}

/// Whether a line ends with a time: digits behind a space. What else ends with digits has `=` before them, and text ends with a quote.
fn has_time(line: &[u8]) -> bool {
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let before = &line[..line.len() - digits];
    let before = before.strip_suffix(b"-").unwrap_or(before);
    digits > 0 && before.ends_with(b" ") && !before.ends_with(b"\\ ") && line.first() != Some(&b'#')
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
        let scaled = String::from_utf8(scaled(lines.into(), 3)).expect("text");
        assert_eq!(scaled, "m v=1 17000\nm v=2\r\nm,t=a\\ 5 v=3i -2000\r\nm s=\"a 5\"\n# 5\nm s=\"x\" 9000");
        assert_eq!(
            ["", "precision=ms", "precision=u&db=x", "precision=s"].map(zeros),
            [Some(0), Some(6), Some(3), Some(9)]
        );
        assert_eq!(zeros("precision=h"), None);
    }

    #[test]
    fn clients_of_version_1_may_create_a_database_and_no_more() {
        assert!(creates_database("q=CREATE+DATABASE+%22x%22"));
        assert!(!creates_database("q=SELECT+1") && !creates_database(""));
    }

    proptest! {
        #[test]
        fn strangers_send_anything(lines in any::<Vec<u8>>(), query in ".*") {
            let scaled = scaled(lines.clone(), 6);
            prop_assert!(scaled.len() >= lines.len());
            let _any = (zeros(&query), creates_database(&query));
        }
    }
}
