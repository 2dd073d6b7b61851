//! The options of a connection.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_connect::blocking::Blocking;
use tidemill_connect::endpoint::reach;
use tidemill_connect::tls::Tls;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::probe::Probe;
use tidemill_engine::secret::Secret;
use tidemill_engine::time::parse_duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::session::Session;

/// How long a look at the server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The server, and how it is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerOptions {
    /// The server, the user and the database, without a password: "postgres://plant@db.example:5432/readings". Parameters of libpq may follow, such as
    /// "?target_session_attrs=read-write" behind several hosts.
    pub url: String,
    /// The password of the user, such as { env = "PGPASSWORD" }; none if not given.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Encrypts the connection, and verifies the server: `tls = {}` by the authorities that the system trusts, `tls = { ca = "ca.pem" }` by this one. By default,
    /// the connection is not encrypted, unless `url` has sslmode=require, which means `tls = {}` here. A password is then sent to this machine only, or anywhere if `url` has
    /// sslmode=disable.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// How long to wait for an answer before the connection is given up and made anew. A server that writes the rows of an epoch (64 MiB at most) may need some time. The source waits
    /// 10 seconds at most for a login.
    #[serde(default = "timeout")]
    pub timeout: String,
}

fn timeout() -> String {
    "1m".into()
}

/// A duration of an option.
pub(crate) fn duration(option: &str, text: &str) -> Result<Duration> {
    let nanos = parse_duration(text).map_err(|why| Error::config(format!("`{option}`: {why}")))?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

impl ServerOptions {
    /// The same options, with relative paths resolved against `base`.
    pub(crate) fn with_base(&self, base: &Base) -> Self {
        Self { tls: self.tls.as_ref().map(|tls| tls.with_base(base)), ..self.clone() }
    }

    /// What these options say.
    ///
    /// # Errors
    /// A configuration error if they are wrong. It does not quote `url`.
    pub(crate) fn server(&self) -> Result<Server> {
        let mut config = Config::from_str(&self.url).map_err(|_| no_url())?;
        if config.get_password().is_some() {
            return Err(Error::config(
                "`url` contains a password, which would be shown in messages and reports",
            )
            .with_help("remove it from `url`, and set password = { env = \"NAME\" }"));
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(no_url());
        }
        if let Some(password) = &self.password {
            config.password(password.reveal());
        }
        let timeout = duration("timeout", &self.timeout)?;
        let tls = match (&self.tls, config.get_ssl_mode()) {
            (Some(tls), _) => Some(tls.clone()),
            (None, SslMode::Require) => Some(Tls::default()),
            _ => None,
        };
        let is_open = tls.is_none() && config.get_ssl_mode() != SslMode::Disable;
        if is_open && self.password.is_some() && !is_here(&config) {
            return Err(Error::config("a password must not be sent over a connection that is not encrypted")
                .with_help("set tls = {}, or tls = { ca = \"ca.pem\" }; for a network that you trust, add ?sslmode=disable to `url`"));
        }
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(timeout);
        }
        // A connection whose other end is gone is noticed by this side within the time, whatever it waits for.
        let whole = |part: Duration| part.max(Duration::from_secs(1));
        config
            .keepalives_idle(whole(timeout / 2))
            .keepalives_interval(whole(timeout / 6))
            .keepalives_retries(3);
        config.tcp_user_timeout(timeout);
        let name = name(&config).into();
        Ok(Server { config, tls, timeout, name })
    }
}

impl ServerOptions {
    /// Looks at the server, then lets `more` look at what is asked of it.
    pub(crate) fn probe(&self, probe: &mut Probe, more: impl AsyncFnOnce(&mut Probe, &Session)) {
        let Some(server) = probe.step("options", || self.server().map(|server| (server, "they fit".into())))
        else {
            return;
        };
        let ports = server.config.get_ports().to_vec();
        for (at, host) in server.config.get_hosts().iter().enumerate() {
            if let Host::Tcp(host) = host {
                let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
                // TLS begins after a question of the protocol: the login tells about it.
                if reach(probe, host, port, None).is_none() {
                    return;
                }
            }
        }
        let limit = server.timeout.min(PATIENCE);
        let looked = Blocking::new(Arc::default()).and_then(|blocking| {
            blocking.wait(async {
                let session = Session::open(&server, "tidemill doctor", limit).await;
                let (session, how) = match session {
                    Ok(session) => (Some(session), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                let encrypted = if server.tls.is_some() {
                    "encrypted, the certificate is valid"
                } else {
                    "not encrypted"
                };
                probe.step("login", || how.map(|()| ((), encrypted.to_owned())));
                if let Some(session) = session {
                    more(probe, &session).await;
                }
                Ok(())
            })
        });
        if let Err(error) = looked {
            probe.step("login", || Err::<((), String), _>(error));
        }
    }
}

fn no_url() -> Error {
    Error::config("`url` does not say where a PostgreSQL server is")
        .with_help("write it as \"postgres://user@host:5432/database\"")
}

/// Whether the server is on this machine, as far as its address tells.
fn is_here(config: &Config) -> bool {
    let is_loopback =
        |host: &str| host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let is_near = |host: &Host| match host {
        Host::Tcp(host) => is_loopback(host),
        Host::Unix(_) => true,
    };
    // Where there are addresses, the names are not used.
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_near),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

/// The name of the server in messages: host, port and database.
fn name(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| match host {
        Host::Tcp(host) => format!("{host}:{}", port(at)),
        Host::Unix(folder) => folder.display().to_string(),
    });
    let mut hosts: Vec<_> = hosts.collect();
    if hosts.is_empty() {
        let addresses = config.get_hostaddrs().iter().enumerate();
        hosts = addresses.map(|(at, address)| format!("{address}:{}", port(at))).collect();
    }
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres at {}/{database}", hosts.join(","))
}

/// A server, its options checked.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) config: Config,
    pub(crate) tls: Option<Tls>,
    pub(crate) timeout: Duration,
    pub(crate) name: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> ServerOptions {
        ServerOptions { url: url.into(), password: None, tls: None, timeout: "3s".into() }
    }

    #[test]
    fn a_server_has_a_name_without_user_and_password() {
        let name = |url: &str| options(url).server().map(|server| server.name.to_string());
        assert_eq!(name("postgres://u@h:77/d").expect("a server"), "postgres at h:77/d");
        assert_eq!(name("postgres://u@a,b:5433/d").expect("a server"), "postgres at a:5432,b:5433/d");
        assert_eq!(name("host=/run/pg user=u").expect("a server"), "postgres at /run/pg/u");
    }

    #[test]
    fn wrong_options_are_refused_without_quoting_them() {
        for url in
            ["", "postgres://", "mysql://u:s3cret@h/d", "host=h colour=s3cret", "postgres://u@h:s3cret/d"]
        {
            let error = options(url).server().err().expect("refused").to_string();
            assert!(error.contains("`url`") && !error.contains("s3cret"), "{error}");
        }
        let error = options("postgres://u:s3cret@h/d").server().err().expect("refused").to_string();
        assert!(error.contains("contains a password") && !error.contains("s3cret"), "{error}");
        let late = ServerOptions { timeout: "soon".into(), ..options("postgres://u@h/d") };
        assert!(late.server().err().expect("refused").to_string().contains("`timeout`"));
    }

    #[test]
    fn tls_is_off_unless_it_is_asked_for() {
        let tls = |options: ServerOptions| options.server().expect("a server");
        let plain = tls(options("postgres://u@h/d"));
        assert!(plain.tls.is_none() && plain.config.get_ssl_mode() == SslMode::Disable);
        let url = tls(options("postgres://u@h/d?sslmode=require"));
        let option = tls(ServerOptions { tls: Some(Tls::default()), ..options("postgres://u@h/d") });
        for server in [url, option] {
            assert!(server.tls.is_some() && server.config.get_ssl_mode() == SslMode::Require);
        }
    }

    #[test]
    fn a_password_is_not_sent_in_the_open_unless_that_is_asked_for() {
        let password = Some(Secret::new("s3cret"));
        let open = |url: &str| ServerOptions { password: password.clone(), ..options(url) };
        for url in [
            "postgres://u@h/d",
            "postgres://u@h/d?sslmode=prefer",
            "postgres://u@localhost,h/d",
            "hostaddr=10.0.0.1 host=localhost user=u",
        ] {
            let error = open(url).server().err().expect("refused").to_string();
            assert!(
                error.contains("must not be sent") && error.contains("sslmode=disable"),
                "{url}: {error}"
            );
        }
        for url in [
            "postgres://u@h/d?sslmode=disable",
            "postgres://u@h/d?sslmode=require",
            "postgres://u@localhost/d",
            "postgres://u@127.0.0.2/d",
            "postgres://u@[::1]/d",
            "host=/run/pg user=u",
        ] {
            assert!(open(url).server().is_ok(), "{url}");
        }
        assert!(ServerOptions { tls: Some(Tls::default()), ..open("postgres://u@h/d") }.server().is_ok());
    }

    #[test]
    fn a_password_is_in_no_report() {
        let url = "postgres://u@localhost/d";
        let options = ServerOptions { password: Some(Secret::new("s3cret")), ..options(url) };
        let shown = format!("{options:?} {}", serde_json::to_string(&options).expect("JSON"));
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(options.server().expect("a server").config.get_password(), Some(&b"s3cret"[..]));
    }
}
