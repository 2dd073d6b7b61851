//! Local times that occur twice.

use jiff::tz::TimeZone;

use super::{NANOS_PER_SECOND, Timestamp};

/// The local times of a zone that occur twice, with their second occurrence.
#[derive(Clone, Debug)]
pub struct Folds {
    zone: TimeZone,
    /// A cached range, from inclusive to exclusive, without such times.
    calm: (i64, i64),
}

impl Folds {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone, calm: (0, 0) }
    }

    /// The second occurrence of the local time at `first`; `None` if there is none, or if `first` is the second one.
    #[inline]
    pub fn second(&mut self, first: Timestamp) -> Option<Timestamp> {
        let nanos = first.as_nanos();
        if self.calm.0 <= nanos && nanos < self.calm.1 {
            return None;
        }
        self.look_up(first)
    }

    #[cold]
    fn look_up(&mut self, first: Timestamp) -> Option<Timestamp> {
        let at = jiff::Timestamp::from_nanosecond(i128::from(first.as_nanos())).ok()?;
        let nanos = |instant: jiff::Timestamp| {
            Timestamp::from_wide_nanos(instant.as_nanosecond()).map(Timestamp::as_nanos).ok()
        };
        // A transition at `at` itself is the previous one.
        let inside = at.checked_add(jiff::Span::new().nanoseconds(1)).unwrap_or(at);
        let before = self.zone.preceding(inside).next().and_then(|transition| nanos(transition.timestamp()));
        let next = self.zone.following(at).next();
        let turn = next.as_ref().and_then(|next| nanos(next.timestamp())).unwrap_or(i64::MAX);
        let seconds = next.map_or(0, |next| self.zone.to_offset(at).seconds() - next.offset().seconds());
        let doubled = i64::from(seconds.max(0)) * NANOS_PER_SECOND;
        let start = turn.saturating_sub(doubled);
        if first.as_nanos() < start {
            self.calm = (before.unwrap_or(i64::MIN), start);
            return None;
        }
        first.checked_add(doubled).filter(|_| doubled > 0)
    }
}
