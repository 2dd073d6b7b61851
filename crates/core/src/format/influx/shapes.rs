//! The shapes of regular line protocol: the same tags and fields in the same order, no escapes, plain numbers.

use super::decoder::InfluxDecoder;
use super::line::{parse, word};
use super::stamp::time_of;
use crate::batch::{FieldType, Span};
use crate::format::columns::Role;
use crate::format::glue::Glue;
use crate::format::keys::place_of;
use crate::format::lines::{FoundLines, LineShapes};
use crate::format::{MAX_FIELD, MAX_RECORD};
use crate::kernel::json::plain_value;
use crate::kernel::stops::Stops;
use crate::sensor::MAX_NAME;
use crate::time::Timestamp;

/// The maximum number of cached shapes: those that a collector sends for one machine in turn.
const MOST_SHAPES: usize = 16;

/// Lines for whose values there is room at a time: making it is a call.
const LINES_OF_ROOM: usize = 16;

/// The known shapes of lines.
#[derive(Default)]
pub(super) struct Shapes {
    all: Vec<LineShape>,
    /// By shape: the shape of the line that followed it most recently.
    behind: Vec<usize>,
    /// The shape of the last line.
    last: usize,
    /// The shape to be evicted next.
    oldest: usize,
}

/// The shape of a line: everything but its values.
struct LineShape {
    /// The table from which the shape was learned, and what follows it: most lines begin so.
    table: Glue,
    table_length: usize,
    table_place: Option<usize>,
    after_table: Glue,
    tags: Vec<ExpectedValue>,
    fields: Vec<ExpectedValue>,
    /// The number of digits of the timestamp, which most lines have.
    digits: usize,
}

/// A value and the text after it.
struct ExpectedValue {
    after: Glue,
    kind: ValueKind,
    /// The index of its role in the layout; `None` if it is ignored.
    place: Option<usize>,
}

/// The kind of a value.
#[derive(Clone, Copy, PartialEq)]
enum ValueKind {
    /// A tag's value.
    Name,
    /// The tag's value that is the sensor.
    Sensor,
    /// A field that must be a number.
    Number,
    /// A field that must be an integer with this suffix.
    Integer(u8),
    /// A field of any type.
    Any,
}

impl LineShape {
    /// The shape of the line `text`; `None` if only the reference decoder can decode it.
    fn of(text: &[u8], decoder: &InfluxDecoder) -> Option<Self> {
        let line = parse(text).ok()?;
        let time = line.time.clone()?;
        // After leading spaces, the first byte could not tell a table's name from a comment. One with escapes is not found again.
        if line.table.place.start > 0 || name(text, 0) != Some(line.table.place.end) {
            return None;
        }
        if decoder.series.is_some() && std::str::from_utf8(&text[line.series.clone()]).is_err() {
            return None;
        }
        let mut taken = vec![false; decoder.keys.len()];
        let mut place = |key: &[u8], order| {
            let Some(place) = place_of(&decoder.keys, key, order) else {
                return decoder.leaves_out(key).then_some(None);
            };
            (!std::mem::replace(&mut taken[place], true)).then_some(Some(place))
        };
        // The timestamp's role follows those of the keys, and the table's is the last.
        let roles = &decoder.layout.roles;
        let table_place = decoder.table.map(|_| roles.len() - 1);
        let mut values = Vec::new();
        for (order, (key, value)) in line.tags.iter().enumerate() {
            let place = place(&key.content, order)?;
            if place.is_some_and(|place| matches!(roles[place], Role::Measurement(_))) {
                return None;
            }
            let is_sensor = place.is_some_and(|place| matches!(roles[place], Role::Sensor(_)));
            let kind = if is_sensor { ValueKind::Sensor } else { ValueKind::Name };
            values.push((value.place.clone(), kind, place));
        }
        let tags = line.tags.len();
        for (order, (key, value)) in line.fields.iter().enumerate() {
            let place = place(&key.content, tags + order)?;
            let kind = match place.map(|place| roles[place]) {
                Some(Role::Measurement(at)) => match decoder.layout.schema.fields()[at].ty {
                    FieldType::F64 => ValueKind::Number,
                    FieldType::I64 => ValueKind::Integer(b'i'),
                    FieldType::U64 => ValueKind::Integer(b'u'),
                    FieldType::Bool | FieldType::Text => return None,
                },
                Some(Role::Sensor(_)) => return None,
                _ => ValueKind::Any,
            };
            values.push((value.text.place.clone(), kind, place));
        }
        let has_sensor =
            roles.iter().zip(&taken).all(|(role, is_taken)| *is_taken || !matches!(role, Role::Sensor(_)));
        if !has_sensor {
            return None;
        }
        // Each value ends before a text that reaches to the next one.
        let starts: Vec<usize> = values.iter().map(|(value, ..)| value.start).chain([time.start]).collect();
        let (table, after_table) = (&text[..starts[0]], &text[line.table.place.end..starts[0]]);
        let mut tags: Vec<_> = values
            .into_iter()
            .zip(&starts[1..])
            .map(|((value, kind, place), &next)| {
                let after = Glue::new(&text[value.end..next]);
                ExpectedValue { after, kind, place }
            })
            .collect();
        let fields = tags.split_off(line.tags.len());
        Some(Self {
            table: Glue::new(table),
            table_length: line.table.place.end,
            table_place,
            after_table: Glue::new(after_table),
            tags,
            fields,
            digits: time.len(),
        })
    }

    /// Records the values of the line that begins at `start`, if it has this shape and exceeds no limit; returns its end and the start of
    /// the next line.
    #[inline]
    fn line(
        &self,
        text: &[u8],
        start: usize,
        decoder: &InfluxDecoder,
        values: &mut [Span],
    ) -> Option<(usize, usize, Timestamp)> {
        let mut put = |place: Option<usize>, from: usize, end: usize| {
            if let Some(place) = place {
                values[place] = Span::new(from, end - from);
            }
            (end - from <= MAX_FIELD).then_some(())
        };
        let (mut end, mut at) = self.table(text, start)?;
        put(self.table_place, start, end)?;
        for tag in &self.tags {
            end = name(text, at)?;
            if tag.kind == ValueKind::Sensor && (end - at > MAX_NAME || decoder.is_null(&text[at..end])) {
                return None;
            }
            put(tag.place, at, end)?;
            at = tag.after.skip(text, end)?;
        }
        if decoder.series.is_some() {
            if end - start > MAX_NAME || decoder.is_null(&text[start..end]) {
                return None;
            }
            put(Some(decoder.keys.len() + 1), start, end)?;
        }
        for field in &self.fields {
            let (span, next) = field.kind.field(text, at)?;
            if next - at > MAX_FIELD {
                return None;
            }
            put(field.place, span.start(), span.start() + span.len())?;
            at = field.after.skip(text, next)?;
        }
        let (time, end) = time_of(text, at, self.digits)?;
        if decoder.is_null(&text[at..end]) {
            return None;
        }
        put(Some(decoder.keys.len()), at, end)?;
        let (time, at) = (time.checked_mul(decoder.unit)?, end);
        let next = match text.get(at) {
            None => at,
            Some(b'\n') => at + 1,
            Some(b'\r') if at + 1 == text.len() => at + 1,
            Some(b'\r') if text[at + 1] == b'\n' => at + 2,
            _ => return None,
        };
        let is_comment = text[start] == b'#';
        (at - start <= MAX_RECORD && !is_comment).then_some((at, next, Timestamp::from_nanos(time)))
    }

    /// The end of the table that begins at `start`, and the start of what follows it.
    #[inline]
    fn table(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        if let Some(next) = self.table.skip(text, start) {
            return Some((start + self.table_length, next));
        }
        let end = name(text, start)?;
        Some((end, self.after_table.skip(text, end)?))
    }

    /// Marks the roles that lines of this shape have values for.
    fn mark(&self, decoder: &InfluxDecoder, places: &mut [Option<usize>]) {
        let series = decoder.series.map(|_| decoder.keys.len() + 1);
        let values = self.tags.iter().chain(&self.fields).map(|value| value.place);
        values
            .chain([self.table_place, Some(decoder.keys.len()), series])
            .flatten()
            .for_each(|place| places[place] = Some(place));
    }
}

impl ValueKind {
    /// The range of the content of a field's value that begins at `start`, and the position after it.
    #[inline]
    fn field(self, text: &[u8], start: usize) -> Option<(Span, usize)> {
        match self {
            Self::Number => number(text, start),
            Self::Integer(suffix) => number(text, start)
                .filter(|&(span, next)| span.len() < next - start && text[next - 1] == suffix),
            Self::Name | Self::Sensor | Self::Any => any(text, start),
        }
    }
}

impl LineShapes<InfluxDecoder> for Shapes {
    /// Lines of several shapes; their times are parsed.
    fn find(&mut self, text: &[u8], decoder: &InfluxDecoder, most: usize, found: &mut FoundLines) {
        let roles = decoder.layout.roles.len();
        found.width = roles;
        found.places.clear();
        found.places.resize(roles, None);
        let mut known = None;
        while found.lines.len() < most && found.next < text.len() {
            let row = found.lines.len() * roles;
            if row == found.values.len() {
                found.values.resize(row + LINES_OF_ROOM * roles, Span::NULL);
            }
            let values = &mut found.values[row..row + roles];
            let Some((shape, (end, next, time))) = self.line(text, found.next, decoder, values) else {
                break;
            };
            if known != Some(shape) {
                known = Some(shape);
                self.all[shape].mark(decoder, &mut found.places);
            }
            found.lines.push((found.next as u32, end as u32));
            found.times.push(time);
            found.next = next;
        }
        found.values.truncate(found.lines.len() * roles);
    }

    fn learn(&mut self, line: &[u8], decoder: &InfluxDecoder) -> bool {
        let shape = LineShape::of(line, decoder);
        shape.map(|shape| self.add(shape)).is_some()
    }
}

impl Shapes {
    /// The shape of the line that begins at `start`, with the result of [`LineShape::line`]. The shape that followed the last one most recently
    /// is tried first.
    #[inline]
    fn line(
        &mut self,
        text: &[u8],
        start: usize,
        decoder: &InfluxDecoder,
        values: &mut [Span],
    ) -> Option<(usize, (usize, usize, Timestamp))> {
        let first = *self.behind.get(self.last)?;
        if let Some(line) = self.all[first].line(text, start, decoder, values) {
            self.last = first;
            return Some((first, line));
        }
        for other in (0..self.all.len()).filter(|&other| other != first) {
            values.fill(Span::NULL);
            if let Some(line) = self.all[other].line(text, start, decoder, values) {
                self.follow(other);
                return Some((other, line));
            }
        }
        None
    }

    /// Records that the last line is followed by this shape.
    fn follow(&mut self, shape: usize) {
        self.behind[self.last] = shape;
        self.last = shape;
    }

    /// Adds the shape of the line after the last one.
    fn add(&mut self, shape: LineShape) {
        let at = if self.all.len() < MOST_SHAPES {
            self.all.push(shape);
            self.behind.push(self.all.len() - 1);
            self.all.len() - 1
        } else {
            self.oldest = (self.oldest + 1) % MOST_SHAPES;
            self.all[self.oldest] = shape;
            self.oldest
        };
        self.follow(at);
    }
}

/// The end of the table or tag value that begins at `start`: before a comma, a space, or a byte that needs an escape. `None` if it is
/// empty, not UTF-8, or does not end.
#[inline]
fn name(text: &[u8], start: usize) -> Option<usize> {
    let (end, is_ascii) = Stops { bytes: *b",=\\", low: b' ' }.find(text, start)?;
    let is_text = || is_ascii || std::str::from_utf8(&text[start..end]).is_ok();
    (end > start && is_text()).then_some(end)
}

/// The range of the number that begins at `start`, and the position after it. `None` if it is not a plain number: also for an integer that
/// may overflow, or minus zero.
#[inline]
fn number(text: &[u8], start: usize) -> Option<(Span, usize)> {
    /// All integers with this many digits fit.
    const FIT: usize = 18;
    if !matches!(text.get(start)?, b'-' | b'0'..=b'9') {
        return None;
    }
    let end = plain_value(text, start)?.next;
    let suffix = match text.get(end) {
        Some(suffix @ (b'i' | b'u')) => *suffix,
        _ => return Some((Span::new(start, end - start), end)),
    };
    let digits = &text[start..end];
    let is_negative = digits[0] == b'-';
    let digits = &digits[usize::from(is_negative)..];
    let is_plain = digits.len() <= FIT && digits.iter().all(u8::is_ascii_digit);
    let is_odd = is_negative && (suffix == b'u' || digits[0] == b'0');
    (is_plain && !is_odd).then_some((Span::new(start, end - start), end + 1))
}

/// The range of the content of any value that begins at `start`, and the position after it.
#[inline]
fn any(text: &[u8], start: usize) -> Option<(Span, usize)> {
    match text.get(start)? {
        b'"' => {
            let string = plain_value(text, start)?;
            Some((Span::new(string.start, string.end - string.start), string.next))
        }
        b'-' | b'0'..=b'9' => {
            let (_, next) = number(text, start)?;
            Some((Span::new(start, next - start), next))
        }
        _ => word(text, start).map(|end| (Span::new(start, end - start), end)),
    }
}

#[cfg(test)]
#[path = "shapes_tests.rs"]
mod tests;
