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
//! | the pipeline does not keep up | 429 with `Retry-After` |
//! | the run ends | 503 with `Retry-After` |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use tidemill_connect::message::Payload;
use tidemill_engine::time::Clock;
use tokio::sync::oneshot;

use super::access::{Access, Refusal};
use super::body::{Encoding, too_large};
use super::content::{Content, Contents, Findings};
use super::fields::Fields;
use super::influx::{Route, creates_database, partial, scaled, zeros};
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

/// What happened to requests, for the end of the run.
#[derive(Debug, Default)]
pub(super) struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    busy: AtomicU64,
    broken: AtomicU64,
}

type Answer = Response<Full<Bytes>>;

/// How long a request may wait for the pipeline to take it: less than clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Seconds after which a sender tries again.
const LATER: HeaderValue = HeaderValue::from_static("1");

impl Counts {
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
        let told = |(count, what): (&AtomicU64, &str)| {
            let count = count.load(Ordering::Relaxed);
            (count > 0).then(|| format!("{count} {what}"))
        };
        all.into_iter().filter_map(told).collect()
    }
}

impl Handler {
    /// Answers a request of `client`.
    pub(super) async fn answer(
        &self,
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

    async fn handle(&self, request: Request<Incoming>, client: SocketAddr) -> Result<Answer, Refusal> {
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
            Some(Route::Query) if creates_database(query) => {
                return Ok(json(StatusCode::OK, "{\"results\":[{}]}"));
            }
            Some(Route::Query) => {
                return Err(Refusal(StatusCode::NOT_FOUND, "queries are not answered here"));
            }
            Some(Route::Write) => {}
            None if self.is_ours(path) => {}
            None => return Err(Refusal(StatusCode::NOT_FOUND, "records are sent to another path")),
        }
        if head.method != Method::POST {
            return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "records are sent by POST"));
        }
        let encoding = head.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        let encoding = Encoding::of(encoding.unwrap_or_default())?;
        let precision = Refusal(StatusCode::BAD_REQUEST, "an unknown precision");
        let zeros = if route.is_some() { zeros(query).ok_or(precision)? } else { 0 };
        let (body, room) = self.receive(body).await?;
        let body = scaled(encoding.decode(body, self.max_decoded)?, zeros);
        let content = self.contents.read(body)?;
        let room = room.resized(content.size(), &self.entry).ok_or(busy())?;
        let values = self.fields.values(path, query, &head.headers, &client.ip().to_string());
        let received = self.clock.read();
        let findings = self.contents.check(&content, &self.fields, &values, received);
        let findings =
            findings.map_err(|_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the body cannot be checked"))?;
        let is_whole = findings.refused == 0;
        if content.size() > 0 {
            self.hand_over(content, values, received, room).await?;
        }
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

    /// Reads a body, for which there is room before it is read.
    async fn receive(&self, body: Incoming) -> Result<(Vec<u8>, Room), Refusal> {
        let most = self.max_body as u64;
        let announced = body.size_hint().upper();
        if announced.is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let length = announced.unwrap_or(most) as usize;
        let room = self.entry.room(length).ok_or(busy())?;
        let collected = Limited::new(body, self.max_body).collect();
        let collected = tokio::time::timeout(self.timeout, collected).await;
        let slow = |_| Refusal(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
        let collected = collected.map_err(slow)?.map_err(|error| match error.is::<hyper::Error>() {
            true => Refusal(StatusCode::BAD_REQUEST, "the body ended too early"),
            false => too_large(),
        })?;
        Ok((collected.to_bytes().into(), room))
    }

    /// Gives a request to the pipeline, and waits until it is safe there.
    async fn hand_over(
        &self,
        content: Content,
        values: super::fields::Values,
        received: tidemill_engine::time::Timestamp,
        room: Room,
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
            true => Err(busy()),
            false => answered.await.map_err(|_| ends),
        }
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

fn busy() -> Refusal {
    Refusal(StatusCode::TOO_MANY_REQUESTS, "the pipeline does not keep up: send it again later")
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
