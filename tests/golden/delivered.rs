//! A sink that delivers by epochs: a file for each.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::batch::{Batch, Schema};
use tidemill::files::{Base, FilePath};
use tidemill::sensor::Sensors;
use tidemill::sink::{Block, Component, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use tidemill::{Error, Result};

/// While a folder has a file of this name, nothing is delivered to it.
pub(crate) const AWAY: &str = "away";

/// A folder to which epochs are delivered.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Delivered {
    /// The folder.
    path: FilePath,
}

tidemill::submit! { Component::of::<Delivered>("delivered", "a file for each epoch") }

/// A line for each record.
struct Lines;

/// The sink in use.
struct Open(PathBuf);

impl SinkSpec for Delivered {
    fn name(&self) -> &str {
        "delivered"
    }
    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("options")
    }
    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }
    fn delivers(&self) -> bool {
        true
    }
    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base) }))
    }
    fn open(&self, _schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        let folder = self.path.as_ref().to_path_buf();
        std::fs::create_dir_all(&folder).map_err(|error| Error::io("make", folder.display(), &error))?;
        Ok(Box::new(Open(folder)))
    }
}

impl Prepare for Lines {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let lines: String = batch.sensors().iter().map(|&id| format!("{}\n", sensors.name(id))).collect();
        Ok(Box::new(lines.into_bytes()))
    }
}

impl Sink for Open {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Lines))
    }
    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        if self.0.join(AWAY).exists() {
            return Err(Error::unavailable("the target is away").transient());
        }
        let (bytes, path) =
            (rows.collect::<Result<Vec<_>>>()?.concat(), self.0.join(format!("{epoch:010}.txt")));
        std::fs::write(&path, bytes).map_err(|error| Error::io("write", path.display(), &error))
    }
}
