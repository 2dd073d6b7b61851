//! A sink that delivers by epochs, in which a process is killed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tidemill::batch::{Batch, Schema};
use tidemill::sensor::Sensors;
use tidemill::sink::{Block, Outset, Prepare, Repeat, Sink, SinkSpec};
use tidemill::{Error, Result};

use super::{Call, Killer, Part};

/// A sink that delivers: a file for each epoch.
pub(super) struct Delivered {
    pub(super) folder: PathBuf,
    pub(super) killer: Arc<Killer>,
}

struct Names;

impl SinkSpec for Delivered {
    fn name(&self) -> &str {
        "delivered"
    }
    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }
    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }
    fn delivers(&self) -> bool {
        true
    }
    fn open(&self, _schema: &Arc<Schema>, _outset: &Outset) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Self { folder: self.folder.clone(), killer: Arc::clone(&self.killer) }))
    }
}

impl Prepare for Names {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let lines: String = batch.sensors().iter().map(|&id| format!("{}\n", sensors.name(id))).collect();
        Ok(Box::new(lines.into_bytes()))
    }
}

impl Sink for Delivered {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Names))
    }
    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let bytes: Vec<_> = rows.collect::<Result<Vec<_>>>()?.concat();
        let (path, aside) = (self.folder.join(format!("{epoch:010}")), self.folder.join("aside"));
        let failed = |error: io::Error| Error::io("deliver", path.display(), &error);
        let act = || match std::fs::read(&path) {
            // Delivered again, it is the same.
            Ok(before) => {
                assert!(before == bytes, "epoch {epoch} is another one now");
                Ok(())
            }
            Err(_) => std::fs::write(&aside, &bytes).and_then(|()| std::fs::rename(&aside, &path)),
        };
        let midway = || drop(std::fs::write(&aside, &bytes[..bytes.len() / 2]));
        self.killer.at(Call::Deliver, Some(Part::Outbox), midway, act).map_err(failed)
    }
}
