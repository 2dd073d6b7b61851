//! An outgoing connection, re-established whenever it ends.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::address::Address;
use super::connection::Peer;
use crate::error::{Error, Result};

/// Pause before another attempt; doubled after every failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Schedules attempts with a back-off.
pub(super) struct Dial {
    next_try: Instant,
    pause: Duration,
}

impl Dial {
    pub(super) fn new() -> Self {
        Self { next_try: Instant::now(), pause: FIRST_PAUSE }
    }

    /// Connects if an attempt is due; `None` if not.
    pub(super) fn connect(&mut self, address: &Address) -> Option<Result<Peer>> {
        if Instant::now() < self.next_try {
            return None;
        }
        let connected = connect(address);
        match connected {
            Ok(_) => self.pause = FIRST_PAUSE,
            Err(_) => {
                self.next_try = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
        Some(connected)
    }

    /// The connection has ended.
    pub(super) fn has_ended(&mut self) {
        self.next_try = Instant::now() + self.pause;
    }
}

/// Connects. An address that does not answer times out after a second, so that a stop is not delayed much longer.
fn connect(address: &Address) -> Result<Peer> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let failed = |error: io::Error| Error::io("connect to", address, &error);
    match address {
        Address::Unix(path) => UnixStream::connect(path).map(Peer::Unix).map_err(failed),
        Address::Tcp(host) => {
            let mut last = io::ErrorKind::AddrNotAvailable.into();
            for socket in address.resolve(host)? {
                match TcpStream::connect_timeout(&socket, PATIENCE) {
                    Ok(stream) => return Ok(Peer::Tcp(stream)),
                    Err(error) => last = error,
                }
            }
            Err(failed(last))
        }
        _ => Err(Error::internal("cannot connect to a listening address")),
    }
}
