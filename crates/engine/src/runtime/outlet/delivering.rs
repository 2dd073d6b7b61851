//! A sink that delivers by epochs, as the run calls it: prepared rows go to its outbox, a [log of rows](crate::rows). Once the checkpoint
//! that closes an epoch is durable, the sink's [delivery](super::delivery) delivers the epoch. Without a state folder there is no outbox, and
//! every batch is delivered at once.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::delivery::{Delivery, Immediate, Retry, Task};
use super::door::Door;
use crate::batch::Batch;
use crate::cuts::CutRequest;
use crate::error::guard::asked;
use crate::error::{Error, Result};
use crate::rows::{Purpose, RowLog, RowReader, Segment};
use crate::sensor::Sensors;
use crate::sink::{Block, Job, Prepare, Sink, SinkCheckpoint, SinkContext};

/// A cut is requested when an epoch has so many bytes, since an epoch is delivered as a whole, for example in one transaction of a database.
const EPOCH: u64 = 64 << 20;

/// The sink as the run calls it.
pub(super) struct Delivering {
    preparer: Arc<dyn Prepare>,
    mode: Mode,
}

enum Mode {
    /// With a state folder: epochs.
    Kept(Kept),
    /// Without one: each batch at once.
    Immediate { recipient: Immediate, epoch: u64 },
}

/// Rows that are delivered after a checkpoint.
struct Kept {
    /// One segment per epoch.
    outbox: RowLog,
    name: Arc<str>,
    /// The current epoch.
    epoch: u64,
    recipient: Arc<Recipient>,
    cuts: CutRequest,
    /// Whether a cut was requested since the last one.
    has_requested: bool,
}

/// The sink itself, called on the delivery thread.
struct Recipient {
    sink: Mutex<Box<dyn Sink>>,
    reader: RowReader,
    /// The last delivered epoch.
    delivered: AtomicU64,
}

/// The state in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Memory {
    name: Arc<str>,
    /// The epochs that may not have been delivered.
    kept: Vec<Segment>,
}

/// The state that a sink that delivers by epochs starts from.
pub(super) struct Beginning {
    memory: Memory,
}

impl Beginning {
    /// The state in `context`, or that of a new sink.
    ///
    /// # Errors
    /// A data error if newer checkpoints exist but cannot be read: their epochs may have been delivered.
    pub(super) fn of(context: &SinkContext) -> Result<Self> {
        let Some(state) = &context.resume else {
            // Seeded by the system, and new each time.
            let once = || format!("once-{:016x}", RandomState::new().build_hasher().finish()).into();
            let name = context.writer.clone().unwrap_or_else(once);
            return Ok(Self { memory: Memory { name, kept: Vec::new() } });
        };
        if context.epoch != context.resumed + 1 {
            let (first, last) = (context.resumed + 1, context.epoch - 1);
            let which = if first == last {
                format!("checkpoint {last}")
            } else {
                format!("checkpoints {first} to {last}")
            };
            return Err(Error::data(format!("{which} cannot be read, and their rows may have been delivered"))
                .with_help("rows could be delivered twice: restore an intact copy of the state folder, or start a new run with another --state"));
        }
        Ok(Self { memory: Memory::read(state)? })
    }

    /// The context of the sink itself.
    pub(super) fn context(&self, context: &SinkContext) -> SinkContext {
        SinkContext { resume: None, writer: Some(Arc::clone(&self.memory.name)), ..context.clone() }
    }
}

impl Memory {
    fn read(state: &[u8]) -> Result<Self> {
        postcard::from_bytes(state)
            .map_err(|error| Error::data(format!("the saved state cannot be read: {error}")))
    }
}

/// Removes the outbox of a sink in a run that is over: everything is delivered.
///
/// # Errors
/// A data error if the state in `context` cannot be read.
pub(super) fn clear(context: &SinkContext) -> Result<()> {
    let (Some(folder), Some(state)) = (&context.state, &context.resume) else { return Ok(()) };
    let name = Memory::read(state)?.name;
    RowReader::new(&context.files, folder, Purpose::Outbox, &name).clear();
    Ok(())
}

impl Delivering {
    /// Wraps `sink`, which is open. `delivery` first delivers what an earlier run had not.
    ///
    /// # Errors
    /// If the sink prepares nothing; if its outbox cannot be used, or differs from the checkpoint.
    pub(super) fn begin(
        door: &Arc<Door>,
        sink: Box<dyn Sink>,
        beginning: Beginning,
        context: &SinkContext,
        delivery: Option<&Delivery>,
        waits: bool,
    ) -> Result<(Self, Option<RowReader>)> {
        let preparer = asked(&door.label, || sink.preparer())?
            .ok_or_else(|| Error::internal("a sink that delivers by epochs prepares nothing"))?;
        let (Some(folder), Some(delivery)) = (&context.state, delivery) else {
            let recipient = Immediate { sink, retry: Retry::new(door, context), waits };
            return Ok((Self { preparer, mode: Mode::Immediate { recipient, epoch: 0 } }, None));
        };
        let Memory { name, kept } = beginning.memory;
        let outbox = RowLog::open(&context.files, folder, Purpose::Outbox, &name, kept)?;
        let (reader, delivered) = (outbox.reader(), AtomicU64::new(0));
        let recipient = Arc::new(Recipient { sink: Mutex::new(sink), reader: reader.clone(), delivered });
        let epochs = delivery.epochs();
        outbox.kept().iter().for_each(|kept| epochs.deliver(recipient.task(Some(*kept), None::<fn()>)));
        let (epoch, cuts) = (context.epoch, context.cuts.clone());
        let kept = Kept { outbox, name, epoch, recipient, cuts, has_requested: false };
        Ok((Self { preparer, mode: Mode::Kept(kept) }, Some(reader)))
    }

    fn take(&mut self, bytes: Vec<u8>) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.mode {
            Mode::Kept(kept) => kept.take(&bytes),
            Mode::Immediate { recipient, epoch } => {
                *epoch += 1;
                recipient.deliver(*epoch, &bytes)
            }
        }
    }
}

impl Kept {
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.outbox.append(self.epoch, bytes)?;
        if !self.has_requested && self.outbox.open_bytes(self.epoch) >= EPOCH {
            self.cuts.ask();
            self.has_requested = true;
        }
        Ok(())
    }

    fn save(&mut self, epoch: u64) -> Result<SinkCheckpoint> {
        (self.epoch, self.has_requested) = (epoch + 1, false);
        let settle = self.outbox.close();
        let closed = settle.is_some().then(|| self.outbox.kept().last().copied()).flatten();
        // Their files are kept until this checkpoint, which no longer refers to them, is durable.
        let forget = self.outbox.forget(self.recipient.delivered.load(Ordering::Acquire));
        let memory = Memory { name: Arc::clone(&self.name), kept: self.outbox.kept().to_vec() };
        let state = postcard::to_stdvec(&memory)
            .map_err(|error| Error::internal(format!("the state cannot be saved: {error}")))?;
        let settle: Job = match settle {
            Some(settle) => Box::new(settle),
            None => Box::new(|| Ok(())),
        };
        let has_work = closed.is_some() || forget.is_some();
        let deliver = has_work.then(|| self.recipient.task(closed, forget));
        Ok(SinkCheckpoint { state, outputs: Vec::new(), settle, deliver })
    }
}

impl Recipient {
    /// Removes the files of epochs that no checkpoint refers to, and delivers the epoch just closed.
    fn task(
        self: &Arc<Self>,
        closed: Option<Segment>,
        mut forget: Option<impl FnOnce() + Send + 'static>,
    ) -> Task {
        let recipient = Arc::clone(self);
        Box::new(move || {
            forget.take().into_iter().for_each(|forget| forget());
            closed.map_or(Ok(()), |closed| recipient.deliver(closed))
        })
    }

    fn deliver(&self, closed: Segment) -> Result<()> {
        let mut rows = self.reader.rows(closed)?.map(|frame| frame.map(|(_, rows)| rows));
        self.sink().deliver(closed.first, &mut rows)?;
        self.delivered.store(closed.first, Ordering::Release);
        Ok(())
    }

    fn sink(&self) -> MutexGuard<'_, Box<dyn Sink>> {
        // One that has panicked is not called again.
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Delivering {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let block = self.preparer.prepare(batch, sensors)?;
        self.accept(block).map(drop)
    }

    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.preparer))
    }

    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        match block.downcast::<Vec<u8>>() {
            Ok(bytes) => self.take(*bytes).map(|()| None),
            Err(_) => {
                Err(Error::internal("a sink that delivers by epochs has prepared a block that is not bytes"))
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        match &mut self.mode {
            Mode::Kept(_) => Ok(()),
            Mode::Immediate { recipient, .. } => recipient.sink.flush(),
        }
    }

    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        match &mut self.mode {
            Mode::Kept(kept) => kept.save(epoch).map(Some),
            Mode::Immediate { .. } => Ok(None),
        }
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        match &mut self.mode {
            Mode::Kept(_) => Ok(Vec::new()),
            Mode::Immediate { recipient, .. } => recipient.sink.pause(),
        }
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        match &mut self.mode {
            Mode::Kept(kept) => kept.recipient.sink().commit(),
            Mode::Immediate { recipient, .. } => {
                let mut remarks = vec![
                    "delivered without checkpoints: without --state, rows in flight are lost or duplicated if the run is killed"
                        .to_owned(),
                ];
                remarks.extend(recipient.sink.commit()?);
                Ok(remarks)
            }
        }
    }
}
