//! A stage of one sensor that uses every feature gives the results of a plain loop, for any batches and shards.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::batch::{Batch, Column, Field};
use crate::error::Result;
use crate::sensor::Sensors;
use crate::stage::testing::{Outcome, Table, run};
use crate::stage::{Flow, Groups, IntoStage};
use crate::time::{Timestamp, Watermark};

/// The effects of a stage at an event: a bit of everything, pseudo-random but a function of its own records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Odd {
    records: u64,
    calls: u64,
    sum: i64,
}

/// The effects.
#[derive(Debug, Default)]
struct Said {
    fate: Option<&'static str>,
    /// The time of a new record.
    emitted: Option<i64>,
    /// The written value.
    count: Option<u64>,
    label: Option<String>,
    value: Option<Option<f64>>,
    /// The timer to set, if any.
    timer: Option<Option<i64>>,
}

impl Odd {
    fn on_record(&mut self, time: i64, value: Option<f64>, watermark: Option<i64>) -> Said {
        self.records = self.records.wrapping_add(1);
        self.sum = self.sum.wrapping_add(time).wrapping_add(value.map_or(0, |value| value as i64));
        let chance = |of: i64| self.sum.rem_euclid(of);
        Said {
            fate: ["filtered", "folded", "late"].get(chance(13) as usize).copied(),
            emitted: (chance(5) == 0).then_some(time - 1),
            count: (chance(3) == 0).then_some(self.records),
            label: (chance(4) == 1).then(|| format!("label {}", self.sum)),
            value: (chance(6) < 2).then(|| (chance(6) == 0).then_some(0.5)),
            timer: match chance(7) {
                0 => Some(None),
                // May be earlier than the previous one, or due already.
                1 => Some(watermark),
                2..5 => Some(Some(time.max(watermark.unwrap_or(time)) + chance(11))),
                _ => None,
            },
        }
    }

    fn on_timer(&mut self, due: i64) -> Said {
        self.calls = self.calls.wrapping_add(1);
        self.sum = self.sum.wrapping_add(due);
        let again = (self.sum.rem_euclid(3) > 0).then_some(Some(due + 1 + self.sum.rem_euclid(4)));
        Said { emitted: Some(due), count: Some(self.calls), timer: again, ..Said::default() }
    }
}

/// The stage with these effects.
#[derive(Clone, Serialize)]
pub(crate) struct Odds;

/// The columns that it reads and writes.
pub(crate) struct OddColumns {
    v: ReadColumn,
    changed: WriteColumn,
    count: WriteColumn,
    label: WriteColumn,
    is_made: WriteColumn,
}

impl SensorStage for Odds {
    type State = Odd;
    type Bound = OddColumns;

    fn name(&self) -> &str {
        "test_odds"
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<OddColumns> {
        Ok(OddColumns {
            v: columns.read("v")?,
            count: columns.write(Field::count("count"))?,
            changed: columns.write(Field::measurement("v"))?,
            label: columns.write(Field::text("label"))?,
            is_made: columns.write(Field::flag("is_made"))?,
        })
    }

    fn state(&self, _bound: &OddColumns, _sensor: &str) -> Odd {
        Odd::default()
    }

    fn record(&self, bound: &OddColumns, odd: &mut Odd, record: &mut Record<'_>) -> Result<()> {
        let watermark = record.watermark().get().map(Timestamp::as_nanos);
        let said = odd.on_record(record.time().as_nanos(), record.number(bound.v), watermark);
        match said.fate {
            Some("filtered") => record.filter(),
            Some("folded") => record.fold(),
            Some(_) => record.set_late("for a test"),
            None => {}
        }
        said.count.into_iter().for_each(|count| record.set(bound.count, count));
        said.label.iter().for_each(|label| record.set(bound.label, label.as_str()));
        said.value.into_iter().for_each(|value| record.set(bound.changed, value));
        if let Some(time) = said.emitted {
            record.emit(Timestamp::from_nanos(time)).set(bound.is_made, true).set(bound.changed, 7.0);
        }
        said.timer.into_iter().for_each(|timer| record.set_timer(timer.map(Timestamp::from_nanos)));
        Ok(())
    }

    fn timer(&self, bound: &OddColumns, odd: &mut Odd, timer: &mut Timer<'_>) -> Result<()> {
        let said = odd.on_timer(timer.time().as_nanos());
        if let (Some(time), Some(count)) = (said.emitted, said.count) {
            let emitted = timer.emit(Timestamp::from_nanos(time)).set(bound.is_made, true);
            emitted.set(bound.count, count).set(bound.label, "timer");
        }
        said.timer.into_iter().for_each(|next| timer.set_timer(next.map(Timestamp::from_nanos)));
        Ok(())
    }

    fn last(&self, bound: &OddColumns, odd: Odd, last: &mut Last<'_>) -> Result<()> {
        last.emit(Timestamp::from_nanos(odd.sum % 5)).set(bound.is_made, true).set(bound.count, odd.calls);
        Ok(())
    }

    fn timers(&self, _bound: &OddColumns) -> Option<i64> {
        Some(8)
    }

    fn sets_aside(&self) -> bool {
        true
    }
}

type OddRows = [(u8, i64, Option<f64>)];

fn table(rows: &OddRows) -> Table {
    rows.iter().fold(Table::new(&["v"]).with_text(), |table, &(sensor, time, value)| {
        table.row(&format!("s{sensor}"), time, &[value])
    })
}

/// A record as text: sensor, time, value, count, label, whether it was made.
fn line(sensor: u8, time: i64, value: Option<f64>, count: u64, label: Option<&str>, is_made: bool) -> String {
    format!("s{sensor} {time} {value:?} {count} {label:?} {is_made}")
}

/// The stage as a plain loop: all records in order, and after each of them the timers that are due.
fn plain(rows: &OddRows) -> (Vec<String>, [u64; 4]) {
    let (mut odds, mut timers) = (BTreeMap::<u8, Odd>::new(), BTreeMap::<u8, i64>::new());
    let (mut newest, mut watermark, mut out, mut counts) = ([None; 6], None, Vec::new(), [0; 4]);
    for &(sensor, time, value) in rows {
        newest[usize::from(sensor)] = newest[usize::from(sensor)].max(Some(time));
        let mut all: Vec<i64> = newest.iter().copied().flatten().collect();
        all.sort_unstable();
        watermark = watermark.max(all.len().checked_sub(2).map(|second| all[second]));
        let said = odds.entry(sensor).or_default().on_record(time, value, watermark);
        if let Some(time) = said.emitted {
            out.push(line(sensor, time, Some(7.0), 0, None, true));
            counts[0] += 1;
        }
        match said.fate {
            Some("filtered") => counts[1] += 1,
            Some("folded") => counts[2] += 1,
            Some(_) => counts[3] += 1,
            None => out.push(line(
                sensor,
                time,
                said.value.unwrap_or(value),
                said.count.unwrap_or(0),
                said.label.as_deref(),
                false,
            )),
        }
        match said.timer {
            Some(None) => timers.retain(|&other, _| other != sensor),
            due => timers.extend(due.flatten().map(|due| (sensor, due))),
        }
        let next = |timers: &BTreeMap<u8, i64>| timers.iter().map(|(&sensor, &due)| (due, sensor)).min();
        let mut behind = Vec::new();
        while let Some((due, sensor)) = next(&timers).filter(|(due, _)| watermark >= Some(*due)) {
            timers.remove(&sensor);
            let said = odds.entry(sensor).or_default().on_timer(due);
            let count = said.count.expect("a count");
            behind.push((due, sensor, line(sensor, due, None, count, Some("timer"), true)));
            timers.extend(said.timer.flatten().map(|due| (sensor, due)));
        }
        counts[0] += behind.len() as u64;
        behind.sort_by_key(|&(time, sensor, _)| (time, sensor));
        out.extend(behind.into_iter().map(|(_, _, line)| line));
    }
    let mut last: Vec<_> = odds.iter().map(|(&sensor, odd)| (odd.sum % 5, sensor, odd.calls)).collect();
    last.sort_unstable();
    counts[0] += last.len() as u64;
    out.extend(last.into_iter().map(|(time, sensor, calls)| line(sensor, time, None, calls, None, true)));
    (out, counts)
}

/// The lines of an output batch.
fn lines(batch: &Batch, sensors: &Sensors) -> Vec<String> {
    let column = |name: &str| &batch.columns()[batch.schema().index_of(name).expect("a column")];
    let (Column::U64(counts), Column::Bool(made), Column::Text(labels)) =
        (column("count"), column("is_made"), column("label"))
    else {
        panic!("columns of other kinds")
    };
    let values = batch.measurement(batch.schema().index_of("v").expect("a column"));
    let line = |row: usize| {
        let label = batch.text.get(labels[row]).map(|label| String::from_utf8_lossy(label));
        let sensor = sensors.name(batch.sensors()[row])[1..].parse().expect("a number");
        let time = batch.times().expect("times")[row].as_nanos();
        line(
            sensor,
            time,
            values.get(row),
            counts.get(row).unwrap_or(0),
            label.as_deref(),
            made.get(row) == Some(true),
        )
    };
    (0..batch.len()).map(line).collect()
}

fn counted(flow: &Flow) -> [u64; 4] {
    [flow.made, flow.filtered, flow.folded, flow.rejections.len() as u64]
}

fn rows(most: usize) -> impl Strategy<Value = Vec<(u8, i64, Option<f64>)>> {
    let value = proptest::option::weighted(0.9, (0..30u8).prop_map(f64::from));
    proptest::collection::vec((0..6u8, 0..4i64, -6..3i64, value), 0..most).prop_map(|steps| {
        let mut now = 0;
        let row = |(sensor, step, apart, value): (u8, i64, i64, Option<f64>)| {
            now += step;
            (sensor * sensor % 6, now + apart, value)
        };
        steps.into_iter().map(row).collect()
    })
}

proptest! {
    #[test]
    fn a_sensor_stage_does_what_the_plain_loop_does(rows in rows(100), size in 1..40usize) {
        let Outcome { batches, flow, sensors } = run(&Odds, &table(&rows), size);
        let left: Vec<String> = batches.iter().flat_map(|batch| lines(batch, &sensors)).collect();
        prop_assert_eq!((left, counted(&flow)), plain(&rows));
        let triggers = batches.iter().flat_map(|batch| batch.origins.iter().flat_map(|it| (0..it.len()).map(|row| it.trigger(row).line)));
        prop_assert!(triggers.is_sorted());
    }

    #[test]
    fn so_do_its_shards_at_different_batches(
        rows in rows(100), size in 1..20usize, bits in 0..4u32, order in any::<prop::sample::Index>(),
    ) {
        let mut sensors = Sensors::default();
        let table = table(&rows);
        let batches = table.batches(size, &mut sensors);
        let shards = Odds.into_stage().shards(&table.schema(), 1 << bits).expect("started").expect("shards");
        let mut made: Vec<Vec<_>> = batches.iter().map(|_| Vec::new()).collect();
        // Each shard processes all batches while others have processed none or all of them.
        let first = order.index(shards.count());
        let groups: Vec<_> = batches.iter().map(|batch| {
            let mut groups = Groups::default();
            groups.sort(batch.sensors(), shards.count());
            groups
        }).collect();
        for shard in (first..shards.count()).chain(0..first) {
            for (at, batch) in batches.iter().enumerate() {
                made[at].push((shard, shards.step(shard, batch, groups[at].share(shard), &sensors).expect("stepped")));
            }
        }
        let (mut flow, mut left) = (Flow::default(), Vec::new());
        for ((batch, groups), mut made) in batches.into_iter().zip(&groups).zip(made) {
            made.sort_by_key(|(shard, _)| *shard);
            let made = made.into_iter().map(|(_, made)| made).collect();
            let batch = shards.assemble(batch, groups, made, &sensors, &mut flow).expect("assembled");
            left.extend(lines(&batch, &sensors));
        }
        let last = shards.finish(&sensors, &mut flow).expect("finished");
        left.extend(last.iter().flat_map(|batch| lines(batch, &sensors)));
        prop_assert_eq!((left, counted(&flow)), plain(&rows));
    }
}

/// Sets invalid timers.
#[derive(Clone, Serialize)]
struct Wrong {
    says_so: bool,
}

impl SensorStage for Wrong {
    type State = ();
    type Bound = WriteColumn;

    fn name(&self) -> &str {
        "test_wrong"
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<WriteColumn> {
        columns.write(Field::measurement("v"))
    }

    fn state(&self, _bound: &WriteColumn, _sensor: &str) {}

    fn record(&self, _bound: &WriteColumn, _state: &mut (), record: &mut Record<'_>) -> Result<()> {
        record.set_timer(Some(Timestamp::from_nanos(0)));
        Ok(())
    }

    fn timer(&self, _bound: &WriteColumn, _state: &mut (), timer: &mut Timer<'_>) -> Result<()> {
        timer.set_timer(Some(timer.time()));
        Ok(())
    }

    fn timers(&self, _bound: &WriteColumn) -> Option<i64> {
        self.says_so.then_some(1)
    }
}

#[test]
fn a_timer_that_would_be_due_for_ever_is_an_error() {
    let table = table(&[(0, 5, None), (1, 5, None)]);
    let mut sensors = Sensors::default();
    let batch = table.batches(2, &mut sensors).remove(0);
    let mut process = Wrong { says_so: true }.into_stage().start(&table.schema()).expect("started");
    let error = process.process(batch, &sensors, &mut Flow::default()).expect_err("for ever");
    assert!(error.to_string().contains("was set again without a later time"), "{error}");
}

#[test]
#[should_panic(expected = "a timer was set by a stage that declares none")]
fn a_timer_of_a_stage_that_says_that_it_sets_none_is_a_bug() {
    run(&Wrong { says_so: false }, &table(&[(0, 5, None)]), 1);
}

#[test]
fn what_another_stage_or_version_has_saved_is_refused_by_name() {
    let schema = table(&[]).schema();
    let saved =
        |stage: &dyn crate::stage::Stage| stage.start(&schema).expect("started").save().expect("saved");
    let wrong = saved(&*Wrong { says_so: true }.into_stage());
    let mut odds = Odds.into_stage().start(&schema).expect("started");
    let error = odds.restore(&wrong, &Sensors::default()).expect_err("of another stage");
    let said = "the saved state is version 1 of `test_wrong`, and this is version 1 of `test_odds`";
    assert_eq!(error.message(), said);
    assert!(odds.restore(&[], &Sensors::default()).is_err());
    assert_eq!(Watermark::new().get(), None);
}
