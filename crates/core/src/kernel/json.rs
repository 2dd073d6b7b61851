//! JSON values: those that need no unescaping (strings without escapes, numbers, words), and strings that do.

use super::stops::Stops;

/// A value that can be used in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// The first byte of the content: of a string, after the quote.
    pub start: usize,
    /// The position after the content.
    pub end: usize,
    /// The position after the value.
    pub next: usize,
    /// Whether it is the word `null`.
    pub is_null: bool,
}

/// The value that begins at `start` of `text`: a UTF-8 string without escapes, a number, `true`, `false` or `null`; `None` for anything
/// else. What follows a number or a word is not checked.
#[inline]
pub fn plain_value(text: &[u8], start: usize) -> Option<Plain> {
    let as_it_stands = |end| Plain { start, end, next: end, is_null: false };
    match text.get(start)? {
        b'"' => {
            let start = start + 1;
            let end = plain_string(text, start)?;
            Some(Plain { start, end, next: end + 1, is_null: false })
        }
        b'-' | b'0'..=b'9' => number(text, start).map(as_it_stands),
        b'n' => word(text, start, b"null").map(|end| Plain { is_null: true, ..as_it_stands(end) }),
        b't' => word(text, start, b"true").map(as_it_stands),
        b'f' => word(text, start, b"false").map(as_it_stands),
        _ => None,
    }
}

/// The position of the closing quote of the string whose content begins at `start`. `None` if it has escapes or control characters, is not
/// UTF-8, or does not end.
#[inline]
pub fn plain_string(text: &[u8], start: usize) -> Option<usize> {
    let (end, is_ascii) = string_stop(text, start)?;
    let is_text = || is_ascii || std::str::from_utf8(&text[start..end]).is_ok();
    (text[end] == b'"' && is_text()).then_some(end)
}

/// The next quote, backslash or control character from `start` on, and whether what comes before it is known to be ASCII.
#[inline]
fn string_stop(text: &[u8], start: usize) -> Option<(usize, bool)> {
    Stops { bytes: *b"\"\\", low: 0x1f }.find(text, start)
}

/// Appends the content of the string that begins at `start`, a quote, to `content`, unescaped; returns the position after it. `None` if it is not a
/// string, has control characters or invalid escapes, is not UTF-8, or does not end: then `content` is as before.
#[cold]
pub fn unescape_string(text: &[u8], start: usize, content: &mut Vec<u8>) -> Option<usize> {
    let before = content.len();
    let end = (text.get(start) == Some(&b'"')).then(|| unescape(text, start + 1, content)).flatten();
    // An escape is a whole character: what is not UTF-8 does not become so beside it.
    let end = end.filter(|_| std::str::from_utf8(&content[before..]).is_ok());
    if end.is_none() {
        content.truncate(before);
    }
    end
}

fn unescape(text: &[u8], mut at: usize, content: &mut Vec<u8>) -> Option<usize> {
    loop {
        let (stop, _) = string_stop(text, at)?;
        content.extend_from_slice(&text[at..stop]);
        at = match text[stop] {
            b'"' => return Some(stop + 1),
            b'\\' => escape(text, stop + 1, content)?,
            _ => return None,
        };
    }
}

/// Appends the character of the escape whose backslash is before `at`; returns the position after it.
#[inline]
fn escape(text: &[u8], at: usize, content: &mut Vec<u8>) -> Option<usize> {
    content.push(match *text.get(at)? {
        byte @ (b'"' | b'\\' | b'/') => byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return escaped_character(text, at + 1, content),
        _ => return None,
    });
    Some(at + 1)
}

/// The same for four hexadecimal digits at `at`, which may be half of a character outside the basic plane: then the other half follows.
fn escaped_character(text: &[u8], at: usize, content: &mut Vec<u8>) -> Option<usize> {
    let first = hexadecimal(text, at)?;
    let (code, end) = match first {
        0xd800..0xdc00 => {
            let other = text.get(at + 4..)?.starts_with(b"\\u").then(|| hexadecimal(text, at + 6))??;
            let low = other.checked_sub(0xdc00).filter(|&low| low < 0x400)?;
            (0x1_0000 + ((first - 0xd800) << 10 | low), at + 10)
        }
        code => (code, at + 4),
    };
    let character = char::from_u32(code)?;
    content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(end)
}

/// The value of four hexadecimal digits.
fn hexadecimal(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, &byte| Some(value << 4 | char::from(byte).to_digit(16)?))
}

/// The position after the number that begins at `start`: the longest `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
#[inline]
fn number(text: &[u8], start: usize) -> Option<usize> {
    let whole = start + usize::from(text.get(start) == Some(&b'-'));
    let mut end = match text.get(whole)? {
        b'0' => whole + 1,
        _ => digits(text, whole)?,
    };
    if text.get(end) == Some(&b'.') {
        end = digits(text, end + 1)?;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let is_signed = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = digits(text, end + 1 + usize::from(is_signed))?;
    }
    Some(end)
}

/// The position after the digits from `start` on, at least one.
#[inline]
fn digits(text: &[u8], start: usize) -> Option<usize> {
    let mut end = start;
    while text.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    (end > start).then_some(end)
}

#[inline]
fn word(text: &[u8], start: usize, word: &[u8]) -> Option<usize> {
    text[start..].starts_with(word).then_some(start + word.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The result of a JSON parser for a value followed by a comma.
    fn check(text: &[u8]) -> Result<(), TestCaseError> {
        let all = [b" ", text, b",0000000"].concat();
        let expected: Option<&serde_json::value::RawValue> = serde_json::from_slice(text).ok();
        let is_plain = |text: &&str| !text.starts_with(['[', '{', ' ']) && !text.contains('\\');
        let expected =
            expected.map(|value| value.get()).filter(is_plain).filter(|value| value.len() == text.len());
        let got = plain_value(&all, 1).filter(|value| value.next == 1 + text.len());
        prop_assert_eq!(got.is_some(), expected.is_some(), "{}", text.escape_ascii());
        if let (Some(got), Some(expected)) = (got, expected) {
            let is_string = usize::from(expected.starts_with('"'));
            prop_assert_eq!((got.start, got.end), (1 + is_string, 1 + text.len() - is_string));
            prop_assert_eq!(got.is_null, expected == "null");
            // The text may end with the value.
            prop_assert_eq!(plain_value(&all[..=text.len()], 1), Some(got));
        }
        Ok(())
    }

    #[test]
    fn nasty_values_are_plain_where_a_parser_takes_them_as_they_stand() {
        let nasty = "|0|-0|01|-|-1|1.|.5|0.5|1.25e5|1e|1e+|1e+5|1E-05|+1|1 |NaN|null|nul|nulll|true|tru|false|\"|\"\"|\"a\"|\"a\\\"\"|\"\u{7f}é\"|\"a\tb\"|[]|{}";
        nasty.split('|').try_for_each(|text| check(text.as_bytes())).expect("as a parser says");
        check(b"\"\xff\"").expect("no UTF-8");
    }

    /// The result of a JSON parser for a string, and for its beginnings.
    fn check_unescaped(text: &[u8]) -> Result<(), TestCaseError> {
        let all = [b" ", text, b"  "].concat();
        for cut in 1..=all.len() {
            let mut content = b"before".to_vec();
            let end = unescape_string(&all[..cut], 1, &mut content);
            let expected =
                (1..=cut).find_map(|end| Some((end, serde_json::from_slice::<String>(&all[1..end]).ok()?)));
            let expected = expected.map_or((None, String::new()), |(end, text)| (Some(end), text));
            prop_assert_eq!(
                (end, &content[6..]),
                (expected.0, expected.1.as_bytes()),
                "{}",
                all[..cut].escape_ascii()
            );
        }
        Ok(())
    }

    #[test]
    fn nasty_strings_are_unescaped_as_by_a_parser() {
        let nasty = r#"|""|"\""|"\\"|"\/\b\f\n\r\t"|"a\u00e9b"|"\u0000"|"\ud83d\ude00"|"\uD83D\uDE00x"|"\ud83d"|"\ud83d\u0041"|"\ude00"|"\ud83d\n"|"\u12"|"\u12g4"|"\x"|"\u+123"|"\|é\\é"|"12345678\n12345678\n""#;
        nasty.split('|').try_for_each(|text| check_unescaped(text.as_bytes())).expect("as a parser says");
        check_unescaped(b"\"a\\n\xff\"").expect("no UTF-8");
        check_unescaped(b"\"a\\n\xc3\\u00a9\xa9\"").expect("no UTF-8");
        check_unescaped(b"\"a\\n\x1f\"").expect("a control character");
    }

    proptest! {
        #[test]
        fn strings_are_unescaped_as_by_a_parser(pieces in proptest::collection::vec(proptest::sample::select(&[
            "a", "bcdefgh", "é", "\\n", "\\\\", "\\\"", "\\/", "\\u00e9", "\\u0041", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\u1", "\\", "\n",
        ][..]), 0..12)) {
            check_unescaped(format!("\"{}\"", pieces.concat()).as_bytes())?;
        }

        #[test]
        fn values_are_plain_where_a_parser_takes_them_as_they_stand(
            number in "-?[0-9]{0,9}[.]?[0-9]{0,3}([eE][-+]?[0-9]{0,2})?", string in "\"[ -~é\n]{0,30}\"",
            bytes in proptest::collection::vec(proptest::sample::select(&b"aaaaaa\"\\ \x1f\x20\x7f\xc3\xa9\xff"[..]), 0..30),
        ) {
            check(number.as_bytes())?;
            check(string.as_bytes())?;
            check(&[b"\"", &bytes[..], b"\""].concat())?;
        }
    }
}
