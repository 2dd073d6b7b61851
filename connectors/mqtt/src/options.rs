//! How a broker is reached: options that the source and the sink share.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_connect::tls::Tls;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::secret::Secret;
use tidemill_engine::time::parse_duration;

use crate::client::{Session, Setup};

/// The versions of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    V4,
    /// MQTT 5.
    #[default]
    #[serde(rename = "5")]
    V5,
}

/// How the broker is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// The broker: "mqtt://host:1883", or "mqtts://host:8883" for an encrypted connection. The port may be left out.
    pub url: String,
    /// The version of the protocol: "5" or "3.1.1".
    #[serde(default)]
    pub version: Version,
    /// The name of this client at the broker. No two clients may have the same: the broker would disconnect each in favour of the other. Without one, the client has a new name each
    /// time, and the broker keeps nothing for it.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The name of the user.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of the user, such as { env = "MQTT_PASSWORD" }.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Files for an encrypted connection (mqtts): tls = { ca = "ca.pem", certificate = "client.pem", key = "client.key" }. Without it, the broker is
    /// verified by the authorities that the system trusts.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The connection is taken for lost when nothing has come over it for one and a half times as long, "1s" to "18h".
    #[serde(default = "keep_alive")]
    pub keep_alive: String,
    /// How long a connection may take to be made.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: String,
}

fn keep_alive() -> String {
    "30s".to_owned()
}

fn connect_timeout() -> String {
    "10s".to_owned()
}

impl Connection {
    /// A connection to the broker at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            version: Version::default(),
            client_id: None,
            user: None,
            password: None,
            tls: None,
            keep_alive: keep_alive(),
            connect_timeout: connect_timeout(),
        }
    }

    /// The same options, with relative paths resolved against `base`.
    pub(crate) fn with_base(&self, base: &Base) -> Self {
        Self { tls: self.tls.as_ref().map(|tls| tls.with_base(base)), ..self.clone() }
    }

    /// Checks the options, without contacting anybody.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(crate) fn check(&self) -> Result<()> {
        self.setup(1, None).map(drop)
    }

    /// Host and port, and how TLS is done if it is.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(crate) fn endpoint(&self) -> Result<(String, u16, Option<Tls>)> {
        let Endpoint { host, port, is_encrypted } = Endpoint::of(&self.url)?;
        Ok((host, port, is_encrypted.then(|| self.tls.clone().unwrap_or_default())))
    }

    /// What a client needs, for packets of at most `max_packet` bytes.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(crate) fn setup(&self, max_packet: u32, session: Option<Session>) -> Result<Setup> {
        let Endpoint { host, port, is_encrypted } = Endpoint::of(&self.url)?;
        if self.tls.is_some() && !is_encrypted {
            return Err(Error::config("`tls` is for encrypted connections, and `url` begins with mqtt://")
                .with_help("write mqtts://"));
        }
        let tls = is_encrypted.then(|| self.tls.clone().unwrap_or_default().client()).transpose()?;
        if self.password.is_some() && self.user.is_none() {
            return Err(Error::config("`password` without `user`"));
        }
        if self.client_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > 65_535 || id.contains('\0')) {
            return Err(Error::config("`client_id` is empty, too long, or contains a zero byte"));
        }
        let keep_alive = duration("keep_alive", &self.keep_alive)?.as_secs();
        let keep_alive = u16::try_from(keep_alive).ok().filter(|&seconds| seconds > 0);
        let password = || self.password.as_ref().map(|password| password.reveal().to_owned());
        Ok(Setup {
            host,
            port,
            address: self.url.clone(),
            tls,
            client_id: self.client_id.clone().unwrap_or_else(random_id),
            login: self.user.clone().map(|user| (user, password())),
            keep_alive: keep_alive
                .ok_or_else(|| Error::config("`keep_alive` must be between \"1s\" and \"18h\""))?,
            connect_timeout: duration("connect_timeout", &self.connect_timeout)?,
            session,
            max_packet,
            receive_maximum: u16::MAX,
            acknowledges: true,
        })
    }
}

/// A name that no other client has.
fn random_id() -> String {
    format!("tidemill-{:x}", RandomState::new().build_hasher().finish())
}

/// A duration in an option.
///
/// # Errors
/// A configuration error that names the option.
pub(crate) fn duration(option: &str, text: &str) -> Result<Duration> {
    let nanos = parse_duration(text).map_err(|why| Error::config(format!("`{option}`: {why}")))?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

/// Where the broker is.
#[derive(Debug, PartialEq)]
struct Endpoint {
    host: String,
    port: u16,
    is_encrypted: bool,
}

impl Endpoint {
    fn of(url: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::config(format!("`url` {url:?}: {why}"))
                .with_help("write \"mqtt://host:1883\" or \"mqtts://host:8883\"")
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it does not begin with mqtt://"))?;
        let is_encrypted = match scheme {
            "mqtt" | "tcp" => false,
            "mqtts" | "ssl" => true,
            _ => return Err(wrong("it does not begin with mqtt:// or mqtts://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            // The rest may be a password: it is not repeated.
            return Err(Error::config("`url` must not contain a user or password")
                .with_help("use `user` and `password`"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(wrong("nothing may follow the port"));
        }
        // In brackets: an IPv6 address.
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?,
            None => rest.find(':').map_or((rest, ""), |at| rest.split_at(at)),
        };
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|&port: &u16| port > 0),
            None if port.is_empty() => Some(if is_encrypted { 8883 } else { 1883 }),
            None => None,
        };
        let port = port.ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?;
        Ok(Self { host: host.to_owned(), port, is_encrypted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_host_and_a_port() {
        let endpoint =
            |host: &str, port, is_encrypted| Endpoint { host: host.to_owned(), port, is_encrypted };
        for (url, expected) in [
            ("mqtt://plant", endpoint("plant", 1883, false)),
            ("mqtts://plant/", endpoint("plant", 8883, true)),
            ("mqtt://127.0.0.1:99", endpoint("127.0.0.1", 99, false)),
            ("mqtts://[::1]:99", endpoint("::1", 99, true)),
            ("mqtt://[fe80::1]", endpoint("fe80::1", 1883, false)),
        ] {
            assert_eq!(Endpoint::of(url).expect(url), expected);
        }
        for wrong in [
            "plant:1883",
            "http://plant",
            "mqtt://",
            "mqtt://:1",
            "mqtt://a:0",
            "mqtt://a:b",
            "mqtt://a/b",
            "mqtt://[::1",
            "mqtt://[::1]x",
        ] {
            let error = Endpoint::of(wrong).expect_err(wrong);
            assert!(error.message().contains("`url`"), "{error}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let error = Endpoint::of("mqtt://me:planted@plant:1883").expect_err("refused");
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let plain = || Connection::new("mqtt://plant");
        let wrong = [
            Connection { tls: Some(Tls::default()), ..plain() },
            Connection { password: Some(Secret::new("x")), ..plain() },
            Connection { client_id: Some(String::new()), ..plain() },
            Connection { keep_alive: "1ms".into(), ..plain() },
            Connection { keep_alive: "19h".into(), ..plain() },
            Connection { connect_timeout: "soon".into(), ..plain() },
        ];
        assert!(plain().check().is_ok());
        for connection in wrong {
            assert!(connection.check().is_err(), "{connection:?}");
        }
    }
}
