//! Detects idle sensors by the records alone: those that `idle_sensors` gives up (clause 27).

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::pipeline::idle::bound;
use crate::sensor::SensorId;
use crate::time::{Agreement, Deadlines, Reached, Timestamp, Watermark, quiet_at};

/// The sensors in use, and when they last reported.
pub(crate) struct Idle {
    /// How long a sensor is quiet before it is given up, in nanoseconds.
    bound: i64,
    agreement: Agreement,
    reached: Reached,
    /// By sensor: the watermark when it last reported.
    seen: Vec<Watermark>,
    /// When each sensor in use becomes quiet, except those that are.
    deadlines: Deadlines<u32>,
    /// Quiet sensors: given up at the end of the span, unless they report before.
    quiet: Vec<u32>,
    /// The watermark after the last record, and the span that it is in. Spans are as long as the bound, counted from 1970.
    last: Watermark,
    span: Option<i64>,
    given_up: u64,
}

/// Its state in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IdleState {
    watermark: Watermark,
    /// By sensor: its newest time, if it is in use, and the watermark when it last reported.
    sensors: Vec<(Option<Timestamp>, Watermark)>,
    span: Option<i64>,
    given_up: u64,
}

impl Idle {
    /// The one that `pipeline` configures.
    ///
    /// # Errors
    /// A configuration error if the option is not a duration.
    pub(crate) fn of(pipeline: &Pipeline) -> Result<Option<Self>> {
        let agree = pipeline.sources.first().and_then(|source| source.input.agree);
        let agreement = agree.map_or_else(Agreement::default, Agreement::Sensors);
        Ok(bound(pipeline)?.map(|bound| Self::new(bound, agreement)))
    }

    pub(crate) fn new(bound: i64, agreement: Agreement) -> Self {
        let reached = Reached::new(agreement);
        let (last, deadlines) = (Watermark::new(), Deadlines::new(bound));
        let (seen, quiet) = (Vec::new(), Vec::new());
        Self { bound, agreement, reached, seen, deadlines, quiet, last, span: None, given_up: 0 }
    }

    /// How often sensors were given up.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Observes a record; returns the sensors that are given up after it. A sensor is checked when it comes into use, and then about once
    /// per span, a few sensors at a time: so the end of a span only costs time for quiet sensors.
    #[inline]
    pub(crate) fn note(&mut self, sensor: SensorId, time: Timestamp) -> Vec<SensorId> {
        let is_new = self.reached.newest(sensor.0).is_none();
        let watermark = self.reached.note(sensor.0, time);
        if sensor.index() >= self.seen.len() {
            self.seen.resize(sensor.index() + 1, Watermark::new());
        }
        self.seen[sensor.index()] = watermark;
        if is_new {
            self.watch(sensor.0);
        }
        match watermark.get() {
            Some(now) if watermark != self.last => {
                self.last = watermark;
                if self.deadlines.is_due(watermark) {
                    self.find_quiet();
                }
                let span = now.as_nanos().div_euclid(self.bound);
                let before = self.span.replace(span);
                if before.is_some_and(|before| before != span) { self.give_up() } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    /// When a sensor becomes quiet; `None` if that is out of range.
    fn deadline(&self, sensor: u32) -> Option<Timestamp> {
        quiet_at(self.reached.newest(sensor)?, self.seen[sensor as usize], self.bound)
    }

    /// Starts to watch a sensor that is in use and not watched.
    fn watch(&mut self, sensor: u32) {
        if let Some(deadline) = self.deadline(sensor) {
            self.deadlines.set(deadline, sensor);
        }
    }

    /// Finds sensors that have become quiet.
    #[cold]
    fn find_quiet(&mut self) {
        let Self { deadlines, reached, seen, quiet, .. } = self;
        let deadline = |sensor| quiet_at(reached.newest(sensor)?, seen[sensor as usize], self.bound);
        deadlines.take_quiet(self.last, deadline, quiet);
    }

    /// Gives up the sensors that are quiet at the end of a span.
    #[cold]
    fn give_up(&mut self) -> Vec<SensorId> {
        let mut gone = std::mem::take(&mut self.quiet);
        let is_quiet =
            |&sensor: &u32| self.deadline(sensor).is_some_and(|deadline| self.last.has_reached(deadline));
        let reported: Vec<u32> = gone.extract_if(.., |sensor| !is_quiet(sensor)).collect();
        reported.into_iter().for_each(|sensor| self.watch(sensor));
        gone.sort_unstable();
        self.reached.forget(gone.iter().copied());
        self.given_up += gone.len() as u64;
        gone.into_iter().map(SensorId).collect()
    }

    pub(crate) fn saved(&self) -> IdleState {
        let sensors = self.seen.iter().zip(0..).map(|(&seen, sensor)| (self.reached.newest(sensor), seen));
        IdleState {
            watermark: self.reached.watermark(),
            sensors: sensors.collect(),
            span: self.span,
            given_up: self.given_up,
        }
    }

    pub(crate) fn restore(&mut self, saved: IdleState) {
        let IdleState { watermark, sensors, span, given_up } = saved;
        let newest = sensors.iter().map(|(newest, _)| *newest);
        self.reached = Reached::restored(self.agreement, watermark, newest);
        self.seen = sensors.into_iter().map(|(_, seen)| seen).collect();
        (self.deadlines, self.quiet) = (Deadlines::new(self.bound), Vec::new());
        (0..self.seen.len() as u32).for_each(|sensor| self.watch(sensor));
        (self.last, self.span, self.given_up) = (Watermark::new(), span, given_up);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The records after which sensors are given up, and which sensors.
    fn gone(bound: i64, records: &[(u32, i64)], restart: usize) -> Vec<(usize, Vec<u32>)> {
        gone_by(Agreement::Sensors(1), bound, records, restart)
    }

    fn gone_by(
        agreement: Agreement,
        bound: i64,
        records: &[(u32, i64)],
        restart: usize,
    ) -> Vec<(usize, Vec<u32>)> {
        let mut idle = Idle::new(bound, agreement);
        let mut all = Vec::new();
        for (row, &(sensor, time)) in records.iter().enumerate() {
            let gone = idle.note(SensorId(sensor), Timestamp::from_nanos(time));
            if !gone.is_empty() {
                all.push((row, gone.into_iter().map(|id| id.0).collect()));
            }
            if row == restart {
                let saved = idle.saved();
                idle = Idle::new(bound, agreement);
                idle.restore(saved);
            }
        }
        all
    }

    /// The same, by checking all sensors at the end of every span.
    fn gone_by_all_sensors(
        agreement: Agreement,
        bound: i64,
        records: &[(u32, i64)],
    ) -> Vec<(usize, Vec<u32>)> {
        let (mut reached, mut seen) = (Reached::new(agreement), vec![Watermark::new(); 60]);
        let (mut span, mut all) = (None, Vec::new());
        for (row, &(sensor, time)) in records.iter().enumerate() {
            let watermark = reached.note(sensor, Timestamp::from_nanos(time));
            seen[sensor as usize] = watermark;
            let Some(now) = watermark.get() else { continue };
            let before = span.replace(now.as_nanos().div_euclid(bound));
            if before.is_none() || before == span {
                continue;
            }
            let is_quiet = |&sensor: &u32| {
                let newest = reached.newest(sensor);
                let deadline = newest.and_then(|newest| quiet_at(newest, seen[sensor as usize], bound));
                deadline.is_some_and(|deadline| watermark.has_reached(deadline))
            };
            let gone: Vec<u32> = (0..60).filter(is_quiet).collect();
            reached.forget(gone.iter().copied());
            if !gone.is_empty() {
                all.push((row, gone));
            }
        }
        all
    }

    #[test]
    fn clause_27_a_sensor_is_given_up_in_the_span_after_the_one_in_which_it_is_quiet() {
        let records = [(0, 5), (1, 6), (1, 14), (1, 15), (1, 19), (1, 20), (0, 22), (1, 29), (1, 40)];
        assert_eq!(gone(10, &records, 99), [(5, vec![0]), (8, vec![0])]);
        let ends = [(0, i64::MIN), (1, i64::MIN + 3), (1, i64::MAX - 1), (1, i64::MAX)];
        assert_eq!(gone(10, &ends, 99), [(2, vec![0])]);
    }

    proptest! {
        #[test]
        fn clause_27_as_by_a_look_at_all_sensors(
            steps in proptest::collection::vec((0..60u32, -30..40i64, 0..9i64), 1..400), bound in 1..200i64, restart in 0..400usize,
            agree in 0..4usize,
        ) {
            let agreement = if agree == 0 { Agreement::Tenth } else { Agreement::Sensors(agree) };
            let mut now = 0;
            // Some sensors report seldom, and some clocks are wrong.
            let records: Vec<_> = steps.into_iter().map(|(sensor, apart, step)| {
                now += step;
                (sensor * sensor % 60, now + apart)
            }).collect();
            prop_assert_eq!(gone_by(agreement, bound, &records, restart), gone_by_all_sensors(agreement, bound, &records));
        }

        #[test]
        fn clause_27_as_in_the_plainest_words(
            steps in proptest::collection::vec((0..5u32, -3..9i64), 1..80), bound in 1..30i64, restart in 0..80usize,
        ) {
            let mut now = 0;
            let records: Vec<_> = steps.into_iter().map(|(sensor, step)| {
                now += step;
                (sensor, now)
            }).collect();
            let (mut newest, mut seen, mut watermark, mut expected) = ([None; 5], [i64::MIN; 5], i64::MIN, Vec::new());
            for (row, &(sensor, time)) in records.iter().enumerate() {
                let at = sensor as usize;
                let before = watermark;
                newest[at] = newest[at].max(Some(time));
                watermark = watermark.max(time);
                seen[at] = watermark;
                if before > i64::MIN && before.div_euclid(bound) != watermark.div_euclid(bound) {
                    let is_gone = |at: &usize| newest[*at].is_some_and(|newest: i64| newest.max(seen[*at]) + bound <= watermark);
                    let gone: Vec<usize> = (0..5).filter(is_gone).collect();
                    gone.iter().for_each(|&at| newest[at] = None);
                    if !gone.is_empty() {
                        expected.push((row, gone.into_iter().map(|at| at as u32).collect::<Vec<_>>()));
                    }
                }
            }
            prop_assert_eq!(gone(bound, &records, restart), expected);
        }
    }
}
