//! Quantiles of many values in little memory, with a bounded error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::quantile::{interpolate, place};

/// Cells per octave: values in one cell share the sign, the power of two and this many bits after the leading one.
const CELLS: usize = 1 << CELL_BITS;
const CELL_BITS: u32 = 7;
/// The maximum number of values of an octave that are stored individually.
const FEW: usize = 14;
/// Bits of a mantissa below those that select the cell.
const DROPPED: u32 = 52 - CELL_BITS;
/// Octaves of subnormal numbers, between zero and the normal numbers.
const SUBNORMAL: u32 = 52;
/// The cell of +0; that of −0 precedes it.
const ZERO: u32 = END << CELL_BITS;
/// Octaves on either side of zero: zero itself, the subnormal ones, and 2,046 of normal numbers.
const END: u32 = 1 + SUBNORMAL + 2046;

/// The maximum relative error of a value that a [`QuantileSketch`] returns for an order statistic: half a cell.
pub const QUANTILE_ERROR: f64 = 1.0 / (2 * CELLS) as f64;

/// Counts finite values by sign, power of two and the first bits after the leading one: a histogram whose cells grow with the values, as in
/// HdrHistogram and DDSketch (Masson, Rim and Lee, 2019). Counts are integers, so the sketch depends only on the values added, not on their
/// order or on how they were merged.
///
/// The value of a rank is the middle of its cell, with an error of at most [`QUANTILE_ERROR`] (0.39 %), including subnormal numbers; zeros
/// keep their sign. Each octave that occurs takes 16 bytes, 128 more if it has more than 14 values, and 1 KiB if one of its cells has more
/// than 255.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedSketch", into = "SavedSketch")]
pub struct QuantileSketch {
    count: u64,
    /// By octave, in ascending order of the values: the number of values in each cell.
    octaves: BTreeMap<u16, Octave>,
}

/// The number of values in each cell of an octave. The representation depends on the counts alone.
#[derive(Clone, Debug, PartialEq)]
enum Octave {
    /// Few values, for which a table would be mostly empty: the cell of each, in order, then zeros.
    Few {
        len: u8,
        cells: [u8; FEW],
    },
    Narrow(Box<[u8; CELLS]>),
    Wide(Box<[u64; CELLS]>),
}

impl Default for Octave {
    fn default() -> Self {
        Self::Few { len: 0, cells: [0; FEW] }
    }
}

impl Octave {
    #[inline]
    fn add(&mut self, cell: usize, more: u64) {
        match self {
            Self::Wide(counts) => counts[cell] += more,
            Self::Narrow(counts) => match u8::try_from(u64::from(counts[cell]) + more) {
                Ok(count) => counts[cell] = count,
                Err(_) => self.grow(cell, more),
            },
            Self::Few { len, cells } if u64::from(*len) + more <= FEW as u64 => {
                let (end, more) = (usize::from(*len), more as usize);
                let at = cells[..end].partition_point(|&known| usize::from(known) < cell);
                cells.copy_within(at..end, at + more);
                cells[at..at + more].fill(cell as u8);
                *len += more as u8;
            }
            Self::Few { .. } => self.grow(cell, more),
        }
    }

    /// Switches to the next larger representation that has room for `more` values.
    #[cold]
    fn grow(&mut self, cell: usize, more: u64) {
        let mut wide = Box::new([0; CELLS]);
        self.counts().for_each(|(cell, count)| wide[cell as usize] = count);
        wide[cell] += more;
        let is_narrow = wide.iter().all(|&count| count <= u8::MAX.into());
        *self =
            if is_narrow { Self::Narrow(Box::new(wide.map(|count| count as u8))) } else { Self::Wide(wide) };
    }

    /// The non-empty cells, in order.
    fn counts(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let (few, tabled) = match self {
            Self::Few { len, cells } => (&cells[..usize::from(*len)], 0),
            _ => (&[][..], CELLS),
        };
        let count = |cell: usize| match self {
            Self::Few { .. } => 0,
            Self::Narrow(counts) => counts[cell].into(),
            Self::Wide(counts) => counts[cell],
        };
        let few = few.chunk_by(|a, b| a == b).map(|alike| (u32::from(alike[0]), alike.len() as u64));
        few.chain((0..tabled).map(move |cell| (cell as u32, count(cell))).filter(|&(_, count)| count > 0))
    }
}

/// The non-empty cells, in order, with their counts: the serialised form, validated when it is read.
#[derive(Serialize, Deserialize)]
struct SavedSketch(Vec<(u32, u64)>);

impl From<QuantileSketch> for SavedSketch {
    fn from(sketch: QuantileSketch) -> Self {
        Self(sketch.cells().collect())
    }
}

impl TryFrom<SavedSketch> for QuantileSketch {
    type Error = &'static str;

    fn try_from(SavedSketch(cells): SavedSketch) -> Result<Self, Self::Error> {
        let mut sketch = Self::default();
        let mut next = 0;
        for (cell, count) in cells {
            if cell < next || cell >= 2 * ZERO || count == 0 {
                return Err("cells are out of range or not in order");
            }
            sketch.count = sketch.count.checked_add(count).ok_or("more values than can be counted")?;
            sketch.octave(cell).add(cell as usize % CELLS, count);
            next = cell + 1;
        }
        Ok(sketch)
    }
}

impl QuantileSketch {
    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Counts a finite value.
    pub fn add(&mut self, value: f64) {
        let cell = cell_of(value);
        self.octave(cell).add(cell as usize % CELLS, 1);
        self.count += 1;
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        for (at, octave) in other.octaves {
            let mine = self.octaves.entry(at).or_default();
            octave.counts().for_each(|(cell, more)| mine.add(cell as usize, more));
        }
    }

    /// The approximate quantile `q`, 0 to 1, by linear interpolation between order statistics; `None` without values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (low, part) = place(self.count, q)?;
        let high = (low + 1).min(self.count - 1);
        Some(interpolate(self.at_rank(low)?, self.at_rank(high)?, part))
    }

    /// The middle of the cell that contains the value of rank `rank`, from 0.
    fn at_rank(&self, rank: u64) -> Option<f64> {
        let mut below = 0;
        let mut holds = |&(_, count): &(u32, u64)| {
            below += count;
            rank < below
        };
        self.cells().find(|cell| holds(cell)).map(|(cell, _)| middle_of(cell))
    }

    /// The non-empty cells, in order.
    fn cells(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.octaves.iter().flat_map(|(&at, octave)| {
            octave.counts().map(move |(cell, count)| (u32::from(at) << CELL_BITS | cell, count))
        })
    }

    fn octave(&mut self, cell: u32) -> &mut Octave {
        self.octaves.entry((cell >> CELL_BITS) as u16).or_default()
    }
}

/// The cell of a finite value; cells compare like values.
#[inline]
fn cell_of(value: f64) -> u32 {
    let magnitude = value.to_bits() & !(1 << 63);
    let cell = match magnitude >> 52 {
        0 => cell_of_subnormal(magnitude),
        _ => (magnitude >> DROPPED) as u32 + (SUBNORMAL << CELL_BITS),
    };
    if value.is_sign_negative() { ZERO - 1 - cell } else { ZERO + cell }
}

/// The distance in cells from zero of `units` of the smallest subnormal number.
fn cell_of_subnormal(units: u64) -> u32 {
    let Some(power) = units.checked_ilog2() else { return 0 };
    let leading = if power < CELL_BITS { units << (CELL_BITS - power) } else { units >> (power - CELL_BITS) };
    (1 + power) << CELL_BITS | (leading as u32 % CELLS as u32)
}

/// The middle value of a cell.
fn middle_of(cell: u32) -> f64 {
    let (is_negative, cell) = if cell < ZERO { (true, ZERO - 1 - cell) } else { (false, cell - ZERO) };
    let leading = (u64::from(cell) % CELLS as u64) | CELLS as u64;
    let magnitude = match cell >> CELL_BITS {
        0 => 0,
        // As many cells as numbers: each is exact.
        octave @ ..=8 => leading >> (8 - octave),
        octave @ ..=SUBNORMAL => (2 * leading + 1) << (octave - 9),
        _ => u64::from(cell - (SUBNORMAL << CELL_BITS)) << DROPPED | 1 << (DROPPED - 1),
    };
    f64::from_bits(magnitude | u64::from(is_negative) << 63)
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
    fn zeros_keep_their_sign_and_are_no_subnormal_numbers() {
        assert_eq!(sketch(&[0.0, -0.0, 0.0]).quantile(0.5).map(f64::to_bits), Some(0));
        assert_eq!(sketch(&[-0.0; 3]).quantile(0.5).map(f64::to_bits), Some(1 << 63));
        assert_eq!(sketch(&[-1.0, 0.0, 1.0]).quantile(0.5), Some(0.0));
        let least = f64::from_bits(1);
        assert_eq!(sketch(&[-least, -0.0, 0.0, least]).quantile(0.0), Some(-least));
        assert_eq!(sketch(&[-least, -0.0, 0.0, least]).quantile(1.0), Some(least));
    }

    #[test]
    fn all_magnitudes_of_both_signs_take_less_than_a_mebibyte() {
        assert!(size_of::<Octave>() <= 16);
        let mut sketch = QuantileSketch::default();
        for octave in 0..1 << 12u64 {
            (0..CELLS as u64).for_each(|at| {
                let value = f64::from_bits(octave << 52 | at << DROPPED);
                value.is_finite().then(|| sketch.add(value));
            });
        }
        let octaves = 2 * (END as usize);
        assert!(sketch.octaves.len() <= octaves && sketch.octaves.len() > 4000);
        assert!(!sketch.octaves.values().any(|octave| matches!(octave, Octave::Wide(_))));
        assert!(octaves * (CELLS + 64) < 1 << 20);
        let few: Vec<f64> = (0..1 << 12u64)
            .flat_map(|octave| [octave << 52, octave << 52 | 1 << 51])
            .map(f64::from_bits)
            .collect();
        let few = self::sketch(&few.into_iter().filter(|value| value.is_finite()).collect::<Vec<_>>());
        assert!(few.octaves.values().all(|octave| matches!(octave, Octave::Few { .. })));
    }

    #[test]
    fn cells_ascend_with_the_values_and_hold_their_middles() {
        let mut before = None;
        for magnitude in (0..1 << 12)
            .chain((12..63).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + (1 << (bit - 9))]))
        {
            let value = f64::from_bits(magnitude);
            if !value.is_finite() {
                continue;
            }
            let cell = cell_of(value);
            assert!(before.is_none_or(|before| before <= cell) && cell < 2 * ZERO, "{value:e}");
            assert_eq!(cell_of(middle_of(cell)), cell, "{value:e}");
            assert_eq!(cell_of(-value), 2 * ZERO - 1 - cell);
            before = Some(cell);
        }
        assert_eq!(cell_of(f64::MAX), 2 * ZERO - 1);
        assert_eq!(cell_of(f64::MIN), 0);
    }

    #[test]
    fn an_octave_is_of_the_kind_that_its_counts_need() {
        let kind = |count: u32| match sketch(&vec![1.5; count as usize]).octaves.values().next() {
            Some(Octave::Few { .. }) => 0,
            Some(Octave::Narrow(_)) => 1,
            Some(Octave::Wide(_)) => 2,
            None => 3,
        };
        assert_eq!([0, 1, 14, 15, 255, 256].map(kind), [3, 0, 0, 1, 1, 2]);
        // However they were merged.
        for (first, second) in [(7, 7), (7, 8), (14, 241), (14, 242), (255, 1)] {
            let values: Vec<f64> = (0..first + second).map(|at| 1.0 + f64::from(at % 2) / 2.0).collect();
            let mut parts = sketch(&values[first as usize..]);
            parts.merge(sketch(&values[..first as usize]));
            assert_eq!(parts, sketch(&values));
        }
    }

    #[test]
    fn what_is_restored_is_what_was_saved() {
        let values: Vec<f64> = (0..900).map(|at| f64::from(at % 3) * 5e-324 - f64::from(at % 2)).collect();
        let sketch = sketch(&values);
        let bytes = postcard::to_stdvec(&sketch).expect("saved");
        assert_eq!(postcard::from_bytes::<QuantileSketch>(&bytes).expect("restored"), sketch);
        for cells in [vec![(2 * ZERO, 1)], vec![(7, 0)], vec![(7, 1), (7, 1)], vec![(1, u64::MAX), (2, 1)]] {
            let bytes = postcard::to_stdvec(&SavedSketch(cells)).expect("saved");
            assert!(postcard::from_bytes::<QuantileSketch>(&bytes).is_err());
        }
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

    /// Zeros and subnormal numbers of both signs and all magnitudes.
    fn subnormal() -> impl Strategy<Value = f64> {
        (any::<bool>(), any::<u64>(), 12..64u32)
            .prop_map(|(sign, bits, shift)| f64::from_bits(bits >> shift | u64::from(sign) << 63))
    }

    proptest! {
        #[test]
        fn every_order_statistic_is_within_the_stated_error(
            mut values in proptest::collection::vec(
                prop_oneof![any::<f64>().prop_filter("finite", |v| v.is_finite()), subnormal()], 1..100,
            ),
        ) {
            let sketch = sketch(&values);
            values.sort_by(f64::total_cmp);
            for (rank, &truth) in values.iter().enumerate() {
                let got = sketch.at_rank(rank as u64).expect("a rank");
                // Both scaled up, where the difference of subnormal numbers is exact.
                let [got, truth] = [got, truth].map(|value| if truth.is_normal() { value } else { value * 2f64.powi(1000) });
                prop_assert!((got - truth).abs() <= truth.abs() * QUANTILE_ERROR, "rank {}: {:e} instead of {:e}", rank, got, truth);
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
