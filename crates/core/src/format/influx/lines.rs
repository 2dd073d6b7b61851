//! Regular line protocol, quickly: lines that are written like ones before them (the same tags and fields in the same order, nothing
//! escaped, plain numbers) are compared, not parsed; then many of them, of several kinds, are decoded column by column. Whatever is not
//! regular goes to the reference decoder, line by line. So records, rejections and places are always those of the reference decoder.

use super::decoder::InfluxDecoder;
use super::line::{parse, word};
use super::stamp::integer;
use crate::batch::{FieldType, Span};
use crate::error::Result;
use crate::format::blank::blank_lines;
use crate::format::columns::Role;
use crate::format::glue::Glue;
use crate::format::keys::place_of;
use crate::format::rows::Rows;
use crate::format::run::{FieldOfRun, NumberScratch, Run, SensorsOfRun};
use crate::format::{MAX_FIELD, MAX_RECORD};
use crate::kernel::json::plain_value;
use crate::sensor::MAX_NAME;
use crate::time::Timestamp;

/// Ways of writing that are kept in mind: what a collector sends of one machine in turn.
const MOST_SHAPES: usize = 16;

/// Where lines are not regular, one in so many is looked at to see whether they have become so.
const MOST_PAUSED: u32 = 63;

/// Decodes a chunk into rows.
pub(super) struct Lines<'d, 'r, 'c> {
    decoder: &'d InfluxDecoder,
    text: &'c [u8],
    rows: &'r mut Rows<'c>,
    /// The byte and the line that come next.
    at: usize,
    line: u64,
    shapes: Shapes,
    /// So many more lines nothing is learned from, and as many as that was the last time.
    pause: [u32; 2],
    found: RegularLines,
    sensors: SensorsOfRun,
    numbers: NumberScratch,
}

/// How lines are written.
#[derive(Default)]
struct Shapes {
    all: Vec<Shape>,
    /// By shape: the one that came behind it the last time.
    behind: Vec<usize>,
    /// The one of the last line.
    last: usize,
    /// The one to be forgotten next.
    oldest: usize,
}

/// How a line is written, but for its values.
struct Shape {
    /// The table, the tags, the fields, the timestamp.
    parts: Vec<ExpectedValue>,
    /// How many tags there are.
    tags: usize,
}

/// A value and what stands before it.
struct ExpectedValue {
    before: Glue,
    kind: PartKind,
    /// Its role's index in the layout; none where it is ignored.
    place: Option<usize>,
}

/// What a value has to be.
#[derive(Clone, Copy, PartialEq)]
enum PartKind {
    /// A table or a tag's value.
    Name,
    /// The tag's value that is the sensor.
    Sensor,
    /// A field that must be a number.
    Number,
    /// A field that must be an integer, with this letter behind it.
    Integer(u8),
    /// A field that may be anything.
    Any,
    /// The timestamp.
    Time,
}

/// Lines that were found to be regular.
#[derive(Default)]
struct RegularLines {
    /// By line, then by role of the layout.
    values: Vec<Span>,
    times: Vec<Timestamp>,
    /// Start and end of each line, the end without the line end.
    lines: Vec<(u32, u32)>,
    /// By role: whether any line may have a value.
    is_given: Vec<bool>,
    /// Where the line behind the last begins.
    next: usize,
}

impl Shape {
    /// How `text` is written; `None` where that is for the reference decoder to say.
    fn of(text: &[u8], decoder: &InfluxDecoder) -> Option<Self> {
        let line = parse(text).ok()?;
        let time = line.time.clone()?;
        // Behind blanks, a table's name and a comment could not be told apart by the first byte.
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

    /// Notes the values of the line that begins at `start`: where it ends, and where the next begins, if it is written like this and none of
    /// the limits is passed.
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
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// Where the table or tag's value that begins at `start` ends: before a comma, a blank, or what it may have only behind a backslash. `None`
/// where it is empty, is no UTF-8, or does not end. Eight bytes at a time; the lowest bit set of each mask is right.
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

/// The number that begins at `start`: where its digits stand, and the byte after it. `None` where it is none, or not plain: an integer that
/// may not fit, or zero with a minus.
#[inline]
fn number(text: &[u8], start: usize) -> Option<(Span, usize)> {
    /// All integers of so many digits fit.
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

/// The value of any kind that begins at `start`: where what it says stands, and the byte after it.
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

impl RegularLines {
    fn clear(&mut self, roles: usize, at: usize) {
        self.values.clear();
        self.times.clear();
        self.lines.clear();
        self.is_given.clear();
        self.is_given.resize(roles, false);
        self.next = at;
    }

    /// Finds the values of lines from `at` on, at most `most`, as long as they are written in a way that is known.
    fn find(&mut self, text: &[u8], at: usize, decoder: &InfluxDecoder, shapes: &mut Shapes, most: usize) {
        let roles = decoder.layout.roles.len();
        self.clear(roles, at);
        let mut known = None;
        while self.lines.len() < most && self.next < text.len() {
            let row = self.values.len();
            self.values.resize(row + roles, Span::NULL);
            let values = &mut self.values[row..];
            let Some((shape, (end, next, time))) = shapes.line(text, self.next, decoder, values) else {
                return self.values.truncate(row);
            };
            if known != Some(shape) {
                known = Some(shape);
                self.give(&shapes.all[shape], decoder);
            }
            self.lines.push((self.next as u32, end as u32));
            self.times.push(time);
            self.next = next;
        }
    }

    /// Notes which roles lines of this shape have values for.
    fn give(&mut self, shape: &Shape, decoder: &InfluxDecoder) {
        shape.parts.iter().filter_map(|part| part.place).for_each(|place| self.is_given[place] = true);
        if decoder.series.is_some() {
            self.is_given[decoder.keys.len() + 1] = true;
        }
    }
}

impl Shapes {
    /// Which shape the line that begins at `start` has, and what [`Shape::line`] says of it. That which came behind the last one's the last time
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

    /// The line behind the last one has this shape.
    fn follow(&mut self, shape: usize) {
        self.behind[self.last] = shape;
        self.last = shape;
    }

    /// Takes in a shape that the line behind the last one has.
    fn learn(&mut self, shape: Shape) {
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

impl<'d, 'r, 'c> Lines<'d, 'r, 'c> {
    pub(super) fn new(decoder: &'d InfluxDecoder, text: &'c [u8], rows: &'r mut Rows<'c>) -> Self {
        let (shapes, pause, found, sensors, numbers) = Default::default();
        Self { decoder, text, rows, at: 0, line: 0, shapes, pause, found, sensors, numbers }
    }

    /// Decodes the whole text, at most so many lines at a time; gives the number of its lines.
    pub(super) fn decode(mut self, most: usize) -> Result<u64> {
        let mut is_first = true;
        while self.at < self.text.len() {
            self.found.find(self.text, self.at, self.decoder, &mut self.shapes, most);
            if self.found.lines.is_empty() {
                self.learn()?;
                continue;
            }
            self.run()?;
            if std::mem::take(&mut is_first) {
                // The rest will be like the first lines.
                self.rows.reserve(self.rows.len() * (self.text.len() / self.at.max(1)));
            }
        }
        Ok(self.line)
    }

    /// Lets the reference decoder take a line, and learns how it is written. Where nothing can be learned, it tries again after more and more
    /// lines.
    fn learn(&mut self) -> Result<()> {
        let (lines, bytes) = blank_lines(&self.text[self.at..]);
        if lines > 0 {
            (self.at, self.line) = (self.at + bytes, self.line + lines as u64);
            return Ok(());
        }
        let start = self.at;
        let (end, next) = self.decoder.one(self.text, start, self.line, self.rows)?;
        (self.at, self.line) = (next, self.line + 1);
        let [rest, whole] = &mut self.pause;
        if *rest > 0 {
            *rest -= 1;
            return Ok(());
        }
        match Shape::of(&self.text[start..end], self.decoder) {
            Some(shape) => {
                self.pause = [0; 2];
                self.shapes.learn(shape);
            }
            None => self.pause = [(2 * *whole + 1).min(MOST_PAUSED); 2],
        }
        Ok(())
    }

    /// Decodes the lines found, column by column. All their values have been checked.
    fn run(&mut self) -> Result<()> {
        let Self { decoder, text, rows, found, sensors, numbers, .. } = self;
        sensors.clear();
        let mut odd = Vec::new();
        let run = ValuesOfRun { text, found, width: decoder.layout.roles.len() };
        let records = run.records();
        for (field, &role) in decoder.layout.roles.iter().enumerate() {
            if !found.is_given[field] {
                rows.missing(role, records);
                continue;
            }
            let mut column = FieldOfRun { run: &run, field, columns: &decoder.layout.columns, odd: &mut odd };
            match role {
                Role::Measurement(at) => rows.numbers(at, &mut column, numbers),
                Role::Time(at) => rows.times(at, |_, times| {
                    times.values.extend_from_slice(&found.times);
                    run.spans(field, &mut times.text);
                }),
                Role::Text(at) => rows.texts(at, |spans| run.spans(field, spans)),
                Role::Sensor(_) => column.sensors(sensors, rows.sensors()),
                // No column of line protocol is put together or left out.
                Role::Skip | Role::Part { .. } => {}
            }
        }
        debug_assert!(odd.is_empty(), "numbers and names have been checked");
        rows.accept_run(0..records, sensors, text)?;
        if rows.has_origins() {
            for (line, &(start, end)) in (self.line..).zip(&found.lines) {
                rows.origin(start as usize, line, (end - start) as usize);
            }
        }
        self.line += records as u64;
        self.at = found.next;
        Ok(())
    }
}

/// The values of lines found.
struct ValuesOfRun<'a> {
    text: &'a [u8],
    found: &'a RegularLines,
    /// Values a line.
    width: usize,
}

impl ValuesOfRun<'_> {
    /// Text is carried as it is, spaces and all.
    fn spans(&self, field: usize, spans: &mut Vec<Span>) {
        spans.extend(self.found.values.chunks_exact(self.width).map(|values| values[field]));
    }
}

/// Start and end of a value; a missing one is empty.
#[inline]
fn bounds(value: Span) -> (usize, usize) {
    let start = value.start();
    (start, if value.is_null() { start } else { start + value.len() })
}

impl Run for ValuesOfRun<'_> {
    fn text(&self) -> &[u8] {
        self.text
    }

    fn records(&self) -> usize {
        self.found.lines.len()
    }

    fn bounds(&self, field: usize, record: usize) -> (usize, usize) {
        bounds(self.found.values[record * self.width + field])
    }

    #[inline(always)]
    fn each(&self, field: usize, mut each: impl FnMut(usize, usize, usize)) {
        for (record, values) in self.found.values.chunks_exact(self.width).enumerate() {
            let (start, end) = bounds(values[field]);
            each(record, start, end);
        }
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
