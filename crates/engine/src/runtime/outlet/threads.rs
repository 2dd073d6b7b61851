//! The threads of the sinks of a run, one each, and the queues before them.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | `sink <n>` | [`Threads::start`] | the next message in its queue; whatever its sink waits for | when the run lets go of its queue, once that is empty; what is in it behind a failure is thrown away |
//!
//! Whoever hands over waits while a queue has no room: so a sink that is slow slows the run, and holds up no other sink. A failure of any sink
//! ends that wait. What a sink leaves to do with a batch, encoding for one, is offered to the workers and done by the sink's thread where they have
//! enough of it; no thread of a sink waits for a worker, nor for another sink.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};

use super::door::{Message, Outlet};
use super::failures::Failures;
use crate::error::guard::caught;
use crate::error::{Error, Result};
use crate::runtime::chunks::check_stop;
use crate::runtime::drain::PartJob;
use crate::runtime::room::{Place, Room};

/// Bytes that may wait for one sink: a few pieces of the input, so that a moment in which the disk takes nothing keeps nobody waiting.
const ROOM: usize = 4 << 20;

/// How long a full queue is waited for before it is looked whether the run goes on.
const PATIENCE: Duration = Duration::from_millis(50);

/// How a run ends before its input does, and who works for its sinks.
pub(crate) struct Around {
    /// Set when the run has failed.
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Set when the run is to stop, where that is a failure.
    pub(crate) stop: Option<Arc<AtomicBool>>,
    /// Workers that ask for jobs again and again; none where they wait for input that may never come.
    pub(crate) workers: usize,
}

/// The sinks at work.
pub(super) struct Threads {
    queues: Vec<Queue>,
    failures: Arc<Failures>,
    stop: Option<Arc<AtomicBool>>,
    jobs: Receiver<PartJob>,
    /// The number of the last message.
    sequence: u64,
}

/// What goes to one sink.
struct Queue {
    sender: Sender<Queued>,
    room: Arc<Room>,
    thread: JoinHandle<Outlet>,
    /// Time waited for room.
    waiting: Duration,
}

struct Queued {
    sequence: u64,
    message: Message,
    /// Given back when the message was taken.
    _place: Place,
}

impl Threads {
    /// Starts a thread for each of `outlets`.
    pub(super) fn start(outlets: Vec<Outlet>, around: Around) -> Result<Self> {
        let Around { cancelled, stop, workers } = around;
        let (offer, jobs) = bounded(workers);
        let mut threads = Self {
            queues: Vec::new(),
            failures: Arc::new(Failures::new(cancelled)),
            stop,
            jobs,
            sequence: 0,
        };
        for outlet in outlets {
            let (sender, queue) = unbounded();
            let at_work = AtWork {
                outlet,
                failures: Arc::clone(&threads.failures),
                offer: offer.clone(),
                jobs: threads.jobs.clone(),
            };
            let name = format!("sink {}", at_work.outlet.door.at);
            let thread = std::thread::Builder::new().name(name.clone()).spawn(move || at_work.run(&queue));
            let thread = thread.map_err(|error| Error::internal(format!("no thread for {name}: {error}")))?;
            threads.queues.push(Queue {
                sender,
                room: Room::new(ROOM, usize::MAX),
                thread,
                waiting: Duration::ZERO,
            });
        }
        Ok(threads)
    }

    pub(super) fn failures(&self) -> &Arc<Failures> {
        &self.failures
    }

    /// What sinks have left to do.
    pub(super) fn jobs(&self) -> &Receiver<PartJob> {
        &self.jobs
    }

    /// Hands `message` to sink `at`, when it has room for it; `false` where a sink has failed.
    ///
    /// # Errors
    /// When the run is to stop, and that is a failure.
    pub(super) fn send(&mut self, at: usize, message: Message) -> Result<bool> {
        let queue = &mut self.queues[at];
        let (bytes, start) = (message.size(), Instant::now());
        let mut place = queue.room.take(bytes, Duration::ZERO);
        while place.is_none() {
            if self.failures.is_any() {
                return Ok(false);
            }
            self.stop.iter().try_for_each(|stop| check_stop(stop))?;
            place = queue.room.take(bytes, PATIENCE);
            if place.is_some() {
                queue.waiting += start.elapsed();
            }
        }
        let Some(_place) = place.filter(|_| !self.failures.is_any()) else { return Ok(false) };
        self.sequence += 1;
        // Its thread is there until the sender is gone.
        let _ended = queue.sender.send(Queued { sequence: self.sequence, message, _place });
        Ok(true)
    }

    /// Waits until all is taken, or nothing more is wanted; gives the sinks, and what has failed first. Where it is `abandoned`, what waits is
    /// thrown away.
    pub(super) fn rest(mut self, is_abandoned: bool) -> (Vec<Outlet>, Option<Error>) {
        if is_abandoned {
            self.failures.abandon();
        }
        let (mut outlets, mut lost) = (Vec::new(), None);
        let (failures, jobs) = (Arc::clone(&self.failures), self.jobs.clone());
        let queues: Vec<_> = self.queues.drain(..).collect();
        let threads: Vec<_> = queues
            .into_iter()
            .map(|Queue { sender, thread, waiting, .. }| {
                drop(sender);
                (thread, waiting)
            })
            .collect();
        // Until all threads have ended.
        jobs.iter().for_each(|job| failures.run(job));
        for (thread, waiting) in threads {
            match thread.join() {
                Ok(mut outlet) => {
                    outlet.entry.waiting += waiting;
                    outlets.push(outlet);
                }
                Err(_) => lost = Some(Error::internal("the thread of a sink panicked")),
            }
        }
        let failure = failures.take().or(lost);
        (outlets, failure)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Of a run that has failed elsewhere.
        self.failures.abandon();
        for Queue { sender, thread, .. } in self.queues.drain(..) {
            drop(sender);
            let _failed_already = thread.join();
        }
    }
}

/// A sink and what its thread has besides.
struct AtWork {
    outlet: Outlet,
    failures: Arc<Failures>,
    offer: Sender<PartJob>,
    jobs: Receiver<PartJob>,
}

impl AtWork {
    /// The life of the thread.
    fn run(mut self, queue: &Receiver<Queued>) -> Outlet {
        let mut last = 0;
        while let Some(queued) = self.next(queue, last) {
            let Queued { sequence, message, _place } = queued;
            last = sequence;
            if !self.failures.is_wanted(sequence) {
                continue;
            }
            if matches!(message, Message::Cut { .. }) {
                self.work_off();
            }
            // What no guard of the sink's has caught.
            let taken = caught("a sink's thread", || {
                self.outlet.take(sequence, message, |job| offered(&self.offer, job))
            });
            taken.unwrap_or_else(|error| self.failures.fail(sequence, error));
        }
        self.outlet
    }

    /// The next message; `None` when no more will come. Of a sink that delivers it is seen meanwhile whether that goes wrong, behind message
    /// `last`.
    fn next(&mut self, queue: &Receiver<Queued>, last: u64) -> Option<Queued> {
        while self.outlet.door.delivers {
            match queue.recv_timeout(PATIENCE) {
                Ok(queued) => return Some(queued),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if !self.failures.is_wanted(last + 1) => break,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.outlet.look() {
                        self.failures.fail(last, error);
                    }
                }
            }
        }
        queue.recv().ok()
    }

    /// Does what is left to do. Whoever makes a checkpoint waits for all that was handed out before; workers may be waiting for that, but not
    /// those that have begun a job.
    fn work_off(&self) {
        while let Ok(job) = self.jobs.try_recv() {
            self.failures.run(job);
        }
    }
}

/// Offers `job` to the workers; gives it back where they have enough to do.
fn offered(workers: &Sender<PartJob>, job: PartJob) -> Option<PartJob> {
    match workers.try_send(job) {
        Ok(()) => None,
        Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => Some(job),
    }
}
