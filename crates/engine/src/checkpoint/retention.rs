//! Which checkpoints are kept: the newest ones, and all that they refer to.

use std::collections::VecDeque;

/// The minimum number of checkpoints: if the newest is damaged, the one before it is used.
pub(super) const KEPT: usize = 3;

/// The minimum number of complete ones: if the newest of them is damaged, so are all whose base it is.
const KEPT_COMPLETE: usize = 2;

/// A checkpoint that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) ordinal: u64,
    pub(super) is_complete: bool,
}

/// The index of the oldest checkpoint to keep, which is complete; `None` if none is to be removed. `intact` has the newest last.
pub(super) fn first_kept(intact: &VecDeque<Kept>) -> Option<usize> {
    let latest = intact.len().checked_sub(KEPT)?;
    let is_complete = |&at: &usize| intact[at].is_complete;
    let second = (0..intact.len()).rev().filter(is_complete).nth(KEPT_COMPLETE - 1)?;
    (0..=second.min(latest)).rev().find(is_complete)
}
