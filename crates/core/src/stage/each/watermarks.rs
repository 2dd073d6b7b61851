//! How far the source has come behind every record, for stages that set timers: the one thing that shards of sensors do not know by themselves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::sensor::SensorId;
use crate::time::{Agreement, Reached, Timestamp, Watermark};

/// The watermarks of the batches that shards are at. Each shard asks for those of every batch, in order; the first one to come to a batch
/// works them out. Nobody can come to the next batch before: that one has been to this.
pub(super) struct Watermarks {
    shards: usize,
    progress: Mutex<Progress>,
}

struct Progress {
    reached: Reached,
    /// The batches that some shards are still to come to, each with how many.
    batches: VecDeque<(Arc<[Watermark]>, usize)>,
    /// The ordinal of the first of them.
    first: u64,
}

impl Watermarks {
    pub(super) fn new(shards: usize, reached: Reached) -> Self {
        let progress = Progress { reached, batches: VecDeque::new(), first: 0 };
        Self { shards, progress: Mutex::new(progress) }
    }

    /// As it was at a cut, with the newest time of each sensor by id.
    pub(super) fn restored(
        shards: usize,
        agreement: Agreement,
        watermark: Watermark,
        newest: Vec<Option<Timestamp>>,
    ) -> Self {
        Self::new(shards, Reached::restored(agreement, watermark, newest))
    }

    /// By record of `batch`, which is number `ordinal` for the shard that asks: the watermark behind it.
    pub(super) fn of(&self, ordinal: u64, batch: &Batch) -> Result<Arc<[Watermark]>> {
        let mut guard = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let Progress { reached, batches, first } = &mut *guard;
        let at = ordinal.wrapping_sub(*first) as usize;
        if at == batches.len() {
            let records = batch.sensors().iter().zip(batch.times().unwrap_or_default());
            let watermarks = records.map(|(sensor, &time)| reached.note(sensor.0, time)).collect();
            batches.push_back((watermarks, self.shards));
        }
        let out_of_turn = || Error::internal("a shard was given a batch out of turn");
        let (watermarks, left) = batches.get_mut(at).ok_or_else(out_of_turn)?;
        *left -= 1;
        let watermarks = Arc::clone(watermarks);
        while batches.front().is_some_and(|&(_, left)| left == 0) {
            batches.pop_front();
            *first += 1;
        }
        Ok(watermarks)
    }

    /// The watermark behind the last batch.
    pub(super) fn last(&self) -> Watermark {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).reached.watermark()
    }

    /// Forgets sensors.
    pub(super) fn forget(&self, gone: &[SensorId]) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.reached.forget(gone.iter().map(|sensor| sensor.0));
    }
}
