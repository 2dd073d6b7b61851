//! The reference decoder: object by object, simple enough to be obviously right. It is the oracle of the decoder for lines of the same
//! shape, which delegates irregular lines to it.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr_iter;
use serde_json::value::RawValue;

use super::decoder::JsonDecoder;
use super::object::{FieldEntry, elements, field, line, parse};
use super::shapes::Shapes;
use super::structure::{Next, next, trimmed_end};
use super::unfolded::Swap;
use crate::batch::Span;
use crate::error::Result;
use crate::format::columns::{Columns, Role};
use crate::format::file_columns::FileColumns;
use crate::format::keys::place_of;
use crate::format::lines::LineDecoder;
use crate::format::refusal::Refusal;
use crate::format::rows::ChunkRows;
use crate::format::{Chunk, Decoded, MAX_FIELDS, MAX_RECORD, TOO_LONG};
use crate::sensor::SensorLookup;

impl LineDecoder for JsonDecoder {
    type Shapes = Shapes;

    fn layout(&self) -> &FileColumns {
        &self.layout
    }

    /// The line is blank, an object, or an array of objects.
    fn line(&self, text: &[u8], at: usize, number: u64, rows: &mut ChunkRows<'_>) -> Result<(usize, usize)> {
        let (end, next) = line(text, at);
        match text[at..end].trim_ascii_start().first() {
            None => {}
            Some(b'[') if end - at <= MAX_RECORD => self.array(text, at..end, number, rows)?,
            Some(_) => self.object(text, at..end, number, rows)?,
        }
        Ok((end, next))
    }
}

impl JsonDecoder {
    /// Decodes a chunk object by object.
    pub(super) fn by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        if !self.is_values {
            return self.lines_by_reference(chunk, sensors);
        }
        let text = chunk.bytes.as_slice();
        let mut rows = ChunkRows::new(&self.layout, chunk, sensors);
        self.values(text, &mut rows)?;
        Ok(rows.finish(line_feeds(text)))
    }

    /// Decodes the objects of a text that are delimited by their structure.
    fn values(&self, text: &[u8], rows: &mut ChunkRows<'_>) -> Result<()> {
        let (mut at, mut line, mut counted) = (0, 0, 0);
        loop {
            let (start, end) = match next(text, at) {
                Next::Piece(start, end) => (start, end),
                Next::Open(start) => (start, trimmed_end(text, start)),
                Next::End => return Ok(()),
            };
            line += line_feeds(&text[counted..start]);
            counted = start;
            self.object(text, start..end, line, rows)?;
            at = end;
        }
    }

    /// Decodes the objects of an array that has its own line.
    fn array(&self, text: &[u8], at: Range<usize>, number: u64, rows: &mut ChunkRows<'_>) -> Result<()> {
        match elements(&text[at.clone()]) {
            Err(refusal) => rows.end(Err(refusal), at.start, number, at.len()),
            Ok(elements) => elements.into_iter().try_for_each(|element| {
                let start = place(text, element.get()).unwrap_or(at.start);
                self.object(text, start..start + element.get().len(), number, rows)
            }),
        }
    }

    /// Decodes the object at `at`, on line `number`: one record, or those that it unfolds to.
    fn object(&self, text: &[u8], at: Range<usize>, number: u64, rows: &mut ChunkRows<'_>) -> Result<()> {
        let fields = match fields(&text[at.clone()]) {
            Ok(fields) => fields,
            Err(refusal) => return rows.end(Err(refusal), at.start, number, at.len()),
        };
        let Some(path) = &self.objects.unfold else {
            let taken = self.record(text, &fields, None, rows);
            return rows.end(taken, at.start, number, at.len());
        };
        let unfolded = match self.objects.unfolded(path, &fields, at.len()) {
            Ok(unfolded) => unfolded,
            Err(refusal) => return rows.end(Err(refusal), at.start, number, at.len()),
        };
        let (mut line, mut counted) = (number, at.start);
        for swap in unfolded.swaps() {
            let element = swap.element.get();
            let start = place(text, element).unwrap_or(at.start);
            line += line_feeds(&text[counted..start]);
            counted = start;
            let taken = self.record(text, &fields, Some(swap), rows);
            rows.end(taken, start, line, element.len())?;
        }
        Ok(())
    }

    fn record<'t>(
        &self,
        text: &[u8],
        fields: &[FieldEntry<'t>],
        swap: Option<Swap<'_, 't>>,
        rows: &mut ChunkRows<'_>,
    ) -> Result<(), Refusal> {
        let mut values: Vec<Option<(usize, &RawValue)>> = vec![None; self.names.len()];
        let mut order = 0;
        let paths = &self.objects.paths;
        paths.each(fields, swap, &mut |name, depth, value| {
            let place = place_of(&self.names, name, order);
            order += 1;
            if order > MAX_FIELDS {
                return Err(too_many_fields());
            }
            // This record has null where others have an object.
            let is_no_object = || value.get() == "null" && paths.has_below(name);
            match place.map(|at| &mut values[at]) {
                Some(known @ None) => *known = Some((depth, value)),
                Some(Some((known, _))) if *known == depth => {
                    return Err(Refusal::record(format!("duplicate field `{name}`")));
                }
                Some(Some((known, _))) if *known < depth => {}
                Some(Some(known)) => *known = (depth, value),
                None if self.leaves_out(name) || is_no_object() => {}
                None => return Err(Refusal::record(format!("unknown field `{name}`"))),
            }
            Ok(())
        })?;
        for (&role, value) in self.layout.roles.iter().zip(values) {
            self.value(text, role, value.map(|(_, value)| value), rows)?;
        }
        Ok(())
    }

    fn value(
        &self,
        text: &[u8],
        role: Role,
        value: Option<&RawValue>,
        rows: &mut ChunkRows<'_>,
    ) -> Result<(), Refusal> {
        let content = value.map_or(Ok(None), field);
        let content = content.map_err(|refusal| Refusal { column: role.column(), ..refusal })?;
        match (role, content) {
            (Role::Text(at), None) => rows.push_text(at, Span::NULL),
            // Text is carried unchanged, including spaces.
            (Role::Text(at), Some(content)) => {
                let span = rows.span(content.as_bytes(), place(text, &content));
                rows.push_text(at, span);
            }
            (Role::Measurement(at), None) => rows.push_number(at, None),
            (Role::Measurement(_), Some(content)) => {
                rows.field(role, &measured(value, content.as_bytes(), &self.layout.columns), None)?;
            }
            (role, None) => rows.field(role, b"", None)?,
            (role, Some(content)) => rows.field(role, content.as_bytes(), place(text, &content))?,
        }
        Ok(())
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// A value's text with the decimal mark of the options: JSON numbers have a point, strings have the mark already.
pub(super) fn measured<'t>(value: Option<&RawValue>, content: &'t [u8], columns: &Columns) -> Cow<'t, [u8]> {
    let mark = columns.decimal_mark();
    let is_text = value.is_some_and(|value| value.get().starts_with('"'));
    if mark == b'.' || is_text || !content.contains(&b'.') {
        return Cow::Borrowed(content);
    }
    Cow::Owned(content.iter().map(|&byte| if byte == b'.' { mark } else { byte }).collect())
}

/// The fields of an object, within the limits.
pub(super) fn fields(text: &[u8]) -> Result<Vec<FieldEntry<'_>>, Refusal> {
    if text.len() > MAX_RECORD {
        return Err(Refusal::record(TOO_LONG.to_owned()));
    }
    let fields = parse(text)?.0;
    if fields.len() > MAX_FIELDS {
        return Err(too_many_fields());
    }
    Ok(fields)
}

fn too_many_fields() -> Refusal {
    Refusal::record(format!("more than {MAX_FIELDS} fields"))
}

/// The position in `text` of the content; `None` if the content was unescaped into a new string.
fn place(text: &[u8], content: &str) -> Option<usize> {
    let start = content.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    (start + content.len() <= text.len()).then_some(start)
}
