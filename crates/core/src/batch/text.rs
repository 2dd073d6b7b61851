//! Carried bytes: shared with their chunk, or owned if they had to be converted.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Shared, immutable bytes: a mapped file, a read buffer, or a part of one.
#[derive(Clone)]
pub struct Bytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl Bytes {
    /// All bytes of `owner`, such as a `Vec<u8>` or a map.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        let range = 0..owner.as_ref().len();
        Self { owner: Arc::new(owner), range }
    }

    /// A part of these bytes, shared.
    ///
    /// # Panics
    /// If `range` is out of bounds.
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

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
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

/// A range of bytes in a [`Text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// The span of a missing value.
    pub const NULL: Self = Self { start: 0, len: u32::MAX };

    /// The `len` bytes from `start` in the chunk.
    pub fn new(start: usize, len: usize) -> Self {
        debug_assert!(start + len < u32::MAX as usize, "a chunk is smaller than 4 GiB");
        Self { start: start as u32, len: len as u32 }
    }

    /// The position of the first byte.
    #[inline]
    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    /// The number of bytes; for a null span, more than any text has.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it is the span of a missing value.
    pub fn is_null(self) -> bool {
        self.len == u32::MAX
    }
}

/// The bytes of a batch's spans: first those of its chunk, or of several buffers that its columns came from, then converted or copied ones
/// (a field with doubled quotes, text that outlives its chunk).
#[derive(Clone, Debug, Default)]
pub struct Text {
    chunk: Bytes,
    /// Further buffers; usually none. Their bytes count on from the chunk's.
    more: Vec<Bytes>,
    made: Arc<Vec<u8>>,
}

impl Text {
    /// Text whose spans are in `chunk`.
    pub fn new(chunk: Bytes) -> Self {
        Self { chunk, more: Vec::new(), made: Arc::default() }
    }

    /// The bytes of `span`; `None` for a null span.
    pub fn get(&self, span: Span) -> Option<&[u8]> {
        if span.is_null() {
            return None;
        }
        let (start, len) = (span.start as usize, span.len as usize);
        Some(match start.checked_sub(self.chunk.len()) {
            None => &self.chunk.as_slice()[start..start + len],
            Some(start) if self.more.is_empty() => &self.made[start..start + len],
            Some(start) => match self.further(start) {
                (Some(bytes), start) => &bytes.as_slice()[start..start + len],
                (None, start) => &self.made[start..start + len],
            },
        })
    }

    /// The further buffer that has the byte `start` bytes after the chunk, and its index there; `None` and the index in what was written otherwise.
    fn further(&self, mut start: usize) -> (Option<&Bytes>, usize) {
        for bytes in &self.more {
            match start.checked_sub(bytes.len()) {
                None => return (Some(bytes), start),
                Some(rest) => start = rest,
            }
        }
        (None, start)
    }

    /// Adds bytes without copying them, and gives the start of their spans; `None` if text was already written: then it must be
    /// [pushed](Text::push) instead.
    pub fn share(&mut self, bytes: Bytes) -> Option<usize> {
        let start = self.len();
        if !self.made.is_empty() || start + bytes.len() >= u32::MAX as usize {
            return None;
        }
        match start {
            0 => self.chunk = bytes,
            _ => self.more.push(bytes),
        }
        Some(start)
    }

    /// The bytes of texts that are contiguous in one buffer, and the length of each; `None` if they are not.
    pub fn consecutive(&self, spans: &[Span]) -> Option<(Bytes, Vec<usize>)> {
        let bytes = self.all_of(spans)?;
        Some((bytes, spans.iter().map(|span| if span.is_null() { 0 } else { span.len() }).collect()))
    }

    fn all_of(&self, spans: &[Span]) -> Option<Bytes> {
        let mut there = spans.iter().filter(|span| !span.is_null() && span.len > 0);
        let Some(first) = there.next() else { return Some(Bytes::default()) };
        let end = there.try_fold(first.start() + first.len(), |end, span| {
            (span.start() == end).then_some(end + span.len())
        })?;
        let (bytes, start) = match first.start().checked_sub(self.chunk.len()) {
            None => (&self.chunk, first.start()),
            Some(start) => {
                let (bytes, start) = self.further(start);
                (bytes?, start)
            }
        };
        let len = end - first.start();
        (start + len <= bytes.len()).then(|| bytes.slice(start..start + len))
    }

    /// The bytes of the chunk, if all of `spans` are in it.
    pub(crate) fn chunk_of(&self, spans: &[Span]) -> Option<&[u8]> {
        let chunk = self.chunk.as_slice();
        spans.iter().all(|span| span.start() + span.len() <= chunk.len()).then_some(chunk)
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.before_made() + self.made.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn before_made(&self) -> usize {
        self.chunk.len() + self.more.iter().map(Bytes::len).sum::<usize>()
    }

    /// All bytes in one buffer, at the same positions.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let places = std::iter::once(&self.chunk).chain(&self.more).map(Bytes::as_slice);
        places.chain([&self.made[..]]).collect::<Vec<_>>().concat()
    }

    /// Appends bytes that are not in the chunk.
    pub fn push(&mut self, bytes: &[u8]) -> Span {
        #[cfg(test)]
        copies::note(bytes.len() + if Arc::strong_count(&self.made) > 1 { self.made.len() } else { 0 });
        let before = self.before_made();
        let made = Arc::make_mut(&mut self.made);
        let span = Span::new(before + made.len(), bytes.len());
        made.extend_from_slice(bytes);
        span
    }

    /// Copies a span of another text into this one.
    pub fn push_from(&mut self, other: &Self, span: Span) -> Span {
        other.get(span).map_or(Span::NULL, |bytes| self.push(bytes))
    }
}

/// Counts copied bytes, so that tests of the cost need no clock.
#[cfg(test)]
pub(crate) mod copies {
    use std::cell::Cell;

    thread_local!(static BYTES: Cell<usize> = const { Cell::new(0) });

    pub(super) fn note(bytes: usize) {
        BYTES.set(BYTES.get() + bytes);
    }

    /// The number of bytes that this thread has copied into texts.
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

    #[test]
    fn bytes_of_several_places_are_shared_until_some_are_made() {
        let places = ["abc", "", "defg", "h"].map(|text| Bytes::new(text.as_bytes().to_vec()));
        let mut text = Text::default();
        let starts: Vec<_> = places.iter().map(|bytes| text.share(bytes.clone())).collect();
        assert_eq!(starts, [0, 3, 3, 7].map(Some));
        let made = text.push(b"made");
        assert_eq!(text.share(places[0].clone()), None);
        let get = |start, len| text.get(Span::new(start, len)).expect("some");
        assert_eq!(
            (get(0, 3), get(3, 4), get(5, 2), get(7, 1)),
            (&b"abc"[..], &b"defg"[..], &b"fg"[..], &b"h"[..])
        );
        assert_eq!((text.get(made), get(8, 2), get(8, 0)), (Some(&b"made"[..]), &b"ma"[..], &b""[..]));
        assert_eq!((text.len(), &*text.to_vec()), (12, &b"abcdefghmade"[..]));
        let in_place = |spans: &[Span]| text.consecutive(spans).map(|(bytes, _)| bytes.as_slice().as_ptr());
        let place = |at: usize, byte: usize| Some(places[at].as_slice()[byte..].as_ptr());
        let all = [Span::new(3, 1), Span::NULL, Span::new(0, 0), Span::new(4, 2)];
        assert_eq!(in_place(&all), place(2, 0));
        assert_eq!(in_place(&all[3..]), place(2, 1));
        assert_eq!(in_place(&[Span::new(0, 1), Span::new(2, 1)]), None, "a gap");
        assert_eq!(in_place(&[Span::new(0, 3), Span::new(3, 1)]), None, "two places");
        assert_eq!(in_place(&[made]), None);
        let none = text.consecutive(&[Span::NULL]).expect("no bytes");
        assert!(none.0.is_empty() && none.1 == [0]);
    }
}
