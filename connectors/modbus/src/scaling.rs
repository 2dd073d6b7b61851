//! Raw numbers in the unit of their measurement.

/// The raw number times a scale, plus an offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scaling {
    factor: Factor,
    offset: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Factor {
    Times(f64),
    By(f64),
}

impl Scaling {
    /// A scale such as 0.1 is no float: dividing by 10 gives the float that is nearest to the decimal number, multiplying does not.
    pub(crate) fn new(scale: f64, offset: f64) -> Self {
        let divisor = (1.0 / scale).round();
        let is_exact = scale.abs() < 1.0 && 1.0 / divisor == scale;
        Self { factor: if is_exact { Factor::By(divisor) } else { Factor::Times(scale) }, offset }
    }

    pub(crate) fn apply(self, raw: f64) -> f64 {
        let scaled = match self.factor {
            Factor::Times(scale) => raw * scale,
            Factor::By(divisor) => raw / divisor,
        };
        scaled + self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_decimal_scale_gives_the_nearest_decimal_number() {
        let scaled = |scale, offset, raw| Scaling::new(scale, offset).apply(raw);
        assert_eq!(scaled(0.1, 0.0, 3.0), 0.3, "3 * 0.1 is 0.30000000000000004");
        assert_eq!(scaled(-0.01, 0.0, 7.0), -0.07);
        assert_eq!(scaled(0.1, -40.0, -1.0), -40.1);
        assert_eq!(scaled(2.5, 1.0, 4.0), 11.0);
        assert_eq!(scaled(1.0, 0.5, 4.0), 4.5);
    }

    proptest! {
        #[test]
        fn a_scale_is_within_a_rounding_of_the_product(raw: u16, scale in -1e6..1e6_f64, offset in -1e6..1e6_f64) {
            prop_assume!(scale != 0.0);
            let scaled = Scaling::new(scale, offset).apply(raw.into());
            let product = f64::from(raw) * scale + offset;
            prop_assert!((scaled - product).abs() <= 1e-9 * (1.0 + product.abs() + offset.abs()), "{scaled} {product}");
        }
    }
}
