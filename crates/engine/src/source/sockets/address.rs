//! Socket addresses in place of a path.

use std::fmt;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::files::{Base, scheme};

/// The address of a socket that records are received from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `tcp-listen://host:port`: accepts connections.
    TcpListen(String),
    /// `tcp://host:port`: connects.
    Tcp(String),
    /// `udp://host:port`: receives datagrams.
    Udp(String),
    /// `unix-listen:///path`: accepts connections.
    UnixListen(PathBuf),
    /// `unix:///path`: connects.
    Unix(PathBuf),
}

/// The known schemes.
const SCHEMES: [&str; 5] = ["tcp-listen", "tcp", "udp", "unix-listen", "unix"];

impl Address {
    /// Parses an address; `None` if `text` is a path.
    ///
    /// # Errors
    /// A configuration error if the scheme is unknown or the port is missing.
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
            _ if scheme::is_of_files(scheme) => return Ok(None),
            _ => {
                let known = SCHEMES.into_iter().chain(scheme::known());
                let known = known.map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(", ");
                return Err(wrong(format!("there is no `{scheme}://`"))
                    .with_help(format!("addresses begin with {known}")));
            }
        }))
    }

    /// Whether records are waited for there, which only one can do.
    pub(in crate::source) fn is_listened_at(&self) -> bool {
        matches!(self, Self::TcpListen(_) | Self::Udp(_) | Self::UnixListen(_))
    }

    /// Whether two cannot both be listened at: the same, or the same port of one host and of all.
    fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::TcpListen(one), Self::TcpListen(other)) | (Self::Udp(one), Self::Udp(other)) => {
                collide(one, other)
            }
            (Self::UnixListen(one), Self::UnixListen(other)) => one == other,
            _ => false,
        }
    }

    /// The same address, whose path starts from `base` where it is relative.
    pub(in crate::source) fn with_base(&self, base: &Base) -> Self {
        match self {
            Self::UnixListen(path) => Self::UnixListen(base.join(path)),
            Self::Unix(path) => Self::Unix(base.join(path)),
            other => other.clone(),
        }
    }

    /// All socket addresses of a host and port.
    pub(in crate::source) fn resolve(&self, host: &str) -> Result<Vec<std::net::SocketAddr>> {
        let addresses = host.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        addresses.map_err(|error| {
            Error::io("find the host of", self, &error)
                .with_help("check its name, or give the address in numbers")
        })
    }
}

/// Whether two sources cannot both have these, which each of them says to be [exclusive](crate::source::SourceSpec::exclusive).
pub(crate) fn exclude(one: &str, other: &str) -> bool {
    match (Address::parse(one), Address::parse(other)) {
        (Ok(Some(one)), Ok(Some(other))) => one.collides(&other),
        _ => one == other,
    }
}

/// Whether these hosts with ports may be one. Port 0 is any that is free.
fn collide(one: &str, other: &str) -> bool {
    let parts =
        |text: &str| text.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.parse().unwrap_or(0)));
    let (Some((one, port)), Some((other, other_port))) = (parts(one), parts(other)) else { return false };
    let is_any = |host: &str| ["0.0.0.0", "[::]", "*"].contains(&host);
    let plain = |host: String| if host == "localhost" { "127.0.0.1".to_owned() } else { host.to_lowercase() };
    port != 0u16 && port == other_port && (is_any(&one) || is_any(&other) || plain(one) == plain(other))
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
    fn what_only_one_can_listen_at_is_known() {
        let listened = "tcp-listen://127.0.0.1:9000";
        for other in
            [listened, "tcp-listen://0.0.0.0:9000", "tcp-listen://localhost:9000", "tcp-listen://[::]:9000"]
        {
            assert!(exclude(listened, other) && exclude(other, listened), "{other}");
        }
        for other in
            ["tcp-listen://127.0.0.1:9001", "tcp-listen://10.0.0.1:9000", "udp://127.0.0.1:9000", "-"]
        {
            assert!(!exclude(listened, other), "{other}");
        }
        assert!(
            !exclude("udp://0.0.0.0:0", "udp://0.0.0.0:0") && exclude("unix-listen:///a", "unix-listen:///a")
        );
        assert!(exclude("-", "-") && !exclude("/run/a", "/run/b"));
    }

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
