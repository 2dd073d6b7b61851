//! A sink that delivers by epochs, whose deliveries meet faults.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::faults::{Faults, Met};
use super::journal::Event;
use super::schedule::Effect;
use crate::batch::{Batch, Schema};
use crate::error::{Error, Result};
use crate::probe::Probe;
use crate::sensor::{SensorId, Sensors};
use crate::sink::{
    Block, FileTarget, Prepare, Repeat, Sink, SinkCheckpoint, SinkContext, SinkSpec, Takes, Template,
};

/// The same sink, under faults.
pub(super) struct FaultySink {
    pub(super) inner: Arc<dyn SinkSpec>,
    /// Its index.
    pub(super) at: usize,
    pub(super) faults: Arc<Faults>,
}

impl SinkSpec for FaultySink {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn parameters(&self) -> serde_json::Value {
        self.inner.parameters()
    }

    fn takes(&self) -> Takes {
        self.inner.takes()
    }

    fn repeat(&self) -> Repeat {
        self.inner.repeat()
    }

    fn losses(&self) -> Vec<&'static str> {
        self.inner.losses()
    }

    fn target(&self) -> Option<FileTarget> {
        self.inner.target()
    }

    fn file(&self) -> Option<PathBuf> {
        self.inner.file()
    }

    fn rolls(&self) -> Option<Template> {
        self.inner.rolls()
    }

    fn stream(&self) -> Option<PathBuf> {
        self.inner.stream()
    }

    fn is_stdout(&self) -> bool {
        self.inner.is_stdout()
    }

    fn sensor_patterns(&self) -> Vec<String> {
        self.inner.sensor_patterns()
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        self.inner.check(schema)
    }

    fn can_resume(&self) -> bool {
        self.inner.can_resume()
    }

    fn check_resumable(&self) -> Result<()> {
        self.inner.check_resumable()
    }

    fn delivers(&self) -> bool {
        self.inner.delivers()
    }

    fn reloads(&self, option: &str) -> bool {
        self.inner.reloads(option)
    }

    fn probe(&self, schema: Option<&Schema>, probe: &mut Probe) {
        self.inner.probe(schema, probe);
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let inner = self.inner.open(schema, context)?;
        Ok(Box::new(Faulty { inner, at: self.at, faults: Arc::clone(&self.faults) }))
    }
}

/// It in use.
struct Faulty {
    inner: Box<dyn Sink>,
    at: usize,
    faults: Arc<Faults>,
}

impl Sink for Faulty {
    fn give_up(&mut self, gone: &[SensorId]) -> Result<()> {
        self.inner.give_up(gone)
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        self.inner.preparer().map(|inner| Arc::new(Counted(inner)) as _)
    }

    fn push(&mut self) -> Result<()> {
        self.inner.push()
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let met = self.faults.delivery()?;
        let Some(met) = met else { return self.pass(epoch, rows, None) };
        std::thread::sleep(met.longer());
        let delivered = match before(&met.effect) {
            Err(error) => Err(error),
            Ok(()) => self.pass(epoch, rows, Some(&met)),
        };
        self.faults.over(&met)?;
        delivered
    }

    fn reload(&mut self, spec: &Arc<dyn SinkSpec>) -> Result<()> {
        self.inner.reload(spec)
    }

    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        self.inner.save(epoch)
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        self.inner.pause()
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.inner.commit()
    }
}

impl Faulty {
    /// Passes the epoch to the sink; with a fault, it may fail afterwards.
    fn pass(
        &mut self,
        epoch: u64,
        rows: &mut dyn Iterator<Item = Result<Vec<u8>>>,
        met: Option<&Met>,
    ) -> Result<()> {
        let (sink, mut records, journal) = (self.at, 0, &self.faults.journal);
        let mut plain = rows.map(|block| uncounted(block?, &mut records));
        if let Err(error) = self.inner.deliver(epoch, &mut plain) {
            journal.note(Event::Failed { sink, epoch })?;
            return Err(error);
        }
        // A sink that has the epoch already reads none of it.
        plain.by_ref().try_for_each(|block| block.map(drop))?;
        drop(plain);
        match met.map(|met| (&met.effect, met.fault)) {
            Some((Effect::Drop { .. }, _)) => {
                journal.note(Event::Unacknowledged { sink, epoch, records })?;
                Err(broken("the connection was lost before the answer came"))
            }
            Some((Effect::Kill { .. }, fault)) => {
                journal.note(Event::Unacknowledged { sink, epoch, records })?;
                self.faults.die(fault)
            }
            _ => journal.note(Event::Delivered { sink, epoch, records }),
        }
    }
}

/// What happens before a delivery.
fn before(effect: &Effect) -> Result<()> {
    match effect {
        Effect::Drop { is_delivered: false, .. } => {
            Err(broken("the connection was lost before anything arrived"))
        }
        Effect::Outage { .. } => Err(broken("the server is down")),
        Effect::Refuse { status, retry_after, .. } => {
            let error = broken(&format!("the server answered {status}"));
            Err(match retry_after {
                Some(millis) => error.with_retry_after(Duration::from_millis(*millis)),
                None => error,
            })
        }
        _ => Ok(()),
    }
}

fn broken(what: &str) -> Error {
    Error::unavailable(format!("chaos: {what}")).transient()
}

/// Prepares batches, and notes how many records each has.
struct Counted(Arc<dyn Prepare>);

impl Prepare for Counted {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let block: Box<dyn Any + Send> = self.0.prepare(batch, sensors)?;
        Ok(match block.downcast::<Vec<u8>>() {
            // Nothing is delivered.
            Ok(bytes) if bytes.is_empty() => bytes,
            Ok(mut bytes) => {
                bytes.extend_from_slice(&(batch.len() as u64).to_le_bytes());
                bytes
            }
            Err(block) => block,
        })
    }
}

/// A block as the sink itself has prepared it; adds its records to `records`.
fn uncounted(mut block: Vec<u8>, records: &mut u64) -> Result<Vec<u8>> {
    let own = block.len().checked_sub(size_of::<u64>());
    let count = own.and_then(|own| block.get(own..)?.try_into().ok()).map(u64::from_le_bytes);
    let (Some(own), Some(count)) = (own, count) else {
        return Err(Error::internal("a block in the outbox has no count of its records"));
    };
    *records += count;
    block.truncate(own);
    Ok(block)
}
