//! A stage whose state is split into shards of sensors, so that several workers can process it concurrently: the common part of the drivers
//! of [`SensorStage`](super::SensorStage) and [`SeriesStage`](super::SeriesStage).

mod groups;
mod table;

use std::any::Any;

use super::{Cut, CutKind, Flow, Pieces, Process, SensorStates};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};
use crate::time::{Timestamp, Watermark};

pub use groups::{Groups, Share};
pub(in crate::stage) use table::{Shard, Table};

/// A running stage whose state is split into shards of sensors: each shard gets its share of every batch, in batch order, from one worker
/// at a time; different shards may process different batches concurrently.
pub trait Shards: Send + Sync {
    /// The number of shards: a power of two.
    fn count(&self) -> usize;

    /// Processes the share of shard `shard` of `batch`. Every shard gets its share of every batch, even if it is empty.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn step(&self, shard: usize, batch: &Batch, share: Share<'_>, sensors: &Sensors) -> Result<Made>;

    /// Combines the results of all shards for `batch`, in shard order. Batches may come in any order.
    ///
    /// # Errors
    /// An internal error if a result was not made by [`Shards::step`].
    fn assemble(
        &self,
        batch: Batch,
        groups: &Groups,
        made: Vec<Made>,
        sensors: &Sensors,
        flow: &mut Flow,
    ) -> Result<Batch>;

    /// The input has ended: returns the buffered records, as [`Process::finish`]. Called when every shard has processed all batches.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn finish(&self, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        Ok(None)
    }

    /// Removes the state of these sensors, as [`Process::give_up`]. Called when every shard has processed the same batches.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn give_up(&self, gone: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>>;

    /// The current state of all shards, serialised lazily while workers continue. Called when every shard has processed the same batches.
    /// Dropping it cancels the rest. Of kind [`CutKind::Changes`], it has only the sensors that may have changed since the last cut; where that is not known, because there
    /// was none or it was cancelled, it is complete nevertheless.
    ///
    /// # Errors
    /// As [`Process::save`].
    fn cut(&self, kind: CutKind) -> Result<Cut>;

    /// Restores a complete cut of any number of shards, or a state saved by the stage as one piece, and then the changes of the cuts that followed, in order, under the same
    /// ids. Called before anything else. If it fails, nothing has changed.
    ///
    /// # Errors
    /// As [`Process::restore`], and those of the pieces.
    fn restore(&mut self, cuts: Vec<Pieces>, sensors: &Sensors) -> Result<()>;

    /// Everything that all shards keep, by sensor, as [`Process::save_sensors`].
    ///
    /// # Errors
    /// As there.
    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        Ok(None)
    }

    /// Goes on from that, as [`Process::restore_sensors`].
    ///
    /// # Errors
    /// As there.
    fn restore_sensors(&mut self, _states: &SensorStates, _sensors: &Sensors) -> Result<()> {
        Err(Error::data("the saved state is of another stage: this one keeps nothing by sensor"))
    }

    /// As [`Process::goes_by`].
    fn goes_by(&self) -> Option<&'static str> {
        None
    }

    /// As [`Process::due`]. Called when every shard has been through the same batches.
    fn due(&self) -> Option<Timestamp> {
        None
    }

    /// As [`Process::advance`]. Called when every shard has been through the same batches.
    ///
    /// # Errors
    /// As there.
    fn advance(&self, _watermark: Watermark, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        Ok(None)
    }
}

/// The result of a shard for its share of a batch, opaque to the engine.
pub struct Made(Box<dyn Any + Send>);

impl Made {
    /// A result for [`Shards::assemble`] of the same stage.
    pub fn new(made: impl Any + Send) -> Self {
        Self(Box::new(made))
    }

    /// The result as type `T`.
    ///
    /// # Errors
    /// An internal error if it has another type.
    pub fn into<T: Any>(self) -> Result<T> {
        let made = self.0.downcast::<T>();
        made.map(|made| *made).map_err(|_| Error::internal("the result of a shard belongs to another stage"))
    }
}

/// The single-threaded driver: a single shard whose share is the whole batch.
pub(in crate::stage) struct InOne<S> {
    shards: S,
    /// Kept to reuse its memory.
    groups: Groups,
}

impl<S: Shards> InOne<S> {
    /// Wraps a stage of one shard.
    pub(in crate::stage) fn new(shards: S) -> Self {
        debug_assert_eq!(shards.count(), 1);
        Self { shards, groups: Groups::default() }
    }
}

impl<S: Shards + 'static> Process for InOne<S> {
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        let Self { shards, groups } = self;
        groups.sort(batch.sensors(), 1);
        let made = shards.step(0, &batch, groups.share(0), sensors)?;
        shards.assemble(batch, groups, vec![made], sensors, flow)
    }

    fn finish(&mut self, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.shards.finish(sensors, flow)
    }

    fn give_up(&mut self, gone: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.shards.give_up(gone, sensors, flow)
    }

    fn save(&self) -> Result<Vec<u8>> {
        let mut state = Vec::new();
        for piece in self.shards.cut(CutKind::Complete)?.pieces {
            state.append(&mut piece?);
        }
        Ok(state)
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        self.shards.restore(vec![Box::new(std::iter::once(Ok(state.to_vec())))], sensors)
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        self.shards.save_sensors()
    }

    fn restore_sensors(&mut self, states: &SensorStates, sensors: &Sensors) -> Result<()> {
        self.shards.restore_sensors(states, sensors)
    }

    fn goes_by(&self) -> Option<&'static str> {
        self.shards.goes_by()
    }

    fn due(&self) -> Option<Timestamp> {
        self.shards.due()
    }

    fn advance(&mut self, watermark: Watermark, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.shards.advance(watermark, sensors, flow)
    }
}
