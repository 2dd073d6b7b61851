//! The summary of the values of one series, from which all statistics are computed; independent of their order.

use serde::{Deserialize, Serialize};

use super::{BoundAggregate, Statistic};
use crate::batch::{FieldType, Number};
use crate::kernel::exact_sum::{ExactSquares, ExactSum, population_deviation};
use crate::kernel::integers::is_float;
use crate::kernel::order::{greater, lesser};
use crate::kernel::sketch::QuantileSketch;

/// The finite values of one series. The expensive parts exist only if a statistic needs them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Summary {
    count: u64,
    min: f64,
    max: f64,
    sum: Option<ExactSum>,
    squares: Option<Box<ExactSquares>>,
    sketch: Option<Box<QuantileSketch>>,
    /// Minimum and maximum, if the values include integers that f64 cannot represent.
    integers: Option<Box<(i128, i128)>>,
}

impl Summary {
    /// A summary of no values, with the parts that `bound` needs.
    pub(super) fn new(bound: &BoundAggregate) -> Self {
        let has = |wanted: &[Statistic]| bound.statistics.iter().any(|statistic| wanted.contains(statistic));
        Self {
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: has(&[Statistic::Sum, Statistic::Mean, Statistic::Std]).then(ExactSum::new),
            squares: has(&[Statistic::Std]).then(Box::default),
            sketch: (!bound.quantiles.is_empty()).then(Box::default),
            integers: None,
        }
    }

    /// Whether it is a summary of at least one value, with the same parts as `other`.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let parts = |of: &Self| (of.sum.is_some(), of.squares.is_some(), of.sketch.is_some());
        let is_range = self.min.is_finite() && self.max.is_finite() && self.min <= self.max;
        let has_counted = |sketch: &QuantileSketch| sketch.count() == self.count;
        parts(self) == parts(other)
            && (self.count == 0 || is_range)
            && self.sketch.as_ref().is_none_or(|sketch| has_counted(sketch))
    }

    /// Adds a value, unless it is NaN or infinite.
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.count += 1;
        self.min = lesser(self.min, value);
        self.max = greater(self.max, value);
        if let Some(sum) = &mut self.sum {
            sum.add(value);
        }
        if let Some(squares) = &mut self.squares {
            squares.add(value);
        }
        if let Some(sketch) = &mut self.sketch {
            sketch.add(value);
        }
    }

    /// Adds a number of any type, if there is one.
    #[inline]
    pub(super) fn add_number(&mut self, value: Option<Number>) {
        match value {
            None => {}
            Some(Number::F64(value)) => self.add(value),
            Some(value) => match value.as_integer() {
                Some(integer) if self.integers.is_some() || !is_float(integer) => {
                    self.add_with_digits(integer)
                }
                _ => self.add(value.as_f64()),
            },
        }
    }

    #[cold]
    fn add_with_digits(&mut self, value: i128) {
        let (least, greatest) = self.integer_extremes().unwrap_or((value, value));
        self.integers = Some(Box::new((least.min(value), greatest.max(value))));
        let nearest = value as f64;
        self.count += 1;
        self.min = lesser(self.min, nearest);
        self.max = greater(self.max, nearest);
        self.sum.iter_mut().for_each(|sum| sum.add_integer(value));
        self.squares.iter_mut().for_each(|squares| squares.add_integer(value));
        self.sketch.iter_mut().for_each(|sketch| sketch.add(nearest));
    }

    /// Minimum and maximum of values that are all integers; `None` for no values.
    fn integer_extremes(&self) -> Option<(i128, i128)> {
        let of_floats = || (self.count > 0).then_some((self.min as i128, self.max as i128));
        self.integers.as_ref().map_or_else(of_floats, |integers| Some(**integers))
    }

    /// The minimum or maximum, of type `ty`; `None` for no values.
    pub(super) fn extreme(&self, statistic: Statistic, ty: FieldType) -> Option<Number> {
        let is_least = statistic == Statistic::Min;
        if ty.is_integer() {
            let (least, greatest) = self.integer_extremes()?;
            return Number::of_integer(if is_least { least } else { greatest }, ty);
        }
        Number::F64(self.statistic(statistic)?).to_type(ty)
    }

    /// Adds the values of `other`, which has the same parts.
    pub(super) fn merge(&mut self, other: Self) {
        if self.integers.is_some() || other.integers.is_some() {
            let both = [self.integer_extremes(), other.integer_extremes()].into_iter().flatten();
            let both = both.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            self.integers = both.map(Box::new);
        }
        self.count += other.count;
        self.min = lesser(self.min, other.min);
        self.max = greater(self.max, other.max);
        if let (Some(sum), Some(more)) = (&mut self.sum, &other.sum) {
            sum.merge(more);
        }
        if let (Some(squares), Some(more)) = (&mut self.squares, &other.squares) {
            squares.merge(more);
        }
        if let (Some(sketch), Some(more)) = (&mut self.sketch, other.sketch) {
            sketch.merge(*more);
        }
    }

    /// The number of values.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The result of `statistic`; `None` for no values. The count is a float here.
    pub(super) fn statistic(&self, statistic: Statistic) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        match statistic {
            Statistic::Count => Some(self.count as f64),
            Statistic::Min => Some(self.min),
            Statistic::Max => Some(self.max),
            Statistic::Sum => self.sum.as_ref().map(ExactSum::round),
            Statistic::Mean => self.sum.as_ref().map(|sum| sum.mean(self.count)),
            Statistic::Std => {
                let (sum, squares) = self.sum.as_ref().zip(self.squares.as_ref())?;
                Some(population_deviation(sum, squares, self.count))
            }
        }
    }

    /// The approximate quantile `q`, clamped to the minimum and maximum.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let about = self.sketch.as_ref()?.quantile(q)?;
        Some(match q {
            0.0 => self.min,
            1.0 => self.max,
            _ => greater(self.min, lesser(about, self.max)),
        })
    }
}
