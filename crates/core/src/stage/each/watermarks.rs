//! The watermark after every record, for stages with timers: the only state shared between shards.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::sensor::SensorId;
use crate::time::{Agreement, Reached, Timestamp, Watermark};

/// The watermarks of the batches in progress. Each shard requests those of every batch, in order; the first one to reach a batch computes
/// them. No shard can reach the next batch before that, since it has to request this one first.
pub(super) struct Watermarks {
    shards: usize,
    progress: Mutex<Progress>,
}

struct Progress {
    by: Measure,
    /// The batches that some shards have not reached yet, each with the number of those shards.
    batches: VecDeque<(Arc<[Watermark]>, usize)>,
    /// The ordinal of the first of them.
    first: u64,
}

/// What watermarks are taken from.
pub(super) enum Measure {
    /// The times of records.
    Times(Reached),
    /// When batches were received: of live input that is the clock, which goes on without records.
    Clock(Watermark),
}

impl Measure {
    /// Of a source that has not begun.
    pub(super) fn new(is_clock: bool, agreement: Agreement) -> Self {
        match is_clock {
            true => Self::Clock(Watermark::new()),
            false => Self::Times(Reached::new(agreement)),
        }
    }

    /// Restores the state of a cut, with the newest time of each sensor by id.
    pub(super) fn restored(
        is_clock: bool,
        agreement: Agreement,
        watermark: Watermark,
        newest: Vec<Option<Timestamp>>,
    ) -> Self {
        match is_clock {
            true => Self::Clock(watermark),
            false => Self::Times(Reached::restored(agreement, watermark, newest)),
        }
    }

    /// By record of `batch`, the watermark behind it. By the clock, a batch without records has one too.
    fn of(&mut self, batch: &Batch) -> Arc<[Watermark]> {
        match self {
            Self::Times(reached) => {
                let records = batch.sensors().iter().zip(batch.times().unwrap_or_default());
                records.map(|(sensor, &time)| reached.note(sensor.0, time)).collect()
            }
            Self::Clock(clock) => {
                if let Some(received) = batch.received {
                    clock.advance(received);
                }
                vec![*clock; batch.len().max(1)].into()
            }
        }
    }

    fn advance_to(&mut self, watermark: Watermark) -> Watermark {
        match self {
            Self::Times(reached) => reached.advance_to(watermark),
            Self::Clock(clock) => {
                *clock = watermark.max(*clock);
                *clock
            }
        }
    }

    fn watermark(&self) -> Watermark {
        match self {
            Self::Times(reached) => reached.watermark(),
            Self::Clock(clock) => *clock,
        }
    }
}

impl Watermarks {
    pub(super) fn new(shards: usize, by: Measure) -> Self {
        let progress = Progress { by, batches: VecDeque::new(), first: 0 };
        Self { shards, progress: Mutex::new(progress) }
    }

    /// By record of `batch`, which is number `ordinal` for the calling shard: the watermark after it.
    pub(super) fn of(&self, ordinal: u64, batch: &Batch) -> Result<Arc<[Watermark]>> {
        let mut guard = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let Progress { by, batches, first } = &mut *guard;
        let at = ordinal.wrapping_sub(*first) as usize;
        if at == batches.len() {
            batches.push_back((by.of(batch), self.shards));
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

    /// Goes on to `watermark`, which was given; the watermark after that.
    pub(super) fn advance_to(&self, watermark: Watermark) -> Watermark {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).by.advance_to(watermark)
    }

    /// The watermark after the last batch.
    pub(super) fn last(&self) -> Watermark {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).by.watermark()
    }

    /// Forgets sensors.
    pub(super) fn forget(&self, gone: &[SensorId]) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Measure::Times(reached) = &mut progress.by {
            reached.forget(gone.iter().map(|sensor| sensor.0));
        }
    }
}
