//! Sensors in groups, in as many processes, moved between them as bytes: what comes out of each is what comes out of one chain that is given everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Chain, Emitted};
use crate::batch::{Batch, Column, Schema};
use crate::error::Result;
use crate::kernel::stable_hash::stable_hash;
use crate::metrics::Ledger;
use crate::sensor::Sensors;
use crate::stage::restarts::{stages, tables};
use crate::stage::testing::{Table, said};
use crate::stage::{
    Aggregate, Flow, IntoStage, Method, MovingAverage, Normalize, Process, Reach, Reorder, Silence, Stage,
    Threshold,
};
use crate::time::Timestamp;

/// What came out: the records of each sensor in order, and all that were set aside.
#[derive(Debug, Default, PartialEq)]
struct Out {
    records: BTreeMap<String, Vec<String>>,
    rejected: Vec<String>,
}

impl Out {
    fn add(&mut self, emitted: &[Emitted], sensors: &Sensors) {
        for emitted in emitted {
            if let Some(batch) = emitted.output() {
                for (sensor, record) in batch.sensors().iter().zip(said(&batch, sensors)) {
                    self.records.entry(sensors.name(*sensor).to_owned()).or_default().push(record);
                }
            }
            let rejected = emitted.rejections.iter().map(|it| format!("{} {}", it.position, it.reason));
            self.rejected.extend(rejected);
        }
        self.rejected.sort_unstable();
    }
}

/// A chain in a process of its own, with ids of its own.
struct Worker {
    chain: Chain,
    sensors: Sensors,
}

impl Worker {
    /// In which the sensors have come in another order, by `salt`.
    fn new(stages: &[Arc<dyn Stage>], schema: &Arc<Schema>, salt: u64) -> Self {
        let mut names: Vec<String> = (0..9).map(|at| format!("s{at}")).collect();
        names.sort_by_key(|name| stable_hash(format!("{salt}{name}").as_bytes()));
        let mut sensors = Sensors::default();
        for name in &names[..(salt % 9) as usize] {
            sensors.id(name).expect("room");
        }
        Self { chain: Chain::partitioned(stages, schema).expect("a chain"), sensors }
    }

    /// The records of `batch`, which has the ids of `known`, that are of these sensors.
    fn push(&mut self, batch: &Batch, known: &Sensors, is_mine: impl Fn(&str) -> bool, out: &mut Out) {
        let rows = (0..batch.len()).filter(|&row| is_mine(known.name(batch.sensors()[row])));
        let rows: Vec<u32> = rows.map(|row| row as u32).collect();
        let mut mine = batch.take(&rows);
        let ids = mine.sensors().iter().map(|&id| self.sensors.id(known.name(id)).expect("room"));
        let ids = ids.collect();
        *mine.column_mut(mine.schema().sensor()) = Column::Sensor(ids);
        out.add(&[self.chain.push(mine, &self.sensors).expect("pushed")], &self.sensors);
    }

    fn advance(&mut self, to: Timestamp, out: &mut Out) {
        let due = self.chain.due().expect("asked");
        let emitted = self.chain.advance(to, 3, &self.sensors).expect("advanced");
        let records: usize = emitted.iter().filter_map(|it| it.output().map(|batch| batch.len())).sum();
        assert!(
            records == 0 || due.is_some_and(|due| due <= to),
            "{records} records, due at {due:?}, at {to}"
        );
        assert!(
            self.chain.due().expect("asked").is_none_or(|due| due > to),
            "what was due at {to} has been emitted"
        );
        out.add(&emitted, &self.sensors);
    }

    fn restored(mut self, states: &[Vec<u8>]) -> Self {
        self.chain.restore(states, &mut self.sensors).expect("restored");
        self
    }

    fn save(&self) -> Vec<u8> {
        self.chain.save(&self.sensors).expect("saved")
    }

    fn groups(&self, groups: usize) -> Vec<Vec<u8>> {
        self.chain.save_groups(&self.sensors, groups).expect("saved")
    }

    /// Ends it: the ledgers, and what the stages remark.
    fn finish(mut self, out: &mut Out) -> (Vec<Ledger>, Vec<Vec<String>>) {
        let remarks = (0..self.chain.len()).map(|at| self.chain.remarks(at).expect("remarks")).collect();
        out.add(&self.chain.finish(4, &self.sensors).expect("finished"), &self.sensors);
        assert!(self.chain.entries().all(|entry| entry.ledger.is_balanced()));
        (self.chain.entries().map(|entry| entry.ledger).collect(), remarks)
    }
}

/// A stretch of the input, in as many processes, at the end of which the watermark is given or not.
type Stretch = (usize, usize, Option<i64>);

fn check(stages: &[Arc<dyn Stage>], table: &Table, size: usize, stretches: &[Stretch], salt: u64) {
    let (mut known, schema) = (Sensors::default(), table.schema());
    let batches = table.batches(size, &mut known);
    let new = |salt| Worker::new(stages, &schema, salt);
    let (mut whole, mut expected) = (new(0), Out::default());
    let (mut states, mut out) = (new(1).groups(1), Out::default());
    let mut rest = &batches[..];
    for (ordinal, &(take, groups, watermark)) in stretches.iter().enumerate() {
        let (stretch, behind) = rest.split_at(take.min(rest.len()));
        rest = behind;
        for batch in stretch {
            whole.push(batch, &known, |_| true, &mut expected);
        }
        watermark.into_iter().for_each(|to| whole.advance(Timestamp::from_nanos(to), &mut expected));
        // Whoever has all of them divides them anew.
        states = new(salt + ordinal as u64).restored(&states).groups(groups);
        let mut after = Vec::new();
        for (group, state) in states.iter().enumerate() {
            let mut worker = new(salt / 3 + group as u64).restored(std::slice::from_ref(state));
            for batch in stretch {
                worker.push(batch, &known, |name| Chain::group_of(name, groups) == group, &mut out);
            }
            watermark.into_iter().for_each(|to| worker.advance(Timestamp::from_nanos(to), &mut out));
            assert!(worker.chain.entries().all(|entry| entry.ledger.is_balanced()));
            after.push(worker.save());
        }
        after.rotate_left(salt as usize % groups);
        states = after;
    }
    // Divided and put together again, a state is the same to the bit.
    let mut again = Worker::new(stages, &schema, 0);
    whole.sensors.names().for_each(|name| assert!(again.sensors.id(name).is_ok()));
    assert_eq!(again.restored(&whole.groups(3)).save(), whole.save());
    let names: Vec<_> = stages.iter().map(|stage| stage.name().to_owned()).collect();
    let merged = new(salt / 7).restored(&states);
    let (ledgers, remarks) = merged.finish(&mut out);
    let expected_end = whole.finish(&mut expected);
    assert_eq!(out, expected, "{names:?}");
    assert_eq!(ledgers, expected_end.0, "{names:?}");
    // Which keys are shown that are no names depends on which came first.
    if !names.iter().any(|name| name == "pivot") {
        assert_eq!(remarks, expected_end.1, "{names:?}");
    }
}

fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    proptest::collection::vec((0..12usize, 1..5usize, proptest::option::of(0..60i64)), 1..4).prop_map(
        |mut stretches| {
            stretches.push((usize::MAX, 2, None));
            stretches
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_stage_moves_by_groups_of_sensors(
        table in tables(60), size in 1..12usize, stretches in stretches(), salt in any::<u32>(),
    ) {
        for stage in stages() {
            check(&[stage], &table, size, &stretches, salt.into());
        }
    }

    #[test]
    fn several_stages_move_together(
        table in tables(60), size in 1..12usize, stretches in stretches(), salt in any::<u32>(),
        chosen in proptest::collection::vec(any::<proptest::sample::Index>(), 2..5),
    ) {
        let all = stages();
        let chosen: Vec<_> = chosen.iter().map(|at| Arc::clone(&all[at.index(all.len())])).collect();
        if Chain::new(&chosen, &table.schema()).is_ok() {
            check(&chosen, &table, size, &stretches, salt.into());
        }
    }

    #[test]
    fn damaged_states_are_errors_or_states(
        table in tables(30), damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..4u8), 1..24),
        is_sealed in any::<bool>(),
    ) {
        let mut known = Sensors::default();
        let batches = table.batches(9, &mut known);
        for stage in stages() {
            let stages = [stage];
            let mut worker = Worker::new(&stages, &table.schema(), 4);
            batches.iter().for_each(|batch| worker.push(batch, &known, |_| true, &mut Out::default()));
            let state = worker.save();
            for (at, byte, way) in &damage {
                let (mut state, at) = (state.clone(), at.index(state.len()));
                match way {
                    0 => state.truncate(at),
                    1 => state.insert(at, *byte),
                    _ => state[at] = *byte,
                }
                let end = state.len().saturating_sub(8);
                if is_sealed {
                    let hash = stable_hash(&state[..end]);
                    state.truncate(end);
                    state.extend(hash.to_le_bytes());
                }
                let mut next = Worker::new(&stages, &table.schema(), 3);
                let is_restored = next.chain.restore(&[&state], &mut next.sensors).is_ok();
                assert!(is_sealed || !is_restored || state == worker.save(), "what is damaged is refused");
                // Whoever can forge the hash gets some state; it never panics.
                if is_restored {
                    for batch in &batches {
                        let (mut batch, sensors) = (batch.clone(), &mut next.sensors);
                        let ids = batch.sensors().iter().map(|&id| sensors.id(known.name(id)).expect("room")).collect();
                        *batch.column_mut(batch.schema().sensor()) = Column::Sensor(ids);
                        let _ = next.chain.push(batch, &next.sensors);
                    }
                    let _ = next.chain.finish(4, &next.sensors);
                }
            }
        }
    }
}

fn table() -> Table {
    Table::new(&["v"]).row("a", 1, &[Some(1.0)]).row("b", 2, &[Some(2.0)]).row("a", 3, &[Some(3.0)])
}

/// A chain that has been given the table, and its sensors.
fn fed(mut chain: Chain, table: &Table) -> (Chain, Sensors) {
    let mut sensors = Sensors::default();
    for batch in table.batches(9, &mut sensors) {
        chain.push(batch, &sensors).expect("pushed");
    }
    (chain, sensors)
}

fn chain(stage: impl Into<Arc<dyn Stage>>) -> Chain {
    Chain::new(&[stage.into()], &table().schema()).expect("a chain")
}

fn refused(mut chain: Chain, states: &[Vec<u8>]) -> String {
    let error = chain.restore(states, &mut Sensors::default()).expect_err("refused");
    format!("{error} {:?}", error.help())
}

#[test]
fn what_all_sensors_decide_cannot_be_divided() {
    let by_watermark: [Arc<dyn Stage>; 3] =
        [Arc::new(Reorder::new(5)), Arc::new(Aggregate::every("7ns")), Silence::after("8ns").into_stage()];
    for stage in by_watermark {
        let (chain, sensors) = fed(chain(Arc::clone(&stage)), &table());
        let error = chain.save_groups(&sensors, 2).expect_err("the watermark").to_string();
        let label = format!("stage 0 ({}) goes by the watermark", stage.name());
        assert!(error.contains(&label), "{error}");
        // All of it moves.
        let state = chain.save(&sensors).expect("saved");
        let schema = table().schema();
        let new = || Chain::new(&[Arc::clone(&stage)], &schema).expect("a chain");
        assert!(new().restore(&[&state], &mut Sensors::default()).is_ok());
        assert!(refused(new(), &[state.clone(), state.clone()]).contains(&label));
        let partitioned = Chain::partitioned(&[Arc::clone(&stage)], &schema).expect("a chain");
        let error = refused(partitioned, &[state]);
        assert!(error.contains("it depends on the watermark, which all sensors decide together, and this chain on a watermark that is given to it"), "{error}");
        let advanced =
            new().advance(Timestamp::from_nanos(9), 9, &Sensors::default()).err().expect("not given");
        assert!(advanced.to_string().contains(&label), "{advanced}");
    }
}

#[test]
fn groups_at_different_watermarks_do_not_go_together() {
    let stage: Arc<dyn Stage> = Arc::new(Aggregate::every("7ns"));
    let new = || Chain::partitioned(&[Arc::clone(&stage)], &table().schema()).expect("a chain");
    let (chain, sensors) = fed(new(), &table());
    let mut states = chain.save_groups(&sensors, 2).expect("saved");
    let (mut other, mut known) = (new(), Sensors::default());
    other.restore(&states[..1], &mut known).expect("restored");
    other.advance(Timestamp::from_nanos(5), 9, &known).expect("advanced");
    states[0] = other.save(&known).expect("saved");
    let error = refused(new(), &states);
    assert!(
        error.contains("stage 0 (aggregate)") && error.contains("differ in how far the watermark"),
        "{error}"
    );
}

#[test]
fn the_state_of_another_chain_is_refused_by_name() {
    let of = |chain: Chain| {
        let (chain, sensors) = fed(chain, &table());
        vec![chain.save(&sensors).expect("saved")]
    };
    let rows = |rows| MovingAverage::rows(rows).into_stage();
    let error = refused(chain(rows(4)), &of(chain(rows(3))));
    assert!(error.contains("stage 0 (moving_average)") && error.contains("`window` was 3, is 4"), "{error}");
    let wider = Table::new(&["w", "v"]).schema();
    let error = refused(Chain::new(&[rows(3)], &wider).expect("a chain"), &of(chain(rows(3))));
    assert!(error.contains("Measurement F64 v, are") && error.contains("F64 w"), "{error}");
    let error = refused(chain(Versioned(2)), &of(chain(Versioned(1))));
    assert!(error.contains("its version is 1, this release reads 2"), "{error}");
    // A chain that has been in use, and a sensor that is in two of the states.
    let (used, _) = fed(chain(rows(3)), &table());
    assert!(refused(used, &of(chain(rows(3)))).contains("a chain that has been used"));
    let twice = [of(chain(rows(3))), of(chain(rows(3)))].concat();
    assert!(refused(chain(rows(3)), &twice).contains("two of the states contain sensor `a`"));
    // Another version of the form itself.
    let mut other = of(chain(rows(3)));
    other[0][4] = 1;
    assert!(
        refused(chain(rows(3)), &other)
            .contains("the state of a chain is of version 1; this release reads version 2")
    );
    let two = [of(chain(rows(3))), of(chain(rows(4)))].concat();
    assert!(refused(chain(rows(3)), &two).contains("state 1 of 2"));
    // Off is like not there.
    let stateless = of(chain(Arc::new(Threshold::between(0.0, 9.0)) as Arc<dyn Stage>));
    assert!(
        refused(chain(Arc::new(Threshold::between(0.0, 8.0)) as Arc<dyn Stage>), &stateless)
            .contains("`max` was 9")
    );
}

/// A stage that keeps one number under each id, in one piece.
struct Versioned(u32);

impl From<Versioned> for Arc<dyn Stage> {
    fn from(stage: Versioned) -> Self {
        Arc::new(stage)
    }
}

struct Last(Vec<u8>);

impl Stage for Versioned {
    fn name(&self) -> &str {
        "last"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn state_version(&self) -> u32 {
        self.0
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        Ok(input.clone())
    }

    fn start(&self, _input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Last(Vec::new())))
    }
}

impl Process for Last {
    fn process(&mut self, batch: Batch, _sensors: &Sensors, _flow: &mut Flow) -> Result<Batch> {
        self.0.extend(batch.sensors().iter().map(|id| id.0 as u8));
        Ok(batch)
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn restore(&mut self, state: &[u8], _sensors: &Sensors) -> Result<()> {
        self.0 = state.to_vec();
        Ok(())
    }
}

#[test]
fn a_state_in_one_piece_moves_whole_under_the_same_ids() {
    let (last, sensors) = fed(chain(Versioned(1)), &table());
    let error = last.save_groups(&sensors, 2).expect_err("in one piece").to_string();
    assert!(error.contains("the state of stage 0 (last) cannot be divided by sensors"), "{error}");
    let state = last.save(&sensors).expect("saved");
    let mut next = chain(Versioned(1));
    next.restore(&[&state], &mut Sensors::default()).expect("restored");
    assert_eq!(next.save(&sensors).expect("saved"), state);
    let mut others = Sensors::default();
    others.id("b").expect("room");
    let error = chain(Versioned(1)).restore(&[&state], &mut others).expect_err("other ids").to_string();
    assert!(error.contains("cannot be divided by sensors, and refers to them"), "{error}");
}

#[test]
fn what_is_to_be_learnt_of_the_whole_input_is_refused_by_name() {
    let stage: Arc<dyn Stage> = Arc::new(Normalize::fitted(Method::MinMax));
    let error = Chain::new(&[stage], &table().schema()).err().expect("not learnt yet").to_string();
    assert!(error.contains("stage 0 (normalize) needs a first pass"), "{error}");
}

#[test]
fn groups_are_the_same_in_every_release() {
    let group = |name: &str| Chain::group_of(name, 7);
    assert_eq!(["", "a", "temp-1", "Ω"].map(group), [1, 1, 2, 0]);
    assert_eq!(Chain::group_of("a", 0), 0);
}
