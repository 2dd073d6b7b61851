//! Waiting for jobs that other threads do.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Counts the jobs that were handed out, and those that are done.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    taken: u64,
    shared: Arc<Shared>,
}

/// One job. If it is dropped before it is [done](Ticket::done), the job counts as abandoned.
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
    done: Mutex<Done>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Done {
    /// All jobs before this number are done.
    first: u64,
    /// The numbers of later jobs that are done.
    others: Vec<u64>,
    /// Whether one was abandoned.
    is_broken: bool,
}

impl Tickets {
    /// The ticket of another job.
    pub(super) fn take(&mut self) -> Ticket {
        self.taken += 1;
        Ticket { number: self.taken - 1, is_done: false, shared: Arc::clone(&self.shared) }
    }

    /// All jobs whose tickets have been taken so far.
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
        let mut done = self.shared.lock();
        done.is_broken |= !self.is_done;
        done.others.push(self.number);
        while let Some(at) = done.others.iter().position(|&number| number == done.first) {
            done.others.swap_remove(at);
            done.first += 1;
        }
        drop(done);
        self.shared.changed.notify_all();
    }
}

impl Promised {
    /// Waits until all of them are done.
    ///
    /// # Errors
    /// If one was abandoned.
    pub(super) fn wait(self) -> Result<(), ()> {
        let done = self.shared.lock();
        let is_open = |done: &mut Done| done.first < self.taken && !done.is_broken;
        let done = self.shared.changed.wait_while(done, is_open).unwrap_or_else(PoisonError::into_inner);
        if done.is_broken { Err(()) } else { Ok(()) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
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
