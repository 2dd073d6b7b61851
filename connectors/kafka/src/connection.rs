//! How a cluster is reached: options that the source and the sink share.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_connect::tls::Tls;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::secret::Secret;

/// Settings that the options and the guarantees determine.
const RESERVED: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "compression.codec",
    "compression.type",
    "delivery.report.only.error",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
    "isolation.level",
    "log.queue",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "plugin.library.paths",
    "request.required.acks",
    "security.protocol",
    "transactional.id",
];

/// What the names of such settings begin with: how brokers are verified, and how this client proves who it is.
const RESERVED_PREFIXES: &[&str] = &["enable.sasl.", "enable.ssl.", "sasl.", "ssl."];

/// How the cluster is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// The brokers to contact first, separated by commas: "kafka-1:9092,kafka-2:9092". They name all others.
    pub brokers: String,
    /// Encrypts the connection, and verifies the brokers: `tls = {}` by the authorities that the system trusts, `tls = { ca = "ca.pem" }` by
    /// this one. By default, the connection is not encrypted.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The login: `sasl = { mechanism = "scram-sha-512", user = "plant", password = { env = "KAFKA_PASSWORD" } }`. By default, none.
    #[serde(default)]
    pub sasl: Option<Sasl>,
    /// The name of this client in the logs and quotas of the brokers.
    #[serde(default = "client_id")]
    pub client_id: String,
    /// Further settings of librdkafka, which are texts: `{ "socket.keepalive.enable" = "true" }`. What the other options determine cannot be
    /// set here.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// How the password is proved. "plain" sends it, so use it with `tls` only.
    pub mechanism: Mechanism,
    /// The name of the user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A mechanism of SASL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// The password itself.
    #[serde(rename = "plain")]
    Plain,
    /// Salted hashes (SHA-256).
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// Salted hashes (SHA-512).
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

fn client_id() -> String {
    "tidemill".to_owned()
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    fn needs_openssl(self) -> bool {
        self != Self::Plain
    }
}

impl Connection {
    /// Unencrypted connections to these brokers.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            tls: None,
            sasl: None,
            client_id: client_id(),
            properties: BTreeMap::new(),
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
        if self.brokers.split(',').any(|broker| broker.trim().is_empty()) {
            return Err(Error::config(format!("`brokers` {:?} contains an empty name", self.brokers))
                .with_help("write \"host:9092\", or several of them separated by commas"));
        }
        if let Some(name) = self.properties.keys().find(|name| is_reserved(name)) {
            return Err(Error::config(format!("`properties` must not set {name:?}"))
                .with_help("other options determine it, or the guarantees of the run depend on it"));
        }
        self.check_support()?;
        self.config()?.create_native_config().map(drop).map_err(|error| wrong(&error))
    }

    /// Checks that this program was built with what the options need.
    fn check_support(&self) -> Result<()> {
        let is_built = cfg!(feature = "tls");
        let option = match (&self.tls, &self.sasl) {
            _ if is_built => return Ok(()),
            (Some(_), _) => "`tls`",
            (None, Some(sasl)) if sasl.mechanism.needs_openssl() => "`sasl.mechanism`",
            _ => return Ok(()),
        };
        Err(Error::config(format!("{option} needs OpenSSL, without which this program was built"))
            .with_help("build the crate tidemill-kafka with its feature `tls`"))
    }

    /// The settings of a client.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(crate) fn config(&self) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers).set("client.id", &self.client_id);
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(sasl) = &self.sasl {
            config.set("sasl.mechanism", sasl.mechanism.name()).set("sasl.username", &sasl.user);
            config.set("sasl.password", sasl.password.reveal());
        }
        if let Some(tls) = &self.tls {
            encrypt(tls, &mut config)?;
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        Ok(config)
    }
}

fn encrypt(tls: &Tls, config: &mut ClientConfig) -> Result<()> {
    // Read here too: its messages say which option is wrong.
    tls.client()?;
    // OpenSSL that was built from source does not know where this system has its authorities.
    let authorities = tls.ca.as_ref().map_or_else(|| "probe".into(), |ca| ca.place().to_string_lossy());
    config.set("ssl.ca.location", authorities);
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        config.set("ssl.certificate.location", certificate.place().to_string_lossy());
        config.set("ssl.key.location", key.place().to_string_lossy());
    }
    Ok(())
}

/// Whether `properties` must not set this.
fn is_reserved(name: &str) -> bool {
    let is_of_options = RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    RESERVED.contains(&name) || is_of_options || name.ends_with("_cb")
}

/// A setting that librdkafka does not accept. Its value is not repeated: it may be a secret.
pub(crate) fn wrong(error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, description, name, _) => {
            Error::config(format!("the setting {name:?} of librdkafka is wrong: {description}"))
                .with_help("see `properties`")
        }
        other => Error::config(format!("the client cannot be set up: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Connection {
        let mut connection = Connection::new("localhost:9092");
        connection.properties.insert(name.to_owned(), value.to_owned());
        connection
    }

    #[test]
    fn settings_are_checked_before_anything_is_contacted() {
        assert!(with("socket.keepalive.enable", "true").check().is_ok());
        for (name, value) in [("no.such.setting", "1"), ("socket.keepalive.enable", "perhaps")] {
            let error = with(name, value).check().expect_err(name);
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn what_the_guarantees_depend_on_cannot_be_set() {
        for name in [
            "enable.auto.commit",
            "transactional.id",
            "sasl.password",
            "ssl.key.pem",
            "enable.ssl.certificate.verification",
            "enable.sasl.oauthbearer.unsecure.jwt",
        ] {
            let error = with(name, "x").check().expect_err(name);
            assert!(error.message().contains("must not set"), "{error}");
        }
    }

    #[test]
    fn a_password_is_in_no_message() {
        let sasl = Sasl {
            mechanism: Mechanism::Plain,
            user: "plant".to_owned(),
            password: Secret::new("planted-secret"),
        };
        let connection = Connection { sasl: Some(sasl), ..Connection::new("a:1,,b:2") };
        let error = connection.check().expect_err("an empty name");
        assert!(!format!("{error:?} {connection:?}").contains("planted-secret"));
        let written = serde_json::to_string(&connection).expect("options");
        assert!(!written.contains("planted-secret"), "{written}");
    }
}
