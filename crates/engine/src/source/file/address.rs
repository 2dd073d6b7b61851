//! Addresses in place of a path: where records come in over a socket.

use std::fmt;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::files::Base;

/// Where records come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `tcp-listen://host:port`: whoever connects sends.
    TcpListen(String),
    /// `tcp://host:port`: the one who is connected to sends.
    Tcp(String),
    /// `udp://host:port`: every datagram that comes in.
    Udp(String),
    /// `unix-listen:///path`: whoever connects sends.
    UnixListen(PathBuf),
    /// `unix:///path`: the one who is connected to sends.
    Unix(PathBuf),
}

/// What an address begins with.
const SCHEMES: [&str; 5] = ["tcp-listen", "tcp", "udp", "unix-listen", "unix"];

impl Address {
    /// The address that `text` is; `None` where it is a path.
    ///
    /// # Errors
    /// A configuration error where it is an address of no known kind, or has no port.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
        let wrong = |what: String| Error::config(format!("`{text}`: {what}"));
        let host = || match rest.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(rest.to_owned()),
            Some((host, port)) if !host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(wrong(format!("there is no port {port}")).with_help("a port is a number from 1 to 65535"))
            }
            _ => Err(wrong("it has no host and port".into())
                .with_help(format!("such as {scheme}://127.0.0.1:9000"))),
        };
        let path =
            || match rest {
                "" => Err(wrong("it has no path".into())
                    .with_help(format!("such as {scheme}:///run/tidemill.sock"))),
                rest => Ok(PathBuf::from(rest)),
            };
        Ok(Some(match scheme {
            "tcp-listen" => Self::TcpListen(host()?),
            "tcp" => Self::Tcp(host()?),
            "udp" => Self::Udp(host()?),
            "unix-listen" => Self::UnixListen(path()?),
            "unix" => Self::Unix(path()?),
            _ => {
                let known = SCHEMES.map(|scheme| format!("{scheme}://")).join(", ");
                return Err(wrong(format!("there is no `{scheme}://`"))
                    .with_help(format!("addresses begin with {known}")));
            }
        }))
    }

    /// The same address, whose path starts from `base` where it is relative.
    pub(super) fn with_base(&self, base: &Base) -> Self {
        match self {
            Self::UnixListen(path) => Self::UnixListen(base.join(path)),
            Self::Unix(path) => Self::Unix(base.join(path)),
            other => other.clone(),
        }
    }

    /// All socket addresses of a host and port.
    pub(super) fn resolve(&self, host: &str) -> Result<Vec<std::net::SocketAddr>> {
        let addresses = host.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        addresses.map_err(|error| {
            Error::io("find the host of", self, &error)
                .with_help("check its name, or give the address in numbers")
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TcpListen(host) => write!(f, "tcp-listen://{host}"),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::Udp(host) => write!(f, "udp://{host}"),
            Self::UnixListen(path) => write!(f, "unix-listen://{}", path.display()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        let parse = |text: &str| Address::parse(text).map_err(|error| error.message().to_owned());
        assert_eq!(parse("data/*.csv"), Ok(None));
        for text in
            ["tcp-listen://0.0.0.0:9000", "tcp://host:1", "udp://[::1]:5", "unix:///a/b", "unix-listen://s"]
        {
            assert_eq!(parse(text).expect("an address").expect("an address").to_string(), text);
        }
        assert_eq!(parse("tcp://host"), Err("`tcp://host`: it has no host and port".into()));
        assert_eq!(parse("tcp://host:99999"), Err("`tcp://host:99999`: there is no port 99999".into()));
        assert_eq!(parse("ftp://host:1"), Err("`ftp://host:1`: there is no `ftp://`".into()));
    }
}
