//! The end of a text: the first of a few bytes, or of the low ones (control characters, spaces), sixteen bytes at a time.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "SSE2, which every 64-bit processor of this kind has")
)]

/// The bytes that end a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stops<const N: usize> {
    /// Some bytes.
    pub(crate) bytes: [u8; N],
    /// All bytes up to this one.
    pub(crate) low: u8,
}

impl<const N: usize> Stops<N> {
    /// The first of these bytes in `text` from `start` on, and whether all bytes before it are known to be ASCII.
    #[inline(always)]
    pub(crate) fn find(self, text: &[u8], start: usize) -> Option<(usize, bool)> {
        let (mut at, mut high) = (start, 0);
        while let Some(bytes) = text.get(at..)?.first_chunk() {
            let (stops, high_here) = self.masks(bytes);
            if stops != 0 {
                high |= high_here & (stops & stops.wrapping_neg()).wrapping_sub(1);
                return Some((at + stops.trailing_zeros() as usize, high == 0));
            }
            high |= high_here;
            at += bytes.len();
        }
        let stop = text[at..].iter().position(|&byte| self.has(byte))?;
        Some((at + stop, false))
    }

    /// Whether `byte` ends a text.
    fn has(self, byte: u8) -> bool {
        byte <= self.low || self.bytes.contains(&byte)
    }

    /// A bit for each of `bytes` that ends a text, and for each that is not ASCII.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn masks(self, bytes: &[u8; 16]) -> (u32, u32) {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { x86::masks(bytes, self.bytes, self.low) }
    }

    /// The same, byte by byte.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    fn masks(self, bytes: &[u8; 16]) -> (u32, u32) {
        let each =
            |is: &dyn Fn(u8) -> bool| (0..16).fold(0, |mask, at| mask | u32::from(is(bytes[at])) << at);
        (each(&|byte| self.has(byte)), each(&|byte| !byte.is_ascii()))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_max_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };

    /// As [`Stops::masks`](super::Stops::masks).
    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn masks<const N: usize>(bytes: &[u8; 16], stops: [u8; N], low: u8) -> (u32, u32) {
        let word = u128::from_le_bytes(*bytes);
        let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
        let all = |byte: u8| _mm_set1_epi8(byte as i8);
        let is_low = _mm_cmpeq_epi8(_mm_max_epu8(bytes, all(low)), all(low));
        let is_stop = stops
            .iter()
            .fold(is_low, |is_stop, &stop| _mm_or_si128(is_stop, _mm_cmpeq_epi8(bytes, all(stop))));
        (_mm_movemask_epi8(is_stop) as u32, _mm_movemask_epi8(bytes) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_ends_where_a_search_byte_by_byte_ends(
            bytes in proptest::collection::vec(proptest::sample::select(&b"aaaaaaaaaaaaaaaa\"\\,= \x1f\x7f\x80\xc3\xff"[..]), 0..60), cut in 0..60usize,
        ) {
            let text = &bytes[..cut.min(bytes.len())];
            for start in 0..=text.len() + 1 {
                let stops = Stops { bytes: *b"\"\\,", low: 0x1f };
                let found = stops.find(text, start);
                let expected = text.get(start..).and_then(|text| text.iter().position(|&byte| stops.has(byte)));
                prop_assert_eq!(found.map(|found| found.0), expected.map(|length| start + length));
                if let Some((end, true)) = found {
                    prop_assert!(text[start..end].is_ascii());
                }
            }
        }
    }
}
