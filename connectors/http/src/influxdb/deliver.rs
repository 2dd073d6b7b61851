//! Requests, and what the answers mean.
//!
//! | answer | outcome |
//! |---|---|
//! | 204, which is what all versions of InfluxDB answer; 200 or another 2xx with an empty body or `{}` | the points are stored |
//! | 400 or 422 that names refused points and says that the others are stored | option `refused` |
//! | 413 | the request is sent again in halves; a single line that is too large is an error |
//! | 408, 425, 429, 5xx, no answer | retried, not before the time in `Retry-After` |
//! | any other, 2xx with something else in its body, such as an error or the page of a gateway | an error |

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use tidemill_connect::line_protocol::Encoder;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sink::{Prepare, Sink, SinkContext};
use tidemill_engine::time::Clock;

use super::lines::{Pieces, line_end};
use super::{Influxdb, Refused};
use crate::progress::Progress;
use tidemill_connect::http::{Answer, Blocking, Client, request};

/// Bytes of an answer at most.
const ANSWER: usize = 1 << 20;

/// The sink in use.
pub(super) struct Delivering {
    encoder: Arc<Encoder>,
    runtime: Blocking,
    client: Client,
    headers: Vec<(HeaderName, HeaderValue)>,
    clock: Clock,
    batch_bytes: usize,
    gzip: bool,
    refused: Refused,
    /// Points that the server has refused.
    dropped: u64,
    /// The first reason for that.
    reason: Option<String>,
    progress: Progress,
}

impl Delivering {
    pub(super) fn new(spec: &Influxdb, encoder: Arc<Encoder>, context: &SinkContext) -> Result<Self> {
        let Influxdb { options, client } = spec;
        let mut headers = spec.headers()?;
        headers.push((CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")));
        if options.gzip {
            headers.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        let (route, timeout) = (client.route()?, client.timeout()?);
        Ok(Self {
            encoder,
            runtime: Blocking::new(Arc::clone(&context.stop))?,
            client: Client::new(options.endpoint()?, route, timeout),
            headers,
            clock: context.clock.clone(),
            batch_bytes: options.batch_bytes,
            gzip: options.gzip,
            refused: options.refused,
            dropped: 0,
            reason: None,
            progress: Progress::default(),
        })
    }

    /// Sends whole lines.
    fn send(&mut self, lines: &[u8]) -> Result<()> {
        let body = if self.gzip { packed(lines)? } else { lines.to_vec() };
        let request = request(Method::POST, &self.client.endpoint().path, &self.headers, body)?;
        let Self { runtime, client, .. } = self;
        let answer = runtime.wait(client.send(request, ANSWER))?;
        match outcome(&answer) {
            Outcome::Stored => Ok(()),
            Outcome::TooLarge => self.halve(lines, &answer),
            Outcome::Partial { dropped } => self.partial(dropped, &answer),
            Outcome::Failed => Err(self.failed(&answer)),
        }
    }

    /// Sends lines that are too many for one request in two.
    fn halve(&mut self, lines: &[u8], answer: &Answer) -> Result<()> {
        let middle = line_end(lines, lines.len() / 2);
        if middle == lines.len() {
            let error = self.failed(answer);
            return Err(error.with_context(format!("a point of {} bytes", lines.len())));
        }
        let (first, second) = lines.split_at(middle);
        self.send(first)?;
        self.send(second)
    }

    fn partial(&mut self, dropped: u64, answer: &Answer) -> Result<()> {
        if self.refused == Refused::Stop {
            return Err(self.failed(answer).with_help(
                "the other points of the request are stored, and may be written again; mend the fields, or set `refused = \"drop\"`",
            ));
        }
        self.dropped += dropped;
        let endpoint = self.client.endpoint();
        self.reason.get_or_insert_with(|| answer.message(endpoint));
        Ok(())
    }

    fn failed(&self, answer: &Answer) -> Error {
        let endpoint = self.client.endpoint();
        match answer.status.is_success() {
            true => Error::unavailable(format!(
                "{endpoint} answered {}, but: {}",
                answer.status,
                answer.message(endpoint)
            ))
            .with_help("InfluxDB answers 204 without a body: check the address, and what is between"),
            false => answer.refusal(endpoint, &self.clock),
        }
    }
}

/// What an answer means.
#[derive(Debug, PartialEq)]
enum Outcome {
    Stored,
    /// All but some points are stored.
    Partial {
        dropped: u64,
    },
    TooLarge,
    Failed,
}

fn outcome(answer: &Answer) -> Outcome {
    let status = answer.status.as_u16();
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_empty =
        || answer.body.trim_ascii().is_empty() || body.as_object().is_some_and(|body| body.is_empty());
    match status {
        413 => Outcome::TooLarge,
        204 => Outcome::Stored,
        200..=299 if is_empty() => Outcome::Stored,
        200..=299 | 400 | 422 => {
            partial(&body).map_or(Outcome::Failed, |dropped| Outcome::Partial { dropped })
        }
        _ => Outcome::Failed,
    }
}

/// How many points were refused, if the answer says that the others are stored: InfluxDB 1 and 2 end the message with `dropped=2`; InfluxDB 3 lists them in `data`.
fn partial(body: &serde_json::Value) -> Option<u64> {
    let text = ["error", "message"].iter().find_map(|name| body.get(name)?.as_str())?;
    if !text.contains("partial write") {
        return None;
    }
    let listed = || body.get("data")?.as_array().map(|all| all.len() as u64);
    let counted = || text.rsplit_once("dropped=")?.1.trim().parse().ok();
    Some(counted().or_else(listed).unwrap_or(1))
}

fn packed(lines: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 4), Compression::fast());
    let packed = encoder.write_all(lines).and_then(|()| encoder.finish());
    packed.map_err(|error| Error::internal(format!("lines cannot be compressed: {error}")))
}

impl Sink for Delivering {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.encoder) as Arc<dyn Prepare>)
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let sent = self.progress.begin(epoch);
        for piece in Pieces::new(rows, self.batch_bytes).skip(sent) {
            self.send(&piece?)?;
            self.progress.step();
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        let mut remarks = self.encoder.remarks();
        if let (true, Some(reason)) = (self.dropped > 0, &self.reason) {
            remarks.push(format!(
                "{} points were refused by the server and dropped, the first one because: {reason}",
                self.dropped
            ));
        }
        Ok(remarks)
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.pause()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;
    use hyper::header::HeaderMap;

    fn of(status: u16, body: &'static str) -> Outcome {
        let status = StatusCode::from_u16(status).expect("a status");
        outcome(&Answer { status, headers: HeaderMap::new(), body: body.as_bytes().into() })
    }

    #[test]
    fn an_answer_has_one_outcome() {
        assert_eq!(of(204, ""), Outcome::Stored);
        assert_eq!(
            (of(200, "{}"), of(200, ""), of(200, " \n")),
            (Outcome::Stored, Outcome::Stored, Outcome::Stored)
        );
        for other in [
            "<html>login</html>",
            "ok",
            "null",
            "[]",
            r#"{"errors":["no database"]}"#,
            r#"{"results":[{"statement_id":0,"error":"no database"}]}"#,
            r#"{"error":"no database"}"#,
            r#"{"status":"accepted"}"#,
        ] {
            assert_eq!((of(200, other), of(202, other)), (Outcome::Failed, Outcome::Failed), "{other}");
        }
        assert_eq!(of(413, ""), Outcome::TooLarge);
        let first = r#"{"error":"partial write: field type conflict: input field \"v\" … dropped=2"}"#;
        assert_eq!(of(400, first), Outcome::Partial { dropped: 2 });
        let third = r#"{"error":"partial write of line protocol occurred","data":[{"line_number":2},{"line_number":3}]}"#;
        assert_eq!(of(400, third), Outcome::Partial { dropped: 2 });
        assert_eq!(of(400, r#"{"error":"unable to parse 'x'"}"#), Outcome::Failed);
        assert_eq!(
            of(400, r#"{"error":"partial write: points beyond retention policy"}"#),
            Outcome::Partial { dropped: 1 }
        );
        assert_eq!(of(401, ""), Outcome::Failed);
        assert_eq!(of(503, ""), Outcome::Failed);
    }
}
