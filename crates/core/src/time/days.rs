//! Times of day that continue over several days.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::Timestamp;

/// The local time of day in a zone.
#[derive(Clone, Debug)]
pub struct DayClock {
    zone: TimeZone,
}

impl DayClock {
    /// The local time of `zone`, or UTC.
    pub(super) fn new(zone: Option<TimeZone>) -> Self {
        Self { zone: zone.unwrap_or(TimeZone::UTC) }
    }

    /// The first time from `earliest` on with the local time of day of `like`; `None` beyond the range of timestamps.
    pub fn next_like(&self, like: Timestamp, earliest: Timestamp) -> Option<Timestamp> {
        let shown = self.zone.to_datetime(instant(like)?);
        self.next(shown.time(), earliest)
    }

    /// The first time from `earliest` on with the local time of day `time`. If clocks skip it, it is later by the length of the jump.
    pub(super) fn next(&self, time: Time, earliest: Timestamp) -> Option<Timestamp> {
        let day = self.zone.to_datetime(instant(earliest)?).date();
        let tomorrow = day.tomorrow().ok();
        let showings = [Some(day), tomorrow].into_iter().flatten().flat_map(|day| self.showings(day, time));
        showings.flatten().find(|&shown| shown >= earliest)
    }

    /// The times at which clocks show `time` on `day`: the first and the second occurrence.
    fn showings(&self, day: Date, time: Time) -> [Option<Timestamp>; 2] {
        let shown = self.zone.to_ambiguous_timestamp(day.to_datetime(time));
        let timestamp = |shown: jiff::Timestamp| Timestamp::from_wide_nanos(shown.as_nanosecond()).ok();
        let first = shown.compatible().ok().and_then(timestamp);
        let last = if shown.is_ambiguous() {
            shown.disambiguate(jiff::tz::Disambiguation::Later).ok()
        } else {
            None
        };
        [first, last.and_then(timestamp)]
    }
}

fn instant(time: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).ok()
}
