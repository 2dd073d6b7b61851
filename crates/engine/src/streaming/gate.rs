//! Shared by the threads of several sources: the channel to the workers, in which their pieces are ordered, and the cut being made.
//!
//! A cut is made once every reading thread has reached it: each records the positions of its sources and waits, and the last one sends the
//! cut. So all earlier pieces precede it in the channel, and all later ones follow it. A thread whose source has nothing to read records
//! its positions in advance and rests: the others do not wait for it, and what it sends next follows the cut.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::channel::Sender;

use crate::error::Result;
use crate::runtime::crew::{Claim, Dropped, Piece};
use crate::runtime::inlets::Inlets;
use crate::runtime::reload::Reloads;
use crate::runtime::schedule::Schedule;
use crate::runtime::snapshot::Positions;
use crate::source::Progress;

/// How long a thread waits for the others before it checks whether the run has failed.
const PATIENCE: Duration = Duration::from_millis(50);

/// Synchronizes the threads of all sources.
pub(super) struct Gate {
    state: Mutex<GateState>,
    moved: Condvar,
    /// Set when the run has failed.
    cancelled: Arc<AtomicBool>,
    /// The ordinal of the first piece among all recorded pieces, including those of earlier runs.
    arrival: u64,
    reloads: Reloads,
}

struct GateState {
    /// `None` once all sources have been read.
    sender: Option<Sender<Claim>>,
    /// The ordinal of the next piece.
    next: u64,
    /// Schedules checkpoints.
    schedule: Schedule,
    /// Whether input, even part of a record, has arrived since the last cut.
    is_dirty: bool,
    /// The positions last recorded for each source.
    positions: Positions,
    /// The number of reading threads.
    reading: usize,
    /// The number of threads that have reached the current cut.
    waiting: usize,
    /// The number of resting threads.
    resting: usize,
    /// The number of cuts made.
    cuts: u64,
}

impl Gate {
    /// A gate for sources that are at `positions`.
    pub(super) fn new(
        sender: Sender<Claim>,
        schedule: Schedule,
        positions: Positions,
        cancelled: Arc<AtomicBool>,
        arrival: u64,
        reloads: Reloads,
    ) -> Self {
        let state = GateState {
            sender: Some(sender),
            next: 0,
            schedule,
            is_dirty: false,
            positions,
            reading: 0,
            waiting: 0,
            resting: 0,
            cuts: 0,
        };
        Self { state: Mutex::new(state), moved: Condvar::new(), cancelled, arrival, reloads }
    }

    /// Registers a reading thread.
    pub(super) fn enter(&self) {
        self.lock().reading += 1;
    }

    /// Deregisters a thread that has read `inlets`.
    pub(super) fn leave(&self, inlets: &Inlets) -> Result<()> {
        let mut state = self.lock();
        state.reading -= 1;
        let noted = state.note(inlets);
        state.cut_if_all_wait();
        self.moved.notify_all();
        noted
    }

    /// The sources of a thread have nothing to read: cuts are made without it until it [wakes](Gate::wake).
    ///
    /// # Errors
    /// If the position of a source cannot be saved.
    pub(super) fn rest(&self, inlets: &Inlets) -> Result<()> {
        let mut state = self.lock();
        state.note(inlets)?;
        state.resting += 1;
        state.cut_if_all_wait();
        self.moved.notify_all();
        Ok(())
    }

    /// Ends the rest of a thread.
    pub(super) fn wake(&self) {
        self.lock().resting -= 1;
    }

    /// Whether other threads are reading.
    pub(super) fn has_others(&self) -> bool {
        self.lock().reading > 1
    }

    /// Closes the channel: the workers end once they have taken what is in it.
    pub(super) fn close(&self) {
        self.lock().sender = None;
    }

    /// Input has arrived that is not a piece yet.
    pub(super) fn mark(&self) {
        self.lock().is_dirty = true;
    }

    /// Sends a piece after all others, built by `claim` from its ordinal, and returns its ordinal among the pieces of all sources recorded
    /// together; `None` if the workers have ended.
    pub(super) fn send(&self, claim: impl FnOnce(u64) -> Claim) -> Option<u64> {
        let mut state = self.lock();
        state.is_dirty = true;
        let arrival = self.arrival + state.next;
        state.send(claim).then_some(arrival)
    }

    /// Makes a cut together with the other threads, if one is due or has been started; returns whether the run continues.
    ///
    /// # Errors
    /// If the position of a source cannot be saved.
    pub(super) fn cut(&self, inlets: &Inlets) -> Result<bool> {
        let mut state = self.lock();
        state.reload(&self.reloads);
        let is_dirty = state.is_dirty;
        if state.waiting == 0 && !state.schedule.is_due(is_dirty) {
            return Ok(true);
        }
        state.note(inlets)?;
        state.waiting += 1;
        let cut = state.cuts;
        state.cut_if_all_wait();
        self.moved.notify_all();
        while state.cuts == cut {
            if self.cancelled.load(Ordering::Acquire) {
                return Ok(false);
            }
            let waited = self.moved.wait_timeout(state, PATIENCE);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GateState {
    fn note(&mut self, inlets: &Inlets) -> Result<()> {
        for (inlet, place) in inlets.iter().zip(inlets.save()?) {
            self.positions[inlet.at()] = place;
        }
        Ok(())
    }

    fn cut_if_all_wait(&mut self) {
        if self.waiting == 0 || self.waiting + self.resting < self.reading {
            return;
        }
        (self.waiting, self.is_dirty) = (0, false);
        self.cuts += 1;
        let piece = Piece::Cut(self.positions.clone());
        self.send(|ordinal| between(ordinal, piece));
    }

    /// Sends the requested reloads between two pieces: they precede everything that the sources have not given yet.
    fn reload(&mut self, reloads: &Reloads) {
        while let Some(reload) = reloads.next(self.next) {
            // The checkpoint behind it knows of it.
            self.is_dirty = true;
            self.send(|ordinal| between(ordinal, Piece::Reload(reload)));
        }
    }

    fn send(&mut self, claim: impl FnOnce(u64) -> Claim) -> bool {
        let is_sent = self.sender.as_ref().is_some_and(|sender| sender.send(claim(self.next)).is_ok());
        self.next += u64::from(is_sent);
        is_sent
    }
}

/// What goes between two pieces of the input.
fn between(ordinal: u64, piece: Piece) -> Claim {
    Claim {
        ordinal,
        piece,
        source: 0,
        progress: Progress::default(),
        arrived: None,
        dropped: Dropped::default(),
        place: None,
    }
}
