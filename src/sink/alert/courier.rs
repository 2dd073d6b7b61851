//! Alerts on their way to somebody who may not take them: on a thread of their own, so that nobody else waits for that.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | alerts | [`Courier::start`] | the next alert; whoever takes them | when the sink lets go of it and all are delivered, or nobody takes them any more |

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Bytes of alerts that may wait; what there is no room for is dropped and counted.
const ROOM: usize = 16 << 20;

/// Bytes that are handed over at once: the fewer, the sooner it is seen that somebody takes them.
const PIECE: usize = 4 << 10;

/// How long alerts are waited for that nobody takes, at the end of the input.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same, where the run was asked to stop, or has failed.
const HURRY: Duration = Duration::from_secs(2);

/// How often it is looked whether anything goes on.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// The thread, and what waits for it.
pub(super) struct Courier {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    dropped: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes handed over so far.
    delivered: u64,
    /// Alerts that wait, and those in hand.
    alerts: u64,
    in_hand: u64,
    is_closed: bool,
    has_ended: bool,
    failure: Option<io::Error>,
}

impl Courier {
    /// Starts the thread, which writes to `out` and closes it in the end. `stop` is set when the run is to stop.
    pub(super) fn start(mut out: Box<dyn Write + Send>, stop: &Arc<AtomicBool>) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let work = move || {
            let end = its.deliver(&mut *out);
            drop(out);
            let mut state = its.lock();
            (state.has_ended, state.failure) = (true, end.err());
            drop(state);
            its.changed.notify_all();
        };
        let thread = std::thread::Builder::new().name("alerts".into()).spawn(work);
        let thread = thread.map_err(|error| Error::internal(format!("no thread for alerts: {error}")))?;
        Ok(Self { shared, thread: Some(thread), stop: Arc::clone(stop), dropped: 0 })
    }

    /// Sends one alert on its way; drops it where too many wait. Whether it is the first one that was dropped.
    ///
    /// # Errors
    /// When nobody takes alerts any more.
    pub(super) fn send(&mut self, line: &[u8]) -> io::Result<bool> {
        let mut state = self.shared.lock();
        if state.has_ended {
            return Err(state.failure.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()));
        }
        if state.waiting.len() + line.len() > ROOM {
            self.dropped += 1;
            return Ok(self.dropped == 1);
        }
        state.waiting.extend_from_slice(line);
        state.alerts += 1;
        drop(state);
        self.shared.changed.notify_all();
        Ok(false)
    }

    /// There are no more: waits as long as somebody takes them, not for long where the run `ends_early`. Gives whether it was
    /// worth waiting, or what went wrong; those that were not taken count as dropped.
    pub(super) fn finish(&mut self, ends_early: bool) -> io::Result<bool> {
        let mut state = self.shared.lock();
        state.is_closed = true;
        self.shared.changed.notify_all();
        let mut limit = Limit::new(&self.stop, ends_early);
        while !state.has_ended && !limit.is_reached(state.delivered) {
            let waited = self.shared.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.dropped += std::mem::take(&mut state.alerts);
        if !state.has_ended {
            self.dropped += state.in_hand;
            // It is stuck with whoever does not take them, and is left to that.
            state.waiting.clear();
            self.thread = None;
            return Ok(false);
        }
        let failure = state.failure.take();
        if failure.is_some() {
            self.dropped += state.in_hand;
        }
        drop(state);
        let joined = self.thread.take().map_or(Ok(()), JoinHandle::join);
        let panicked = joined.map_err(|_| io::Error::other("the thread of the alerts panicked"));
        failure.map_or(panicked, Err).map(|()| true)
    }

    /// How many were not taken.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// The life of the thread.
    fn deliver(&self, out: &mut dyn Write) -> io::Result<()> {
        loop {
            let mut state = self.lock();
            let is_idle = |state: &mut State| state.waiting.is_empty() && !state.is_closed;
            state = self.changed.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() {
                return Ok(());
            }
            let lines = std::mem::take(&mut state.waiting);
            state.in_hand = std::mem::take(&mut state.alerts);
            drop(state);
            for piece in lines.chunks(PIECE) {
                out.write_all(piece)?;
                self.lock().delivered += piece.len() as u64;
            }
            out.flush()?;
            self.lock().in_hand = 0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long nothing may happen at the end.
pub(super) struct Limit<'a> {
    stop: &'a AtomicBool,
    ends_early: bool,
    last: Instant,
    progress: u64,
}

impl<'a> Limit<'a> {
    pub(super) fn new(stop: &'a AtomicBool, ends_early: bool) -> Self {
        Self { stop, ends_early, last: Instant::now(), progress: 0 }
    }

    /// Whether nothing has happened for too long, where `progress` says how much has.
    pub(super) fn is_reached(&mut self, progress: u64) -> bool {
        if progress != self.progress {
            (self.progress, self.last) = (progress, Instant::now());
        }
        let is_hurried = self.ends_early || self.stop.load(Ordering::Relaxed);
        let limit = if is_hurried { HURRY } else { PATIENCE };
        self.last.elapsed() >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Takes nothing until it is told to.
    struct Slow(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _gone = self.0.recv();
            self.1.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn alerts_that_nobody_takes_keep_nobody_waiting_and_are_counted() {
        let (takes, taken) = (mpsc::channel(), Arc::<Mutex<Vec<u8>>>::default());
        let stop = Arc::new(AtomicBool::new(true));
        let mut courier =
            Courier::start(Box::new(Slow(takes.1, Arc::clone(&taken))), &stop).expect("started");
        let line = [b'x'; 1 << 10];
        let sent = 3 * ROOM / line.len();
        let first = (0..sent).filter(|_| courier.send(&line).expect("sent")).count();
        assert_eq!(first, 1, "it is said once");
        let dropped = courier.dropped();
        assert!(dropped > 0 && dropped < sent as u64, "{dropped}");
        courier.finish(false).expect("given up");
        assert_eq!(courier.dropped(), sent as u64, "none was taken");
        drop(takes.0);
    }

    #[test]
    fn alerts_that_are_taken_arrive_in_order() {
        let (takes, taken) = (mpsc::channel::<()>(), Arc::<Mutex<Vec<u8>>>::default());
        drop(takes.0);
        let stop = Arc::default();
        let mut courier =
            Courier::start(Box::new(Slow(takes.1, Arc::clone(&taken))), &stop).expect("started");
        let lines: Vec<_> = (0..10_000).map(|at| format!("{at}\n")).collect();
        lines.iter().for_each(|line| assert!(!courier.send(line.as_bytes()).expect("sent")));
        courier.finish(false).expect("delivered");
        assert_eq!(
            (courier.dropped(), taken.lock().expect("no panic").clone()),
            (0, lines.concat().into_bytes())
        );
    }
}
