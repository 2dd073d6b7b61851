//! The state of a stage, by sensor.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state;
use crate::error::{Error, Result};
use crate::sensor::SensorId;

/// The state of a stage, by sensor. It can be divided among processes and merged again, and restored under other ids.
#[derive(Clone, Debug, Default)]
pub struct SensorStates {
    /// The state of each sensor, as bytes that do not contain its id; each sensor at most once.
    pub states: Vec<(SensorId, Vec<u8>)>,
    /// State that all sensors share. When states are divided, each part gets a copy; when they are merged, there is one
    /// element per part.
    pub shared: Vec<Vec<u8>>,
    /// Counts over all sensors. When states are divided, the first part gets them and the others get zeros; when they are merged, they are added.
    pub counts: Vec<u64>,
}

impl SensorStates {
    /// Adds the state of `sensor`.
    ///
    /// # Errors
    /// An internal error where it cannot be written.
    pub fn push(&mut self, sensor: SensorId, kept: &impl Serialize) -> Result<()> {
        self.states.push((sensor, state::to_bytes(kept)?));
        Ok(())
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty() && self.shared.is_empty() && self.counts.is_empty()
    }

    /// Each sensor with its state, read from the bytes.
    ///
    /// # Errors
    /// A data error where these are no `T`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> impl Iterator<Item = Result<(SensorId, T)>> {
        self.states.iter().map(|(sensor, bytes)| state::from_bytes(bytes).map(|kept| (*sensor, kept)))
    }

    /// What is kept of all sensors together, one of each process.
    ///
    /// # Errors
    /// A data error where these are no `T`.
    pub(super) fn read_shared<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        self.shared.iter().map(|bytes| state::from_bytes(bytes)).collect()
    }

    /// The count number `at`.
    ///
    /// # Errors
    /// A data error where there is none.
    pub(super) fn count(&self, at: usize) -> Result<u64> {
        let count = self.counts.get(at).copied();
        count.ok_or_else(|| Error::data("a count is missing in the saved state"))
    }
}

/// What several processes agree on, such as the watermark that all were given; `None` where there are none.
///
/// # Errors
/// A data error where they do not.
pub(super) fn agreed<T: PartialEq>(all: Vec<T>, what: &str) -> Result<Option<T>> {
    let mut all = all.into_iter();
    let first = all.next();
    match all.all(|other| Some(&other) == first.as_ref()) {
        true => Ok(first),
        false => Err(Error::data(format!("the states to be merged differ in {what}"))
            .with_help("merge states that were saved at the same point of the input")),
    }
}
