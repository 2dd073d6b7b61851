//! Looks at an endpoint, for `tidemill doctor`: the steps that all protocols over TCP share.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::probe::Probe;

use crate::tls::{Tls, failed_check};

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Resolves `host`, connects to `port`, and makes a TLS connection if there are options for it; `None` if a step has failed.
pub fn reach(probe: &mut Probe, host: &str, port: u16, tls: Option<&Tls>) -> Option<()> {
    let addresses = probe.step("name", || resolved(host, port))?;
    let stream = probe.step("connection", || connected(&addresses))?;
    match tls {
        None => Some(()),
        Some(tls) => probe.step("TLS", || encrypted(stream, host, tls)),
    }
}

fn resolved(host: &str, port: u16) -> Result<(Vec<SocketAddr>, String)> {
    let help = "check the spelling of the host name, and the name servers of this machine";
    let found = (host, port).to_socket_addrs().map(Vec::from_iter);
    let found = found.map_err(|error| Error::unavailable(format!("`{host}`: {error}")).with_help(help))?;
    let shown: Vec<_> = found.iter().map(|address| address.ip().to_string()).collect();
    match found.is_empty() {
        true => Err(Error::unavailable(format!("`{host}` has no address")).with_help(help)),
        false => Ok((found, format!("{host} is {}", shown.join(", ")))),
    }
}

fn connected(addresses: &[SocketAddr]) -> Result<(TcpStream, String)> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, PATIENCE) {
            Ok(stream) => return Ok((stream, address.to_string())),
            Err(error) => last = Some((address, error)),
        }
    }
    let why = last.map(|(address, error)| format!("{address}: {error}")).unwrap_or_default();
    Err(Error::unavailable(format!("no connection to {why}"))
        .with_help("check that the server runs and listens there, the port, and firewalls between"))
}

fn encrypted(stream: TcpStream, host: &str, tls: &Tls) -> Result<((), String)> {
    let client = tls.client()?;
    let failed = |error: io::Error| {
        let why = failed_check(&error).unwrap_or_else(|| error.to_string());
        Error::unavailable(why)
    };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Error::config(format!("`{host}` cannot be the name of a TLS server")))?;
    let timeouts =
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    timeouts.map_err(failed)?;
    let connection = ClientConnection::new(client, name).map_err(|error| failed(io::Error::other(error)))?;
    let mut stream = StreamOwned::new(connection, stream);
    // Nothing is sent but the handshake.
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(failed)?;
    }
    stream.flush().map_err(failed)?;
    let version = stream.conn.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    Ok(((), format!("{version}, the certificate is valid for {host}")))
}
