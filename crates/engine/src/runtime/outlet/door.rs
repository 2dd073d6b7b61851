//! The description of one sink of a run, shared by the threads that deal with it.

use std::sync::Arc;

use super::ready::Filter;
use crate::error::guard::guarded;
use crate::error::{PartIndex, Result};
use crate::runtime::meters::SinkMeters;
use crate::sink::Takes;

/// A sink of the pipeline, without the sink itself.
pub(super) struct Door {
    /// Its index in the pipeline.
    pub(super) at: usize,
    pub(super) label: String,
    /// Where it writes to, for messages.
    pub(super) address: Option<String>,
    pub(super) part: PartIndex,
    pub(super) takes: Takes,
    /// The ports that feed it.
    pub(super) ports: Vec<usize>,
    pub(super) filter: Option<Filter>,
    /// Whether it starts anew after a restart.
    pub(super) restarts: bool,
    /// What other threads see of it.
    pub(super) meters: Arc<SinkMeters>,
}

impl Door {
    pub(super) fn takes_records(&self) -> bool {
        self.takes == Takes::Records
    }

    /// Calls the sink; errors name it.
    pub(super) fn named<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        guarded(&self.label, act).map_err(|error| error.with_part(self.part))
    }
}
