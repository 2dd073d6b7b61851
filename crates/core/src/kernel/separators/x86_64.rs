//! Blocks of AVX-512 and AVX2. Which of them the processor has is asked at run time, here and nowhere else.

#![expect(unsafe_code, reason = "functions with vector instructions are called here and nowhere else")]

use std::arch::x86_64::*;

use super::block::Block;
use super::scan::scan;
use super::{Separators, Survey};

/// As [`find`](super::find), with the widest instructions; `None` if the processor has none of them.
#[inline]
pub(super) fn find(text: &[u8], base: u32, by: Separators, places: &mut Vec<u32>) -> Option<Survey> {
    if has_avx512() {
        // SAFETY: the processor has all that is needed, as was just asked.
        return Some(unsafe { find_avx512(text, base, by, places) });
    }
    find_with_avx2(text, base, by, places)
}

/// The same with AVX2.
#[inline]
pub(super) fn find_with_avx2(
    text: &[u8],
    base: u32,
    by: Separators,
    places: &mut Vec<u32>,
) -> Option<Survey> {
    // SAFETY: the processor has all that is needed, as was just asked.
    has_avx2().then(|| unsafe { find_avx2(text, base, by, places) })
}

/// As [`survey`](super::survey), with the widest instructions; `None` if the processor has none of them.
#[inline]
pub(super) fn survey(text: &[u8], by: Separators) -> Option<Survey> {
    if has_avx512() {
        // SAFETY: the processor has all that is needed, as was just asked.
        return Some(unsafe { survey_avx512(text, by) });
    }
    // SAFETY: the processor has all that is needed, as was just asked.
    has_avx2().then(|| unsafe { survey_avx2(text, by) })
}

/// Whether [`find_avx512`] may be called.
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("lzcnt")
}

/// Whether [`find_avx2`] may be called.
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("lzcnt")
}

/// Requires [`has_avx512`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,popcnt,lzcnt")]
fn find_avx512(text: &[u8], base: u32, by: Separators, places: &mut Vec<u32>) -> Survey {
    scan::<Avx512, true>(text, base, by, places)
}

/// Requires [`has_avx512`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,popcnt,lzcnt")]
fn survey_avx512(text: &[u8], by: Separators) -> Survey {
    scan::<Avx512, false>(text, 0, by, &mut Vec::new())
}

/// Requires [`has_avx2`].
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
fn find_avx2(text: &[u8], base: u32, by: Separators, places: &mut Vec<u32>) -> Survey {
    scan::<Avx2, true>(text, base, by, places)
}

/// Requires [`has_avx2`].
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
fn survey_avx2(text: &[u8], by: Separators) -> Survey {
    scan::<Avx2, false>(text, 0, by, &mut Vec::new())
}

/// Constructed only within `find_avx512` and `survey_avx512`.
#[derive(Clone, Copy)]
struct Avx512(__m512i);

impl Block for Avx512 {
    #[inline(always)]
    fn load(bytes: &[u8; 64]) -> Self {
        // SAFETY: the pointer is to 64 bytes and need not be aligned; the instructions are there, see `has_avx512`.
        Self(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) })
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        // SAFETY: the instructions are there, see `has_avx512`.
        unsafe { _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte as i8)) }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: the instructions are there, see `has_avx512`.
        Self(unsafe { _mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn has_high_bit(self) -> bool {
        // SAFETY: the instructions are there, see `has_avx512`.
        unsafe { _mm512_movepi8_mask(self.0) != 0 }
    }

    /// Compresses the numbers 0 to 63 by the set bits, then widens and writes sixteen at a time. Compresses into a register:
    /// compressing to memory is slow on some processors.
    #[inline(always)]
    fn push(mask: u64, base: u32, places: &mut Vec<u32>) {
        /// The maximum number of positions that one block appends.
        const MOST: usize = 64;
        static NUMBERS: [u8; MOST] = {
            let (mut numbers, mut at) = ([0; MOST], 0);
            while at < MOST {
                numbers[at] = at as u8;
                at += 1;
            }
            numbers
        };
        let (count, start) = (mask.count_ones() as usize, places.len());
        places.reserve(MOST);
        // SAFETY: there is room for 64 more places, and no more than that are written: sixteen at a time, at least `count` of them,
        // none beyond the 64th. As many as there are set bits are counted in. The instructions are there, see `has_avx512`.
        unsafe {
            let numbers = _mm512_loadu_si512(NUMBERS.as_ptr().cast());
            let found = _mm512_maskz_compress_epi8(mask, numbers);
            let base = _mm512_set1_epi32(base as i32);
            let room = places.as_mut_ptr().add(start);
            let write = |part: __m128i, at: usize| {
                let wide = _mm512_add_epi32(_mm512_cvtepu8_epi32(part), base);
                _mm512_storeu_si512(room.add(at).cast(), wide);
            };
            write(_mm512_castsi512_si128(found), 0);
            if count > 16 {
                write(_mm512_extracti32x4_epi32::<1>(found), 16);
                if count > 32 {
                    write(_mm512_extracti32x4_epi32::<2>(found), 32);
                    write(_mm512_extracti32x4_epi32::<3>(found), 48);
                }
            }
            places.set_len(start + count);
        }
    }
}

/// Constructed only within `find_avx2` and `survey_avx2`.
#[derive(Clone, Copy)]
struct Avx2([__m256i; 2]);

impl Block for Avx2 {
    #[inline(always)]
    fn load(bytes: &[u8; 64]) -> Self {
        let halves: *const __m256i = bytes.as_ptr().cast();
        // SAFETY: both loads lie within the 64 bytes and need not be aligned; the instructions are there, see `has_avx2`.
        Self(unsafe { [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))] })
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        // SAFETY: the instructions are there, see `has_avx2`.
        let half = |half| unsafe {
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8))) as u32
        };
        u64::from(half(self.0[0])) | u64::from(half(self.0[1])) << 32
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: the instructions are there, see `has_avx2`.
        Self(unsafe { [_mm256_or_si256(self.0[0], other.0[0]), _mm256_or_si256(self.0[1], other.0[1])] })
    }

    #[inline(always)]
    fn has_high_bit(self) -> bool {
        // SAFETY: the instructions are there, see `has_avx2`.
        unsafe { _mm256_movemask_epi8(_mm256_or_si256(self.0[0], self.0[1])) != 0 }
    }
}
