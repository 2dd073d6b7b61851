//! Exclusive access in the order of the chunks.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::utils::Backoff;

/// Time to spin before sleeping: most waits are shorter than falling asleep and waking up, which takes about this long.
const PATIENCE: Duration = Duration::from_micros(100);

/// A value that chunk 0 accesses first, then chunk 1, and so on.
///
/// Waiting for chunk `k` means waiting for the worker of chunk `k − 1`, which was claimed before and only waits for earlier ones: the
/// earliest chunk in flight waits for none, so there is always progress.
pub(crate) struct Turn<T> {
    next: AtomicU64,
    inner: Mutex<T>,
    changed: Condvar,
    /// The number of sleeping threads. Only changed with `inner` locked.
    sleepers: AtomicUsize,
}

/// Access to the value; dropping it passes the turn on. Not so if a panic drops it: the work of the turn is not done, and later chunks,
/// such as a checkpoint, must not miss it. Then the run ends, and all waiting threads are [woken](Turn::wake).
pub(crate) struct Taken<'a, T> {
    turn: &'a Turn<T>,
    /// `None` only during drop.
    guard: Option<MutexGuard<'a, T>>,
}

impl<T> Turn<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            next: AtomicU64::new(0),
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            sleepers: AtomicUsize::new(0),
        }
    }

    /// Whether it is the turn of `ordinal`.
    pub(crate) fn has_come(&self, ordinal: u64) -> bool {
        self.next.load(Ordering::Acquire) == ordinal
    }

    /// Waits for the turn of `ordinal`; `None` once `cancelled` is set, see [`Turn::wake`]. The time waited is added to `waiting`.
    pub(crate) fn take(
        &self,
        ordinal: u64,
        cancelled: &AtomicBool,
        waiting: &mut Duration,
    ) -> Option<Taken<'_, T>> {
        if self.has_come(ordinal) {
            return self.wait(ordinal, cancelled);
        }
        let (backoff, start) = (Backoff::new(), Instant::now());
        while !self.has_come(ordinal) && start.elapsed() < PATIENCE {
            backoff.snooze();
        }
        let taken = self.wait(ordinal, cancelled);
        *waiting += start.elapsed();
        taken
    }

    /// Waits for the turn of `ordinal` and passes it on; `None` once `cancelled` is set.
    pub(crate) fn pass(&self, ordinal: u64, cancelled: &AtomicBool) -> Option<()> {
        self.take(ordinal, cancelled, &mut Duration::default()).map(drop)
    }

    /// Sleeps until it is the turn of `ordinal`.
    fn wait(&self, ordinal: u64, cancelled: &AtomicBool) -> Option<Taken<'_, T>> {
        let mut guard = self.lock();
        loop {
            if cancelled.load(Ordering::Acquire) {
                return None;
            }
            if self.has_come(ordinal) {
                return Some(Taken { turn: self, guard: Some(guard) });
            }
            self.sleepers.fetch_add(1, Ordering::Relaxed);
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
            self.sleepers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Sets the turn to `ordinal`.
    pub(crate) fn skip_to(&mut self, ordinal: u64) {
        *self.next.get_mut() = ordinal;
    }

    /// Wakes all waiting threads to check `cancelled`.
    pub(crate) fn wake(&self) {
        let _guard = self.lock();
        self.changed.notify_all();
    }

    /// The value, while no other thread has access.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_inner(self) -> T {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ignores poisoning: panics are caught where foreign code is called, and what one leaves behind is never published.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.guard = None;
            return;
        }
        self.turn.next.fetch_add(1, Ordering::Release);
        // A thread that locks from here on sees the new turn. Waking is a system call even without sleepers.
        let anybody = self.turn.sleepers.load(Ordering::Relaxed) > 0;
        self.guard = None;
        if anybody {
            self.turn.changed.notify_all();
        }
    }
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_deref().unwrap_or_else(|| unreachable!("there until the drop"))
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_deref_mut().unwrap_or_else(|| unreachable!("there until the drop"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_order_whoever_asks_first() {
        let (turn, cancelled) = (Turn::new(Vec::new()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for worker in 0..4u64 {
                let (turn, cancelled) = (&turn, &cancelled);
                scope.spawn(move || {
                    for ordinal in (worker..400).step_by(4) {
                        turn.take(ordinal, cancelled, &mut Duration::default())
                            .expect("not cancelled")
                            .push(ordinal);
                    }
                });
            }
        });
        assert_eq!(turn.into_inner(), (0..400).collect::<Vec<_>>());
    }

    #[test]
    fn a_turn_that_panicked_is_not_passed_on() {
        let turn = Turn::new(());
        let cancelled = AtomicBool::new(false);
        let panics = || {
            let _taken = turn.take(0, &cancelled, &mut Duration::default()).expect("not cancelled");
            panic!("in its turn");
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).expect_err("a panic");
        assert!(!turn.has_come(1), "nobody may go on behind what was not done");
    }

    #[test]
    fn who_waits_is_woken_by_a_cancellation() {
        let (turn, cancelled) = (Turn::new(()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turn.take(1, &cancelled, &mut Duration::default()).is_none());
            cancelled.store(true, Ordering::Release);
            turn.wake();
            assert!(waiting.join().expect("no panic"));
        });
    }
}
