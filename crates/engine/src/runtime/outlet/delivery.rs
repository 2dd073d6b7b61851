//! The thread that delivers the epochs of one sink, in order, each until it succeeds: it writes rows to a database, or renames closed files.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `deliver <n>` | the first epoch to deliver ([`Epochs::deliver`]) | the next epoch whose checkpoint is durable; the target of the sink; the delay between two attempts | when the run has closed its queue and everything is delivered; at a permanent failure; after a stop, at the next failure of any kind |

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::door::Door;
use super::pace::{Pace, PaceRules, Verdict};
use crate::checkpoint::Fence;
use crate::error::guard::caught;
use crate::error::{Error, ErrorKind, Masks, Result};
use crate::files::patient::waited_for;
use crate::notes::Event;
use crate::notes::event::in_span;
use crate::pipeline::OnFailure;
use crate::resilience::{Permit, pause};
use crate::sink::SinkContext;

/// After how long it is said again why an epoch is still not delivered; then after twice that time, and so on.
const REMINDER: Duration = Duration::from_mins(1);

/// Delivers an epoch; may be called again.
pub(super) type Task = Box<dyn FnMut() -> Result<()> + Send>;

/// The delivery of one sink.
pub(super) struct Delivery(Arc<Shared>);

/// The queue of epochs to deliver: with a state folder, those whose checkpoint is durable.
#[derive(Clone)]
pub(super) struct Epochs(Arc<Shared>);

/// How a sink delivers.
pub(super) struct Terms {
    /// Which run may deliver, if several could.
    pub(super) fence: Option<Fence>,
    pub(super) pace: Pace,
    /// Of a sink that delivers by epochs.
    pub(super) backlog: Option<Arc<Backlog>>,
    /// Whether the caller of [`Epochs::deliver`] waits until the epoch is delivered.
    pub(super) waits: bool,
}

struct Shared {
    door: Arc<Door>,
    fence: Option<Fence>,
    /// Locked by the thread of the delivery.
    pace: Mutex<Pace>,
    rules: PaceRules,
    backlog: Option<Arc<Backlog>>,
    waits: bool,
    stop: Arc<AtomicBool>,
    masks: Arc<Masks>,
    /// Whether the outbox cannot be read: then the target is not to blame.
    is_broken: AtomicBool,
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
    pub(super) fn new(door: &Arc<Door>, context: &SinkContext, terms: Terms) -> Self {
        let Terms { fence, pace, backlog, waits } = terms;
        Self(Arc::new(Shared {
            door: Arc::clone(door),
            fence,
            rules: pace.rules(),
            pace: Mutex::new(pace),
            backlog,
            waits,
            stop: Arc::clone(&context.stop),
            masks: Arc::clone(&context.masks),
            is_broken: AtomicBool::new(false),
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

    /// Waits until everything that was queued is delivered, or cannot be.
    ///
    /// # Errors
    /// The error that ended the delivery.
    pub(super) fn complete(&self) -> Result<()> {
        let is_busy = |queue: &mut Queue| queue.left > 0 && !queue.has_stopped;
        drop(self.0.moved.wait_while(self.0.queue(), is_busy));
        self.check()
    }

    /// The run is paused: what cannot be delivered now is left for the run that resumes. Returns remarks.
    ///
    /// # Errors
    /// The error that ended the delivery.
    pub(super) fn pause(&self) -> Result<Vec<String>> {
        self.0.queue().is_ending = true;
        self.join()?;
        Ok(self.backlog_remark().into_iter().chain(self.retry_remarks()).collect())
    }

    /// No more epochs will come: waits until all are delivered, and checks that the run still holds its state folder. Returns remarks.
    ///
    /// # Errors
    /// The error that ended the delivery; an error if it was stopped before everything was delivered, or if another run holds the folder.
    pub(super) fn finish(&self) -> Result<Vec<String>> {
        self.join()?;
        if let Some(left) = self.backlog_remark() {
            let error = Error::new(ErrorKind::Interrupted, left);
            return Err(match self.0.fence {
                Some(_) => error.with_help("the same command delivers it"),
                None => error.with_help("with --state, it would be kept, and delivered by the next run"),
            });
        }
        self.0.fence.iter().try_for_each(Fence::check)?;
        Ok(self.retry_remarks())
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
        let (what, fate) = match self.0.fence {
            Some(_) => ("checkpoint", "not delivered yet: they are kept in the state folder"),
            None => ("batch", "not delivered"),
        };
        let plural = if what == "batch" { "batches" } else { "checkpoints" };
        match self.0.queue().left {
            0 => None,
            1 => Some(format!("the rows of one {what} are {fate}")),
            left => Some(format!("the rows of {left} {plural} are {fate}")),
        }
    }

    /// Remarks about failed attempts, and what was dropped.
    fn retry_remarks(&self) -> Vec<String> {
        let failures = self.0.queue().failures;
        let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
        let retried = (failures > 0).then(|| format!("delivery failed {times} and was retried"));
        let dropped = self.0.backlog.iter().flat_map(|backlog| backlog.remarks());
        retried.into_iter().chain(dropped).collect()
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
    /// The outbox cannot be read.
    pub(super) fn breaks(&self) {
        self.0.is_broken.store(true, Ordering::Relaxed);
    }

    /// Queues an epoch: with a state folder, one whose checkpoint is durable.
    pub(super) fn deliver(&self, task: Task) {
        let mut queue = self.0.queue();
        queue.left += 1;
        if !queue.has_stopped {
            queue.tasks.push_back(task);
        }
        if queue.thread.is_none() && !queue.has_stopped {
            queue.start(&self.0);
        }
        self.0.moved.notify_all();
        drop(queue);
        if self.0.waits {
            let is_busy = |queue: &mut Queue| queue.left > 0 && !queue.has_stopped;
            drop(self.0.moved.wait_while(self.0.queue(), is_busy));
        }
    }
}

impl Queue {
    fn start(&mut self, shared: &Arc<Shared>) {
        let its = Arc::clone(shared);
        let thread = std::thread::Builder::new().name(format!("deliver {}", shared.door.at));
        match thread.spawn(in_span(move || its.run())) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                self.stop(Some(Error::internal(format!("cannot start the delivery thread: {error}"))))
            }
        }
    }

    /// Ends the delivery; `failure` is reported by [`Delivery::check`].
    fn stop(&mut self, failure: Option<Error>) {
        (self.failure, self.has_stopped) = (failure, true);
        // They hold what they are queued in.
        self.tasks.clear();
    }
}

/// The result of all attempts at an epoch.
enum Tried {
    Delivered,
    /// The target has refused it, and it is dropped.
    Dropped(Error),
    /// The epoch is left for the next run.
    Left,
}

impl Shared {
    /// The main loop of the thread.
    fn run(&self) {
        while let Some(mut task) = self.next() {
            let tried = caught("a delivery", || self.deliver(&mut task));
            if let (Ok(Tried::Dropped(error)), Some(backlog)) = (&tried, &self.backlog) {
                backlog.refused(error);
                let what = format!("{}: an epoch is dropped: {error}", self.door.label);
                self.say(Event::debug("delivery_dropped").caused_by(error), &what);
            }
            let mut queue = self.queue();
            match tried {
                Ok(Tried::Delivered | Tried::Dropped(_)) => queue.left -= 1,
                Ok(Tried::Left) => queue.stop(None),
                Err(error) => queue.stop(Some(error)),
            }
            let has_stopped = queue.has_stopped;
            drop(queue);
            self.moved.notify_all();
            if has_stopped {
                self.backlog.iter().for_each(|backlog| backlog.abandon());
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

    /// Delivers an epoch, with as many attempts as that takes. Notes the first failure, ever less often that it still fails, and why, and the success after it.
    fn deliver(&self, task: &mut Task) -> Result<Tried> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, mut last, mut reminder) = (Instant::now(), None::<Error>, REMINDER);
        loop {
            let Some(permit) = self.permit(&mut pace) else { return self.give_up(last) };
            let error = match self.attempt(task) {
                Ok(()) => {
                    pace.succeeded(permit);
                    self.show_attempt(false, pace.is_down());
                    break;
                }
                Err(error) if self.is_broken.load(Ordering::Relaxed) => return Err(error),
                Err(error) => error,
            };
            let is_first = last.is_none();
            let (verdict, error) = pace.failed(permit, error);
            self.show_attempt(true, pace.is_down());
            let delay = match verdict {
                Verdict::Again(delay) => delay,
                Verdict::End => return Err(error),
                Verdict::Drop if self.may_wait(false) => return Ok(Tried::Dropped(error)),
                Verdict::Drop => return self.give_up(Some(error)),
            };
            self.queue().failures += 1;
            self.backlog.iter().for_each(|backlog| backlog.fails());
            let is_still = begun.elapsed() >= reminder;
            if (is_first || is_still) && self.may_wait(pace.is_down()) {
                let since = if is_first {
                    String::new()
                } else {
                    format!(", for {} now", waited_for(begun.elapsed()))
                };
                let what = format!("{error}: retrying until delivery succeeds{since}");
                self.say(Event::warn("delivery_failed").caused_by(&error), &what);
                reminder = if is_still { begun.elapsed() * 2 } else { reminder };
            }
            last = Some(error);
            if !pause(delay, || self.may_wait(pace.is_down())) {
                return self.give_up(last);
            }
        }
        if last.is_some() {
            let waited = begun.elapsed();
            let what = format!("{}: delivery succeeded after {}", self.door.label, waited_for(waited));
            self.say(Event::info("delivery_recovered").seconds(waited.as_secs_f64()), &what);
        }
        Ok(Tried::Delivered)
    }

    fn attempt(&self, task: &mut Task) -> Result<()> {
        // A run that was replaced must not deliver.
        if let Some(Err(error)) = self.fence.as_ref().map(Fence::check) {
            self.is_broken.store(!error.is_transient(), Ordering::Relaxed);
            return Err(error);
        }
        self.door.named(&mut *task)
    }

    /// Waits for the permission for an attempt; `None` if it is not worth waiting for.
    fn permit(&self, pace: &mut Pace) -> Option<Permit> {
        loop {
            match pace.permit() {
                Ok(permit) => return Some(permit),
                Err(wait) => {
                    let is_down = pace.is_down();
                    if !pause(wait.max(Duration::from_millis(1)), || self.may_wait(is_down)) {
                        return None;
                    }
                }
            }
        }
    }

    /// Whether an epoch that cannot be delivered now may wait.
    fn may_wait(&self, is_down: bool) -> bool {
        let queue = self.queue();
        let ends = self.rules.ends && is_down && queue.is_closed;
        !queue.is_ending && !ends && !self.stop.load(Ordering::Relaxed)
    }

    /// An epoch cannot be delivered now, and does not wait: it is left for the next run if there is one, or dropped if it may be; else the run fails.
    fn give_up(&self, last: Option<Error>) -> Result<Tried> {
        let is_ending = self.queue().is_ending || self.stop.load(Ordering::Relaxed);
        let down = || Error::unavailable(format!("{}: its target is down", self.door.label));
        match self.rules.refused {
            OnFailure::Drop if self.fence.is_none() || !is_ending => {
                Ok(Tried::Dropped(last.unwrap_or_else(down)))
            }
            _ if is_ending => Ok(Tried::Left),
            _ => Err(last.unwrap_or_else(down)),
        }
    }

    /// An attempt was made: other threads see it, and an event says when the circuit breaker opens or closes.
    fn show_attempt(&self, has_failed: bool, is_open: bool) {
        let label = &self.door.label;
        match (self.door.meters.tried(has_failed, is_open), is_open) {
            (false, true) => self.say(
                Event::warn("breaker_opened"),
                &format!("{label}: its target is down: only probes are sent until one succeeds"),
            ),
            (true, false) => {
                self.say(Event::info("breaker_closed"), &format!("{label}: its target is there again"));
            }
            _ => {}
        }
    }

    fn say(&self, event: Event<'_>, what: &str) {
        event.part(&self.door.label).say(&self.masks, what);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
