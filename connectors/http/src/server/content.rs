//! What a body contains, checked before it is accepted: so the sender learns which of its lines are refused.

use hyper::StatusCode;
use serde_json::json;
use tidemill_connect::message::{Decoding, Lines, Payload, Reading};
use tidemill_engine::batch::Number;
use tidemill_engine::error::Rejection;
use tidemill_engine::time::Timestamp;

use super::access::Refusal;
use super::fields::{Fields, Values};
use super::prometheus::{Series, series};

/// Refused lines that an answer tells.
const TOLD: usize = 100;

/// Records of a request at most that cannot be decoded: each takes many times the memory of its text, here and in the pipeline.
const MOST_REFUSED: usize = 10_000;

/// Bytes of time series at most, and of the records that they become.
const MOST: usize = 64 << 20;

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
    pub(super) fn read(&self, body: Vec<u8>) -> Result<Content, Refusal> {
        match self.payload {
            Payload::Prometheus => series(&body, MOST).map(Content::Series),
            _ => Ok(Content::Text(body)),
        }
    }

    /// Decodes `content` and says what cannot be decoded.
    pub(super) fn check(
        &self,
        content: &Content,
        fields: &Fields,
        values: &Values,
        received: Timestamp,
    ) -> Result<Findings, Refusal> {
        let mut lines = Lines::new(self.decoding.clone(), "request", usize::MAX);
        content.push(&mut lines, fields, values, received);
        let checked = lines.check(MOST_REFUSED);
        let (accepted, rejections) =
            checked.map_err(|_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the body cannot be checked"))?;
        let refused = rejections.len();
        if refused > MOST_REFUSED {
            return Err(Refusal(
                StatusCode::PAYLOAD_TOO_LARGE,
                "more than 10000 records cannot be decoded: check their format, or send fewer at once",
            ));
        }
        let reason = |rejection: &Rejection| {
            let column = rejection.column.as_ref().map(|column| format!("column `{column}`: "));
            (rejection.position.line, column.unwrap_or_default() + &rejection.reason)
        };
        let mut reasons: Vec<_> = rejections.iter().take(TOLD).map(reason).collect();
        if let Content::Text(text) = content
            && self.has_lines(text)
        {
            number(text, &mut reasons);
        }
        Ok(Findings { accepted, refused, reasons })
    }

    /// Whether each line of `text` is a record.
    fn has_lines(&self, text: &[u8]) -> bool {
        match self.payload {
            Payload::Jsonl | Payload::Influx => true,
            Payload::Csv => memchr::memchr(b'"', text).is_none(),
            _ => false,
        }
    }
}

/// Numbers these lines as they stand in `text`: they were counted without the blank ones, which are no records.
fn number(text: &[u8], lines: &mut [(u64, String)]) {
    let filled = |line: &(usize, &[u8])| !line.1.trim_ascii().is_empty();
    let mut numbers = text.split(|&byte| byte == b'\n').enumerate().filter(filled).zip(1..);
    let mut last = (0, 0);
    for (line, _) in lines {
        while last.0 < *line
            && let Some(((at, _), count)) = numbers.next()
        {
            last = (count, at as u64 + 1);
        }
        *line = last.1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::options::tests::reading;
    use proptest::prelude::*;

    /// What is found in a body of this server, whose requests have `values`, again and again, for as many fields as there are.
    fn found(
        (contents, fields): &(Contents, Fields),
        body: impl Into<Vec<u8>>,
        values: &[&str],
    ) -> Result<Findings, u16> {
        let values: Values = values.iter().cycle().take(8).map(|&value| Some(value.to_owned())).collect();
        let read = contents.read(body.into());
        let found = read.and_then(|content| contents.check(&content, fields, &values, Timestamp::MIN));
        found.map_err(|refusal| refusal.0.as_u16())
    }

    /// The options of delimited text.
    const CSV: &str = "payload = 'csv'\nnames = ['s', 'v']\nsensor = 's'\nmeasurements = ['v']";

    #[test]
    fn a_refused_line_has_the_number_that_it_has_in_the_body() {
        let csv = reading(CSV);
        let numbers = |body: &str| {
            let found = found(&csv, body, &[]).expect("findings");
            found.reasons.iter().map(|(line, _)| *line).collect::<Vec<_>>()
        };
        assert_eq!(numbers("\n\na,x\n"), [3]);
        assert_eq!(numbers("a,x\r\n \r\n\r\na,1\nb,x\n\na,x"), [1, 5, 7]);
        assert_eq!(numbers("a,1\n\n\n"), Vec::<u64>::new());
        let influx = reading("payload = 'influx'\nmeasurements = ['v']\nsensor = 's'");
        let found = found(&influx, "m,s=a v=1 1\n\nm,s=b v=\n", &[]).expect("findings");
        assert!(found.first().starts_with("line 3: ") && found.accepted == 1, "{found:?}");
    }

    #[test]
    fn records_are_checked_piece_by_piece_as_they_are_whole() {
        let csv = reading("payload = 'csv'\nnames = ['s', 'v', 'note']\nsensor = 's'\nmeasurements = ['v']");
        // Larger than a piece, with line ends within quotes at any distance.
        let record = |at: usize| {
            let value = if at % 1000 == 9 { "x" } else { "1" };
            format!("a,{value},\"{}{at}\"\n", "\n".repeat(at % 7))
        };
        let body: String = (0..30_000).map(record).collect::<Vec<_>>().concat();
        let found = found(&csv, body, &[]).expect("findings");
        assert_eq!((found.accepted, found.refused), (29_970, 30));
        let line = 1 + (0..29_009).map(|at| 1 + at % 7).sum::<u64>();
        let told = found.reasons[29].0;
        assert!((line..line + 7).contains(&told), "{told} and {line}");
    }

    #[test]
    fn more_records_that_cannot_be_decoded_than_are_told_take_no_memory() {
        let json = reading("payload = 'json'\nsensor = 's'\nmeasurements = ['v']");
        let zeros = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert_eq!(found(&json, zeros(MOST_REFUSED), &[]).map(|found| found.refused), Ok(MOST_REFUSED));
        assert_eq!(found(&json, zeros(MOST_REFUSED + 1), &[]).err(), Some(413));
        assert_eq!(found(&json, zeros(500_000), &[]).err(), Some(413));
        assert_eq!(found(&reading(CSV), "a,x\n".repeat(MOST_REFUSED + 1), &[]).err(), Some(413));
    }

    #[test]
    fn a_long_field_that_every_record_would_repeat_is_refused() {
        let server = reading(&format!("{CSV}\nfields = ['@header:x']"));
        let accepted = |header: &str| {
            let found = found(&server, "a,1\n".repeat(1000), &[header]).expect("findings");
            (found.accepted, found.refused)
        };
        assert_eq!((accepted("x"), accepted(&"x".repeat(100_000))), ((1000, 0), (0, 1)));
    }

    proptest! {
        // Each is decoded in five ways.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_strangers_send_is_found_or_refused(
            body in "([\\[\\]{},:0\" \na=]|\"v\":1|\"bn\":\"x\"){0,200}",
            times in 1..500_usize,
            value in any::<String>(),
        ) {
            for payload in ["json", "jsonl", "influx", "senml", "csv"] {
                let columns = match payload {
                    "csv" => "names = ['s', 'v']\nsensor = 's'\nmeasurements = ['v']",
                    "senml" => "",
                    _ => "sensor = 's'\nmeasurements = ['v']",
                };
                let server = reading(&format!("payload = '{payload}'\n{columns}\nfields = ['@query:x']"));
                match found(&server, body.repeat(times), &[&value]) {
                    Ok(found) => prop_assert!(found.refused <= MOST_REFUSED && found.reasons.len() <= TOLD),
                    Err(status) => prop_assert_eq!(status, 413),
                }
            }
        }
    }
}
