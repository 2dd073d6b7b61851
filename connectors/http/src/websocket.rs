//! `websocket`: a source of the messages of a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use schemars::{JsonSchema, Schema as JsonSchemaOf, schema_for};
use serde::{Deserialize, Serialize};
use tidemill_connect::message::{Envelope, Lines, MessageSource, Messages};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
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
    Answer, ClientOptions, Endpoint, Route, Stream, authorization, connect, duration, header_value, headers,
    merged, probe_server,
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
    /// The address, such as "wss://a.example/stream".
    pub url: String,
    /// Messages of text that are sent after each connection, such as ['{"subscribe": "readings"}'].
    #[serde(default)]
    pub send: Vec<String>,
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
    fn following(&self, fields: &[String], open: &OpenOptions) -> Result<Following> {
        self.client.check()?;
        let WebSocketOptions { url, send, protocol, silence, token, user, password } = &self.options;
        let token = token.as_ref().map(|token| ("Bearer", token));
        let mut all = headers(&self.client.headers)?;
        if let Some(value) = authorization(token, user.as_deref(), password.as_ref())? {
            all.push((AUTHORIZATION, value));
        }
        if let Some(protocol) = protocol {
            all.push((SEC_WEBSOCKET_PROTOCOL, header_value("protocol", protocol)?));
        }
        Ok(Following {
            endpoint: Endpoint::parse("url", url, &["ws", "wss"])?,
            url: url.clone(),
            send: send.clone(),
            silence: duration("silence", silence)?,
            timeout: self.client.timeout()?,
            route: self.client.route()?,
            headers: all,
            fields: fields.len(),
            clock: open.clock.clone(),
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
        probe_server(probe, Endpoint::parse("url", &self.options.url, &["ws", "wss"]), &self.client);
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
    url: String,
    endpoint: Endpoint,
    send: Vec<String>,
    silence: Duration,
    timeout: Duration,
    route: Route,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The number of fields, all of which are the address.
    fields: usize,
    clock: Clock,
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
                has_begun = true;
                self.read(&mut socket, &outlet, &mut count).await
            };
            let Err(error) = read.await else { return };
            if !error.is_transient() && !has_begun {
                return outlet.fail(error);
            }
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
            socket.send(Frame::text(text.clone())).await.map_err(|error| self.lost(&error))?;
        }
        Ok(socket)
    }

    async fn handshake(&self) -> Result<Socket> {
        let stream = connect(&self.endpoint, &self.route).await?;
        let wrong = |error: tungstenite::Error| Error::config(format!("{}: {error}", self.endpoint));
        let mut request = self.url.as_str().into_client_request().map_err(wrong)?;
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
            let values = vec![Some(self.url.clone()); self.fields];
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
