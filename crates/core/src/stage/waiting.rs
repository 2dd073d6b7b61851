//! Helpers for stages that buffer records.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, SavedBatch, Schema};
use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};

/// The maximum size of buffered text in bytes. Text is addressed with 32 bits: one more chunk must fit.
pub(super) const ROOM: usize = 2 << 30;

/// Checks that the text of `store` is smaller than `room` bytes, and that `more` rows can be added to it. For the error, `waiting`
/// describes the records and `help` the remedy.
///
/// # Errors
/// A data error: input that would have to be buffered completely must not exhaust memory.
pub(super) fn check_room(store: &Batch, more: usize, room: usize, waiting: &str, help: &str) -> Result<()> {
    if store.text.len() < room && u32::try_from(store.len() + more).is_ok() {
        return Ok(());
    }
    let message = format!("{waiting} exceed the buffer: their text has {} MiB", store.text.len() >> 20);
    Err(Error::data(message).with_help(help))
}

/// The records at `rows` of `store`, with their own text: while a batch shares the store's text, the store cannot grow without copying it.
pub(super) fn detached(store: &Batch, rows: &[u32]) -> Batch {
    let mut detached = Batch::empty(store.schema().clone());
    detached.append(&store.take(rows));
    detached
}

/// The records of one sensor that wait, each with its ordinal among those of all sensors.
#[derive(Serialize, Deserialize)]
pub(super) struct SensorRecords {
    ordinals: Vec<u64>,
    records: SavedBatch,
}

/// Divides records of `store`, each of which is given by its ordinal and its row, by sensor.
pub(super) fn by_sensor(
    store: &Batch,
    waiting: impl IntoIterator<Item = (u64, u32)>,
) -> BTreeMap<SensorId, SensorRecords> {
    let mut all: BTreeMap<SensorId, (Vec<u64>, Vec<u32>)> = BTreeMap::new();
    for (ordinal, row) in waiting {
        let (ordinals, rows) = all.entry(store.sensors()[row as usize]).or_default();
        ordinals.push(ordinal);
        rows.push(row);
    }
    let saved = |(sensor, (ordinals, rows)): (SensorId, (Vec<u64>, Vec<u32>))| {
        let records = SavedBatch::from(&store.take(&rows)).of_sensor(SensorId(0));
        (sensor, SensorRecords { ordinals, records })
    };
    all.into_iter().map(saved).collect()
}

/// Puts the records of all sensors together again.
pub(super) struct Together {
    store: Batch,
    ordinals: Vec<u64>,
}

impl Together {
    /// Of no sensor yet; records of the columns `schema`.
    pub(super) fn new(schema: &Arc<Schema>) -> Self {
        Self { store: Batch::empty(Arc::clone(schema)), ordinals: Vec::new() }
    }

    /// Adds those of `sensor`.
    ///
    /// # Errors
    /// A data error where they are no such records, or more than can be together.
    pub(super) fn add(&mut self, sensor: SensorId, records: SensorRecords, sensors: &Sensors) -> Result<()> {
        let SensorRecords { mut ordinals, records } = records;
        let batch = records.of_sensor(sensor).into_batch(Arc::clone(self.store.schema()), sensors)?;
        if batch.len() != ordinals.len() {
            return Err(Error::data("the saved records cannot be read: some have no ordinal"));
        }
        let text = self.store.text.len() + batch.text.len();
        if u32::try_from(text).is_err() || u32::try_from(self.store.len() + batch.len()).is_err() {
            return Err(Error::data("more records wait in the saved state than one process can keep")
                .with_help("restore fewer groups of sensors in a process"));
        }
        self.store.append(&batch);
        self.ordinals.append(&mut ordinals);
        Ok(())
    }

    /// All of them in the order of their ordinals, which are given too; of equal ones, in the order of their sensors.
    pub(super) fn in_order(self) -> (Vec<u64>, Batch) {
        let Self { store, ordinals } = self;
        let mut rows: Vec<u32> = (0..store.len() as u32).collect();
        rows.sort_by_key(|&row| (ordinals[row as usize], store.sensors()[row as usize]));
        let ordinals = rows.iter().map(|&row| ordinals[row as usize]).collect();
        (ordinals, store.take(&rows))
    }
}
