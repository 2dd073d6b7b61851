//! Messages that are not acknowledged yet.

use std::collections::VecDeque;

use crate::client::Ack;

/// The smallest number of unacknowledged messages that is taken for a limit of the broker at once. Fewer may be all that there are: they are taken for a limit if
/// no more than the same number came after an acknowledgement.
const SMALLEST: u64 = 10;

/// Messages that were read and are not acknowledged, in their order.
#[derive(Debug)]
pub(super) struct Acks {
    /// With the connection over which each came.
    waiting: VecDeque<(u64, Ack)>,
    /// Messages read so far, also in earlier runs.
    read: u64,
    /// The newest connection, and how many were read before its first message.
    connection: u64,
    before: u64,
    /// How many messages the broker may send before the first is acknowledged.
    window: u64,
    /// How many it seems to send.
    seen: Option<u64>,
    /// How often it seemed so.
    stalls: u64,
    /// How many messages are unacknowledged, if no more have come for a while; and how many were when the last ones were acknowledged.
    idle: Option<u64>,
    idle_before: Option<u64>,
}

impl Acks {
    pub(super) fn new(window: u16) -> Self {
        Self {
            waiting: VecDeque::new(),
            read: 0,
            connection: 0,
            before: 0,
            window: u64::from(window),
            seen: None,
            stalls: 0,
            idle: None,
            idle_before: None,
        }
    }

    /// A message was read.
    pub(super) fn push(&mut self, connection: u64, ack: Ack) {
        if connection != self.connection {
            (self.connection, self.before) = (connection, self.read);
        }
        self.waiting.push_back((connection, ack));
        self.read += 1;
        self.idle = None;
        if self.seen.is_some_and(|seen| self.unacknowledged() > seen) {
            (self.seen, self.idle_before) = (None, None);
        }
    }

    /// The position behind all messages that were read.
    pub(super) fn position(&self) -> u64 {
        self.read
    }

    /// Counts on from the position of an earlier run. What it had not acknowledged comes again.
    pub(super) fn resume(&mut self, position: u64) {
        (self.read, self.before) = (position, position);
        self.waiting.clear();
    }

    /// Takes the messages before `position`, to acknowledge them.
    pub(super) fn take(&mut self, position: u64) -> Vec<(u64, Ack)> {
        let first = self.read - self.waiting.len() as u64;
        let count = position.saturating_sub(first).min(self.waiting.len() as u64);
        if count > 0 {
            self.idle_before = self.idle.take();
        }
        self.waiting.drain(..count as usize).collect()
    }

    /// Whether a checkpoint is needed, so that the broker sends on: half of the window is unacknowledged.
    pub(super) fn needs_cut(&self) -> bool {
        let window = self.seen.unwrap_or(self.window).min(self.window);
        2 * self.unacknowledged() >= window.max(2)
    }

    /// Nothing has come for a while. The broker may have a limit of its own, which it does not tell: then it is that many messages.
    pub(super) fn stalled(&mut self) -> bool {
        let unacknowledged = self.unacknowledged();
        self.idle = Some(unacknowledged);
        if unacknowledged == 0 || unacknowledged < SMALLEST && self.idle_before != self.idle {
            return false;
        }
        if self.seen != Some(unacknowledged) {
            (self.seen, self.stalls) = (Some(unacknowledged), 0);
        }
        self.stalls += 1;
        true
    }

    /// The limit of the broker, if it surely has one that slows the source down.
    pub(super) fn limit(&self) -> Option<u64> {
        self.seen.filter(|seen| self.stalls >= 3 && (SMALLEST..1000).contains(seen))
    }

    /// Of the newest connection.
    fn unacknowledged(&self) -> u64 {
        (self.read - self.before).min(self.waiting.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(acks: &mut Acks, connection: u64, count: u16) {
        (0..count).for_each(|packet| acks.push(connection, Ack::of(packet)));
    }

    #[test]
    fn messages_are_acknowledged_once_up_to_a_position() {
        let mut acks = Acks::new(100);
        acks.resume(1000);
        pushed(&mut acks, 1, 5);
        let position = acks.position();
        pushed(&mut acks, 1, 2);
        assert_eq!(acks.take(999), []);
        assert_eq!(acks.take(position).len(), 5);
        assert_eq!(acks.take(position), []);
        assert_eq!(acks.take(u64::MAX).len(), 2);
    }

    #[test]
    fn a_cut_is_needed_at_half_of_the_window_of_the_connection() {
        let mut acks = Acks::new(10);
        pushed(&mut acks, 1, 4);
        assert!(!acks.needs_cut());
        pushed(&mut acks, 1, 1);
        assert!(acks.needs_cut());
        // Those of the lost connection come again.
        pushed(&mut acks, 2, 1);
        assert!(!acks.needs_cut());
        acks.take(6);
        assert!(!acks.needs_cut());
        let mut smallest = Acks::new(1);
        assert!(!smallest.needs_cut());
        pushed(&mut smallest, 1, 1);
        assert!(smallest.needs_cut());
    }

    #[test]
    fn a_limit_of_the_broker_is_noticed_and_forgotten_when_it_is_exceeded() {
        let mut acks = Acks::new(1000);
        pushed(&mut acks, 1, 5);
        assert!(!acks.stalled());
        pushed(&mut acks, 1, 15);
        assert!(!acks.needs_cut() && acks.stalled() && acks.needs_cut());
        acks.take(20);
        pushed(&mut acks, 1, 10);
        assert!(acks.needs_cut());
        pushed(&mut acks, 1, 11);
        assert!(!acks.needs_cut());
        for _ in 0..3 {
            assert!(acks.stalled());
        }
        assert_eq!(acks.limit(), Some(21));
    }

    #[test]
    fn a_small_limit_is_noticed_when_it_is_reached_again() {
        let mut acks = Acks::new(1000);
        pushed(&mut acks, 1, 3);
        assert!(!acks.stalled() && !acks.needs_cut());
        acks.take(3);
        assert!(!acks.stalled());
        pushed(&mut acks, 1, 3);
        assert!(acks.stalled() && acks.needs_cut());
        // It is slow, but perhaps there are no more.
        (0..9).for_each(|_| assert!(acks.stalled()));
        assert_eq!(acks.limit(), None);
        acks.take(6);
        pushed(&mut acks, 1, 4);
        assert!(!acks.stalled() && !acks.needs_cut());
    }
}
