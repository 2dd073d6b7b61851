//! What the threads of several sources share: the channel to the workers, in which their pieces get their order, and the cut that is being made.
//!
//! A cut is made when every thread that still reads has come to it: each notes where its sources are and waits, and the last one sends the cut. So all
//! pieces of before are in front of it, and all others behind. A thread whose source has nothing to give notes that beforehand and rests: nobody waits
//! for it, and what it sends next is behind the cut.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::channel::Sender;

use crate::error::Result;
use crate::runtime::crew::{Claim, Dropped, Piece};
use crate::runtime::inlets::Inlets;
use crate::runtime::schedule::Schedule;
use crate::runtime::snapshot::Positions;
use crate::source::Progress;

/// How long a thread waits for the others before it looks whether the run has failed.
const PATIENCE: Duration = Duration::from_millis(50);

/// Where the threads of all sources meet.
pub(super) struct Gate {
    state: Mutex<State>,
    moved: Condvar,
    /// Set when the run has failed.
    cancelled: Arc<AtomicBool>,
    /// The ordinal of the first piece among those that have been recorded, of before too.
    arrival: u64,
}

struct State {
    /// There until all sources have been read.
    sender: Option<Sender<Claim>>,
    /// The ordinal of the next piece.
    next: u64,
    /// Says when a checkpoint is due.
    schedule: Schedule,
    /// Whether anything has come since the last one, be it a part of a record.
    is_dirty: bool,
    /// Where each source was when it was asked last.
    positions: Positions,
    /// How many threads read.
    reading: usize,
    /// How many of them have come to the cut that is being made.
    waiting: usize,
    /// How many of them rest.
    resting: usize,
    /// How many cuts have been made.
    cuts: u64,
}

impl Gate {
    /// Before sources that stand at `positions`.
    pub(super) fn new(
        sender: Sender<Claim>,
        schedule: Schedule,
        positions: Positions,
        cancelled: Arc<AtomicBool>,
        arrival: u64,
    ) -> Self {
        let state = State {
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
        Self { state: Mutex::new(state), moved: Condvar::new(), cancelled, arrival }
    }

    /// One more thread reads.
    pub(super) fn enter(&self) {
        self.lock().reading += 1;
    }

    /// A thread that has read `inlets` reads no more.
    pub(super) fn leave(&self, inlets: &Inlets) -> Result<()> {
        let mut state = self.lock();
        state.reading -= 1;
        let noted = state.note(inlets);
        state.cut_if_all_wait();
        self.moved.notify_all();
        noted
    }

    /// The sources of a thread have nothing to give: cuts are made without it until it [wakes](Gate::wake).
    ///
    /// # Errors
    /// When a source cannot say where it is.
    pub(super) fn rest(&self, inlets: &Inlets) -> Result<()> {
        let mut state = self.lock();
        state.note(inlets)?;
        state.resting += 1;
        state.cut_if_all_wait();
        self.moved.notify_all();
        Ok(())
    }

    /// A thread rests no longer.
    pub(super) fn wake(&self) {
        self.lock().resting -= 1;
    }

    /// Whether there are other threads that read.
    pub(super) fn has_others(&self) -> bool {
        self.lock().reading > 1
    }

    /// Nothing more will be sent: the workers end when they have taken what there is.
    pub(super) fn close(&self) {
        self.lock().sender = None;
    }

    /// Something has come that is no piece yet.
    pub(super) fn mark(&self) {
        self.lock().is_dirty = true;
    }

    /// Gives a piece its place behind all others, and says which that is among the pieces of all sources that have been recorded together; `None` where
    /// there is nobody to take it.
    pub(super) fn send(&self, claim: impl FnOnce(u64) -> Claim) -> Option<u64> {
        let mut state = self.lock();
        state.is_dirty = true;
        let arrival = self.arrival + state.next;
        state.send(claim).then_some(arrival)
    }

    /// Makes a cut with the other threads, if one is due or has been begun; whether the run goes on.
    ///
    /// # Errors
    /// When a source cannot say where it is.
    pub(super) fn cut(&self, inlets: &Inlets) -> Result<bool> {
        let mut state = self.lock();
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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
        self.send(|ordinal| Claim {
            ordinal,
            piece,
            source: 0,
            progress: Progress::default(),
            arrived: None,
            dropped: Dropped::default(),
            latest: None,
            place: None,
        });
    }

    fn send(&mut self, claim: impl FnOnce(u64) -> Claim) -> bool {
        let is_sent = self.sender.as_ref().is_some_and(|sender| sender.send(claim(self.next)).is_ok());
        self.next += u64::from(is_sent);
        is_sent
    }
}
