//! The threads of the sinks of a run, one each, and their queues.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `sink <n>` | [`Threads::start`] | the next message in its queue; its sink | when the run drops its queue and the queue is empty; messages after a failure are discarded |
//!
//! The sender waits while a queue is full: so a slow sink slows the run, but does not block other sinks before their queues are empty. An
//! error of any sink ends that wait. A job that a sink leaves, such as encoding, is offered to the workers, and run by the sink's thread if
//! they are busy; no thread of a sink waits for a worker or another sink.
//!
//! A [prompt](crate::sink::Sink::is_prompt) sink whose queue is empty is called directly by the sender: on as many cores as there are workers, waking
//! a thread for each batch takes a core from a worker (8 % of a run that writes nothing, 15 % of one that writes CSV).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};

use super::backlog::Backlog;
use super::failures::Failures;
use super::message::Message;
use super::open::Outlet;
use super::watch::Watch;
use crate::error::guard::{asked, caught};
use crate::error::{Error, Masks, Result};
use crate::notes::event::in_span;
use crate::runtime::chunks::check_stop;
use crate::runtime::drain::PartJob;
use crate::runtime::room::{Room, RoomGuard};

/// Capacity of a queue in bytes: a few pieces of the input, to absorb short stalls of the disk.
const ROOM: usize = 4 << 20;

/// How long to wait for a full queue before checking whether the run continues.
const PATIENCE: Duration = Duration::from_millis(50);

/// What the threads of the sinks need to know of the run: how it may end early, and how many workers run jobs.
pub(crate) struct RunControl {
    /// Set when the run has failed.
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Set when the run is to stop, if a stop is a failure.
    pub(crate) stop: Option<Arc<AtomicBool>>,
    /// The number of workers that run jobs; 0 if they may wait for input forever.
    pub(crate) workers: usize,
}

/// The sinks on their threads.
pub(super) struct Threads {
    queues: Vec<Queue>,
    failures: Arc<Failures>,
    stop: Option<Arc<AtomicBool>>,
    /// For jobs of sinks that are called directly; `None` once nothing more comes.
    offer: Option<Sender<PartJob>>,
    jobs: Receiver<PartJob>,
    /// The number of the last message.
    sequence: u64,
}

/// The queue of one sink.
struct Queue {
    sender: Sender<Queued>,
    room: Arc<Room>,
    thread: JoinHandle<()>,
    /// Locked by the thread while it handles a message.
    outlet: Arc<Mutex<Outlet>>,
    is_prompt: bool,
    /// The number of messages that were queued.
    queued: u64,
    /// The number of those that it has handled.
    taken: Arc<AtomicU64>,
    watch: Watch,
    /// Time waited for room.
    waiting: Duration,
}

impl Queue {
    /// Whether the sender may call the sink itself: it returns at once, and nothing is queued or being handled.
    fn is_free(&self, message: &Message) -> bool {
        let is_batch = matches!(message, Message::Batch { .. });
        self.is_prompt && is_batch && self.taken.load(Ordering::Acquire) == self.queued
    }

    /// The run waits for the sink.
    fn look(&mut self) {
        self.watch.waits(self.taken.load(Ordering::Relaxed));
    }
}

struct Queued {
    sequence: u64,
    message: Message,
    /// Released when the message was handled.
    _place: RoomGuard,
}

impl Threads {
    /// Starts a thread for each of `outlets`.
    pub(super) fn start(outlets: Vec<Outlet>, control: RunControl, masks: &Arc<Masks>) -> Result<Self> {
        let RunControl { cancelled, stop, workers } = control;
        let (offer, jobs) = bounded(workers);
        let mut threads = Self {
            queues: Vec::new(),
            failures: Arc::new(Failures::new(cancelled)),
            stop,
            offer: Some(offer.clone()),
            jobs,
            sequence: 0,
        };
        for outlet in outlets {
            let is_prompt =
                workers > 0 && !outlet.is_live && asked(&outlet.door.label, || outlet.sink.is_prompt())?;
            let (sender, queue) = unbounded();
            let (taken, watch) = (Arc::<AtomicU64>::default(), Watch::new(&outlet.door, masks));
            let shown = outlet.door.meters.queued();
            let name = format!("sink {}", outlet.door.at);
            let (has_delivery, backlog) = (outlet.delivery.is_some(), outlet.backlog.clone());
            let outlet = Arc::new(Mutex::new(outlet));
            let at_work = SinkThread {
                outlet: Arc::clone(&outlet),
                has_delivery,
                backlog,
                taken: Arc::clone(&taken),
                failures: Arc::clone(&threads.failures),
                offer: offer.clone(),
                jobs: threads.jobs.clone(),
            };
            let work = in_span(move || at_work.run(&queue));
            let thread = std::thread::Builder::new().name(name.clone()).spawn(work);
            let thread = thread
                .map_err(|error| Error::internal(format!("cannot start the thread of {name}: {error}")))?;
            threads.queues.push(Queue {
                sender,
                room: Room::new(ROOM, usize::MAX, shown),
                thread,
                outlet,
                is_prompt,
                queued: 0,
                taken,
                watch,
                waiting: Duration::ZERO,
            });
        }
        Ok(threads)
    }

    pub(super) fn failures(&self) -> &Arc<Failures> {
        &self.failures
    }

    /// Jobs left by sinks.
    pub(super) fn jobs(&self) -> &Receiver<PartJob> {
        &self.jobs
    }

    /// Sends `message` to sink `at` once there is room; `false` if a sink has failed.
    ///
    /// # Errors
    /// If the run is to stop, and that is a failure.
    pub(super) fn send(&mut self, at: usize, message: Message) -> Result<bool> {
        if self.failures.is_any() {
            return Ok(false);
        }
        if self.queues[at].is_free(&message) && !self.jobs.is_full() {
            return Ok(self.call(at, message));
        }
        let queue = &mut self.queues[at];
        let (bytes, start) = (message.size(), Instant::now());
        let mut place = queue.room.take(bytes, Duration::ZERO);
        while place.is_none() {
            if self.failures.is_any() {
                return Ok(false);
            }
            self.stop.iter().try_for_each(|stop| check_stop(stop))?;
            queue.look();
            place = queue.room.take(bytes, PATIENCE);
            if place.is_some() {
                queue.waiting += start.elapsed();
                queue.watch.resumes();
            }
        }
        let Some(_place) = place.filter(|_| !self.failures.is_any()) else { return Ok(false) };
        self.sequence += 1;
        queue.queued += 1;
        // The thread runs until the sender is dropped.
        let _ended = queue.sender.send(Queued { sequence: self.sequence, message, _place });
        Ok(true)
    }

    /// Calls sink `at`, whose thread waits for messages; `false` if a sink has failed.
    fn call(&mut self, at: usize, message: Message) -> bool {
        self.sequence += 1;
        let (sequence, offer) = (self.sequence, self.offer.as_ref());
        let taken = caught("a sink", || {
            let workers = |job| match offer {
                Some(workers) => offered(workers, job),
                None => Some(job),
            };
            locked(&self.queues[at].outlet).take(sequence, message, workers)
        });
        taken.unwrap_or_else(|error| self.failures.fail(sequence, error));
        !self.failures.is_any()
    }

    /// Waits until all messages are handled, or a sink has failed; returns the sinks, and the first error. If the run `is_abandoned`,
    /// queued messages are discarded.
    pub(super) fn join(mut self, is_abandoned: bool) -> (Vec<Outlet>, Option<Error>) {
        if is_abandoned {
            self.failures.abandon();
        }
        let (mut outlets, mut lost) = (Vec::new(), None);
        let (failures, jobs) = (Arc::clone(&self.failures), self.jobs.clone());
        let mut queues: Vec<_> = self.queues.drain(..).collect();
        // Nothing more comes for any of them.
        queues.iter_mut().for_each(|queue| queue.sender = unbounded().0);
        self.offer = None;
        loop {
            match jobs.recv_timeout(PATIENCE) {
                Ok(job) => failures.run(job),
                Err(RecvTimeoutError::Timeout) => {
                    queues.iter_mut().filter(|queue| !queue.thread.is_finished()).for_each(Queue::look);
                }
                // All threads have ended.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for Queue { thread, outlet, waiting, mut watch, .. } in queues {
            watch.resumes();
            match thread.join().ok().and_then(|()| Arc::into_inner(outlet)) {
                Some(outlet) => {
                    let mut outlet = outlet.into_inner().unwrap_or_else(PoisonError::into_inner);
                    outlet.entry.waiting += waiting;
                    outlets.push(outlet);
                }
                None => lost = Some(Error::internal("the thread of a sink panicked")),
            }
        }
        let failure = failures.take().or(lost);
        (outlets, failure)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // The run has failed elsewhere.
        self.failures.abandon();
        for Queue { sender, thread, .. } in self.queues.drain(..) {
            drop(sender);
            let _failed_already = thread.join();
        }
    }
}

/// A sink and the state of its thread.
struct SinkThread {
    outlet: Arc<Mutex<Outlet>>,
    has_delivery: bool,
    backlog: Option<Arc<Backlog>>,
    taken: Arc<AtomicU64>,
    failures: Arc<Failures>,
    offer: Sender<PartJob>,
    jobs: Receiver<PartJob>,
}

impl SinkThread {
    /// The main loop of the thread.
    fn run(self, queue: &Receiver<Queued>) {
        let mut last = 0;
        while let Some(queued) = self.next(queue, last) {
            let Queued { sequence, message, _place } = queued;
            last = sequence;
            if !self.failures.is_wanted(sequence) {
                continue;
            }
            match (&message, &self.backlog) {
                (Message::Cut { .. }, _) => self.run_remaining_jobs(),
                // Not in the sink, which others may look at meanwhile.
                (Message::Batch { .. }, Some(backlog)) => {
                    backlog.wait_for_room(|| self.failures.is_wanted(sequence))
                }
                _ => {}
            }
            // A panic outside of the guards around the sink.
            let taken = caught("a sink's thread", || {
                locked(&self.outlet).take(sequence, message, |job| offered(&self.offer, job))
            });
            taken.unwrap_or_else(|error| self.failures.fail(sequence, error));
            self.taken.fetch_add(1, Ordering::Release);
        }
    }

    /// The next message; `None` when no more will come. In a run with a state folder, checks meanwhile whether the delivery has failed, as of
    /// message `last`, and lets the sink request a cut.
    fn next(&self, queue: &Receiver<Queued>, last: u64) -> Option<Queued> {
        if !self.has_delivery {
            return queue.recv().ok();
        }
        loop {
            match queue.recv_timeout(PATIENCE) {
                Ok(queued) => return Some(queued),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if !self.failures.is_wanted(last + 1) => {
                    return queue.recv().ok();
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = locked(&self.outlet).look() {
                        self.failures.fail(last, error);
                    }
                }
            }
        }
    }

    /// Runs the remaining jobs, since a checkpoint waits for all earlier ones; workers may be waiting for the checkpoint, but not those
    /// that have started a job.
    fn run_remaining_jobs(&self) {
        while let Ok(job) = self.jobs.try_recv() {
            self.failures.run(job);
        }
    }
}

/// Offers `job` to the workers; returns it if they are busy.
fn offered(workers: &Sender<PartJob>, job: PartJob) -> Option<PartJob> {
    match workers.try_send(job) {
        Ok(()) => None,
        Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => Some(job),
    }
}

/// An outlet, for the sink's thread or for the sender, who does not call it before the thread has handled everything.
fn locked(outlet: &Mutex<Outlet>) -> MutexGuard<'_, Outlet> {
    outlet.lock().unwrap_or_else(PoisonError::into_inner)
}
