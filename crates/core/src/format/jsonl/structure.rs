//! Delimits objects by their structure, regardless of line ends: over several lines, many on one line, or in an array. It needs no state:
//! brackets of arrays and commas between objects are treated as whitespace. A string, number or word among the objects is found too, since
//! it is not a record.

use memchr::{memchr, memchr3};

use crate::format::MAX_RECORD;
use crate::kernel::number::parse_f64;

/// The next item in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An object, or an invalid value: its first byte and the position after it.
    Piece(usize, usize),
    /// One that begins here and is incomplete.
    Open(usize),
    /// No more items.
    End,
}

/// Why an object has no end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoEnd {
    /// It is incomplete.
    Open,
    /// It is broken at this byte.
    Broken(usize),
    /// It is not a value at all, as this byte shows.
    NoValue(usize),
}

/// The prefix of every value in RFC 7464; no value contains it.
const RECORD_SEPARATOR: u8 = 0x1e;

/// Whether a byte may occur between objects: whitespace, commas, brackets of arrays, and the record separator of RFC 7464.
fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' | RECORD_SEPARATOR)
}

/// The next item in `text` from `at` on. A broken one ends where the next object may begin: at the start of a line, after another object,
/// or after a record separator.
pub(super) fn next(text: &[u8], at: usize) -> Next {
    piece(text, at).0
}

/// The same, and how much of the text was needed: a byte far ahead may show that the item is not a value.
pub(super) fn piece(text: &[u8], at: usize) -> (Next, usize) {
    let Some(start) = text[at..].iter().position(|&byte| !is_between(byte)).map(|more| at + more) else {
        return (Next::End, at);
    };
    let end = if text[start] == b'{' { object_end(text, start) } else { scalar_end(text, start) };
    let broken = |at| after_broken(text, start, at).map_or(Next::Open(start), |end| Next::Piece(start, end));
    match end {
        Ok(end) => (Next::Piece(start, end), end),
        Err(NoEnd::Open) => (Next::Open(start), text.len()),
        Err(NoEnd::Broken(at)) => (broken(at), at + 1),
        Err(NoEnd::NoValue(at)) => (broken(start), at + 1),
    }
}

/// The end of `text[start..]` without trailing whitespace.
pub(super) fn trimmed_end(text: &[u8], start: usize) -> usize {
    start + text[start..].trim_ascii_end().len().max(1)
}

/// The end of an item that begins at `start` and is broken at `at`: another object may begin after it.
fn after_broken(text: &[u8], start: usize, at: usize) -> Option<usize> {
    let mut from = at;
    while let Some(brace) = memchr(b'{', &text[from..]).map(|more| from + more) {
        let is_blank = |&byte: &u8| is_between(byte) && !matches!(byte, b'\n' | RECORD_SEPARATOR);
        let before = text[start..brace].iter().rposition(|byte| !is_blank(byte)).map(|at| start + at);
        if let Some(before) = before.filter(|&at| matches!(text[at], b'\n' | b'}' | RECORD_SEPARATOR)) {
            let is_part = usize::from(text[before] != RECORD_SEPARATOR);
            return Some(trimmed_end(&text[..before + is_part], start));
        }
        from = brace + 1;
    }
    None
}

/// What may follow in an object or array.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Key,
    Colon,
    Value,
    /// A comma or the end.
    More,
}

/// The open arrays and objects, the innermost last.
struct Nesting {
    /// One bit each, set for objects.
    kinds: u128,
    depth: u32,
}

impl Nesting {
    fn push(&mut self, is_object: bool) -> Option<()> {
        self.kinds = self.kinds << 1 | u128::from(is_object);
        self.depth += 1;
        (self.depth <= u128::BITS).then_some(())
    }

    fn is_object(&self) -> bool {
        self.kinds & 1 == 1
    }

    /// Closes the innermost one; returns whether it was the outermost.
    fn pop(&mut self) -> bool {
        self.kinds >>= 1;
        self.depth -= 1;
        self.depth == 0
    }
}

/// The position after the string, number or word that begins at `start`, and after further ones separated only by whitespace. The next byte
/// shows that it is a scalar and not part of a broken object: a comma, a bracket, a line end, a record separator.
fn scalar_end(text: &[u8], start: usize) -> Result<usize, NoEnd> {
    let most = (start + MAX_RECORD).min(text.len());
    let no_end = || if most < text.len() { NoEnd::Broken(most) } else { NoEnd::Open };
    let text = &text[..most];
    let mut at = start;
    loop {
        let end = match text[at] {
            b'"' => {
                string_end(text, at + 1).map_err(|why| if why == NoEnd::Open { no_end() } else { why })?
            }
            _ => at + text[at..].iter().position(|&byte| !is_of_word(byte)).ok_or_else(no_end)?,
        };
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
        let more = text[end..].iter().position(|byte| !is_blank(byte)).ok_or_else(no_end)?;
        match text[end + more] {
            _ if !is_scalar(&text[at..end]) => return Err(NoEnd::NoValue(end + more)),
            b'{' | b'\n' => return Ok(end),
            byte if is_between(byte) => return Ok(end),
            _ if more == 0 => return Err(NoEnd::NoValue(end)),
            _ => at = end + more,
        }
    }
}

/// Whether a text is a string, or resembles a number or a word of JSON.
fn is_scalar(text: &[u8]) -> bool {
    text.starts_with(b"\"") || matches!(text, b"true" | b"false" | b"null") || parse_f64(text).is_some()
}

/// The position after the object that begins at `start`. One that exceeds the maximum record length is broken. Numbers and words are not
/// validated.
pub(super) fn object_end(text: &[u8], start: usize) -> Result<usize, NoEnd> {
    let most = (start + MAX_RECORD).min(text.len());
    let no_end = if most < text.len() { NoEnd::Broken(most) } else { NoEnd::Open };
    let text = &text[..most];
    let mut open = Nesting { kinds: 1, depth: 1 };
    let (mut at, mut expected) = (start + 1, Expected::Key);
    while let Some(&byte) = text.get(at) {
        let broken = NoEnd::Broken(at);
        at += 1;
        expected = match (byte, expected) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => expected,
            (b'"', Expected::Key | Expected::Value) => {
                match string_end(text, at) {
                    Ok(end) => at = end,
                    Err(NoEnd::Open) => return Err(no_end),
                    Err(broken) => return Err(broken),
                }
                if expected == Expected::Key { Expected::Colon } else { Expected::More }
            }
            (b':', Expected::Colon) => Expected::Value,
            (b'{' | b'[', Expected::Value) => {
                open.push(byte == b'{').ok_or(broken)?;
                if byte == b'{' { Expected::Key } else { Expected::Value }
            }
            // A comma before the end is left to the parser to reject.
            (b'}', Expected::Key | Expected::More) if open.is_object() => {
                if open.pop() {
                    return Ok(at);
                }
                Expected::More
            }
            (b']', Expected::Value | Expected::More) if !open.is_object() => {
                open.pop();
                Expected::More
            }
            (b',', Expected::More) if open.is_object() => Expected::Key,
            (b',', Expected::More) => Expected::Value,
            (_, Expected::Value) if is_of_word(byte) => {
                let more = text[at..].iter().position(|&byte| !is_of_word(byte));
                at = more.map_or(text.len(), |more| at + more);
                Expected::More
            }
            _ => return Err(broken),
        };
    }
    Err(no_end)
}

/// Whether a byte may be part of a number or a word.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_')
}

/// The position after the closing quote of the string whose first byte is `at`. A line feed or a record separator in it shows that it is
/// not closed.
fn string_end(text: &[u8], start: usize) -> Result<usize, NoEnd> {
    let end = quote_or_line_end(text, start);
    let most = match end {
        Ok(end) | Err(NoEnd::Broken(end) | NoEnd::NoValue(end)) => end,
        Err(NoEnd::Open) => text.len(),
    };
    match memchr(RECORD_SEPARATOR, &text[start.min(most)..most]) {
        Some(separator) => Err(NoEnd::Broken(start + separator)),
        None => end,
    }
}

fn quote_or_line_end(text: &[u8], mut at: usize) -> Result<usize, NoEnd> {
    while let Some(stop) = memchr3(b'"', b'\\', b'\n', text.get(at..).unwrap_or_default()) {
        at += stop;
        match text[at] {
            b'"' => return Ok(at + 1),
            b'\n' => return Err(NoEnd::Broken(at)),
            _ if text.get(at + 1) == Some(&b'\n') => return Err(NoEnd::Broken(at + 1)),
            _ => at += 2,
        }
    }
    Err(NoEnd::Open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        let (mut at, mut pieces) = (0, Vec::new());
        loop {
            match next(text.as_bytes(), at) {
                Next::End => return pieces,
                Next::Piece(start, end) => {
                    pieces.push(&text[start..end]);
                    at = end;
                }
                Next::Open(start) => {
                    pieces.push(&text[start..]);
                    pieces.push("(open)");
                    return pieces;
                }
            }
        }
    }

    #[test]
    fn clause_5_objects_end_where_their_brackets_say() {
        assert_eq!(pieces("[{\"a\":1},\n {\"a\":[{}, [] ]}\n]\n"), ["{\"a\":1}", "{\"a\":[{}, [] ]}"]);
        assert_eq!(
            pieces("{\"a\":\"}\\\"{\"}{}\u{1e}{ \"b\" : {\"c\":null}\n}"),
            ["{\"a\":\"}\\\"{\"}", "{}", "{ \"b\" : {\"c\":null}\n}"]
        );
        assert_eq!(pieces("[1,{\"a\":1"), ["1", "{\"a\":1", "(open)"]);
        assert_eq!(pieces("{\"a\":1"), ["{\"a\":1", "(open)"]);
    }

    #[test]
    fn clause_5_strings_numbers_and_words_between_objects_are_pieces_of_their_own() {
        let object = "{\"a\":1}";
        for scalar in ["5", "-1.5e3", "true", "null", "NaN", "\"x\"", "\"a \\\" {\"", "1 2\t\"b\"", "\"\""] {
            for (before, between, after) in [
                ("[", ", ", "]"),
                ("[\n  ", ",\n  ", "\n]\n"),
                ("[[", "],[", "]]"),
                ("", "\n", "\n"),
                ("\u{1e}", "\u{1e}", "\n"),
            ] {
                let text =
                    [before, object, between, scalar, between, object, between, scalar, after].concat();
                assert_eq!(pieces(&text), [object, scalar, object, scalar], "{text:?}");
            }
            assert_eq!(pieces(&format!("[{scalar} {object}")), [scalar, object]);
        }
        // Invalid JSON values are broken, and so is a text that a colon shows to be part of an object.
        assert_eq!(pieces("[tru, {\"a\":1}\n{}"), ["tru, {\"a\":1}", "{}"]);
        assert_eq!(pieces("\"a\": 1, \"b\": {}}\n{}"), ["\"a\": 1, \"b\": {}}", "{}"]);
        assert_eq!(pieces("5}\n{}"), ["5}", "{}"]);
        assert_eq!(pieces("12 Jan 2024, started\n{}"), ["12 Jan 2024, started", "{}"]);
        let long = format!("[\"{}\",\n{object}", "x".repeat(MAX_RECORD));
        assert_eq!(pieces(&long).len(), 2);
    }

    #[test]
    fn clause_5_a_record_separator_ends_what_is_cut_off() {
        for cut in ["{\"a\":", "{\"a\":\"b", "{\"a", "{", "\"a", "{\"a\":[1,{", "x"] {
            assert_eq!(pieces(&format!("\u{1e}{cut}\u{1e}{{\"a\":1}}\n")), [cut, "{\"a\":1}"], "{cut}");
        }
    }

    #[test]
    fn clause_5_what_is_broken_ends_before_the_next_object() {
        assert_eq!(pieces("{\"a\":{\"b\":1}{\"c\":2}"), ["{\"a\":{\"b\":1}", "{\"c\":2}"]);
        assert_eq!(
            pieces("{\"a\":\"x\n  \"b\": {\n}\n},\n {\"c\":2}"),
            ["{\"a\":\"x\n  \"b\": {\n}\n},", "{\"c\":2}"]
        );
        assert_eq!(pieces("{\"a\":\n{\"b\":1}\n{\"c\":2}"), ["{\"a\":\n{\"b\":1}", "{\"c\":2}"]);
        assert_eq!(pieces("x\n{}"), ["x", "{}"]);
        assert_eq!(pieces("{'a':1}{\"a\":2}"), ["{'a':1}", "{\"a\":2}"]);
    }

    #[test]
    fn clause_5_an_object_longer_than_a_record_may_be_is_broken() {
        let long = format!("{{\"a\":\"{}\"}}\n{{}}", "x".repeat(MAX_RECORD));
        assert_eq!(pieces(&long).len(), 2);
        assert_eq!(object_end(long.as_bytes(), 0), Err(NoEnd::Broken(MAX_RECORD)));
    }

    #[test]
    fn clause_5_an_end_does_not_depend_on_what_comes_behind_it() {
        let text = "[1, {\"a\":\"\\\\\"},\"x\" 2 , true,{\"b\":[1,{\"c\":tru}]} x\n,{\"d\":1.5e3 ,}{\"e\":\"\n\n{\"f\":{}}\n]";
        let whole = pieces(text);
        for cut in 0..text.len() {
            let seen = pieces(&text[..cut]);
            let known = seen.iter().position(|&piece| piece == "(open)").map_or(seen.len(), |open| open - 1);
            assert_eq!(seen[..known], whole[..known], "cut at {cut}");
        }
    }
}
