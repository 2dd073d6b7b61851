//! Lines for a recipient that may be slow to read them: written on a thread of its own, so that nothing else blocks.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | courier | [`Courier::start`] | the next line; the recipient | when all lines are read and no more will be sent, or the recipient is closed |

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A recipient of lines.
pub(crate) trait Recipient: Write + Send {
    /// Bytes written but not read yet, as far as that is known.
    ///
    /// # Errors
    /// If they will never be read.
    fn untaken(&self) -> io::Result<u64> {
        Ok(0)
    }

    /// How long to wait at the end without progress.
    fn patience(&self) -> Duration {
        UNREAD
    }
}

impl Recipient for File {}

impl Recipient for io::Sink {}

/// Bytes per write: smaller writes reveal progress sooner.
const PIECE: usize = 4 << 10;

/// Wait at the end for a recipient that does not read.
const UNREAD: Duration = Duration::from_secs(5);

/// Wait at the end for a program, which may be busy.
pub(crate) const AT_WORK: Duration = Duration::from_secs(60);

/// Wait at the end after a stop or a failure, for both.
const HURRY: Duration = Duration::from_secs(2);

/// Interval between checks for progress.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// The thread and its queue.
pub(crate) struct Courier {
    shared: Arc<CourierShared>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    patience: Duration,
    /// Capacity in bytes; lines that do not fit are dropped and counted.
    room: usize,
    dropped: u64,
    /// The progress at the last wait that timed out.
    stuck_at: Option<u64>,
}

#[derive(Default)]
struct CourierShared {
    state: Mutex<CourierState>,
    changed: Condvar,
}

#[derive(Default)]
struct CourierState {
    waiting: Vec<u8>,
    /// Counts events: bytes written, and bytes seen to be read.
    progress: u64,
    /// Time of the last progress, or when lines began to queue.
    moved: Option<Instant>,
    /// Lines not written completely.
    lines: u64,
    is_closed: bool,
    has_ended: bool,
    failure: Option<io::ErrorKind>,
}

impl Courier {
    /// Starts the thread, which writes to `out` and finally closes it. `stop` is set when the run is to stop.
    pub(crate) fn start(mut out: Box<dyn Recipient>, stop: &Arc<AtomicBool>, room: usize) -> Result<Self> {
        let (shared, patience) = (Arc::new(CourierShared::default()), out.patience());
        let its = Arc::clone(&shared);
        let work = move || {
            let end = its.deliver(&mut *out);
            drop(out);
            let mut state = its.lock();
            (state.has_ended, state.failure) = (true, end.err().map(|error| error.kind()));
            drop(state);
            its.changed.notify_all();
        };
        let thread = std::thread::Builder::new().name("courier".into()).spawn(work);
        let thread = thread.map_err(|error| {
            Error::internal(format!("cannot start the thread for alerts and notes: {error}"))
        })?;
        let stop = Arc::clone(stop);
        Ok(Self { shared, thread: Some(thread), stop, patience, room, dropped: 0, stuck_at: None })
    }

    /// Queues lines, each ending in a line feed; drops them if the queue is full. Returns whether they are the first to be dropped.
    ///
    /// # Errors
    /// If the recipient is closed; the lines count as dropped.
    pub(crate) fn send(&mut self, lines: &[u8]) -> io::Result<bool> {
        let count = count(lines);
        let mut state = self.shared.lock();
        if state.has_ended {
            self.dropped += count;
            return Err(state.failure.unwrap_or(io::ErrorKind::BrokenPipe).into());
        }
        if state.waiting.len() + lines.len() > self.room {
            let is_first = self.dropped == 0;
            self.dropped += count;
            return Ok(is_first);
        }
        if state.lines == 0 {
            state.moved = Some(Instant::now());
        }
        state.waiting.extend_from_slice(lines);
        state.lines += count;
        drop(state);
        self.shared.changed.notify_all();
        Ok(false)
    }

    /// Waits until everything is written, or there was no progress for `patience`; returns at once if there was none since the last wait
    /// that timed out.
    pub(crate) fn settle(&mut self, patience: Duration) {
        let mut state = self.shared.lock();
        let (mut progress, mut since) = (state.progress, Instant::now());
        while state.lines > 0 && !state.has_ended && self.stuck_at != Some(state.progress) {
            let waited = self.shared.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.progress != progress {
                (progress, since) = (state.progress, Instant::now());
            } else if since.elapsed() >= patience {
                self.stuck_at = Some(progress);
            }
        }
    }

    /// Ends the queue: waits while the recipient keeps reading, only briefly if the run `ends_early`. Returns whether the recipient kept
    /// up, or its error; unread lines count as dropped.
    pub(crate) fn finish(&mut self, ends_early: bool) -> io::Result<bool> {
        let mut state = self.shared.lock();
        state.is_closed = true;
        self.shared.changed.notify_all();
        let mut limit = ProgressLimit::new(&self.stop, self.patience, ends_early);
        // Several stuck recipients share one waiting period.
        limit.last = state.moved.filter(|_| state.lines > 0).unwrap_or(limit.last);
        while !state.has_ended && !limit.is_reached(state.progress) {
            let waited = self.shared.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.dropped += std::mem::take(&mut state.lines);
        if !state.has_ended {
            // The thread is blocked in a write and is abandoned.
            state.waiting.clear();
            self.thread = None;
            return Ok(false);
        }
        let failure = state.failure.map(io::Error::from);
        drop(state);
        let joined = self.thread.take().map_or(Ok(()), JoinHandle::join);
        let panicked = joined.map_err(|_| io::Error::other("the thread for alerts and notes panicked"));
        failure.map_or(panicked, Err).map(|()| true)
    }

    /// Lines that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Lines that were dropped or are still queued.
    pub(crate) fn untaken(&self) -> u64 {
        self.dropped + self.shared.lock().lines
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

impl CourierState {
    fn advance(&mut self, progress: u64) {
        self.progress += progress;
        self.moved = Some(Instant::now());
    }
}

impl CourierShared {
    /// The main loop of the thread.
    fn deliver(&self, out: &mut dyn Recipient) -> io::Result<()> {
        loop {
            let mut state = self.lock();
            let is_idle = |state: &mut CourierState| state.waiting.is_empty() && !state.is_closed;
            state = self.changed.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() {
                drop(state);
                return self.see_taken(out);
            }
            let lines = std::mem::take(&mut state.waiting);
            drop(state);
            for piece in lines.chunks(PIECE) {
                self.hand_over(piece, out)?;
            }
            out.flush()?;
        }
    }

    /// Like `write_all`, but reports progress made before an error.
    fn hand_over(&self, mut piece: &[u8], out: &mut dyn Recipient) -> io::Result<()> {
        while !piece.is_empty() {
            let taken = match out.write(piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut state = self.lock();
            state.advance(taken as u64);
            state.lines -= count(&piece[..taken]);
            drop(state);
            self.changed.notify_all();
            piece = &piece[taken..];
        }
        Ok(())
    }

    /// Waits until everything written has been read.
    fn see_taken(&self, out: &dyn Recipient) -> io::Result<()> {
        let mut before = u64::MAX;
        loop {
            match out.untaken()? {
                0 => return Ok(()),
                untaken if untaken != before => {
                    before = untaken;
                    self.lock().advance(1);
                }
                _ => {}
            }
            std::thread::sleep(LOOK);
        }
    }

    fn lock(&self) -> MutexGuard<'_, CourierState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// A limit on the time without progress at the end.
pub(crate) struct ProgressLimit<'a> {
    stop: &'a AtomicBool,
    patience: Duration,
    ends_early: bool,
    start: Instant,
    last: Instant,
    progress: Option<u64>,
}

impl<'a> ProgressLimit<'a> {
    /// A limit of `patience`, shorter if the run `ends_early` or `stop` is set.
    pub(crate) fn new(stop: &'a AtomicBool, patience: Duration, ends_early: bool) -> Self {
        let now = Instant::now();
        Self { stop, patience, ends_early, start: now, last: now, progress: None }
    }

    /// Whether there was no progress for too long; `progress` is the count so far.
    pub(crate) fn is_reached(&mut self, progress: u64) -> bool {
        if self.progress.replace(progress).is_some_and(|before| before != progress) {
            self.last = Instant::now();
        }
        match self.ends_early || self.stop.load(Ordering::Relaxed) {
            true => self.last.max(self.start).elapsed() >= HURRY,
            false => self.last.elapsed() >= self.patience,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Blocks until it receives a message.
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

    impl Recipient for Slow {}

    const ROOM: usize = 1 << 20;

    /// A line of 1 KiB.
    fn line() -> Vec<u8> {
        let mut line = vec![b'x'; (1 << 10) - 1];
        line.push(b'\n');
        line
    }

    /// Accepts a number of bytes, and no more.
    struct Sated(usize);

    impl Write for Sated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match bytes.len().min(self.0).min(700) {
                0 => Err(io::ErrorKind::BrokenPipe.into()),
                taken => {
                    self.0 -= taken;
                    Ok(taken)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Recipient for Sated {}

    #[test]
    fn lines_that_were_taken_before_nobody_took_them_are_not_counted_as_dropped() {
        let mut courier =
            Courier::start(Box::new(Sated((10 << 10) + 100)), &Arc::default(), ROOM).expect("started");
        let sent = (0..100).map(|_| courier.send(&line())).collect::<Vec<_>>();
        assert!(sent[0].is_ok());
        assert_eq!(courier.finish(false).expect_err("nobody takes them").kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(courier.dropped(), 90);
        assert!(courier.send(&line()).is_err());
        assert_eq!(courier.dropped(), 91);
    }

    /// Reports the received numbers as unread bytes.
    struct Reading(mpsc::Receiver<io::Result<u64>>);

    impl Write for Reading {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Recipient for Reading {
        fn untaken(&self) -> io::Result<u64> {
            self.0.recv().unwrap_or(Ok(0))
        }
    }

    #[test]
    fn what_was_handed_over_has_to_be_taken() {
        for (last, is_taken) in [(Ok(0), true), (Err(io::ErrorKind::BrokenPipe.into()), false)] {
            let (says, said) = mpsc::channel();
            let mut courier =
                Courier::start(Box::new(Reading(said)), &Arc::default(), ROOM).expect("started");
            assert!(!courier.send(b"a line\n").expect("sent"));
            for untaken in [Ok(7), Ok(3), last] {
                says.send(untaken).expect("listens");
            }
            assert_eq!(courier.finish(false).is_ok(), is_taken);
        }
    }

    #[test]
    fn whoever_does_not_read_is_waited_for_once() {
        let (takes, taken) = (mpsc::channel::<()>(), Arc::default());
        let mut courier =
            Courier::start(Box::new(Slow(takes.1, taken)), &Arc::default(), ROOM).expect("started");
        let patience = Duration::from_millis(50);
        let start = Instant::now();
        for _ in 0..1_000 {
            assert!(courier.send(b"a note\n").is_ok());
            courier.settle(patience);
        }
        assert!(start.elapsed() < 1_000 * patience, "each would have been waited for");
        assert_eq!(courier.untaken(), 1_000);
        drop(takes.0);
        courier.settle(Duration::from_secs(60));
        assert_eq!(courier.finish(false).map_err(|error| error.kind()), Ok(true));
        assert_eq!(courier.untaken(), 0);
    }

    #[test]
    fn lines_that_nobody_takes_keep_nobody_waiting_and_are_counted() {
        let (takes, taken) = (mpsc::channel(), Arc::<Mutex<Vec<u8>>>::default());
        let stop = Arc::new(AtomicBool::new(true));
        let mut courier =
            Courier::start(Box::new(Slow(takes.1, Arc::clone(&taken))), &stop, ROOM).expect("started");
        let line = line();
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
    fn lines_that_are_taken_arrive_in_order() {
        let (takes, taken) = (mpsc::channel::<()>(), Arc::<Mutex<Vec<u8>>>::default());
        drop(takes.0);
        let stop = Arc::default();
        let mut courier =
            Courier::start(Box::new(Slow(takes.1, Arc::clone(&taken))), &stop, ROOM).expect("started");
        let lines: Vec<_> = (0..10_000).map(|at| format!("{at}\n")).collect();
        lines.iter().for_each(|line| assert!(!courier.send(line.as_bytes()).expect("sent")));
        courier.finish(false).expect("delivered");
        assert_eq!(
            (courier.dropped(), taken.lock().expect("no panic").clone()),
            (0, lines.concat().into_bytes())
        );
    }
}
