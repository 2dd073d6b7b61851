//! The thread that delivers the epochs of one sink, in order, each until it succeeds: it writes rows to a database, or renames closed files.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `deliver <n>` | the first epoch to deliver ([`Epochs::deliver`]) | the next epoch whose checkpoint is durable; the target of the sink; the delay between two attempts | when the run has closed its queue and everything is delivered; at a permanent failure; after a stop, at the next failure of any kind |

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::door::Door;
use crate::checkpoint::Fence;
use crate::error::guard::caught;
use crate::error::{Error, ErrorKind, Masks, Result};
use crate::files::backoff::Backoff;
use crate::files::patient::waited_for;
use crate::notes::say;
use crate::sink::{Sink, SinkContext};

/// A sink without an outbox: each batch is delivered at once.
pub(super) struct Immediate {
    pub(super) sink: Box<dyn Sink>,
    pub(super) retry: Retry,
    /// Whether transient errors are retried.
    pub(super) waits: bool,
}

/// When a failed delivery is retried.
pub(super) struct Retry {
    label: String,
    stop: Arc<AtomicBool>,
    masks: Arc<Masks>,
}

/// Delivers an epoch; may be called again.
pub(super) type Task = Box<dyn FnMut() -> Result<()> + Send>;

/// The delivery of one sink, in a run with a state folder.
pub(super) struct Delivery(Arc<Shared>);

/// The queue of epochs whose checkpoint is durable.
pub(super) struct Epochs(Arc<Shared>);

struct Shared {
    door: Arc<Door>,
    fence: Fence,
    retry: Retry,
    /// Whether transient errors are retried.
    retries: bool,
    /// Whether the caller of [`Epochs::deliver`] waits until the epoch is delivered.
    waits: bool,
    queue: Mutex<Queue>,
    moved: Condvar,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    /// The number of epochs not delivered yet, including the current one.
    left: u64,
    /// The number of failed attempts.
    failures: u64,
    /// The error that ended the delivery.
    failure: Option<Error>,
    /// Whether no more epochs will come.
    is_closed: bool,
    /// Whether failed deliveries are no longer retried.
    is_ending: bool,
    /// Whether the thread has ended before everything was delivered.
    has_stopped: bool,
    /// Started with the first epoch.
    thread: Option<JoinHandle<()>>,
}

impl Delivery {
    /// The delivery of the sink behind `door`. Its thread is started with the first epoch.
    pub(super) fn new(
        door: &Arc<Door>,
        context: &SinkContext,
        fence: Fence,
        retries: bool,
        waits: bool,
    ) -> Self {
        Self(Arc::new(Shared {
            door: Arc::clone(door),
            fence,
            retry: Retry::new(door, context),
            retries,
            waits,
            queue: Mutex::default(),
            moved: Condvar::new(),
        }))
    }

    /// The queue.
    pub(super) fn epochs(&self) -> Epochs {
        Epochs(Arc::clone(&self.0))
    }

    /// Reports the error that ended the delivery, once.
    ///
    /// # Errors
    /// That error.
    pub(super) fn check(&self) -> Result<()> {
        self.0.queue().failure.take().map_or(Ok(()), Err)
    }

    /// The run is paused: what cannot be delivered now is left for the run that resumes. Returns remarks.
    ///
    /// # Errors
    /// The error that ended the delivery.
    pub(super) fn pause(&self) -> Result<Vec<String>> {
        self.0.queue().is_ending = true;
        self.join()?;
        Ok(self.backlog_remark().into_iter().chain(self.retry_remark()).collect())
    }

    /// No more epochs will come: waits until all are delivered, and checks that the run still holds its state folder. Returns remarks.
    ///
    /// # Errors
    /// The error that ended the delivery; an error if it was stopped before everything was delivered, or if another run holds the folder.
    pub(super) fn finish(&self) -> Result<Vec<String>> {
        self.join()?;
        if let Some(left) = self.backlog_remark() {
            return Err(Error::new(ErrorKind::Interrupted, left).with_help("the same command delivers it"));
        }
        self.0.fence.check()?;
        Ok(self.retry_remark().into_iter().collect())
    }

    fn join(&self) -> Result<()> {
        let thread = {
            let mut queue = self.0.queue();
            queue.is_closed = true;
            queue.thread.take()
        };
        self.0.moved.notify_all();
        let joined = thread.map_or(Ok(()), JoinHandle::join);
        self.check()?;
        joined.map_err(|_| Error::internal("the delivery thread panicked"))
    }

    /// A remark about epochs not delivered yet.
    fn backlog_remark(&self) -> Option<String> {
        match self.0.queue().left {
            0 => None,
            1 => Some(
                "the rows of one checkpoint are not delivered yet: they are kept in the state folder".into(),
            ),
            left => Some(format!(
                "the rows of {left} checkpoints are not delivered yet: they are kept in the state folder"
            )),
        }
    }

    /// A remark about failed attempts.
    fn retry_remark(&self) -> Option<String> {
        let failures = self.0.queue().failures;
        let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
        (failures > 0).then(|| format!("delivery failed {times} and was retried"))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // The run has failed: the rest is left for the next run.
        self.0.queue().is_ending = true;
        let _failed_already = self.join();
    }
}

impl Epochs {
    /// Queues an epoch whose checkpoint is durable.
    pub(super) fn deliver(&self, task: Task) {
        let mut queue = self.0.queue();
        queue.left += 1;
        queue.tasks.push_back(task);
        if queue.thread.is_none() && !queue.has_stopped {
            queue.start(&self.0);
        }
        self.0.moved.notify_all();
        if self.0.waits {
            let is_busy = |queue: &mut Queue| queue.left > 0 && !queue.has_stopped;
            drop(self.0.moved.wait_while(queue, is_busy));
        }
    }
}

impl Queue {
    fn start(&mut self, shared: &Arc<Shared>) {
        let its = Arc::clone(shared);
        let thread = std::thread::Builder::new().name(format!("deliver {}", shared.door.at));
        match thread.spawn(move || its.run()) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                self.stop(Some(Error::internal(format!("cannot start the delivery thread: {error}"))))
            }
        }
    }

    /// Ends the delivery; `failure` is reported by [`Delivery::check`].
    fn stop(&mut self, failure: Option<Error>) {
        (self.failure, self.has_stopped) = (failure, true);
    }
}

/// The result of an attempt.
enum Tried {
    Delivered,
    /// The epoch is left for the next run.
    Left,
}

impl Shared {
    /// The main loop of the thread.
    fn run(&self) {
        while let Some(mut task) = self.next() {
            let tried = caught("a delivery", || self.deliver(&mut task));
            let mut queue = self.queue();
            match tried {
                Ok(Tried::Delivered) => queue.left -= 1,
                Ok(Tried::Left) => queue.stop(None),
                Err(error) => queue.stop(Some(error)),
            }
            let has_stopped = queue.has_stopped;
            drop(queue);
            self.moved.notify_all();
            if has_stopped {
                return;
            }
        }
    }

    /// Waits for the next epoch; `None` when no more will come.
    fn next(&self) -> Option<Task> {
        let is_idle = |queue: &mut Queue| queue.tasks.is_empty() && !queue.is_closed;
        let queue = self.moved.wait_while(self.queue(), is_idle);
        queue.unwrap_or_else(PoisonError::into_inner).tasks.pop_front()
    }

    /// Delivers an epoch, with retries.
    fn deliver(&self, task: &mut Task) -> Result<Tried> {
        let may_retry = || {
            let mut queue = self.queue();
            queue.failures += u64::from(self.retries);
            self.retries && !queue.is_ending
        };
        let delivered = self.retry.until_it_succeeds(may_retry, || {
            // A run that was replaced must not deliver.
            self.fence.check()?;
            self.door.named(&mut *task)
        });
        match delivered {
            Ok(()) => Ok(Tried::Delivered),
            Err(error) if error.is_transient() && self.retries => Ok(Tried::Left),
            Err(error) => Err(error),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Immediate {
    /// Delivers one batch.
    pub(super) fn deliver(&mut self, epoch: u64, bytes: &[u8]) -> Result<()> {
        let Self { sink, retry, waits } = self;
        retry.until_it_succeeds(|| *waits, || sink.deliver(epoch, &mut std::iter::once(Ok(bytes.to_vec()))))
    }
}

impl Retry {
    pub(super) fn new(door: &Door, context: &SinkContext) -> Self {
        let (stop, masks) = (Arc::clone(&context.stop), Arc::clone(&context.masks));
        Self { label: door.label.clone(), stop, masks }
    }

    /// Calls `act` until it succeeds. Retries only after transient errors, while `may_retry` and until the run is to stop. Notes the first
    /// failure and the success after it.
    fn until_it_succeeds(
        &self,
        may_retry: impl Fn() -> bool,
        mut act: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let (mut backoff, begun) = (Backoff::default(), Instant::now());
        loop {
            let error = match act() {
                Ok(()) => break,
                Err(error) => error,
            };
            if !error.is_transient() || !may_retry() {
                return Err(error);
            }
            if backoff.is_first() {
                self.say(&format!("{error}: retrying until delivery succeeds"));
            }
            if !backoff.wait(|| !self.stop.load(Ordering::Relaxed)) {
                return Err(error);
            }
        }
        if !backoff.is_first() {
            let waited = waited_for(begun.elapsed());
            self.say(&format!("{}: delivery succeeded after {waited}", self.label));
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        say(&self.masks.hide(what));
    }
}
