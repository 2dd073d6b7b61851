//! `websocket`: a source of the messages of a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::header::{
    AUTHORIZATION, CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
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
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::inbox::{Inbox, Message, Outlet, Places, Work};
use crate::poll::PAYLOADS;
use tidemill_connect::http::{
    Answer, ClientOptions, Endpoint, Route, Stream, Text, authorization, connect, duration, greet,
    header_value, headers, merged, probe_server,
};

/// Bytes of a message at most.
const LARGEST: usize = 16 << 20;

/// The messages of a WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub struct WebSocket {
    options: WebSocketOptions,
    client: ClientOptions,
    messages: Messages,
}

/// Which messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebSocketOptions {
    /// The address, such as "wss://a.example/stream". One that holds a secret is `{ env = "NAME" }` or `{ file = "path" }`; its field `@url` is the server alone.
    pub url: Text,
    /// Messages of text that are sent after each connection, such as ['{"subscribe": "readings"}']; one that holds a secret is `{ env = "NAME" }` or `{ file = "path" }`.
    #[serde(default)]
    pub send: Vec<Text>,
    /// The subprotocol that is asked for.
    #[serde(default)]
    pub protocol: Option<String>,
    /// How long nothing may come, until the connection is taken for lost. After half of that, the server is asked for a sign.
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

inventory::submit! { Component::of::<WebSocket>("websocket", "the messages of a WebSocket") }

impl Configure for WebSocket {
    fn schemas() -> Vec<JsonSchemaOf> {
        let own = [schema_for!(WebSocketOptions), schema_for!(ClientOptions)];
        own.into_iter().chain(Messages::schemas(PAYLOADS)).collect()
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (own, client) = (options.take(), options.take());
        let messages = Messages::configure(options, PAYLOADS);
        Some(Self { options: own?, client: client?, messages: messages? })
    }
}

impl WebSocket {
    fn endpoint(&self) -> Result<Endpoint> {
        Endpoint::of("url", &self.options.url, &["ws", "wss"])
    }

    /// The headers of every handshake.
    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let WebSocketOptions { protocol, token, user, password, .. } = &self.options;
        let token = token.as_ref().map(|token| ("Bearer", token));
        let mut all = headers(&self.client.headers)?;
        let login = authorization(token, user.as_deref(), password.as_ref())?;
        all.extend(login.map(|value| (AUTHORIZATION, value)));
        if let Some(protocol) = protocol {
            all.push((SEC_WEBSOCKET_PROTOCOL, header_value("protocol", protocol)?));
        }
        Ok(all)
    }

    fn following(&self, fields: &[String], open: &OpenOptions) -> Result<Following> {
        self.client.check()?;
        let WebSocketOptions { url, send, silence, token, password, .. } = &self.options;
        let endpoint = self.endpoint()?;
        let is_secret = endpoint.is_secret() || send.iter().any(Text::is_secret);
        self.client.check_secrecy(&endpoint, is_secret || token.is_some() || password.is_some())?;
        Ok(Following {
            address: url.clone(),
            shown: endpoint.shown(url),
            endpoint,
            send: send.clone(),
            silence: duration("silence", silence)?,
            timeout: self.client.timeout()?,
            route: self.client.route()?,
            headers: self.headers()?,
            fields: fields.len(),
            clock: open.clock.clone(),
            meter: open.meter.clone(),
        })
    }
}

impl SourceSpec for WebSocket {
    fn name(&self) -> &str {
        "websocket"
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
        let ours = [
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            // Any sixteen bytes: nothing is said after the handshake.
            (SEC_WEBSOCKET_KEY, "dGlkZW1pbGwgZG9jdG9yIQ=="),
        ];
        probe.step("login", || {
            let ours = ours.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
            greet(&endpoint, &self.headers()?.into_iter().chain(ours).collect::<Vec<_>>(), &self.client)
        });
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let envelope = Envelope { fields: &["@url"], prefixes: &[], names: Vec::new(), sensor: "@url" };
        let decoding = self.messages.decoding("websocket", &envelope, options)?;
        let following = self.following(&decoding.fields, options)?;
        let start = move |outlet: Outlet, _: Places| -> Work { Box::pin(following.run(outlet)) };
        let lines = Lines::new(decoding, "websocket", options.chunk_size);
        Ok(Box::new(MessageSource::new(Inbox::new(Box::new(start)), lines)))
    }
}

/// A WebSocket that is followed.
struct Following {
    address: Text,
    /// As records call it.
    shown: String,
    endpoint: Endpoint,
    send: Vec<Text>,
    silence: Duration,
    timeout: Duration,
    route: Route,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The number of fields, all of which are the address.
    fields: usize,
    clock: Clock,
    meter: SourceMeter,
}

/// An open WebSocket.
type Socket = WebSocketStream<Box<dyn Stream>>;

impl Following {
    /// Reads until the run ends; connects again when the connection is lost.
    async fn run(self, outlet: Outlet) {
        let (mut backoff, mut has_begun) = (Backoff::default(), false);
        loop {
            let mut count = 0;
            let read = async {
                let mut socket = self.open().await?;
                self.meter.connected();
                has_begun = true;
                self.read(&mut socket, &outlet, &mut count).await
            };
            let Err(error) = read.await else { return };
            if !error.is_transient() && !has_begun {
                return outlet.fail(error);
            }
            self.meter.unanswered(&error);
            outlet.counts.failed(&error);
            if count > 0 {
                backoff.reset();
            }
            tokio::time::sleep(backoff.delay(error.retry_after())).await;
        }
    }

    async fn open(&self) -> Result<Socket> {
        let opened = timeout(self.timeout, self.handshake()).await;
        let mut socket = opened.map_err(|_| self.lost(&"no answer"))??;
        for text in &self.send {
            socket.send(Frame::text(text.reveal().to_owned())).await.map_err(|error| self.lost(&error))?;
        }
        Ok(socket)
    }

    async fn handshake(&self) -> Result<Socket> {
        let stream = connect(&self.endpoint, &self.route).await?;
        let wrong = |error: tungstenite::Error| {
            let why = self.endpoint.hide(&error.to_string());
            Error::config(format!("{}: {why}", self.endpoint))
        };
        let mut request = self.address.reveal().into_client_request().map_err(wrong)?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => {
                let (head, body) = response.into_parts();
                let body = body.unwrap_or_default().into();
                let answer = Answer { status: head.status, headers: head.headers, body };
                Err(answer.refusal(&self.endpoint, &self.clock))
            }
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Reads one connection to its end.
    async fn read(&self, socket: &mut Socket, outlet: &Outlet, count: &mut u64) -> Result<()> {
        let mut was_asked = false;
        loop {
            let Ok(frame) = timeout(self.silence / 2, socket.next()).await else {
                if std::mem::replace(&mut was_asked, true) {
                    return Err(self.lost(&"nothing came for too long"));
                }
                socket.send(Frame::Ping(Vec::new().into())).await.map_err(|error| self.lost(&error))?;
                continue;
            };
            was_asked = false;
            let frame = frame.ok_or_else(|| self.lost(&"the connection has ended"))?;
            let payload = match frame.map_err(|error| self.lost(&error))? {
                Frame::Text(text) => text.as_bytes().to_vec(),
                Frame::Binary(bytes) => bytes.to_vec(),
                // Answered by the library.
                _ => continue,
            };
            *count += 1;
            let values = vec![Some(self.shown.clone()); self.fields];
            let message = Message { payload, received: self.clock.read(), values, place: None };
            if outlet.send(message).await.is_none() {
                return Ok(());
            }
        }
    }

    fn lost(&self, why: &dyn std::fmt::Display) -> Error {
        Error::unavailable(format!("{}: {why}", self.endpoint)).transient()
    }
}
