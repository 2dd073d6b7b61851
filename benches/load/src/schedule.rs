//! Which record is sent when.

use std::fmt::Write as _;
use std::time::Duration;

/// Records in ticks of equal length; all records of a tick are meant to be sent at its beginning.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    /// Records a second.
    pub(crate) rate: u64,
    /// Microseconds.
    pub(crate) tick: u64,
    pub(crate) sensors: u64,
}

impl Schedule {
    /// The records before tick `tick`.
    pub(crate) fn before(&self, tick: u64) -> u64 {
        self.rate * self.tick * tick / 1_000_000
    }

    /// The tick of record `record`.
    pub(crate) fn tick_of(&self, record: u64) -> u64 {
        ((record + 1) * 1_000_000).div_ceil(self.rate * self.tick) - 1
    }

    /// When a tick begins, from the start on.
    pub(crate) fn at(&self, tick: u64) -> Duration {
        Duration::from_micros(tick * self.tick)
    }

    /// What a line begins with: the record's time is that of its tick, its sensor comes round.
    pub(crate) fn key(&self, record: u64) -> String {
        let mut key = time(self.tick_of(record) * self.tick);
        let _infallible = write!(key, ",s-{:06}", record % self.sensors);
        key
    }

    /// Appends the records of a tick.
    pub(crate) fn write(&self, tick: u64, rests: &[Vec<u8>], into: &mut Vec<u8>) {
        let time = time(tick * self.tick);
        for record in self.before(tick)..self.before(tick + 1) {
            into.extend_from_slice(time.as_bytes());
            into.extend_from_slice(&rests[(record % self.sensors) as usize]);
        }
    }

    /// By sensor: what stands behind the time.
    pub(crate) fn rests(&self) -> Vec<Vec<u8>> {
        let rest = |sensor: u64| format!(",s-{sensor:06},{}.{:03}\n", 20 + sensor % 90, sensor * 7 % 1000);
        (0..self.sensors).map(|sensor| rest(sensor).into_bytes()).collect()
    }
}

/// A time so many microseconds into a day long past, so that no clock is ahead.
fn time(micros: u64) -> String {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("2026-01-01T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_has_the_tick_that_it_is_sent_in() {
        for (rate, tick) in [(100_000, 1000), (16_667, 1000), (100_000, 200), (999, 1000)] {
            let schedule = Schedule { rate, tick, sensors: 7 };
            for tick in 0..3000 {
                for record in schedule.before(tick)..schedule.before(tick + 1) {
                    assert_eq!(schedule.tick_of(record), tick, "record {record} at {rate}/s");
                }
            }
        }
    }

    #[test]
    fn lines_begin_with_their_key() {
        let schedule = Schedule { rate: 1000, tick: 2000, sensors: 3 };
        let mut text = Vec::new();
        schedule.write(30_000, &schedule.rests(), &mut text);
        let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines[1], b"2026-01-01T00:01:00.000000Z,s-000001,21.007");
        assert!(lines[1].starts_with(schedule.key(60_001).as_bytes()));
    }
}
