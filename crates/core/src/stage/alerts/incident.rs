//! When an incident begins and when it is over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::time::Timestamp;

/// The thresholds at which incidents begin and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// An incident begins when a value is above this.
    pub above: Option<f64>,
    /// An incident begins when a value is below this.
    pub below: Option<f64>,
    /// An incident above ends when a value is at or below this.
    pub clear_above: Option<f64>,
    /// An incident below ends when a value is at or above this.
    pub clear_below: Option<f64>,
}

impl Thresholds {
    /// These thresholds, with those of `base` where there are none.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        Self {
            above: self.above.or(base.above),
            below: self.below.or(base.below),
            clear_above: self.clear_above.or(base.clear_above),
            clear_below: self.clear_below.or(base.clear_below),
        }
    }

    /// Checks that incidents can begin and end.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn check(&self) -> Result<()> {
        let is_wrong = |clear: Option<f64>, from: Option<f64>, sign: f64| match (clear, from) {
            (Some(clear), Some(from)) => clear * sign > from * sign,
            _ => false,
        };
        if self.above.or(self.below).is_none() {
            return Err(Error::config("neither `above` nor `below` is given"));
        }
        let pairs = [
            ("clear_above", self.clear_above, "above", self.above),
            ("clear_below", self.clear_below, "below", self.below),
        ];
        if let Some((clear, _, from, _)) =
            pairs.iter().find(|(_, clear, _, from)| clear.is_some() && from.is_none())
        {
            return Err(Error::config(format!("`{clear}` has no meaning without `{from}`")));
        }
        let all = [self.above, self.below, self.clear_above, self.clear_below];
        if all.into_iter().flatten().any(f64::is_nan) {
            return Err(Error::config("a threshold is not a number"));
        }
        if is_wrong(self.clear_above, self.above, 1.0) || is_wrong(self.clear_below, self.below, -1.0) {
            return Err(Error::config("a clear threshold is beyond its alarm threshold")
                .with_help("`clear_above` is at most `above`, `clear_below` at least `below`"));
        }
        Ok(())
    }

    /// The threshold that `value` exceeds, if any.
    fn beyond(&self, value: f64) -> Option<Side> {
        if self.above.is_some_and(|above| value > above) {
            Some(Side::Above)
        } else if self.below.is_some_and(|below| value < below) {
            Some(Side::Below)
        } else {
            None
        }
    }

    /// Whether `value` ends an incident on this side.
    fn clears(&self, side: Side, value: f64) -> bool {
        match side {
            Side::Above => self.clear_above.or(self.above).is_some_and(|clear| value <= clear),
            Side::Below => self.clear_below.or(self.below).is_some_and(|clear| value >= clear),
        }
    }

    /// The threshold on this side.
    #[must_use]
    pub fn threshold(&self, side: Side) -> Option<f64> {
        if side == Side::Above { self.above } else { self.below }
    }
}

/// The side on which a value exceeds a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Too high.
    Above,
    /// Too low.
    Below,
}

impl Side {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }
}

/// The state of one sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Incident {
    /// No value is beyond a threshold.
    #[default]
    Quiet,
    /// Beyond the threshold since this time, but not for `hold` yet.
    Pending(Side, Option<Timestamp>),
    /// Raised; the value has been beyond the threshold since this time.
    Raised(Side, Option<Timestamp>),
}

/// A transition caused by a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum IncidentChange {
    /// An incident has begun.
    Raised(Side),
    /// It is over; the first value beyond the threshold was at this time.
    Cleared(Side, Option<Timestamp>),
}

impl Incident {
    /// Updates the state with a value at `time`; at most one transition per value.
    pub fn observe(
        &mut self,
        thresholds: &Thresholds,
        hold: i64,
        time: Option<Timestamp>,
        value: f64,
    ) -> Option<IncidentChange> {
        if value.is_nan() {
            return None;
        }
        if let Self::Raised(side, since) = *self {
            if !thresholds.clears(side, value) {
                return None;
            }
            // A value that ends one incident may begin one on the other side, which the next value raises.
            *self = thresholds.beyond(value).map_or(Self::Quiet, |other| Self::Pending(other, time));
            return Some(IncidentChange::Cleared(side, since));
        }
        let Some(side) = thresholds.beyond(value) else {
            *self = Self::Quiet;
            return None;
        };
        let since = match *self {
            Self::Pending(same, since) if same == side => since,
            _ => time,
        };
        let lasted = time.zip(since).and_then(|(time, since)| time.checked_since(since)).unwrap_or(0);
        if lasted < hold {
            *self = Self::Pending(side, since);
            return None;
        }
        *self = Self::Raised(side, since);
        Some(IncidentChange::Raised(side))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn changes(thresholds: Thresholds, hold: i64, values: &[(i64, f64)]) -> Vec<(usize, bool)> {
        let mut incident = Incident::default();
        let observe = |(at, &(time, value)): (usize, &(i64, f64))| {
            let change = incident.observe(&thresholds, hold, Some(Timestamp::from_nanos(time)), value)?;
            Some((at, matches!(change, IncidentChange::Raised(_))))
        };
        values.iter().enumerate().filter_map(observe).collect()
    }

    fn timed(values: &[f64]) -> Vec<(i64, f64)> {
        values.iter().enumerate().map(|(at, &value)| (at as i64 * 10, value)).collect()
    }

    #[test]
    fn an_incident_is_told_once_and_ends_at_its_clearing_threshold() {
        let thresholds = Thresholds { above: Some(5.0), clear_above: Some(3.0), ..Thresholds::default() };
        let values = timed(&[6.0, 7.0, 4.0, 6.0, f64::NAN, 3.0, 4.0, 6.0]);
        assert_eq!(changes(thresholds, 0, &values), [(0, true), (5, false), (7, true)]);
    }

    #[test]
    fn a_condition_must_last_as_long_as_the_hold_time() {
        let thresholds = Thresholds { below: Some(0.0), ..Thresholds::default() };
        let values = timed(&[-1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0, 0.0]);
        assert_eq!(changes(thresholds, 25, &values), [(6, true), (7, false)]);
    }

    #[test]
    fn senseless_thresholds_are_refused() {
        let with =
            |above, below, clear_above| Thresholds { above, below, clear_above, clear_below: None }.check();
        assert!(with(None, None, None).is_err());
        assert!(with(Some(1.0), None, Some(2.0)).is_err());
        assert!(with(None, Some(1.0), Some(2.0)).is_err());
        assert!(with(Some(f64::NAN), Some(0.0), None).is_err());
        assert!(with(Some(1.0), Some(0.0), Some(0.5)).is_ok());
    }

    proptest! {
        #[test]
        fn raising_and_clearing_take_turns(values in proptest::collection::vec(-9.0..9.0f64, 0..80), hold in 0..40i64, gap in 0.0..4.0f64) {
            let thresholds = Thresholds { above: Some(4.0), clear_above: Some(4.0 - gap), below: Some(-4.0), clear_below: Some(gap - 4.0) };
            let values = timed(&values);
            let changes = changes(thresholds, hold, &values);
            for (order, &(at, is_raised)) in changes.iter().enumerate() {
                prop_assert_eq!(is_raised, order % 2 == 0);
                let beyond = |at: usize| thresholds.beyond(values[at].1);
                if is_raised {
                    // All values of the last `hold` are beyond the same threshold.
                    let held = (0..=at).rev().take_while(|&before| values[at].0 - values[before].0 < hold || before == at);
                    for before in held {
                        prop_assert_eq!(beyond(before), beyond(at));
                    }
                    prop_assert!(beyond(at).is_some());
                } else {
                    prop_assert!(values[at].1 <= 4.0 - gap || values[at].1 >= gap - 4.0);
                }
            }
        }
    }
}
