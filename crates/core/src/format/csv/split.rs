//! Ways to split a line into fields.

use std::borrow::Cow;

use super::blanks;
use super::scan::{FieldSpan, Marks, Scan, unquote};
use super::widths::Widths;

/// How to split lines into fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Splitter {
    /// At every delimiter.
    Marks(Marks),
    /// At runs of spaces and tabs; `delimiter` is a space.
    Blanks(Marks),
    /// At fixed places.
    Widths(Widths),
}

impl Splitter {
    /// As [`Marks::complete`].
    pub fn complete(&self, text: &[u8], at_end: bool) -> usize {
        match self {
            Self::Marks(marks) => marks.complete(text, at_end),
            Self::Blanks(marks) => blanks::complete(marks, text, at_end),
            Self::Widths(widths) => widths.complete(text, at_end),
        }
    }

    /// As [`Marks::scan`].
    pub fn scan(&self, text: &[u8], at: usize, at_end: bool, fields: &mut Vec<FieldSpan>) -> Scan {
        match self {
            Self::Marks(marks) => marks.scan(text, at, at_end, fields),
            Self::Blanks(marks) => blanks::scan(marks, text, at, at_end, fields),
            Self::Widths(widths) => widths.scan(text, at, at_end, fields),
        }
    }

    /// The quote byte, if fields may be quoted.
    pub fn quote(&self) -> Option<u8> {
        match self {
            Self::Marks(marks) | Self::Blanks(marks) => marks.quote,
            Self::Widths(_) => None,
        }
    }

    /// The contents of the fields at `spans`.
    pub fn fields<'t>(&self, text: &'t [u8], spans: &[FieldSpan]) -> Vec<Cow<'t, [u8]>> {
        spans.iter().map(|&span| self.field(text, span)).collect()
    }

    fn field<'t>(&self, text: &'t [u8], span: FieldSpan) -> Cow<'t, [u8]> {
        let raw = &text[span.start..span.end];
        match self.quote().filter(|_| span.is_quoted) {
            None => Cow::Borrowed(raw),
            Some(quote) => {
                let mut out = Vec::new();
                unquote(raw, quote, &mut out);
                Cow::Owned(out)
            }
        }
    }

    /// The same splitter with the delimiter that a file declares; `None` if that cannot be a delimiter.
    pub(super) fn with_delimiter(&self, delimiter: u8) -> Option<Self> {
        match self {
            Self::Marks(marks) => {
                let marks = Marks { delimiter, ..*marks };
                (!is_of_values(delimiter) && marks.are_distinct()).then_some(Self::Marks(marks))
            }
            other => Some(other.clone()),
        }
    }
}

/// Whether a byte cannot separate fields, because it occurs in values.
pub(super) fn is_of_values(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.\"\r\n".contains(&byte)
}
