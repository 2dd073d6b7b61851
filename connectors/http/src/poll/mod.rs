//! `poll`: a source that asks addresses for records, each at its own pace.
//!
//! | module | |
//! |---|---|
//! | `paging` | where the next page is, and where the records are in a page |
//! | `task` | one address |

mod paging;
mod task;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema as JsonSchemaOf, SchemaGenerator, json_schema, schema_for};
use serde::de::value::MapDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tidemill_connect::message::{Envelope, Lines, MessageSource, Messages, Payload};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::resilience::{Breaker, BreakerOptions};
use tidemill_engine::secret::Secret;
use tidemill_engine::source::{Component, OpenOptions, Recovery, Source, SourceSpec, Traits};
use tokio::task::JoinSet;

use self::task::Task;
use crate::hash::sha256;
use crate::inbox::{Inbox, Outlet, Places, Work};
use tidemill_connect::http::{
    ClientOptions, Endpoint, Text, authorization, duration, greet, headers, merged, probe_server,
};

/// What answers may contain.
pub(crate) const PAYLOADS: &[Payload] =
    &[Payload::Number, Payload::Json, Payload::Jsonl, Payload::Csv, Payload::Influx, Payload::Senml];

/// Addresses that are asked for records.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    options: PollOptions,
    client: ClientOptions,
    messages: Messages,
}

/// Which addresses, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PollOptions {
    /// The addresses, such as `["https://a.example/api"]`, or with a pace of their own `[{ url = "https://a.example/api", every = "1m" }]`. One that holds a secret is `{ env = "NAME" }` or
    /// `{ file = "path" }`; its field `@url` is the server alone.
    pub urls: Vec<Address>,
    /// How often each is asked.
    #[serde(default = "default_every")]
    pub every: String,
    /// Where the records are in a page of JSON, such as "/data/items"; by default the page is the records.
    #[serde(default)]
    pub records: Option<String>,
    /// Where a page of JSON has the address of the next one, such as "/links/next". The header `Link` with `rel="next"` is understood without it.
    #[serde(default)]
    pub next: Option<String>,
    /// The number of pages at most that are read at once.
    #[serde(default = "default_pages")]
    pub pages: usize,
    /// A token that is sent as `Authorization: Bearer …`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The user, for a server that asks for a name and a password.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of the user.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Address {
    /// With the pace of the source.
    Url(Text),
    /// With a pace of its own.
    Own {
        /// The address.
        url: Text,
        /// How often it is asked.
        every: String,
    },
}

impl Address {
    fn url(&self) -> &Text {
        match self {
            Self::Url(url) | Self::Own { url, .. } => url,
        }
    }

    fn endpoint(&self) -> Result<Endpoint> {
        Endpoint::of("urls", self.url(), &["http", "https"])
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// All forms side by side: within each other, one of the tables would be taken for the only one.
impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> JsonSchemaOf {
        let text = Text::json_schema(generator);
        let mut forms = text.get("anyOf").and_then(|forms| forms.as_array().cloned()).unwrap_or_default();
        forms.push(serde_json::json!({
            "type": "object",
            "properties": { "url": text, "every": { "type": "string" } },
            "required": ["url"],
            "additionalProperties": false,
        }));
        json_schema!({ "anyOf": forms })
    }
}

/// An address as it is written. Read field by field: of an untagged enum, nobody learns what is wrong.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Address;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an address: text, { env = \"NAME\" }, { file = \"path\" }, or { url = …, every = \"1m\" }",
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Address, E> {
        Ok(Address::Url(Text::Open(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Address, A::Error> {
        let (mut url, mut every) = (None, None);
        while let Some(name) = map.next_key::<String>()? {
            match &*name {
                "url" => url = Some(map.next_value()?),
                "every" => every = Some(map.next_value()?),
                "env" | "file" => {
                    let reference =
                        MapDeserializer::new(std::iter::once((name, map.next_value::<String>()?)));
                    return Secret::deserialize(reference).map(|secret| Address::Url(Text::Secret(secret)));
                }
                _ => return Err(de::Error::unknown_field(&name, &["url", "every", "env", "file"])),
            }
        }
        let url = url.ok_or_else(|| de::Error::missing_field("url"))?;
        Ok(match every {
            Some(every) => Address::Own { url, every },
            None => Address::Url(url),
        })
    }
}

fn default_every() -> String {
    "10s".into()
}

fn default_pages() -> usize {
    1000
}

inventory::submit! { Component::of::<Poll>("poll", "addresses that are asked for records by HTTP, each at its own pace") }

impl Configure for Poll {
    fn schemas() -> Vec<JsonSchemaOf> {
        let own = [schema_for!(PollOptions), schema_for!(ClientOptions)];
        own.into_iter().chain(Messages::schemas(PAYLOADS)).collect()
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (own, client) = (options.take(), options.take());
        let messages = Messages::configure(options, PAYLOADS);
        Some(Self { options: own?, client: client?, messages: messages? })
    }
}

impl Poll {
    fn check(&self) -> Result<()> {
        let PollOptions { urls, records, next, pages, .. } = &self.options;
        if urls.is_empty() || *pages == 0 {
            return Err(Error::config("`urls` is empty, or `pages` is 0"));
        }
        let is_json = matches!(self.messages.payload(), Payload::Json | Payload::Senml);
        for (option, pointer) in [("records", records), ("next", next)] {
            let Some(pointer) = pointer else { continue };
            if !is_json {
                return Err(Error::config(format!("`{option}` is for pages of JSON: payload = \"json\"")));
            }
            if !pointer.starts_with('/') {
                return Err(Error::config(format!("`{option}` {pointer:?} does not begin with a slash"))
                    .with_help("it is a JSON pointer, such as \"/data/items\""));
            }
        }
        for address in urls {
            let endpoint = address.endpoint()?;
            self.client.check_secrecy(&endpoint, self.has_login() || endpoint.is_secret())?;
        }
        self.client.check()
    }

    fn has_login(&self) -> bool {
        self.options.token.is_some() || self.options.password.is_some()
    }

    /// The headers of every request.
    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let PollOptions { token, user, password, .. } = &self.options;
        let token = token.as_ref().map(|token| ("Bearer", token));
        let mut all = headers(&self.client.headers)?;
        let login = authorization(token, user.as_deref(), password.as_ref())?;
        all.extend(login.map(|value| (AUTHORIZATION, value)));
        Ok(all)
    }

    /// One task for each address; those of the same server share a circuit breaker.
    fn tasks(&self, fields: &[String], open: &OpenOptions) -> Result<Vec<Task>> {
        let PollOptions { every, records, next, pages, .. } = &self.options;
        let all = self.headers()?;
        let mut breakers: BTreeMap<String, Breaker> = BTreeMap::new();
        let mut task = |address: &Address| {
            let endpoint = address.endpoint()?;
            let breaker = breakers.entry(endpoint.to_string());
            let breaker = breaker.or_insert_with(|| Breaker::new(BreakerOptions::default())).clone();
            let own = match address {
                Address::Url(_) => every,
                Address::Own { every, .. } => every,
            };
            Ok(Task {
                place: place(address.url().reveal()),
                url: endpoint.shown(address.url()),
                meter: open.meter.of(&endpoint.shown(address.url())),
                endpoint,
                every: duration("every", own)?.max(Duration::from_millis(10)),
                route: self.client.route()?,
                breaker,
                timeout: self.client.timeout()?,
                headers: all.clone(),
                records: records.clone(),
                next: next.clone(),
                pages: *pages,
                fields: fields.to_vec(),
                clock: open.clock.clone(),
            })
        };
        self.options.urls.iter().map(&mut task).collect()
    }
}

/// The name of the place of an address: not itself, which may hold a secret.
fn place(url: &str) -> String {
    sha256(url)[..32].to_owned()
}

impl SourceSpec for Poll {
    fn name(&self) -> &str {
        "poll"
    }

    fn parameters(&self) -> serde_json::Value {
        let mut own = merged(&self.options, &self.client);
        if let (Some(own), serde_json::Value::Object(rest)) =
            (own.as_object_mut(), self.messages.parameters())
        {
            own.extend(rest);
        }
        own
    }

    fn traits(&self) -> Traits {
        Traits { is_bounded: false, is_replayable: false, is_open: true, recovery: Recovery::Lost }
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        Some(Arc::new(Self { client: self.client.with_base(base), ..self.clone() }))
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn probe(&self, probe: &mut Probe) {
        for address in &self.options.urls {
            let Some(endpoint) = probe_server(probe, address.endpoint(), &self.client) else { continue };
            probe.step("login", || greet(&endpoint, &self.headers()?, &self.client));
        }
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        self.check()?;
        let prefixes: &'static [&'static str] = &["@header:"];
        let envelope = Envelope { fields: &["@url"], prefixes, names: Vec::new(), sensor: "@url" };
        let decoding = self.messages.decoding("poll", &envelope, options)?;
        let tasks = self.tasks(&decoding.fields, options)?;
        let start = move |outlet: Outlet, places: Places| -> Work {
            Box::pin(async move {
                let mut running = JoinSet::new();
                for task in tasks {
                    let place = places.get(&task.place).cloned();
                    running.spawn(task.run(outlet.clone(), place));
                }
                // None ends before the run does, unless it panics: then nobody would ask its address any more.
                while let Some(ended) = running.join_next().await {
                    if ended.is_err() {
                        outlet.fail(Error::internal("the client of an address has panicked"));
                    }
                }
            })
        };
        let lines = Lines::new(decoding, "poll", options.chunk_size);
        Ok(Box::new(MessageSource::new(Inbox::new(Box::new(start)), lines)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_is_text_or_a_secret_with_a_pace_or_without() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "https://a.example/x?key=4711").expect("written");
        let secret = json!({ "file": file.path() });
        let read = |value: &serde_json::Value| serde_json::from_value::<Address>(value.clone());
        for (written, is_secret, has_pace) in [
            (json!("https://a.example/x"), false, false),
            (json!({ "url": "https://a.example/x", "every": "1m" }), false, true),
            (secret.clone(), true, false),
            (json!({ "url": secret, "every": "1m" }), true, true),
        ] {
            let address = read(&written).expect("an address");
            assert_eq!(serde_json::to_value(&address).expect("JSON"), written);
            assert_eq!(
                (address.url().is_secret(), matches!(address, Address::Own { .. })),
                (is_secret, has_pace)
            );
            let shown = address.endpoint().expect("an address").shown(address.url());
            assert_eq!(shown, if is_secret { "https://a.example:443" } else { "https://a.example/x" });
        }
        for (written, why) in [
            (json!({ "env": "TIDEMILL_NOT_SET" }), "TIDEMILL_NOT_SET"),
            (json!({ "every": "1m" }), "missing field `url`"),
            (json!({ "url": "https://a.example", "evry": "1m" }), "unknown field `evry`"),
        ] {
            let error = read(&written).expect_err("no address").to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(!place("https://a.example/x?key=4711").contains("4711"));
        assert_ne!(place("https://a.example/x"), place("https://a.example/y"));
    }
}
