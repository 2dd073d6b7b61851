//! The thread that makes checkpoints durable while the run continues.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | checkpoint | [`Checkpointer::start`] | the next cut; the answers of all sinks to it; jobs of workers; the disk | when the run drops its end of the channel, after the current cut |

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Sender, bounded};

use crate::checkpoint::StateFolder;
use crate::error::guard::caught;
use crate::error::{Error, Masks, Result};
use crate::notes::Event;
use crate::notes::event::in_span;
use crate::runtime::durable::Durable;
use crate::runtime::meters::CheckpointMeters;
use crate::runtime::snapshot::Draft;
use crate::stage::CutKind;

/// Writes checkpoints: on its thread between [`start`](Self::start) and [`conclude`](Self::conclude), otherwise on the calling thread.
pub(super) struct Checkpointer {
    target: Target,
    /// Whether a cut is on its way to become a checkpoint.
    is_busy: Arc<AtomicBool>,
    thread: Option<CheckpointThread>,
}

/// Where checkpoints are written, and what is updated when one is durable.
#[derive(Clone)]
struct Target {
    folder: Arc<Mutex<StateFolder>>,
    durable: Arc<Durable>,
    takes_changes: Arc<AtomicBool>,
    meters: Arc<CheckpointMeters>,
}

struct CheckpointThread {
    drafts: Sender<Draft>,
    handle: JoinHandle<()>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Checkpointer {
    pub(super) fn new(folder: StateFolder) -> Self {
        let folder = Arc::new(Mutex::new(folder));
        let target =
            Target { folder, durable: Arc::default(), takes_changes: Arc::default(), meters: Arc::default() };
        Self { target, is_busy: Arc::default(), thread: None }
    }

    /// The state folder. Locked by the thread while it writes a checkpoint.
    pub(super) fn folder(&self) -> MutexGuard<'_, StateFolder> {
        lock(&self.target.folder)
    }

    /// The durable positions of the sources.
    pub(super) fn durable(&self) -> &Arc<Durable> {
        &self.target.durable
    }

    /// Whether the next checkpoint contains only changes since the last one; set as soon as that is durable.
    pub(super) fn takes_changes(&self) -> &Arc<AtomicBool> {
        &self.target.takes_changes
    }

    /// What other threads see of the checkpoints.
    pub(super) fn meters(&self) -> &Arc<CheckpointMeters> {
        &self.target.meters
    }

    /// Whether a checkpoint is being made.
    pub(super) fn is_busy(&self) -> &Arc<AtomicBool> {
        &self.is_busy
    }

    /// Starts the thread.
    pub(super) fn start(&mut self) -> Result<()> {
        let (drafts, received) = bounded::<Draft>(1);
        let failure = Arc::new(Mutex::new(None));
        let (target, failed, is_busy) =
            (self.target.clone(), Arc::clone(&failure), Arc::clone(&self.is_busy));
        let work = move || {
            for mut draft in received {
                // Dropped at the end of this iteration, when a failure can be seen.
                let _written = draft.written.take();
                let written = caught("a checkpoint", || target.write(draft));
                let has_failed = written.is_err();
                *lock(&failed) = written.err();
                // Whoever makes the next cut sees a failure.
                is_busy.store(false, Ordering::Release);
                if has_failed {
                    return;
                }
            }
        };
        let handle = std::thread::Builder::new().name("checkpoint".into()).spawn(in_span(work));
        let handle = handle
            .map_err(|error| Error::internal(format!("the checkpoint thread cannot be started: {error}")))?;
        self.thread = Some(CheckpointThread { drafts, handle, failure });
        Ok(())
    }

    /// Passes `draft` to the thread; with `waits`, returns when it is durable and delivered.
    ///
    /// # Errors
    /// If an earlier one could not be written: then no later one may be.
    pub(super) fn submit(&self, draft: Draft, waits: bool) -> Result<()> {
        let Some(thread) = &self.thread else { return Err(has_ended()) };
        if waits {
            // The thread waits for the sinks, and those only for jobs that other workers have begun.
            let (written, is_written) = bounded(1);
            let _ended = thread.drafts.send(Draft { written: Some(written), ..draft });
            let _dropped = is_written.recv();
        } else {
            // There is room: no cut is made while another is on its way.
            let _ended = thread.drafts.send(draft);
        }
        match lock(&thread.failure).take() {
            Some(error) => Err(error),
            None if thread.handle.is_finished() => Err(has_ended()),
            None => Ok(()),
        }
    }

    /// Joins the thread, then writes a last checkpoint.
    ///
    /// # Errors
    /// If this one or an earlier one could not be written.
    pub(super) fn conclude(&mut self, draft: Draft) -> Result<()> {
        self.join()?;
        self.target.write(draft)
    }

    fn join(&mut self) -> Result<()> {
        let Some(CheckpointThread { drafts, handle, failure }) = self.thread.take() else { return Ok(()) };
        drop(drafts);
        let joined = handle.join();
        if let Some(error) = lock(&failure).take() {
            return Err(error);
        }
        joined.map_err(|_| Error::internal("the checkpoint thread panicked"))
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        // A run that failed lets the current checkpoint be finished.
        let _failed_already = self.join();
    }
}

impl Target {
    /// Makes durable what the manifest refers to, then the manifest, which is the commit point; then passes the epoch to the deliveries.
    fn write(&self, draft: Draft) -> Result<()> {
        let start = Instant::now();
        let Draft { epoch, manifest, stages, settle, mut release, awaited, .. } = draft;
        let positions = manifest.sources.clone();
        let mut folder = lock(&self.folder);
        folder.keep(epoch, manifest, stages, |manifest| {
            settle.into_iter().try_for_each(|settle| settle())?;
            release.extend(awaited.map_or_else(|| Ok(Vec::new()), |awaited| awaited.complete(manifest))?);
            Ok(())
        })?;
        self.takes_changes.store(folder.next_kind() == CutKind::Changes, Ordering::Release);
        let bytes = folder.newest_bytes();
        drop(folder);
        self.tell(epoch, start.elapsed(), bytes);
        self.durable.set(epoch, positions);
        release.into_iter().try_for_each(|release| release())
    }
}

impl Target {
    /// The checkpoint `epoch` is durable.
    fn tell(&self, epoch: u64, time: Duration, bytes: u64) {
        self.meters.made(time, bytes);
        let event = Event::debug("checkpoint").epoch(epoch).bytes(bytes).seconds(time.as_secs_f64());
        event.say(&Masks::default(), &format!("checkpoint {epoch} is durable"));
    }
}

fn has_ended() -> Error {
    Error::internal("the checkpoint thread has ended")
        .with_help("run the same command again to resume from the last checkpoint; please report this")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
