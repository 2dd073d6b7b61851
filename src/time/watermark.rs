//! What a source promises about the records to come.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A promise that nothing strictly earlier follows; never decreases.
///
/// Starts without a promise. Watermarks order as promises do, none below all others, so the promise of several
/// sources together is their minimum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(Option<Timestamp>);

impl Watermark {
    /// No promise yet.
    #[must_use]
    pub const fn new() -> Watermark {
        Watermark(None)
    }

    /// Raises the promise to `time` and says whether that changed it; an older or equal `time` changes nothing.
    pub fn advance(&mut self, time: Timestamp) -> bool {
        let is_newer = self.0 < Some(time);
        if is_newer {
            self.0 = Some(time);
        }
        is_newer
    }

    /// The time before which nothing follows, or `None` as long as nothing is promised.
    #[must_use]
    pub const fn get(self) -> Option<Timestamp> {
        self.0
    }

    /// Whether a record of this time breaks the promise, that is, lies strictly before it.
    #[must_use]
    pub fn is_past(self, time: Timestamp) -> bool {
        self.0 > Some(time)
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
        assert!(!mark.is_past(at(5)), "only strictly earlier breaks the promise");
        assert!(mark.advance(at(6)));
        assert_eq!(mark.min(Watermark::new()).get(), None);
    }
}
