//! Choices made by the first bytes of an input, the rest of which is text.

/// The bytes that choose. Missing ones are zeros, so that short inputs mean something too.
pub(crate) struct Choices<const N: usize>([u8; N]);

impl<const N: usize> Choices<N> {
    /// The first `N` bytes of an input, and the rest of it.
    pub(crate) fn split(input: &[u8]) -> (Self, &[u8]) {
        let (first, rest) = input.split_at(input.len().min(N));
        let mut bytes = [0; N];
        bytes[..first.len()].copy_from_slice(first);
        (Self(bytes), rest)
    }

    /// The number that byte `at` says.
    pub(crate) fn number(&self, at: usize) -> usize {
        usize::from(self.0[at])
    }

    /// Whether bit `bit` of byte `at` is set.
    pub(crate) fn bit(&self, at: usize, bit: u8) -> bool {
        self.0[at] >> bit & 1 == 1
    }

    /// One of `all`, by byte `at`.
    pub(crate) fn of<T: Copy>(&self, at: usize, all: &[T]) -> T {
        all[self.number(at) % all.len()]
    }
}
