//! A server that sends back whatever it is told: the worst that a client's error messages can quote.

use std::io;

use crate::listener::Listener;

/// An echo server on loopback.
pub struct Echo {
    listener: Listener,
}

impl Echo {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        let serve = |stream: std::net::TcpStream| {
            // An error: the connection has ended.
            drop(io::copy(&mut &stream, &mut &stream));
        };
        Self { listener: Listener::start(serve) }
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.listener.port())
    }
}
