//! Formatting numbers for people.

/// Significant digits shown.
const SIGNIFICANT: usize = 6;

/// Six significant digits without trailing zeros. All digits before the point are shown; very large and very small numbers are in exponent
/// form.
pub(super) fn short(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() || value == 0.0 {
        return format!("{}", value + 0.0);
    }
    let scientific = format!("{value:.*e}", SIGNIFICANT - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..15) => {
            let decimals = usize::try_from(SIGNIFICANT as i32 - 1 - exponent).unwrap_or(0);
            trimmed(&format!("{value:.decimals$}")).into()
        }
        _ => format!("{}e{exponent}", trimmed(mantissa)),
    }
}

/// Removes trailing zeros after the point.
fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_shown_and_none_before_the_point_is_lost() {
        for (value, shown) in [
            (0.0, "0"),
            (-0.0, "0"),
            (19.0, "19"),
            (0.1 + 0.2, "0.3"),
            (20.316_666_666_666_67, "20.3167"),
            (-273.150_04, "-273.15"),
            (9.999_999_9, "10"),
            (0.012_345_678, "0.0123457"),
            (0.000_123_456_7, "0.000123457"),
            (0.000_012_345_67, "1.23457e-5"),
            (1_234_567.89, "1234568"),
            (123_456.78, "123457"),
            (999_999.7, "1000000"),
            (1e15, "1e15"),
            (-1.234_567_89e300, "-1.23457e300"),
            (5e-324, "4.94066e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(short(value), shown);
        }
    }
}
