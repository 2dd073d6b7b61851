use super::*;
use proptest::prelude::*;

/// All implementations, for several numbers at once, against one by one.
fn check(values: &[f64]) -> Result<(), TestCaseError> {
    let mut expected = vec![Slot::EMPTY; values.len()];
    write_each(values, &mut expected);
    // The previous content does not matter.
    let mut slots = vec![Slot::new(b"something else"); values.len()];
    write_all(values, &mut slots);
    for ((value, slot), expected) in values.iter().zip(&slots).zip(&expected) {
        let (text, expected) = (slot.text().escape_ascii(), expected.text().escape_ascii());
        prop_assert_eq!(text.to_string(), expected.to_string(), "{:e}", value);
    }
    Ok(())
}

/// The double `steps` steps away from `value`.
fn neighbour(value: f64, steps: i64) -> f64 {
    f64::from_bits(value.to_bits().wrapping_add_signed(steps))
}

fn checked(values: impl IntoIterator<Item = f64>) {
    let values: Vec<f64> = values.into_iter().flat_map(|value| [value, -value]).collect();
    check(&values).expect("the same text");
}

#[test]
fn clause_18_texts_are_as_known() {
    let values =
        [19.941, 0.1, -0.0, 0.0, 100.0, 1e15, 1e16, 1e-5, 9.9e-6, 1e300, -2.5, f64::NAN, f64::INFINITY];
    let mut slots = [Slot::EMPTY; 13];
    write_all(&values, &mut slots);
    let texts = slots.each_ref().map(|slot| std::str::from_utf8(slot.text()).expect("text"));
    let expected = [
        "19.941",
        "0.1",
        "-0",
        "0",
        "100",
        "1000000000000000",
        "1e16",
        "0.00001",
        "9.9e-6",
        "1e300",
        "-2.5",
        "NaN",
        "inf",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn powers_of_two_and_their_neighbours() {
    let powers = (-1074..=1023).map(|exponent| 2_f64.powi(exponent));
    checked(powers.flat_map(|power| (-20..=20).map(move |steps| neighbour(power, steps))));
}

#[test]
fn powers_of_ten_and_their_neighbours() {
    let powers = (-323..=308).map(|exponent| format!("1e{exponent}").parse().expect("a number"));
    checked(powers.flat_map(|power| (-20..=20).map(move |steps| neighbour(power, steps))));
}

#[test]
fn ties_between_two_last_digits() {
    // Numbers ending in a quarter: sixteen digits before it, and a 2 or an 8 after.
    let wholes = (0..200).map(|at| (1_u64 << 50) + 10_000_000_019 * at);
    checked(wholes.flat_map(|whole| [0.0, 0.25, 0.5, 0.75].map(|part| whole as f64 + part)));
}

#[test]
fn whole_numbers_and_what_is_not_finite() {
    checked((0..2000).map(f64::from));
    checked([f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::INFINITY, f64::NAN, 4_503_599_627_370_495.5]);
}

/// Far more numbers than the other tests, in a few seconds with optimisation.
#[test]
#[ignore = "takes minutes without optimisation"]
fn a_hundred_million_numbers() {
    let (least, bound) = (1e-6_f64.to_bits(), 1e17_f64.to_bits());
    let mut state = 1_u64;
    for _ in 0..100_000 {
        let values: Vec<f64> = (0..1000)
            .map(|at| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let random = state ^ state >> 33;
                match at % 4 {
                    0 => (random % 1_000_000_000) as f64 / 1000.0,
                    1 => (random % 200_000) as f64 / 1000.0 / 120.0,
                    2 => f64::from_bits(random),
                    _ => f64::from_bits(least + random % (bound - least)),
                }
            })
            .collect();
        check(&values).expect("the same text");
    }
}

proptest! {
    #[test]
    fn any_bits(bits in proptest::collection::vec(any::<u64>(), 0..40)) {
        check(&bits.into_iter().map(f64::from_bits).collect::<Vec<_>>())?;
    }

    #[test]
    fn numbers_without_exponent(values in proptest::collection::vec(
        (1e-6_f64.to_bits()..1e17_f64.to_bits(), any::<bool>(), 0_u32..53), 0..40)) {
        let value = |(bits, negative, cut): (u64, bool, u32)| {
            let value = f64::from_bits(bits >> cut << cut);
            if negative { -value } else { value }
        };
        check(&values.into_iter().map(value).collect::<Vec<_>>())?;
    }

    #[test]
    fn short_decimals(values in proptest::collection::vec((0_u64..10_u64.pow(17), 0_u32..18, 0_i32..23), 0..40)) {
        let value = |(digits, cut, decimals): (u64, u32, i32)| (digits / 10_u64.pow(cut)) as f64 / 10_f64.powi(decimals);
        check(&values.into_iter().map(value).collect::<Vec<_>>())?;
    }
}
