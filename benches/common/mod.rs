//! What the criterion benches share.
#![allow(dead_code, unused_imports, reason = "no bench uses all of it")]

mod readings;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};

pub(crate) use readings::*;

/// How long the layers are measured: shortly.
pub(crate) fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

/// A group of benches that handle `count` values each.
pub(crate) fn group<'c>(
    criterion: &'c mut Criterion,
    name: &str,
    count: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(count as u64));
    group
}
