//! Disambiguates local times that occur twice when clocks are set back (clause 4).
//!
//! A time without an offset is parsed as the first occurrence. That is correct for a series until its times would decrease: then it is the
//! second one. Only the order of its records can tell.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Flow, PerSensor, Process, Reach, SensorStates, Stage, state};
use crate::batch::{Batch, Column, Schema, TimeColumn};
use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};
use crate::time::{Folds, TimeParser, Timestamp};

/// Distinguishes the second occurrence of a repeated hour from the first.
#[derive(Clone, Debug)]
pub struct SecondShowing {
    times: TimeParser,
    /// How far out of order a record may be, in nanoseconds.
    disorder: i64,
    /// Whether the newest record comes first.
    runs_back: bool,
}

impl SecondShowing {
    /// For local times parsed by `times`, out of order by at most `disorder` nanoseconds.
    pub fn new(times: TimeParser, disorder: i64) -> Self {
        Self { times, disorder, runs_back: false }
    }

    /// The same for series whose newest record comes first.
    pub fn newest_first(self) -> Self {
        Self { runs_back: true, ..self }
    }
}

impl Stage for SecondShowing {
    fn name(&self) -> &str {
        "timezone"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "timezone": self.times.timezone() })
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        Ok(input.clone())
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        let folds = self.times.folds().ok_or_else(|| Error::internal("a zone without doubled hours"))?;
        Ok(Box::new(Telling {
            stage: self.clone(),
            folds,
            time: input.time(),
            is_local: input.has_local_times(),
            series: PerSensor::default(),
            taken: 0,
            doubtful: 0,
        }))
    }

    fn gives_up(&self) -> bool {
        true
    }

    fn memory(&self) -> String {
        "the last time of each sensor".into()
    }
}

/// The running stage.
struct Telling {
    stage: SecondShowing,
    folds: Folds,
    time: Option<usize>,
    /// Whether times without text are local times.
    is_local: bool,
    series: PerSensor<Last>,
    /// The number of records assigned to the second occurrence.
    taken: u64,
    /// The number of ambiguous records: the order of their series is consistent with both.
    doubtful: u64,
}

/// The last record of a series.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Last {
    time: Timestamp,
    /// Whether the series has had two consecutive records with the same time: then another one proves nothing.
    repeats: bool,
}

/// The saved state.
#[derive(Serialize, Deserialize)]
struct SecondShowingState {
    taken: u64,
    doubtful: u64,
    /// By sensor.
    series: Vec<Option<Last>>,
}

impl Last {
    /// The state before the first record.
    fn new(runs_back: bool) -> Self {
        Self { time: if runs_back { Timestamp::MAX } else { Timestamp::MIN }, repeats: false }
    }

    /// The time of the next record: `first` or `second`.
    fn choose(&self, first: Timestamp, second: Timestamp, stage: &SecondShowing) -> Timestamp {
        // The occurrence that comes first in this order is assumed unless the series would run against it, or repeat a time if it never
        // has: hourly readings.
        let (believed, other) = if stage.runs_back { (second, first) } else { (first, second) };
        let runs_against = match stage.runs_back {
            true => believed > self.time.saturating_add(stage.disorder),
            false => believed < self.time.saturating_sub(stage.disorder),
        };
        let stands_still = believed == self.time && !self.repeats;
        if runs_against || stands_still { other } else { believed }
    }

    fn note(&mut self, time: Timestamp) {
        self.repeats |= time == self.time;
        self.time = time;
    }
}

impl Telling {
    /// Whether record `row` has a local time.
    fn is_local(&self, time: &TimeColumn, batch: &Batch, row: usize) -> bool {
        let text = time.text.get(row).and_then(|&span| batch.text.get(span));
        text.map_or(self.is_local, |text| self.stage.times.is_local(text))
    }
}

impl Process for Telling {
    fn process(&mut self, batch: Batch, _sensors: &Sensors, _flow: &mut Flow) -> Result<Batch> {
        let Some((at, Column::Time(time))) = self.time.map(|at| (at, &batch.columns()[at])) else {
            return Ok(batch);
        };
        let mut changed: Vec<(usize, Timestamp)> = Vec::new();
        let runs_back = self.stage.runs_back;
        for (row, (&sensor, &first)) in batch.sensors().iter().zip(&time.values).enumerate() {
            let second = self.folds.second(first).filter(|_| self.is_local(time, &batch, row));
            let last = self.series.get_or_insert_with(sensor, || Last::new(runs_back));
            let chosen = second.map_or(first, |second| last.choose(first, second, &self.stage));
            // In a series that may be out of order by the whole hour, the order proves nothing.
            let covers = |second: Timestamp| {
                second.checked_since(first).is_some_and(|hour| hour <= self.stage.disorder)
            };
            self.doubtful += u64::from(second.is_some_and(covers));
            if chosen != first {
                changed.push((row, chosen));
            }
            last.note(chosen);
        }
        if changed.is_empty() {
            return Ok(batch);
        }
        self.taken += changed.len() as u64;
        let mut column = time.clone();
        let values = column.values.to_mut();
        changed.into_iter().for_each(|(row, time)| values[row] = time);
        let schema = Arc::clone(batch.schema());
        Ok(batch.with_columns(schema, vec![(at, Column::Time(column))]))
    }

    fn give_up(&mut self, gone: &[SensorId], _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        gone.iter().for_each(|&sensor| {
            self.series.remove(sensor);
        });
        Ok(None)
    }

    fn remarks(&self) -> Vec<String> {
        let remark = || {
            format!(
                "{} {} from an hour that the clocks of {} show twice, and read as its second occurrence: otherwise the times of {} would run backwards",
                self.taken,
                if self.taken == 1 { "record is" } else { "records are" },
                self.stage.times.timezone().unwrap_or("the zone"),
                if self.taken == 1 { "its series" } else { "their series" },
            )
        };
        let doubt = || {
            format!(
                "{} from an hour that the clocks of {} show twice may be of either occurrence, because `disorder` allows a series to run backwards by that much: use times with an offset, or a smaller `disorder`",
                if self.doubtful == 1 { "1 record".into() } else { format!("{} records", self.doubtful) },
                self.stage.times.timezone().unwrap_or("the zone"),
            )
        };
        let taken = (self.taken > 0).then(remark);
        taken.into_iter().chain((self.doubtful > 0).then(doubt)).collect()
    }

    fn save(&self) -> Result<Vec<u8>> {
        state::to_bytes(&SecondShowingState {
            taken: self.taken,
            doubtful: self.doubtful,
            series: self.series.as_slice().to_vec(),
        })
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        let SecondShowingState { taken, doubtful, series } = state::from_bytes(state)?;
        if series.len() > sensors.len() {
            return Err(Error::data("the saved state has more sensors than exist"));
        }
        (self.taken, self.doubtful, self.series) = (taken, doubtful, PerSensor::from(series));
        Ok(())
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        let counts = vec![self.taken, self.doubtful];
        let mut all = SensorStates { counts, ..SensorStates::default() };
        self.series.iter().try_for_each(|(sensor, last)| all.push(sensor, last))?;
        Ok(Some(all))
    }

    fn restore_sensors(&mut self, states: &SensorStates, _sensors: &Sensors) -> Result<()> {
        for read in states.read() {
            let (sensor, last) = read?;
            self.series.get_or_insert_with(sensor, || last);
        }
        (self.taken, self.doubtful) = (states.count(0)?, states.count(1)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::{Table, run, run_with_restarts};
    use crate::time::TimeFormat;

    fn times() -> TimeParser {
        TimeParser::new(TimeFormat::Rfc3339, Some("Europe/Zurich")).expect("a zone")
    }

    /// Records at these local times in the night of 27 October 2013, each with the expected minutes since midnight UTC.
    fn check(stage: &SecondShowing, rows: &[(&str, &str, i64)]) {
        let parser = times();
        let midnight = parser.parse(b"2013-10-27T00:00:00Z").expect("a time").as_nanos();
        let table = rows.iter().fold(Table::new(&[]).local(), |table, (sensor, clock, _)| {
            let shown = parser.parse(format!("2013-10-27 {clock}:00").as_bytes()).expect("a time");
            table.row(sensor, shown.as_nanos(), &[])
        });
        for size in [1, 3, 100] {
            let minutes: Vec<i64> = run(stage, &table, size)
                .keys()
                .iter()
                .map(|key| (key.1 - midnight) / 60_000_000_000)
                .collect();
            assert_eq!(minutes, rows.iter().map(|row| row.2).collect::<Vec<_>>(), "{size}");
            let restarted = run_with_restarts(stage, &table, size);
            assert_eq!(restarted.keys(), run(stage, &table, size).keys(), "{size}, with restarts");
        }
    }

    #[test]
    fn the_second_showing_is_taken_where_a_series_would_run_back() {
        let rows = [
            ("a", "01:45", -15),
            ("a", "02:00", 0),
            ("b", "02:30", 30),
            ("a", "02:45", 45),
            ("a", "02:00", 60),
            ("b", "02:40", 40),
            ("a", "02:45", 105),
            ("b", "02:30", 90),
            ("a", "03:00", 120),
            ("b", "03:00", 120),
            ("a", "02:30", 90),
        ];
        check(&SecondShowing::new(times(), 0), &rows);
    }

    #[test]
    fn where_a_series_may_run_back_by_the_hour_the_doubt_is_said() {
        let told = |disorder: i64| {
            let parser = times();
            let stage = SecondShowing::new(times(), disorder * 60_000_000_000);
            let table = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"].iter().fold(
                Table::new(&[]).local(),
                |table, clock| {
                    let shown = parser.parse(format!("2013-10-27 {clock}:00").as_bytes()).expect("a time");
                    table.row("a", shown.as_nanos(), &[])
                },
            );
            let mut sensors = Sensors::default();
            let batch = table.batches(100, &mut sensors).remove(0);
            let mut process = stage.start(batch.schema()).expect("started");
            process.process(batch, &sensors, &mut Flow::default()).expect("processed");
            let saved = process.save().expect("saved");
            let mut again = stage.start(&table.schema()).expect("started");
            again.restore(&saved, &sensors).expect("restored");
            assert_eq!(again.remarks(), process.remarks());
            process.remarks()
        };
        assert!(told(0)[0].starts_with("2 records are from an hour") && told(0).len() == 1);
        let doubt = told(120);
        assert!(doubt.len() == 1 && doubt[0].starts_with("4 records from an hour"), "{doubt:?}");
    }

    #[test]
    fn what_may_be_out_of_order_is_no_second_showing() {
        let rows = [
            ("a", "02:10", 10),
            ("a", "02:05", 5),
            ("a", "02:59", 59),
            ("a", "02:00", 60),
            ("a", "02:58", 58),
            ("a", "02:03", 63),
        ];
        check(&SecondShowing::new(times(), 10 * 60_000_000_000), &rows);
    }

    #[test]
    fn hourly_readings_stand_still_where_they_never_did() {
        let hourly = [("a", "01:00", -60), ("a", "02:00", 0), ("a", "02:00", 60), ("a", "03:00", 120)];
        check(&SecondShowing::new(times(), 0), &hourly);
        let pairs = [("a", "01:00", -60), ("a", "01:00", -60), ("a", "02:00", 0), ("a", "02:00", 0)];
        check(&SecondShowing::new(times(), 0), &pairs);
    }

    #[test]
    fn newest_first_begins_with_the_second_showing() {
        let rows = [
            ("a", "03:00", 120),
            ("a", "02:30", 90),
            ("a", "02:00", 60),
            ("a", "02:30", 30),
            ("a", "02:00", 0),
            ("a", "01:30", -30),
        ];
        check(&SecondShowing::new(times(), 0).newest_first(), &rows);
        let hourly = [("a", "03:00", 120), ("a", "02:00", 60), ("a", "02:00", 0), ("a", "01:00", -60)];
        check(&SecondShowing::new(times(), 0).newest_first(), &hourly);
    }

    #[test]
    fn times_that_are_no_clocks_stay() {
        let zurich = times();
        let at = |text: &str| zurich.parse(text.as_bytes()).expect(text).as_nanos();
        let (late, early) = (at("2013-10-27T00:45:00Z"), at("2013-10-27T00:00:00Z"));
        let stage = SecondShowing::new(times(), 0);
        let absolute = Table::new(&[]).row("a", late, &[]).row("a", early, &[]);
        assert_eq!(run(&stage, &absolute, 9).keys()[1].1, early);
        assert_eq!(run(&stage, &absolute.local(), 9).keys()[1].1, at("2013-10-27T01:00:00Z"));
    }
}
