//! Messages as lines of text, and the lines as chunks.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use tidemill_engine::batch::Bytes;
use tidemill_engine::error::{Rejection, RejectionKind, Result};
use tidemill_engine::format::Chunk;
use tidemill_engine::offset::{Offset, Position};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::time::Timestamp;

use super::envelope::ARRIVAL;
use super::options::{Decoding, Line, Payload};
use super::readings::Reading;
use super::{json, quoting};
use crate::senml;

/// Gathers messages as lines until they are taken as a chunk.
pub struct Lines {
    decoding: Decoding,
    name: Arc<str>,
    /// By field of the envelope: how its value begins in a line.
    keys: Vec<Key>,
    /// The lines of the next chunk.
    text: Vec<u8>,
    /// The fields of the current message.
    fields: Vec<u8>,
    /// What could not be written as lines.
    rejections: Vec<Rejection>,
    /// The newest time of arrival.
    received: Option<Timestamp>,
    /// Where the next line begins.
    next: Offset,
    /// Where the next chunk begins.
    begun: Offset,
    sequence: u64,
    /// Messages without a payload.
    empty: u64,
    chunk_size: usize,
}

struct Key {
    text: Vec<u8>,
    is_arrival: bool,
}

impl Lines {
    /// No messages yet. `name` stands for the source in positions; a chunk has at least `chunk_size` bytes if so many arrive.
    #[must_use]
    pub fn new(decoding: Decoding, name: impl Into<Arc<str>>, chunk_size: usize) -> Self {
        let line = decoding.payload.line();
        let key = |name: &String| Key { text: key_of(line, name), is_arrival: name == ARRIVAL };
        let start = Offset { file: 0, at: 0, line: 1 };
        Self {
            keys: decoding.fields.iter().map(key).collect(),
            decoding,
            name: name.into(),
            text: Vec::new(),
            fields: Vec::new(),
            rejections: Vec::new(),
            received: None,
            next: start,
            begun: start,
            sequence: 0,
            empty: 0,
            chunk_size,
        }
    }

    /// The decoder of the lines.
    #[must_use]
    pub fn decoding(&self) -> &Decoding {
        &self.decoding
    }

    /// Adds a message that was `received` at this time. `value` gives the value of a field of the envelope by its place in [`Decoding::fields`]; `None` if the
    /// message does not have it. It is not asked for the time of arrival.
    pub fn push<'v>(
        &mut self,
        payload: &[u8],
        received: Timestamp,
        value: impl FnMut(usize) -> Option<Cow<'v, str>>,
    ) {
        self.received = Some(received);
        if payload.is_empty() {
            self.empty += 1;
            return;
        }
        self.write_fields(received, value);
        match self.decoding.payload {
            Payload::Number => self.push_csv_field(payload.trim_ascii()),
            Payload::Csv => self.push_csv(payload),
            Payload::Json | Payload::Avro => {
                let lines = self.written(|fields, text| json::write(payload, fields, text));
                self.next.line += lines;
            }
            Payload::Jsonl => self.push_objects(payload),
            Payload::Influx => self.push_points(payload),
            Payload::Senml => self.push_senml(payload, received),
            Payload::Sparkplug => self.reject("a payload of Sparkplug is not text", payload),
            Payload::Prometheus => self.reject("a payload of Prometheus is not text", payload),
            Payload::Readings => self.reject("a reading is not text", payload),
        }
    }

    /// Adds a reading of a message that was `received` at this time; as [`Lines::push`].
    pub fn push_reading<'v>(
        &mut self,
        reading: &Reading<'_>,
        received: Timestamp,
        value: impl FnMut(usize) -> Option<Cow<'v, str>>,
    ) {
        self.received = Some(received);
        self.write_fields(received, value);
        self.reading(reading, received);
    }

    /// Adds a message that cannot be read, with the reason.
    pub fn reject(&mut self, reason: impl Into<String>, raw: &[u8]) {
        /// Bytes of a message that a rejection shows.
        const SHOWN: usize = 1 << 10;
        let position = Position { file: Arc::clone(&self.name), line: self.next.line, offset: self.next.at };
        self.rejections.push(Rejection {
            kind: RejectionKind::Malformed,
            position,
            record: 0,
            decided: None,
            column: None,
            reason: reason.into(),
            raw: raw[..raw.len().min(SHOWN)].to_vec(),
        });
    }

    /// Whether a chunk is full: take it before pushing more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.text.len() >= self.chunk_size || self.rejections.len() >= 1000
    }

    /// Whether there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.rejections.is_empty()
    }

    /// The number of bytes gathered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// The lines so far, and the messages that could not be read.
    pub(super) fn take(&mut self) -> (Option<Chunk>, Vec<Rejection>) {
        let text = std::mem::take(&mut self.text);
        let offset = std::mem::replace(&mut self.begun, self.next);
        let chunk = (!text.is_empty()).then(|| {
            self.text.reserve(text.len());
            let sequence = self.sequence;
            self.sequence += 1;
            Chunk {
                sequence,
                file: Arc::clone(&self.name),
                offset,
                bytes: Bytes::new(text),
                decoder: Arc::clone(&self.decoding.decoder),
                witness: None,
                received: self.received,
            }
        });
        (chunk, std::mem::take(&mut self.rejections))
    }

    /// Decodes what was gathered, and forgets it: the number of records, and what cannot be decoded, so that a sender can be told at once. Limits of sensors
    /// are those of a pipeline without options.
    ///
    /// # Errors
    /// As [`Decode::decode`](tidemill_engine::format::Decode::decode).
    pub fn check(&mut self) -> Result<(usize, Vec<Rejection>)> {
        let (chunk, mut rejections) = self.take();
        let Some(chunk) = chunk else { return Ok((0, rejections)) };
        let decoded = chunk.decode(&mut Sensors::default())?;
        rejections.extend(decoded.rejections);
        rejections.sort_by_key(Rejection::trigger);
        Ok((decoded.batch.len(), rejections))
    }

    /// When the last message arrived.
    pub(super) fn received(&self) -> Option<Timestamp> {
        self.received
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> Offset {
        self.next
    }

    /// Continues at this offset.
    pub(super) fn resume(&mut self, offset: Offset) {
        (self.next, self.begun) = (offset, offset);
    }

    /// Remarks for the end of the run.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.decoding.remarks();
        if self.empty > 0 {
            remarks.push(format!("{} messages without a payload were skipped", self.empty));
        }
        remarks
    }

    /// Writes the fields of the envelope as they stand in a line.
    fn write_fields<'v>(
        &mut self,
        received: Timestamp,
        mut value: impl FnMut(usize) -> Option<Cow<'v, str>>,
    ) {
        let line = self.decoding.payload.line();
        let out = &mut self.fields;
        out.clear();
        for (at, key) in self.keys.iter().enumerate() {
            let mut arrival = Vec::new();
            let text = if key.is_arrival {
                received.write_rfc3339(&mut arrival);
                Some(String::from_utf8_lossy(&arrival))
            } else {
                value(at)
            };
            match (line, text) {
                (Line::Csv, text) => {
                    quoting::csv(text.unwrap_or_default().as_bytes(), self.decoding.delimiter, out);
                    out.push(self.decoding.delimiter);
                }
                (Line::Json, Some(text)) => {
                    out.extend_from_slice(&key.text);
                    quoting::json(&text, out);
                    out.push(b',');
                }
                // A tag cannot be empty.
                (Line::Influx, Some(text)) if !text.trim_end_matches('\\').is_empty() => {
                    out.extend_from_slice(&key.text);
                    quoting::tag(&text, out);
                }
                (Line::Json | Line::Influx, _) => {}
            }
        }
    }

    /// Lets `write` append to the text, given the fields, and moves on by as many bytes.
    fn written<T>(&mut self, write: impl FnOnce(&[u8], &mut Vec<u8>) -> T) -> T {
        let before = self.text.len();
        let result = write(&self.fields, &mut self.text);
        self.next.at += (self.text.len() - before) as u64;
        result
    }

    /// A line with one field of the payload.
    fn push_csv_field(&mut self, field: &[u8]) {
        let delimiter = self.decoding.delimiter;
        self.written(|fields, text| {
            text.extend_from_slice(fields);
            quoting::csv(field, delimiter, text);
            text.push(b'\n');
        });
        self.next.line += 1;
    }

    fn push_csv(&mut self, payload: &[u8]) {
        if memchr::memchr(b'"', payload).is_some() {
            return self.push_quoted_csv(payload);
        }
        for line in lines_of(payload) {
            self.push_line(line);
        }
    }

    /// A quote may hold line ends, and one that is not closed must not take in the next message: so the records are written anew.
    fn push_quoted_csv(&mut self, payload: &[u8]) {
        let delimiter = self.decoding.delimiter;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(payload);
        let mut record = csv::ByteRecord::new();
        // Reading from memory does not fail.
        while reader.read_byte_record(&mut record).unwrap_or(false) {
            let lines = self.written(|fields, text| {
                let start = text.len();
                text.extend_from_slice(fields);
                for (at, field) in record.iter().enumerate() {
                    if at > 0 {
                        text.push(delimiter);
                    }
                    quoting::csv(field, delimiter, text);
                }
                text.push(b'\n');
                memchr::memchr_iter(b'\n', &text[start..]).count() as u64
            });
            self.next.line += lines;
        }
    }

    /// A line of the payload, behind the fields.
    fn push_line(&mut self, line: &[u8]) {
        self.written(|fields, text| {
            text.extend_from_slice(fields);
            text.extend_from_slice(line);
            text.push(b'\n');
        });
        self.next.line += 1;
    }

    fn push_objects(&mut self, payload: &[u8]) {
        for line in lines_of(payload) {
            let lines = self.written(|fields, text| json::write(line, fields, text));
            self.next.line += lines;
        }
    }

    /// Lines of line protocol, with the fields as tags behind the name of the table.
    fn push_points(&mut self, payload: &[u8]) {
        for line in lines_of(payload) {
            let line = line.trim_ascii_start();
            let at = if line.first() == Some(&b'#') { line.len() } else { end_of_table(line) };
            self.written(|fields, text| {
                text.extend_from_slice(&line[..at]);
                text.extend_from_slice(if at < line.len() { fields } else { b"" });
                text.extend_from_slice(&line[at..]);
                text.push(b'\n');
            });
            self.next.line += 1;
        }
    }

    fn push_senml(&mut self, payload: &[u8], received: Timestamp) {
        match senml::readings(payload, received) {
            Ok(readings) => readings.iter().for_each(|reading| self.reading(&reading.borrow(), received)),
            Err(reason) => self.reject(reason, payload),
        }
    }

    fn reading(&mut self, reading: &Reading<'_>, received: Timestamp) {
        let delimiter = self.decoding.delimiter;
        let lines = self.written(|fields, text| {
            let start = text.len();
            text.extend_from_slice(fields);
            reading.time.unwrap_or(received).write_rfc3339(text);
            text.push(delimiter);
            quoting::csv(reading.sensor.as_bytes(), delimiter, text);
            text.push(delimiter);
            if let Some(value) = reading.value {
                // Into memory, where it cannot fail. Booleans are 1 and 0.
                let _written = match value.as_integer() {
                    Some(value) => write!(text, "{value}"),
                    None => write!(text, "{}", value.as_f64()),
                };
            }
            for part in [reading.text, reading.unit, reading.quality] {
                text.push(delimiter);
                quoting::csv(part.unwrap_or_default().as_bytes(), delimiter, text);
            }
            text.push(b'\n');
            memchr::memchr_iter(b'\n', &text[start..]).count() as u64
        });
        self.next.line += lines;
    }
}

/// What precedes the value of the field `name` in a line.
fn key_of(line: Line, name: &str) -> Vec<u8> {
    let mut key = Vec::new();
    match line {
        Line::Csv => {}
        Line::Json => {
            quoting::json(name, &mut key);
            key.push(b':');
        }
        Line::Influx => {
            key.push(b',');
            quoting::tag(name, &mut key);
            key.push(b'=');
        }
    }
    key
}

/// The lines of a payload that are not blank.
fn lines_of(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ended = |line: &'_ [u8]| line.len() - usize::from(line.last() == Some(&b'\r'));
    payload
        .split(|&byte| byte == b'\n')
        .map(move |line| &line[..ended(line)])
        .filter(|line| !line.trim_ascii().is_empty())
}

/// Where the name of the table ends in a line of line protocol.
fn end_of_table(line: &[u8]) -> usize {
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'\\' => at += 2,
            b',' | b' ' => return at,
            _ => at += 1,
        }
    }
    line.len()
}
