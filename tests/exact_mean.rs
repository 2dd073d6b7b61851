//! Clause 16 from end to end: the means that a pipeline writes against exact integer arithmetic, bit for bit.
//!
//! Every finite `f64` is a whole number of units of 2^−1074, so a plain sum of big integers is exact.

use num_bigint::{BigInt, BigUint, Sign};
use proptest::prelude::*;
use tidemill::Pipeline;
use tidemill_engine::executor::{self, RunOptions};

/// A finite value in units of 2^−1074.
fn units(value: f64) -> BigInt {
    let bits = value.to_bits();
    let (exponent, fraction) = (bits >> 52 & 0x7ff, bits & ((1 << 52) - 1));
    let magnitude = match exponent {
        0 => BigInt::from(fraction),
        _ => BigInt::from(fraction | 1 << 52) << (exponent - 1),
    };
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

/// The nearest number of 53 bits, ties to even, as such a number and a power of two; the exponent has no end.
fn rounded(magnitude: &BigUint) -> (f64, u64) {
    let excess = magnitude.bits().saturating_sub(53);
    let kept = u64::try_from(magnitude >> excess).expect("53 bits");
    let rest = magnitude - (BigUint::from(kept) << excess);
    let half = if excess == 0 { BigUint::from(1u8) } else { BigUint::from(1u8) << (excess - 1) };
    let is_up = rest > half || rest == half && kept % 2 == 1;
    ((kept + u64::from(is_up)) as f64, excess)
}

/// The correctly rounded sum of finite values, divided by their number; the sum itself may be beyond all floats.
fn mean(values: &[f64]) -> f64 {
    let sum: BigInt = values.iter().map(|&value| units(value)).sum();
    let (sign, magnitude) = sum.into_parts();
    let (number, exponent) = rounded(&magnitude);
    let sign = if sign == Sign::Minus { -1.0 } else { 1.0 };
    let power = |exponent: i64| {
        (0..exponent.abs()).fold(1.0, |p: f64, _| if exponent < 0 { p / 2.0 } else { p * 2.0 })
    };
    // number · 2^(exponent − 1074), in two steps, of which none rounds where the other does not.
    let exponent = exponent as i64 - 1074;
    let sum = sign * number * power(exponent / 2) * power(exponent - exponent / 2);
    if sum.is_finite() {
        return sum / values.len() as f64;
    }
    sign * (number / values.len() as f64) * power(exponent / 2) * power(exponent - exponent / 2)
}

/// What a window with this content says: its mean, and how many values that is of.
fn expected(content: &[Option<f64>], propagate: bool) -> (Option<f64>, usize) {
    let values: Vec<f64> = content.iter().flatten().copied().filter(|v| propagate || v.is_finite()).collect();
    let mean = match values.iter().copied().filter(|value| !value.is_finite()).reduce(|a, b| a + b) {
        _ if values.is_empty() => None,
        Some(unusual) => Some(unusual),
        None => Some(mean(&values)),
    };
    (mean, values.len())
}

/// How far a window reaches back.
#[derive(Clone, Copy, Debug)]
enum Window {
    Rows(usize),
    Seconds(usize),
}

/// Runs the values of one sensor, `step` of them with each time, through a pipeline; holds every mean to the oracle.
fn check(
    values: &[Option<f64>],
    step: usize,
    window: Window,
    propagate: bool,
    chunk_size: usize,
) -> Result<(), TestCaseError> {
    let line = |(at, value): (usize, &Option<f64>)| {
        format!("{},a,{}\n", at / step, value.map(|value| value.to_string()).unwrap_or_default())
    };
    let text: String = values.iter().enumerate().map(line).collect();
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let [input, output] = ["in.csv", "out.csv"].map(|name| folder.path().join(name));
    std::fs::write(&input, format!("t,s,v\n{text}")).expect("written");
    let window_text = match window {
        Window::Rows(rows) => rows.to_string(),
        Window::Seconds(seconds) => format!("\"{seconds}s\""),
    };
    let non_finite = if propagate { "propagate" } else { "skip" };
    let pipeline = format!(
        "[source]\ntype = \"csv\"\npath = \"{}\"\ntime = \"t\"\ntime_format = \"s\"\nsensor = \"s\"\nmeasurements = [\"v\"]\n\
        [[stage]]\ntype = \"moving_average\"\nwindow = {window_text}\ncount = true\nnon_finite = \"{non_finite}\"\n\
        [[sink]]\ntype = \"csv\"\npath = \"{}\"",
        input.display(),
        output.display(),
    );
    let mut options = RunOptions { threads: Some(3), ..RunOptions::default() };
    options.open.chunk_size = chunk_size;
    executor::run(&Pipeline::from_toml(&pipeline).expect("a pipeline"), &options, &mut ()).expect("a run");
    let written = std::fs::read_to_string(&output).expect("an output");
    let records: Vec<&str> = written.lines().skip(1).collect();
    prop_assert_eq!(records.len(), values.len());
    for (at, record) in records.iter().enumerate() {
        let start = match window {
            Window::Rows(rows) => (at + 1).saturating_sub(rows),
            Window::Seconds(seconds) => ((at / step + 1).saturating_sub(seconds) * step).min(at),
        };
        let (mean, count) = expected(&values[start..=at], propagate);
        let fields: Vec<&str> = record.split(',').collect();
        let got: Option<f64> = fields[3].parse().ok();
        let bits =
            |mean: Option<f64>| mean.map(|m| if m.is_nan() { f64::NAN.to_bits() } else { m.to_bits() });
        let content = &values[start..=at];
        prop_assert_eq!(fields[4], count.to_string(), "{} for {:?}", record, content);
        prop_assert_eq!(bits(got), bits(mean), "{} for {:?}, not {:?}", record, content, mean);
    }
    Ok(())
}

#[test]
fn clause_16_the_oracle_knows_what_fsum_gives() {
    assert_eq!(mean(&[1e16, 1.0, 1.0]), 10_000_000_000_000_002.0 / 3.0);
    assert_eq!(mean(&[0.1; 10]), 0.1);
    assert_eq!(mean(&[1e100, 1.0, -1e100]), 1.0 / 3.0);
    assert_eq!(mean(&[5e-324, 5e-324]), 5e-324);
    assert_eq!(mean(&[f64::MAX, f64::MAX, f64::MAX]), f64::MAX);
    assert_eq!(mean(&[f64::MIN, f64::MAX]).to_bits(), 0);
}

#[test]
fn clause_16_adversarial_series() {
    let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    let ones = [&[1e16][..], &[1.0; 30]].concat();
    let spikes: Vec<f64> = (0..40).map(|n| [1e17, 0.1, -1e17, 0.3, 1.0][n % 5]).collect();
    let denormals: Vec<f64> = (0..40u64).map(|n| f64::from_bits(n * n * 7919)).collect();
    let across: Vec<f64> = (0..40).map(|n| if n % 3 == 0 { f64::MIN_POSITIVE } else { -5e-324 }).collect();
    let huge: Vec<f64> = (0..40).map(|n| if n % 7 == 6 { f64::MIN } else { f64::MAX }).collect();
    let infinite: Vec<f64> = (0..40)
        .map(|n| match n % 11 {
            3 => f64::INFINITY,
            7 => f64::NEG_INFINITY,
            9 => f64::NAN,
            n => f64::from(n) / 10.0,
        })
        .collect();
    for values in [ones, spikes, denormals, across, huge, infinite] {
        for window in [Window::Rows(1), Window::Rows(3), Window::Rows(20), Window::Seconds(4)] {
            for propagate in [false, true] {
                check(&some(&values), 2, window, propagate, 64).expect("exact");
            }
        }
    }
}

fn any_value() -> impl Strategy<Value = Option<f64>> {
    let adversarial = proptest::sample::select(
        &[
            1e16,
            -1e16,
            1e17,
            -1e17,
            1.0,
            -1.0,
            5e-324,
            -5e-324,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::MIN,
            0.0,
            -0.0,
            0.1,
            1e308,
        ][..],
    );
    let unusual =
        proptest::sample::select(&[None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)][..]);
    prop_oneof![
        4 => adversarial.prop_map(Some),
        4 => (-4_000_000..4_000_000i32).prop_map(|value| Some(f64::from(value) / 1000.0)),
        4 => any::<u64>().prop_map(|bits| Some(f64::from_bits(bits)).filter(|value| !value.is_nan())),
        1 => unusual,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn clause_16_any_series(
        values in proptest::collection::vec(any_value(), 1..300),
        step in 1..4usize,
        window in prop_oneof![(1..40usize).prop_map(Window::Rows), (1..20usize).prop_map(Window::Seconds)],
        propagate in any::<bool>(),
        chunk_size in 20..2000usize,
    ) {
        check(&values, step, window, propagate, chunk_size)?;
    }
}
