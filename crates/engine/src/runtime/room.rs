//! A bound, in bytes and in pieces, on what is queued between threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bounds the bytes and pieces in flight; a larger piece is accepted if it is alone.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: usize,
    pieces: usize,
    used: Mutex<Used>,
    freed: Condvar,
    /// The bytes in flight, for others to see.
    shown: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    pieces: usize,
}

/// The room of one piece; released on drop.
#[derive(Debug)]
pub(crate) struct RoomGuard {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    /// The bytes in flight are `shown`.
    pub(crate) fn new(bytes: usize, pieces: usize, shown: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self { bytes, pieces, used: Mutex::default(), freed: Condvar::new(), shown })
    }

    /// Waits for room for `bytes`, for `patience` at most.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize, patience: Duration) -> Option<RoomGuard> {
        let is_full = |used: &mut Used| {
            used.pieces > 0 && (used.bytes + bytes > self.bytes || used.pieces >= self.pieces)
        };
        let (mut used, _) = self
            .freed
            .wait_timeout_while(self.lock(), patience, is_full)
            .unwrap_or_else(PoisonError::into_inner);
        if is_full(&mut used) {
            return None;
        }
        (used.bytes, used.pieces) = (used.bytes + bytes, used.pieces + 1);
        self.shown.store(used.bytes as u64, Ordering::Relaxed);
        Some(RoomGuard { room: Arc::clone(self), bytes })
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RoomGuard {
    fn drop(&mut self) {
        let mut used = self.room.lock();
        (used.bytes, used.pieces) = (used.bytes - self.bytes, used.pieces - 1);
        self.room.shown.store(used.bytes as u64, Ordering::Relaxed);
        drop(used);
        self.room.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_bytes_are_on_their_way_but_one_piece_always_is() {
        let shown = Arc::new(AtomicU64::new(0));
        let room = Room::new(10, 3, Arc::clone(&shown));
        let now = Duration::ZERO;
        let large = room.take(20, now).expect("alone");
        assert!(room.take(1, now).is_none());
        drop(large);
        let (four, six) = (room.take(4, now).expect("room"), room.take(6, now).expect("room"));
        assert!(room.take(1, now).is_none());
        drop(four);
        assert!(room.take(5, now).is_none());
        assert_eq!(shown.load(Ordering::Relaxed), 6);
        assert!(room.take(4, now).is_some());
        drop(six);
        let small: Vec<_> = (0..3).map(|_| room.take(1, now).expect("room")).collect();
        assert!(room.take(1, now).is_none(), "three pieces");
        drop(small);
    }
}
