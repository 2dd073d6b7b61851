//! `order = "time"`: sorts the records of each sensor by time, within a bound (clause 9).
//!
//! A record is emitted once its sensor's newest time is ahead of it by the bound: then any earlier record is late. Those of a sensor that
//! is [quiet](crate::time::quiet_at) are emitted without waiting for a newer one. Both depend only on the sequence of records, so neither
//! chunks nor clocks change the output order.

mod series;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::series::{Progress, Series, Waiting};
use super::sensor_states::agreed;
use super::waiting::{ROOM, SensorRecords, Together, by_sensor, check_room, detached};
use super::{Flow, PerSensor, Process, Reach, SensorStates, Stage, state};
use crate::batch::{Batch, SavedBatch, Schema};
use crate::error::{Error, RejectionKind, Result};
use crate::kernel::prefetch::prefetch;
use crate::sensor::{SensorId, Sensors};
use crate::time::{Agreement, Deadlines, Reached, Timestamp, Watermark, format_duration};

/// Sorts each series by (timestamp, input order).
#[derive(Clone, Debug)]
pub struct Reorder {
    /// How far out of order a record may be, in nanoseconds.
    disorder: i64,
    /// The maximum size of the buffered text, in bytes.
    room: usize,
    /// How many sensors must agree on the watermark.
    agreement: Agreement,
}

/// How many records ahead a series' memory is prefetched.
const AHEAD: usize = 8;

impl Reorder {
    /// Sorts within `disorder` nanoseconds.
    pub fn new(disorder: i64) -> Self {
        Self { disorder, room: ROOM, agreement: Agreement::default() }
    }
}

impl Stage for Reorder {
    fn name(&self) -> &str {
        "order"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "order": "time", "disorder": format_duration(self.disorder) })
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        if input.time().is_none() {
            return Err(Error::config("`order = \"time\"` needs a time column")
                .with_help("name it in [source] `time`"));
        }
        Ok(input.clone())
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        self.output(input)?;
        Ok(Box::new(Sorting {
            disorder: self.disorder,
            room: self.room,
            store: Batch::empty(Arc::clone(input)),
            live: 0,
            series: PerSensor::default(),
            next: 0,
            reached: Reached::new(self.agreement),
            agreement: self.agreement,
            deadlines: Deadlines::new(self.disorder),
        }))
    }

    fn needs_origins(&self) -> bool {
        true
    }

    fn gives_up(&self) -> bool {
        true
    }

    fn with_agreement(&self, agreement: Agreement) -> Option<Arc<dyn Stage>> {
        Some(Arc::new(Self { agreement, ..self.clone() }))
    }

    fn memory(&self) -> String {
        format!("the records of the last {} of each sensor", format_duration(self.disorder))
    }
}

/// The running stage.
struct Sorting {
    disorder: i64,
    room: usize,
    /// The buffered records, among others that have been emitted; text is copied, so that chunks can be freed.
    store: Batch,
    /// The number of buffered records.
    live: usize,
    series: PerSensor<Series>,
    /// The ordinal of the next record.
    next: u64,
    reached: Reached,
    agreement: Agreement,
    /// For sensors with buffered records.
    deadlines: Deadlines<SensorId>,
}

/// The saved state. Contains only buffered records, in input order.
#[derive(Serialize, Deserialize)]
struct ReorderState {
    next: u64,
    watermark: Watermark,
    /// By sensor.
    series: Vec<Option<Progress>>,
    /// By record.
    ordinals: Vec<u64>,
    records: SavedBatch,
}

/// What is kept of all sensors together: the ordinal of the next record, and the watermark.
type Shared = (u64, Watermark);

impl Sorting {
    /// Adds a record of `sensor`; appends those that can be emitted to `leaving`: first those of its own series, then those of sensors that
    /// have become quiet. Returns the reason if it is late.
    #[inline]
    fn admit(&mut self, sensor: SensorId, record: Waiting, leaving: &mut Vec<u32>) -> Option<String> {
        let watermark = self.reached.note(sensor.0, record.0);
        let series = self.series.get_or_insert_with(sensor, Series::new);
        let due = series.note(record.0, watermark, self.disorder);
        let late = series.is_late(record.0, due).then(|| series.lateness(record.0, due));
        if late.is_none() {
            series.push(record);
            self.live += 1;
            self.live -= series.release(due, leaving);
            series.look_after(sensor, self.disorder, &mut self.deadlines);
        }
        if self.deadlines.is_due(watermark) {
            self.release_quiet(watermark, leaving);
        }
        late
    }

    /// Prefetches the memory for a record of `sensor`: with many sensors it is in no cache.
    #[inline]
    fn prefetch(&self, sensor: Option<&SensorId>) {
        if let Some(series) = sensor.and_then(|sensor| self.series.as_slice().get(sensor.index())) {
            prefetch(std::slice::from_ref(series));
        }
    }

    /// Emits all buffered records of quiet sensors, ordered by time, then by input order.
    #[inline(never)]
    fn release_quiet(&mut self, watermark: Watermark, leaving: &mut Vec<u32>) {
        let Self { series, deadlines, disorder, .. } = self;
        let (mut quiet, mut waiting) = (Vec::new(), Vec::new());
        let deadline = |sensor| series.get_mut(sensor)?.deadline(*disorder);
        deadlines.take_quiet(watermark, deadline, &mut quiet);
        for sensor in quiet {
            waiting.extend(series.get_mut(sensor).into_iter().flat_map(Series::drain_quiet));
        }
        waiting.sort_unstable();
        self.live -= waiting.len();
        leaving.extend(waiting.into_iter().map(|(_, _, place)| place));
    }

    /// The records that wait, each by its ordinal and its row, in the order of the input.
    fn waiting(&self) -> Vec<(u64, u32)> {
        let waiting = self.series.iter().flat_map(|(_, series)| series.waiting());
        let mut waiting: Vec<_> = waiting.map(|&(_, ordinal, place)| (ordinal, place)).collect();
        waiting.sort_unstable();
        waiting
    }

    fn saved(&self) -> ReorderState {
        let (ordinals, places): (Vec<_>, Vec<_>) = self.waiting().into_iter().unzip();
        let series = self.series.as_slice().iter();
        let series = series.map(|place| place.as_ref().map(Series::progress)).collect();
        let records = SavedBatch::from(&self.store.take(&places));
        ReorderState { next: self.next, watermark: self.reached.watermark(), series, ordinals, records }
    }

    /// Goes on from what was kept: by sensor how far it is, and the records that wait with their ordinals.
    fn take_over(
        &mut self,
        (next, watermark): Shared,
        series: Vec<Option<Progress>>,
        (ordinals, store): (Vec<u64>, Batch),
        sensors: &Sensors,
    ) -> Result<()> {
        let wrong = || Error::data("the saved state does not contain records to be sorted");
        let are_ascending = ordinals.is_sorted() && ordinals.last().is_none_or(|&last| last < next);
        if ordinals.len() != store.len() || !are_ascending || series.len() > sensors.len() {
            return Err(wrong());
        }
        let newest = series.iter().map(|place| place.map(|(newest, ..)| newest));
        let reached = Reached::restored(self.agreement, watermark, newest);
        let series: Vec<_> = series.into_iter().map(|place| place.map(Series::from)).collect();
        let (mut series, mut deadlines) = (PerSensor::from(series), Deadlines::new(self.disorder));
        let times = store.times().unwrap_or_default().iter();
        for (place, ((&sensor, &time), ordinal)) in
            store.sensors().iter().zip(times).zip(ordinals).enumerate()
        {
            let series = series.get_mut(sensor).ok_or_else(wrong)?;
            series.push((time, ordinal, place as u32));
            series.look_after(sensor, self.disorder, &mut deadlines);
        }
        self.live = store.len();
        (self.next, self.reached, self.series, self.deadlines, self.store) =
            (next, reached, series, deadlines, store);
        Ok(())
    }

    /// If the bound is so large that all of a large input would be buffered, that is an error.
    fn check_room(&self, more: usize) -> Result<()> {
        let waiting = format!("the {} records buffered to be sorted", self.live);
        let help = "lower `disorder` in [source], or sort the files first";
        check_room(&self.store, more, self.room, &waiting, help)
    }

    /// Drops the emitted rows of the store, once they are the larger part.
    fn compact(&mut self) {
        // Compacting scans every series, which must not cost more than the dropped rows.
        if self.store.len() < 2 * self.live + self.series.as_slice().len().max(1024) {
            return;
        }
        let mut rows = Vec::with_capacity(self.live);
        let mut moved = |place| {
            rows.push(place);
            rows.len() as u32 - 1
        };
        self.series.iter_mut().for_each(|series| series.move_places(&mut moved));
        self.store = detached(&self.store, &rows);
    }
}

impl Process for Sorting {
    fn process(&mut self, batch: Batch, _sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        self.check_room(batch.len())?;
        let (first, mut leaving, mut by) = (self.store.len() as u32, Vec::new(), Vec::new());
        self.store.append(&batch);
        let records = batch.sensors().iter().zip(batch.times().unwrap_or_default());
        for (row, (&sensor, &time)) in records.enumerate() {
            self.prefetch(batch.sensors().get(row + AHEAD));
            let late = self.admit(sensor, (time, self.next, first + row as u32), &mut leaving);
            late.into_iter().for_each(|reason| flow.reject(&batch, row, RejectionKind::Late, reason));
            by.resize(leaving.len(), row as u32);
            self.next += 1;
        }
        let mut sorted = detached(&self.store, &leaving);
        if let Some((sorted, came)) = sorted.origins.as_mut().zip(batch.origins.as_ref()) {
            sorted.set_triggers(came.triggers(&by));
        }
        (sorted.sequence, sorted.received) = (batch.sequence, batch.received);
        self.compact();
        Ok(sorted)
    }

    fn finish(&mut self, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        let mut rest: Vec<_> = self.series.iter_mut().flat_map(Series::drain).collect();
        rest.sort_unstable();
        self.live = 0;
        let rows: Vec<u32> = rest.into_iter().map(|(_, _, place)| place).collect();
        Ok(Some(self.store.take(&rows)))
    }

    fn give_up(&mut self, gone: &[SensorId], _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        self.reached.forget(gone.iter().map(|sensor| sensor.0));
        let series = gone.iter().filter_map(|&sensor| self.series.remove(sensor));
        let mut rest: Vec<_> = series.flat_map(|mut series| series.drain().collect::<Vec<_>>()).collect();
        rest.sort_unstable();
        self.live -= rest.len();
        let rest = detached(&self.store, &rest.into_iter().map(|(_, _, place)| place).collect::<Vec<_>>());
        self.compact();
        Ok(Some(rest))
    }

    fn held(&self) -> u64 {
        self.live as u64
    }

    fn save(&self) -> Result<Vec<u8>> {
        state::to_bytes(&self.saved())
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        let ReorderState { next, watermark, series, ordinals, records } = state::from_bytes(state)?;
        let store = records.into_batch(Arc::clone(self.store.schema()), sensors)?;
        self.take_over((next, watermark), series, (ordinals, store), sensors)
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        let mut waiting = by_sensor(&self.store, self.waiting());
        let shared: Shared = (self.next, self.reached.watermark());
        let mut all = SensorStates { shared: vec![state::to_bytes(&shared)?], ..SensorStates::default() };
        for (sensor, series) in self.series.iter() {
            all.push(sensor, &(series.progress(), waiting.remove(&sensor)))?;
        }
        Ok(Some(all))
    }

    fn restore_sensors(&mut self, states: &SensorStates, sensors: &Sensors) -> Result<()> {
        let (nexts, watermarks): (Vec<u64>, Vec<_>) = states.read_shared::<Shared>()?.into_iter().unzip();
        let watermark = agreed(watermarks, "how far the watermark has come")?.unwrap_or_default();
        let (mut series, mut waiting) = (vec![None; sensors.len()], Together::new(self.store.schema()));
        for read in states.read::<(Progress, Option<SensorRecords>)>() {
            let (sensor, (progress, records)) = read?;
            series[sensor.index()] = Some(progress);
            records.map_or(Ok(()), |records| waiting.add(sensor, records, sensors))?;
        }
        let next = nexts.into_iter().max().unwrap_or(0);
        self.take_over((next, watermark), series, waiting.in_order(), sensors)
    }

    fn goes_by(&self) -> Option<&'static str> {
        self.agreement.goes_by()
    }

    fn due(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn advance(
        &mut self,
        watermark: Watermark,
        _sensors: &Sensors,
        _flow: &mut Flow,
    ) -> Result<Option<Batch>> {
        let (watermark, mut leaving) = (self.reached.advance_to(watermark), Vec::new());
        if self.deadlines.is_due(watermark) {
            self.release_quiet(watermark, &mut leaving);
        }
        let left = detached(&self.store, &leaving);
        self.compact();
        Ok(Some(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::{Table, run, run_any};
    use proptest::prelude::*;

    fn table(rows: &[(u8, i64)]) -> Table {
        rows.iter().enumerate().fold(Table::new(&["v"]), |table, (at, (sensor, time))| {
            table.row(&format!("s{sensor}"), *time, &[Some(at as f64)])
        })
    }

    /// Clause 9 as a plain loop: which records are emitted, in which order, and which are late. With 128 bits, times do not overflow.
    fn plain(rows: &[(u8, i64)], bound: i64) -> (Vec<usize>, Vec<usize>) {
        let time = |at: usize| i128::from(rows[at].1);
        let of = |sensor: u8, at: usize| (0..=at).filter(move |&row| rows[row].0 == sensor);
        let newest = |sensor: u8, at: usize| of(sensor, at).map(time).max();
        let watermark = |at: usize| {
            let mut all: Vec<_> = (0..6).filter_map(|sensor| newest(sensor, at)).collect();
            all.sort_unstable();
            all.len().checked_sub(2).map(|second| all[second])
        };
        let is_quiet = |sensor: u8, at: usize| {
            let seen = of(sensor, at).next_back().map(watermark);
            watermark(at) >= newest(sensor, at).max(seen.flatten()).map(|from| from + i128::from(bound))
        };
        let (mut left, mut late, mut waiting): (Vec<usize>, Vec<usize>, Vec<usize>) = Default::default();
        for at in 0..rows.len() {
            let sensor = rows[at].0;
            let newest = newest(sensor, at).expect("itself");
            let is_past = left.iter().any(|&row| rows[row].0 == sensor && time(row) > time(at));
            if newest - time(at) > i128::from(bound) || is_past {
                late.push(at);
            } else {
                waiting.push(at);
            }
            waiting.sort_by_key(|&row| (time(row), row));
            let mut leave = |goes: &dyn Fn(usize) -> bool| {
                left.extend(waiting.iter().filter(|&&row| goes(row)));
                waiting.retain(|&row| !goes(row));
            };
            leave(&|row| rows[row].0 == sensor && newest - time(row) >= i128::from(bound));
            leave(&|row| is_quiet(rows[row].0, at));
        }
        left.extend(waiting);
        (left, late)
    }

    #[test]
    fn clause_9_each_series_leaves_in_time_order() {
        let result = run(&Reorder::new(10), &table(&[(0, 5), (0, 0), (1, 100), (0, 20), (0, 9), (0, 12)]), 2);
        assert_eq!(result.measurement("v"), [1.0, 0.0, 5.0, 3.0, 2.0].map(Some));
        assert_eq!(result.flow.rejections.len(), 1);
        let late = &result.flow.rejections[0];
        assert_eq!((late.kind, late.position.line), (RejectionKind::Late, 5));
        assert_eq!(late.reason, "late: 11ns behind the newest record of its sensor");
    }

    #[test]
    fn what_has_left_does_not_stay_in_memory() {
        let schema = table(&[(0, 0)]).schema();
        let mut stage = Reorder::new(5).start(&schema).expect("started");
        let rows: Vec<(u8, i64)> = (0..50_000).map(|time| (0, time)).collect();
        let (mut sensors, mut flow) = (Sensors::default(), Flow::default());
        let mut most = 0;
        for batch in table(&rows).batches(100, &mut sensors) {
            stage.process(batch, &sensors, &mut flow).expect("processed");
            most = most.max(stage.held());
        }
        assert_eq!(most, 5);
    }

    #[test]
    fn what_leaves_has_text_of_its_own() {
        let row = |table: Table, time: i64| table.row("a", time, &[Some(0.0)]);
        let table = (0..3000).fold(Table::new(&["v"]).with_text(), row);
        let mut stage = Reorder::new(2000).start(&table.schema()).expect("started");
        let (mut sensors, mut flow) = (Sensors::default(), Flow::default());
        let batches = table.batches(10, &mut sensors);
        let came = batches.iter().map(|batch| batch.text.len()).max().expect("batches");
        // All are in progress until the end, as on many threads: each holds only its own text.
        let left: Vec<_> = batches
            .into_iter()
            .map(|batch| stage.process(batch, &sensors, &mut flow).expect("processed"))
            .collect();
        assert_eq!(left.iter().map(Batch::len).sum::<usize>(), 1000);
        assert!(left.iter().all(|batch| batch.text.len() <= came), "of {came} bytes");
    }

    #[test]
    fn more_than_there_is_room_for_is_an_error() {
        let table = table(&[(0, 0)]);
        let mut sensors = Sensors::default();
        let batch = table.batches(1, &mut sensors).remove(0);
        let reorder = Reorder { room: 0, ..Reorder::new(1000) };
        let mut stage = reorder.start(&table.schema()).expect("started");
        let error = stage.process(batch, &sensors, &mut Flow::default()).expect_err("no room");
        assert!(error.to_string().contains("lower `disorder`"), "{error}");
    }

    #[test]
    fn clause_9_what_waits_of_a_quiet_sensor_leaves() {
        // Sensor 2 reports once; 0 and 1 continue, and are both past it by the bound with the fifth record.
        let rows = [(2, 7), (2, 3), (0, 5), (1, 17), (0, 17), (2, 8), (2, 6), (1, 30), (0, 29)];
        let result = run(&Reorder::new(10), &table(&rows), 2);
        assert_eq!(result.measurement("v"), [2, 1, 0, 3, 4, 5, 8, 7].map(|at| Some(f64::from(at))));
        let late = &result.flow.rejections[0];
        assert_eq!((late.kind, late.position.line), (RejectionKind::Late, 7));
        assert!(
            late.reason.contains("was quiet, so the records up to 1970-01-01T00:00:00.000000007Z"),
            "{late:?}"
        );
    }

    #[test]
    fn clause_9_one_clock_that_runs_ahead_makes_nobody_late() {
        let year = 365 * 24 * 3_600_000_000_000;
        let rows: Vec<(u8, i64)> =
            (0..60).flat_map(|time| [(0, time), (1, time - 3), (2, time + year), (3, time - 7)]).collect();
        let result = run(&Reorder::new(5), &table(&rows), 7);
        assert!(result.flow.rejections.is_empty(), "{:?}", result.flow.rejections[0]);
    }

    #[test]
    fn clause_9_a_whole_gateway_whose_clock_jumps_ahead_makes_nobody_late() {
        let day = 24 * 3_600_000_000_000;
        // Two of 30 sensors jump ahead; of two records of a sensor, the second is always the older one.
        for (gateway, jump) in [([0, 1], 21), ([13, 14], 21), ([28, 29], 20)] {
            let rows: Vec<(u8, i64)> = (0..50)
                .flat_map(|turn: i64| {
                    let ahead = move |sensor| if turn >= jump && gateway.contains(&sensor) { day } else { 0 };
                    (0..30)
                        .map(move |sensor| (sensor, 10 * (turn ^ 1) + i64::from(sensor % 3) + ahead(sensor)))
                })
                .collect();
            let result = run(&Reorder::new(20), &table(&rows), 7);
            assert!(result.flow.rejections.is_empty(), "{:?}", result.flow.rejections[0]);
            // If two are enough, they make others late.
            let two = Reorder::new(20).with_agreement(Agreement::Sensors(2)).expect("one with a watermark");
            assert!(!run_any(&*two, &table(&rows), 7).flow.rejections.is_empty());
        }
    }

    #[test]
    fn clause_9_a_sensor_that_lags_behind_is_not_quiet() {
        // One file per sensor, read one after the other, each out of order within the bound.
        let rows: Vec<(u8, i64)> =
            (0..5).flat_map(|sensor| (0..88).map(move |time| (sensor, time ^ 3))).collect();
        let result = run(&Reorder::new(4), &table(&rows), 7);
        assert!(result.flow.rejections.is_empty(), "{:?}", result.flow.rejections[0]);
        let times = |of: &str| {
            result.keys().into_iter().filter(|key| key.0 == of).map(|key| key.1).collect::<Vec<_>>()
        };
        (0..5).for_each(|sensor| assert_eq!(times(&format!("s{sensor}")), (0..88).collect::<Vec<_>>()));
    }

    /// Sensors with advancing times, some of them rare, some behind or far ahead; and times at both limits.
    fn rows() -> impl Strategy<Value = Vec<(u8, i64)>> {
        let sensor = prop_oneof![6 => 0..3u8, 1 => 3..6u8];
        let going_on = proptest::collection::vec((sensor, 0..4i64, -9..5i64), 1..120).prop_map(|rows| {
            let mut now = 0;
            let mut row = |(sensor, step, apart): (u8, i64, i64)| {
                now += step;
                (sensor, now + apart - 20 * i64::from(sensor == 5))
            };
            rows.into_iter().map(&mut row).collect()
        });
        let time =
            prop_oneof![0..40i64, (0..9i64).prop_map(|t| i64::MAX - t), (0..9i64).prop_map(|t| i64::MIN + t)];
        prop_oneof![
            3 => going_on,
            1 => proptest::collection::vec((0..3u8, 0..40i64), 1..80),
            1 => proptest::collection::vec((0..4u8, time), 1..60),
        ]
    }

    proptest! {
        #[test]
        fn clause_9_the_order_of_leaving_is_that_of_the_plain_version(
            rows in rows(), bound in 0..20i64, size in 1..30usize,
        ) {
            let result = run(&Reorder::new(bound), &table(&rows), size);
            let (left, late) = plain(&rows, bound);
            let got: Vec<usize> = result.measurement("v").into_iter().flatten().map(|v| v as usize).collect();
            prop_assert_eq!(got, left);
            let got: Vec<usize> = result.flow.rejections.iter().map(|r| r.position.line as usize - 1).collect();
            prop_assert_eq!(got, late);
        }
    }
}
