//! What arrives over a connection: complete records, incomplete ones that are rejected, the end.

use std::time::Instant;

use super::Sockets;
use super::connection::Connection;
use super::own::OwnSocket;
use super::received::Received;
use crate::error::Error;
use crate::source::stream::framing::{Framing, MAX_WAITING};
use crate::source::stream::wait::is_for_later;

/// Reason for rejecting an incomplete record when the peer closed the connection.
pub(super) const ENDED: &str = "the connection ended before the record was complete";

impl Sockets {
    /// Reads once from a connection, up to `most` bytes; returns the number of bytes, and whether there may be more.
    pub(super) fn receive(&mut self, id: u64, most: usize) -> (usize, bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return (0, false) };
        match connection.peer.read(&mut self.scratch[..most]) {
            Ok(0) => self.lose(id, &Error::unavailable(format!("{} has closed it", self.address))),
            Ok(read) => {
                self.receive_bytes(id, read);
                return (read, read == most && self.connections.contains_key(&id));
            }
            Err(error) if is_for_later(&error) => {}
            Err(error) => {
                self.received.counts.lost += 1;
                self.lose(id, &Error::io("read from", &self.address, &error));
            }
        }
        (0, false)
    }

    /// The other side has ended a connection.
    fn lose(&mut self, id: u64, error: &Error) {
        // Who connects to us may go.
        if matches!(self.own, OwnSocket::Dial(_)) {
            self.meter.lost(Some(error));
        }
        self.end(id, ENDED);
    }

    /// Processes what was read from a connection.
    fn receive_bytes(&mut self, id: u64, read: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.heard = Instant::now();
        let taken = connection.change(&mut self.waiting, |framing| {
            framing.push(&self.scratch[..read]);
            self.received.take_whole(framing)
        });
        if let Err(error) = taken {
            self.change(id, |framing, received| received.reject_columns(framing, &error));
            self.close(id);
        }
        while self.waiting > MAX_WAITING {
            self.reject_longest();
        }
    }

    /// Rejects the longest incomplete record: the largest consumer pays, not the latest.
    fn reject_longest(&mut self) {
        let holds = |(&id, connection): (&u64, &Connection)| (connection.framing.waiting(), id);
        if let Some((_, id)) = self.connections.iter().map(holds).max() {
            self.received.counts.refused += 1;
            self.change(id, |framing, received| {
                received.reject(framing, "too many records are incomplete, and this is the longest");
            });
            // Nothing can be decoded after a header that was dropped.
            if self.connections.get(&id).is_some_and(|connection| !connection.framing.has_begun()) {
                self.close(id);
            }
        }
    }

    /// A connection has ended. An incomplete record is rejected with the reason `why`: its last number may lack digits.
    pub(super) fn end(&mut self, id: u64, why: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let taken = connection.change(&mut self.waiting, |framing| {
            framing.expect_no_more();
            self.received.take_whole(framing)
        });
        if let Err(error) = taken {
            self.change(id, |framing, received| received.reject_columns(framing, &error));
        } else if self.connections.get(&id).is_some_and(|connection| connection.framing.waiting() > 0) {
            self.received.counts.cut_off += 1;
            self.change(id, |framing, received| received.reject_last(framing, why));
        }
        self.close(id);
    }

    /// Changes the framing of a connection, if it is there, and what has been received.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Framing, &mut Received)) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.change(&mut self.waiting, |framing| change(framing, &mut self.received));
        }
    }

    fn close(&mut self, id: u64) {
        self.turns.leave(id);
        if let Some(connection) = self.connections.remove(&id) {
            self.waiting -= connection.framing.waiting();
            self.poll.remove(connection.peer.socket());
        }
        if let OwnSocket::Dial(dial) = &mut self.own {
            dial.has_ended();
        }
    }
}
