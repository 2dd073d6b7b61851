//! Loops over numbers: parsing, exact sums, windows. Each answer is checked before it is timed.

mod common;

use std::collections::VecDeque;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tidemill::kernel::exact_sum::ExactSum;
use tidemill::kernel::number::parse_f64;
use tidemill::kernel::window::{DurationWindow, NonFinite, RowsWindow};

use common::{Readings, assert_close, assert_same, group, plain_means, short};

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

/// A way to the means of the last so many values.
type Means = fn(&[f64], usize) -> Vec<f64>;

/// The moving mean in different ways. All but the running sum are exact.
fn windows(criterion: &mut Criterion) {
    let values = Readings::new(COUNT, 100).values();
    let ways: [(&str, Means); 4] = [
        ("ring", in_ring),
        ("deque", in_deque),
        ("shifted vec", in_shifted_vec),
        ("running sum", by_running_sum),
    ];
    let mut group = group(criterion, "window", COUNT);
    for window in [20, 10_000] {
        let expected = plain_means(&values, window);
        for (name, means) in ways {
            assert_close(&means(&values, window), &expected);
            if name != "running sum" {
                assert_same(&means(&values, window), &in_ring(&values, window));
            }
            let id = BenchmarkId::new(name, window);
            group.bench_function(id, |b| b.iter(|| means(black_box(&values), window)));
        }
    }
    let window = 20;
    assert_same(&in_duration(&values, window), &in_ring(&values, window));
    group.bench_function(BenchmarkId::new("duration", window), |b| b.iter(|| in_duration(&values, window)));
}

/// As the stage does: a ring of exactly the window's size, and an exact sum.
fn in_ring(values: &[f64], window: usize) -> Vec<f64> {
    let mut recent = RowsWindow::default();
    let mean = |&value: &f64| {
        recent.push(Some(value), window);
        recent.tally().mean(NonFinite::Skip).expect("a sample")
    };
    values.iter().map(mean).collect()
}

/// The same over times a second apart.
fn in_duration(values: &[f64], seconds: usize) -> Vec<f64> {
    const SECOND: i64 = 1_000_000_000;
    let mut recent = DurationWindow::default();
    let mean = |(at, &value): (usize, &f64)| {
        recent.push(at as i64 * SECOND, Some(value), seconds as i64 * SECOND);
        recent.tally().mean(NonFinite::Skip).expect("a sample")
    };
    values.iter().enumerate().map(mean).collect()
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
    targets = numbers, sums, windows
}
criterion_main!(benches);
