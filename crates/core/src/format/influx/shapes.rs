//! The shapes of regular line protocol: the same tags and fields in the same order, no escapes, plain numbers.

use super::decoder::InfluxDecoder;
use super::line::{parse, word};
use super::stamp::integer;
use crate::batch::{FieldType, Span};
use crate::format::columns::Role;
use crate::format::glue::Glue;
use crate::format::keys::place_of;
use crate::format::lines::{FoundLines, LineShapes};
use crate::format::{MAX_FIELD, MAX_RECORD};
use crate::kernel::json::plain_value;
use crate::sensor::MAX_NAME;
use crate::time::Timestamp;

/// The maximum number of cached shapes: those that a collector sends for one machine in turn.
const MOST_SHAPES: usize = 16;

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
    /// In the order of the line: the table, the tags, the fields, the timestamp.
    parts: Vec<ExpectedValue>,
    /// The number of tags.
    tags: usize,
}

/// A value and the text before it.
struct ExpectedValue {
    before: Glue,
    kind: PartKind,
    /// The index of its role in the layout; `None` if it is ignored.
    place: Option<usize>,
}

/// The kind of a value.
#[derive(Clone, Copy, PartialEq)]
enum PartKind {
    /// The table's name or a tag's value.
    Name,
    /// The tag's value that is the sensor.
    Sensor,
    /// A field that must be a number.
    Number,
    /// A field that must be an integer with this suffix.
    Integer(u8),
    /// A field of any type.
    Any,
    /// The timestamp.
    Time,
}

impl LineShape {
    /// The shape of the line `text`; `None` if only the reference decoder can decode it.
    fn of(text: &[u8], decoder: &InfluxDecoder) -> Option<Self> {
        let line = parse(text).ok()?;
        let time = line.time.clone()?;
        // After leading spaces, the first byte could not tell a table's name from a comment.
        if line.table.place.start > 0 {
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
        let table = decoder.table.map(|_| roles.len() - 1);
        let mut values = vec![(line.table.place, PartKind::Name, table)];
        for (order, (key, value)) in line.tags.iter().enumerate() {
            let place = place(&key.content, order)?;
            if place.is_some_and(|place| matches!(roles[place], Role::Measurement(_))) {
                return None;
            }
            let is_sensor = place.is_some_and(|place| matches!(roles[place], Role::Sensor(_)));
            let kind = if is_sensor { PartKind::Sensor } else { PartKind::Name };
            values.push((value.place.clone(), kind, place));
        }
        let tags = line.tags.len();
        for (order, (key, value)) in line.fields.iter().enumerate() {
            let place = place(&key.content, tags + order)?;
            let kind = match place.map(|place| roles[place]) {
                Some(Role::Measurement(at)) => match decoder.layout.schema.fields()[at].ty {
                    FieldType::F64 => PartKind::Number,
                    FieldType::I64 => PartKind::Integer(b'i'),
                    FieldType::U64 => PartKind::Integer(b'u'),
                    FieldType::Bool | FieldType::Text => return None,
                },
                Some(Role::Sensor(_)) => return None,
                _ => PartKind::Any,
            };
            values.push((value.text.place.clone(), kind, place));
        }
        let has_sensor =
            roles.iter().zip(&taken).all(|(role, is_taken)| *is_taken || !matches!(role, Role::Sensor(_)));
        if !has_sensor {
            return None;
        }
        values.push((time, PartKind::Time, Some(decoder.keys.len())));
        let mut glued = 0;
        let parts = values.into_iter().map(|(value, kind, place)| {
            let before = Glue::new(&text[glued..value.start]);
            glued = value.end;
            ExpectedValue { before, kind, place }
        });
        Some(Self { parts: parts.collect(), tags })
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
        let (mut at, mut time) = (start, 0);
        for (order, part) in self.parts.iter().enumerate() {
            at = part.before.skip(text, at)?;
            let (span, next) = match part.kind {
                PartKind::Name => name(text, at).map(|end| (Span::new(at, end - at), end))?,
                PartKind::Sensor => {
                    let is_good = |&end: &usize| end - at <= MAX_NAME && !decoder.is_null(&text[at..end]);
                    let end = name(text, at).filter(is_good)?;
                    (Span::new(at, end - at), end)
                }
                PartKind::Number => number(text, at)?,
                PartKind::Integer(suffix) => number(text, at)
                    .filter(|&(span, next)| span.len() < next - at && text[next - 1] == suffix)?,
                PartKind::Any => any(text, at)?,
                PartKind::Time => {
                    let (value, end) = integer(text, at)?;
                    if decoder.is_null(&text[at..end]) {
                        return None;
                    }
                    time = value.checked_mul(decoder.unit)?;
                    (Span::new(at, end - at), end)
                }
            };
            if next - at > MAX_FIELD {
                return None;
            }
            if let Some(place) = part.place {
                values[place] = span;
            }
            at = next;
            if order == self.tags && decoder.series.is_some() {
                if at - start > MAX_NAME || decoder.is_null(&text[start..at]) {
                    return None;
                }
                values[decoder.keys.len() + 1] = Span::new(start, at - start);
            }
        }
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

    /// Marks the roles that lines of this shape have values for.
    fn mark(&self, decoder: &InfluxDecoder, places: &mut [Option<usize>]) {
        let series = decoder.series.map(|_| decoder.keys.len() + 1);
        self.parts
            .iter()
            .filter_map(|part| part.place)
            .chain(series)
            .for_each(|place| places[place] = Some(place));
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
            let row = found.values.len();
            found.values.resize(row + roles, Span::NULL);
            let values = &mut found.values[row..];
            let Some((shape, (end, next, time))) = self.line(text, found.next, decoder, values) else {
                return found.values.truncate(row);
            };
            if known != Some(shape) {
                known = Some(shape);
                self.all[shape].mark(decoder, &mut found.places);
            }
            found.lines.push((found.next as u32, end as u32));
            found.times.push(time);
            found.next = next;
        }
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

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// The end of the table or tag value that begins at `start`: before a comma, a space, or a byte that needs an escape. `None` if it is
/// empty, not UTF-8, or does not end. Eight bytes at a time; the lowest bit set of each mask is exact.
#[inline]
fn name(text: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut high) = (start, 0);
    while let Some(bytes) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(bytes.try_into().ok()?);
        let is = |byte: u8| {
            let same = word ^ (ONES * u64::from(byte));
            same.wrapping_sub(ONES) & !same & HIGH
        };
        let blanks = word.wrapping_sub(ONES * 0x21) & !word & HIGH;
        let stops = is(b',') | is(b'=') | is(b'\\') | blanks;
        if stops != 0 {
            high |= word & HIGH & (stops & stops.wrapping_neg()).wrapping_sub(1);
            return checked(text, start, at + stops.trailing_zeros() as usize / 8, high == 0);
        }
        high |= word & HIGH;
        at += 8;
    }
    let stop = text.get(at..)?.iter().position(|&byte| matches!(byte, b',' | b'=' | b'\\' | 0..0x21))?;
    checked(text, start, at + stop, false)
}

#[inline]
fn checked(text: &[u8], start: usize, end: usize, is_ascii: bool) -> Option<usize> {
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
