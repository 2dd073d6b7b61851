//! What waits to be delivered by one sink: how many bytes, of which at most so many may wait, and what is dropped.
//!
//! The sink's thread adds to it, its delivery thread takes from it; whoever needs to know how far it is asks it here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::door::Door;
use crate::error::{Error, ErrorKind, Masks, Result};
use crate::notes::Event;
use crate::pipeline::OnFailure;
use crate::runtime::meters::SinkMeters;
use crate::sink::SinkContext;

/// How long to wait for room before checking whether the run continues.
const PATIENCE: Duration = Duration::from_millis(50);

/// What waits for the delivery of one sink.
pub(super) struct Backlog {
    label: String,
    /// How many bytes may wait.
    limit: u64,
    /// What happens when they do.
    when_full: OnFailure,
    /// Whether it is kept in the state folder.
    is_kept: bool,
    stop: Arc<AtomicBool>,
    masks: Arc<Masks>,
    /// What other threads see of it.
    meters: Arc<SinkMeters>,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    /// The rows that the sink has got since the last epoch was closed.
    rows: u64,
    /// The bytes of the epoch that is not closed.
    open: u64,
    /// The closed epochs that are not delivered, in order.
    waiting: VecDeque<Closed>,
    /// Their bytes.
    piled: u64,
    /// The last epoch that was delivered or dropped.
    done: u64,
    /// Rows dropped that no checkpoint has counted.
    dropped: u64,
    /// Rows dropped up to the last checkpoint, that the ledger has not counted.
    settled: u64,
    /// Whether a note has said that something is dropped.
    is_dropping_said: bool,
    /// Whether the last attempt at a delivery has failed.
    is_failing: bool,
    /// Nothing is delivered any more.
    is_abandoned: bool,
    total: Dropped,
}

/// A closed epoch.
#[derive(Clone, Copy)]
pub(super) struct Closed {
    pub(super) epoch: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// All that was dropped, for the report.
#[derive(Default)]
struct Dropped {
    /// Because there was no room: rows and epochs.
    full: (u64, u64),
    /// Because the target had refused them, with the first reason.
    refused: (u64, u64, Option<String>),
}

/// Whether a sink may take more.
pub(super) enum Admission {
    Take,
    Drop,
}

impl Backlog {
    pub(super) fn new(door: &Door, context: &SinkContext, limit: u64, when_full: OnFailure) -> Self {
        Self {
            label: door.label.clone(),
            limit,
            when_full,
            is_kept: context.state.is_some(),
            stop: Arc::clone(&context.stop),
            masks: Arc::clone(&context.masks),
            meters: Arc::clone(&door.meters),
            state: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    /// How many bytes may wait.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// The sink gets `rows`.
    pub(super) fn gets(&self, rows: u64) {
        self.state().rows += rows;
    }

    /// Waits for room, if that is what happens when there is none; until the run is to stop, or `may_continue` returns false.
    pub(super) fn wait_for_room(&self, may_continue: impl Fn() -> bool) {
        let mut state = self.state();
        // A run that is to end waits too as long as the target takes what it is given, such as when it delivers what the run before had left.
        let waits = |state: &State| match self.when_full {
            OnFailure::Wait => self.is_full(state),
            OnFailure::Stop => self.is_full(state) && !state.is_failing,
            OnFailure::Drop => false,
        };
        while waits(&state) && !self.stop.load(Ordering::Relaxed) && may_continue() {
            let waited = self.moved.wait_timeout(state, PATIENCE);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the sink may take more now.
    ///
    /// # Errors
    /// If there is no room, and the run is to end then.
    pub(super) fn admits(&self) -> Result<Admission> {
        let mut state = self.state();
        match self.when_full {
            _ if !self.is_full(&state) => Ok(Admission::Take),
            // The run is about to stop.
            OnFailure::Wait => Ok(Admission::Take),
            OnFailure::Stop if !state.is_failing => Ok(Admission::Take),
            OnFailure::Drop => {
                if !std::mem::replace(&mut state.is_dropping_said, true) {
                    self.say("has no room for more: `outbox` is full, and records are dropped until some are delivered");
                }
                Ok(Admission::Drop)
            }
            OnFailure::Stop => Err(self.full()),
        }
    }

    fn full(&self) -> Error {
        let error = Error::new(
            ErrorKind::Unavailable,
            format!("{} bytes wait to be delivered: `outbox` is full", self.limit),
        );
        error.with_help(match self.is_kept {
            true => "they are kept in the state folder: the same command delivers them and goes on",
            false => "with --state they would be kept; or write `on_failure = \"wait\"` or `\"drop\"`",
        })
    }

    /// The open epoch has `bytes` now.
    pub(super) fn grows(&self, bytes: u64) {
        let mut state = self.state();
        state.open = bytes;
        self.show(&state);
    }

    /// The open epoch is closed; returns its rows.
    pub(super) fn close(&self, epoch: u64, bytes: u64) -> u64 {
        let mut state = self.state();
        let rows = std::mem::take(&mut state.rows);
        state.open = 0;
        state.push(Closed { epoch, rows, bytes });
        self.show(&state);
        rows
    }

    /// An epoch that an earlier run has closed.
    pub(super) fn resume(&self, closed: Closed) {
        let mut state = self.state();
        state.push(closed);
        self.show(&state);
    }

    /// The open epoch is dropped.
    pub(super) fn discard(&self) {
        let mut state = self.state();
        let rows = std::mem::take(&mut state.rows);
        state.open = 0;
        state.dropped += rows;
        state.total.full.0 += rows;
        state.total.full.1 += 1;
        self.show(&state);
    }

    /// No rows wait that are not part of an epoch: those that the sink got had nothing to deliver.
    pub(super) fn forget_rows(&self) {
        self.state().rows = 0;
    }

    /// An attempt has failed.
    pub(super) fn fails(&self) {
        self.state().is_failing = true;
        self.moved.notify_all();
    }

    /// Epoch `epoch` is delivered.
    pub(super) fn delivered(&self, epoch: u64) {
        let mut state = self.state();
        state.finish(epoch);
        self.show(&state);
        self.moved.notify_all();
    }

    /// The oldest epoch is dropped, since the target has refused it.
    pub(super) fn refused(&self, error: &Error) {
        let mut state = self.state();
        let Some(oldest) = state.waiting.front().copied() else { return };
        state.finish(oldest.epoch);
        state.dropped += oldest.rows;
        let (rows, epochs, why) = &mut state.total.refused;
        (*rows, *epochs) = (*rows + oldest.rows, *epochs + 1);
        why.get_or_insert_with(|| error.to_string());
        self.show(&state);
        self.moved.notify_all();
    }

    /// Nothing is delivered any more: nobody needs to wait.
    pub(super) fn abandon(&self) {
        self.state().is_abandoned = true;
        self.moved.notify_all();
    }

    /// The last epoch that is done, for a checkpoint, which also counts what was dropped until then.
    pub(super) fn settle(&self) -> u64 {
        let mut state = self.state();
        state.settled += std::mem::take(&mut state.dropped);
        state.done
    }

    /// Rows dropped up to the last checkpoint, once.
    pub(super) fn take_settled(&self) -> u64 {
        std::mem::take(&mut self.state().settled)
    }

    /// Remarks about what was dropped, for the report.
    pub(super) fn remarks(&self) -> Vec<String> {
        let state = self.state();
        let Dropped { full, refused: (rows, epochs, why) } = &state.total;
        let what = if self.is_kept { "epochs" } else { "batches" };
        let of_full = (full.1 > 0).then(|| {
            format!(
                "{}: {} records in {} {what} were dropped, since `outbox` was full",
                self.label, full.0, full.1
            )
        });
        let of_refused = (*epochs > 0).then(|| {
            let why = why.as_deref().unwrap_or_default();
            format!(
                "{}: {rows} records in {epochs} {what} were dropped, since they had been refused: {why}",
                self.label
            )
        });
        of_full.into_iter().chain(of_refused).collect()
    }

    fn is_full(&self, state: &State) -> bool {
        // An epoch that is larger than that is delivered too.
        !state.is_abandoned && state.piled > 0 && state.piled + state.open >= self.limit
    }

    /// Other threads see how much waits.
    fn show(&self, state: &State) {
        self.meters.piles_up(state.waiting.len(), state.piled + state.open);
    }

    fn say(&self, what: &str) {
        let label = &self.label;
        Event::warn("outbox_full").part(label).say(&self.masks, &format!("{label} {what}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, closed: Closed) {
        self.piled += closed.bytes;
        self.waiting.push_back(closed);
    }

    /// All epochs up to `epoch` are done.
    fn finish(&mut self, epoch: u64) {
        while let Some(closed) = self.waiting.pop_front_if(|closed| closed.epoch <= epoch) {
            self.piled -= closed.bytes;
        }
        self.done = self.done.max(epoch);
        self.is_failing = false;
    }
}
