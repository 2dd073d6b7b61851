//! Ports for servers that come and go.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::environment;

/// Below the range from which the system takes the ports of clients: there, a client could occupy the port while its server is down.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of loopback that nobody uses, and that no other [`Port`] of any process is, for as long as it lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Locked.
    _claim: File,
}

impl Port {
    /// Another port.
    ///
    /// # Panics
    /// If none is free.
    #[must_use]
    pub fn claim() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let process = (std::process::id() % u32::from(COUNT)) as u16;
        let folder = environment::cache().join("ports");
        std::fs::create_dir_all(&folder).expect("a folder for the claims of ports");
        for _ in 0..COUNT {
            // Processes begin far from each other.
            let step = process.wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let number = FIRST + step % COUNT;
            let claim = File::create(folder.join(number.to_string())).expect("the claim of a port");
            if claim.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _claim: claim };
            }
        }
        panic!("no port from {FIRST} on is free")
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}
