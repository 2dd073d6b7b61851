//! `max_jump`: detects a clock that jumps ahead by its series, not by the wall clock (clause 25).
//!
//! A record that is ahead of its series' newest time by more than the bound is buffered until the series' next record, which confirms or
//! contradicts it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::waiting::{ROOM, SensorRecords, Together, by_sensor, check_room, detached};
use super::{Flow, PerSensor, Process, Reach, SensorStates, Stage, state};
use crate::batch::{Batch, SavedBatch, Schema};
use crate::error::{Error, RejectionKind, Result};
use crate::sensor::{SensorId, Sensors};
use crate::time::{Timestamp, format_duration};

/// Rejects records whose time is ahead of their series.
#[derive(Clone, Debug)]
pub struct MaxJump {
    /// How far ahead of its series' newest a record may be, in nanoseconds.
    bound: i64,
    /// The maximum size of the buffered text, in bytes.
    room: usize,
}

/// How many emitted records may remain in the store besides as many buffered ones. Few in tests, so that it is often compacted.
const SLACK: usize = if cfg!(test) { 4 } else { 1024 };

impl MaxJump {
    /// Accepts jumps of up to `bound` nanoseconds.
    pub fn new(bound: i64) -> Self {
        Self { bound, room: ROOM }
    }
}

impl Stage for MaxJump {
    fn name(&self) -> &str {
        "max_jump"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "max_jump": format_duration(self.bound) })
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        match input.time() {
            Some(_) => Ok(input.clone()),
            None => {
                Err(Error::config("`max_jump` needs a time column").with_help("name it in [source] `time`"))
            }
        }
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        self.output(input)?;
        Ok(Box::new(Judging {
            bound: self.bound,
            room: self.room,
            store: Batch::empty(Arc::clone(input)),
            live: 0,
            series: PerSensor::default(),
        }))
    }

    fn needs_origins(&self) -> bool {
        true
    }

    fn gives_up(&self) -> bool {
        true
    }

    fn memory(&self) -> String {
        "the newest time of each sensor, and one record of those that have jumped".into()
    }
}

/// The running stage.
struct Judging {
    bound: i64,
    room: usize,
    /// The buffered records, at most one per sensor, in input order, among others that have been emitted. Text is copied, so that chunks
    /// can be freed.
    store: Batch,
    /// The number of buffered records.
    live: usize,
    series: PerSensor<Series>,
}

/// The progress of a series.
#[derive(Clone, Copy, Debug)]
struct Series {
    newest: Timestamp,
    /// The time of the buffered record, and its row in the store.
    waiting: Option<(Timestamp, u32)>,
}

/// The saved state.
#[derive(Serialize, Deserialize)]
struct MaxJumpState {
    /// The newest time, by sensor.
    newest: Vec<Option<Timestamp>>,
    records: SavedBatch,
}

/// What happens to the records of one batch, and to buffered ones, by row: those of the store come first.
#[derive(Default)]
struct Fate {
    leaving: Vec<u32>,
    /// By emitted record: the row that triggered it.
    by: Vec<u32>,
    /// Contradicted: the row, how far it was ahead, and the row that contradicts it.
    aside: Vec<(u32, i64, u32)>,
    /// Sensors with a newly buffered record.
    jumped: Vec<SensorId>,
}

impl Series {
    /// Processes a record at `time`, which is `row`; returns whether it has to be buffered.
    fn judge(&mut self, time: Timestamp, row: u32, bound: i64, fate: &mut Fate) -> bool {
        if let Some((other, waiting)) = self.waiting.take() {
            if time < other.saturating_sub(bound) {
                fate.aside.push((waiting, other.as_nanos().saturating_sub(self.newest.as_nanos()), row));
            } else {
                fate.leaving.push(waiting);
                self.newest = other;
            }
        }
        let jumps = time > self.newest.saturating_add(bound);
        if jumps {
            self.waiting = Some((time, row));
        } else {
            self.newest = self.newest.max(time);
            fate.leaving.push(row);
        }
        fate.by.resize(fate.leaving.len(), row);
        jumps
    }
}

impl Fate {
    /// Moves the rows of a batch of `len` records from after the `stored` rows of the store to the front, followed by those rows of the
    /// store that are emitted or rejected; returns those rows in that order.
    fn move_rows(&mut self, stored: u32, len: u32) -> Vec<u32> {
        let mut gone = Vec::new();
        let mut place = |row: &mut u32| match row.checked_sub(stored) {
            Some(of_batch) => *row = of_batch,
            None => {
                gone.push(*row);
                *row = len + gone.len() as u32 - 1;
            }
        };
        self.leaving.iter_mut().chain(&mut self.by).for_each(&mut place);
        self.aside.iter_mut().flat_map(|(row, _, by)| [row, by]).for_each(&mut place);
        gone
    }
}

impl Judging {
    /// The buffered rows of the store.
    fn waiting(&self) -> Vec<u32> {
        let rows = self.store.sensors().iter().zip(0..);
        let waits = |&(&sensor, row): &(&SensorId, u32)| {
            let series = self.series.get(sensor);
            series.and_then(|series| series.waiting).is_some_and(|(_, waiting)| waiting == row)
        };
        rows.filter(waits).map(|(_, row)| row).collect()
    }

    /// Records the row in the store of the sensor's buffered record.
    fn set_row(&mut self, sensor: SensorId, row: usize) {
        let waiting = self.series.get_mut(sensor).and_then(|series| series.waiting.as_mut());
        waiting.into_iter().for_each(|waiting| waiting.1 = row as u32);
    }

    /// Buffers those records of `batch` that wait at its end: of the sensors that have `jumped` in it.
    fn keep(&mut self, batch: &Batch, jumped: Vec<SensorId>) {
        let stored = self.store.len();
        let waits = |sensor| self.series.get(sensor)?.waiting.map(|(_, row)| (row - stored as u32, sensor));
        let mut rows: Vec<_> = jumped.into_iter().filter_map(waits).collect();
        rows.sort_unstable();
        rows.dedup();
        self.store.append(&batch.take(&rows.iter().map(|(row, _)| *row).collect::<Vec<_>>()));
        self.live += rows.len();
        rows.into_iter().enumerate().for_each(|(at, (_, sensor))| self.set_row(sensor, stored + at));
    }

    /// Drops the emitted rows of the store, once they are the larger part, or its text has no room.
    fn compact(&mut self) -> Result<()> {
        let is_full = self.store.text.len() >= self.room;
        if !is_full && self.store.len() < 2 * self.live + SLACK {
            return Ok(());
        }
        self.store = detached(&self.store, &self.waiting());
        let sensors = self.store.sensors().to_vec();
        sensors.into_iter().enumerate().for_each(|(row, sensor)| self.set_row(sensor, row));
        if !is_full {
            return Ok(());
        }
        // Half of the room: otherwise a store that is nearly full would be compacted for every batch.
        let waiting = format!("the {} records buffered to be confirmed", self.live);
        let help = "raise `max_jump` in [source] above the time between two records of a sensor";
        check_room(&self.store, 0, self.room / 2, &waiting, help)
    }
}

impl Process for Judging {
    fn process(&mut self, mut batch: Batch, _sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        let (stored, len) = (self.store.len() as u32, batch.len() as u32);
        let mut fate = Fate::default();
        let records = batch.sensors().iter().zip(batch.times().unwrap_or_default());
        for (row, (&sensor, &time)) in records.enumerate() {
            let series = self.series.get_or_insert_with(sensor, || Series { newest: time, waiting: None });
            if series.judge(time, stored + row as u32, self.bound, &mut fate) {
                fate.jumped.push(sensor);
            }
        }
        let gone = fate.move_rows(stored, len);
        let Fate { leaving, by, aside, jumped } = fate;
        if gone.is_empty() && jumped.is_empty() {
            return Ok(batch);
        }
        batch.append(&self.store.take(&gone));
        self.live -= gone.len();
        self.keep(&batch, jumped);
        self.compact()?;
        for (row, ahead, by) in aside {
            let reason = format!(
                "ahead: {} later than the newest record of its sensor, and contradicted by the next one",
                format_duration(ahead)
            );
            flow.reject(&batch, row as usize, RejectionKind::Ahead, reason);
            // It is decided only here, however the input was cut.
            let decided = batch.origins.as_ref().map(|origins| origins.trigger(by as usize));
            flow.rejections.last_mut().into_iter().for_each(|rejection| rejection.decided = decided);
        }
        let mut judged = batch.take(&leaving);
        if let Some((judged, all)) = judged.origins.as_mut().zip(batch.origins.as_ref()) {
            judged.set_triggers(all.triggers(&by));
        }
        Ok(judged)
    }

    /// Without a contradiction, buffered records are accepted.
    fn finish(&mut self, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        let believed = self.store.take(&self.waiting());
        (self.store, self.live) = (Batch::empty(Arc::clone(self.store.schema())), 0);
        Ok(Some(believed))
    }

    /// Without a contradiction, buffered records are accepted.
    fn give_up(&mut self, gone: &[SensorId], _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        let waited = gone.iter().filter_map(|&sensor| self.series.remove(sensor)?.waiting);
        let mut rows: Vec<u32> = waited.map(|(_, row)| row).collect();
        rows.sort_unstable();
        if rows.is_empty() {
            return Ok(None);
        }
        let believed = detached(&self.store, &rows);
        self.live -= rows.len();
        self.compact()?;
        Ok(Some(believed))
    }

    fn held(&self) -> u64 {
        self.live as u64
    }

    fn save(&self) -> Result<Vec<u8>> {
        let newest = self.series.as_slice().iter().map(|series| series.map(|series| series.newest)).collect();
        state::to_bytes(&MaxJumpState {
            newest,
            records: SavedBatch::from(&self.store.take(&self.waiting())),
        })
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        let MaxJumpState { newest, records } = state::from_bytes(state)?;
        let store = records.into_batch(Arc::clone(self.store.schema()), sensors)?;
        self.take_over(newest, store, sensors)
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        let mut waiting = by_sensor(&self.store, (0..).zip(self.waiting()));
        let mut all = SensorStates::default();
        for (sensor, series) in self.series.iter() {
            all.push(sensor, &(series.newest, waiting.remove(&sensor)))?;
        }
        Ok(Some(all))
    }

    fn restore_sensors(&mut self, states: &SensorStates, sensors: &Sensors) -> Result<()> {
        let (mut newest, mut waiting) = (vec![None; sensors.len()], Together::new(self.store.schema()));
        for read in states.read::<(Timestamp, Option<SensorRecords>)>() {
            let (sensor, (time, records)) = read?;
            newest[sensor.index()] = Some(time);
            records.map_or(Ok(()), |records| waiting.add(sensor, records, sensors))?;
        }
        self.take_over(newest, waiting.in_order().1, sensors)
    }
}

impl Judging {
    /// Goes on from what was kept: the newest time by sensor, and the records that wait, which are those of `store`.
    fn take_over(&mut self, newest: Vec<Option<Timestamp>>, store: Batch, sensors: &Sensors) -> Result<()> {
        let wrong = || Error::data("the saved state does not contain records to be confirmed");
        if newest.len() > sensors.len() {
            return Err(wrong());
        }
        let series = newest.into_iter().map(|newest| newest.map(|newest| Series { newest, waiting: None }));
        let mut series = PerSensor::from(series.collect::<Vec<_>>());
        let waiting = store.sensors().iter().zip(store.times().unwrap_or_default()).enumerate();
        for (row, (&sensor, &time)) in waiting {
            let series: &mut Series = series.get_mut(sensor).ok_or_else(wrong)?;
            if series.waiting.replace((time, row as u32)).is_some() {
                return Err(wrong());
            }
        }
        self.live = store.len();
        (self.series, self.store) = (series, store);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::copies;
    use crate::stage::testing::{Table, run};
    use proptest::prelude::*;

    fn table(rows: &[(u8, i64)]) -> Table {
        rows.iter().enumerate().fold(Table::new(&["v"]).with_text(), |table, (at, (sensor, time))| {
            table.row(&format!("s{sensor}"), *time, &[Some(at as f64)])
        })
    }

    /// The emitted records, in order, and the rejected ones.
    fn judged(rows: &[(u8, i64)], bound: i64, size: usize) -> (Vec<usize>, Vec<usize>) {
        let result = run(&MaxJump::new(bound), &table(rows), size);
        let left = result.measurement("v").into_iter().flatten().map(|at| at as usize).collect();
        assert!(result.flow.rejections.iter().all(|it| it.kind == RejectionKind::Ahead));
        (left, result.flow.rejections.iter().map(|it| it.position.line as usize - 1).collect())
    }

    #[test]
    fn clause_25_a_lone_clock_ahead_is_set_aside() {
        let rows = [(0, 0), (0, 1), (0, 1000), (1, 5), (0, 2), (0, 3)];
        assert_eq!(judged(&rows, 10, 2), (vec![0, 1, 3, 4, 5], vec![2]));
        let result = run(&MaxJump::new(10), &table(&rows), 2);
        let reason = &result.flow.rejections[0].reason;
        assert!(reason.starts_with("ahead: 999ns later than the newest record of its sensor"), "{reason}");
        assert_eq!(result.flow.rejections[0].raw, b"raw 2");
    }

    #[test]
    fn clause_25_a_gap_is_confirmed_by_the_next_record() {
        assert_eq!(judged(&[(0, 0), (0, 1000), (0, 1001), (0, 1002)], 10, 1), (vec![0, 1, 2, 3], vec![]));
        // Within the bound in either direction.
        assert_eq!(judged(&[(0, 0), (0, 1000), (0, 995)], 10, 1), (vec![0, 1, 2], vec![]));
        // A series that reports rarely: each record is buffered until the next one.
        assert_eq!(judged(&[(0, 0), (0, 100), (0, 200), (0, 300)], 10, 2), (vec![0, 1, 2, 3], vec![]));
        // A gap, and then a clock ahead.
        assert_eq!(
            judged(&[(0, 0), (0, 100), (0, 5000), (0, 101), (0, 102)], 10, 2),
            (vec![0, 1, 3, 4], vec![2])
        );
        // A clock ahead, and then a gap.
        assert_eq!(judged(&[(0, 0), (0, 5000), (0, 100), (0, 101)], 10, 2), (vec![0, 2, 3], vec![1]));
    }

    #[test]
    fn clause_25_what_nothing_contradicts_is_believed_at_the_end() {
        assert_eq!(
            judged(&[(0, 0), (1, 0), (0, 1000), (1, 1000), (1, 1)], 10, 9),
            (vec![0, 1, 4, 2], vec![3])
        );
    }

    /// The same as a plain loop: each record is compared with the next one of its series.
    fn plain(rows: &[(u8, i64)], bound: i64) -> (Vec<usize>, Vec<usize>) {
        let (mut left, mut aside) = (Vec::new(), Vec::new());
        for sensor in 0..3 {
            let of: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].0 == sensor).collect();
            let mut newest: Option<i64> = None;
            for (place, &at) in of.iter().enumerate() {
                let time = rows[at].1;
                let jumps = newest.is_some_and(|newest| time > newest + bound);
                let next = of.get(place + 1).map(|&next| rows[next].1);
                if jumps && next.is_some_and(|next| next < time - bound) {
                    aside.push(at);
                } else {
                    newest = newest.max(Some(time));
                    left.push(at);
                }
            }
        }
        left.sort_unstable();
        aside.sort_unstable();
        (left, aside)
    }

    /// One sensor that reports rarely, among `others` with a record buffered all the time, record by record.
    fn seldom(others: usize, turns: i64) -> Table {
        let table = Table::new(&[]).with_text();
        let names =
            (0..others).flat_map(|other| [(format!("other {other}"), 0), (format!("other {other}"), 1000)]);
        let turns = (0..turns).map(|turn| ("seldom".to_owned(), 1000 * turn));
        names.chain(turns).fold(table, |table, (name, time)| table.row(&name, time, &[]))
    }

    #[test]
    fn what_waits_is_not_copied_for_every_batch() {
        let table = seldom(1000, 4000);
        let (mut sensors, mut flow) = (Sensors::default(), Flow::default());
        let batches = table.batches(1, &mut sensors);
        let came: usize = batches.iter().map(|batch| batch.text.len()).sum();
        let mut stage = MaxJump::new(10).start(&table.schema()).expect("started");
        let before = copies::bytes();
        let mut left = 0;
        for batch in batches {
            left += stage.process(batch, &sensors, &mut flow).expect("room").len();
        }
        assert_eq!((left, stage.held()), (4999, 1001));
        let copied = copies::bytes() - before;
        assert!(copied < 5 * came, "{copied} bytes copied of {came}");
        assert_eq!(stage.finish(&sensors, &mut flow).expect("an end").expect("the rest").len(), 1001);
    }

    #[test]
    fn more_than_there_is_room_for_is_an_error_and_what_has_left_takes_none() {
        let fed = |table: &Table| {
            let mut sensors = Sensors::default();
            let batches = table.batches(3, &mut sensors);
            let mut stage = MaxJump { bound: 10, room: 4000 }.start(&table.schema())?;
            batches.into_iter().try_for_each(|it| stage.process(it, &sensors, &mut Flow::default()).map(drop))
        };
        fed(&seldom(10, 2000)).expect("room for few");
        let error = fed(&seldom(2000, 0)).expect_err("no room");
        assert!(error.to_string().contains("raise `max_jump`"), "{error}");
        assert!(error.to_string().contains("records buffered to be confirmed"), "{error}");
    }

    proptest! {
        #[test]
        fn clause_25_as_in_the_plain_version(
            rows in proptest::collection::vec((0..3u8, prop_oneof![0..60i64, 0..2000i64]), 0..60), bound in 0..40i64, size in 1..20usize,
        ) {
            let (mut left, mut aside) = judged(&rows, bound, size);
            // Each series keeps its order.
            for sensor in 0..3 {
                prop_assert!(left.iter().filter(|&&at| rows[at].0 == sensor).is_sorted());
            }
            left.sort_unstable();
            aside.sort_unstable();
            prop_assert_eq!((left, aside), plain(&rows, bound));
        }
    }
}
