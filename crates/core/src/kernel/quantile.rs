//! Quantiles by linear interpolation between order statistics, exact, in bounded memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::order::{key_of, value_of};

/// The quantile `q` (0 to 1) of sorted values: with h = (n − 1)·q, x⌊h⌋ + (h − ⌊h⌋)·(x⌊h⌋₊₁ − x⌊h⌋)
/// (Hyndman and Fan, "Sample quantiles in statistical packages", 1996, type 7). `None` for no values.
pub fn quantile_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let (low, part) = place(sorted.len() as u64, q)?;
    let low = low as usize;
    Some(interpolate(sorted[low], sorted[(low + 1).min(sorted.len() - 1)], part))
}

/// The rank below quantile `q` of `count` values, and the fraction of the distance to the next one.
pub(super) fn place(count: u64, q: f64) -> Option<(u64, f64)> {
    let h = count.checked_sub(1)? as f64 * q;
    Some((h.floor() as u64, h - h.floor()))
}

pub(super) fn interpolate(low: f64, high: f64, part: f64) -> f64 {
    match high - low {
        _ if part == 0.0 => low,
        distance if distance.is_finite() => low + part * distance,
        // The difference would overflow.
        _ => low * (1.0 - part) + high * part,
    }
}

/// Order statistics of a multiset of finite values, over one pass or several.
///
/// A pass counts keys: values in an order-preserving form, truncated to their top bits so that at most `limit` distinct ones are kept. With
/// few distinct values one pass is enough. Otherwise each further pass examines only the cells that contain a wanted rank, again with
/// `limit` distinct keys each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExactQuantiles {
    wanted: Vec<f64>,
    limit: usize,
    count: u64,
    /// The parts of the number line under examination, by their first key; in the first pass a single one, all of it.
    cells: Vec<Cell>,
    passes: u32,
}

/// A part of the number line: the keys `first ..= last`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    first: u64,
    last: u64,
    /// The number of values below it.
    below: u64,
    /// Keys are counted without their lowest `dropped` bits.
    dropped: u32,
    counts: BTreeMap<u64, u64>,
}

impl ExactQuantiles {
    /// Searches the quantiles `wanted`, each from 0 to 1, with about `limit` counters per quantile.
    pub fn new(wanted: &[f64], limit: usize) -> Self {
        let all = Cell { first: 0, last: u64::MAX, below: 0, dropped: 0, counts: BTreeMap::new() };
        Self { wanted: wanted.to_vec(), limit: limit.max(2), count: 0, cells: vec![all], passes: 0 }
    }

    /// Adds a finite value; every pass must see the same ones, in any order.
    pub fn add(&mut self, value: f64) {
        self.count += u64::from(self.passes == 0);
        let key = key_of(value);
        let at = self.cells.partition_point(|cell| cell.last < key);
        if let Some(cell) = self.cells.get_mut(at).filter(|cell| cell.first <= key) {
            cell.add(key, self.limit);
        }
    }

    /// A copy of the search with no values seen in this pass.
    pub fn fork(&self) -> Self {
        let empty = |cell: &Cell| Cell { dropped: 0, counts: BTreeMap::new(), ..*cell };
        let cells = self.cells.iter().map(empty).collect();
        Self {
            wanted: self.wanted.clone(),
            count: if self.passes == 0 { 0 } else { self.count },
            cells,
            ..*self
        }
    }

    /// Adds the values that a fork has seen in this pass.
    pub fn merge(&mut self, fork: Self) {
        self.count += if self.passes == 0 { fork.count } else { 0 };
        for (cell, more) in self.cells.iter_mut().zip(fork.cells) {
            cell.merge(more, self.limit);
        }
    }

    /// Whether `other`, which may have been read from anywhere, looks for the same in the same pass, so that the two can be merged.
    pub fn is_same_search(&self, other: &Self) -> bool {
        let is_same = |(mine, theirs): (&Cell, &Cell)| {
            (mine.first, mine.last, mine.below) == (theirs.first, theirs.last, theirs.below)
        };
        (&self.wanted, self.limit, self.passes) == (&other.wanted, other.limit, other.passes)
            && (self.passes == 0 || self.count == other.count)
            && self.cells.len() == other.cells.len()
            && self.cells.iter().zip(&other.cells).all(is_same)
            && other.is_sound()
    }

    /// Whether it is one that can have come about.
    fn is_sound(&self) -> bool {
        let are_apart = self.cells.is_sorted_by(|a, b| a.last < b.first);
        are_apart
            && self.passes <= u64::BITS
            && self.count < MOST
            && self.cells.iter().all(|cell| cell.is_sound(self.limit))
    }

    /// Whether `other` seeks the same quantiles, in whatever pass: an empty one can continue from it.
    pub fn is_of_same_kind(&self, other: &Self) -> bool {
        (&self.wanted, self.limit) == (&other.wanted, other.limit) && other.is_sound()
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Ends a pass; returns whether another one is needed.
    pub fn finish_pass(&mut self) -> bool {
        self.passes += 1;
        let ranks = self.ranks();
        let mut next: BTreeMap<u64, Cell> = BTreeMap::new();
        for rank in ranks {
            let cell = self.cells.iter().rev().find(|cell| cell.below <= rank);
            if let Some(zoomed) = cell.and_then(|cell| cell.zoom(rank)) {
                next.insert(zoomed.first, zoomed);
            }
        }
        // A cell with a single key is resolved.
        let is_done = next.values().all(|cell| cell.first == cell.last);
        self.cells = next.into_values().collect();
        !is_done
    }

    /// The quantile `q`, one of the wanted ones, after the last pass; `None` without values.
    pub fn value(&self, q: f64) -> Option<f64> {
        let (low, part) = place(self.count, q)?;
        let high = (low + 1).min(self.count - 1);
        Some(interpolate(self.at_rank(low)?, self.at_rank(high)?, part))
    }

    fn at_rank(&self, rank: u64) -> Option<f64> {
        let cell = self.cells.iter().rev().find(|cell| cell.below <= rank)?;
        Some(value_of(cell.first))
    }

    /// The ranks around the wanted quantiles, ascending.
    fn ranks(&self) -> Vec<u64> {
        let places = self.wanted.iter().filter_map(|&q| place(self.count, q));
        let mut ranks: Vec<u64> = places.flat_map(|(low, _)| [low, (low + 1).min(self.count - 1)]).collect();
        ranks.sort_unstable();
        ranks.dedup();
        ranks
    }
}

/// More values than any machine has seen.
const MOST: u64 = 1 << 56;

impl Cell {
    fn is_sound(&self, limit: usize) -> bool {
        let is_inside = |key: &u64| self.first >> self.dropped <= *key && *key <= self.last >> self.dropped;
        let total = self.counts.values().try_fold(self.below, |all, count| all.checked_add(*count));
        self.first <= self.last
            && self.dropped < u64::BITS
            && self.counts.len() <= limit
            && self.counts.keys().all(is_inside)
            && total.is_some_and(|total| total < MOST)
    }

    fn add(&mut self, key: u64, limit: usize) {
        *self.counts.entry(key >> self.dropped).or_insert(0) += 1;
        while self.counts.len() > limit {
            self.coarsen();
        }
    }

    fn merge(&mut self, mut other: Self, limit: usize) {
        while self.dropped < other.dropped {
            self.coarsen();
        }
        while other.dropped < self.dropped {
            other.coarsen();
        }
        for (key, count) in other.counts {
            *self.counts.entry(key).or_insert(0) += count;
        }
        while self.counts.len() > limit {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.dropped += 1;
        for (key, count) in std::mem::take(&mut self.counts) {
            *self.counts.entry(key >> 1).or_insert(0) += count;
        }
    }

    /// The part of this cell that contains the value of rank `rank`.
    fn zoom(&self, rank: u64) -> Option<Self> {
        let mut below = self.below;
        for (&key, &count) in &self.counts {
            if rank < below + count {
                let first = (key << self.dropped).max(self.first);
                let last = (key << self.dropped | ((1u64 << self.dropped) - 1)).min(self.last);
                return Some(Self { first, last, below, dropped: 0, counts: BTreeMap::new() });
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[f64], limit: usize) -> Result<(), TestCaseError> {
        let wanted = [0.25, 0.5, 0.75];
        let mut exact = ExactQuantiles::new(&wanted, limit);
        loop {
            // Half of them counted by another worker.
            let (mine, others) = values.split_at(values.len() / 2);
            let mut fork = exact.fork();
            mine.iter().for_each(|&value| exact.add(value));
            others.iter().for_each(|&value| fork.add(value));
            exact.merge(fork);
            prop_assert!(exact.passes < 65, "every pass gets nearer");
            if !exact.finish_pass() {
                break;
            }
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        for q in wanted {
            let expected = quantile_sorted(&sorted, q);
            prop_assert_eq!(
                exact.value(q).map(f64::to_bits),
                expected.map(f64::to_bits),
                "{} of {:?}",
                q,
                sorted
            );
        }
        Ok(())
    }

    #[test]
    fn few_distinct_values_need_one_pass() {
        let mut exact = ExactQuantiles::new(&[0.5], 8);
        (0..1000).for_each(|at| exact.add(f64::from(at % 5)));
        assert!(!exact.finish_pass());
        assert_eq!(exact.value(0.5), Some(2.0));
    }

    #[test]
    fn no_values_have_no_quantile() {
        let mut exact = ExactQuantiles::new(&[0.5], 8);
        assert!(!exact.finish_pass());
        assert_eq!(exact.value(0.5), None);
    }

    proptest! {
        #[test]
        fn exact_quantiles_are_those_of_the_sorted_values(
            values in proptest::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 1..200),
            limit in 2..20usize,
        ) {
            check(&values, limit)?;
        }

        #[test]
        fn repeated_values_too(values in proptest::collection::vec((-20..20i8).prop_map(|v| f64::from(v) / 4.0), 1..200), limit in 2..20usize) {
            check(&values, limit)?;
        }
    }
}
