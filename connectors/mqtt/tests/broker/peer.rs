//! A broker that says what the tests want.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tidemill_mqtt::Version;

/// A longer wait will not succeed.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The broker's side of a connection.
pub(crate) struct Peer(TcpStream);

impl Peer {
    /// The next packet: its first byte, and what follows its length.
    pub(crate) fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut byte = [0];
        self.0.read_exact(&mut byte).ok()?;
        let (first, mut len) = (byte[0], 0);
        for at in 0..4 {
            self.0.read_exact(&mut byte).ok()?;
            len |= usize::from(byte[0] & 0x7f) << (7 * at);
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut rest = vec![0; len];
        self.0.read_exact(&mut rest).ok()?;
        Some((first, rest))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // An error: the client is gone, which the test sees.
        let _gone = self.0.write_all(bytes);
    }

    /// Takes CONNECT, and answers.
    pub(crate) fn accept(&mut self, answer: &[u8]) {
        let (kind, _) = self.packet().expect("CONNECT");
        assert_eq!(kind, 0x10);
        self.send(answer);
    }

    /// Takes SUBSCRIBE, and answers with this code.
    pub(crate) fn subscribe(&mut self, version: Version, code: u8) {
        let (kind, rest) = self.packet().expect("SUBSCRIBE");
        assert_eq!(kind, 0x82);
        match version {
            Version::V4 => self.send(&[0x90, 3, rest[0], rest[1], code]),
            Version::V5 => self.send(&[0x90, 4, rest[0], rest[1], 0, code]),
        }
    }

    /// Sends a message of QoS 1 of MQTT 3.1.1.
    pub(crate) fn publish(&mut self, packet: u8, number: u8, is_repeated: bool) {
        let flags = if is_repeated { 0x3a } else { 0x32 };
        self.send(&[flags, 6, 0, 1, b't', 0, packet, b'0' + number]);
    }

    /// The numbers of the next messages that are acknowledged.
    pub(crate) fn acknowledged(&mut self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            let (kind, rest) = self.packet().expect("PUBACK");
            if kind == 0x40 {
                all.push(rest[1]);
            }
        }
        all
    }
}

/// A broker whose connections this function serves, one after the other.
pub(crate) struct Broker {
    pub(crate) url: String,
    pub(crate) thread: JoinHandle<()>,
}

impl Broker {
    pub(crate) fn start(serve: impl FnOnce(&mut dyn FnMut() -> Peer) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("mqtt://{}", listener.local_addr().expect("an address"));
        let serve = move || {
            let mut accept = || {
                let (stream, _) = listener.accept().expect("a connection");
                stream.set_read_timeout(Some(LIMIT)).expect("set");
                Peer(stream)
            };
            serve(&mut accept);
        };
        Self { url, thread: Builder::new().name("broker".into()).spawn(serve).expect("a thread") }
    }
}
