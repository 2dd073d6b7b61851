//! A connection that is made from here, again and again.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::connection::Peer;
use crate::error::{Error, Result};
use crate::source::file::address::Address;

/// Before another try to connect: this long, and twice that after every failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// When to try, and how long to wait after a failure.
pub(super) struct Dial {
    next_try: Instant,
    pause: Duration,
}

impl Dial {
    pub(super) fn new() -> Self {
        Self { next_try: Instant::now(), pause: FIRST_PAUSE }
    }

    /// Connects, where that is due; `None` where it is not.
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

/// Connects. An address that does not answer is given up after a second, so that a stop need not wait for much longer.
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
        _ => Err(Error::internal("an address that is listened at")),
    }
}
