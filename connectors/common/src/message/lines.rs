//! Messages as lines of text, and the lines as chunks.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use tidemill_engine::batch::Bytes;
use tidemill_engine::error::{Rejection, RejectionKind};
use tidemill_engine::format::Chunk;
use tidemill_engine::offset::{Offset, Position};
use tidemill_engine::time::Timestamp;

use super::envelope::ARRIVAL;
use super::options::{Decoding, Line, Payload};
use super::readings::Reading;
use super::{json, quoting};
use crate::senml;

/// The longest value of a field of the envelope, and name of a sensor, in bytes: they stand in every line of a message.
const LONGEST: usize = 1 << 10;

/// How many bytes the lines of a message may have more than its payload.
const GROWTH: usize = 64 << 20;

/// Why a message that grows by more is rejected.
const TOO_LONG: &str =
    "its records would take over 64 MiB more than the message: send fewer of them in one, or shorter fields";

/// How many readings of a message may be refused one by one.
const REFUSED: usize = 10_000;

/// Why the others are not read.
const TOO_MANY: &str = "the readings of the message take over 64 MiB, or over 10,000 of them are refused: the others are not read";

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
    /// Messages without a payload or a record, and how many of them were reported.
    empty: u64,
    reported: u64,
    /// Readings that are not read, since there are too many in their message.
    surplus: u64,
    /// Whether a reading was rejected for that since the last chunk.
    is_over: bool,
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
        let key = |name: &String| Key { text: quoting::key(line, name), is_arrival: name == ARRIVAL };
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
            reported: 0,
            surplus: 0,
            is_over: false,
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
        let (start, before) = (self.text.len(), self.next);
        let most = start.saturating_add(payload.len()).saturating_add(GROWTH);
        let pushed = match payload {
            [] => Ok(()),
            _ => self.write_fields(received, value).and_then(|()| self.push_payload(payload, received, most)),
        };
        if let Err(reason) = pushed {
            // It is rejected in whole.
            self.text.truncate(start);
            self.next = before;
            self.reject(reason, payload);
        } else if self.text.len() == start {
            self.empty += 1;
        }
    }

    /// Adds the lines of a payload, behind the fields, until the text has `most` bytes.
    ///
    /// # Errors
    /// Why the payload cannot be read, or that there was no room for it: some of its lines may have been added.
    fn push_payload(&mut self, payload: &[u8], received: Timestamp, most: usize) -> Result<(), String> {
        match self.decoding.payload {
            Payload::Number => {
                self.push_csv_field(payload.trim_ascii());
                Ok(())
            }
            Payload::Csv => self.push_csv(payload, most),
            Payload::Json | Payload::Avro => self.push_json(payload, most),
            Payload::Jsonl => lines_of(payload).try_for_each(|line| self.push_json(line, most)),
            Payload::Influx => self.push_points(payload, most),
            Payload::Senml => self.push_senml(payload, received, most),
            Payload::Sparkplug => Err("a payload of Sparkplug is not text".into()),
            Payload::Prometheus => Err("a payload of Prometheus is not text".into()),
            Payload::Readings => Err("a reading is not text".into()),
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
        // Where a message begins is not known here; but a chunk that is full is taken before the next one.
        if self.text.len() >= GROWTH + self.chunk_size.min(GROWTH) || self.rejections.len() >= REFUSED {
            return self.leave_out(reading);
        }
        let fields = self.write_fields(received, value);
        let is_long = |text: Option<&str>| text.is_some_and(|text| text.len() > LONGEST);
        let is_any_long = is_long(Some(reading.sensor)) || is_long(reading.unit) || is_long(reading.quality);
        match fields {
            Ok(()) if !is_any_long => self.reading(reading, received),
            Ok(()) => self
                .reject("its name, its unit or its quality is longer than 1 KiB", reading.sensor.as_bytes()),
            Err(reason) => self.reject(reason, reading.sensor.as_bytes()),
        }
    }

    /// A reading that is one too many: the first one is rejected, all are counted.
    fn leave_out(&mut self, reading: &Reading<'_>) {
        self.surplus += 1;
        self.decoding.meter.count("surplus", 1);
        if !std::mem::replace(&mut self.is_over, true) {
            self.reject(TOO_MANY, reading.sensor.as_bytes());
        }
    }

    /// Adds lines as they were written before, with their fields.
    pub(super) fn push_again(&mut self, lines: &[u8]) {
        self.written(|_, text| text.extend(lines.iter().chain(b"\n")));
        self.next.line += memchr::memchr_iter(b'\n', lines).count() as u64 + 1;
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
        self.is_over = false;
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

    /// Reports messages without a record that were not reported before.
    pub(super) fn report(&mut self) {
        if self.empty > self.reported {
            self.decoding.meter.count("empty", self.empty - self.reported);
            self.reported = self.empty;
        }
    }

    /// Remarks for the end of the run.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.decoding.remarks();
        if self.empty > 0 {
            remarks.push(format!("{} messages without a payload were skipped", self.empty));
        }
        if self.surplus > 0 {
            let surplus = self.surplus;
            remarks.push(format!("{surplus} readings were not read: there were too many in their messages"));
        }
        remarks
    }

    /// Writes the fields of the envelope as they stand in a line.
    ///
    /// # Errors
    /// Which of them is too long.
    fn write_fields<'v>(
        &mut self,
        received: Timestamp,
        mut value: impl FnMut(usize) -> Option<Cow<'v, str>>,
    ) -> Result<(), String> {
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
            if let Some(length) = text.as_ref().map(|text| text.len()).filter(|&length| length > LONGEST) {
                let name = &self.decoding.fields[at];
                return Err(format!(
                    "the field `{name}` of the message has {length} bytes, and may have {LONGEST}"
                ));
            }
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
        Ok(())
    }

    /// Checks that the text is not longer than `most`.
    fn within(&self, most: usize) -> Result<(), String> {
        if self.text.len() > most { Err(TOO_LONG.into()) } else { Ok(()) }
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

    fn push_csv(&mut self, payload: &[u8], most: usize) -> Result<(), String> {
        if memchr::memchr(b'"', payload).is_some() {
            return self.push_quoted_csv(payload, most);
        }
        lines_of(payload).try_for_each(|line| {
            self.push_line(line);
            self.within(most)
        })
    }

    /// A quote may hold line ends, and one that is not closed must not take in the next message: so the records are written anew.
    fn push_quoted_csv(&mut self, payload: &[u8], most: usize) -> Result<(), String> {
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
            self.within(most)?;
        }
        Ok(())
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

    fn push_json(&mut self, text: &[u8], most: usize) -> Result<(), String> {
        let lines = self.written(|fields, out| json::write(text, fields, most, out));
        self.next.line += lines.map_err(|json::TooLong| TOO_LONG.to_owned())?;
        Ok(())
    }

    /// Lines of line protocol, with the fields as tags behind the name of the table.
    fn push_points(&mut self, payload: &[u8], most: usize) -> Result<(), String> {
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
            self.within(most)?;
        }
        Ok(())
    }

    fn push_senml(&mut self, payload: &[u8], received: Timestamp, most: usize) -> Result<(), String> {
        senml::readings(payload, received, |reading| {
            self.reading(reading, received);
            self.within(most)
        })
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
