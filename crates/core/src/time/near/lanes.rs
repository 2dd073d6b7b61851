//! Times of the same hour, eight side by side: what [`Near::read`] does, without a branch for each text, so that compilers generate vector
//! instructions.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "instructions that not every processor has are chosen at run time")
)]

use super::{Near, SECOND};
use crate::kernel::digits::{ZEROS, eight};
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// The number of texts side by side.
pub(crate) const LANES: usize = 8;

/// One word of each text.
type Words = [u64; LANES];

/// Eight texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    /// The first sixteen bytes, as two words.
    first: [Words; 2],
    /// The last sixteen bytes; they may overlap the first ones.
    last: [Words; 2],
    lengths: Words,
}

impl Texts {
    /// Puts `text[start..end]` in a lane.
    #[inline(always)]
    pub(crate) fn set(&mut self, lane: usize, text: &[u8], start: usize, end: usize) {
        let first = text.get(start..).and_then(<[u8]>::first_chunk::<16>);
        let last = text.get(..end).and_then(<[u8]>::last_chunk::<16>);
        let lane = lane % LANES;
        let (Some(first), Some(last)) = (first, last) else {
            // No time is empty.
            self.lengths[lane] = 0;
            return;
        };
        let (first, last) = (u128::from_le_bytes(*first), u128::from_le_bytes(*last));
        (self.first[0][lane], self.first[1][lane]) = (first as u64, (first >> 64) as u64);
        (self.last[0][lane], self.last[1][lane]) = (last as u64, (last >> 64) as u64);
        self.lengths[lane] = end.wrapping_sub(start) as u64;
    }

    /// Writes the time of each lane. Returns a bit for each that [`Near::read`] does not read; its time means nothing.
    #[inline]
    pub(crate) fn read(&self, near: &Near, times: &mut [Timestamp; LANES]) -> u8 {
        #[cfg(target_arch = "x86_64")]
        {
            if x86::has_avx512() {
                // SAFETY: the processor has all that is needed, as was just asked.
                return unsafe { x86::read_avx512(self, near, times) };
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2, as was just asked.
                return unsafe { x86::read_avx2(self, near, times) };
            }
        }
        self.read_lanes(near, times)
    }

    #[inline(always)]
    fn read_lanes(&self, near: &Near, times: &mut [Timestamp; LANES]) -> u8 {
        let mut others = self.differ(near);
        let clock = Window::at(SECOND + 16 - near.fixed.length);
        let fraction = Window::at(8 - near.suffix);
        let ninth = Window::at(7 - near.suffix);
        let has_ninth = if near.has_ninth { u64::MAX } else { 0 };
        let hour = near.hour.as_nanos();
        for lane in 0..LANES {
            let [low, high] = [self.last[0][lane], self.last[1][lane]];
            // The minutes are the last two bytes of the first half.
            let pairs = self.first[1][lane] >> 48 | (clock.of(low, high) & 0xffff) << 16;
            let (seconds, is_clock) = minutes_and_seconds(pairs);
            let digits = (fraction.of(low, high) & near.kept) | (ZEROS & !near.kept);
            let (digits, is_number) = eight(digits);
            let first = ((ninth.of(low, high) & 0xff) ^ u64::from(b'0')) & has_ninth;
            others[lane] |= u64::from(!(is_clock & is_number & (first <= 9)));
            let fraction = (digits + first.wrapping_mul(100_000_000)) as i64;
            let within = seconds as i64 * NANOS_PER_SECOND + fraction.wrapping_mul(near.scale);
            times[lane] = Timestamp::from_nanos(hour.wrapping_add(within));
        }
        others.iter().enumerate().fold(0, |bits, (lane, &other)| bits | u8::from(other != 0) << lane)
    }

    /// Not 0 for each text that differs from the others of its hour in more than minutes, seconds and the digits of the fraction.
    #[inline(always)]
    fn differ(&self, near: &Near) -> Words {
        let (fixed, mask) = (near.fixed, near.mask);
        let halves = [(self.first, fixed.first, mask.first), (self.last, fixed.last, mask.last)];
        let mut differ = self.lengths.map(|length| length ^ fixed.length as u64);
        for (words, fixed, mask) in halves {
            for (words, shift) in words.iter().zip([0, 64]) {
                let (fixed, mask) = ((fixed >> shift) as u64, (mask >> shift) as u64);
                differ.iter_mut().zip(words).for_each(|(differ, word)| *differ |= (word ^ fixed) & mask);
            }
        }
        differ
    }
}

/// Where eight bytes are in sixteen, which are two words: the bits by which those are shifted; 64 leaves nothing.
struct Window {
    low_right: u32,
    high_left: u32,
    high_right: u32,
}

impl Window {
    /// The bytes from `at`, up to 15, on; zeros follow the last one.
    fn at(at: usize) -> Self {
        let bits = 8 * at as u32;
        let high_left = 64_u32.checked_sub(bits).unwrap_or(64);
        let high_right = if bits > 64 { bits - 64 } else { 64 };
        Self { low_right: bits.min(64), high_left, high_right }
    }

    #[inline(always)]
    fn of(&self, low: u64, high: u64) -> u64 {
        let right = |word: u64, bits| word.checked_shr(bits).unwrap_or(0);
        right(low, self.low_right)
            | high.checked_shl(self.high_left).unwrap_or(0)
            | right(high, self.high_right)
    }
}

/// The seconds that two pairs of digits, minutes and seconds, write; and whether each is a number from 0 to 59. The first digit is in the
/// lowest byte.
#[inline(always)]
fn minutes_and_seconds(pairs: u64) -> (u64, bool) {
    let digits = pairs ^ (ZEROS & 0xffff_ffff);
    // Sets the highest bit of a byte: tens from 6 on, ones from 10 on.
    let beyond = digits.wrapping_add(0x767a_767a) | digits;
    let numbers = (digits.wrapping_mul(10).wrapping_add(digits >> 8)) & 0x00ff_00ff;
    (numbers.wrapping_mul(60 << 16 | 1) >> 16 & 0xffff, beyond & 0x8080_8080 == 0)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Near, Texts, Timestamp};

    /// Whether [`read_avx512`] may be called.
    #[inline]
    pub(super) fn has_avx512() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
    }

    /// Requires [`has_avx512`].
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
    pub(super) fn read_avx512(texts: &Texts, near: &Near, times: &mut [Timestamp; LANES]) -> u8 {
        texts.read_lanes(near, times)
    }

    /// Requires AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) fn read_avx2(texts: &Texts, near: &Near, times: &mut [Timestamp; LANES]) -> u8 {
        texts.read_lanes(near, times)
    }
}

/// A way to read the times of all lanes, as [`Texts::read`].
#[cfg(test)]
type Read = fn(&Texts, &Near, &mut [Timestamp; LANES]) -> u8;

/// All ways that this processor has.
#[cfg(test)]
pub(super) fn ways() -> Vec<Read> {
    let mut ways: Vec<Read> = vec![Texts::read, Texts::read_lanes];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as was just asked.
        ways.push(|texts, near, times| unsafe { x86::read_avx2(texts, near, times) });
    }
    ways
}
