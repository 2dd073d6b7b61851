//! Finds records and fields in CSV text (clause 5). Takes slices, returns positions: no I/O, and no allocation except the caller's list of
//! fields.

use memchr::{memchr, memchr2, memrchr, memrchr2};

use crate::format::{MAX_FIELDS, MAX_RECORD};
use crate::kernel::separators::{Separators, survey};

/// The special bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields.
    pub quote: Option<u8>,
    /// The byte that begins a comment line.
    pub comment: Option<u8>,
}

/// A field as the byte range `start..end` of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpan {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// Whether it begins with a quote: [`unquote`] gives its content.
    pub is_quoted: bool,
}

/// What begins at a position of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// A record: it ends (excluding its line end) at `end`, the next line begins at `next`, and it has `lines` line ends.
    Record {
        /// The byte after the record.
        end: usize,
        /// The byte after its line end.
        next: usize,
        /// Line ends between its first byte and `next`.
        lines: u64,
    },
    /// A blank line or a comment; the next line begins at `next`.
    Skipped {
        /// The byte after its line end.
        next: usize,
    },
    /// A line with a quote that is not closed within [`MAX_RECORD`] bytes.
    Unclosed {
        /// The byte after the line.
        end: usize,
        /// The byte after its line end.
        next: usize,
    },
    /// The text ends before the record does.
    Incomplete,
}

impl Marks {
    /// The length of the longest prefix of `text` that ends at a record end; with quotes, of the longest one whose last record ends with
    /// LF; 0 if there is none.
    pub fn complete(&self, text: &[u8], at_end: bool) -> usize {
        if at_end {
            return text.len();
        }
        let has_quotes = self.quote.is_some_and(|quote| memchr(quote, text).is_some());
        if !has_quotes {
            return last_line_end(text);
        }
        if let Some(at) = memrchr(b'\n', text).filter(|_| self.line_feeds_end_records(text)) {
            return at + 1;
        }
        let (mut at, mut fields) = (0, Vec::new());
        loop {
            at = match self.scan(text, at, false, &mut fields) {
                Scan::Record { next, .. } | Scan::Skipped { next } | Scan::Unclosed { next, .. } => next,
                Scan::Incomplete => return at,
            }
        }
    }

    /// Whether every LF ends a record, as in [`Marks::scan`], according to the parity of quotes. Parity is not enough if a CR between
    /// quotes ends a line: in a comment, or after a quote that is closed more than [`MAX_RECORD`] bytes later.
    fn line_feeds_end_records(&self, text: &[u8]) -> bool {
        let found = survey(text, Separators { delimiter: self.delimiter, quote: self.quote });
        let returns_are_harmless = !found.has_returns || self.comment.is_none() && text.len() <= MAX_RECORD;
        found.has_plain_lines() && returns_are_harmless
    }

    /// Scans the line that begins at `at`, and puts the fields of a record into `fields`: at most one more than [`MAX_FIELDS`], so that a
    /// line of delimiters does not exhaust memory.
    pub fn scan(&self, text: &[u8], at: usize, at_end: bool, fields: &mut Vec<FieldSpan>) -> Scan {
        if let Some(skipped) = self.skipped(text, at, at_end, fields) {
            return skipped;
        }
        let at = self.first_byte(text, at);
        let (mut start, mut lines) = (at, 0);
        loop {
            let mut from = start;
            let is_quoted = self.quote.is_some() && text.get(start).copied() == self.quote;
            if is_quoted {
                match self.closing_quote(text, start, at) {
                    Some(closed) => from = closed,
                    None => return self.unclosed(text, at, at_end),
                }
                lines += line_ends(&text[start..from]);
            }
            let rest = text.get(from..).unwrap_or_default();
            let end = find_end(rest, self.delimiter).map(|length| from + length);
            if fields.len() <= MAX_FIELDS {
                fields.push(FieldSpan { start, end: end.unwrap_or(text.len()), is_quoted });
            }
            match end {
                Some(end) if text[end] == self.delimiter => start = end + 1,
                Some(end) => {
                    let Some(next) = line_end(text, end, at_end) else { return Scan::Incomplete };
                    return Scan::Record { end, next, lines: lines + 1 };
                }
                None if at_end => {
                    return Scan::Record { end: text.len(), next: text.len(), lines: lines + 1 };
                }
                None => return Scan::Incomplete,
            }
        }
    }

    /// The result of [`Marks::scan`] if no record begins at `at`: the end, a blank line or a comment.
    #[inline]
    pub(super) fn skipped(
        &self,
        text: &[u8],
        at: usize,
        at_end: bool,
        fields: &mut Vec<FieldSpan>,
    ) -> Option<Scan> {
        fields.clear();
        match text.get(at) {
            None => Some(Scan::Incomplete),
            Some(b'\n' | b'\r') => {
                Some(line_end(text, at, at_end).map_or(Scan::Incomplete, |next| Scan::Skipped { next }))
            }
            Some(byte) if Some(*byte) == self.comment => {
                Some(line(text, at, at_end).map_or(Scan::Incomplete, |(_, next)| Scan::Skipped { next }))
            }
            Some(_) => None,
        }
    }

    /// The start of the first field of the record at `at`: after the NULs that a logger leaves when it loses power. NULs that are the whole
    /// field are its content.
    #[inline]
    pub(super) fn first_byte(&self, text: &[u8], at: usize) -> usize {
        if text.get(at) != Some(&0) {
            return at;
        }
        let nuls = text[at..].iter().take_while(|&&byte| byte == 0).count();
        match text.get(at + nuls) {
            None | Some(b'\n' | b'\r') => at,
            Some(&byte) if byte == self.delimiter => at,
            Some(_) => at + nuls,
        }
    }

    /// Whether all special bytes differ, and none is a line end.
    pub(super) fn are_distinct(&self) -> bool {
        let all = [Some(self.delimiter), self.quote, self.comment, Some(b'\n'), Some(b'\r')];
        let set: Vec<u8> = all.into_iter().flatten().collect();
        (1..set.len()).all(|at| !set[..at].contains(&set[at]))
    }

    /// The position after the closing quote of the one at `open`; `None` if there is none within the maximum record length.
    pub(super) fn closing_quote(&self, text: &[u8], open: usize, record: usize) -> Option<usize> {
        let quote = self.quote?;
        let limit = text.len().min(record + MAX_RECORD);
        let mut at = open + 1;
        loop {
            at += memchr(quote, text.get(at..limit)?)?;
            if text.get(at + 1) != Some(&quote) {
                return Some(at + 1);
            }
            at += 2;
        }
    }

    pub(super) fn unclosed(&self, text: &[u8], at: usize, at_end: bool) -> Scan {
        if !at_end && text.len() <= at + MAX_RECORD + 1 {
            return Scan::Incomplete;
        }
        line(text, at, at_end).map_or(Scan::Incomplete, |(end, next)| Scan::Unclosed { end, next })
    }
}

/// The end of the field at the start of `text`: a delimiter or line end. Fields are short: comparing eight bytes at a time inline is faster
/// than a search built for long texts.
#[inline]
fn find_end(text: &[u8], delimiter: u8) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    // The lowest high bit marks the first zero byte; higher ones may be wrong.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = [delimiter, b'\n', b'\r'].map(|byte| zeros(word ^ (ONES * u64::from(byte))));
        let found = ends[0] | ends[1] | ends[2];
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let is_end = |&byte: &u8| byte == delimiter || byte == b'\n' || byte == b'\r';
    rest.iter().position(is_end).map(|at| words.len() * 8 + at)
}

/// The content of a quoted field; `raw` includes the quotes. Text after the closing quote is kept as it is.
pub fn unquote(raw: &[u8], quote: u8, out: &mut Vec<u8>) {
    out.clear();
    let mut at = 1;
    while let Some(length) = memchr(quote, &raw[at..]) {
        out.extend_from_slice(&raw[at..at + length]);
        at += length + 1;
        if raw.get(at) != Some(&quote) {
            return out.extend_from_slice(&raw[at..]);
        }
        out.push(quote);
        at += 1;
    }
}

/// The bytes between the quotes, if they equal the result of [`unquote`].
pub fn plain_quoted(raw: &[u8], quote: u8) -> Option<&[u8]> {
    let inner = raw.strip_prefix(&[quote])?.strip_suffix(&[quote])?;
    memchr(quote, inner).is_none().then_some(inner)
}

/// The number of line ends: LF, CR LF and a lone CR count one each.
pub fn line_ends(text: &[u8]) -> u64 {
    let mut count = 0;
    let mut at = 0;
    while let Some(length) = memchr2(b'\n', b'\r', &text[at..]) {
        at += length;
        at += if text[at..].starts_with(b"\r\n") { 2 } else { 1 };
        count += 1;
    }
    count
}

/// The end of the line that contains `at`, and the start of the next line.
pub(super) fn line(text: &[u8], at: usize, at_end: bool) -> Option<(usize, usize)> {
    match memchr2(b'\n', b'\r', &text[at..]) {
        Some(length) => Some((at + length, line_end(text, at + length, at_end)?)),
        None => at_end.then_some((text.len(), text.len())),
    }
}

/// The position after the line end at `at`, which is a byte of the text. A CR at the end of the text may be half of a CR LF.
pub(super) fn line_end(text: &[u8], at: usize, at_end: bool) -> Option<usize> {
    match (text[at], text.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        (b'\r', None) if !at_end => None,
        _ => Some(at + 1),
    }
}

pub(super) fn last_line_end(text: &[u8]) -> usize {
    // A CR at the end of the text is undecided.
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    memrchr2(b'\n', b'\r', text).map_or(0, |at| at + 1)
}
