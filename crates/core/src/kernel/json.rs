//! JSON values that need no unescaping: strings without escapes, numbers, words.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

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
/// UTF-8, or does not end. Eight bytes at a time; the lowest bit set of each mask is exact.
#[inline]
pub fn plain_string(text: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut high) = (start, 0);
    while let Some(bytes) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(bytes.try_into().ok()?);
        let is = |byte: u8| zeros(word ^ (ONES * u64::from(byte)));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let stops = is(b'"') | is(b'\\') | controls;
        if stops != 0 {
            high |= word & HIGH & (stops & stops.wrapping_neg()).wrapping_sub(1);
            return checked(text, start, at + stops.trailing_zeros() as usize / 8, high == 0);
        }
        high |= word & HIGH;
        at += 8;
    }
    let stop = text.get(at..)?.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    checked(text, start, at + stop, false)
}

/// The highest bit of each byte that is zero.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

#[inline]
fn checked(text: &[u8], start: usize, end: usize, is_ascii: bool) -> Option<usize> {
    let is_text = || is_ascii || std::str::from_utf8(&text[start..end]).is_ok();
    (text[end] == b'"' && is_text()).then_some(end)
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

    proptest! {
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
