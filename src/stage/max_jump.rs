//! `max_jump`: a clock that jumps ahead, judged by its series and not by the clock on the wall (clause 25).
//!
//! A record that is ahead of its series' newest by more than the bound waits for the series' next record, which confirms it or
//! contradicts it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Flow, PerSensor, Process, Reach, Stage, state};
use crate::batch::{Batch, SavedBatch, Schema};
use crate::error::{Error, RejectionKind, Result};
use crate::sensor::{SensorId, Sensors};
use crate::time::{Timestamp, format_duration};

/// Sets records aside whose time is ahead of their series.
#[derive(Clone, Debug)]
pub struct MaxJump {
    /// How far ahead of its series' newest a record may be, in nanoseconds.
    bound: i64,
}

impl MaxJump {
    /// Believes jumps of up to `bound` nanoseconds.
    pub fn new(bound: i64) -> Self {
        Self { bound }
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
            store: Batch::empty(Arc::clone(input)),
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
        "the newest time of each sensor, and a record of those that have jumped".into()
    }
}

/// The stage in use.
struct Judging {
    bound: i64,
    /// The records that wait, at most one a sensor, in the order of the input.
    store: Batch,
    series: PerSensor<Series>,
}

/// How far a series is.
#[derive(Clone, Copy, Debug)]
struct Series {
    newest: Timestamp,
    /// The record that waits, and its time.
    waiting: Option<(Timestamp, u32)>,
}

/// The stage at rest.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// The newest time, by sensor.
    newest: Vec<Option<Timestamp>>,
    records: SavedBatch,
}

/// What becomes of the records of one batch, and of those that waited, by row: those that waited come first.
#[derive(Default)]
struct Fate {
    leaving: Vec<u32>,
    /// By record that leaves: the row that lets it go.
    by: Vec<u32>,
    /// Contradicted: the row, how far it was ahead, and the row that contradicts it.
    aside: Vec<(u32, i64, u32)>,
    /// Sensors of which a record has begun to wait.
    jumped: Vec<SensorId>,
}

impl Series {
    /// A record at `time`, which is `row`, comes; whether it has to wait.
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

impl Judging {
    /// Keeps those of `records` that wait now: of the sensors that had one waiting, and of those that have `jumped`.
    fn keep_waiting(&mut self, records: &Batch, jumped: Vec<SensorId>) {
        let sensors = self.store.sensors().iter().copied().chain(jumped);
        let waits = |sensor: SensorId| self.series.get(sensor)?.waiting.map(|(_, row)| (row, sensor));
        let mut rows: Vec<_> = sensors.filter_map(waits).collect();
        rows.sort_unstable();
        rows.dedup();
        let kept = records.take(&rows.iter().map(|(row, _)| *row).collect::<Vec<_>>());
        self.store = Batch::empty(Arc::clone(self.store.schema()));
        self.store.append(&kept);
        for (place, (_, sensor)) in rows.into_iter().enumerate() {
            let series = self.series.get_mut(sensor);
            series.and_then(|series| series.waiting.as_mut()).into_iter().for_each(|it| it.1 = place as u32);
        }
    }
}

impl Process for Judging {
    fn process(&mut self, batch: Batch, _sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        let before = self.store.len() as u32;
        let mut fate = Fate::default();
        let records = batch.sensors().iter().zip(batch.times().unwrap_or_default());
        for (row, (&sensor, &time)) in records.enumerate() {
            let series = self.series.get_or_insert_with(sensor, || Series { newest: time, waiting: None });
            if series.judge(time, before + row as u32, self.bound, &mut fate) {
                fate.jumped.push(sensor);
            }
        }
        let Fate { leaving, by, aside, jumped } = fate;
        if before == 0 && jumped.is_empty() {
            return Ok(batch);
        }
        let mut records = self.store.clone();
        records.append(&batch);
        for (row, ahead, by) in aside {
            let reason = format!(
                "ahead: {} later than the newest record of its sensor, whose next one goes on from before",
                format_duration(ahead)
            );
            flow.reject(&records, row as usize, RejectionKind::Ahead, reason);
            // It is known only now, however the input was cut.
            let decided = records.origins.as_ref().map(|origins| origins.trigger(by as usize));
            flow.rejections.last_mut().into_iter().for_each(|rejection| rejection.decided = decided);
        }
        self.keep_waiting(&records, jumped);
        let mut judged = records.take(&leaving);
        if let Some((judged, all)) = judged.origins.as_mut().zip(records.origins.as_ref()) {
            judged.let_go_by(all.triggers(&by));
        }
        judged.sequence = batch.sequence;
        Ok(judged)
    }

    /// What nothing has contradicted is believed.
    fn finish(&mut self, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        let none = Batch::empty(Arc::clone(self.store.schema()));
        Ok(Some(std::mem::replace(&mut self.store, none)))
    }

    /// What nothing has contradicted is believed.
    fn give_up(&mut self, gone: &[SensorId], _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        let waited = gone.iter().filter_map(|&sensor| self.series.remove(sensor)?.waiting);
        let mut rows: Vec<u32> = waited.map(|(_, row)| row).collect();
        rows.sort_unstable();
        if rows.is_empty() {
            return Ok(None);
        }
        let records = self.store.clone();
        self.keep_waiting(&records, Vec::new());
        Ok(Some(records.take(&rows)))
    }

    fn held(&self) -> u64 {
        self.store.len() as u64
    }

    fn save(&self) -> Result<Vec<u8>> {
        let newest = self.series.as_slice().iter().map(|series| series.map(|series| series.newest)).collect();
        state::to_bytes(&Saved { newest, records: SavedBatch::from(&self.store) })
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        let Saved { newest, records } = state::from_bytes(state)?;
        let wrong = || Error::data("the saved state is not one of records that wait to be confirmed");
        let store = records.into_batch(Arc::clone(self.store.schema()), sensors)?;
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
        (self.series, self.store) = (series, store);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::{Table, run};
    use proptest::prelude::*;

    fn table(rows: &[(u8, i64)]) -> Table {
        rows.iter().enumerate().fold(Table::new(&["v"]).with_text(), |table, (at, (sensor, time))| {
            table.row(&format!("s{sensor}"), *time, &[Some(at as f64)])
        })
    }

    /// The records that leave, in order, and those set aside.
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
        // Near is near from either side.
        assert_eq!(judged(&[(0, 0), (0, 1000), (0, 995)], 10, 1), (vec![0, 1, 2], vec![]));
        // A series that reports seldom: each record waits for the next one.
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

    /// The same in the plainest words: each record is looked at with the one after it in its series.
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
