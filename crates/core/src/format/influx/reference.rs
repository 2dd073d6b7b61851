//! The reference decoder: line by line, in a way that is plainly right. It judges the decoder of lines that are written alike, which leaves to it
//! whatever is not.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::MissingTime;
use super::decoder::InfluxDecoder;
use super::line::{Line, Token, Value, blanks, parse};
use crate::batch::{Number, Span};
use crate::error::Result;
use crate::format::columns::{Role, shown};
use crate::format::keys::place_of;
use crate::format::rows::{Refusal, Rows};
use crate::format::{Chunk, Decoded, MAX_RECORD, TOO_LONG};
use crate::sensor::SensorLookup;

/// A value that a line has for a key.
#[derive(Clone, Copy)]
enum Given<'l, 't> {
    Tag(&'l Token<'t>),
    Field(&'l Value<'t>),
}

impl InfluxDecoder {
    /// Decodes a chunk line by line.
    pub(super) fn by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let text = chunk.bytes.as_slice();
        let mut rows = Rows::new(&self.layout, chunk, sensors);
        let (mut at, mut number) = (0, 0);
        while at < text.len() {
            (_, at) = self.one(text, at, number, &mut rows)?;
            number += 1;
        }
        Ok(rows.finish(number))
    }

    /// Takes in the record, blank line or comment that begins at `at` and is line `number`; gives where it ends, and where the next
    /// line begins.
    pub(super) fn one(
        &self,
        text: &[u8],
        at: usize,
        number: u64,
        rows: &mut Rows<'_>,
    ) -> Result<(usize, usize)> {
        let (end, next) = line_at(text, at);
        if !is_no_record(&text[at..end]) {
            let taken = self.record(text, at, end, rows);
            rows.end(taken, at, number, end - at)?;
        }
        Ok((end, next))
    }

    fn record(&self, text: &[u8], start: usize, end: usize, rows: &mut Rows<'_>) -> Result<(), Refusal> {
        if end - start > MAX_RECORD {
            return Err(Refusal::record(TOO_LONG.to_owned()));
        }
        let line = parse(&text[start..end])?;
        for (&role, given) in self.layout.roles.iter().zip(self.values(&line)?) {
            self.value(text, role, given, rows)?;
        }
        if let Some(at) = self.series {
            let series = start + line.series.start..start + line.series.end;
            rows.field(Role::Sensor(at), &text[series.clone()], Some(series.start))?;
        }
        match self.table {
            Some(Role::Text(at)) => carried(text, at, &line.table, rows)?,
            Some(part) => part_of_sensor(part, &line.table, rows)?,
            None => {}
        }
        let is_missing = |time: &Range<usize>| self.layout.columns.is_null(&text[start..end][time.clone()]);
        let time = match (line.time.filter(|time| !is_missing(time)), self.missing_time) {
            (Some(time), _) => time,
            (None, MissingTime::Arrival) => return rows.arrival(self.time),
            (None, MissingTime::Reject) => {
                return Err(Refusal::field(self.time, "no timestamp"));
            }
        };
        rows.field(Role::Time(self.time), &text[start..end][time.clone()], Some(start + time.start))
    }

    fn value(
        &self,
        text: &[u8],
        role: Role,
        given: Option<Given<'_, '_>>,
        rows: &mut Rows<'_>,
    ) -> Result<(), Refusal> {
        let refusal = |at, reason: String| Err(Refusal::field(at, reason));
        match (role, given) {
            (Role::Measurement(at), None) => rows.push_number(at, None),
            (Role::Measurement(at), Some(Given::Field(value))) => self.measurement(at, value, rows)?,
            (Role::Measurement(at), Some(Given::Tag(value))) => {
                return refusal(at, format!("{} is a tag's value, not a number", shown(&value.content)));
            }
            (Role::Sensor(at), Some(Given::Tag(value))) => {
                check_utf8(at, &value.content)?;
                rows.field(role, &value.content, place(text, value))?;
            }
            (Role::Part { .. }, Some(Given::Tag(value))) => part_of_sensor(role, value, rows)?,
            (Role::Sensor(at) | Role::Part { at, .. }, Some(Given::Field(value))) => {
                return refusal(at, format!("{} is a field; a sensor is a tag", shown(&value.text.content)));
            }
            (Role::Text(at), None) => rows.push_text(at, Span::NULL),
            (Role::Text(at), Some(Given::Tag(token) | Given::Field(Value { text: token, .. }))) => {
                carried(text, at, token, rows)?;
            }
            (Role::Sensor(_) | Role::Part { .. }, None) => rows.field(role, b"", None)?,
            // Follow the roles of the keys, and have no values among them.
            (Role::Time(_) | Role::Skip, _) => {}
        }
        Ok(())
    }

    /// Takes in the field of a measurement, as the type that its column has.
    fn measurement(&self, at: usize, value: &Value<'_>, rows: &mut Rows<'_>) -> Result<(), Refusal> {
        let ty = self.layout.schema.fields()[at].ty;
        let number = self.number(value).and_then(|number| match number {
            None => Some(None),
            Some(number) => number.to_type(ty).map(Some),
        });
        let number = number.ok_or_else(|| Refusal::of_type(at, &value.text.content, ty))?;
        if let (Some(Number::F64(nearest)), Some(integer)) =
            (number, value.number.and_then(Number::as_integer))
            && nearest as i128 != integer
        {
            rows.note_rounded(at, nearest);
        }
        rows.push_number(at, number);
        Ok(())
    }

    /// What the field of a measurement says: a number, or `Some(None)` for a missing value; `None` where it is neither. Numbers and booleans are
    /// what line protocol says that they are; what a string stands for is for the options to say.
    fn number(&self, value: &Value<'_>) -> Option<Option<Number>> {
        let columns = &self.layout.columns;
        match value.number {
            Some(number) => Some(Some(number).filter(|&number| !columns.is_null_value(number))),
            None if columns.is_null(&value.text.content) => Some(None),
            None => value.boolean().or_else(|| self.word(value)).map(Some),
        }
    }

    fn word(&self, value: &Value<'_>) -> Option<Number> {
        let word = self.layout.columns.own_word(&value.text.content)?;
        Some(Number::Bool(word > 0.0))
    }

    /// What a line has for each key.
    fn values<'l, 't>(&self, line: &'l Line<'t>) -> Result<Vec<Option<Given<'l, 't>>>, Refusal> {
        let tags = line.tags.iter().map(|(key, value)| ("tag", key, Given::Tag(value)));
        let fields = line.fields.iter().map(|(key, value)| ("field", key, Given::Field(value)));
        let mut values = vec![None; self.keys.len()];
        for (order, (what, key, given)) in tags.chain(fields).enumerate() {
            let name = || shown(&key.content);
            match place_of(&self.keys, &key.content, order) {
                Some(at) if values[at].is_none() => values[at] = Some(given),
                Some(_) => return Err(Refusal::record(format!("{what} {} stands twice", name()))),
                None if self.leaves_out(&key.content) => {}
                None => return Err(Refusal::record(format!("unknown {what} {}", name()))),
            }
        }
        Ok(values)
    }
}

/// The next line from `at`: its end, and the start of the one after. Only a line feed ends a line, quoted or not: so says the syntax.
pub(super) fn line_at(text: &[u8], at: usize) -> (usize, usize) {
    let (end, next) = match memchr(b'\n', &text[at..]) {
        None => (text.len(), text.len()),
        Some(length) => (at + length, at + length + 1),
    };
    (end - usize::from(text[at..end].ends_with(b"\r")), next)
}

/// Whether a line is blank or a comment.
pub(super) fn is_no_record(line: &[u8]) -> bool {
    matches!(line.get(blanks(line)), None | Some(b'#'))
}

/// A part of the sensor's name.
fn part_of_sensor(role: Role, token: &Token<'_>, rows: &mut Rows<'_>) -> Result<(), Refusal> {
    check_utf8(role.column().unwrap_or_default(), &token.content)?;
    rows.field(role, &token.content, None)
}

/// Line protocol is UTF-8.
fn check_utf8(at: usize, content: &[u8]) -> Result<(), Refusal> {
    match std::str::from_utf8(content) {
        Ok(_) => Ok(()),
        Err(_) => Err(Refusal::field(at, format!("{} is not UTF-8", shown(content)))),
    }
}

/// Text is carried as it is, spaces and all.
fn carried(text: &[u8], at: usize, token: &Token<'_>, rows: &mut Rows<'_>) -> Result<(), Refusal> {
    let content = &token.content;
    check_utf8(at, content)?;
    let span = rows.span(content, place(text, token));
    rows.push_text(at, span);
    Ok(())
}

/// Where in `text` the content of the token lies; `None` where it had to be made anew.
fn place(text: &[u8], token: &Token<'_>) -> Option<usize> {
    match token.content {
        Cow::Borrowed(content) => content.as_ptr().addr().checked_sub(text.as_ptr().addr()),
        Cow::Owned(_) => None,
    }
}
