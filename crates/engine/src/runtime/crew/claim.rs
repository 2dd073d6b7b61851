//! What workers claim, and from where.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::runtime::inlet::Share;
use crate::runtime::reload::Reload;
use crate::runtime::room::RoomGuard;
use crate::runtime::snapshot::Positions;
use crate::sensor::SensorIds;
use crate::source::Progress;

/// The origin of the pieces of the input.
pub(crate) trait Feed: Sync {
    /// Waits for the next piece; `None` when no more will come. Time spent in the source is added to `decoding`, time waiting for it to
    /// `claiming`.
    fn claim(&self, ids: &mut SensorIds, spent: &mut Spent) -> Option<Claim>;
}

/// A claimed piece. Ordinals count from the first claim on, without gaps.
pub(crate) struct Claim {
    pub(crate) ordinal: u64,
    pub(crate) piece: Piece,
    /// Which source gave it; the first of several.
    pub(crate) source: usize,
    pub(crate) progress: Progress,
    /// When it arrived.
    pub(crate) arrived: Option<Instant>,
    /// What was dropped of that source since the claim before, for lack of room.
    pub(crate) dropped: Dropped,
    /// What it takes of a bound in bytes, until it has been handed over.
    pub(crate) place: Option<RoomGuard>,
}

/// What was dropped for lack of room.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dropped {
    pub(crate) records: u64,
    /// Lines dropped; later lines keep their numbers.
    pub(crate) lines: u64,
}

/// A piece of the input, or an event between two pieces.
pub(crate) enum Piece {
    Input(Vec<Share>),
    /// The source has failed here.
    Failed(Error),
    /// A cut for a checkpoint: the positions of the sources.
    Cut(Positions),
    /// From here on, other options hold.
    Reload(Arc<Reload>),
}

/// The time that one worker spent on the source.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    /// Time in the source, or decoding.
    pub(crate) decoding: Duration,
    /// Time waiting for the source.
    pub(crate) claiming: Duration,
}

impl Spent {
    /// Adds time of the same worker.
    pub(super) fn add(&mut self, more: Self) {
        self.decoding += more.decoding;
        self.claiming += more.claiming;
    }
}
