//! `sse`: a source of server-sent events.
//!
//! | module | |
//! |---|---|
//! | `events` | bytes as events |

mod events;

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema as JsonSchemaOf, schema_for};
use serde::{Deserialize, Serialize};
use tidemill_connect::message::{Envelope, Lines, MessageSource, Messages};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::meter::SourceMeter;
use tidemill_engine::options::{Configure, Options};
use tidemill_engine::probe::Probe;
use tidemill_engine::resilience::Backoff;
use tidemill_engine::secret::Secret;
use tidemill_engine::source::{Component, OpenOptions, Recovery, Source, SourceSpec, Traits};
use tidemill_engine::time::Clock;
use tokio::time::timeout;

use self::events::{Event, Events};
use crate::inbox::{Inbox, Message, Outlet, Places, Work};
use crate::poll::PAYLOADS;
use tidemill_connect::http::{
    Answer, Client, ClientOptions, Endpoint, Route, Text, authorization, duration, greet, headers, merged,
    probe_server, request,
};

/// The name of the place from where to go on.
const LAST: &str = "last-event-id";

/// Server-sent events.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSentEvents {
    options: SseOptions,
    client: ClientOptions,
    messages: Messages,
}

/// Which events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SseOptions {
    /// The address, such as `"https://a.example/events"`. One that holds a secret is `{ env = "NAME" }` or `{ file = "path" }`; its field `@url` is the server alone.
    pub url: Text,
    /// The types of events that are read, such as ["reading"]; all by default.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// How long nothing may come, not even a comment, until the connection is taken for lost.
    #[serde(default = "default_silence")]
    pub silence: String,
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

fn default_silence() -> String {
    "1m".into()
}

inventory::submit! { Component::of::<ServerSentEvents>("sse", "server-sent events over HTTP") }

impl Configure for ServerSentEvents {
    fn schemas() -> Vec<JsonSchemaOf> {
        let own = [schema_for!(SseOptions), schema_for!(ClientOptions)];
        own.into_iter().chain(Messages::schemas(PAYLOADS)).collect()
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (own, client) = (options.take(), options.take());
        let messages = Messages::configure(options, PAYLOADS);
        Some(Self { options: own?, client: client?, messages: messages? })
    }
}

impl ServerSentEvents {
    fn endpoint(&self) -> Result<Endpoint> {
        Endpoint::of("url", &self.options.url, &["http", "https"])
    }

    /// The headers of every request.
    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let SseOptions { token, user, password, .. } = &self.options;
        let token = token.as_ref().map(|token| ("Bearer", token));
        let mut all = headers(&self.client.headers)?;
        let login = authorization(token, user.as_deref(), password.as_ref())?;
        all.extend(login.map(|value| (AUTHORIZATION, value)));
        all.push((ACCEPT, HeaderValue::from_static("text/event-stream")));
        Ok(all)
    }

    fn following(&self, fields: &[String], open: &OpenOptions) -> Result<Following> {
        self.client.check()?;
        let SseOptions { url, events, silence, token, password, .. } = &self.options;
        let endpoint = self.endpoint()?;
        let has_secret = token.is_some() || password.is_some() || endpoint.is_secret();
        self.client.check_secrecy(&endpoint, has_secret)?;
        Ok(Following {
            url: endpoint.shown(url),
            endpoint,
            events: events.clone(),
            silence: duration("silence", silence)?,
            timeout: self.client.timeout()?,
            route: self.client.route()?,
            headers: self.headers()?,
            fields: fields.to_vec(),
            clock: open.clock.clone(),
            meter: open.meter.clone(),
        })
    }
}

impl SourceSpec for ServerSentEvents {
    fn name(&self) -> &str {
        "sse"
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
        let Some(endpoint) = probe_server(probe, self.endpoint(), &self.client) else { return };
        probe.step("login", || greet(&endpoint, &self.headers()?, &self.client));
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let envelope = Envelope {
            fields: &["@url", "@event", "@id"],
            prefixes: &[],
            names: Vec::new(),
            sensor: "@event",
        };
        let decoding = self.messages.decoding("sse", &envelope, options)?;
        let following = self.following(&decoding.fields, options)?;
        let start = move |outlet: Outlet, places: Places| -> Work {
            Box::pin(following.run(outlet, places.get(LAST).cloned()))
        };
        let lines = Lines::new(decoding, "sse", options.chunk_size);
        Ok(Box::new(MessageSource::new(Inbox::new(Box::new(start)), lines)))
    }
}

/// A stream of events that is followed.
struct Following {
    url: String,
    endpoint: Endpoint,
    events: Option<Vec<String>>,
    silence: Duration,
    timeout: Duration,
    route: Route,
    headers: Vec<(HeaderName, HeaderValue)>,
    fields: Vec<String>,
    clock: Clock,
    meter: SourceMeter,
}

impl Following {
    /// Reads until the run ends; connects again when the connection is lost, behind the last event.
    async fn run(self, outlet: Outlet, mut last: Option<String>) {
        let mut backoff = Backoff::default();
        let (mut has_begun, mut pause) = (false, Duration::ZERO);
        loop {
            let mut events = Events::default();
            let Err(error) = self.read(&outlet, &mut last, &mut events, &mut has_begun).await else { return };
            if !error.is_transient() && !has_begun {
                return outlet.fail(error);
            }
            self.meter.unanswered(&error);
            outlet.counts.failed(&error);
            if events.count() > 0 {
                backoff.reset();
            }
            pause = events.retry().unwrap_or(pause);
            tokio::time::sleep(pause + backoff.delay(error.retry_after())).await;
        }
    }

    /// Reads one connection to its end.
    async fn read(
        &self,
        outlet: &Outlet,
        last: &mut Option<String>,
        events: &mut Events,
        has_begun: &mut bool,
    ) -> Result<()> {
        let mut headers = self.headers.clone();
        if let Some(Ok(value)) = last.as_ref().map(|last| HeaderValue::from_str(last)) {
            headers.push((HeaderName::from_static("last-event-id"), value));
        }
        let mut client = Client::new(self.endpoint.clone(), self.route.clone(), self.timeout);
        let opened = client.open(request(Method::GET, &self.endpoint.path, &headers, Vec::new())?);
        let opened = timeout(self.timeout, opened).await.map_err(|_| self.lost("no answer"))??;
        let (head, mut body) = opened.into_parts();
        if head.status != hyper::StatusCode::OK {
            let answer = Answer { status: head.status, headers: head.headers, body: "".into() };
            return Err(answer.refusal(&self.endpoint, &self.clock));
        }
        self.meter.connected();
        *has_begun = true;
        loop {
            let frame = timeout(self.silence, body.frame())
                .await
                .map_err(|_| self.lost("nothing came for too long"))?;
            let frame = frame.ok_or_else(|| self.lost("the stream has ended"))?;
            let frame = frame.map_err(|error| self.lost(&format!("the connection was lost: {error}")))?;
            let Ok(bytes) = frame.into_data() else { continue };
            for event in events.push(&bytes).map_err(|why| self.lost(why))? {
                if event.id.is_some() {
                    last.clone_from(&event.id);
                }
                if self.is_wanted(&event) && outlet.send(self.message(event, last.as_ref())).await.is_none() {
                    return Ok(());
                }
            }
        }
    }

    fn is_wanted(&self, event: &Event) -> bool {
        self.events.as_ref().is_none_or(|wanted| wanted.contains(&event.name))
    }

    fn message(&self, event: Event, last: Option<&String>) -> Message {
        let Event { name, data, .. } = event;
        let value = |field: &String| match &**field {
            "@event" => Some(name.clone()),
            "@id" => last.cloned(),
            _ => Some(self.url.clone()),
        };
        let values = self.fields.iter().map(value).collect();
        let place = last.map(|last| (LAST.to_owned(), last.clone()));
        Message { payload: data, received: self.clock.read(), values, place }
    }

    fn lost(&self, why: &str) -> Error {
        Error::unavailable(format!("{}: {why}", self.endpoint)).transient()
    }
}
