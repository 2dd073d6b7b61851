//! A stretch of time.

use super::Timestamp;

/// The times from one on, until before another; without bounds, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// The first time.
    pub from: Option<Timestamp>,
    /// The time behind the last one.
    pub until: Option<Timestamp>,
}

impl Period {
    /// Whether it has no bounds.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }

    /// Whether `time` is in it.
    #[inline]
    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }
}
