//! Fixed-width fields.

use super::scan::{FieldSpan, Marks, Scan, last_line_end};
use crate::error::{Error, Result};
use crate::format::MAX_FIELDS;
use crate::format::columns::Columns;

/// The widths of the fields of a line, in characters: continuation bytes of UTF-8 do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widths {
    widths: Vec<usize>,
    /// How lines are delimited.
    lines: Marks,
}

impl Widths {
    pub(super) fn new(widths: &[usize], comment: Option<u8>) -> Result<Self> {
        if widths.is_empty() || widths.contains(&0) || widths.len() > MAX_FIELDS {
            return Err(Error::config("`widths` must have one number above 0 for every field")
                .with_help(format!("such as widths = [20, 8, 8]; a line has {MAX_FIELDS} fields at most")));
        }
        // No byte is a delimiter here: a line feed ends the line before it could be one.
        let lines = Marks { delimiter: b'\n', quote: None, comment };
        Ok(Self { widths: widths.to_vec(), lines })
    }

    /// As [`Marks::complete`].
    pub fn complete(&self, text: &[u8], at_end: bool) -> usize {
        if at_end { text.len() } else { last_line_end(text) }
    }

    /// As [`Marks::scan`]: a field that begins after the end of its line is missing; text after the last field is a surplus field.
    pub fn scan(&self, text: &[u8], at: usize, at_end: bool, fields: &mut Vec<FieldSpan>) -> Scan {
        if let Some(skipped) = self.lines.skipped(text, at, at_end, fields) {
            return skipped;
        }
        let Some((end, next)) = super::scan::line(text, at, at_end) else { return Scan::Incomplete };
        let mut start = self.lines.first_byte(text, at);
        if Columns::trim(&text[start..end]).is_empty() {
            return Scan::Skipped { next };
        }
        for &width in &self.widths {
            if start >= end {
                break;
            }
            let field = start..start + characters(&text[start..end], width);
            fields.push(FieldSpan { start: field.start, end: field.end, is_quoted: false });
            start = field.end;
        }
        if !Columns::trim(&text[start..end]).is_empty() {
            fields.push(FieldSpan { start, end, is_quoted: false });
        }
        Scan::Record { end, next, lines: 1 }
    }
}

/// The length in bytes of the first `count` characters of `text`.
fn characters(text: &[u8], count: usize) -> usize {
    let starts = text.iter().enumerate().filter(|(_, byte)| (**byte as i8) >= -64);
    starts.map(|(at, _)| at).nth(count).unwrap_or(text.len())
}
