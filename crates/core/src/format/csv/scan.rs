//! Where the records and fields of CSV text lie (clause 5). Takes slices, returns positions: no I/O, no
//! allocation but the caller's list of fields.

use memchr::{memchr, memchr2, memrchr, memrchr2};

use crate::format::{MAX_FIELDS, MAX_RECORD};
use crate::kernel::separators::{Separators, survey};

/// The bytes that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: Option<u8>,
    /// Begins a line that is no record.
    pub comment: Option<u8>,
}

/// A field's bytes, as `start..end` of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpan {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// Whether it begins with a quote: the bytes mean what [`unquote`] makes of them.
    pub is_quoted: bool,
}

/// What stands at a place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// A record: it ends (its line end excluded) at `end`, the next line begins at `next`, and `lines` line ends lie between.
    Record {
        /// The byte after the record.
        end: usize,
        /// The byte after its line end.
        next: usize,
        /// Line ends from its first byte to `next`.
        lines: u64,
    },
    /// A blank line or a comment; the next line begins at `next`.
    Skipped {
        /// The byte after its line end.
        next: usize,
    },
    /// A line whose quote is never closed, or is closed more than [`MAX_RECORD`] bytes later.
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
    /// The length of the longest prefix of `text` that ends at a record end, or, where there are quotes, of the longest whose last record ends
    /// with a line feed; 0 if there is none.
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

    /// Whether every line feed ends a record, as [`Marks::scan`] would have it, as far as the parity of quotes can tell. It cannot where
    /// a carriage return between quotes ends a line all the same: that of a comment, and that of a quote which is closed more than
    /// [`MAX_RECORD`] later.
    fn line_feeds_end_records(&self, text: &[u8]) -> bool {
        let found = survey(text, Separators { delimiter: self.delimiter, quote: self.quote });
        let returns_are_harmless = !found.has_returns || self.comment.is_none() && text.len() <= MAX_RECORD;
        found.has_plain_lines() && returns_are_harmless
    }

    /// Looks at the line that begins at `at`, and puts the fields of a record into `fields`: one more than
    /// [`MAX_FIELDS`] of them at most, so that a line of delimiters does not fill the memory.
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

    /// What [`Marks::scan`] gives where no record begins at `at`: nothing is there, a blank line or a comment.
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

    /// Where the first field of the record at `at` begins: behind the NULs that a logger which lost power leaves before the
    /// next reading. NULs that are all there is of a field are its content.
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

    /// Whether no two marks are the same, and none is a line end.
    pub(super) fn are_distinct(&self) -> bool {
        let all = [Some(self.delimiter), self.quote, self.comment, Some(b'\n'), Some(b'\r')];
        let set: Vec<u8> = all.into_iter().flatten().collect();
        (1..set.len()).all(|at| !set[..at].contains(&set[at]))
    }

    /// The byte after the quote that closes the one at `open`; `None` where there is none near enough to the record's start.
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

/// Where the field ends that `text` begins with: at the delimiter or a line end. Fields are short: eight bytes at a
/// time, without a call, are quicker than any search that is made for long texts.
#[inline]
fn find_end(text: &[u8], delimiter: u8) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    // The lowest high bit that is set marks the first zero byte; those above it may be wrong.
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

/// The bytes that a quoted field means: `raw` has its quotes still. What follows the closing quote belongs to it, as it stands.
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

/// The bytes between the quotes, where [`unquote`] would give just those.
pub fn plain_quoted(raw: &[u8], quote: u8) -> Option<&[u8]> {
    let inner = raw.strip_prefix(&[quote])?.strip_suffix(&[quote])?;
    memchr(quote, inner).is_none().then_some(inner)
}

/// How many line ends there are: LF, CR LF, and CR alone count one each.
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

/// The end of the line that `at` is in, and the byte after its line end.
pub(super) fn line(text: &[u8], at: usize, at_end: bool) -> Option<(usize, usize)> {
    match memchr2(b'\n', b'\r', &text[at..]) {
        Some(length) => Some((at + length, line_end(text, at + length, at_end)?)),
        None => at_end.then_some((text.len(), text.len())),
    }
}

/// The byte after the line end at `at`, which is a byte of the text. A CR at the end of the text may be half a CR LF.
pub(super) fn line_end(text: &[u8], at: usize, at_end: bool) -> Option<usize> {
    match (text[at], text.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        (b'\r', None) if !at_end => None,
        _ => Some(at + 1),
    }
}

pub(super) fn last_line_end(text: &[u8]) -> usize {
    // A CR that ends the text says nothing yet.
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    memrchr2(b'\n', b'\r', text).map_or(0, |at| at + 1)
}
