//! `order = "time"`: sorts the records of each sensor by time, within a bound (clause 9).
//!
//! A record leaves once its sensor's newest time is ahead of it by the bound: then nothing earlier can come any more
//! but what is late. That depends on the records alone, one after the other, so neither chunks
//! nor clocks change the order of leaving.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use serde_json::json;

use super::moving::late_by;
use super::{Flow, PerSensor, Process, Reach, Stage};
use crate::batch::{Batch, Schema};
use crate::error::{Error, RejectionKind, Result};
use crate::sensor::Sensors;
use crate::time::{Timestamp, format_duration};

/// Sorts each series by (timestamp, input order).
#[derive(Clone, Debug)]
pub struct Reorder {
    /// How far back a record may come, in nanoseconds.
    disorder: i64,
    /// Bytes of text that may wait.
    room: usize,
}

/// Text is addressed with 32 bits: what waits must leave room for one more chunk.
const ROOM: usize = 2 << 30;

impl Reorder {
    /// Sorts within `disorder` nanoseconds.
    pub fn new(disorder: i64) -> Self {
        Self { disorder, room: ROOM }
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
        }))
    }

    fn needs_origins(&self) -> bool {
        true
    }

    fn memory(&self) -> String {
        format!("the records of the last {} of each sensor", format_duration(self.disorder))
    }
}

/// A record that waits: its time, its ordinal in the input, and its row in the store.
type Waiting = Reverse<(Timestamp, u64, u32)>;

/// The stage in use.
struct Sorting {
    disorder: i64,
    room: usize,
    /// The records that wait, among others that have left; text is copied, so that chunks can go.
    store: Batch,
    /// How many of them wait.
    live: usize,
    series: PerSensor<Series>,
    /// The ordinal of the next record.
    next: u64,
}

/// What is kept of one sensor.
#[derive(Default)]
struct Series {
    newest: Option<Timestamp>,
    waiting: BinaryHeap<Waiting>,
}

impl Sorting {
    /// Takes in the record at `row` of `batch`, which lies at `place` of the store; appends those that may leave to `leaving`.
    fn admit(&mut self, batch: &Batch, row: usize, place: u32, leaving: &mut Vec<u32>, flow: &mut Flow) {
        let time = batch.times().map_or(Timestamp::MIN, |times| times[row]);
        let series = self.series.get_or_insert_with(batch.sensors()[row], Series::default);
        let newest = series.newest.map_or(time, |newest| newest.max(time));
        if newest.as_nanos().saturating_sub(time.as_nanos()) > self.disorder {
            flow.reject(batch, row, RejectionKind::Late, late_by(newest.as_nanos(), time.as_nanos()));
            return;
        }
        series.newest = Some(newest);
        series.waiting.push(Reverse((time, self.next, place)));
        self.live += 1;
        let due = newest.saturating_sub(self.disorder);
        while let Some(Reverse((_, _, place))) =
            series.waiting.peek().filter(|Reverse((time, _, _))| *time <= due)
        {
            leaving.push(*place);
            series.waiting.pop();
            self.live -= 1;
        }
    }

    /// A bound so wide that all of a large input would have to wait is an error, not the end of the memory.
    fn check_room(&self) -> Result<()> {
        if self.store.text.len() < self.room {
            return Ok(());
        }
        let message = format!(
            "the text of the {} records that wait to be put in order has {} MiB",
            self.live,
            self.room >> 20
        );
        Err(Error::data(message).with_help("lower `disorder` in [source], or sort the files before"))
    }

    /// Drops the rows of the store that have left, once they are the larger part.
    fn compact(&mut self) {
        if self.store.len() < 2 * self.live + 1024 {
            return;
        }
        let (mut rows, mut moved) = (Vec::with_capacity(self.live), 0);
        for series in self.series.iter_mut() {
            let waiting = std::mem::take(&mut series.waiting);
            series.waiting = waiting
                .into_iter()
                .map(|Reverse((time, ordinal, place))| {
                    rows.push(place);
                    moved += 1;
                    Reverse((time, ordinal, moved - 1))
                })
                .collect();
        }
        let kept = self.store.take(&rows);
        self.store = Batch::empty(Arc::clone(self.store.schema()));
        self.store.append(&kept);
    }
}

impl Process for Sorting {
    fn process(&mut self, batch: Batch, _sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        self.check_room()?;
        let (first, mut leaving) = (self.store.len() as u32, Vec::new());
        self.store.append(&batch);
        for row in 0..batch.len() {
            self.admit(&batch, row, first + row as u32, &mut leaving, flow);
            self.next += 1;
        }
        let mut sorted = self.store.take(&leaving);
        sorted.sequence = batch.sequence;
        self.compact();
        Ok(sorted)
    }

    fn finish(&mut self, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        let mut rest: Vec<_> = self.series.iter_mut().flat_map(|series| series.waiting.drain()).collect();
        rest.sort_unstable_by_key(|Reverse(key)| *key);
        self.live = 0;
        let rows: Vec<u32> = rest.into_iter().map(|Reverse((_, _, place))| place).collect();
        Ok(Some(self.store.take(&rows)))
    }

    fn held(&self) -> u64 {
        self.live as u64
    }

    fn save(&self) -> Result<Vec<u8>> {
        Err(Error::internal("records that wait to be put in order cannot be saved"))
    }

    fn restore(&mut self, _state: &[u8], _sensors: &Sensors) -> Result<()> {
        Err(Error::internal("records that wait to be put in order cannot be restored"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::{Table, run};
    use proptest::prelude::*;

    fn table(rows: &[(u8, i64)]) -> Table {
        rows.iter().enumerate().fold(Table::new(&["v"]), |table, (at, (sensor, time))| {
            table.row(&format!("s{sensor}"), *time, &[Some(at as f64)])
        })
    }

    /// Clause 9 in the plainest words: which records leave, in which order, and which are late.
    fn plain(rows: &[(u8, i64)], bound: i64) -> (Vec<usize>, Vec<usize>) {
        let (mut left, mut late): (Vec<usize>, Vec<usize>) = Default::default();
        let mut waiting: Vec<usize> = Vec::new();
        for (at, &(sensor, time)) in rows.iter().enumerate() {
            let newest =
                rows[..=at].iter().filter(|row| row.0 == sensor).map(|row| row.1).max().expect("itself");
            if newest - time > bound {
                late.push(at);
                continue;
            }
            waiting.push(at);
            let mut due: Vec<usize> = waiting
                .iter()
                .copied()
                .filter(|&w| rows[w].0 == sensor && newest - rows[w].1 >= bound)
                .collect();
            due.sort_by_key(|&w| (rows[w].1, w));
            waiting.retain(|w| !due.contains(w));
            left.extend(due);
        }
        waiting.sort_by_key(|&w| (rows[w].1, w));
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
    fn more_than_there_is_room_for_is_an_error() {
        let table = table(&[(0, 0)]);
        let mut sensors = Sensors::default();
        let batch = table.batches(1, &mut sensors).remove(0);
        let reorder = Reorder { room: 0, ..Reorder::new(1000) };
        let mut stage = reorder.start(&table.schema()).expect("started");
        let error = stage.process(batch, &sensors, &mut Flow::default()).expect_err("no room");
        assert!(error.to_string().contains("lower `disorder`"), "{error}");
    }

    proptest! {
        #[test]
        fn clause_9_the_order_of_leaving_is_that_of_the_plain_version(
            rows in proptest::collection::vec((0..3u8, 0..40i64), 1..80), bound in 0..20i64, size in 1..30usize,
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
