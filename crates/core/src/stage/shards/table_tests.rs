//! Cuts while workers continue, and what is restored from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::sensor::Sensors;
use crate::stage::Cut;

fn table(shards: usize, sensors: usize) -> Arc<Table<u64, ()>> {
    let table = Table::new(2, shards, || ());
    change(&table, 0..sensors, |sensor, column| (sensor + column) as u64);
    Arc::new(table)
}

/// As a worker would.
fn change(table: &Table<u64, ()>, sensors: impl Iterator<Item = usize>, to: impl Fn(usize, usize) -> u64) {
    for sensor in sensors {
        let (id, deal) = (SensorId(sensor as u32), table.deal());
        let mut shard = table.change(deal.shard(id), [id].into_iter());
        for (column, states) in shard.states.iter_mut().enumerate() {
            *states.get_or_insert_with(deal.place(id), || 0) = to(sensor, column);
        }
    }
}

fn known(sensors: usize) -> Sensors {
    let mut known = Sensors::default();
    (0..sensors).for_each(|sensor| assert!(known.id(&sensor.to_string()).is_ok()));
    known
}

/// The states in the pieces, in one shard and by column.
fn restored(pieces: impl Iterator<Item = Result<Vec<u8>>>, sensors: usize) -> Vec<Vec<Option<u64>>> {
    let mut all = Table::new(2, 1, || ());
    pieces.for_each(|piece| all.restore(&piece.expect("saved"), &known(sensors)).expect("restored"));
    let shard = all.lock(0);
    shard.states.iter().map(|states| states.as_slice().to_vec()).collect()
}

fn expected(sensors: usize) -> Vec<Vec<Option<u64>>> {
    (0..2).map(|column| (0..sensors).map(|sensor| Some((sensor + column) as u64)).collect()).collect()
}

#[test]
fn a_cut_is_what_was_there_whatever_workers_do_meanwhile() {
    for (shards, sensors) in [(1, 0), (1, 1), (1, 200), (4, 3), (4, 203), (8, 1000)] {
        for behind in [0, 1, 3, 20] {
            let table = table(shards, sensors);
            let mut cut = table.cut(CutKind::Complete).pieces;
            let mut pieces: Vec<_> = cut.by_ref().take(behind).collect();
            // New sensors too, within and after those of the last block.
            change(&table, (0..sensors + 100).rev(), |_, _| 7);
            (0..sensors).step_by(3).for_each(|sensor| {
                let (id, deal) = (SensorId(sensor as u32), table.deal());
                let mut shard = table.change(deal.shard(id), [id].into_iter());
                shard.states.iter_mut().for_each(|states| assert!(states.remove(deal.place(id)).is_some()));
            });
            pieces.extend(cut);
            assert_eq!(
                restored(pieces.into_iter(), sensors),
                expected(sensors),
                "{shards}, {sensors}, {behind}"
            );
        }
    }
}

/// The size of a state in bytes, large enough for some blocks to be pending.
const LARGE: usize = 100;
const MOST: usize = 4 * BLOCK * LARGE;

#[test]
fn workers_wait_for_what_writes_and_not_for_what_writes_no_more() {
    let table: Arc<Table<Vec<u8>, ()>> = Arc::new(Table { most: MOST, ..Table::new(1, 1, || ()) });
    let large = |table: &Table<Vec<u8>, ()>, sensor: u32| {
        let mut shard = table.change(0, [SensorId(sensor)].into_iter());
        *shard.states[0].get_or_insert_with(SensorId(sensor), Vec::new) = vec![0; LARGE];
    };
    let sensors = 40 * BLOCK as u32;
    (0..sensors).for_each(|sensor| large(&table, sensor));
    for is_written in [true, false] {
        let cut = table.cut(CutKind::Complete).pieces;
        std::thread::scope(|scope| {
            let work = scope.spawn(|| (0..sensors).for_each(|sensor| large(&table, sensor)));
            if is_written {
                // Only this much of it is in memory at any time.
                let pieces =
                    cut.inspect(|_| assert!(waiting(&table) <= 2 * MOST, "{} bytes", waiting(&table)));
                let bytes: usize = pieces.map(|piece| piece.expect("saved").len()).sum();
                assert!(bytes > sensors as usize * LARGE);
            } else {
                drop(cut);
            }
            work.join().expect("the worker goes on");
        });
    }
    // The next cut does not wait.
    assert_eq!(table.cut(CutKind::Complete).pieces.count(), sensors as usize / BLOCK);
}

fn waiting(table: &Table<Vec<u8>, ()>) -> usize {
    table.lock(0).saving().map_or(0, |saving| saving.bytes)
}

/// A state of a sensor in both columns, or that it has none any more.
type Step = (usize, Option<u64>);

/// By sensor and column.
type States = BTreeMap<(usize, usize), u64>;

const SENSORS: usize = 150;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((0..SENSORS, proptest::option::weighted(0.8, 0..9u64)), 0..40)
}

/// What happens before a cut, whether a complete one is asked for, how many of its pieces are written before what happens meanwhile, and whether the rest is.
type Round = (Vec<Step>, bool, usize, Vec<Step>, bool);

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let round = (steps(), any::<bool>(), 0..30usize, steps(), proptest::bool::weighted(0.9));
    proptest::collection::vec(round, 1..12)
}

fn take_steps(table: &Table<u64, ()>, model: &mut States, steps: Vec<Step>) {
    for (sensor, state) in steps {
        let (id, deal) = (SensorId(sensor as u32), table.deal());
        let mut shard = table.change(deal.shard(id), [id].into_iter());
        for (column, states) in shard.states.iter_mut().enumerate() {
            states.remove(deal.place(id));
            model.remove(&(sensor, column));
            if let Some(state) = state {
                states.get_or_insert_with(deal.place(id), || state);
                model.insert((sensor, column), state);
            }
        }
    }
}

fn states_of(table: &Table<u64, ()>) -> States {
    let mut found = States::new();
    for at in 0..table.deal().shards() {
        for (column, states) in table.lock(at).states.iter().enumerate() {
            let of = |(place, state): (_, &u64)| ((table.deal().sensor(at, place).index(), column), *state);
            found.extend(states.iter().map(of));
        }
    }
    found
}

proptest! {
    #[test]
    fn a_complete_cut_and_the_changes_behind_it_are_the_state(
        rounds in rounds(), shards in 0..4u32, other_shards in 0..4u32,
    ) {
        let table = Arc::new(Table::new(2, 1 << shards, || ()));
        let (mut model, mut chain, known) = (States::new(), Vec::new(), known(SENSORS));
        for (before, asks_all, behind, meanwhile, is_written) in rounds {
            take_steps(&table, &mut model, before);
            let asked = if asks_all { CutKind::Complete } else { CutKind::Changes };
            let Cut { kind, mut pieces } = table.cut(asked);
            let expected = model.clone();
            // Nothing is there to be put over, at first and behind a cut that was cancelled.
            prop_assert_eq!(kind == CutKind::Complete, asks_all || chain.is_empty());
            if kind == CutKind::Complete {
                chain.clear();
            }
            let mut cut: Vec<Vec<u8>> = pieces.by_ref().take(behind).map(|piece| piece.expect("saved")).collect();
            take_steps(&table, &mut model, meanwhile);
            if !is_written && pieces.next().is_some() {
                chain.clear();
                continue;
            }
            cut.extend(pieces.map(|piece| piece.expect("saved")));
            chain.push(cut);
            let mut restored = Table::new(2, 1 << other_shards, || ());
            chain.iter().flatten().for_each(|piece| restored.restore(piece, &known).expect("restored"));
            prop_assert_eq!(states_of(&restored), expected);
        }
    }
}

#[test]
fn only_what_has_changed_is_in_a_cut_of_changes() {
    let table = table(4, 1000);
    assert_eq!(table.cut(CutKind::Changes).kind, CutKind::Complete, "there is none before");
    let size = |kind| table.cut(kind).pieces.map(|piece| piece.expect("saved").len()).sum::<usize>();
    let all = size(CutKind::Complete);
    assert_eq!(size(CutKind::Changes), 0);
    change(&table, (0..1000).step_by(100), |_, _| 7);
    // A sensor, the distance to the next one, two columns, and in each of them one state of two bytes.
    assert!(size(CutKind::Changes) <= 10 * (2 + 1 + 1 + 2 * (1 + 2)) && all > 4000);
}

#[test]
fn another_cut_waits_for_the_one_before() {
    let table = table(2, 100);
    let first = table.cut(CutKind::Complete).pieces;
    std::thread::scope(|scope| {
        let second = scope.spawn(|| restored(table.cut(CutKind::Complete).pieces, 100));
        assert_eq!(restored(first, 100), expected(100));
        assert_eq!(second.join().expect("saved"), expected(100));
    });
}
