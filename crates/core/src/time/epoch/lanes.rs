//! Epochs of the same number of digits side by side: what [`plain`](super::plain) says of each.

use super::SCALES;
use crate::kernel::digits::{ZEROS, eight};
use crate::time::Timestamp;
use crate::time::lanes::{LANES, ReadLanes, Texts, Words};

/// Eight digits.
const EIGHT: u64 = 100_000_000;

/// Epochs of so many digits, in the same unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epochs {
    length: u64,
    /// The bytes of the eight before the last eight that belong to the number.
    kept: u64,
    /// How far the first bytes are shifted, so that only those before the last sixteen are left, behind `zeros`.
    shift: u32,
    zeros: u64,
    /// Nanoseconds of the unit, and the greatest number of units that can be represented.
    scale: u64,
    greatest: u64,
}

impl Epochs {
    /// Numbers of `length` digits, in units of ten to the power `places` nanoseconds; `None` if they are not 8 to 19.
    pub(crate) fn new(length: usize, places: usize) -> Option<Self> {
        let length = (8..=19).contains(&length).then_some(length as u32)?;
        let upper = u64::MAX.checked_shl(8 * 16_u32.saturating_sub(length)).unwrap_or(0);
        let shift = 8 * (24 - length.max(16));
        let scale = SCALES[places];
        Some(Self {
            length: length.into(),
            kept: upper,
            shift,
            zeros: ZEROS & !u64::MAX.checked_shl(shift).unwrap_or(0),
            scale,
            greatest: i64::MAX as u64 / scale,
        })
    }
}

impl ReadLanes for Epochs {
    #[inline(always)]
    fn read_lanes(&self, texts: &Texts, times: &mut [Timestamp; LANES]) -> Words {
        let mut others = texts.lengths.map(|length| length ^ self.length);
        for lane in 0..LANES {
            let top = texts.first[0][lane].checked_shl(self.shift).unwrap_or(0) | self.zeros;
            let upper = (texts.last[0][lane] & self.kept) | (ZEROS & !self.kept);
            let (top, is_top) = eight(top);
            let (upper, is_upper) = eight(upper);
            let (lower, is_lower) = eight(texts.last[1][lane]);
            let value = top.wrapping_mul(EIGHT).wrapping_add(upper).wrapping_mul(EIGHT).wrapping_add(lower);
            others[lane] |= u64::from(!(is_top & is_upper & is_lower & (value <= self.greatest)));
            times[lane] = Timestamp::from_nanos(value.wrapping_mul(self.scale) as i64);
        }
        others
    }
}
