//! A chain gives the output of its stages one by one, and resumes from its saved state without a difference.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Chain, Emitted};
use crate::batch::Batch;
use crate::error::Result;
use crate::sensor::Sensors;
use crate::stage::testing::{Table, said};
use crate::stage::{Aggregate, IntoStage, MovingAverage, MovingMedian, Reorder, Stage, Threshold};

fn stages(kinds: &[u8]) -> Vec<Arc<dyn Stage>> {
    let of = |kind: &u8| -> Arc<dyn Stage> {
        match kind {
            0 => Arc::new(Threshold::between(-50.0, 50.0)),
            1 => MovingAverage::rows(3).into_stage(),
            2 => Arc::new(Reorder::new(4)),
            3 => MovingMedian::duration("6ns").into_stage(),
            _ => Arc::new(Threshold::between(-20.0, 90.0)),
        }
    };
    kinds.iter().map(of).chain([Arc::new(Aggregate::every("7ns")) as Arc<dyn Stage>]).collect()
}

fn tables() -> impl Strategy<Value = Table> {
    proptest::collection::vec((0..4u8, 0..4i64, -5..3i64, -99..99i32), 1..40).prop_map(|rows| {
        let mut now = 0;
        rows.into_iter().fold(Table::new(&["v"]), |table, (sensor, step, apart, v)| {
            now += step;
            table.row(&format!("s{sensor}"), now + apart, &[Some(f64::from(v))])
        })
    })
}

/// The output at the end, and the rejections.
#[derive(Debug, Default, PartialEq)]
struct Out(Vec<String>, Vec<String>);

impl Out {
    fn add(&mut self, emitted: Emitted, sensors: &Sensors) {
        self.0.extend(emitted.output().iter().flat_map(|batch| said(batch, sensors)));
        self.1.extend(emitted.rejections.iter().map(|rejection| rejection.reason.clone()));
    }

    fn end(mut self, chain: &mut Chain, sensors: &Sensors) -> Self {
        for emitted in chain.finish(5, sensors).expect("finished") {
            self.add(emitted, sensors);
        }
        assert!(chain.entries().all(|entry| entry.ledger.is_balanced()));
        self
    }
}

fn push(chain: &mut Chain, batches: &[Batch], sensors: &Sensors, out: &mut Out) {
    for batch in batches {
        out.add(chain.push(batch.clone(), sensors).expect("pushed"), sensors);
    }
}

/// The sensors of a chain that goes on from one state.
fn restored(chain: &mut Chain, state: &[u8]) -> Result<Sensors> {
    let mut sensors = Sensors::default();
    chain.restore(&[state], &mut sensors).map(|()| sensors)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_chain_goes_on_from_what_it_saved(
        table in tables(), kinds in proptest::sample::subsequence(vec![0u8, 1, 2, 3, 4], 0..4).prop_shuffle(), size in 1..9usize
    ) {
        let stages = stages(&kinds);
        let mut sensors = Sensors::default();
        let batches = table.batches(size, &mut sensors);
        let new = || Chain::new(&stages, &table.schema()).expect("a chain");
        let mut whole = new();
        let mut expected = Out::default();
        push(&mut whole, &batches, &sensors, &mut expected);
        let expected = expected.end(&mut whole, &sensors);
        let ledgers: Vec<_> = whole.entries().map(|entry| entry.ledger).collect();
        for split in 0..=batches.len() {
            let (mut first, mut out) = (new(), Out::default());
            push(&mut first, &batches[..split], &sensors, &mut out);
            let state = first.save(&sensors).expect("saved");
            let mut second = new();
            let known = restored(&mut second, &state).expect("restored");
            prop_assert!(known.names().eq(sensors.names()));
            push(&mut second, &batches[split..], &known, &mut out);
            prop_assert_eq!(&out.end(&mut second, &known), &expected, "after {}", split);
            let then: Vec<_> = second.entries().map(|entry| entry.ledger).collect();
            prop_assert_eq!(&then, &ledgers);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), cut in 0..400usize) {
        let stages = stages(&[1]);
        let table = Table::new(&["v"]).row("a", 1, &[Some(1.0)]);
        let new = || Chain::new(&stages, &table.schema()).expect("a chain");
        prop_assert!(restored(&mut new(), &bytes).is_err());
        let mut sensors = Sensors::default();
        let batches = table.batches(1, &mut sensors);
        let mut chain = new();
        push(&mut chain, &batches, &sensors, &mut Out::default());
        let state = chain.save(&sensors).expect("saved");
        let cut = cut % state.len();
        prop_assert!(restored(&mut new(), &state[..cut]).is_err());
    }
}

#[test]
fn the_state_of_other_stages_is_refused_by_name() {
    let table = Table::new(&["v"]).row("a", 1, &[Some(1.0)]);
    let chain = |kinds: &[u8]| Chain::new(&stages(kinds), &table.schema()).expect("a chain");
    let state = chain(&[1]).save(&Sensors::default()).expect("saved");
    let message = restored(&mut chain(&[3]), &state).expect_err("others").to_string();
    assert!(
        message.contains("moving_average, aggregate; this one has moving_median, aggregate"),
        "{message}"
    );
}
