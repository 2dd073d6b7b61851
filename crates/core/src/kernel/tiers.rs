//! Sums over a window in two tiers: quick ones on a grid, general ones for whatever does not fit.

use super::grid::Grid;
use super::window::Slots;

/// Sums of numbers on a grid: exact, and quick.
pub(super) trait Quick: Sized {
    /// What takes over where a number is not on the grid.
    type General: General<Self>;

    /// Sums of nothing.
    fn on(grid: Grid) -> Self;

    /// Where its numbers have to be.
    fn grid(&self) -> Grid;

    /// Whether a block of steps is safe.
    fn has_room(&self) -> bool;

    /// Adds a number on the grid.
    fn add(&mut self, value: f64);

    /// Takes out a number that was added before.
    fn remove(&mut self, value: f64);
}

/// Sums of any finite numbers: as exact, but slower.
pub(super) trait General<Q> {
    /// The same sums as `quick`.
    fn from_quick(quick: &Q) -> Self;

    /// Adds a finite number.
    fn add(&mut self, value: f64);

    /// Takes out a number that was added before.
    fn remove(&mut self, value: f64);

    /// Starts over with `values`, where that makes it quicker.
    fn settle(&mut self, values: impl Iterator<Item = f64> + Clone);
}

/// Sums that are quick while the window's numbers are on one grid, and general otherwise. What they are never shows in a result.
#[derive(Clone, Debug)]
pub(super) enum Tiers<Q: Quick> {
    Quick {
        sums: Q,
        /// Steps until the window may be looked through again, for a grid that fits: so that costs no more than a step a step.
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
    /// Takes in a finite value, the newest of `slots`.
    #[inline]
    pub(super) fn enter(&mut self, value: f64, slots: &Slots) {
        match self {
            Self::Quick { sums, patience } if sums.has_room() && sums.grid().has_all(&[value]) => {
                sums.add(value);
                *patience = patience.saturating_sub(1);
            }
            _ => self.enter_slowly(value, slots),
        }
    }

    /// Takes out a finite value, which is no longer in `slots`.
    #[inline]
    pub(super) fn leave(&mut self, value: f64, slots: &Slots) {
        match self {
            Self::Quick { sums, .. } => {
                sums.remove(value);
                self.keep_room(slots);
            }
            Self::General { sums, .. } => sums.remove(value),
        }
    }

    /// The quick sums, if `entering` may be added to them: at most as many as a block has.
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

    /// To be called after a block of steps: finds another grid if the sums have become large.
    #[inline]
    pub(super) fn keep_room(&mut self, slots: &Slots) {
        if let Self::Quick { sums, .. } = self
            && !sums.has_room()
        {
            self.leave_grid(slots);
        }
    }

    #[cold]
    fn enter_slowly(&mut self, value: f64, slots: &Slots) {
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
    fn leave_grid(&mut self, slots: &Slots) {
        if let Self::Quick { sums, patience } = self {
            *self = Self::General { sums: Box::new(Q::General::from_quick(sums)), patience: *patience };
            self.settle(slots);
        }
    }

    /// Goes back to a grid, once patience has run out and if there is one.
    fn settle(&mut self, slots: &Slots) {
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

/// Adds all `values`; `None` if they are too many.
fn summed<Q: Quick>(mut sums: Q, mut values: impl Iterator<Item = f64>) -> Option<Q> {
    values.try_for_each(|value| sums.has_room().then(|| sums.add(value)))?;
    sums.has_room().then_some(sums)
}
