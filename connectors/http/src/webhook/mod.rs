//! `webhook`: records as HTTP requests, with a body by a template or as a chat or an alarm service expects it.
//!
//! | module | |
//! |---|---|
//! | `body` | records as items, items as bodies |
//! | `deliver` | requests, and what the answers mean |

mod body;
mod deliver;

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema as JsonSchemaOf, schema_for};
use serde::{Deserialize, Serialize};
use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::secret::Secret;
use tidemill_engine::sink::{Component, Repeat, Sink, SinkContext, SinkSpec};

use self::body::Encoder;
use self::deliver::Delivering;
use tidemill_connect::http::{ClientOptions, Endpoint, authorization, headers, merged, probe_server};

/// Where events for PagerDuty go.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Records of a request at most.
const MOST: usize = 100_000;

/// Sends each record, or several at once, as a request with a body by a template, or as Slack, Teams or PagerDuty expects it.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    options: WebhookOptions,
    client: ClientOptions,
}

/// Where requests go, and what they contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookOptions {
    /// The address, such as `{ env = "SLACK_WEBHOOK" }`. It is a secret, since often whoever has it may send; PagerDuty has one of its own.
    #[serde(default)]
    pub url: Option<Secret>,
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// What the body is: "json" (by the template `body`), or "slack", "teams" or "pagerduty", whose message is `text`. Meant for the records of a stage `alert`; PagerDuty accepts
    /// no others.
    #[serde(default)]
    pub format: BodyFormat,
    /// The template of the body, such as '{"device": "{sensor}", "value": {temperature}}': `{name}` is the value of a column, in quotes as escaped text, outside of quotes as a JSON value; `{*}` is the
    /// whole record as an object, and the default; `\{` is a brace.
    #[serde(default)]
    pub body: Option<String>,
    /// The template of the message for people, such as "{sensor} is at {temperature}"; by default a sentence about the alert.
    #[serde(default)]
    pub text: Option<String>,
    /// The records of a request at most: with more than one, a body is an array, and a message has a line for each.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// The type of the body; for another one than JSON, values are inserted without escapes, and records are separated by line ends.
    #[serde(default = "default_content_type")]
    pub content_type: String,
    /// A token that is sent as `Authorization: Bearer …`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The user, for a server that asks for a name and a password.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of the user.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The routing key of PagerDuty.
    #[serde(default)]
    pub routing_key: Option<Secret>,
    /// The severity of events for PagerDuty.
    #[serde(default)]
    pub severity: Severity,
    /// The key of a signature: the HMAC-SHA256 of the body, as `sha256=…` in hexadecimal digits in the header `signature_header`.
    #[serde(default)]
    pub signature: Option<Secret>,
    /// The header of the signature.
    #[serde(default = "default_signature_header")]
    pub signature_header: String,
    /// Text that the body of an answer contains if it means success, for servers that answer 200 with an error in the body, such as '"ok":true'. White space is ignored.
    #[serde(default)]
    pub success: Option<String>,
}

/// The method of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Method {
    /// POST.
    #[default]
    #[serde(rename = "POST")]
    Post,
    /// PUT.
    #[serde(rename = "PUT")]
    Put,
}

/// What a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    /// By a template.
    #[default]
    Json,
    /// A message of Slack, Mattermost or Rocket.Chat.
    Slack,
    /// A card of Microsoft Teams.
    Teams,
    /// An event of PagerDuty.
    Pagerduty,
}

/// The severity of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Critical.
    Critical,
    /// An error.
    #[default]
    Error,
    /// A warning.
    Warning,
    /// Information.
    Info,
}

fn default_batch() -> usize {
    1
}

fn default_content_type() -> String {
    "application/json".into()
}

fn default_signature_header() -> String {
    "X-Signature-256".into()
}

inventory::submit! { Component::of::<Webhook>("webhook", "records or alerts as HTTP requests; Slack, Teams, PagerDuty") }

impl Configure for Webhook {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![schema_for!(WebhookOptions), schema_for!(ClientOptions)]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (own, client) = (options.take(), options.take());
        Some(Self { options: own?, client: client? })
    }
}

impl WebhookOptions {
    fn endpoint(&self) -> Result<Endpoint> {
        let url = match (&self.url, self.format) {
            (Some(url), _) => url.reveal(),
            (None, BodyFormat::Pagerduty) => PAGERDUTY,
            (None, _) => return Err(Error::config("the option `url` is missing")),
        };
        Endpoint::parse("url", url, &["http", "https"]).map(Endpoint::into_secret)
    }

    /// Whether bodies are JSON.
    fn is_json(&self) -> bool {
        self.format != BodyFormat::Json || self.content_type.contains("json")
    }

    fn check(&self) -> Result<()> {
        let is_json = self.format == BodyFormat::Json;
        if self.body.is_some() && !is_json {
            return Err(Error::config("`body` cannot be used with this `format`, which has its own")
                .with_help("`text` is the template of the message"));
        }
        if self.text.is_some() && is_json {
            return Err(Error::config("`text` has no meaning with `format = \"json\"`: use `body`"));
        }
        if (self.format == BodyFormat::Pagerduty) != self.routing_key.is_some() {
            return Err(Error::config(
                "`routing_key` belongs to `format = \"pagerduty\"`: one of them is missing",
            ));
        }
        if !(1..=MOST).contains(&self.batch) || self.format == BodyFormat::Pagerduty && self.batch != 1 {
            return Err(Error::config(format!("`batch` is not from 1 to {MOST}; PagerDuty takes 1")));
        }
        if self.success.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(Error::config("`success` is empty"));
        }
        self.signature_header().map(drop)
    }

    fn signature_header(&self) -> Result<HeaderName> {
        let name = &self.signature_header;
        name.parse()
            .map_err(|_| Error::config(format!("`signature_header` {name:?} is not the name of a header")))
    }
}

impl Webhook {
    /// The headers of every request.
    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let WebhookOptions { token, user, password, content_type, .. } = &self.options;
        let value = HeaderValue::from_str(content_type)
            .map_err(|_| Error::config("`content_type` contains characters that no header may have"))?;
        let mut all = vec![(CONTENT_TYPE, value)];
        let token = token.as_ref().map(|token| ("Bearer", token));
        if let Some(value) = authorization(token, user.as_deref(), password.as_ref())? {
            all.push((AUTHORIZATION, value));
        }
        all.extend(headers(&self.client.headers)?);
        Ok(all)
    }
}

impl SinkSpec for Webhook {
    fn name(&self) -> &str {
        "webhook"
    }

    fn parameters(&self) -> serde_json::Value {
        merged(&self.options, &self.client)
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn delivers(&self) -> bool {
        true
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { client: self.client.with_base(base), ..self.clone() }))
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        self.options.check()?;
        let WebhookOptions { token, password, routing_key, .. } = &self.options;
        let has_secret = [token, password, routing_key].into_iter().any(Option::is_some);
        self.client.check_secrecy(&self.options.endpoint()?, has_secret)?;
        self.headers()?;
        self.client.check()?;
        Encoder::new(&self.options, schema).map(drop)
    }

    fn probe(&self, _schema: Option<&Schema>, probe: &mut Probe) {
        // Nothing is asked: every request is a message to somebody.
        probe_server(probe, self.options.endpoint(), &self.client);
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let encoder = Arc::new(Encoder::new(&self.options, schema)?);
        Ok(Box::new(Delivering::new(self, encoder, context)?))
    }
}
