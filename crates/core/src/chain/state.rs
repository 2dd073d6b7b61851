//! What a chain keeps, as bytes: sensors by name, stages by name, so that another process goes on from there.

use serde::{Deserialize, Serialize};

use super::Chain;
use crate::error::guard::guarded;
use crate::error::{Error, Result};
use crate::metrics::Ledger;
use crate::sensor::{SensorLimits, SensorNames, Sensors};

/// What the bytes begin with.
const MAGIC: [u8; 4] = *b"tmch";

/// Raised with every change of what follows.
const VERSION: u16 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    magic: [u8; 4],
    version: u16,
    /// By id.
    sensors: SensorNames,
    stages: Vec<SavedStage>,
}

#[derive(Serialize, Deserialize)]
struct SavedStage {
    name: String,
    ledger: Ledger,
    state: Vec<u8>,
}

impl Chain {
    /// Everything that it keeps, between two pushes: `sensors` are those of the batches so far.
    ///
    /// # Errors
    /// An internal error where a stage cannot save what it keeps.
    pub fn save(&self, sensors: &Sensors) -> Result<Vec<u8>> {
        let stages = self.steps.iter().map(|step| {
            let state = guarded(&step.label, || step.process.save())?;
            Ok(SavedStage { name: step.entry.name.to_string(), ledger: step.entry.ledger, state })
        });
        let sensors = sensors.all_names().clone();
        let saved = Saved { magic: MAGIC, version: VERSION, sensors, stages: stages.collect::<Result<_>>()? };
        postcard::to_stdvec(&saved)
            .map_err(|error| Error::internal(format!("the state of the chain cannot be written: {error}")))
    }

    /// Goes on from what [`Chain::save`] gave, in a chain of the same stages that has been given nothing yet. The sensors that it knew are given
    /// back: later batches name theirs by these.
    ///
    /// # Errors
    /// A data error where the bytes are not the state of such a chain; it is of no use then.
    pub fn restore(&mut self, bytes: &[u8], limits: SensorLimits) -> Result<Sensors> {
        let damaged = || {
            Error::data("these bytes are not the state of a chain")
                .with_help("give back what `save` gave, whole")
        };
        let (magic, rest) = postcard::take_from_bytes::<[u8; 4]>(bytes).map_err(|_| damaged())?;
        let (version, _) = postcard::take_from_bytes::<u16>(rest).map_err(|_| damaged())?;
        if magic != MAGIC {
            return Err(damaged());
        }
        if version != VERSION {
            return Err(Error::data(format!(
                "the state of the chain is of version {version}; this release reads version {VERSION}"
            ))
            .with_help("go on with the release that saved it, or begin anew"));
        }
        let saved: Saved = postcard::from_bytes(bytes).map_err(|_| damaged())?;
        self.check_names(&saved.stages)?;
        let mut sensors = Sensors::new(limits);
        for name in saved.sensors.iter() {
            sensors.id(name)?;
        }
        for (step, SavedStage { ledger, state, .. }) in self.steps.iter_mut().zip(saved.stages) {
            guarded(&step.label, || step.process.restore(&state, &sensors))?;
            step.entry.ledger = ledger;
        }
        Ok(sensors)
    }

    fn check_names(&self, saved: &[SavedStage]) -> Result<()> {
        let now: Vec<_> = self.steps.iter().map(|step| &*step.entry.name).collect();
        let then: Vec<_> = saved.iter().map(|stage| &*stage.name).collect();
        if now == then {
            return Ok(());
        }
        Err(Error::data(format!(
            "the state is of other stages: {}; not of {}",
            then.join(", "),
            now.join(", ")
        ))
        .with_help("make the chain of the stages that it was saved with, or begin anew"))
    }
}
