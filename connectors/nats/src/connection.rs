//! How a server is reached: options that the source and the sink share.

use std::sync::Mutex;
use std::time::Duration;

use async_nats::ConnectOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_connect::tls::Tls;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::{Base, FilePath};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::secret::Secret;
use tidemill_engine::time::parse_duration;

/// How often a connection is tried that nothing comes over.
const PING: Duration = Duration::from_secs(10);

/// How the server is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// The servers of a cluster, separated by commas: "nats://host:4222", or "tls://host:4222" for an encrypted connection. They name all others.
    pub url: String,
    /// The name of the user.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of the user, such as { env = "NATS_PASSWORD" }.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A token instead of a user.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The seed of an NKey instead of a user.
    #[serde(default)]
    pub nkey: Option<Secret>,
    /// A credentials file (.creds) instead of a user.
    #[serde(default)]
    pub credentials: Option<FilePath>,
    /// Files for an encrypted connection: tls = { ca = "ca.pem", certificate = "client.pem", key = "client.key" }. Without it, a server at tls:// is verified by the
    /// authorities that the system trusts.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The name of this client in the server's logs and statistics.
    #[serde(default = "client_name")]
    pub client_name: String,
    /// How long a connection may take to be made.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: String,
}

fn client_name() -> String {
    "tidemill".to_owned()
}

fn connect_timeout() -> String {
    "10s".to_owned()
}

impl Connection {
    /// A connection to the servers at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            token: None,
            nkey: None,
            credentials: None,
            tls: None,
            client_name: client_name(),
            connect_timeout: connect_timeout(),
        }
    }

    /// The same options, with relative paths resolved against `base`.
    pub(crate) fn with_base(&self, base: &Base) -> Self {
        Self {
            tls: self.tls.as_ref().map(|tls| tls.with_base(base)),
            credentials: self.credentials.as_ref().map(|path| path.with_base(base)),
            ..self.clone()
        }
    }

    /// Checks the options, without contacting anybody.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(crate) fn check(&self) -> Result<()> {
        self.options().map(drop)
    }

    /// The servers.
    ///
    /// # Errors
    /// A configuration error if one of them is not an address.
    pub(crate) fn servers(&self) -> Result<Vec<async_nats::ServerAddr>> {
        if self.url.contains('@') {
            // The rest may be a password: it is not repeated.
            return Err(Error::config("`url` must not contain a user, password or token")
                .with_help("use `user` and `password`, or `token`"));
        }
        let server = |url: &str| {
            let wrong = |why: &str| {
                Error::config(format!("`url` {:?}: {why}", url.trim()))
                    .with_help("write \"nats://host:4222\", or several of them separated by commas")
            };
            let url = url.trim();
            if !["nats://", "tls://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err(wrong("it does not begin with nats:// or tls://"));
            }
            url.parse::<async_nats::ServerAddr>().map_err(|error| wrong(&error.to_string()))
        };
        self.url.split(',').map(server).collect()
    }

    /// Whether all that is sent is encrypted.
    fn is_encrypted(&self) -> bool {
        self.url.split(',').all(|url| url.trim().starts_with("tls://"))
    }

    /// What a client needs.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(crate) fn options(&self) -> Result<ConnectOptions> {
        self.servers()?;
        let ways =
            [self.user.is_some(), self.token.is_some(), self.nkey.is_some(), self.credentials.is_some()];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err(Error::config("`user`, `token`, `nkey` and `credentials` exclude each other"));
        }
        if self.password.is_some() != self.user.is_some() {
            return Err(Error::config("`user` and `password` belong together: one of them is missing"));
        }
        let timeout = parse_duration(&self.connect_timeout);
        let timeout = timeout.map_err(|why| Error::config(format!("`connect_timeout`: {why}")))?;
        let mut options = ConnectOptions::new()
            .name(&self.client_name)
            .connection_timeout(Duration::from_nanos(timeout.unsigned_abs()))
            // A host that has lost its power is noticed after two or three of them.
            .ping_interval(PING)
            .reconnect_delay_callback(delays());
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            options = options.user_and_password(user.clone(), password.reveal().to_owned());
        }
        if let Some(token) = &self.token {
            options = options.token(token.reveal().to_owned());
        }
        if let Some(seed) = &self.nkey {
            options = options.nkey(seed.reveal().to_owned());
        }
        if let Some(path) = &self.credentials {
            options = credentials(options, path)?;
        }
        if self.tls.is_some() && !self.is_encrypted() {
            return Err(Error::config("`tls` is for encrypted connections, and `url` begins with nats://")
                .with_help("write tls://"));
        }
        if self.is_encrypted() {
            let config = self.tls.clone().unwrap_or_default().client()?;
            options = options.require_tls(true).tls_client_config((*config).clone());
        }
        Ok(options)
    }
}

fn credentials(options: ConnectOptions, path: &FilePath) -> Result<ConnectOptions> {
    let wrong = |why: &dyn std::fmt::Display| {
        Error::config(format!("`credentials` {path}: {why}"))
            .with_help("it must be a file as `nsc generate creds` writes it")
    };
    let text = std::fs::read_to_string(path.place()).map_err(|error| wrong(&error))?;
    // The error may repeat a part of the file.
    options.credentials(&text).map_err(|_| wrong(&"it is not a credentials file"))
}

/// Delays between attempts to connect again, with full jitter.
fn delays() -> impl Fn(usize) -> Duration + Send + Sync + 'static {
    let backoff = Mutex::new(Backoff::default());
    move |attempt| {
        let mut backoff = backoff.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if attempt <= 1 {
            backoff.reset();
        }
        backoff.delay(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused() {
        let plain = || Connection::new("nats://plant:4222");
        assert!(plain().check().is_ok());
        assert!(Connection::new("nats://a, nats://b:1").check().is_ok());
        let secret = || Some(Secret::new("planted"));
        for wrong in [
            Connection::new(""),
            Connection::new("plant:4222"),
            Connection::new("http://plant"),
            Connection::new("nats://a,"),
            Connection { user: Some("a".into()), ..plain() },
            Connection { password: secret(), ..plain() },
            Connection { token: secret(), nkey: secret(), ..plain() },
            Connection { tls: Some(Tls::default()), ..plain() },
            Connection { connect_timeout: "soon".into(), ..plain() },
            Connection { credentials: Some("no-such-file".into()), ..plain() },
        ] {
            let error = wrong.check().expect_err("refused");
            assert!(!format!("{error:?}").contains("planted"), "{error:?}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let error = Connection::new("nats://me:planted@plant").check().expect_err("refused");
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }
}
