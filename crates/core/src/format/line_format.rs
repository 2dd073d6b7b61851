//! The line structure of a text (clause 5): what is needed to cut a stream without decoding its records.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::{memchr, memchr_iter, memchr2};

use super::MAX_RECORD;
use super::encoding::{to_text, without_mark};

/// The encoding of a text and the characters that end its lines. In UTF-16 these have two bytes, and parts of other characters may look
/// like them; in all other supported encodings, the bytes of LF and CR are never part of another character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineFormat {
    encoding: &'static Encoding,
    has_returns: bool,
}

impl LineFormat {
    /// UTF-8 with lines that end with LF.
    pub const LINE_FEEDS: Self = Self { encoding: UTF_8, has_returns: false };

    /// UTF-8 with lines that end with LF, CR or CR LF.
    pub const ANY_END: Self = Self { encoding: UTF_8, has_returns: true };

    /// The same line ends in another encoding.
    pub(super) fn in_encoding(self, encoding: &'static Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// The size of a line feed in bytes: text is cut only at multiples of it.
    pub fn unit(self) -> usize {
        self.line_feed().len()
    }

    /// The bytes of a line feed.
    pub fn line_feed(self) -> &'static [u8] {
        match self.encoding {
            encoding if encoding == UTF_16LE => b"\n\0",
            encoding if encoding == UTF_16BE => b"\0\n",
            _ => b"\n",
        }
    }

    /// The length in bytes from which an incomplete record exceeds [`MAX_RECORD`] bytes of UTF-8, so that its decoder does not wait for
    /// more.
    pub fn longest_record(self) -> usize {
        let is_compact = self.encoding == UTF_8 || self.encoding.is_single_byte();
        (MAX_RECORD + 1) * if is_compact { 1 } else { 2 }
    }

    /// The length of the first line of `bytes`, including its end; `None` if the end is missing or may be incomplete: a CR that may be
    /// half of a CR LF. With `at_end`, nothing follows.
    pub fn first_line(self, bytes: &[u8], at_end: bool) -> Option<usize> {
        let (end, unit) = (self.first_end(bytes)?, self.unit());
        let behind = end + unit;
        if bytes[end..behind] == *self.line_feed() {
            return Some(behind);
        }
        match bytes.get(behind..behind + unit) {
            Some(next) => Some(if next == self.line_feed() { behind + unit } else { behind }),
            None => at_end.then_some(behind),
        }
    }

    /// The length of `bytes` without an incomplete line end or character at its end.
    pub fn settled(self, bytes: &[u8]) -> usize {
        let whole = bytes.len() - bytes.len() % self.unit();
        whole - if self.ends_with_return(&bytes[..whole]) { self.unit() } else { 0 }
    }

    /// The number of line ends: LF and CR LF count one each, and a lone CR if it ends lines.
    pub fn line_ends(self, bytes: &[u8]) -> u64 {
        let count = if self.unit() == 1 {
            let feeds = memchr_iter(b'\n', bytes).count();
            let is_alone = |at: &usize| bytes.get(at + 1) != Some(&b'\n');
            let returns = match self.has_returns {
                true => memchr_iter(b'\r', bytes).filter(is_alone).count(),
                false => 0,
            };
            feeds + returns
        } else {
            let units = bytes.as_chunks::<2>().0;
            let feeds = units.iter().filter(|unit| **unit == *self.line_feed()).count();
            let is_alone = |at: &usize| units.get(at + 1).is_none_or(|next| *next != *self.line_feed());
            let is_return = |at: &usize| self.is_return(&units[*at]);
            feeds + (0..units.len()).filter(is_return).filter(is_alone).count()
        };
        count as u64
    }

    /// Whether `bytes`, which begin at a character boundary, end with a line end.
    pub fn ends_line(self, bytes: &[u8]) -> bool {
        self.ends_with_line_feed(bytes) || self.ends_with_return(bytes)
    }

    /// Whether `bytes`, which begin at a character boundary, end with a line feed.
    pub fn ends_with_line_feed(self, bytes: &[u8]) -> bool {
        bytes.len().is_multiple_of(self.unit()) && bytes.ends_with(self.line_feed())
    }

    /// Whether `bytes`, which begin at a character boundary, end with a carriage return that ends a line.
    pub fn ends_with_return(self, bytes: &[u8]) -> bool {
        let last = bytes.len().checked_sub(self.unit());
        bytes.len().is_multiple_of(self.unit()) && last.is_some_and(|last| self.is_return(&bytes[last..]))
    }

    /// `bytes` as text in UTF-8, for messages.
    pub fn text(self, bytes: &[u8]) -> Vec<u8> {
        to_text(self.encoding, bytes)
    }

    /// `bytes`, the start of a text, after their byte order mark.
    ///
    /// # Errors
    /// The name of the encoding that the mark declares, if it is another one.
    pub fn without_mark(self, bytes: &[u8]) -> std::result::Result<&[u8], &'static str> {
        without_mark(self.encoding, bytes)
    }

    /// The position of the first character that ends a line.
    fn first_end(self, bytes: &[u8]) -> Option<usize> {
        if self.unit() == 1 {
            return if self.has_returns { memchr2(b'\n', b'\r', bytes) } else { memchr(b'\n', bytes) };
        }
        let is_end = |unit: &[u8; 2]| *unit == *self.line_feed() || self.is_return(unit);
        bytes.as_chunks::<2>().0.iter().position(is_end).map(|at| 2 * at)
    }

    /// Whether a unit is a carriage return that ends a line.
    fn is_return(self, unit: &[u8]) -> bool {
        let place = if self.encoding == UTF_16BE { 1 } else { 0 };
        let is_ascii = unit.iter().enumerate().all(|(at, &byte)| at == place || byte == 0);
        self.has_returns && is_ascii && unit[place] == b'\r'
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_JP, EUC_KR, GB18030, GBK, SHIFT_JIS};
    use proptest::prelude::*;

    use super::*;
    use crate::format::csv::scan::line_ends;

    const UTF_16: [LineFormat; 2] = [
        LineFormat { encoding: UTF_16LE, has_returns: true },
        LineFormat { encoding: UTF_16BE, has_returns: true },
    ];

    fn encoded(format: LineFormat, text: &str) -> Vec<u8> {
        match format.encoding {
            encoding if encoding == UTF_16LE => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            encoding if encoding == UTF_16BE => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => text.into(),
        }
    }

    #[test]
    fn clause_5_no_byte_of_another_character_looks_like_a_line_end_but_in_utf_16() {
        for encoding in [BIG5, EUC_JP, EUC_KR, GB18030, GBK, SHIFT_JIS] {
            let all = ('\u{80}'..='\u{2ffff}').filter_map(|character| {
                let text = character.to_string();
                let (bytes, _, is_lossy) = encoding.encode(&text);
                (!is_lossy).then(|| bytes.into_owned())
            });
            let (mut count, mut wrong) = (0, 0);
            for bytes in all {
                count += 1;
                wrong += usize::from(memchr2(b'\n', b'\r', &bytes).is_some());
            }
            assert!(count > 5000 && wrong == 0, "{}: {wrong} of {count}", encoding.name());
        }
    }

    #[test]
    fn a_line_feed_is_two_bytes_in_utf_16_and_nothing_else_is_one() {
        for format in UTF_16 {
            let odd = encoded(format, "\u{a0a}\u{a00}\u{d0d}\u{10a0d}\u{1040a}\u{a}");
            assert_eq!(format.first_line(&odd, false), Some(odd.len()));
            assert_eq!((format.line_ends(&odd), format.ends_line(&odd)), (1, true));
            assert!(!format.ends_line(&odd[..odd.len() - 1]) && !format.ends_line(&odd[1..]));
            assert_eq!(format.settled(&odd[..odd.len() - 1]), odd.len() - 2);
        }
    }

    #[test]
    fn a_carriage_return_is_not_settled_before_what_follows_has_come() {
        for format in [LineFormat::ANY_END, UTF_16[0], UTF_16[1]] {
            let [alone, both, other] = ["a\r", "a\r\n", "a\rb"].map(|text| encoded(format, text));
            assert_eq!(
                (format.first_line(&alone, false), format.first_line(&alone, true)),
                (None, Some(alone.len()))
            );
            assert_eq!(format.settled(&alone), format.unit());
            assert_eq!(format.first_line(&both, false), Some(both.len()));
            assert_eq!(format.first_line(&other, false), Some(alone.len()));
            for text in [alone, both, other] {
                assert_eq!(format.line_ends(&text), 1);
            }
        }
        let feeds = LineFormat::LINE_FEEDS;
        assert_eq!(
            (feeds.first_line(b"a\rb\nc", false), feeds.settled(b"a\r"), feeds.line_ends(b"\r\r\n")),
            (Some(4), 2, 1)
        );
    }

    proptest! {
        #[test]
        fn clause_5_lines_are_those_of_the_text(text in "[ab\r\n\u{a0a}\u{d0d}\u{10a0d}]{0,40}", cut in any::<prop::sample::Index>()) {
            for format in [LineFormat::ANY_END, UTF_16[0], UTF_16[1]] {
                let bytes = encoded(format, &text);
                prop_assert_eq!(format.line_ends(&bytes), line_ends(text.as_bytes()));
                let first = format.first_line(&bytes, true).unwrap_or(bytes.len());
                let line = text.split_inclusive(['\r', '\n']).next().unwrap_or_default();
                let line = if text[line.len()..].starts_with('\n') && line.ends_with('\r') { &text[..line.len() + 1] } else { line };
                prop_assert_eq!(&bytes[..first], &encoded(format, line)[..]);
                // What holds for a part of it holds for the whole.
                let part = &bytes[..cut.index(bytes.len() + 1)];
                if let Some(length) = format.first_line(part, false) {
                    prop_assert_eq!(length, first);
                }
                let settled = format.settled(part);
                prop_assert_eq!(
                    format.line_ends(&part[..settled]) + format.line_ends(&bytes[settled..]), format.line_ends(&bytes)
                );
            }
        }
    }
}
