//! `order = "newest_first"`: sorts input whose newest records come first (clause 9). The last record may have to be emitted first, so all
//! records are buffered.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::json;

use super::waiting::{ROOM, SensorRecords, Together, by_sensor, check_room};
use super::{Flow, Process, Reach, SensorStates, Stage, state};
use crate::batch::{Batch, SavedBatch, Schema};
use crate::error::{Error, Result};
use crate::sensor::Sensors;

/// Sorts the whole input by time; of records with equal times, the last one of the input is emitted first.
#[derive(Clone, Debug)]
pub struct NewestFirst {
    /// The maximum size of the buffered text, in bytes.
    room: usize,
}

impl NewestFirst {
    /// The stage.
    pub fn new() -> Self {
        Self { room: ROOM }
    }
}

impl Default for NewestFirst {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage for NewestFirst {
    fn name(&self) -> &str {
        "order"
    }

    fn parameters(&self) -> serde_json::Value {
        json!({ "order": "newest_first" })
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
            None => Err(Error::config("`order = \"newest_first\"` needs a time column")
                .with_help("name it in [source] `time`")),
        }
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        self.output(input)?;
        Ok(Box::new(Turning { room: self.room, store: Batch::empty(Arc::clone(input)) }))
    }

    fn needs_origins(&self) -> bool {
        true
    }

    fn memory(&self) -> String {
        "all records, until the end of the input".into()
    }
}

/// The running stage.
struct Turning {
    room: usize,
    store: Batch,
}

impl Process for Turning {
    fn process(&mut self, batch: Batch, _sensors: &Sensors, _flow: &mut Flow) -> Result<Batch> {
        let waiting = format!("the {} records buffered to be sorted", self.store.len());
        let help = "read fewer files at a time, or a shorter time range with `from` and `until`";
        check_room(&self.store, batch.len(), self.room, &waiting, help)?;
        self.store.append(&batch);
        let mut none = Batch::empty(Arc::clone(batch.schema()));
        (none.sequence, none.received) = (batch.sequence, batch.received);
        Ok(none)
    }

    fn finish(&mut self, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        let times = self.store.times().unwrap_or_default();
        let mut rows: Vec<u32> = (0..times.len()).map(|row| row as u32).collect();
        rows.sort_unstable_by_key(|&row| (times[row as usize], Reverse(row)));
        let sorted = self.store.take(&rows);
        self.store = Batch::empty(Arc::clone(self.store.schema()));
        Ok(Some(sorted))
    }

    fn held(&self) -> u64 {
        self.store.len() as u64
    }

    fn save(&self) -> Result<Vec<u8>> {
        state::to_bytes(&SavedBatch::from(&self.store))
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        let saved: SavedBatch = state::from_bytes(state)?;
        self.store = saved.into_batch(Arc::clone(self.store.schema()), sensors)?;
        Ok(())
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        let mut all = SensorStates::default();
        let rows = (0..self.store.len()).map(|row| (row as u64, row as u32));
        for (sensor, records) in by_sensor(&self.store, rows) {
            all.push(sensor, &records)?;
        }
        Ok(Some(all))
    }

    fn restore_sensors(&mut self, states: &SensorStates, sensors: &Sensors) -> Result<()> {
        let mut all = Together::new(self.store.schema());
        for read in states.read::<SensorRecords>() {
            let (sensor, records) = read?;
            all.add(sensor, records, sensors)?;
        }
        (_, self.store) = all.in_order();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stage::testing::{Table, run};

    proptest! {
        #[test]
        fn clause_9_what_came_last_leaves_first(times in proptest::collection::vec((0..3u8, 0..20i64), 0..60), size in 1..20usize) {
            let rows = times.iter().enumerate();
            let table = rows.fold(Table::new(&["v"]).with_text(), |table, (at, (sensor, time))| {
                table.row(&format!("s{sensor}"), *time, &[Some(at as f64)])
            });
            let mut expected: Vec<usize> = (0..times.len()).rev().collect();
            expected.sort_by_key(|&at| times[at].1);
            let expected: Vec<_> = expected.into_iter().map(|at| Some(at as f64)).collect();
            prop_assert_eq!(run(&NewestFirst::new(), &table, size).measurement("v"), expected);
        }
    }

    #[test]
    fn more_than_there_is_room_for_is_an_error() {
        let table = Table::new(&[]).row("a", 0, &[]);
        let mut sensors = Sensors::default();
        let batch = table.batches(1, &mut sensors).remove(0);
        let mut stage = NewestFirst { room: 0 }.start(&table.schema()).expect("started");
        let error = stage.process(batch, &sensors, &mut Flow::default()).expect_err("no room");
        assert!(error.to_string().contains("`from` and `until`"), "{error}");
    }
}
