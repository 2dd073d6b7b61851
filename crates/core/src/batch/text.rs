//! Carried bytes: shared with the chunk they came in, or owned where they had to change.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A shared, immutable run of bytes: a mapped file, a read buffer, or a part of one.
#[derive(Clone)]
pub struct Bytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl Bytes {
    /// All bytes of `owner`: a `Vec<u8>`, a map.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        let range = 0..owner.as_ref().len();
        Self { owner: Arc::new(owner), range }
    }

    /// A part of these bytes, shared.
    ///
    /// # Panics
    /// When `range` reaches outside.
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.range.len(),
            "{range:?} of {}",
            self.range.len()
        );
        let start = self.range.start + range.start;
        Self { owner: Arc::clone(&self.owner), range: start..start + range.len() }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.len())
    }
}

/// A run of bytes in a [`Text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// Stands for a missing value.
    pub const NULL: Self = Self { start: 0, len: u32::MAX };

    /// The `len` bytes from `start` in the chunk.
    pub fn new(start: usize, len: usize) -> Self {
        debug_assert!(start + len < u32::MAX as usize, "a chunk is smaller than 4 GiB");
        Self { start: start as u32, len: len as u32 }
    }

    /// Where the first byte is.
    #[inline]
    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    /// How many bytes there are; more than any text has, where this stands for a missing value.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }

    /// Whether this stands for a missing value.
    pub fn is_null(self) -> bool {
        self.len == u32::MAX
    }
}

/// The bytes behind the spans of a batch: first those of its chunk, then those made anew (a field
/// with doubled quotes, text that outlives its chunk).
#[derive(Clone, Debug, Default)]
pub struct Text {
    chunk: Bytes,
    made: Arc<Vec<u8>>,
}

impl Text {
    /// Text whose spans lie in `chunk`.
    pub fn new(chunk: Bytes) -> Self {
        Self { chunk, made: Arc::default() }
    }

    /// The bytes of `span`; `None` where it is null.
    pub fn get(&self, span: Span) -> Option<&[u8]> {
        if span.is_null() {
            return None;
        }
        let (start, len) = (span.start as usize, span.len as usize);
        Some(match start.checked_sub(self.chunk.len()) {
            None => &self.chunk.as_slice()[start..start + len],
            Some(start) => &self.made[start..start + len],
        })
    }

    /// The bytes of the chunk, if all of `spans` are in it.
    pub(crate) fn chunk_of(&self, spans: &[Span]) -> Option<&[u8]> {
        let chunk = self.chunk.as_slice();
        spans.iter().all(|span| span.start() + span.len() <= chunk.len()).then_some(chunk)
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.chunk.len() + self.made.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes in one piece, for the same spans.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        [self.chunk.as_slice(), &self.made[..]].concat()
    }

    /// Adds bytes that are not in the chunk.
    pub fn push(&mut self, bytes: &[u8]) -> Span {
        #[cfg(test)]
        copies::note(bytes.len() + if Arc::strong_count(&self.made) > 1 { self.made.len() } else { 0 });
        let made = Arc::make_mut(&mut self.made);
        let span = Span::new(self.chunk.len() + made.len(), bytes.len());
        made.extend_from_slice(bytes);
        span
    }

    /// Copies a span of another text into this one.
    pub fn push_from(&mut self, other: &Self, span: Span) -> Span {
        other.get(span).map_or(Span::NULL, |bytes| self.push(bytes))
    }
}

/// What copying of text costs, counted, so that tests need no clock.
#[cfg(test)]
pub(crate) mod copies {
    use std::cell::Cell;

    thread_local!(static BYTES: Cell<usize> = const { Cell::new(0) });

    pub(super) fn note(bytes: usize) {
        BYTES.set(BYTES.get() + bytes);
    }

    /// How many bytes this thread has copied into texts.
    pub(crate) fn bytes() -> usize {
        BYTES.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_reach_into_the_chunk_and_behind_it() {
        let mut text = Text::new(Bytes::new(b"hello world".to_vec()).slice(6..11));
        let made = text.push(b"!");
        assert_eq!(text.get(Span::new(0, 5)), Some(&b"world"[..]));
        assert_eq!(text.get(made), Some(&b"!"[..]));
        assert_eq!(text.get(Span::new(5, 0)), Some(&b""[..]));
        assert_eq!(text.get(Span::NULL), None);
    }
}
