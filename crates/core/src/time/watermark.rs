//! The watermark of a source.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The time that a source has reached, according to its records; never decreases. Strictly earlier times are past.
///
/// Initially none. Watermarks compare by time, with none as the minimum, so the watermark of several sources is their minimum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(Option<Timestamp>);

impl Watermark {
    /// A watermark without a time.
    #[must_use]
    pub const fn new() -> Watermark {
        Watermark(None)
    }

    /// Raises it to `time`; returns whether that changed it: an older or equal `time` does not.
    #[inline]
    pub fn advance(&mut self, time: Timestamp) -> bool {
        let is_newer = self.0 < Some(time);
        if is_newer {
            self.0 = Some(time);
        }
        is_newer
    }

    /// The time, or `None` initially.
    #[inline]
    #[must_use]
    pub const fn get(self) -> Option<Timestamp> {
        self.0
    }

    /// Whether `time` is strictly before it.
    #[inline]
    #[must_use]
    pub fn is_past(self, time: Timestamp) -> bool {
        self.0 > Some(time)
    }

    /// Whether it is at `time` or later.
    #[inline]
    #[must_use]
    pub fn has_reached(self, time: Timestamp) -> bool {
        self.0 >= Some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_decreases() {
        let at = Timestamp::from_nanos;
        let mut mark = Watermark::new();
        assert!(!mark.is_past(Timestamp::MIN));
        assert!(mark.advance(at(5)));
        assert!(!mark.advance(at(5)));
        assert!(!mark.advance(at(3)));
        assert_eq!(mark.get(), Some(at(5)));
        assert!(mark.is_past(at(4)));
        assert!(!mark.is_past(at(5)), "only strictly earlier is behind");
        assert!(mark.has_reached(at(5)) && !mark.has_reached(at(6)));
        assert!(mark.advance(at(6)));
        assert_eq!(mark.min(Watermark::new()).get(), None);
    }
}
