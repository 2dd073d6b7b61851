//! A sink that delivers by epochs, as the run calls it: prepared rows go to its outbox, a [log of rows](crate::rows). Once the checkpoint
//! that closes an epoch is durable, the sink's [delivery](super::delivery) delivers the epoch. Without a state folder, batches wait in memory, each an
//! epoch of its own. How much waits, and what happens when that is too much, is known to the [backlog](super::backlog).

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::backlog::{Admission, Backlog, Closed};
use super::delivery::{Epochs, Task};
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
    backlog: Arc<Backlog>,
    recipient: Arc<Recipient>,
    mode: Mode,
}

enum Mode {
    /// With a state folder: epochs.
    Kept(Box<Kept>),
    /// Without one: each batch is an epoch, the last of which has this number.
    InMemory { epoch: u64 },
}

/// Rows that are delivered after a checkpoint.
struct Kept {
    /// One segment per epoch.
    outbox: RowLog,
    reader: RowReader,
    name: Arc<str>,
    /// The current epoch.
    epoch: u64,
    /// By epoch in the outbox: its rows.
    rows: BTreeMap<u64, u64>,
    cuts: CutRequest,
    /// Whether a cut was requested since the last one.
    has_requested: bool,
    /// Whether there was no room for the current epoch, so that all of it is dropped.
    is_dropped: bool,
}

/// The sink itself, called on the delivery thread.
struct Recipient {
    sink: Mutex<Box<dyn Sink>>,
    backlog: Arc<Backlog>,
    epochs: Epochs,
}

/// The state in a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) name: Arc<str>,
    /// The epochs that may not have been delivered.
    pub(crate) kept: Vec<Segment>,
}

/// What follows it, since this version.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct MoreMemory {
    /// By epoch that is kept: its rows.
    pub(crate) rows: BTreeMap<u64, u64>,
}

/// The state that a sink that delivers by epochs starts from.
pub(super) struct Beginning {
    memory: Memory,
    more: MoreMemory,
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
            return Ok(Self { memory: Memory { name, kept: Vec::new() }, more: MoreMemory::default() });
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
        let (memory, more) = Memory::read(state)?;
        Ok(Self { memory, more })
    }

    /// The context of the sink itself.
    pub(super) fn context(&self, context: &SinkContext) -> SinkContext {
        SinkContext { resume: None, writer: Some(Arc::clone(&self.memory.name)), ..context.clone() }
    }
}

impl Memory {
    /// # Errors
    /// A data error if that is not the state of a sink that delivers by epochs.
    pub(crate) fn read(state: &[u8]) -> Result<(Self, MoreMemory)> {
        let damaged = |error| Error::data(format!("the saved state cannot be read: {error}"));
        let (memory, more) = postcard::take_from_bytes(state).map_err(damaged)?;
        match more {
            // Of an earlier version.
            [] => Ok((memory, MoreMemory::default())),
            more => Ok((memory, postcard::from_bytes(more).map_err(damaged)?)),
        }
    }
}

/// Removes the outbox of a sink in a run that is over: everything is delivered.
///
/// # Errors
/// A data error if the state in `context` cannot be read.
pub(super) fn clear(context: &SinkContext) -> Result<()> {
    let (Some(folder), Some(state)) = (&context.state, &context.resume) else { return Ok(()) };
    let name = Memory::read(state)?.0.name;
    RowReader::new(&context.files, folder, Purpose::Outbox, &name).clear();
    Ok(())
}

impl Delivering {
    /// Wraps `sink`, which is open. What an earlier run had not delivered is delivered first.
    ///
    /// # Errors
    /// If the sink prepares nothing; if its outbox cannot be used, or differs from the checkpoint.
    pub(super) fn begin(
        door: &Door,
        sink: Box<dyn Sink>,
        beginning: Beginning,
        context: &SinkContext,
        epochs: Epochs,
        backlog: &Arc<Backlog>,
    ) -> Result<(Self, Option<RowReader>)> {
        let preparer = asked(&door.label, || sink.preparer())?
            .ok_or_else(|| Error::internal("a sink that delivers by epochs prepares nothing"))?;
        let recipient = Arc::new(Recipient { sink: Mutex::new(sink), backlog: Arc::clone(backlog), epochs });
        let (mode, reader) = match &context.state {
            None => (Mode::InMemory { epoch: 0 }, None),
            Some(folder) => {
                let kept = Kept::begin(beginning, context, folder, &recipient)?;
                let reader = kept.reader.clone();
                (Mode::Kept(Box::new(kept)), Some(reader))
            }
        };
        Ok((Self { preparer, backlog: Arc::clone(backlog), recipient, mode }, reader))
    }

    fn take(&mut self, bytes: Vec<u8>) -> Result<()> {
        let Self { backlog, recipient, mode, .. } = self;
        match mode {
            Mode::InMemory { .. } if bytes.is_empty() => backlog.forget_rows(),
            Mode::Kept(_) if bytes.is_empty() => {}
            Mode::Kept(kept) => kept.take(&bytes, backlog)?,
            Mode::InMemory { epoch } => match backlog.admits()? {
                Admission::Drop => backlog.discard(),
                Admission::Take => {
                    *epoch += 1;
                    backlog.close(*epoch, bytes.len() as u64);
                    recipient.epochs.deliver(recipient.batch(*epoch, bytes));
                }
            },
        }
        Ok(())
    }
}

impl Kept {
    fn begin(
        Beginning { memory: Memory { name, kept }, more: MoreMemory { rows } }: Beginning,
        context: &SinkContext,
        folder: &Path,
        recipient: &Arc<Recipient>,
    ) -> Result<Self> {
        let outbox = RowLog::open(&context.files, folder, Purpose::Outbox, &name, kept)?;
        let reader = outbox.reader();
        for kept in outbox.kept() {
            let rows = rows.get(&kept.first).copied().unwrap_or(0);
            recipient.backlog.resume(Closed { epoch: kept.first, rows, bytes: kept.length });
            recipient.epochs.deliver(recipient.task(&reader, Some(*kept), None::<fn()>));
        }
        let (epoch, cuts) = (context.epoch, context.cuts.clone());
        Ok(Self { outbox, reader, name, epoch, rows, cuts, has_requested: false, is_dropped: false })
    }

    fn take(&mut self, bytes: &[u8], backlog: &Backlog) -> Result<()> {
        if self.is_dropped {
            return Ok(());
        }
        if matches!(backlog.admits()?, Admission::Drop) {
            // All of the epoch: what the target gets ends where a checkpoint is.
            self.outbox.discard(self.epoch)?;
            self.is_dropped = true;
            return Ok(());
        }
        self.outbox.append(self.epoch, bytes)?;
        let size = self.outbox.open_bytes(self.epoch);
        backlog.grows(size);
        if !self.has_requested && size >= EPOCH.min(backlog.limit() / 2) {
            self.cuts.ask();
            self.has_requested = true;
        }
        Ok(())
    }

    fn save(&mut self, epoch: u64, recipient: &Arc<Recipient>) -> Result<SinkCheckpoint> {
        (self.epoch, self.has_requested) = (epoch + 1, false);
        let settle = self.outbox.close();
        let closed = settle.is_some().then(|| self.outbox.kept().last().copied()).flatten();
        match closed {
            _ if std::mem::take(&mut self.is_dropped) => recipient.backlog.discard(),
            None => recipient.backlog.forget_rows(),
            Some(Segment { first, length, .. }) => {
                self.rows.insert(first, recipient.backlog.close(first, length));
            }
        }
        // Their files are kept until this checkpoint, which no longer refers to them, is durable.
        let done = recipient.backlog.settle();
        let forget = self.outbox.forget(done);
        self.rows.retain(|epoch, _| *epoch > done);
        let memory = Memory { name: Arc::clone(&self.name), kept: self.outbox.kept().to_vec() };
        let state = postcard::to_stdvec(&(&memory, &self.rows))
            .map_err(|error| Error::internal(format!("the state cannot be saved: {error}")))?;
        let settle: Job = match settle {
            Some(settle) => Box::new(settle),
            None => Box::new(|| Ok(())),
        };
        let has_work = closed.is_some() || forget.is_some();
        let deliver = has_work.then(|| recipient.task(&self.reader, closed, forget));
        Ok(SinkCheckpoint { state, outputs: Vec::new(), settle, deliver })
    }
}

impl Recipient {
    /// Removes the files of epochs that no checkpoint refers to, and delivers the epoch just closed.
    fn task(
        self: &Arc<Self>,
        reader: &RowReader,
        closed: Option<Segment>,
        mut forget: Option<impl FnOnce() + Send + 'static>,
    ) -> Task {
        let (recipient, reader) = (Arc::clone(self), reader.clone());
        Box::new(move || {
            forget.take().into_iter().for_each(|forget| forget());
            closed.map_or(Ok(()), |closed| recipient.deliver_kept(&reader, closed))
        })
    }

    /// Delivers a batch that is in memory.
    fn batch(self: &Arc<Self>, epoch: u64, bytes: Vec<u8>) -> Task {
        let recipient = Arc::clone(self);
        Box::new(move || recipient.deliver(epoch, &mut std::iter::once(Ok(bytes.clone()))))
    }

    fn deliver_kept(&self, reader: &RowReader, closed: Segment) -> Result<()> {
        let broken = |error: &Error| {
            if !error.is_transient() {
                self.epochs.breaks();
            }
        };
        let frames = reader.rows(closed).inspect_err(broken)?;
        let mut rows = frames.map(|frame| frame.map(|(_, rows)| rows).inspect_err(broken));
        self.deliver(closed.first, &mut rows)
    }

    fn deliver(&self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        self.sink().deliver(epoch, rows)?;
        self.backlog.delivered(epoch);
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

    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        match &mut self.mode {
            Mode::Kept(kept) => kept.save(epoch, &self.recipient).map(Some),
            Mode::InMemory { .. } => Ok(None),
        }
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        self.recipient.sink().pause()
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        let mut remarks = Vec::new();
        if let Mode::InMemory { .. } = self.mode {
            let what = "delivered without checkpoints: without --state, rows in flight are lost or duplicated if the run is killed";
            remarks.push(what.to_owned());
        }
        remarks.extend(self.recipient.sink().commit()?);
        Ok(remarks)
    }
}
