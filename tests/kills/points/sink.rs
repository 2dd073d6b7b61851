//! Sinks that deliver by epochs, in which a process is killed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemill::batch::{Batch, Schema};
use tidemill::sensor::Sensors;
use tidemill::sink::{Block, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use tidemill::{Error, Result};

use super::{Call, Killer, Part};

/// How a sink delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    AtOnce,
    /// Each delivery takes a while.
    Slowly,
    /// Two attempts fail behind so many others.
    WithAnOutage(u64),
}

impl Manner {
    /// The name of the sink and of its folder.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "prompt",
            Self::Slowly => "slow",
            Self::WithAnOutage(_) => "away",
        }
    }
}

/// How long a slow delivery takes.
const SLOW: Duration = Duration::from_millis(5);

/// A sink that delivers: a file for each epoch.
#[derive(Clone)]
pub(super) struct Delivered {
    pub(super) folder: PathBuf,
    pub(super) manner: Manner,
    pub(super) killer: Arc<Killer>,
}

/// The sink in use.
struct Open {
    sink: Delivered,
    attempts: u64,
}

struct Names;

impl SinkSpec for Delivered {
    fn name(&self) -> &str {
        self.manner.name()
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
    fn open(&self, _schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Open { sink: self.clone(), attempts: 0 }))
    }
}

impl Prepare for Names {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let lines: String = batch.sensors().iter().map(|&id| format!("{}\n", sensors.name(id))).collect();
        Ok(Box::new(lines.into_bytes()))
    }
}

impl Open {
    /// What an attempt to deliver meets.
    fn attempt(&mut self) -> Result<()> {
        self.attempts += 1;
        match self.sink.manner {
            Manner::Slowly => std::thread::sleep(SLOW),
            Manner::WithAnOutage(behind) if (1..=2).contains(&self.attempts.saturating_sub(behind)) => {
                return Err(Error::unavailable("nobody is there").transient());
            }
            _ => {}
        }
        Ok(())
    }
}

impl Sink for Open {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Names))
    }
    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        self.attempt()?;
        let Delivered { folder, killer, .. } = &self.sink;
        let bytes: Vec<_> = rows.collect::<Result<Vec<_>>>()?.concat();
        let (path, aside) = (folder.join(format!("{epoch:010}")), folder.join("aside"));
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
        killer.at(Call::Deliver, Some(Part::Outbox), midway, act).map_err(failed)
    }
}
