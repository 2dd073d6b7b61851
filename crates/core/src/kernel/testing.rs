//! Helpers for tests of kernels: exact arithmetic as the oracle, numbers that are difficult for sums, and all ways to move records through
//! a window.

use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;

use super::window::{Aggregate, NonFinite, Window};

/// The exact value.
pub(super) fn rational(value: f64) -> BigRational {
    BigRational::from_float(value).expect("finite")
}

/// The nearest `f64`, ties to even, found by trying both neighbours of an estimate: simple, slow and reliable.
pub(super) fn nearest(value: &BigRational) -> f64 {
    let half_step = BigRational::new(BigInt::from(1) << 970, BigInt::from(1));
    let largest = rational(f64::MAX);
    if value >= &(&largest + &half_step) {
        return f64::INFINITY;
    }
    if value <= &-(&largest + &half_step) {
        return f64::NEG_INFINITY;
    }
    // Bisects over the order-preserving integer form of all finite floats.
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
pub(super) fn mean(values: &[f64]) -> f64 {
    let sum: BigRational = values.iter().map(|&value| rational(value)).sum();
    let rounded = nearest(&sum);
    let count = values.len() as f64;
    if rounded.is_finite() {
        return rounded / count;
    }
    let scale = BigRational::from_integer(BigInt::from(1) << 200);
    nearest(&(sum / scale)) / count * 2f64.powi(200)
}

/// The exact variance with the divisor n − `freedom`.
pub(super) fn variance(values: &[f64], freedom: u32) -> BigRational {
    let (count, freedom) = (BigInt::from(values.len()), BigInt::from(freedom));
    let sum: BigRational = values.iter().map(|&v| rational(v)).sum();
    let squares: BigRational = values.iter().map(|&v| rational(v) * rational(v)).sum();
    (squares - &sum * &sum / &count) / (count - freedom)
}

/// Any finite number; difficult ones are frequent.
pub(super) fn any_finite() -> impl Strategy<Value = f64> {
    const ADVERSARIAL: [f64; 15] = [
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
    ];
    let anything = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite());
    prop_oneof![proptest::sample::select(&ADVERSARIAL[..]), decimal(), anything]
}

/// A typical sensor reading.
fn decimal() -> impl Strategy<Value = f64> {
    (-4_000_000..4_000_000i32).prop_map(|v| f64::from(v) / 1000.0)
}

/// A number whose last bit is worth 2^`power`, or some powers of two less.
pub(super) fn near_power(power: i32) -> impl Strategy<Value = f64> {
    let scale =
        move |places: i32| 2f64.powi((power - places) / 2) * 2f64.powi(power - places - (power - places) / 2);
    (any::<i64>(), 0..12i32).prop_map(move |(bits, places)| (bits >> 10) as f64 * scale(places))
}

/// Numbers at the limit of the first grid of a window or just beyond it, or halfway between two high parts.
pub(super) fn at_the_edge() -> impl Strategy<Value = f64> {
    let largest = 2f64.powi(25) - 2f64.powi(-28);
    let (high, half) = (2f64.powi(-19), 2f64.powi(-20));
    let halfway = (-(1i64 << 32)..1 << 32).prop_map(move |n| n as f64 * high + half);
    let edges = [
        largest,
        largest,
        -largest,
        2f64.powi(25),
        2f64.powi(-12),
        2f64.powi(-64),
        2f64.powi(-65),
        0.0,
        -0.0,
    ];
    prop_oneof![proptest::sample::select(edges.to_vec()), halfway]
}

/// The values of a series, in stretches of one kind each: windows see ordinary numbers for a while, then others.
pub(super) fn any_series(longest: usize) -> impl Strategy<Value = Vec<Option<f64>>> {
    let of =
        move |value: BoxedStrategy<f64>| proptest::collection::vec(value.prop_map(Some), 0..longest).boxed();
    let unusual =
        proptest::sample::select(&[None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)][..]);
    let stretch = prop_oneof![
        4 => of(decimal().boxed()),
        2 => (-1074..970i32).prop_flat_map(move |power| of(near_power(power).boxed())),
        2 => of(at_the_edge().boxed()),
        1 => of(any_finite().boxed()),
        1 => any_finite().prop_flat_map(move |value| of(Just(value).boxed())),
        1 => proptest::collection::vec(unusual, 0..4),
    ];
    proptest::collection::vec(stretch, 1..6).prop_map(|stretches| stretches.concat())
}

/// The expected result of a window: `None` if fewer than `least` values count.
struct Judge<F> {
    non_finite: NonFinite,
    least: usize,
    /// The result over the values that count, at least one.
    plain: F,
}

impl<F: Fn(&[f64]) -> f64> Judge<F> {
    /// Checks the window's result against its content.
    fn check<A: Aggregate>(
        &self,
        window: &Window<A>,
        content: &[Option<f64>],
        options: A::Options,
    ) -> Result<Option<f64>, TestCaseError> {
        let is_counted = |value: &f64| value.is_finite() || self.non_finite == NonFinite::Propagate;
        let counted: Vec<f64> = content.iter().copied().flatten().filter(is_counted).collect();
        prop_assert_eq!(window.len(), content.len());
        prop_assert_eq!(window.samples(self.non_finite), counted.len() as u64);
        if counted.len() < self.least {
            return Ok(None);
        }
        let result = window.result(self.non_finite, options);
        prop_assert_eq!(bits(result), bits(Some((self.plain)(&counted))), "{:?} for {:?}", result, counted);
        Ok(result)
    }
}

/// For comparisons: all NaNs are equal.
fn bits(value: Option<f64>) -> Option<u64> {
    value.map(|value| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() })
}

/// Moves `values` through a window in several ways, and checks each result against `plain` of the values that count, if there are at least
/// `least` (1 or more): record by record; in pieces of the lengths `pieces` and through saved states; with any number of records leaving
/// for each that enters, as in a window of a duration.
pub(super) fn check_windows<A: Aggregate + Clone>(
    values: &[Option<f64>],
    rows: usize,
    pieces: &[usize],
    (options, least): (A::Options, usize),
    plain: impl Fn(&[f64]) -> f64,
) -> Result<(), TestCaseError> {
    for non_finite in [NonFinite::Skip, NonFinite::Propagate] {
        let judge = Judge { non_finite, least, plain: &plain };
        let (mut window, mut singly) = (Window::<A>::default(), Vec::new());
        for (at, &value) in values.iter().enumerate() {
            if window.len() == rows {
                window.leave();
            }
            window.enter(value, rows);
            let content = &values[(at + 1).saturating_sub(rows)..=at];
            singly.push(judge.check(&window, content, options)?);
        }
        let together = in_pieces::<A>(values, rows, pieces, (options, least), non_finite);
        prop_assert_eq!(together.len(), singly.len());
        for (at, (&one, &other)) in together.iter().zip(&singly).enumerate() {
            prop_assert_eq!(bits(one), bits(other), "value {} of {:?}", at, values);
        }
        let (mut window, mut start) = (Window::<A>::default(), 0);
        for (at, (&value, &leaving)) in values.iter().zip(pieces.iter().cycle()).enumerate() {
            for _ in 0..(leaving % 4).min(at - start) {
                window.leave();
                start += 1;
            }
            window.enter(value, usize::MAX);
            judge.check(&window, &values[start..=at], options)?;
        }
    }
    Ok(())
}

/// The results of windows that take records in pieces of the lengths `pieces`, where records and window are finite.
fn in_pieces<A: Aggregate + Clone>(
    values: &[Option<f64>],
    rows: usize,
    pieces: &[usize],
    (options, least): (A::Options, usize),
    non_finite: NonFinite,
) -> Vec<Option<f64>> {
    let (mut window, mut results) = (Window::<A>::default(), Vec::new());
    let mut pieces = pieces.iter().cycle();
    while let (rest @ [_, ..], Some(&len)) = (&values[results.len()..], pieces.next()) {
        let room = rows - window.len();
        let len = len.min(rest.len()).min(if room > 0 { room } else { usize::MAX });
        let part: Option<Vec<f64>> =
            rest[..len].iter().map(|value| value.filter(|value| value.is_finite())).collect();
        let fewest = window.len() + usize::from(room > 0);
        match part.filter(|_| window.is_finite() && fewest >= least) {
            Some(part) => {
                let mut made = Vec::new();
                match room {
                    0 => window.slide(&part, options, &mut made),
                    _ => window.fill(rows, &part, options, &mut made),
                }
                results.extend(made.into_iter().map(Some));
            }
            None => results.extend(rest[..len].iter().map(|&value| {
                if window.len() == rows {
                    window.leave();
                }
                window.enter(value, rows);
                let is_enough = window.samples(non_finite) >= least as u64;
                is_enough.then(|| window.result(non_finite, options)).flatten()
            })),
        }
        if len % 3 == 0 {
            let saved = postcard::to_stdvec(&window).expect("saved");
            window = postcard::from_bytes(&saved).expect("restored");
        }
    }
    results
}

/// Lengths of pieces: mostly those of a chunk.
pub(super) fn any_pieces() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![3 => 1..40usize, 1 => 1..300usize], 1..8)
}
