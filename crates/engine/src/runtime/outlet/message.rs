//! The messages to a sink.

use std::sync::Arc;
use std::time::Instant;

use crossbeam::channel::Sender;

use super::ready::ReadyBatch;
use crate::error::Rejection;
use crate::runtime::snapshot::SinkCut;
use crate::sensor::{SensorId, Sensors};
use crate::sink::SinkSpec;

/// A message to a sink, in order.
pub(super) enum Message {
    /// Records.
    Batch {
        ready: ReadyBatch,
        /// The names of the sensors; none for prepared batches.
        sensors: Option<Arc<Sensors>>,
        arrived: Option<Instant>,
    },
    /// Rejected records.
    Rejections(Arc<Vec<Rejection>>),
    /// These sensors are given up.
    GiveUp(Arc<[SensorId]>),
    /// New options.
    Reload(Arc<dyn SinkSpec>),
    /// A cut for the checkpoint that closes `epoch`: the sink answers with its state.
    Cut { epoch: u64, answer: Sender<SinkCut> },
}

impl Message {
    /// Its approximate size in bytes.
    pub(super) fn size(&self) -> usize {
        let content = match self {
            Self::Batch { ready, .. } => ready.content.size(),
            Self::Rejections(rejections) => rejections.iter().map(size_of_rejection).sum(),
            Self::GiveUp(gone) => size_of_val(&**gone),
            Self::Cut { .. } | Self::Reload(_) => 0,
        };
        content + size_of::<Self>()
    }
}

fn size_of_rejection(rejection: &Rejection) -> usize {
    size_of::<Rejection>() + rejection.raw.len() + rejection.reason.len()
}
