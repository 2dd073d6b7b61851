//! The text between the values of lines with the same shape.

/// Text between values; short texts are compared in one step.
#[derive(Default)]
pub(super) struct Glue {
    text: Box<[u8]>,
    word: u128,
    mask: u128,
}

impl Glue {
    pub(super) fn new(text: &[u8]) -> Self {
        let short = text.first_chunk::<16>().map_or(text, |chunk| chunk);
        let mut bytes = [0; 16];
        bytes[..short.len()].copy_from_slice(short);
        let mask = if short.len() == 16 { u128::MAX } else { (1 << (8 * short.len())) - 1 };
        Self { text: text.into(), word: u128::from_le_bytes(bytes), mask }
    }

    /// The position after it, if it occurs at `at`.
    #[inline]
    pub(super) fn skip(&self, text: &[u8], at: usize) -> Option<usize> {
        let len = self.text.len();
        let is_here = match text.get(at..).and_then(<[u8]>::first_chunk::<16>) {
            Some(bytes) if len <= 16 => (u128::from_le_bytes(*bytes) ^ self.word) & self.mask == 0,
            _ => text.get(at..)?.starts_with(&self.text),
        };
        is_here.then_some(at + len)
    }
}
