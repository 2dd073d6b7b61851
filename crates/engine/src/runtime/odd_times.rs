//! Suspicious times: counts read in the wrong unit end up in January 1970, or in 2262 at the end of the range; so do clocks that were never
//! set.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::time::Timestamp;

/// The number of records with such times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OddTimes {
    in_1970: u64,
    in_2262: u64,
}

/// A day in nanoseconds.
const DAY: i64 = 86_400_000_000_000;

/// End of January 1970: until 2037, seconds read as any finer unit lie before.
const FEBRUARY_1970: i64 = 31 * DAY;

/// 1 January 2262.
const YEAR_2262: i64 = 106_651 * DAY;

/// Whether it may be one of them; decided by half of the bits, so that the compiler uses vector instructions of every processor.
#[inline]
fn may_be_odd(nanos: i64) -> bool {
    let high = (nanos >> 32) as i32;
    (high <= (FEBRUARY_1970 >> 32) as i32) | (high >= (YEAR_2262 >> 32) as i32)
}

impl OddTimes {
    /// Counts those of a batch.
    pub(crate) fn of(batch: &Batch) -> Self {
        let times = batch.times().unwrap_or_default();
        if !times.iter().fold(false, |any, time| any | may_be_odd(time.as_nanos())) {
            return Self::default();
        }
        let (mut in_1970, mut in_2262) = (0, 0);
        for time in times {
            let nanos = time.as_nanos();
            in_1970 += u64::from((0..FEBRUARY_1970).contains(&nanos));
            in_2262 += u64::from(nanos >= YEAR_2262);
        }
        Self { in_1970, in_2262 }
    }

    /// Whether a range of times includes suspicious ones.
    pub(crate) fn may_lie_in(first: Timestamp, last: Timestamp) -> bool {
        let (first, last) = (first.as_nanos(), last.as_nanos());
        first < FEBRUARY_1970 && last >= 0 || last >= YEAR_2262
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.in_1970 += more.in_1970;
        self.in_2262 += more.in_2262;
    }

    /// The remarks, given the total number of `records`.
    pub(crate) fn remarks(&self, records: u64) -> Vec<String> {
        let counts = [(self.in_1970, "January 1970"), (self.in_2262, "2262")];
        let odd = counts.into_iter().filter(|(count, _)| *count > 0);
        odd.map(|(count, when)| {
            format!(
                "{count} of {records} records have times in {when}: check the unit of the times (`time_format`, `precision`), and whether the clock was set"
            )
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::testing::readings;
    use crate::sensor::Sensors;
    use crate::time::{TimeFormat, TimeParser};

    #[test]
    fn counts_read_in_another_unit_are_said() {
        // 2024-03-23 and 2001-09-09 in seconds, milliseconds, microseconds and nanoseconds.
        let (mut wrong, mut right) = (Vec::new(), Vec::new());
        for (written, unit) in ["s", "ms", "us", "ns"].into_iter().enumerate() {
            for (read, name) in ["s", "ms", "us", "ns"].into_iter().enumerate() {
                let parser = TimeParser::new(TimeFormat::parse(name).expect("a unit"), None).expect("UTC");
                for seconds in ["1711190542", "1000000000"] {
                    let text = format!("{seconds}{}", "000".repeat(written));
                    let Ok(time) = parser.parse(text.as_bytes()) else { continue };
                    let rows = if read == written { &mut right } else { &mut wrong };
                    rows.push((unit, time.as_nanos()));
                }
            }
        }
        let odd = |rows: &[(&str, i64)]| OddTimes::of(&readings(rows, &mut Sensors::default()));
        assert_eq!(odd(&right), OddTimes::default());
        assert!(odd(&right).remarks(8).is_empty());
        // A coarser unit is out of range.
        assert_eq!(odd(&wrong), OddTimes { in_1970: 12, in_2262: 0 });
        let (text, last) = (odd(&wrong).remarks(12), [("a", i64::MAX)]);
        assert!(text[0].starts_with("12 of 12 records have times in January 1970"), "{text:?}");
        assert!(odd(&last).remarks(1)[0].contains("in 2262"));
    }
}
