//! What a checkpoint is made of, and what a run goes on from.

use crossbeam::channel::Sender;

use super::tally::Tally;
use crate::checkpoint::{Ending, Manifest, StageState};
use crate::sensor::{SensorNames, SharedSensors};
use crate::sink::Job;
use crate::stage::Pieces;

/// What a run goes on from.
#[derive(Clone, Default)]
pub(crate) struct Resume {
    pub(crate) ending: Option<Ending>,
    /// `None` for a source that begins anew.
    pub(crate) source: Option<Vec<u8>>,
    pub(crate) sensors: SensorNames,
    /// By stage; `None` where it begins anew.
    pub(crate) stages: Vec<Option<StageState>>,
    /// Whether the stages are all those of the checkpoint, so that their counts go on too.
    pub(crate) is_whole: bool,
    /// By sink; likewise.
    pub(crate) sinks: Vec<Option<Vec<u8>>>,
    /// Which sink of the checkpoint each was.
    pub(crate) sinks_before: Vec<Option<usize>>,
    pub(crate) counts: Vec<u8>,
}

/// One cut through a run, between two pieces of its input.
pub(crate) struct Snapshot<'a> {
    pub(crate) source: Option<Vec<u8>>,
    /// What the stages keep at the cut, though they may be past it when it is written.
    pub(crate) stages: Vec<Pieces>,
    pub(crate) tally: &'a Tally,
    pub(crate) counts: Vec<u8>,
    pub(crate) sensors: &'a SharedSensors,
}

/// A checkpoint to be kept, what must be durable before, and what becomes visible behind it.
pub(crate) struct Draft {
    /// The number of the epoch that it closes, which will be the checkpoint's.
    pub(crate) epoch: u64,
    pub(crate) manifest: Manifest,
    pub(super) stages: Vec<Pieces>,
    pub(crate) settle: Vec<Job>,
    /// What every sink does once the checkpoint is durable ([`Saved::deliver`](crate::sink::Saved::deliver)).
    pub(crate) deliver: Vec<Job>,
    /// Hangs up when it has been kept, or cannot be.
    pub(super) kept: Option<Sender<()>>,
}

impl Draft {
    /// The checkpoint `epoch` of a run that is over: everything is durable and delivered, and no stage goes on.
    pub(crate) fn over(epoch: u64, manifest: Manifest) -> Self {
        Self { epoch, manifest, stages: Vec::new(), settle: Vec::new(), deliver: Vec::new(), kept: None }
    }
}
