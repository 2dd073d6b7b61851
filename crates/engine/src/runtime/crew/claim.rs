//! What a worker claims, and from whom.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::runtime::room::Place;
use crate::runtime::snapshot::Positions;
use crate::sensor::SensorIds;
use crate::source::{Input, Progress};
use crate::time::Timestamp;

/// Where workers get the pieces of the input from.
pub(crate) trait Feed: Sync {
    /// Waits for the next piece; `None` when no more will come. Time with the source is added to `decoding`, time waited for it
    /// to `claiming`.
    fn claim(&self, ids: &mut SensorIds, spent: &mut Spent) -> Option<Claim>;
}

/// What a worker has claimed. Ordinals count from the first one on, without gaps.
pub(crate) struct Claim {
    pub(crate) ordinal: u64,
    pub(crate) piece: Piece,
    /// Which source gave it.
    pub(crate) source: usize,
    pub(crate) progress: Progress,
    /// When it came in.
    pub(crate) arrived: Option<Instant>,
    /// What was dropped since the claim before, because nobody had room for it.
    pub(crate) dropped: Dropped,
    /// Times behind this are not believed.
    pub(crate) latest: Option<Timestamp>,
    /// What it takes of a bound in bytes, until it has been handed over.
    pub(crate) place: Option<Place>,
}

/// What nobody had room for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dropped {
    pub(crate) records: u64,
    /// They are not numbered anew: what comes behind them stands where it stands.
    pub(crate) lines: u64,
}

/// A piece of the input, or what goes between two of them.
pub(crate) enum Piece {
    Input(Input),
    /// The source has failed here.
    Failed(Error),
    /// A cut for a checkpoint: where the sources go on.
    Cut(Positions),
}

/// The time of one worker around the source.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    /// With the source, or decoding.
    pub(crate) decoding: Duration,
    /// Waiting for the source.
    pub(crate) claiming: Duration,
}

impl Spent {
    /// Adds time of the same worker.
    pub(super) fn add(&mut self, more: Self) {
        self.decoding += more.decoding;
        self.claiming += more.claiming;
    }
}
