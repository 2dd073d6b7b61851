//! Loops over numbers: parsing, exact sums, windows. Each answer is checked before it is timed.

mod common;

use std::collections::VecDeque;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tidemill_core::kernel::deviation::Deviation;
use tidemill_core::kernel::exact_sum::ExactSum;
use tidemill_core::kernel::extreme::{Greatest, Least};
use tidemill_core::kernel::mean::Mean;
use tidemill_core::kernel::median::Median;
use tidemill_core::kernel::number::parse_f64;
use tidemill_core::kernel::shortest::{Slot, write_all};
use tidemill_core::kernel::window::{Aggregate, NonFinite, Window};

use common::{
    Readings, assert_close, assert_same, group, plain_deviation, plain_greatest, plain_least, plain_mean,
    plain_median, plain_windows, short,
};

const COUNT: usize = 20_000;

/// Numerals to numbers, beside the language's own.
fn numbers(criterion: &mut Criterion) {
    let readings = Readings::new(COUNT, 100);
    let short = readings.numerals();
    let long: Vec<String> = readings.values().iter().map(|value| (value / 3.0).to_string()).collect();
    let mut group = group(criterion, "number", COUNT);
    for (name, numerals) in [("three decimals", short), ("shortest", long)] {
        let expected: Vec<f64> = numerals.iter().map(|text| text.parse().expect("a number")).collect();
        let ours = || -> f64 { numerals.iter().filter_map(|text| parse_f64(text.as_bytes())).sum() };
        let std = || -> f64 { numerals.iter().filter_map(|text| text.parse::<f64>().ok()).sum() };
        let parsed: Vec<f64> = numerals.iter().filter_map(|text| parse_f64(text.as_bytes())).collect();
        assert_same(&parsed, &expected);
        group.bench_function(BenchmarkId::new("parse_f64", name), |b| b.iter(|| black_box(ours())));
        group.bench_function(BenchmarkId::new("str::parse", name), |b| b.iter(|| black_box(std())));
    }
}

/// Numbers to their shortest numerals, beside the `zmij` crate.
fn shortest(criterion: &mut Criterion) {
    let values = Readings::new(COUNT, 100).values();
    let scaled: Vec<f64> = values.iter().map(|value| value / 120.0).collect();
    let means = plain_windows(&scaled, 20, plain_mean);
    let mut group = group(criterion, "shortest", COUNT);
    for (name, values) in [("three decimals", values), ("scaled", scaled), ("means", means)] {
        let mut slots = vec![Slot::EMPTY; COUNT];
        write_all(&values, &mut slots);
        for (value, slot) in values.iter().zip(&slots) {
            assert_eq!(slot.text(), value.to_string().as_bytes());
        }
        let ours = |slots: &mut [Slot]| write_all(black_box(&values), slots);
        let zmij = |slots: &mut [Slot]| {
            for (&value, slot) in black_box(&values).iter().zip(slots) {
                *slot = Slot::new(zmij::Buffer::new().format_finite(value).as_bytes());
            }
        };
        group.bench_function(BenchmarkId::new("slots", name), |b| b.iter(|| ours(&mut slots)));
        group.bench_function(BenchmarkId::new("zmij", name), |b| b.iter(|| zmij(&mut slots)));
    }
}

/// The sum of everything: exact, and as the processor adds.
fn sums(criterion: &mut Criterion) {
    let values = Readings::new(COUNT, 100).values();
    let exact = |values: &[f64]| {
        let mut sum = ExactSum::new();
        values.iter().for_each(|&value| sum.add(value));
        sum.round()
    };
    assert_close(&[exact(&values)], &[values.iter().sum()]);
    assert_eq!(exact(&[1e16, 1.0, -1e16]), 1.0);
    let mut group = group(criterion, "sum", COUNT);
    group.bench_function("exact", |b| b.iter(|| exact(black_box(&values))));
    group.bench_function("floating", |b| b.iter(|| black_box(&values).iter().sum::<f64>()));
}

/// A way to what is asked of the last so many values.
type Way = fn(&[f64], usize) -> Vec<f64>;

/// The same for one window, from scratch.
type Plain = fn(&[f64]) -> f64;

/// The moving mean in different ways. All but the running sum are exact.
fn windows(criterion: &mut Criterion) {
    let values = Readings::new(COUNT, 100).values();
    let ways: [(&str, Way); 5] = [
        ("ring", in_ring::<Mean>),
        ("ring, one by one", one_by_one::<Mean>),
        ("deque", in_deque),
        ("shifted vec", in_shifted_vec),
        ("running sum", by_running_sum),
    ];
    let mut group = group(criterion, "window", COUNT);
    for window in WINDOWS {
        let expected = plain_windows(&values, window, plain_mean);
        for (name, means) in ways {
            assert_close(&means(&values, window), &expected);
            if name != "running sum" {
                assert_same(&means(&values, window), &in_ring::<Mean>(&values, window));
            }
            let id = BenchmarkId::new(name, window);
            group.bench_function(id, |b| b.iter(|| means(black_box(&values), window)));
        }
    }
}

/// What else is asked of windows, beside the mean; each against a computation from the values alone.
fn aggregates(criterion: &mut Criterion) {
    let values = Readings::new(COUNT, 100).values();
    let ways: [(&str, Way, Plain); 4] = [
        ("least", in_ring::<Least>, plain_least),
        ("greatest", in_ring::<Greatest>, plain_greatest),
        ("deviation", in_ring::<Deviation>, plain_deviation),
        ("median", in_ring::<Median>, plain_median),
    ];
    let mut group = group(criterion, "aggregate", COUNT);
    for window in WINDOWS {
        for (name, results, plain) in ways {
            let made = results(&values, window);
            // From scratch, that takes long: some are enough.
            for at in (0..COUNT).step_by(97) {
                let recent = &values[(at + 1).saturating_sub(window)..=at];
                assert_close(&[made[at]], &[plain(recent)]);
            }
            let id = BenchmarkId::new(name, window);
            group.bench_function(id, |b| b.iter(|| results(black_box(&values), window)));
        }
    }
}

/// Short windows and long ones: the size should hardly show.
const WINDOWS: [usize; 2] = [20, 10_000];

/// Values of one sensor that come together, as in a chunk of the input.
const RUN: usize = 40;

/// As the stages do: a ring of exactly the window's size, run by run.
fn in_ring<A: Aggregate<Options: Default>>(values: &[f64], window: usize) -> Vec<f64> {
    let (mut recent, mut results) = (Window::<A>::default(), Vec::with_capacity(values.len()));
    for mut run in values.chunks(RUN) {
        if recent.len() < window {
            let (filling, rest) = run.split_at(run.len().min(window - recent.len()));
            recent.fill(window, filling, A::Options::default(), &mut results);
            run = rest;
        }
        recent.slide(run, A::Options::default(), &mut results);
    }
    results
}

/// The same, value by value: as where some are missing, or the window is of a duration.
fn one_by_one<A: Aggregate<Options: Default>>(values: &[f64], window: usize) -> Vec<f64> {
    let mut recent = Window::<A>::default();
    let result = |&value: &f64| {
        if recent.len() == window {
            recent.leave();
        }
        recent.enter(Some(value), window);
        recent.result(NonFinite::Skip, A::Options::default()).expect("a sample")
    };
    values.iter().map(result).collect()
}

/// The standard library's queue, and an exact sum.
fn in_deque(values: &[f64], window: usize) -> Vec<f64> {
    let (mut recent, mut sum) = (VecDeque::with_capacity(window), ExactSum::new());
    let mean = |&value: &f64| {
        if recent.len() == window {
            sum.remove(recent.pop_front().expect("a full window"));
        }
        recent.push_back(value);
        sum.add(value);
        sum.mean(recent.len() as u64)
    };
    values.iter().map(mean).collect()
}

/// A vector whose values all move up when one leaves, and an exact sum.
fn in_shifted_vec(values: &[f64], window: usize) -> Vec<f64> {
    let (mut recent, mut sum) = (Vec::with_capacity(window), ExactSum::new());
    let mean = |&value: &f64| {
        if recent.len() == window {
            sum.remove(recent.remove(0));
        }
        recent.push(value);
        sum.add(value);
        sum.mean(recent.len() as u64)
    };
    values.iter().map(mean).collect()
}

/// What most engines do: a floating sum that carries its errors along.
fn by_running_sum(values: &[f64], window: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let mean = |at: usize| {
        sum += values[at];
        if at >= window {
            sum -= values[at - window];
        }
        sum / (at + 1).min(window) as f64
    };
    (0..values.len()).map(mean).collect()
}

criterion_group! {
    name = benches;
    config = short();
    targets = numbers, shortest, sums, windows, aggregates
}
criterion_main!(benches);
