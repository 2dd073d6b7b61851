//! How far a source has come.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The time that a source has come to; never decreases. What is strictly earlier is behind.
///
/// Starts with none. Watermarks order by their times, none below all others, so that of several sources together is their minimum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(Option<Timestamp>);

impl Watermark {
    /// No time yet.
    #[must_use]
    pub const fn new() -> Watermark {
        Watermark(None)
    }

    /// Raises it to `time` and says whether that changed it; an older or equal `time` changes nothing.
    #[inline]
    pub fn advance(&mut self, time: Timestamp) -> bool {
        let is_newer = self.0 < Some(time);
        if is_newer {
            self.0 = Some(time);
        }
        is_newer
    }

    /// The time that it stands for, or `None` as long as there is none.
    #[inline]
    #[must_use]
    pub const fn get(self) -> Option<Timestamp> {
        self.0
    }

    /// Whether a record of this time is behind, that is, lies strictly before it.
    #[inline]
    #[must_use]
    pub fn is_past(self, time: Timestamp) -> bool {
        self.0 > Some(time)
    }

    /// Whether it stands at `time` or later.
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
