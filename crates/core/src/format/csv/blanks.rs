//! Fields separated by runs of spaces and tabs; those at the ends of a line are ignored.

use memchr::memchr;

use super::scan::{FieldSpan, Marks, Scan, last_line_end, line_end, line_ends};
use crate::format::MAX_FIELDS;

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// As [`Marks::complete`].
pub(super) fn complete(marks: &Marks, text: &[u8], at_end: bool) -> usize {
    if at_end {
        return text.len();
    }
    if marks.quote.is_none_or(|quote| memchr(quote, text).is_none()) {
        return last_line_end(text);
    }
    let (mut at, mut fields) = (0, Vec::new());
    loop {
        at = match scan(marks, text, at, false, &mut fields) {
            Scan::Record { next, .. } | Scan::Skipped { next } | Scan::Unclosed { next, .. } => next,
            Scan::Incomplete => return at,
        }
    }
}

/// As [`Marks::scan`].
pub(super) fn scan(marks: &Marks, text: &[u8], at: usize, at_end: bool, fields: &mut Vec<FieldSpan>) -> Scan {
    if let Some(skipped) = marks.skipped(text, at, at_end, fields) {
        return skipped;
    }
    let record = marks.first_byte(text, at);
    let (mut at, mut lines) = (record, 0);
    loop {
        at += text[at..].iter().take_while(|&&byte| is_blank(byte)).count();
        let next = match text.get(at) {
            Some(b'\n' | b'\r') => line_end(text, at, at_end),
            None => at_end.then_some(at),
            Some(_) => {
                let Some(span) = field(marks, text, at, record) else {
                    return marks.unclosed(text, record, at_end);
                };
                lines += if span.is_quoted { line_ends(&text[span.start..span.end]) } else { 0 };
                at = span.end;
                if fields.len() <= MAX_FIELDS {
                    fields.push(span);
                }
                continue;
            }
        };
        return match next {
            None => Scan::Incomplete,
            Some(next) if fields.is_empty() => Scan::Skipped { next },
            Some(next) => Scan::Record { end: at, next, lines: lines + 1 },
        };
    }
}

/// The field that begins at `start`; `None` if its quote is not closed.
fn field(marks: &Marks, text: &[u8], start: usize, record: usize) -> Option<FieldSpan> {
    let is_quoted = marks.quote.is_some() && text.get(start).copied() == marks.quote;
    let from = if is_quoted { marks.closing_quote(text, start, record)? } else { start };
    let rest = text.get(from..).unwrap_or_default();
    let is_end = |&byte: &u8| is_blank(byte) || matches!(byte, b'\n' | b'\r');
    let end = rest.iter().position(is_end).map_or(text.len(), |length| from + length);
    Some(FieldSpan { start, end, is_quoted })
}
