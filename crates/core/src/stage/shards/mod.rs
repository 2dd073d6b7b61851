//! A stage whose state is split over shards of sensors, so that several workers can be at it. What one sensor does is said by whoever writes a
//! stage ([`SensorStage`](super::SensorStage), [`SeriesStage`](super::SeriesStage)); this is what their drivers share.

mod groups;
mod table;

use std::any::Any;

use super::{Flow, Pieces, Process};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};

pub use groups::{Groups, Share};
pub(in crate::stage) use table::{Shard, Table};

/// A stage in use whose state is split over shards of sensors: each shard is given its share of every batch, in the order of the batches, by
/// one worker at a time; different shards may be at different batches.
pub trait Shards: Send + Sync {
    /// How many shards there are: a power of two.
    fn count(&self) -> usize;

    /// Handles the rows that are the share of shard `shard` of `batch`. Every shard is given its share of every batch, be it empty.
    ///
    /// # Errors
    /// What ends the run.
    fn step(&self, shard: usize, batch: &Batch, share: Share<'_>, sensors: &Sensors) -> Result<Made>;

    /// Puts together what all shards made of `batch`, in the order of the shards. Batches may come here in any order.
    ///
    /// # Errors
    /// An internal error where that was not made by [`Shards::step`].
    fn assemble(
        &self,
        batch: Batch,
        groups: &Groups,
        made: Vec<Made>,
        sensors: &Sensors,
        flow: &mut Flow,
    ) -> Result<Batch>;

    /// The input has ended: gives back what was held, as [`Process::finish`]. Called when every shard has been through all batches.
    ///
    /// # Errors
    /// What ends the run.
    fn finish(&self, _sensors: &Sensors, _flow: &mut Flow) -> Result<Option<Batch>> {
        Ok(None)
    }

    /// Forgets these sensors, as [`Process::give_up`]. Called when every shard has been through the same batches.
    ///
    /// # Errors
    /// What ends the run.
    fn give_up(&self, gone: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>>;

    /// Everything that all shards keep now, as it is written, while workers may go on. Called when every shard has been through the
    /// same batches. Where that is dropped, the rest is not asked for any more.
    ///
    /// # Errors
    /// As [`Process::save`].
    fn cut(&self) -> Result<Pieces>;

    /// Goes on from the pieces of a cut through any number of shards, or from what was saved by the stage in one piece, under the same ids.
    /// Called before anything else. Where it fails, nothing has changed.
    ///
    /// # Errors
    /// As [`Process::restore`], and those of the pieces.
    fn restore(&mut self, pieces: &mut dyn Iterator<Item = Result<Vec<u8>>>, sensors: &Sensors)
    -> Result<()>;
}

/// What a shard made of its share of a batch: the stage alone knows what that is.
pub struct Made(Box<dyn Any + Send>);

impl Made {
    /// For [`Shards::assemble`] of the same stage.
    pub fn new(made: impl Any + Send) -> Self {
        Self(Box::new(made))
    }

    /// What it was made of.
    ///
    /// # Errors
    /// An internal error where that was something else.
    pub fn into<T: Any>(self) -> Result<T> {
        let made = self.0.downcast::<T>();
        made.map(|made| *made).map_err(|_| Error::internal("what a shard made is of another stage"))
    }
}

/// The one-thread way: a single shard whose share is everything.
pub(in crate::stage) struct InOne<S> {
    shards: S,
    /// Kept for its memory.
    groups: Groups,
}

impl<S: Shards> InOne<S> {
    /// Of one shard.
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
        for piece in self.shards.cut()? {
            state.append(&mut piece?);
        }
        Ok(state)
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        self.shards.restore(&mut std::iter::once(Ok(state.to_vec())), sensors)
    }
}
