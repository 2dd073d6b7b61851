//! Every stage, stopped anywhere and resumed by a new process: the bits equal those of an uninterrupted run.

use std::sync::Arc;

use proptest::prelude::*;

use super::listed::{check_implicit, implicit, registered};
use super::testing::{Table, said};
use super::*;
use crate::sensor::SensorId;
use crate::time::{Period, TimeFormat, TimeParser, Timestamp};

/// All stages that can be started without a first pass, in every configuration with a different state.
pub(crate) fn stages() -> Vec<Arc<dyn Stage>> {
    let every = |statistics: Vec<Statistic>, quantiles: Vec<f64>| Aggregate {
        statistics,
        quantiles,
        ..Aggregate::every("7ns")
    };
    let zurich = TimeParser::new(TimeFormat::Rfc3339, Some("Europe/Zurich")).expect("a zone");
    let of_day = TimeParser::new(TimeFormat::parse("%H:%M").expect("a pattern"), None).expect("UTC");
    let (clock, start) =
        of_day.with_start("1970-01-01").expect("a start").day_clock().expect("a time of day");
    let all = || vec![Statistic::Count, Statistic::Sum, Statistic::Min, Statistic::Max, Statistic::Std];
    vec![
        Threshold::between(-50.0, 50.0).into_stage(),
        Threshold::between(-50.0, 50.0).action(Action::Flag).into_stage(),
        Normalize::min_max(0.0, 10.0).into_stage(),
        Normalize::running(Method::MinMax).into_stage(),
        Normalize::running(Method::ZScore).into_stage(),
        MovingAverage::rows(3).into_stage(),
        MovingAverage::duration("6ns").count(true).into_stage(),
        MovingMin::rows(4).into_stage(),
        MovingMax::duration("5ns").into_stage(),
        MovingStd::rows(3).non_finite(Unusual::Propagate).into_stage(),
        MovingMedian::rows(5).into_stage(),
        (Aggregate { quantiles: vec![0.5], statistics: all(), ..Aggregate::default() }).into_stage(),
        every(all(), vec![0.9]).into_stage(),
        every(vec![Statistic::Max], Vec::new()).into_stage(),
        (Pivot {
            value: "v".into(),
            ..Pivot::new("note", &["note 1", "note 2", "note 4", "note 5", "note 7"])
        })
        .into_stage(),
        Rate::per("3ns").counter(true).into_stage(),
        Rate::difference().into_stage(),
        Dedupe::heartbeat("9ns").tolerance(20.0).into_stage(),
        Silence::after("8ns").into_stage(),
        Silence::after("8ns").by_clock().into_stage(),
        Silence::after("3ns").keep(Keep::Changes).into_stage(),
        Alerts { clear_above: Some(1.0), hold: Some("2ns".into()), ..Alerts::above("*", 4.0) }.into_stage(),
        each::tests::Odds.into_stage(),
        Interval::<interval::tests::CountAndMean>::every("7ns").into_stage(),
        Reorder::new(5).into_stage(),
        Reorder::new(0).into_stage(),
        NewestFirst::new().into_stage(),
        MaxJump::new(6).into_stage(),
        InPeriod::new(Period {
            from: Some(Timestamp::from_nanos(9)),
            until: Some(Timestamp::from_nanos(40)),
        })
        .into_stage(),
        SecondShowing::new(zurich.clone(), 2).into_stage(),
        SecondShowing::new(zurich, 0).newest_first().into_stage(),
        TimeOfDay::new(clock, start, 3).into_stage(),
    ]
}

/// Records of two measurements with advancing times, out of order, of some sensors rarely, with carried text and origins.
pub(crate) fn tables(most: usize) -> impl Strategy<Value = Table> {
    let sensor = prop_oneof![6 => 0..3u8, 1 => 3..6u8];
    let value = prop_oneof![
        6 => (-9999..9999i32).prop_map(|v| Some(f64::from(v) / 100.0)),
        1 => proptest::sample::select(vec![None, Some(f64::NAN), Some(f64::INFINITY), Some(1e300), Some(-0.0), Some(5e-324)]),
    ];
    proptest::collection::vec((sensor, 0..5i64, -7..4i64, value.clone(), value), 1..most).prop_map(|rows| {
        let mut now = 0;
        rows.into_iter().fold(Table::new(&["v", "w"]).with_text(), |table, (sensor, step, apart, v, w)| {
            now += step;
            table.row(&format!("s{sensor}"), now + apart, &[v, w])
        })
    })
}

/// A running stage, and its complete output.
struct RestartedStage<'a> {
    stage: &'a dyn Stage,
    schema: Arc<Schema>,
    process: Box<dyn Process>,
    flow: Flow,
    out: Vec<String>,
}

impl<'a> RestartedStage<'a> {
    fn new(stage: &'a dyn Stage, schema: Arc<Schema>) -> Self {
        let process = stage.start(&schema).expect("started");
        Self { stage, schema, process, flow: Flow::default(), out: Vec::new() }
    }

    fn take(&mut self, batch: &Batch, sensors: &Sensors) {
        let batch = self.process.process(batch.clone(), sensors, &mut self.flow).expect("processed");
        self.out.extend(said(&batch, sensors));
    }

    fn give_up(&mut self, gone: &[SensorId], sensors: &Sensors) {
        let left = self.process.give_up(gone, sensors, &mut self.flow).expect("given up");
        self.out.extend(left.iter().flat_map(|batch| said(batch, sensors)));
    }

    /// Resumes in another process from the saved state.
    fn restart(&mut self, sensors: &Sensors) {
        let state = self.process.save().expect("saved");
        self.process = self.stage.start(&self.schema).expect("started");
        self.process.restore(&state, sensors).expect("restored");
        assert_eq!(self.process.save().expect("saved"), state, "{} at once", self.stage.name());
    }

    /// Ends it; returns its output and rejections.
    fn end(mut self, sensors: &Sensors) -> (Vec<String>, String, [u64; 4]) {
        let held = self.process.held();
        let last = self.process.finish(sensors, &mut self.flow).expect("finished");
        self.out.extend(last.iter().flat_map(|batch| said(batch, sensors)));
        let Flow { filtered, folded, made, rejections } = self.flow;
        (self.out, format!("{rejections:?}"), [filtered, folded, made, held])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_restart_anywhere_changes_nothing(table in tables(40), size in 1..20usize) {
        let mut sensors = Sensors::default();
        let batches = table.batches(size, &mut sensors);
        for stage in stages() {
            let mut whole = RestartedStage::new(&*stage, table.schema());
            batches.iter().for_each(|batch| whole.take(batch, &sensors));
            let whole = whole.end(&sensors);
            for split in 0..=batches.len() {
                let mut running = RestartedStage::new(&*stage, table.schema());
                batches[..split].iter().for_each(|batch| running.take(batch, &sensors));
                running.restart(&sensors);
                batches[split..].iter().for_each(|batch| running.take(batch, &sensors));
                prop_assert_eq!(&running.end(&sensors), &whole, "{} after {}", stage.name(), split);
            }
        }
    }

    #[test]
    fn what_is_given_up_begins_anew_whatever_the_restarts(table in tables(40), size in 1..20usize, gone in 0..6u32) {
        let mut sensors = Sensors::default();
        let batches = table.batches(size, &mut sensors);
        let gone = [SensorId(gone)];
        for stage in stages().into_iter().filter(|stage| stage.gives_up()) {
            for split in 0..=batches.len() {
                let run = |restarts: [bool; 2]| {
                    let mut running = RestartedStage::new(&*stage, table.schema());
                    batches[..split].iter().for_each(|batch| running.take(batch, &sensors));
                    if restarts[0] {
                        running.restart(&sensors);
                    }
                    running.give_up(&gone, &sensors);
                    if restarts[1] {
                        running.restart(&sensors);
                    }
                    // Nothing is buffered or stored for it any more.
                    let left = running.process.give_up(&gone, &sensors, &mut Flow::default()).expect("given up");
                    assert_eq!(left.map_or(0, |batch| batch.len()), 0, "{}", stage.name());
                    batches[split..].iter().for_each(|batch| running.take(batch, &sensors));
                    running.end(&sensors)
                };
                let whole = run([false; 2]);
                for restarts in [[true, false], [false, true], [true; 2]] {
                    prop_assert_eq!(&run(restarts), &whole, "{} after {}", stage.name(), split);
                }
            }
        }
    }

    #[test]
    fn a_restart_after_every_record_changes_nothing(table in tables(40)) {
        let mut sensors = Sensors::default();
        let (single, whole) = (table.batches(1, &mut sensors), table.batches(1000, &mut sensors));
        for stage in stages() {
            let mut running = RestartedStage::new(&*stage, table.schema());
            for batch in &single {
                running.take(batch, &sensors);
                running.restart(&sensors);
            }
            let mut at_once = RestartedStage::new(&*stage, table.schema());
            whole.iter().for_each(|batch| at_once.take(batch, &sensors));
            prop_assert_eq!(running.end(&sensors), at_once.end(&sensors), "{}", stage.name());
        }
    }

    #[test]
    fn any_number_of_shards_saves_the_same(table in tables(60), size in 1..20usize, split in 0..60usize) {
        let mut sensors = Sensors::default();
        let batches = table.batches(size, &mut sensors);
        let split = split.min(batches.len());
        for stage in stages() {
            let mut one = RestartedStage::new(&*stage, table.schema());
            if stage.shards(&table.schema(), 1).expect("started").is_none() {
                continue;
            }
            batches[..split].iter().for_each(|batch| one.take(batch, &sensors));
            let middle = one.process.save().expect("saved");
            one.out.clear();
            batches[split..].iter().for_each(|batch| one.take(batch, &sensors));
            for (before, after) in [(1, 2), (2, 8), (8, 1), (4, 4)] {
                let shards = |count| stage.shards(&table.schema(), count).expect("started").expect("shards");
                let (first, mut second) = (shards(before), shards(after));
                through(&*first, &batches[..split], &sensors);
                let in_one = |shards: &dyn Shards| {
                    let mut one = stage.shards(&table.schema(), 1).expect("started").expect("shards");
                    one.restore(vec![all_of(shards)], &sensors).expect("restored");
                    all_of(&*one).flat_map(|piece| piece.expect("saved")).collect::<Vec<_>>()
                };
                prop_assert_eq!(&in_one(&*first), &middle, "{} in {}", stage.name(), before);
                let cut = all_of(&*first);
                // Records after the cut are not part of it.
                through(&*first, &batches[split..], &sensors);
                second.restore(vec![cut], &sensors).expect("restored");
                prop_assert_eq!(&in_one(&*second), &middle, "{} in {}", stage.name(), after);
                prop_assert_eq!(&through(&*second, &batches[split..], &sensors), &one.out);
            }
        }
    }

    #[test]
    fn changes_over_a_complete_state_are_the_state(
        table in tables(60), size in 1..9usize, cuts in proptest::collection::vec(0..4u8, 60), bits in 0..3u32,
    ) {
        let mut sensors = Sensors::default();
        let batches = table.batches(size, &mut sensors);
        for stage in stages() {
            let start = || stage.shards(&table.schema(), 1 << bits).expect("started");
            let Some(shards) = start() else { continue };
            let (mut chain, mut gone) = (Vec::new(), 0);
            for (batch, cut) in batches.iter().zip(&cuts) {
                through(&*shards, std::slice::from_ref(batch), &sensors);
                if *cut == 0 && stage.gives_up() {
                    // Its state is removed, and may come anew.
                    gone = (gone + 1) % sensors.len() as u32;
                    shards.give_up(&[SensorId(gone)], &sensors, &mut Flow::default()).expect("given up");
                }
                let kind = if *cut == 1 { CutKind::Complete } else { CutKind::Changes };
                let Cut { kind, pieces } = shards.cut(kind).expect("a cut");
                if kind == CutKind::Complete {
                    chain.clear();
                }
                chain.push(pieces.collect::<Result<Vec<_>>>().expect("saved"));
            }
            let cuts = chain.into_iter().map(|cut| Box::new(cut.into_iter().map(Ok)) as Pieces).collect();
            let mut restored = start().expect("shards");
            restored.restore(cuts, &sensors).expect("restored");
            // In one shard, and restored once more, they are the same bytes.
            let bytes = |shards: &dyn Shards| {
                let mut one = stage.shards(&table.schema(), 1).expect("started").expect("shards");
                one.restore(vec![all_of(shards)], &sensors).expect("restored");
                all_of(&*one).flat_map(|piece| piece.expect("saved")).collect::<Vec<_>>()
            };
            prop_assert_eq!(bytes(&*restored), bytes(&*shards), "{}", stage.name());
        }
    }

    #[test]
    fn damaged_states_are_errors_or_states(
        table in tables(30), damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..4u8), 1..24),
        garbage in proptest::collection::vec(any::<u8>(), 1..64),
    ) {
        let mut sensors = Sensors::default();
        let batches = table.batches(9, &mut sensors);
        for stage in stages() {
            let mut running = RestartedStage::new(&*stage, table.schema());
            batches.iter().for_each(|batch| running.take(batch, &sensors));
            let state = running.process.save().expect("saved");
            let damaged = damage.iter().map(|(at, byte, way)| {
                let (mut state, at) = (state.clone(), at.index(state.len().max(1)));
                match way {
                    0 => state.truncate(at),
                    1 => state.insert(at.min(state.len()), *byte),
                    _ => state.iter_mut().skip(at).take(1).for_each(|old| *old = *byte),
                }
                state
            });
            for state in damaged.chain([garbage.clone()]) {
                let mut process = stage.start(&table.schema()).expect("started");
                // Either it is refused or some valid state is restored; it never panics.
                if process.restore(&state, &sensors).is_ok() {
                    for batch in &batches {
                        let _ = process.process(batch.clone(), &sensors, &mut Flow::default());
                    }
                    let _ = process.finish(&sensors, &mut Flow::default());
                }
            }
        }
    }
}

/// The complete state of all shards.
fn all_of(shards: &dyn Shards) -> Pieces {
    shards.cut(CutKind::Complete).expect("a cut").pieces
}

/// Passes batches through all shards; returns the output.
fn through(shards: &dyn Shards, batches: &[Batch], sensors: &Sensors) -> Vec<String> {
    let (mut groups, mut out) = (Groups::default(), Vec::new());
    for batch in batches {
        groups.sort(batch.sensors(), shards.count());
        let step = |shard| shards.step(shard, batch, groups.share(shard), sensors).expect("stepped");
        let made = (0..shards.count()).map(step).collect();
        let made = shards.assemble(batch.clone(), &groups, made, sensors, &mut Flow::default());
        out.extend(said(&made.expect("assembled"), sensors));
    }
    out
}

#[test]
fn a_state_of_more_sensors_than_there_are_is_an_error() {
    let table = (0..9).fold(Table::new(&["v", "w"]).with_text(), |table, at| {
        table.row(&format!("s{at}"), at, &[Some(1.0); 2])
    });
    let mut sensors = Sensors::default();
    let batch = table.batches(9, &mut sensors).remove(0);
    let mut fewer = Sensors::default();
    fewer.id("s0").expect("room");
    for stage in stages() {
        let mut process = stage.start(&table.schema()).expect("started");
        process.process(batch.clone(), &sensors, &mut Flow::default()).expect("processed");
        let state = process.save().expect("saved");
        let mut next = stage.start(&table.schema()).expect("started");
        assert_eq!(next.restore(&state, &fewer).is_err(), !state.is_empty(), "{}", stage.name());
        assert!(next.restore(&[1; 3], &fewer).is_err(), "{}", stage.name());
        assert!(fewer.find("s1").is_none() && sensors.name(SensorId(8)) == "s8");
    }
}

#[test]
fn whether_a_state_is_kept_is_declared() {
    let table = (0..9).fold(Table::new(&["v", "w"]).with_text(), |table, at| {
        table.row(&format!("s{}", at % 3), at, &[Some(at as f64); 2])
    });
    let mut sensors = Sensors::default();
    let batch = table.batches(9, &mut sensors).remove(0);
    for stage in stages() {
        let mut process = stage.start(&table.schema()).expect("started");
        process.process(batch.clone(), &sensors, &mut Flow::default()).expect("processed");
        let state = process.save().expect("saved");
        assert_eq!(stage.keeps_state(), !state.is_empty(), "{}", stage.name());
    }
}

#[test]
fn every_stage_is_restarted() {
    let stages = stages();
    let missing: Vec<_> =
        registered().filter(|name| !stages.iter().any(|stage| stage.name() == *name)).collect();
    assert_eq!(missing, [""; 0], "not in the list of restarts");
    check_implicit(stages.iter().map(|stage| &**stage), "the list of restarts");
}

#[test]
fn stages_that_options_ask_for_are_found() {
    let found = implicit();
    assert!(found.contains_key("Reorder") && found.contains_key("SecondShowing"), "{found:?}");
    assert!(found.len() > 5 && !found.contains_key("Threshold"), "{found:?}");
}
