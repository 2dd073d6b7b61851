//! The socket of an address itself: it listens, receives datagrams, or is to be connected.

use std::io;
use std::net::UdpSocket;
use std::os::fd::BorrowedFd;

use super::address::Address;
use super::datagrams::Datagrams;
use super::dial::Dial;
use super::listen::{Listener, unavailable};
use crate::error::Result;

/// The socket of the address itself.
pub(super) enum OwnSocket {
    Listener(Listener),
    Datagrams(Box<Datagrams>),
    /// An outgoing connection, re-established whenever it ends.
    Dial(Dial),
}

impl OwnSocket {
    /// Starts to listen, or prepares to connect.
    ///
    /// # Errors
    /// If the address is not available.
    pub(super) fn open(address: &Address, file: u64) -> Result<Self> {
        let failed = |error: io::Error| unavailable(address, &error);
        Ok(match address {
            Address::TcpListen(_) | Address::UnixListen(_) => Self::Listener(Listener::open(address)?),
            Address::Udp(host) => {
                let socket = UdpSocket::bind(&*address.resolve(host)?).map_err(failed)?;
                let datagrams = Datagrams::new(socket, address.to_string().into(), file).map_err(failed)?;
                Self::Datagrams(Box::new(datagrams))
            }
            Address::Tcp(_) | Address::Unix(_) => Self::Dial(Dial::new()),
        })
    }

    /// What is polled; nothing for an outgoing connection, which is polled as all connections are.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Listener(listener) => Some(listener.socket()),
            Self::Datagrams(datagrams) => Some(datagrams.socket()),
            Self::Dial(_) => None,
        }
    }
}
