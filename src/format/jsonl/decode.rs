//! Chunks of JSON Lines to columns.

use memchr::memrchr2;
use serde_json::value::RawValue;

use super::lines::Lines;
use super::object::{Object, field, line, parse};
use super::place_of;
use crate::batch::Span;
use crate::chunk::{Chunk, Decoded};
use crate::error::Result;
use crate::format::columns::Role;
use crate::format::rows::{Layout, Refusal, Rows};
use crate::format::{Decode, MAX_FIELDS, MAX_RECORD};
use crate::sensor::SensorLookup;

/// Lines decoded at a time: text, places and columns of them stay near. A fuzzer's inputs are small, and should have several such pieces too.
const LINES: usize = if cfg!(fuzzing) { 4 } else { 256 };

/// Reads the chunks of one file.
pub(super) struct JsonDecoder {
    /// By field, as the layout's roles.
    pub(super) names: Vec<String>,
    pub(super) ignore_unknown: bool,
    pub(super) layout: Layout,
}

impl Decode for JsonDecoder {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        if at_end {
            return bytes.len();
        }
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        memrchr2(b'\n', b'\r', bytes).map_or(0, |at| at + 1)
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        match self.layout.is_plain() {
            true => self.decode_by_lines(chunk, sensors, LINES),
            false => self.decode_by_reference(chunk, sensors),
        }
    }

    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let text = chunk.bytes.as_slice();
        let mut rows = Rows::new(&self.layout, chunk, sensors);
        let (mut at, mut number) = (0, 0);
        while at < text.len() {
            (_, at) = self.one(text, at, number, &mut rows)?;
            number += 1;
        }
        Ok(rows.finish(number))
    }
}

impl JsonDecoder {
    /// Quickly where lines are written alike; the same as [`Decode::decode_by_reference`] for any number of lines at a time.
    pub(super) fn decode_by_lines(
        &self,
        chunk: &Chunk,
        sensors: &mut dyn SensorLookup,
        most: usize,
    ) -> Result<Decoded> {
        let mut rows = Rows::new(&self.layout, chunk, sensors);
        let lines = Lines::new(self, chunk.bytes.as_slice(), &mut rows).decode(most)?;
        Ok(rows.finish(lines))
    }

    /// Takes in the record, or the blank line, that begins at `at` and is line `number`; gives where it ends, and where the next
    /// line begins.
    pub(super) fn one(
        &self,
        text: &[u8],
        at: usize,
        number: u64,
        rows: &mut Rows<'_>,
    ) -> Result<(usize, usize)> {
        let (end, next) = line(text, at);
        if !text[at..end].trim_ascii().is_empty() {
            let taken = self.record(text, at, end, rows);
            rows.end(taken, at, number, end - at)?;
        }
        Ok((end, next))
    }

    /// Whether a field without a column is no reason to refuse its record.
    pub(super) fn leaves_out(&self, name: &str) -> bool {
        self.ignore_unknown || self.layout.columns.leaves_out(name)
    }

    fn record(&self, text: &[u8], start: usize, end: usize, rows: &mut Rows<'_>) -> Result<(), Refusal> {
        if end - start > MAX_RECORD {
            let reason = format!("record of {} bytes; {MAX_RECORD} are allowed", end - start);
            return Err(Refusal::record(reason));
        }
        let Object(fields) = parse(&text[start..end])?;
        if fields.len() > MAX_FIELDS {
            return Err(Refusal::record(format!("more than {MAX_FIELDS} fields")));
        }
        let mut values: Vec<Option<&RawValue>> = vec![None; self.names.len()];
        for (order, (name, value)) in fields.iter().enumerate() {
            match place_of(&self.names, name, order) {
                Some(at) if values[at].is_none() => values[at] = Some(value),
                Some(_) => return Err(Refusal::record(format!("field `{name}` stands twice"))),
                None if self.leaves_out(name) => {}
                None => return Err(Refusal::record(format!("unknown field `{name}`"))),
            }
        }
        for (&role, value) in self.layout.roles.iter().zip(values) {
            self.value(text, role, value, rows)?;
        }
        Ok(())
    }

    fn value(
        &self,
        text: &[u8],
        role: Role,
        value: Option<&RawValue>,
        rows: &mut Rows<'_>,
    ) -> Result<(), Refusal> {
        let content = value.map_or(Ok(None), field);
        let content = content.map_err(|refusal| Refusal { column: role.column(), ..refusal })?;
        match (role, content) {
            (Role::Text(at), None) => rows.push_text(at, Span::NULL),
            // Text is carried as it is, spaces and all.
            (Role::Text(at), Some(content)) => {
                let span = rows.span(content.as_bytes(), place(text, &content));
                rows.push_text(at, span);
            }
            (Role::Measurement(at), None) => rows.push_number(at, None),
            (role, None) => rows.field(role, b"", None)?,
            (role, Some(content)) => rows.field(role, content.as_bytes(), place(text, &content))?,
        }
        Ok(())
    }
}

/// Where in `text` the content lies; `None` where it had to be made anew.
fn place(text: &[u8], content: &str) -> Option<usize> {
    let start = content.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    (start + content.len() <= text.len()).then_some(start)
}
