//! How a server is reached.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::{Base, FilePath};
use tidemill_engine::secret::Secret;
use tidemill_engine::time::parse_duration;

/// How messages are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Not at all.
    #[default]
    None,
    /// They are signed.
    Sign,
    /// They are signed and encrypted.
    SignAndEncrypt,
}

/// How the server is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// The server: "opc.tcp://host:4840", with a path if the server has one. The port may be left out.
    pub url: String,
    /// How messages are protected: "none", "sign" or "sign_and_encrypt". With the last two, both sides identify themselves: `certificate`, `key` and `server_certificate`
    /// are needed.
    #[serde(default)]
    pub security: Security,
    /// The security policy, such as "Basic256Sha256", "Aes128_Sha256_RsaOaep" or "Aes256_Sha256_RsaPss". By default the best that the server offers and that is not deprecated.
    #[serde(default)]
    pub policy: Option<String>,
    /// The certificate of this client: a file that ends in .der or .pem. If neither it nor `key` exists, both are made: RSA of 2,048 bits, signed by itself, valid for ten years. The
    /// server must trust it.
    #[serde(default)]
    pub certificate: Option<FilePath>,
    /// The private key of `certificate`: a PEM file (PKCS #8).
    #[serde(default)]
    pub key: Option<FilePath>,
    /// The certificate of the server: a file that ends in .der or .pem. A server with another certificate is refused. Chains are not followed: it is the certificate itself, not
    /// that of its issuer.
    #[serde(default)]
    pub server_certificate: Option<FilePath>,
    /// Whether the server's certificate must be made for the host in `url`.
    #[serde(default = "verify_host")]
    pub verify_host: bool,
    /// The URI by which this client is known; that of `certificate`.
    #[serde(default = "application_uri")]
    pub application_uri: String,
    /// The name of the user.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of the user, such as { env = "OPCUA_PASSWORD" }.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The certificate by which the user logs in, instead of a name: a file that ends in .der or .pem.
    #[serde(default)]
    pub user_certificate: Option<FilePath>,
    /// The private key of `user_certificate`: a PEM file (PKCS #8).
    #[serde(default)]
    pub user_key: Option<FilePath>,
    /// How long an answer of the server may take.
    #[serde(default = "timeout")]
    pub timeout: String,
}

fn verify_host() -> bool {
    true
}

fn application_uri() -> String {
    "urn:tidemill:client".to_owned()
}

fn timeout() -> String {
    "10s".to_owned()
}

impl Connection {
    /// An unprotected connection to the server at `url`, as an anonymous user.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            security: Security::default(),
            policy: None,
            certificate: None,
            key: None,
            server_certificate: None,
            verify_host: verify_host(),
            application_uri: application_uri(),
            user: None,
            password: None,
            user_certificate: None,
            user_key: None,
            timeout: timeout(),
        }
    }

    /// The same options, with relative paths resolved against `base`.
    pub(crate) fn with_base(&self, base: &Base) -> Self {
        let at = |path: &Option<FilePath>| path.as_ref().map(|path| path.with_base(base));
        Self {
            certificate: at(&self.certificate),
            key: at(&self.key),
            server_certificate: at(&self.server_certificate),
            user_certificate: at(&self.user_certificate),
            user_key: at(&self.user_key),
            ..self.clone()
        }
    }

    /// Host and port.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(crate) fn endpoint(&self) -> Result<(String, u16)> {
        endpoint(&self.url)
    }

    /// Checks the options, without contacting anybody.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(crate) fn check(&self) -> Result<()> {
        self.endpoint()?;
        self.timeout()?;
        if self.password.is_some() != self.user.is_some() {
            return Err(Error::config("`user` and `password` belong together: one of them is missing"));
        }
        if self.user_certificate.is_some() != self.user_key.is_some() {
            return Err(Error::config(
                "`user_certificate` and `user_key` belong together: one of them is missing",
            ));
        }
        if self.user.is_some() && self.user_certificate.is_some() {
            return Err(Error::config("`user` and `user_certificate` contradict each other")
                .with_help("a user logs in by a password or by a certificate"));
        }
        match self.security {
            Security::None => self.check_unprotected(),
            _ => self.check_protected(),
        }
    }

    fn check_unprotected(&self) -> Result<()> {
        let unused = [
            ("policy", self.policy.is_some()),
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
            ("server_certificate", self.server_certificate.is_some()),
            ("verify_host", self.verify_host != verify_host()),
        ];
        match unused.into_iter().find(|(_, is_set)| *is_set) {
            None => Ok(()),
            Some((option, _)) => {
                Err(Error::config(format!("`{option}` has no effect with security = \"none\""))
                    .with_help("set security = \"sign_and_encrypt\""))
            }
        }
    }

    fn check_protected(&self) -> Result<()> {
        let needed = [
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
            ("server_certificate", self.server_certificate.is_some()),
        ];
        match needed.into_iter().find(|(_, is_set)| !is_set) {
            None => Ok(()),
            Some((option, _)) => {
                Err(Error::config(format!("`{option}` is missing: without it, messages cannot be signed"))
                    .with_help("`certificate` and `key` are made if they do not exist; ask for `server_certificate` whoever runs the server"))
            }
        }
    }

    /// How long an answer may take.
    ///
    /// # Errors
    /// A configuration error.
    pub(crate) fn timeout(&self) -> Result<Duration> {
        duration("timeout", &self.timeout)
    }
}

/// A duration in an option.
///
/// # Errors
/// A configuration error that names the option.
pub(crate) fn duration(option: &str, text: &str) -> Result<Duration> {
    let nanos = parse_duration(text).map_err(|why| Error::config(format!("`{option}`: {why}")))?;
    match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Ok(Duration::from_nanos(nanos)),
        _ => Err(Error::config(format!("`{option}` {text:?} is no time to wait"))),
    }
}

/// Host and port in a URL.
fn endpoint(url: &str) -> Result<(String, u16)> {
    if url.contains('@') {
        // The rest may be a password, whatever else is wrong: it is not repeated.
        return Err(
            Error::config("`url` must not contain a user or password").with_help("use `user` and `password`")
        );
    }
    let wrong =
        |why: &str| Error::config(format!("`url` {url:?}: {why}")).with_help("write \"opc.tcp://host:4840\"");
    let rest = url.strip_prefix("opc.tcp://").ok_or_else(|| wrong("it does not begin with opc.tcp://"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    // In brackets: an IPv6 address.
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?,
        None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
    };
    if host.is_empty() {
        return Err(wrong("it has no host"));
    }
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|&port: &u16| port > 0),
        None if port.is_empty() => Some(4840),
        None => None,
    };
    Ok((host.to_owned(), port.ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_host_and_a_port() {
        for (url, host, port) in [
            ("opc.tcp://plant", "plant", 4840),
            ("opc.tcp://plant:99/", "plant", 99),
            ("opc.tcp://plant:99/tide/mill", "plant", 99),
            ("opc.tcp://[::1]:99", "::1", 99),
        ] {
            assert_eq!(endpoint(url).expect(url), (host.to_owned(), port));
        }
        for wrong in
            ["plant:4840", "http://plant", "opc.tcp://", "opc.tcp://:1", "opc.tcp://a:0", "opc.tcp://[::1"]
        {
            assert!(endpoint(wrong).expect_err(wrong).message().contains("`url`"));
        }
        for wrong in [
            "opc.tcp://me:planted@plant",
            "http://me:planted@plant",
            "opc.tcp:/me:planted@plant",
            "me:planted@[plant",
        ] {
            let error = endpoint(wrong).expect_err("refused");
            assert!(!format!("{error:?}").contains("planted"), "{error:?}");
            assert!(error.message().contains("`url` must not contain a user or password"), "{error:?}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let plain = || Connection::new("opc.tcp://plant");
        let file = || Some(FilePath::from("x.der"));
        let wrong = [
            Connection { user: Some("u".into()), ..plain() },
            Connection { password: Some(Secret::new("x")), ..plain() },
            Connection { user_certificate: file(), ..plain() },
            Connection { certificate: file(), ..plain() },
            Connection { policy: Some("Basic256Sha256".into()), ..plain() },
            Connection { verify_host: false, ..plain() },
            Connection { security: Security::Sign, certificate: file(), key: file(), ..plain() },
            Connection {
                security: Security::Sign,
                certificate: file(),
                server_certificate: file(),
                ..plain()
            },
            Connection { timeout: "0s".into(), ..plain() },
        ];
        assert!(plain().check().is_ok());
        for connection in wrong {
            assert!(connection.check().is_err(), "{connection:?}");
        }
    }
}
