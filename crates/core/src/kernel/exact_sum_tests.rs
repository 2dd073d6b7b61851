//! The exact sums against exact rational arithmetic, bit for bit.

use num_rational::BigRational;
use proptest::prelude::*;

use super::super::testing::{any_finite, mean, nearest, rational, variance};
use super::*;

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
    fn a_deviation_is_the_root_of_an_exact_variance(values in proptest::collection::vec(any_finite(), 1..30), freedom in 0..2u32) {
        check_deviation(&values, freedom)?;
    }

    #[test]
    fn clause_16_a_subnormal_deviation_is_rounded_once(
        values in proptest::collection::vec((any::<u64>(), 11..63u32), 2..12), freedom in 0..2u32,
    ) {
        let values: Vec<f64> = values.into_iter().map(|(bits, shift)| f64::from_bits(bits >> shift)).collect();
        check_deviation(&values, freedom)?;
    }
}

/// Checks a deviation: the exact variance is rounded to 53 bits, and the result is the nearest number to its root.
fn check_deviation(values: &[f64], freedom: u32) -> Result<(), TestCaseError> {
    if values.len() <= freedom as usize {
        return Ok(());
    }
    let (mut sum, mut squares) = (ExactSum::new(), ExactSquares::new());
    for &value in values {
        sum.add(value);
        squares.add(value);
    }
    let got = deviation(&sum, &squares, values.len() as u64, freedom.into());
    let variance = variance(values, freedom);
    if variance == rational(0.0) {
        prop_assert_eq!(got.to_bits(), 0);
        return Ok(());
    }
    // Scaled by an even power of two to the middle of the range, rounded there, and scaled back.
    let bits = variance.numer().bits() as i64 - variance.denom().bits() as i64;
    let scale = two().pow((-bits / 2 * 2) as i32);
    let rounded = rational(nearest(&(variance * &scale))) / scale;
    // Half a unit in the last place to either side.
    let beside = |other: f64| (rational(got) + rational(other)) / two();
    prop_assert!(
        got.is_infinite() || rounded <= square(beside(got.next_up().min(f64::MAX))) || got == f64::MAX,
        "{:e} for {:?}",
        got,
        values
    );
    if got > 0.0 {
        let below = if got.is_infinite() { rational(f64::MAX) } else { beside(got.next_down()) };
        prop_assert!(square(below) <= rounded, "{:e} for {:?}", got, values);
    }
    Ok(())
}

fn two() -> BigRational {
    rational(2.0)
}

fn square(number: BigRational) -> BigRational {
    &number * &number
}
