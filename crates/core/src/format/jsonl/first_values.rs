//! The first values of a text, delimited as a source does it, to guess the content of a file.

use memchr::memchr_iter;

use super::JsonLayout;
use super::first::JsonBeginning;
use super::object::elements;
use super::reference::fields;
use crate::format::Refused;
use crate::format::keys::byte_order_mark;
use crate::format::refusal::Refusal;

/// A summary of the first values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstValues<'t> {
    /// The texts of objects, and of arrays that have their own line.
    pub records: Vec<&'t [u8]>,
    /// The lines or values that are neither.
    pub refused: Refused,
    /// The incomplete value at the end.
    pub cut: Option<&'t [u8]>,
}

/// The first values of `text` in this `layout`; the last may be incomplete.
pub fn first_values(text: &[u8], is_whole: bool, layout: JsonLayout) -> FirstValues<'_> {
    let bytes = &text[byte_order_mark(text)..];
    let is_values = layout.is_values(bytes, is_whole).or_else(|| layout.is_values(bytes, true));
    let beginning = JsonBeginning { bytes, is_whole, is_values: is_values.unwrap_or_default() };
    let line_ends = |from: usize, to: usize| memchr_iter(b'\n', &bytes[from..to]).count();
    let (mut found, mut at, mut line) = (FirstValues::default(), 0, 1);
    while let Some((value, next)) = beginning.value(at) {
        let start = value.as_ptr().addr() - bytes.as_ptr().addr();
        line += line_ends(at, start);
        match check(value) {
            _ if value.trim_ascii().is_empty() => {}
            Ok(()) => found.records.push(value),
            Err(refusal) => found.refused.add(line, refusal.reason),
        }
        line += line_ends(start, next);
        at = next;
    }
    found.cut = beginning.cut(at);
    if let Some(cut) = found.cut.filter(|_| is_whole) {
        found.refused.add(line + line_ends(at, bytes.len() - cut.len()), "it is incomplete".to_owned());
    }
    found
}

fn check(value: &[u8]) -> Result<(), Refusal> {
    match value.trim_ascii_start().first() {
        Some(b'[') => elements(value).map(drop),
        _ => fields(value).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str, is_whole: bool) -> (Vec<&str>, usize, Option<usize>, Option<&str>) {
        let found = first_values(text.as_bytes(), is_whole, JsonLayout::Auto);
        let as_text = |bytes| std::str::from_utf8(bytes).expect("UTF-8");
        let line = found.refused.first.map(|(line, _)| line);
        (found.records.into_iter().map(as_text).collect(), found.refused.count, line, found.cut.map(as_text))
    }

    #[test]
    fn values_are_those_that_a_source_finds() {
        let (a, b) = ("{\"a\":1}", "{\"b\":2}");
        assert_eq!(first(&format!("{a}\n\n{{\"a\":\n{b}\n"), true), (vec![a, b], 1, Some(3), None));
        assert_eq!(first(&format!("started\n{a}\n{b}"), true), (vec![a, b], 1, Some(1), None));
        assert_eq!(first(&format!("[{a},\n{{\"a\":NaN}},\n{b}]\n"), true), (vec![a, b], 1, Some(2), None));
        assert_eq!(first(&format!("[{a},\n{b},\n{{\"a"), false), (vec![a, b], 0, None, Some("{\"a")));
        assert_eq!(first(&format!("{a}\n{b}"), false), (vec![a], 0, None, Some(b)));
        assert_eq!(first("{\"d\":[{\"a\":1},", false), (vec![], 0, None, Some("{\"d\":[{\"a\":1},")));
        assert_eq!(first(&format!("[{a},\n{{\"a"), true), (vec![a], 1, Some(2), Some("{\"a")));
        assert_eq!(first("t,v\n1,2\n", true).1, 2);
    }
}
