//! A request and its answer.
//!
//! | request | answer |
//! |---|---|
//! | all records can be decoded | 200 with their number, 204 for clients of InfluxDB and Prometheus; with checkpoints, once they are durable |
//! | some cannot | the others are accepted; 200 with the refused lines, 400 for clients of InfluxDB |
//! | none can, or the body is damaged | 400 |
//! | no token, or a wrong one | 401 |
//! | another host, a page of a browser | 421, 403 |
//! | another path, another method | 404, 405 |
//! | a body that does not arrive in time | 408 |
//! | a body that is too large, also when it is decompressed | 413 |
//! | another compression | 415 |
//! | a body whose content takes too much memory: too many records that cannot be decoded, time series of over 64 MiB | 413 |
//! | the pipeline does not keep up | 429 with `Retry-After`; 503 at `/write`, since Telegraf's `outputs.influxdb` drops what is answered with 429 |
//! | the run ends | 503 with `Retry-After` |
//!
//! Bodies are decompressed and decoded on threads for that (`http-decode`): meanwhile others are served.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use tidemill_connect::message::Payload;
use tidemill_engine::meter::SourceMeter;
use tidemill_engine::time::{Clock, Timestamp};
use tokio::sync::oneshot;

use super::access::{Access, Refusal};
use super::body::{Encoding, too_large};
use super::content::{Content, Contents, Findings};
use super::fields::{Fields, Values};
use super::influx::{Route, Scale, creates_database, partial};
use super::queue::{Accepted, Claim, Entry, Room};

/// Handles requests.
pub(super) struct Handler {
    pub(super) access: Access,
    pub(super) contents: Contents,
    pub(super) fields: Fields,
    pub(super) entry: Entry,
    pub(super) max_body: usize,
    pub(super) max_decoded: usize,
    pub(super) timeout: Duration,
    pub(super) clock: Clock,
    pub(super) counts: Counts,
}

/// What happened to requests: others see it while the run goes on, and at its end.
#[derive(Debug)]
pub(super) struct Counts {
    accepted: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    busy: Arc<AtomicU64>,
    broken: Arc<AtomicU64>,
}

type Answer = Response<Full<Bytes>>;

/// How long a request may wait for the pipeline to take it: less than clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Seconds after which a sender tries again.
const LATER: HeaderValue = HeaderValue::from_static("1");

impl Counts {
    pub(super) fn new(meter: &SourceMeter) -> Self {
        let [accepted, refused, busy, broken] =
            ["accepted", "refused", "busy", "broken"].map(|what| meter.counter(what));
        Self { accepted, refused, busy, broken }
    }

    /// A connection ended in the middle of a request, or sent something else.
    pub(super) fn broken(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        let all = [
            (&self.accepted, "requests were accepted"),
            (&self.refused, "requests were refused"),
            (&self.busy, "requests were told to come again later, because the pipeline did not keep up"),
            (&self.broken, "connections ended in the middle of a request"),
        ];
        let told = |(count, what): (&Arc<AtomicU64>, &str)| {
            let count = count.load(Ordering::Relaxed);
            (count > 0).then(|| format!("{count} {what}"))
        };
        all.into_iter().filter_map(told).collect()
    }
}

impl Handler {
    /// Answers a request of `client`.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Answer, Infallible> {
        let answered = self.handle(request, client).await;
        let status = answered.as_ref().map_or_else(|refusal| refusal.0, Response::status);
        let count = match status.as_u16() {
            200..=299 => &self.counts.accepted,
            429 | 503 => &self.counts.busy,
            _ => &self.counts.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(answered.unwrap_or_else(|Refusal(status, why)| refused(status, why)))
    }

    async fn handle(
        self: &Arc<Self>,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Answer, Refusal> {
        let (head, body) = request.into_parts();
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        self.access.check(&head.headers, query)?;
        let is_influx = self.contents.payload() == Payload::Influx;
        let route = is_influx.then(|| Route::of(path)).flatten();
        match route {
            Some(Route::Ping) => return Ok(empty(StatusCode::NO_CONTENT)),
            Some(Route::Health) => {
                return Ok(json(StatusCode::OK, "{\"name\":\"tidemill\",\"status\":\"pass\"}"));
            }
            Some(Route::Query) => return self.query(query, body).await,
            Some(Route::Write | Route::WriteV2) => {}
            None if self.is_ours(path) => {}
            None => return Err(Refusal(StatusCode::NOT_FOUND, "records are sent to another path")),
        }
        if head.method != Method::POST {
            return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "records are sent by POST"));
        }
        let encoding = head.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        let encoding = Encoding::of(encoding.unwrap_or_default())?;
        let precision = Refusal(StatusCode::BAD_REQUEST, "an unknown precision");
        let scale = if route.is_some() { Scale::of(query).ok_or(precision)? } else { Scale::NONE };
        let busy = busy(route);
        let (body, room) = self.receive(body, self.max_body, busy).await?;
        let values = self.fields.values(path, query, &head.headers, &client.ip().to_string());
        let received = Received { body, encoding, scale, values, room, at: self.clock.read() };
        let Read { content, findings, values, room, at } = self.read(received).await?;
        let room = room.resized(content.size(), &self.entry).ok_or(busy)?;
        if content.size() > 0 {
            self.hand_over(content, values, at, room, busy).await?;
        }
        let is_whole = findings.refused == 0;
        Ok(match (self.contents.payload(), is_whole) {
            (Payload::Influx | Payload::Prometheus, true) => empty(StatusCode::NO_CONTENT),
            (Payload::Influx, false) => {
                json(StatusCode::BAD_REQUEST, partial(&findings.first(), findings.refused))
            }
            _ => told(&findings),
        })
    }

    /// Whether records may be sent to this path.
    fn is_ours(&self, path: &str) -> bool {
        let is_remote_write = self.contents.payload() == Payload::Prometheus && path == "/api/v1/write";
        is_remote_write || self.fields.matches(path)
    }

    /// Answers a query, which may be in the address or in a form. Clients of version 1 create their database before they write; there are no other queries.
    async fn query(&self, query: &str, body: Incoming) -> Result<Answer, Refusal> {
        /// Bytes of a form at most.
        const FORM: usize = 64 << 10;
        let (form, _room) = self.receive(body, FORM, busy(Some(Route::Query))).await?;
        match creates_database(query) || creates_database(&String::from_utf8_lossy(&form)) {
            true => Ok(json(StatusCode::OK, "{\"results\":[{}]}")),
            false => Err(Refusal(StatusCode::NOT_FOUND, "queries are not answered here")),
        }
    }

    /// Reads a body of at most `most` bytes, in time.
    async fn receive(&self, body: Incoming, most: usize, busy: Refusal) -> Result<(Vec<u8>, Room), Refusal> {
        let collected = tokio::time::timeout(self.timeout, self.collect(body, most, busy)).await;
        collected.unwrap_or(Err(Refusal(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")))
    }

    /// Room is taken for what has arrived: whoever announces much, or says no length, and then sends slowly takes none from others.
    async fn collect(
        &self,
        mut body: Incoming,
        most: usize,
        busy: Refusal,
    ) -> Result<(Vec<u8>, Room), Refusal> {
        let announced = body.size_hint().lower();
        if announced > most as u64 {
            return Err(too_large());
        }
        if !self.entry.has_room(announced as usize) {
            return Err(busy);
        }
        let (mut bytes, mut room) = (Vec::new(), self.entry.room(0).ok_or(busy)?);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal(StatusCode::BAD_REQUEST, "the body ended too early"))?;
            let Ok(piece) = frame.into_data() else { continue };
            let length = bytes.len() + piece.len();
            if length > most {
                return Err(too_large());
            }
            room = room.resized(length, &self.entry).ok_or(busy)?;
            bytes.extend_from_slice(&piece);
        }
        Ok((bytes, room))
    }

    /// Decompresses, decodes and checks a body, on a thread for that.
    async fn read(self: &Arc<Self>, received: Received) -> Result<Read, Refusal> {
        let handler = Arc::clone(self);
        // The room is kept there even if the client goes away meanwhile.
        let read = tokio::task::spawn_blocking(move || received.read(&handler)).await;
        read.unwrap_or(Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the body cannot be read")))
    }

    /// Gives a request to the pipeline, and waits until it is safe there.
    async fn hand_over(
        &self,
        content: Content,
        values: Values,
        received: Timestamp,
        room: Room,
        busy: Refusal,
    ) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        let ends = Refusal(StatusCode::SERVICE_UNAVAILABLE, "the run ends");
        let claim = Claim::default();
        // Also when the client goes away.
        let withdrawn = Withdrawn(claim.clone());
        self.entry.send(Accepted { content, values, received, answer, claim, room }).ok_or(ends)?;
        let mut answered = std::pin::pin!(answered);
        if let Ok(answer) = tokio::time::timeout(PATIENCE, answered.as_mut()).await {
            return answer.map_err(|_| ends);
        }
        match withdrawn.0.withdraw() {
            true => Err(busy),
            false => answered.await.map_err(|_| ends),
        }
    }
}

/// A request as it was received.
struct Received {
    body: Vec<u8>,
    encoding: Encoding,
    scale: Scale,
    values: Values,
    room: Room,
    at: Timestamp,
}

/// What it contains.
struct Read {
    content: Content,
    findings: Findings,
    values: Values,
    room: Room,
    at: Timestamp,
}

impl Received {
    fn read(self, handler: &Handler) -> Result<Read, Refusal> {
        let Self { body, encoding, scale, values, room, at } = self;
        let Handler { contents, fields, max_decoded, .. } = handler;
        let content = contents.read(scale.apply(encoding.decode(body, *max_decoded)?))?;
        let findings = contents.check(&content, fields, &values, at)?;
        Ok(Read { content, findings, values, room, at })
    }
}

/// Withdraws a request when it is dropped.
struct Withdrawn(Claim);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        // False for what was taken, as most are.
        let _taken = self.0.withdraw();
    }
}

/// The refusal of a request that the pipeline cannot take now.
fn busy(route: Option<Route>) -> Refusal {
    // Telegraf's output for version 1 drops what is answered with a status of 4xx other than 413.
    let status = match route {
        Some(Route::Write) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::TOO_MANY_REQUESTS,
    };
    Refusal(status, "the pipeline does not keep up: send it again later")
}

fn told(findings: &Findings) -> Answer {
    let is_accepted = findings.accepted > 0 || findings.refused == 0;
    json(if is_accepted { StatusCode::OK } else { StatusCode::BAD_REQUEST }, findings.told())
}

fn refused(status: StatusCode, why: &str) -> Answer {
    let mut answer = json(status, serde_json::json!({ "error": why }).to_string());
    let headers = answer.headers_mut();
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, Basic"));
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, LATER);
        }
        _ => {}
    }
    answer
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
