//! The exact sums against exact rational arithmetic, bit for bit.

use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;

use super::*;

/// The exact value.
fn rational(value: f64) -> BigRational {
    BigRational::from_float(value).expect("finite")
}

/// The nearest `f64`, ties to even, found by trying both neighbours of an estimate: plain, slow and sure.
fn nearest(value: &BigRational) -> f64 {
    let half_step = BigRational::new(BigInt::from(1) << 970, BigInt::from(1));
    let largest = rational(f64::MAX);
    if value >= &(&largest + &half_step) {
        return f64::INFINITY;
    }
    if value <= &-(&largest + &half_step) {
        return f64::NEG_INFINITY;
    }
    // Bisect over the order-preserving integer form of all finite floats.
    let (mut low, mut high) = (order(-f64::MAX), order(f64::MAX));
    while low < high {
        let middle = ((i128::from(low) + i128::from(high) + 1).div_euclid(2)) as i64;
        if &rational(from_order(middle)) <= value { low = middle } else { high = middle - 1 }
    }
    let (below, above) = (from_order(low), from_order((low + 1).min(order(f64::MAX))));
    let (to_below, to_above) = (value - rational(below), rational(above) - value);
    let is_even = |x: f64| x.to_bits() & 1 == 0;
    let nearest = if to_below < to_above || to_below == to_above && is_even(below) { below } else { above };
    if nearest == 0.0 && value.numer() == &BigInt::from(0) { 0.0 } else { nearest }
}

fn order(x: f64) -> i64 {
    let bits = x.to_bits() as i64;
    if bits < 0 { -(bits & i64::MAX) } else { bits }
}

fn from_order(order: i64) -> f64 {
    if order < 0 { -f64::from_bits(-order as u64) } else { f64::from_bits(order as u64) }
}

/// The correctly rounded sum divided by the count; beyond the range, as if the exponent were unbounded.
fn mean(values: &[f64]) -> f64 {
    let sum: BigRational = values.iter().map(|&value| rational(value)).sum();
    let rounded = nearest(&sum);
    let count = values.len() as f64;
    if rounded.is_finite() {
        return rounded / count;
    }
    let scale = BigRational::from_integer(BigInt::from(1) << 200);
    nearest(&(sum / scale)) / count * 2f64.powi(200)
}

fn deviation(values: &[f64]) -> BigRational {
    let count = BigRational::from_integer(values.len().into());
    let sum: BigRational = values.iter().map(|&v| rational(v)).sum();
    let squares: BigRational = values.iter().map(|&v| rational(v) * rational(v)).sum();
    squares / &count - (&sum / &count) * (&sum / &count)
}

fn any_finite() -> impl Strategy<Value = f64> {
    let adversarial = prop_oneof![
        Just(1e16),
        Just(-1e16),
        Just(1e17),
        Just(-1e17),
        Just(1.0),
        Just(-1.0),
        Just(5e-324),
        Just(-5e-324),
        Just(f64::MIN_POSITIVE),
        Just(f64::MAX),
        Just(f64::MIN),
        Just(0.0),
        Just(-0.0),
        Just(0.1),
        Just(1e308)
    ];
    let sensor_like = (-4_000_000..4_000_000i32).prop_map(|v| f64::from(v) / 1000.0);
    let anything = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite());
    prop_oneof![adversarial, sensor_like, anything]
}

fn check_sum(values: &[f64]) -> Result<(), TestCaseError> {
    let mut sum = ExactSum::new();
    values.iter().for_each(|&value| sum.add(value));
    let exact: BigRational = values.iter().map(|&value| rational(value)).sum();
    prop_assert_eq!(sum.round().to_bits(), nearest(&exact).to_bits(), "{:?}", values);
    if !values.is_empty() {
        prop_assert_eq!(sum.mean(values.len() as u64).to_bits(), mean(values).to_bits(), "{:?}", values);
    }
    Ok(())
}

#[test]
fn a_sum_takes_little_room() {
    assert!(size_of::<ExactSum>() <= 48);
}

#[test]
fn clause_16_known_traps() {
    let mut ones = vec![1e16];
    ones.extend([1.0; 20]);
    let spikes = [1e17, 3.25, -1e17, 0.1];
    for values in
        [&ones[..], &spikes, &[f64::MAX; 5], &[5e-324; 7], &[f64::MAX, f64::MAX, f64::MIN], &[-0.0], &[]]
    {
        check_sum(values).expect("exact");
    }
}

proptest! {
    #[test]
    fn clause_16_sum_and_mean_are_correctly_rounded(values in proptest::collection::vec(any_finite(), 0..40)) {
        check_sum(&values)?;
    }

    #[test]
    fn clause_16_a_window_depends_on_its_content_alone(values in proptest::collection::vec(any_finite(), 1..80), width in 1..9usize) {
        let mut sum = ExactSum::new();
        for (at, &value) in values.iter().enumerate() {
            if at >= width {
                sum.remove(values[at - width]);
            }
            sum.add(value);
            let content = &values[(at + 1).saturating_sub(width)..=at];
            prop_assert_eq!(sum.mean(content.len() as u64).to_bits(), mean(content).to_bits(), "{:?}", content);
            if at % 5 == 0 {
                sum.rebuild(content.iter().copied());
                prop_assert_eq!(sum.mean(content.len() as u64).to_bits(), mean(content).to_bits());
            }
        }
    }

    #[test]
    fn sums_merge_in_any_order(values in proptest::collection::vec(any_finite(), 0..40), cut in 0..40usize) {
        let (left, right) = values.split_at(cut.min(values.len()));
        let mut sums = [left, right].map(|part| {
            let mut sum = ExactSum::new();
            part.iter().for_each(|&value| sum.add(value));
            sum
        });
        let (first, second) = sums.split_at_mut(1);
        second[0].merge(&first[0]);
        let exact: BigRational = values.iter().map(|&value| rational(value)).sum();
        prop_assert_eq!(second[0].round().to_bits(), nearest(&exact).to_bits());
    }

    #[test]
    fn a_deviation_is_the_root_of_an_exact_variance(values in proptest::collection::vec(any_finite(), 1..30)) {
        let (mut sum, mut squares) = (ExactSum::new(), ExactSquares::new());
        for &value in &values {
            sum.add(value);
            squares.add(value);
        }
        let got = population_deviation(&sum, &squares, values.len() as u64);
        let variance = deviation(&values);
        if got == 0.0 {
            prop_assert!(variance < rational(5e-324) * rational(5e-324));
        } else if got.is_finite() && got > 1e-300 {
            // √(1 ± 2^−53), rounded: within 2^−51 of the true deviation.
            let (low, high) = (rational(got) * rational(1.0 - 4e-16), rational(got) * rational(1.0 + 5e-16));
            prop_assert!(&low * &low <= variance && variance <= &high * &high, "{} for {:?}", got, values);
        }
    }
}
