//! How connections are made: accepted from a listening socket, or dialled.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::Sockets;
use super::connection::{Connection, Peer};
use super::own::OwnSocket;
use super::poll::AT_ONCE;
use super::receiving::ENDED;
use crate::source::stream::descriptors;
use crate::source::stream::framing::Framing;

/// Maximum number of connections; for another one, the connection that has been silent for longest is closed.
const MAX_CONNECTIONS: usize = 10_000;

impl Sockets {
    /// Connects, if this is an outgoing connection and an attempt is due.
    pub(super) fn dial(&mut self) {
        let OwnSocket::Dial(dial) = &mut self.own else { return };
        if !self.connections.is_empty() {
            return;
        }
        match dial.connect(&self.address) {
            Some(Ok(peer)) => {
                let name = self.address.to_string();
                self.add(peer, name);
                self.meter.connected();
            }
            Some(Err(error)) => {
                self.received.counts.failed_tries += 1;
                self.meter.failed(Some(&error));
            }
            None => {}
        }
    }

    /// Accepts pending connections.
    pub(super) fn accept_all(&mut self) {
        for _ in 0..AT_ONCE {
            let OwnSocket::Listener(listener) = &self.own else { return };
            match listener.accept(&self.address) {
                Ok((peer, name)) => self.add(peer, name),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if descriptors::are_used_up(&error) => {
                    self.make_room();
                    break;
                }
                // The client has disconnected already.
                Err(_) => {
                    self.received.counts.lost += 1;
                    break;
                }
            }
        }
    }

    fn add(&mut self, peer: Peer, name: String) {
        if self.connections.len() >= MAX_CONNECTIONS {
            self.make_room();
        }
        let id = self.next_connection;
        if peer.set_nonblocking().and_then(|()| self.poll.add(peer.socket(), id)).is_err() {
            self.received.counts.lost += 1;
            return;
        }
        self.next_connection += 1;
        self.received.counts.connections += 1;
        let framing = Framing::new(name.into(), Arc::clone(&self.stem), self.file);
        self.connections.insert(id, Connection { peer, framing, heard: Instant::now() });
    }

    /// Closes the connection that has been silent for longest.
    fn make_room(&mut self) {
        let silent = self.connections.iter().min_by_key(|(_, connection)| connection.heard);
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.received.counts.crowded_out += 1;
            self.end(id, ENDED);
        }
    }
}
