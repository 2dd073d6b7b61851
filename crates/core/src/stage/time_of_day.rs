//! Times of day without a date, from a `start` on: a new day begins when a series' times would decrease (clause 4).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Flow, PerSensor, Process, Reach, SensorStates, Stage, state};
use crate::batch::{Batch, Column, Mask, Schema, TimeColumn};
use crate::error::{Error, RejectionKind, Result};
use crate::sensor::Sensors;
use crate::time::{DayClock, Timestamp};

/// Adds dates to times of day.
#[derive(Clone, Debug)]
pub struct TimeOfDay {
    clock: DayClock,
    start: Timestamp,
    /// How far out of order a record may be, in nanoseconds.
    disorder: i64,
}

impl TimeOfDay {
    /// For times of day on `clock` that begin at `start` and are out of order by at most `disorder` nanoseconds.
    pub fn new(clock: DayClock, start: Timestamp, disorder: i64) -> Self {
        Self { clock, start, disorder }
    }
}

impl Stage for TimeOfDay {
    fn name(&self) -> &str {
        "start"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "start": self.start.to_string() })
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
        Ok(Box::new(Dating { stage: self.clone(), time: input.time(), newest: PerSensor::default() }))
    }

    fn memory(&self) -> String {
        "the newest time of each sensor".into()
    }
}

/// The running stage.
struct Dating {
    stage: TimeOfDay,
    time: Option<usize>,
    newest: PerSensor<Timestamp>,
}

/// The saved state: the newest time by sensor.
#[derive(Serialize, Deserialize)]
struct TimeOfDayState(Vec<Option<Timestamp>>);

impl Process for Dating {
    fn process(&mut self, batch: Batch, _sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        let Some((at, Column::Time(time))) = self.time.map(|at| (at, &batch.columns()[at])) else {
            return Ok(batch);
        };
        let TimeOfDay { clock, start, disorder } = &self.stage;
        let mut values = Vec::with_capacity(batch.len());
        let mut keep = Mask::filled(batch.len(), true);
        for (row, (&sensor, &shown)) in batch.sensors().iter().zip(&time.values).enumerate() {
            let newest = self.newest.get_or_insert_with(sensor, || *start);
            let earliest = newest.saturating_sub(*disorder).max(*start);
            // A sensor that sends midnight repeatedly must not end a run in which others report.
            let Some(time) = clock.next_like(shown, earliest) else {
                let reason = format!("its day, counted since {start}, would be after the year 2262");
                flow.reject(&batch, row, RejectionKind::Malformed, reason);
                keep.set(row, false);
                values.push(shown);
                continue;
            };
            *newest = time.max(*newest);
            values.push(time);
        }
        let column = Column::Time(TimeColumn { values: values.into(), text: Vec::new() });
        let schema = Arc::clone(batch.schema());
        let mut dated = batch.with_columns(schema, vec![(at, column)]);
        dated.retain(&keep);
        Ok(dated)
    }

    fn save(&self) -> Result<Vec<u8>> {
        state::to_bytes(&TimeOfDayState(self.newest.as_slice().to_vec()))
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        let TimeOfDayState(newest) = state::from_bytes(state)?;
        self.take_over(newest, sensors)
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        let mut all = SensorStates::default();
        self.newest.iter().try_for_each(|(sensor, newest)| all.push(sensor, newest))?;
        Ok(Some(all))
    }

    fn restore_sensors(&mut self, states: &SensorStates, sensors: &Sensors) -> Result<()> {
        let mut newest = vec![None; sensors.len()];
        for read in states.read() {
            let (sensor, time) = read?;
            newest[sensor.index()] = Some(time);
        }
        self.take_over(newest, sensors)
    }
}

impl Dating {
    /// Goes on from the newest time by sensor.
    fn take_over(&mut self, newest: Vec<Option<Timestamp>>, sensors: &Sensors) -> Result<()> {
        let is_early = |newest: &Timestamp| *newest < self.stage.start;
        if newest.len() > sensors.len() || newest.iter().flatten().any(is_early) {
            return Err(Error::data("the saved state does not contain times of day with this start"));
        }
        self.newest = PerSensor::from(newest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::{Table, run};
    use crate::time::{TimeFormat, TimeParser};

    /// The result for these times of day, in order.
    fn dated(zone: Option<&str>, start: &str, disorder: i64, rows: &[(&str, &str)]) -> Vec<String> {
        let parser = TimeParser::new(TimeFormat::parse("%H:%M").expect("a pattern"), zone).expect("a zone");
        let parser = parser.with_start(start).expect("a start");
        let (clock, start) = parser.day_clock().expect("times of day");
        let table = rows.iter().fold(Table::new(&[]), |table, (sensor, text)| {
            table.row(sensor, parser.parse(text.as_bytes()).expect("a time").as_nanos(), &[])
        });
        let stage = TimeOfDay::new(clock, start, disorder);
        let keys = run(&stage, &table, 2).keys();
        keys.into_iter().map(|key| Timestamp::from_nanos(key.1).to_string()[5..16].to_owned()).collect()
    }

    #[test]
    fn a_day_begins_where_a_series_would_run_back() {
        let rows = [
            ("a", "22:00"),
            ("b", "23:00"),
            ("a", "23:59"),
            ("b", "01:00"),
            ("a", "00:01"),
            ("a", "23:00"),
            ("a", "22:59"),
            ("a", "22:59"),
        ];
        let expected = [
            "02-28T22:00",
            "02-28T23:00",
            "02-28T23:59",
            "02-29T01:00",
            "02-29T00:01",
            "02-29T23:00",
            "03-01T22:59",
            "03-01T22:59",
        ];
        assert_eq!(dated(None, "2024-02-28", 0, &rows), expected);
        assert_eq!(dated(None, "2024-02-28T22:30:00Z", 0, &rows[..1]), ["02-29T22:00"]);
    }

    #[test]
    fn a_day_behind_the_last_year_is_set_aside() {
        let rows = [("a", "23:00"), ("a", "22:00"), ("a", "21:00"), ("b", "22:00"), ("a", "23:30")];
        let expected = ["04-10T23:00", "04-11T22:00", "04-10T22:00", "04-11T23:30"];
        assert_eq!(dated(None, "2262-04-10", 0, &rows), expected);
    }

    #[test]
    fn what_may_be_out_of_order_is_no_new_day() {
        let minute = 60_000_000_000;
        let rows =
            [("a", "23:58"), ("a", "23:55"), ("a", "00:02"), ("a", "23:59"), ("a", "00:01"), ("a", "23:56")];
        let expected =
            ["01-01T23:58", "01-01T23:55", "01-02T00:02", "01-01T23:59", "01-02T00:01", "01-02T23:56"];
        assert_eq!(dated(None, "2024-01-01", 5 * minute, &rows), expected);
    }

    #[test]
    fn the_clocks_of_a_zone_are_turned() {
        // Zurich: 27 October 2013 has 02:00 to 03:00 twice, 31 March 02:00 to 03:00 never.
        let autumn =
            [("a", "23:00"), ("a", "02:30"), ("a", "02:00"), ("a", "02:45"), ("a", "03:00"), ("a", "01:00")];
        let expected =
            ["10-26T21:00", "10-27T00:30", "10-27T01:00", "10-27T01:45", "10-27T02:00", "10-28T00:00"];
        assert_eq!(dated(Some("Europe/Zurich"), "2013-10-26", 0, &autumn), expected);
        let spring = [("a", "23:00"), ("a", "01:00"), ("a", "03:00")];
        assert_eq!(
            dated(Some("Europe/Zurich"), "2013-03-30", 0, &spring),
            ["03-30T22:00", "03-31T00:00", "03-31T01:00"]
        );
    }
}
