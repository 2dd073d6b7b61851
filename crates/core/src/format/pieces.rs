//! Composes records of text from columns of text, a block of rows at a time: the type of a column is dispatched once per block, and floats
//! are written together.

use std::ops::Range;

use crate::batch::Span;
use crate::kernel::shortest::{Slot, write_all};
use crate::sensor::SensorId;

/// Rows per block: their texts stay in the first-level cache.
const BLOCK: usize = 128;

/// The number of bytes copied in one step for any shorter text.
const WIDE: usize = Slot::SIZE;

/// The texts of one column, one per row of a block.
#[derive(Clone, Copy)]
pub(super) enum TextPieces<'a> {
    /// Short ones.
    Slots(&'a [Slot]),
    /// Ranges of a text.
    Spans(&'a [u8], &'a [Span]),
}

/// Buffers for the texts of one column.
#[derive(Default)]
pub(super) struct MadeTexts {
    slots: Vec<Slot>,
    text: Vec<u8>,
    spans: Vec<Span>,
    /// By sensor: its name in `text`; null until it is needed.
    names: Vec<Span>,
}

impl MadeTexts {
    /// The texts that `write` appends for each row.
    pub(super) fn each(
        &mut self,
        rows: Range<usize>,
        mut write: impl FnMut(usize, &mut Vec<u8>),
    ) -> TextPieces<'_> {
        self.text.clear();
        self.spans.clear();
        self.spans.extend(rows.map(|row| span_of(&mut self.text, |text| write(row, text))));
        self.spans()
    }

    /// The texts that `write` appends for the sensors of some rows. It is called once per sensor if there are more records, `all`, than
    /// `sensors`.
    pub(super) fn names(
        &mut self,
        ids: &[SensorId],
        (sensors, all): (usize, usize),
        mut write: impl FnMut(SensorId, &mut Vec<u8>),
    ) -> TextPieces<'_> {
        if sensors >= all {
            return self.each(0..ids.len(), |row, text| write(ids[row], text));
        }
        self.names.resize(sensors, Span::NULL);
        let Self { text, spans, names, .. } = self;
        let span = |id: &SensorId| {
            let name = &mut names[id.index()];
            if name.is_null() {
                *name = span_of(text, |text| write(*id, text));
            }
            *name
        };
        spans.clear();
        spans.extend(ids.iter().map(span));
        self.spans()
    }

    /// The shortest texts of numbers, with replacements for some of them.
    pub(super) fn floats(
        &mut self,
        values: &[f64],
        replacement: Option<impl Fn(usize) -> Option<Slot>>,
    ) -> TextPieces<'_> {
        self.slots.resize(values.len(), Slot::EMPTY);
        write_all(values, &mut self.slots);
        if let Some(replacement) = replacement {
            for (row, slot) in self.slots.iter_mut().enumerate() {
                *slot = replacement(row).unwrap_or(*slot);
            }
        }
        TextPieces::Slots(&self.slots)
    }

    fn spans(&self) -> TextPieces<'_> {
        TextPieces::Spans(&self.text, &self.spans)
    }
}

/// The range in `text` of what `write` appends. Padding follows it, so that a wide copy stays within bounds.
#[inline]
fn span_of(text: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Span {
    let start = text.len().saturating_sub(WIDE);
    text.truncate(start);
    write(text);
    let span = Span::new(start, text.len() - start);
    text.extend_from_slice(&[0; WIDE]);
    span
}

/// A text that is the same in every record.
struct FixedText {
    /// The text, padded for wide copies.
    padded: Vec<u8>,
    len: usize,
}

impl FixedText {
    fn new(text: &[u8]) -> Self {
        Self { padded: [text, &[0; WIDE]].concat(), len: text.len() }
    }
}

/// Appends records to a text; complete when dropped.
pub(super) struct RecordWriter<'a> {
    /// By column: the text before its value.
    before: Vec<FixedText>,
    end: FixedText,
    recent: Recent<'a>,
}

impl<'a> RecordWriter<'a> {
    /// Records with `before` in front of each column and `end` after the last, to be appended to `out`.
    pub(super) fn new<T: AsRef<[u8]>>(
        before: impl IntoIterator<Item = T>,
        end: &[u8],
        out: &'a mut Vec<u8>,
    ) -> Self {
        let before = before.into_iter().map(|text| FixedText::new(text.as_ref())).collect();
        Self { before, end: FixedText::new(end), recent: Recent { bytes: [0; Recent::SIZE], len: 0, out } }
    }

    /// Appends a record for each row of a block; `pieces` has its texts by column.
    pub(super) fn write(&mut self, rows: usize, pieces: &[TextPieces<'_>]) {
        let recent = &mut self.recent;
        for row in 0..rows {
            for (before, pieces) in self.before.iter().zip(pieces) {
                recent.push(&before.padded, 0, before.len);
                match pieces {
                    TextPieces::Slots(slots) => recent.push(slots[row].bytes(), 0, slots[row].len()),
                    TextPieces::Spans(text, spans) => {
                        let span = spans[row];
                        recent.push(text, span.start(), span.len());
                    }
                }
            }
            recent.push(&self.end.padded, 0, self.end.len);
        }
    }
}

impl Drop for RecordWriter<'_> {
    fn drop(&mut self) {
        self.recent.flush();
    }
}

/// The blocks of this many rows.
pub(super) fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(BLOCK).map(move |start| start..rows.min(start + BLOCK))
}

/// A buffer of recent output, which is flushed in large parts.
struct Recent<'a> {
    bytes: [u8; Recent::SIZE],
    len: usize,
    out: &'a mut Vec<u8>,
}

impl Recent<'_> {
    const SIZE: usize = 4096;

    /// Appends `len` bytes of `text` from `start`; the bytes after them are copied too and overwritten later.
    #[inline(always)]
    fn push(&mut self, text: &[u8], start: usize, len: usize) {
        let from = text.get(start..).and_then(<[u8]>::first_chunk::<WIDE>);
        let to = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut::<WIDE>);
        match (from, to) {
            (Some(from), Some(to)) if len <= WIDE => {
                *to = *from;
                self.len += len;
            }
            _ => self.push_any(&text[start..start + len]),
        }
    }

    /// The same for a text that is long or at the end of its buffer, or if there is no space.
    #[cold]
    fn push_any(&mut self, text: &[u8]) {
        self.flush();
        self.out.extend_from_slice(text);
    }

    fn flush(&mut self) {
        self.out.extend_from_slice(&self.bytes[..self.len]);
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_are_their_pieces(
            texts in proptest::collection::vec("[a-z]{0,50}|[a-z]{100}", 0..400), before in "[,:]{0,40}",
        ) {
            let mut out = b"before".to_vec();
            let values: Vec<f64> = (0..texts.len()).map(|row| row as f64 / 7.0).collect();
            {
                let (mut first, mut second) = (MadeTexts::default(), MadeTexts::default());
                let mut records = RecordWriter::new([before.as_bytes(), b";"], b"\n", &mut out);
                for rows in blocks(texts.len()) {
                    let start = rows.start;
                    let replacement = |row| (row + start == 3).then_some(Slot::new(b"x"));
                    let texts = first.each(rows.clone(), |row, out| out.extend_from_slice(texts[row].as_bytes()));
                    let floats = second.floats(&values[rows.clone()], Some(replacement));
                    records.write(rows.len(), &[texts, floats]);
                }
            }
            let mut expected = "before".to_owned();
            for (row, (text, value)) in texts.iter().zip(&values).enumerate() {
                let value = if row == 3 { "x".to_owned() } else { value.to_string() };
                expected += &format!("{before}{text};{value}\n");
            }
            prop_assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }
}
