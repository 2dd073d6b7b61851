//! Quantiles of many values in little room, within a stated error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::order::{key_of, value_of};
use super::quantile::{interpolate, place};

/// Cells an octave: values in one cell share sign, exponent and this many leading bits of the mantissa.
const CELLS: usize = 1 << CELL_BITS;
const CELL_BITS: u32 = 7;
/// Bits of a key below those that choose the cell.
const DROPPED: u32 = 52 - CELL_BITS;

/// How far a value that a [`QuantileSketch`] gives may be from the true order statistic, as a share of it: half a cell.
pub const QUANTILE_ERROR: f64 = 1.0 / (2 * CELLS) as f64;

/// Counts finite values by sign, exponent and the first bits of the mantissa: a histogram whose cells grow with the values, as in
/// HdrHistogram and DDSketch (Masson, Rim and Lee, 2019). Counts are whole numbers, so it depends on nothing but which values
/// went in: not on their order, nor on who counted which.
///
/// The value of a rank is the middle of its cell, at most [`QUANTILE_ERROR`] (0.39 %) off; subnormal numbers count as 0.
/// It takes 1 KiB for each octave that occurs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct QuantileSketch {
    count: u64,
    /// By sign and exponent, in ascending order of the values: how many lie in each cell.
    octaves: BTreeMap<u16, Vec<u64>>,
}

/// Counts that were saved, and are not believed yet.
#[derive(Deserialize)]
struct Saved {
    count: u64,
    octaves: BTreeMap<u16, Vec<u64>>,
}

impl TryFrom<Saved> for QuantileSketch {
    type Error = &'static str;

    fn try_from(Saved { count, octaves }: Saved) -> Result<Self, Self::Error> {
        let is_octave = |(&octave, cells): (&u16, &Vec<u64>)| octave < 1 << 12 && cells.len() == CELLS;
        let mut cells = octaves.values().flatten();
        let sum = cells.try_fold(0u64, |sum, &cell| sum.checked_add(cell));
        match octaves.iter().all(is_octave) && sum == Some(count) {
            true => Ok(Self { count, octaves }),
            false => Err("counts are those of octaves"),
        }
    }
}

impl QuantileSketch {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Counts a finite value.
    pub fn add(&mut self, value: f64) {
        let key = key_of(if value.is_normal() { value } else { 0.0 });
        let octave = self.octaves.entry((key >> 52) as u16).or_insert_with(|| vec![0; CELLS]);
        octave[(key >> DROPPED) as usize % CELLS] += 1;
        self.count += 1;
    }

    /// Counts all that `other` has counted.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        for (octave, cells) in other.octaves {
            let mine = self.octaves.entry(octave).or_insert_with(|| vec![0; CELLS]);
            mine.iter_mut().zip(cells).for_each(|(count, more)| *count += more);
        }
    }

    /// About the quantile `q`, 0 to 1, by linear interpolation between order statistics; `None` for no values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (low, part) = place(self.count, q)?;
        let high = (low + 1).min(self.count - 1);
        Some(interpolate(self.at_rank(low)?, self.at_rank(high)?, part))
    }

    /// The middle of the cell that holds the value of rank `rank`, from 0.
    fn at_rank(&self, rank: u64) -> Option<f64> {
        let cells = self.octaves.iter().flat_map(|(&octave, cells)| {
            cells
                .iter()
                .enumerate()
                .map(move |(cell, &count)| (u64::from(octave) << CELL_BITS | cell as u64, count))
        });
        let mut below = 0;
        for (cell, count) in cells {
            below += count;
            if rank < below {
                let middle = value_of(cell << DROPPED | 1 << (DROPPED - 1));
                return Some(if middle.is_normal() { middle } else { 0.0 });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::quantile::quantile_sorted;
    use proptest::prelude::*;

    fn sketch(values: &[f64]) -> QuantileSketch {
        let mut sketch = QuantileSketch::default();
        values.iter().for_each(|&value| sketch.add(value));
        sketch
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(QuantileSketch::default().quantile(0.5), None);
    }

    #[test]
    fn zero_is_zero() {
        assert_eq!(sketch(&[0.0, -0.0, 0.0]).quantile(0.5), Some(0.0));
        assert_eq!(sketch(&[-1.0, 0.0, 1.0]).quantile(0.5), Some(0.0));
    }

    #[test]
    fn a_thousand_readings_are_within_the_stated_error() {
        let values: Vec<f64> = (0..1000).map(|at| 20.0 + f64::from(at) / 100.0).collect();
        let sketch = sketch(&values);
        for q in [0.0, 0.01, 0.5, 0.95, 0.999, 1.0] {
            let (got, truth) =
                (sketch.quantile(q).expect("some"), quantile_sorted(&values, q).expect("some"));
            assert!((got - truth).abs() <= truth * QUANTILE_ERROR, "{q}: {got}, not {truth}");
        }
    }

    proptest! {
        #[test]
        fn every_order_statistic_is_within_the_stated_error(
            mut values in proptest::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 1..100),
        ) {
            let sketch = sketch(&values);
            values.sort_by(f64::total_cmp);
            for (rank, &truth) in values.iter().enumerate() {
                let got = sketch.at_rank(rank as u64).expect("a rank");
                let error = (truth.abs() * QUANTILE_ERROR).max(f64::MIN_POSITIVE);
                prop_assert!((got - truth).abs() <= error, "rank {}: {} instead of {}", rank, got, truth);
            }
        }

        #[test]
        fn neither_order_nor_parts_matter(
            values in proptest::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 0..60), at in 0..60usize,
        ) {
            let (first, second) = values.split_at(at.min(values.len()));
            let mut parts = sketch(second);
            parts.merge(sketch(first));
            prop_assert_eq!(parts, sketch(&values));
        }
    }
}
