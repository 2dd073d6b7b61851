//! What a body contains, checked before it is accepted: so the sender learns which of its lines are refused.

use hyper::StatusCode;
use serde_json::json;
use tidemill_connect::message::{Decoding, Lines, Payload, Reading};
use tidemill_engine::batch::Number;
use tidemill_engine::error::{Rejection, Result};
use tidemill_engine::time::Timestamp;

use super::access::Refusal;
use super::fields::{Fields, Values};
use super::prometheus::{Series, series};

/// Refused lines that an answer tells.
const TOLD: usize = 100;

/// The content of a request.
#[derive(Debug)]
pub(super) enum Content {
    /// Text in the format of the source.
    Text(Vec<u8>),
    /// Time series of remote write.
    Series(Vec<Series>),
}

/// Which records of a request can be decoded. Those that cannot are rejected by the pipeline too, so that its dead letter has them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) accepted: usize,
    pub(super) refused: usize,
    /// The first refused lines, counted from 1, and why.
    pub(super) reasons: Vec<(u64, String)>,
}

/// Reads bodies.
pub(super) struct Contents {
    payload: Payload,
    decoding: Decoding,
}

impl Content {
    /// The bytes that it takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Series(all) => all.iter().map(Series::size).sum(),
        }
    }

    /// Adds it to `lines`.
    pub(super) fn push(&self, lines: &mut Lines, fields: &Fields, values: &Values, received: Timestamp) {
        match self {
            Self::Text(text) => lines.push(text, received, |at| fields.value(at, values, &[])),
            Self::Series(all) => {
                for series in all {
                    for (time, value) in &series.samples {
                        let value = value.map(Number::F64);
                        let reading =
                            Reading { time: Some(*time), sensor: &series.name, value, ..Reading::default() };
                        lines.push_reading(&reading, received, |at| fields.value(at, values, &series.labels));
                    }
                }
            }
        }
    }
}

impl Contents {
    pub(super) fn new(payload: Payload, decoding: Decoding) -> Self {
        Self { payload, decoding }
    }

    /// What requests contain.
    pub(super) fn payload(&self) -> Payload {
        self.payload
    }

    /// Reads a body, which is not compressed any more.
    pub(super) fn read(&self, body: Vec<u8>) -> std::result::Result<Content, Refusal> {
        if self.payload != Payload::Prometheus {
            return Ok(Content::Text(body));
        }
        let all = series(&body);
        let all =
            all.map_err(|_| Refusal(StatusCode::BAD_REQUEST, "the body is not a request of remote write 1"))?;
        Ok(Content::Series(all))
    }

    /// Decodes `content` and says what cannot be decoded.
    pub(super) fn check(
        &self,
        content: &Content,
        fields: &Fields,
        values: &Values,
        received: Timestamp,
    ) -> Result<Findings> {
        let mut lines = Lines::new(self.decoding.clone(), "request", usize::MAX);
        content.push(&mut lines, fields, values, received);
        let (accepted, rejections) = lines.check()?;
        let refused = rejections.len();
        let reason = |rejection: &Rejection| {
            let column = rejection.column.as_ref().map(|column| format!("column `{column}`: "));
            (rejection.position.line, column.unwrap_or_default() + &rejection.reason)
        };
        let reasons = rejections.iter().take(TOLD).map(reason).collect();
        Ok(Findings { accepted, refused, reasons })
    }
}

impl Findings {
    /// As the body of an answer.
    pub(super) fn told(&self) -> String {
        let reasons = self.reasons.iter().map(|(line, reason)| json!({ "line": line, "reason": reason }));
        let refused: Vec<_> = reasons.collect();
        json!({ "accepted": self.accepted, "rejected": self.refused, "reasons": refused }).to_string()
    }

    /// The first reason, in one line.
    pub(super) fn first(&self) -> String {
        let first = self.reasons.first();
        first.map_or_else(String::new, |(line, reason)| format!("line {line}: {reason}"))
    }
}
