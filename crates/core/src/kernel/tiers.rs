//! Sums over a window in two tiers: fast ones on a grid, general ones for numbers that are not on it.

use super::grid::Grid;
use super::ring::Ring;

/// Sums of numbers on a grid: exact and fast.
pub(super) trait Quick: Sized {
    /// The fallback for numbers that are not on the grid.
    type General: General<Self>;

    /// An empty sum.
    fn on(grid: Grid) -> Self;

    /// The grid of its numbers.
    fn grid(&self) -> Grid;

    /// Whether a block of steps cannot overflow.
    fn has_room(&self) -> bool;

    /// Adds a number on the grid.
    fn add(&mut self, value: f64);

    /// Removes a number that was added before.
    fn remove(&mut self, value: f64);
}

/// Sums of any finite numbers: exact too, but slower.
pub(super) trait General<Q> {
    /// The same sums as `quick`.
    fn from_quick(quick: &Q) -> Self;

    /// Adds a finite number.
    fn add(&mut self, value: f64);

    /// Removes a number that was added before.
    fn remove(&mut self, value: f64);

    /// Rebuilds the sums from `values` if that makes them faster.
    fn settle(&mut self, values: impl Iterator<Item = f64> + Clone);
}

/// Sums that are fast while the window's numbers are on one grid, and general otherwise. Which tier is used never affects a result.
#[derive(Clone, Debug)]
pub(super) enum Tiers<Q: Quick> {
    Quick {
        sums: Q,
        /// Steps until the window may be scanned again for a suitable grid, so that scanning costs at most one step per step.
        patience: u32,
    },
    General {
        sums: Box<Q::General>,
        patience: u32,
    },
}

impl<Q: Quick> Default for Tiers<Q> {
    fn default() -> Self {
        Self::Quick { sums: Q::on(Grid::default()), patience: 0 }
    }
}

impl<Q: Quick> Tiers<Q> {
    /// Adds a finite value, the newest of `slots`.
    #[inline]
    pub(super) fn enter(&mut self, value: f64, slots: &Ring<f64>) {
        match self {
            Self::Quick { sums, patience } if sums.has_room() && sums.grid().has_all(&[value]) => {
                sums.add(value);
                *patience = patience.saturating_sub(1);
            }
            _ => self.enter_slowly(value, slots),
        }
    }

    /// Removes a finite value, which is no longer in `slots`.
    #[inline]
    pub(super) fn leave(&mut self, value: f64, slots: &Ring<f64>) {
        match self {
            Self::Quick { sums, .. } => {
                sums.remove(value);
                self.keep_room(slots);
            }
            Self::General { sums, .. } => sums.remove(value),
        }
    }

    /// The fast sums if `entering`, at most one block, can be added to them.
    #[inline]
    pub(super) fn quick_for(&mut self, entering: &[f64]) -> Option<&mut Q> {
        match self {
            Self::Quick { sums, patience } if sums.has_room() && sums.grid().has_all(entering) => {
                *patience = patience.saturating_sub(entering.len() as u32);
                Some(sums)
            }
            _ => None,
        }
    }

    /// Call after a block of steps: switches to another grid if the sums have become large.
    #[inline]
    pub(super) fn keep_room(&mut self, slots: &Ring<f64>) {
        if let Self::Quick { sums, .. } = self
            && !sums.has_room()
        {
            self.leave_grid(slots);
        }
    }

    #[cold]
    fn enter_slowly(&mut self, value: f64, slots: &Ring<f64>) {
        match self {
            Self::Quick { sums, patience } => {
                let mut general = Q::General::from_quick(sums);
                general.add(value);
                *self = Self::General { sums: Box::new(general), patience: *patience };
            }
            Self::General { sums, .. } => sums.add(value),
        }
        self.settle(slots);
    }

    #[cold]
    fn leave_grid(&mut self, slots: &Ring<f64>) {
        if let Self::Quick { sums, patience } = self {
            *self = Self::General { sums: Box::new(Q::General::from_quick(sums)), patience: *patience };
            self.settle(slots);
        }
    }

    /// Returns to a grid if one suits and enough steps have passed.
    fn settle(&mut self, slots: &Ring<f64>) {
        let Self::General { sums, patience } = self else { return };
        *patience = patience.saturating_sub(1);
        if *patience > 0 {
            return;
        }
        *patience = slots.len().max(16) as u32;
        let values = slots.iter().filter(|value| value.is_finite());
        match Grid::of(values.clone()).and_then(|grid| summed(Q::on(grid), values.clone())) {
            Some(sums) => *self = Self::Quick { sums, patience: *patience },
            None => sums.settle(values),
        }
    }
}

/// Adds all `values`; `None` if they are too large.
fn summed<Q: Quick>(mut sums: Q, mut values: impl Iterator<Item = f64>) -> Option<Q> {
    values.try_for_each(|value| sums.has_room().then(|| sums.add(value)))?;
    sums.has_room().then_some(sums)
}
