//! Payloads with the wire format of a schema registry: a zero, the number of a schema in four bytes, and the data.
//!
//! | what comes | what happens |
//! |---|---|
//! | another schema, during the run | it is asked for, and the payload is decoded with it: fields that the pipeline does not name are treated as unknown ones, missing ones are null |
//! | a number that the registry does not have, a schema of another kind, data that does not fit | the message is rejected |
//! | no answer of the registry | the source waits, and reads on when it answers |

mod avro;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_connect::blocking::Blocking;
use tidemill_connect::http::{Answer, Client, Endpoint, authorization, duration, request};
use tidemill_connect::tls::Tls;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::secret::Secret;

/// A schema is not larger.
const LARGEST: usize = 4 << 20;

/// How long the registry is believed not to have a schema.
const FORGET: Duration = Duration::from_secs(10);

/// Schemas that are kept.
const MOST: usize = 10_000;

/// A schema registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryOptions {
    /// Its address: `"https://registry:8081"`.
    pub url: String,
    /// The name of the user.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of the user, such as { env = "REGISTRY_PASSWORD" }.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A token instead of user and password.
    #[serde(default)]
    pub token: Option<Secret>,
    /// How the server is verified, and how this client identifies itself.
    #[serde(default)]
    pub tls: Tls,
    /// How long a request may take.
    #[serde(default = "timeout")]
    pub timeout: String,
}

fn timeout() -> String {
    "10s".to_owned()
}

/// What a payload contains.
#[derive(Debug)]
pub(in crate::source) enum Content<'p> {
    /// Text of the format that the pipeline names.
    Text(Cow<'p, [u8]>),
    /// The message cannot be read.
    Rejected(String),
    /// The registry does not answer.
    Later,
}

/// A client of the registry, and what it has answered.
pub(in crate::source) struct Registry {
    client: Client,
    blocking: Blocking,
    headers: Vec<(HeaderName, HeaderValue)>,
    path: String,
    is_avro: bool,
    schemas: HashMap<u32, Known>,
}

enum Known {
    Schema(Arc<Schema>),
    Unusable(String, Instant),
}

impl RegistryOptions {
    /// The same options, with relative paths resolved against `base`.
    pub(in crate::source) fn with_base(&self, base: &Base) -> Self {
        Self { tls: self.tls.with_base(base), ..self.clone() }
    }
}

impl Registry {
    /// Contacts nobody yet.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub(in crate::source) fn new(
        options: &RegistryOptions,
        is_avro: bool,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let endpoint = Endpoint::parse("registry.url", &options.url, &["http", "https"])?;
        let path = endpoint.path.trim_end_matches('/').to_owned();
        let token = options.token.as_ref().map(|token| ("Bearer", token));
        let login = authorization(token, options.user.as_deref(), options.password.as_ref())?;
        let timeout = duration("registry.timeout", &options.timeout)?;
        options.tls.client()?;
        // No more is kept of a message that lies about its size.
        apache_avro::util::max_allocation_bytes(LARGEST);
        Ok(Self {
            client: Client::new(endpoint, options.tls.clone(), timeout),
            blocking: Blocking::new(stop)?,
            headers: login.map(|login| (AUTHORIZATION, login)).into_iter().collect(),
            path,
            is_avro,
            schemas: HashMap::new(),
        })
    }

    /// What `payload` contains.
    ///
    /// # Errors
    /// If the registry refuses this client.
    pub(in crate::source) fn read<'p>(&mut self, payload: &'p [u8]) -> Result<Content<'p>> {
        let Some((id, data)) = parts(payload) else {
            return Ok(Content::Rejected("it does not begin with the number of a schema".to_owned()));
        };
        if !self.is_avro {
            // The data says itself what it is.
            return Ok(Content::Text(data.into()));
        }
        let schema = match self.schema(id) {
            Ok(Known::Schema(schema)) => Arc::clone(schema),
            Ok(Known::Unusable(why, _)) => return Ok(Content::Rejected(why.clone())),
            Err(error) if error.is_transient() => return Ok(Content::Later),
            Err(error) => return Err(error),
        };
        Ok(match avro::to_json(&schema, data) {
            Ok(text) => Content::Text(text.into()),
            Err(why) => Content::Rejected(format!("it does not fit schema {id}: {why}")),
        })
    }

    fn schema(&mut self, id: u32) -> Result<&Known> {
        let is_known = self.schemas.get(&id).is_some_and(|known| match known {
            Known::Schema(_) => true,
            Known::Unusable(_, since) => since.elapsed() < FORGET,
        });
        if !is_known {
            let known = self.ask(id)?;
            if self.schemas.len() >= MOST {
                self.schemas.clear();
            }
            self.schemas.insert(id, known);
        }
        self.schemas.get(&id).ok_or_else(|| Error::internal("a schema was not kept"))
    }

    fn ask(&mut self, id: u32) -> Result<Known> {
        let path = format!("{}/schemas/ids/{id}", self.path);
        let request = request(Method::GET, &path, &self.headers, Vec::new())?;
        let answer = self.blocking.wait(self.client.send(request, LARGEST))?;
        let unusable = |why: String| Ok(Known::Unusable(why, Instant::now()));
        match answer.status.as_u16() {
            200 => match schema_of(&answer) {
                Ok(schema) => Ok(Known::Schema(Arc::new(schema))),
                Err(why) => unusable(format!("schema {id} of the registry: {why}")),
            },
            404 => unusable(format!("the registry has no schema {id}")),
            _ => Err(answer.refusal(self.client.endpoint(), &tidemill_engine::time::Clock::default())),
        }
    }
}

/// The number of the schema, and the data.
fn parts(payload: &[u8]) -> Option<(u32, &[u8])> {
    let (head, data) = payload.split_first_chunk::<5>()?;
    let [0, a, b, c, d] = *head else { return None };
    Some((u32::from_be_bytes([a, b, c, d]), data))
}

/// An answer of a registry.
#[derive(Deserialize)]
struct Written {
    schema: String,
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<serde_json::Value>,
}

fn schema_of(answer: &Answer) -> std::result::Result<Schema, String> {
    let written: Written = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the answer is not understood: {error}"))?;
    match written.kind.as_deref() {
        None | Some("AVRO") => {}
        Some(kind) => return Err(format!("it is one of {kind}, not of Avro")),
    }
    match written.references.is_empty() {
        true => avro::parse(&written.schema),
        false => Err("it refers to other schemas, which are not read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_begins_with_the_number_of_its_schema() {
        assert_eq!(parts(b"\0\0\0\x01\x02ab"), Some((258, &b"ab"[..])));
        assert_eq!(parts(b"\0\0\0\0"), None);
        assert_eq!(parts(b"{\"a\":1}"), None);
    }
}
