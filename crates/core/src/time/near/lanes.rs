//! Times of the same hour side by side: what [`Near::read`] says of each.

use super::Near;
use crate::kernel::digits::{ZEROS, eight};
use crate::time::lanes::{LANES, ReadLanes, Texts, Words};
use crate::time::{NANOS_PER_SECOND, Timestamp};

impl ReadLanes for Near {
    #[inline(always)]
    fn read_lanes(&self, texts: &Texts, times: &mut [Timestamp; LANES]) -> Words {
        let mut others = self.differ(texts);
        let minute = Pair::at(self.places.minute, self.fixed.length);
        let second = Pair::at(self.places.second, self.fixed.length);
        let fraction = Window::at(8 - self.suffix);
        let ninth = Window::at(7 - self.suffix);
        let has_ninth = if self.has_ninth { u64::MAX } else { 0 };
        let hour = self.hour.as_nanos();
        for lane in 0..LANES {
            let [low, high] = [texts.last[0][lane], texts.last[1][lane]];
            let pairs = minute.of(texts, lane) | second.of(texts, lane) << 16;
            let (seconds, is_clock) = minutes_and_seconds(pairs);
            let digits = (fraction.of(low, high) & self.kept) | (ZEROS & !self.kept);
            let (digits, is_number) = eight(digits);
            let first = ((ninth.of(low, high) & 0xff) ^ u64::from(b'0')) & has_ninth;
            others[lane] |= u64::from(!(is_clock & is_number & (first <= 9)));
            let fraction = (digits + first.wrapping_mul(100_000_000)) as i64;
            let within = seconds as i64 * NANOS_PER_SECOND + fraction.wrapping_mul(self.scale);
            times[lane] = Timestamp::from_nanos(hour.wrapping_add(within));
        }
        others
    }
}

impl Near {
    /// Not 0 for each text that differs from the others of its hour in more than minutes, seconds and the digits of the fraction.
    #[inline(always)]
    fn differ(&self, texts: &Texts) -> Words {
        let Self { fixed, mask, .. } = self;
        let halves = [(&texts.first, fixed.first, mask.first), (&texts.last, fixed.last, mask.last)];
        let mut differ = texts.lengths.map(|length| length ^ fixed.length as u64);
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
    /// The bytes from `at`, up to 16, on; zeros follow the last one.
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

/// Where two digits are.
struct Pair {
    /// Whether the last sixteen bytes have both, not the first ones.
    is_last: bool,
    window: Window,
    /// What is there instead if the text has none.
    instead: u64,
}

impl Pair {
    /// The digits at `at` of a text of `length` bytes; zeros if they are nowhere.
    fn at(at: Option<usize>, length: usize) -> Self {
        match at {
            None => Self { is_last: false, window: Window::at(16), instead: ZEROS & 0xffff },
            Some(at) if at <= 14 => Self { is_last: false, window: Window::at(at), instead: 0 },
            Some(at) => Self { is_last: true, window: Window::at(at + 16 - length), instead: 0 },
        }
    }

    #[inline(always)]
    fn of(&self, texts: &Texts, lane: usize) -> u64 {
        let words = if self.is_last { &texts.last } else { &texts.first };
        (self.window.of(words[0][lane], words[1][lane]) & 0xffff) | self.instead
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
