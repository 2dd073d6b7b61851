//! What the times of a column have in common, so that many are read at once.

use super::Timestamp;
use super::epoch::Epochs;
use super::lanes::{LANES, Texts};
use super::near::Near;

/// What the times of a column have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Alike {
    /// Their hour.
    Hour(Near),
    /// Their number of digits.
    Epochs(Epochs),
}

impl Alike {
    /// Writes the time of each of `texts`. Returns a bit for each that is not like the others; its time means nothing.
    #[inline]
    pub(crate) fn read(&self, texts: &Texts, times: &mut [Timestamp; LANES]) -> u8 {
        match self {
            Self::Hour(near) => texts.read_by(near, times),
            Self::Epochs(epochs) => texts.read_by(epochs, times),
        }
    }
}
