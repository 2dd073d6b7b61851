//! Who waits for jobs that somebody else does.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Counts jobs that were handed out, and those that are done.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    taken: u64,
    shared: Arc<Shared>,
}

/// One job; given up when it is dropped before it is [done](Ticket::done).
#[derive(Debug)]
pub(super) struct Ticket {
    number: u64,
    is_done: bool,
    shared: Arc<Shared>,
}

/// All jobs handed out so far.
#[derive(Debug)]
pub(super) struct Promised {
    taken: u64,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many of the first jobs are done, without a gap.
    first: u64,
    /// Those done behind a gap.
    others: Vec<u64>,
    /// Whether one was given up.
    is_broken: bool,
}

impl Tickets {
    /// For one more job.
    pub(super) fn take(&mut self) -> Ticket {
        self.taken += 1;
        Ticket { number: self.taken - 1, is_done: false, shared: Arc::clone(&self.shared) }
    }

    /// Those taken so far.
    pub(super) fn promised(&self) -> Promised {
        Promised { taken: self.taken, shared: Arc::clone(&self.shared) }
    }
}

impl Ticket {
    /// The job is done.
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_broken |= !self.is_done;
        state.others.push(self.number);
        while let Some(at) = state.others.iter().position(|&number| number == state.first) {
            state.others.swap_remove(at);
            state.first += 1;
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Promised {
    /// Waits until all of them are done.
    ///
    /// # Errors
    /// When one was given up.
    pub(super) fn wait(self) -> Result<(), ()> {
        let state = self.shared.lock();
        let is_open = |state: &mut State| state.first < self.taken && !state.is_broken;
        let state = self.shared.changed.wait_while(state, is_open).unwrap_or_else(PoisonError::into_inner);
        if state.is_broken { Err(()) } else { Ok(()) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_goes_on_when_all_earlier_jobs_are_done_in_any_order() {
        let mut tickets = Tickets::default();
        let (first, second) = (tickets.take(), tickets.take());
        let promised = tickets.promised();
        let later = tickets.take();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| promised.wait());
            second.done();
            first.done();
            assert_eq!(waiting.join().expect("no panic"), Ok(()));
        });
        later.done();
        assert_eq!(tickets.promised().wait(), Ok(()));
    }

    #[test]
    fn a_job_given_up_keeps_nobody_waiting() {
        let mut tickets = Tickets::default();
        drop(tickets.take());
        assert_eq!(tickets.promised().wait(), Err(()));
    }
}
