//! A header that stands again in the middle of a file, where files were put together or a logger began anew.

use super::beginning::BOM;

/// Why such a line is refused: it is no record, even where all columns are text.
pub(super) const REASON: &str = "the header stands here again";

/// The lines of a file's header: names, units.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderLines(Vec<Box<[u8]>>);

impl HeaderLines {
    /// All lines of `text` that have something.
    pub(super) fn of(text: &[u8]) -> Self {
        let lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
        Self(lines.map(Into::into).collect())
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.0.push(record.into());
    }

    /// Whether a record, without its line end, is one of them. The byte order mark of a file that was appended means nothing.
    #[inline]
    pub(super) fn has(&self, record: &[u8]) -> bool {
        let is = |record: &[u8]| self.0.iter().any(|line| **line == *record);
        is(record) || record.strip_prefix(BOM).is_some_and(is)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|line| &**line)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
