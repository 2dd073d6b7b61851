//! `poll`: a source that asks addresses for records, each at its own pace.
//!
//! | module | |
//! |---|---|
//! | `paging` | where the next page is, and where the records are in a page |
//! | `task` | one address |

mod paging;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema as JsonSchemaOf, schema_for};
use serde::{Deserialize, Serialize};
use tidemill_connect::message::{Envelope, Lines, MessageSource, Messages, Payload};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::resilience::{Breaker, BreakerOptions};
use tidemill_engine::secret::Secret;
use tidemill_engine::source::{Component, OpenOptions, Recovery, Source, SourceSpec, Traits};

use self::task::Task;
use crate::inbox::{Inbox, Outlet, Places, Work};
use tidemill_connect::http::{
    ClientOptions, Endpoint, authorization, duration, headers, merged, probe_server,
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
    /// The addresses, such as `["https://a.example/api"]`, or with a pace of their own `[{ url = "https://a.example/api", every = "1m" }]`.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Address {
    /// With the pace of the source.
    Url(String),
    /// With a pace of its own.
    Own {
        /// The address.
        url: String,
        /// How often it is asked.
        every: String,
    },
}

impl Address {
    fn url(&self) -> &str {
        match self {
            Self::Url(url) | Self::Own { url, .. } => url,
        }
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
        self.client.check()
    }

    /// One task for each address; those of the same server share a circuit breaker.
    fn tasks(&self, fields: &[String], open: &OpenOptions) -> Result<Vec<Task>> {
        let PollOptions { token, user, password, every, records, next, pages, .. } = &self.options;
        let token = token.as_ref().map(|token| ("Bearer", token));
        let mut all = headers(&self.client.headers)?;
        if let Some(value) = authorization(token, user.as_deref(), password.as_ref())? {
            all.push((hyper::header::AUTHORIZATION, value));
        }
        let mut breakers: BTreeMap<String, Breaker> = BTreeMap::new();
        let mut task = |address: &Address| {
            let endpoint = Endpoint::parse("urls", address.url(), &["http", "https"])?;
            let breaker = breakers.entry(endpoint.to_string());
            let breaker = breaker.or_insert_with(|| Breaker::new(BreakerOptions::default())).clone();
            let own = match address {
                Address::Url(_) => every,
                Address::Own { every, .. } => every,
            };
            Ok(Task {
                url: address.url().to_owned(),
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
            probe_server(probe, Endpoint::parse("urls", address.url(), &["http", "https"]), &self.client);
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
                for task in tasks {
                    let place = places.get(&task.url).cloned();
                    tokio::spawn(task.run(outlet.clone(), place));
                }
                std::future::pending().await
            })
        };
        let lines = Lines::new(decoding, "poll", options.chunk_size);
        Ok(Box::new(MessageSource::new(Inbox::new(Box::new(start)), lines)))
    }
}
