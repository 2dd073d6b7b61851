//! How objects are delimited in a file: by lines or by their structure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::structure::{NoEnd, object_end};
use crate::format::MAX_RECORD;

/// How objects are delimited in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JsonLayout {
    /// Detected at the beginning of the file: `values` if it is an array, if its first object spans several lines, or if another object
    /// follows on the same line; otherwise `lines`.
    #[default]
    Auto,
    /// One object, or one array of objects, per line.
    Lines,
    /// Consecutive objects, optionally in arrays, regardless of line ends.
    Values,
}

impl JsonLayout {
    /// Whether a file that begins with `bytes` is delimited by structure; `None` if more input is needed.
    pub(super) fn is_values(self, bytes: &[u8], is_whole: bool) -> Option<bool> {
        match self {
            Self::Auto => looks_like_values(
                &bytes[..bytes.len().min(MAX_RECORD)],
                is_whole || bytes.len() >= MAX_RECORD,
            ),
            Self::Lines => Some(false),
            Self::Values => Some(true),
        }
    }
}

fn looks_like_values(bytes: &[u8], is_all: bool) -> Option<bool> {
    let has_line_feed = |from, to| memchr::memchr(b'\n', &bytes[from..to]).is_some();
    let Some(start) = bytes.iter().position(|byte| !byte.is_ascii_whitespace()) else {
        return is_all.then_some(false);
    };
    match bytes[start] {
        b'[' | 0x1e => return Some(true),
        b'{' => {}
        _ => return Some(false),
    }
    match object_end(bytes, start) {
        Ok(end) if has_line_feed(start, end) => Some(true),
        Ok(end) => match bytes[end..].iter().find(|byte| !matches!(byte, b' ' | b'\t')) {
            Some(byte) => Some(matches!(byte, b'{' | b'[' | b',' | 0x1e)),
            None => is_all.then_some(false),
        },
        Err(NoEnd::Broken(_) | NoEnd::NoValue(_)) => Some(false),
        Err(NoEnd::Open) => is_all.then(|| has_line_feed(start, bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clause_5_the_beginning_says_how_objects_lie() {
        let cases: [(&str, Option<bool>, bool); 15] = [
            ("{\"v\":1}\n", Some(false), false),
            ("\n {\"v\":1} \r", Some(false), false),
            ("{\"v\":1}", None, false),
            ("{\"v\":1}{", Some(true), true),
            ("{\"v\":1}, ", Some(true), true),
            ("{\n\"v\":1}", Some(true), true),
            ("{\n\"v\":", None, true),
            ("{\"v\":", None, false),
            (" [", Some(true), true),
            ("\u{1e}", Some(true), true),
            ("{\"v\":\n{\"v\":1}\n{\"v\":2}", Some(false), false),
            ("{\"v\":\"x\n", Some(false), false),
            ("garbage\n[", Some(false), false),
            ("", None, false),
            (" \n", None, false),
        ];
        for (text, open, whole) in cases {
            assert_eq!(JsonLayout::Auto.is_values(text.as_bytes(), false), open, "{text:?}");
            assert_eq!(JsonLayout::Auto.is_values(text.as_bytes(), true), Some(whole), "{text:?}");
        }
    }
}
