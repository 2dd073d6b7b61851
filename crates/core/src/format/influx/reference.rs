//! The reference decoder: line by line, simple enough to be obviously right. It is the oracle of the decoder for lines of the same shape,
//! which delegates irregular lines to it.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::MissingTime;
use super::decoder::InfluxDecoder;
use super::line::{FieldValue, Line, Token, blanks, parse};
use super::shapes::Shapes;
use crate::batch::{Number, Span};
use crate::error::Result;
use crate::format::columns::{Role, shown};
use crate::format::file_columns::FileColumns;
use crate::format::keys::place_of;
use crate::format::lines::LineDecoder;
use crate::format::refusal::Refusal;
use crate::format::rows::ChunkRows;
use crate::format::{MAX_RECORD, TOO_LONG};

/// A line's value for a key.
#[derive(Clone, Copy)]
enum GivenValue<'l, 't> {
    Tag(&'l Token<'t>),
    Field(&'l FieldValue<'t>),
}

impl LineDecoder for InfluxDecoder {
    type Shapes = Shapes;

    fn layout(&self) -> &FileColumns {
        &self.layout
    }

    /// The line is a record, blank or a comment.
    fn line(&self, text: &[u8], at: usize, number: u64, rows: &mut ChunkRows<'_>) -> Result<(usize, usize)> {
        let (end, next) = line_at(text, at);
        if !is_no_record(&text[at..end]) {
            let taken = self.record(text, at, end, rows);
            rows.end(taken, at, number, end - at)?;
        }
        Ok((end, next))
    }
}

impl InfluxDecoder {
    fn record(&self, text: &[u8], start: usize, end: usize, rows: &mut ChunkRows<'_>) -> Result<(), Refusal> {
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
        given: Option<GivenValue<'_, '_>>,
        rows: &mut ChunkRows<'_>,
    ) -> Result<(), Refusal> {
        let refusal = |at, reason: String| Err(Refusal::field(at, reason));
        match (role, given) {
            (Role::Measurement(at), None) => rows.push_number(at, None),
            (Role::Measurement(at), Some(GivenValue::Field(value))) => self.measurement(at, value, rows)?,
            (Role::Measurement(at), Some(GivenValue::Tag(value))) => {
                return refusal(at, format!("{} is a tag's value, not a number", shown(&value.content)));
            }
            (Role::Sensor(at), Some(GivenValue::Tag(value))) => {
                check_utf8(at, &value.content)?;
                rows.field(role, &value.content, place(text, value))?;
            }
            (Role::Part { .. }, Some(GivenValue::Tag(value))) => part_of_sensor(role, value, rows)?,
            (Role::Sensor(at) | Role::Part { at, .. }, Some(GivenValue::Field(value))) => {
                return refusal(at, format!("{} is a field; a sensor is a tag", shown(&value.text.content)));
            }
            (Role::Text(at), None) => rows.push_text(at, Span::NULL),
            (
                Role::Text(at),
                Some(GivenValue::Tag(token) | GivenValue::Field(FieldValue { text: token, .. })),
            ) => {
                carried(text, at, token, rows)?;
            }
            (Role::Sensor(_) | Role::Part { .. }, None) => rows.field(role, b"", None)?,
            // These roles follow those of the keys, and have no values among them.
            (Role::Time(_) | Role::Skip, _) => {}
        }
        Ok(())
    }

    /// Appends a measurement field in the type of its column.
    fn measurement(
        &self,
        at: usize,
        value: &FieldValue<'_>,
        rows: &mut ChunkRows<'_>,
    ) -> Result<(), Refusal> {
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

    /// Parses a measurement field: a number, or `Some(None)` for a missing value; `None` if it is neither. Numbers and booleans have the
    /// type of line protocol; the options define the meaning of strings.
    fn number(&self, value: &FieldValue<'_>) -> Option<Option<Number>> {
        let columns = &self.layout.columns;
        match value.number {
            Some(number) => Some(Some(number).filter(|&number| !columns.is_null_value(number))),
            None if columns.is_null(&value.text.content) => Some(None),
            None => value.boolean().or_else(|| self.word(value)).map(Some),
        }
    }

    fn word(&self, value: &FieldValue<'_>) -> Option<Number> {
        let word = self.layout.columns.own_word(&value.text.content)?;
        Some(Number::Bool(word > 0.0))
    }

    /// The line's value for each key.
    fn values<'l, 't>(&self, line: &'l Line<'t>) -> Result<Vec<Option<GivenValue<'l, 't>>>, Refusal> {
        let tags = line.tags.iter().map(|(key, value)| ("tag", key, GivenValue::Tag(value)));
        let fields = line.fields.iter().map(|(key, value)| ("field", key, GivenValue::Field(value)));
        let mut values = vec![None; self.keys.len()];
        for (order, (what, key, given)) in tags.chain(fields).enumerate() {
            let name = || shown(&key.content);
            match place_of(&self.keys, &key.content, order) {
                Some(at) if values[at].is_none() => values[at] = Some(given),
                Some(_) => return Err(Refusal::record(format!("duplicate {what} {}", name()))),
                None if self.leaves_out(&key.content) => {}
                None => return Err(Refusal::record(format!("unknown {what} {}", name()))),
            }
        }
        Ok(values)
    }
}

/// The end of the line at `at`, and the start of the next one. Only LF ends a line, even in quotes, as the syntax requires.
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

/// Adds a part of the sensor's name.
fn part_of_sensor(role: Role, token: &Token<'_>, rows: &mut ChunkRows<'_>) -> Result<(), Refusal> {
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

/// Text is carried unchanged, including spaces.
fn carried(text: &[u8], at: usize, token: &Token<'_>, rows: &mut ChunkRows<'_>) -> Result<(), Refusal> {
    let content = &token.content;
    check_utf8(at, content)?;
    let span = rows.span(content, place(text, token));
    rows.push_text(at, span);
    Ok(())
}

/// The position in `text` of the token's content; `None` if the content was unescaped into a new string.
fn place(text: &[u8], token: &Token<'_>) -> Option<usize> {
    match token.content {
        Cow::Borrowed(content) => content.as_ptr().addr().checked_sub(text.as_ptr().addr()),
        Cow::Owned(_) => None,
    }
}
