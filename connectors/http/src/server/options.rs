//! The options of the server, and the component.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use schemars::{JsonSchema, Schema as JsonSchemaOf, schema_for};
use serde::{Deserialize, Serialize};
use tidemill_connect::message::{Envelope, Lines, MessageSource, Messages, Payload, TopicPattern};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::{Base, FilePath};
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::secret::Secret;
use tidemill_engine::source::{Component, OpenOptions, Recovery, Source, SourceSpec, Traits};

use super::access::Access;
use super::certificates::Certificates;
use super::content::Contents;
use super::fields::Fields;
use super::subscription::Receiving;
use tidemill_connect::http::duration;

/// What requests may contain.
pub(super) const PAYLOADS: &[Payload] = &[
    Payload::Number,
    Payload::Json,
    Payload::Jsonl,
    Payload::Csv,
    Payload::Influx,
    Payload::Senml,
    Payload::Prometheus,
];

/// An HTTP server to which others send records.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpServer {
    pub(super) options: ServerOptions,
    messages: Messages,
}

/// Where the server listens, and who may send how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerOptions {
    /// The address to listen at, such as "127.0.0.1:8086". Another one than of this machine alone needs a `token`, and TLS or `insecure`.
    pub listen: String,
    /// The path that records are sent to by POST; levels in braces are fields, such as "/ingest/{line}/{sensor}". With `payload = "influx"`, `/write` and `/api/v2/write` are served too, with "prometheus"
    /// `/api/v1/write`.
    #[serde(default = "default_path")]
    pub path: String,
    /// The token that every request must have: as `Authorization: Bearer …` or `Token …`, or as the password of any user.
    #[serde(default)]
    pub token: Option<Secret>,
    /// A PEM file with the certificate of the server, followed by those of intermediate authorities: then connections are encrypted.
    #[serde(default)]
    pub certificate: Option<FilePath>,
    /// A PEM file with the private key of the certificate.
    #[serde(default)]
    pub key: Option<FilePath>,
    /// Whether another address than of this machine may be used without encryption: tokens and records can then be read on the way.
    #[serde(default)]
    pub insecure: bool,
    /// The names under which the server is called, such as ["plant.example"]: requests to others are refused. By default, at an address of this machine alone, its own names; otherwise all.
    #[serde(default)]
    pub hosts: Option<Vec<String>>,
    /// The largest body, as it is sent.
    #[serde(default = "default_max_body")]
    pub max_body: ByteSize,
    /// The largest body after it is decompressed.
    #[serde(default = "default_max_decoded")]
    pub max_decoded: ByteSize,
    /// How much may have been received and not be in the pipeline yet. Beyond that, the answer is 429, at `/write` 503: the sender tries again later.
    #[serde(default = "default_queue")]
    pub queue: ByteSize,
    /// How many connections there may be; more wait until others end.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// How long a request may take to arrive.
    #[serde(default = "default_timeout")]
    pub timeout: String,
}

/// A number of bytes, such as 16777216 or "16MiB".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ByteSize {
    /// In bytes.
    Bytes(u32),
    /// With a unit: "KiB", "MiB" or "GiB".
    Text(String),
}

impl ByteSize {
    /// The number of bytes.
    pub(super) fn bytes(&self, option: &str) -> Result<usize> {
        let text = match self {
            Self::Bytes(bytes) => return Ok(*bytes as usize),
            Self::Text(text) => text.trim(),
        };
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("B", 0)];
        let found = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
        let (number, shift) = found.unwrap_or((text, 0));
        let number = number.trim().parse::<u32>().ok().and_then(|number| number.checked_mul(1 << shift));
        number.map(|bytes| bytes as usize).ok_or_else(|| {
            Error::config(format!("`{option}` {text:?} is not a number of bytes below 4 GiB"))
                .with_help("such as \"16MiB\"")
        })
    }
}

fn default_path() -> String {
    "/ingest".into()
}

fn default_max_body() -> ByteSize {
    ByteSize::Text("16MiB".into())
}

fn default_max_decoded() -> ByteSize {
    ByteSize::Text("32MiB".into())
}

fn default_queue() -> ByteSize {
    ByteSize::Text("32MiB".into())
}

fn default_connections() -> usize {
    1000
}

fn default_timeout() -> String {
    "30s".into()
}

inventory::submit! { Component::of::<HttpServer>("http", "an HTTP server that others send records to; also as InfluxDB or Prometheus remote write") }

impl Configure for HttpServer {
    fn schemas() -> Vec<JsonSchemaOf> {
        std::iter::once(schema_for!(ServerOptions)).chain(Messages::schemas(PAYLOADS)).collect()
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let own = options.take();
        let messages = Messages::configure(options, PAYLOADS);
        Some(Self { options: own?, messages: messages? })
    }
}

impl HttpServer {
    /// The address to listen at.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        let listen = &self.options.listen;
        let found = listen.to_socket_addrs().ok().and_then(|mut all| all.next());
        found.ok_or_else(|| {
            Error::config(format!("`listen` {listen:?} is not an address"))
                .with_help("such as \"127.0.0.1:8086\", or \"0.0.0.0:8086\" for all of this machine")
        })
    }

    /// Whether only this machine can connect.
    fn check_access(&self, address: SocketAddr) -> Result<()> {
        let ServerOptions { token, certificate, key, insecure, .. } = &self.options;
        if certificate.is_some() != key.is_some() {
            return Err(Error::config("`certificate` and `key` belong together: one of them is missing"));
        }
        if address.ip().is_loopback() {
            return Ok(());
        }
        if token.is_none() {
            return Err(Error::config(format!(
                "`listen` {address}: others can connect, and there is no `token`"
            ))
            .with_help("set `token`, or listen at 127.0.0.1"));
        }
        match certificate.is_some() || *insecure {
            true => Ok(()),
            false => Err(Error::config(format!(
                "`listen` {address}: others can connect, and nothing is encrypted"
            ))
            .with_help("set `certificate` and `key`, or `insecure = true` behind a proxy that encrypts")),
        }
    }

    fn envelope(&self) -> Result<(Envelope, TopicPattern)> {
        let (pattern, names) = TopicPattern::new("path", &self.options.path, '/')?;
        let fields: &'static [&'static str] = &["@path", "@client"];
        let prefixes: &'static [&'static str] = &["@header:", "@query:", "@label:"];
        Ok((Envelope { fields, prefixes, names, sensor: "@path" }, pattern))
    }

    fn receiving(&self, open: &OpenOptions) -> Result<(Receiving, Lines)> {
        let address = self.address()?;
        self.check_access(address)?;
        let (envelope, pattern) = self.envelope()?;
        let name = format!("http://{address}");
        let decoding = self.messages.decoding(&name, &envelope, open)?;
        let options = &self.options;
        let tls = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => Some(Arc::new(Certificates::new(certificate, key)?)),
            _ => None,
        };
        let fields = Fields::new(&decoding.fields, pattern, &envelope.names);
        let access = Access::new(options.token.clone(), options.hosts.clone(), address);
        let contents = Contents::new(self.messages.payload(), decoding.clone());
        let receiving = Receiving::new(self, address, access, contents, fields, tls, open)?;
        Ok((receiving, Lines::new(decoding, name, open.chunk_size)))
    }
}

impl ServerOptions {
    /// How long a request may take to arrive.
    pub(super) fn timeout(&self) -> Result<std::time::Duration> {
        duration("timeout", &self.timeout)
    }
}

impl SourceSpec for HttpServer {
    fn name(&self) -> &str {
        "http"
    }

    fn parameters(&self) -> serde_json::Value {
        let mut own = serde_json::to_value(&self.options).unwrap_or_default();
        if let (Some(own), serde_json::Value::Object(rest)) =
            (own.as_object_mut(), self.messages.parameters())
        {
            own.extend(rest);
        }
        own
    }

    fn traits(&self) -> Traits {
        Traits { is_bounded: false, is_replayable: false, is_open: true, recovery: Recovery::Redelivered }
    }

    fn exclusive(&self) -> Vec<String> {
        vec![format!("tcp {}", self.options.listen)]
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        let at = |path: &Option<FilePath>| path.as_ref().map(|path| path.with_base(base));
        let (certificate, key) = (at(&self.options.certificate), at(&self.options.key));
        let options = ServerOptions { certificate, key, ..self.options.clone() };
        Some(Arc::new(Self { options, messages: self.messages.clone() }))
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn probe(&self, probe: &mut Probe) {
        let address = || self.address().and_then(|address| self.check_access(address).map(|()| address));
        let Some(address) = probe.step("address", || address().map(|address| (address, address.to_string())))
        else {
            return;
        };
        if let (Some(certificate), Some(key)) = (&self.options.certificate, &self.options.key) {
            let read = || Certificates::new(certificate, key);
            probe.step("certificate", || {
                read().map(|_| ((), "the certificate and its key can be used".to_owned()))
            });
        }
        probe.step("listening", || match TcpListener::bind(address) {
            Ok(_) => Ok(((), "nobody listens there yet".to_owned())),
            Err(error) => Err(Error::unavailable(format!("cannot listen at {address}: {error}"))
                .with_help("end the program that listens there, unless it is a run of this pipeline")),
        });
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let (receiving, lines) = self.receiving(options)?;
        Ok(Box::new(MessageSource::new(receiving, lines)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What reads the bodies of a server with these options besides `listen`, and the fields of its requests.
    pub(in crate::server) fn reading(options: &str) -> (Contents, Fields) {
        let written = format!("listen = '127.0.0.1:0'\n{options}");
        let table = toml::de::DeTable::parse(&written).expect("TOML");
        let mut options = Options::new(table.into_inner(), 0..0);
        let server = HttpServer::configure(&mut options);
        let diagnostics = options.finish();
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let server = server.expect("valid options");
        let (envelope, pattern) = server.envelope().expect("a path");
        let decoding = server.messages.decoding("test", &envelope, &OpenOptions::default());
        let decoding = decoding.expect("a decoding");
        let fields = Fields::new(&decoding.fields, pattern, &envelope.names);
        (Contents::new(server.messages.payload(), decoding), fields)
    }
}
