//! A bound in bytes on what waits between threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many bytes may be on their way at once; one piece that has more may be alone.
#[derive(Debug)]
pub(crate) struct Room {
    limit: usize,
    used: Mutex<usize>,
    freed: Condvar,
}

/// The room that one piece takes; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: Mutex::new(0), freed: Condvar::new() })
    }

    /// Waits for room for `bytes`, `patience` at most.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize, patience: Duration) -> Option<Place> {
        let is_full = |used: &mut usize| *used > 0 && *used + bytes > self.limit;
        let (mut used, _) = self
            .freed
            .wait_timeout_while(self.lock(), patience, is_full)
            .unwrap_or_else(PoisonError::into_inner);
        if is_full(&mut used) {
            return None;
        }
        *used += bytes;
        Some(Place { room: Arc::clone(self), bytes })
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.room.lock() -= self.bytes;
        self.room.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_bytes_are_on_their_way_but_one_piece_always_is() {
        let room = Room::new(10);
        let now = Duration::ZERO;
        let large = room.take(20, now).expect("alone");
        assert!(room.take(1, now).is_none());
        drop(large);
        let (four, six) = (room.take(4, now).expect("room"), room.take(6, now).expect("room"));
        assert!(room.take(1, now).is_none());
        drop(four);
        assert!(room.take(5, now).is_none());
        assert!(room.take(4, now).is_some());
        drop(six);
    }
}
