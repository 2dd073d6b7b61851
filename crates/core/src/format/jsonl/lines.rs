//! Regular JSON Lines, quickly: a line that is written like one before it (the same keys in the same order, strings without escapes, plain
//! numbers) is compared, not parsed; then many of them are decoded column by column. Whatever is not regular goes to the
//! reference decoder, line by line. So records, rejections and places are always those of the reference decoder.

use super::decoder::JsonDecoder;
use crate::batch::Span;
use crate::error::Result;
use crate::format::blank::blank_lines;
use crate::format::columns::Role;
use crate::format::glue::Glue;
use crate::format::keys::place_of;
use crate::format::rows::Rows;
use crate::format::run::{FieldOfRun, NumberScratch, Run, SensorsOfRun};
use crate::format::{MAX_FIELD, MAX_FIELDS, MAX_RECORD};
use crate::kernel::json::{Plain, plain_string, plain_value};

/// Where lines are not regular, one in so many is looked at to see whether they have become so.
const MOST_PAUSED: u32 = 63;

/// Decodes a chunk into rows.
pub(super) struct Lines<'d, 'r, 'c> {
    decoder: &'d JsonDecoder,
    text: &'c [u8],
    rows: &'r mut Rows<'c>,
    /// The byte and the line that come next.
    at: usize,
    line: u64,
    /// How lines are written: the latest ones, and those before.
    shapes: [Shape; 2],
    /// So many more lines nothing is learned from, and as many as that was the last time.
    pause: [u32; 2],
    found: RegularLines,
    scratch: RunBuffers,
}

/// Buffers of one run of records.
#[derive(Default)]
struct RunBuffers {
    sensors: SensorsOfRun,
    /// Records that the reference decoder has to look at.
    odd: Vec<u32>,
    numbers: NumberScratch,
}

/// Lines that were written alike.
#[derive(Default)]
struct RegularLines {
    /// All values, line by line.
    values: Vec<Value>,
    /// Start and end of each line, the end without the line end.
    lines: Vec<(u32, u32)>,
    /// Where the line behind the last begins.
    next: usize,
}

/// A value as it stands in the chunk.
#[derive(Clone, Copy)]
struct Value {
    start: u32,
    end: u32,
    is_null: bool,
}

/// How a line is written, but for its values.
#[derive(Default)]
struct Shape {
    /// What stands before each value.
    before: Vec<Glue>,
    /// What stands behind the last.
    after: Glue,
    /// Which value a field is, by field of the decoder.
    places: Vec<Option<usize>>,
}

impl Shape {
    /// How `line` is written; `None` where that is for the reference decoder to say.
    fn of(line: &[u8], decoder: &JsonDecoder) -> Option<Self> {
        let mut shape = Self { places: vec![None; decoder.names.len()], ..Self::default() };
        let (mut glued, mut at) = (0, skip_spaces(line, 0));
        let mut before = b'{';
        while line.get(at) == Some(&before) {
            at = skip_spaces(line, at + 1);
            let key = plain_string(line, at + 1).filter(|_| line.get(at) == Some(&b'"'))?;
            let name = std::str::from_utf8(&line[at + 1..key]).ok()?;
            let place = shape.before.len();
            match place_of(&decoder.names, name, place).map(|field| &mut shape.places[field]) {
                Some(field @ None) => *field = Some(place),
                Some(Some(_)) => return None,
                None if decoder.leaves_out(name) => {}
                None => return None,
            }
            let colon = skip_spaces(line, key + 1);
            if line.get(colon) != Some(&b':') {
                return None;
            }
            at = skip_spaces(line, colon + 1);
            shape.before.push(Glue::new(&line[glued..at]));
            glued = plain_value(line, at)?.next;
            at = skip_spaces(line, glued);
            before = b',';
        }
        let is_whole = line.get(at) == Some(&b'}') && skip_spaces(line, at + 1) == line.len();
        shape.after = Glue::new(&line[glued..]);
        (is_whole && shape.before.len() <= MAX_FIELDS && shape.has_all(decoder)).then_some(shape)
    }

    /// Whether there is something, and all without which no record is whole.
    fn has_all(&self, decoder: &JsonDecoder) -> bool {
        let is_needed = |role| matches!(role, Role::Time(_) | Role::Sensor(_));
        let mut roles = decoder.layout.roles.iter().zip(&self.places);
        !self.before.is_empty() && roles.all(|(&role, place)| place.is_some() || !is_needed(role))
    }
}

fn skip_spaces(line: &[u8], mut at: usize) -> usize {
    while matches!(line.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

impl RegularLines {
    /// Finds the values of lines from `at` on, at most `most`, as long as they are written like `shape`.
    fn find(&mut self, text: &[u8], at: usize, shape: &Shape, most: usize) {
        self.values.clear();
        self.lines.clear();
        self.next = at;
        while self.lines.len() < most && !shape.before.is_empty() {
            let known = self.values.len();
            match self.line(text, self.next, shape) {
                Some((end, next)) => {
                    self.lines.push((self.next as u32, end as u32));
                    self.next = next;
                }
                None => return self.values.truncate(known),
            }
        }
    }

    /// Where the line ends, and where the next begins, if it is written like `shape` and none of the limits is passed.
    #[inline]
    fn line(&mut self, text: &[u8], start: usize, shape: &Shape) -> Option<(usize, usize)> {
        let mut at = start;
        for glue in &shape.before {
            at = glue.skip(text, at)?;
            let Plain { start, end, next, is_null } = plain_value(text, at)?;
            if next - at > MAX_FIELD {
                return None;
            }
            self.values.push(Value { start: start as u32, end: end as u32, is_null });
            at = next;
        }
        let end = shape.after.skip(text, at)?;
        let next = match text.get(end) {
            None => end,
            Some(b'\n') => end + 1,
            Some(b'\r') => end + 1 + usize::from(text.get(end + 1) == Some(&b'\n')),
            _ => return None,
        };
        (end - start <= MAX_RECORD).then_some((end, next))
    }
}

impl<'d, 'r, 'c> Lines<'d, 'r, 'c> {
    pub(super) fn new(decoder: &'d JsonDecoder, text: &'c [u8], rows: &'r mut Rows<'c>) -> Self {
        let (shapes, pause, found, scratch) = Default::default();
        Self { decoder, text, rows, at: 0, line: 0, shapes, pause, found, scratch }
    }

    /// Decodes the whole text, at most so many lines at a time; gives the number of its lines.
    pub(super) fn decode(mut self, most: usize) -> Result<u64> {
        let mut is_first = true;
        while self.at < self.text.len() {
            if !self.find(most) {
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

    /// Finds lines that are written alike, in one of the ways known: the one that it is comes first from then on.
    fn find(&mut self, most: usize) -> bool {
        for _ in 0..self.shapes.len() {
            self.found.find(self.text, self.at, &self.shapes[0], most);
            if !self.found.lines.is_empty() {
                return true;
            }
            self.shapes.swap(0, 1);
        }
        false
    }

    /// Lets the reference decoder take a line, and learns how it is written, in place of the way that was not met for longer. Where
    /// nothing can be learned, it tries again after more and more lines.
    fn learn(&mut self) -> Result<()> {
        let (lines, bytes) = blank_lines(&self.text[self.at..]);
        if lines > 0 {
            (self.at, self.line) = (self.at + bytes, self.line + lines as u64);
            return Ok(());
        }
        let start = self.at;
        let end = self.one_by_reference()?;
        let [rest, whole] = &mut self.pause;
        if *rest > 0 {
            *rest -= 1;
            return Ok(());
        }
        match Shape::of(&self.text[start..end], self.decoder) {
            Some(shape) => {
                self.pause = [0; 2];
                self.shapes[1] = shape;
                self.shapes.swap(0, 1);
            }
            None => self.pause = [(2 * *whole + 1).min(MOST_PAUSED); 2],
        }
        Ok(())
    }

    /// Gives where the line ends.
    fn one_by_reference(&mut self) -> Result<usize> {
        let (end, next) = self.decoder.one(self.text, self.at, self.line, self.rows)?;
        (self.at, self.line) = (next, self.line + 1);
        Ok(end)
    }

    /// Decodes the lines found, column by column.
    fn run(&mut self) -> Result<()> {
        let Self { decoder, text, rows, found, scratch, .. } = self;
        let RunBuffers { sensors, odd, numbers } = scratch;
        odd.clear();
        sensors.clear();
        let from = rows.len();
        let run = ValuesOfRun { text, found, width: self.shapes[0].before.len() };
        let records = run.records();
        for (&role, &place) in decoder.layout.roles.iter().zip(&self.shapes[0].places) {
            let Some(field) = place else {
                rows.missing(role, records);
                continue;
            };
            let mut column = FieldOfRun { run: &run, field, columns: &decoder.layout.columns, odd };
            match role {
                Role::Measurement(at) => rows.numbers(at, &mut column, numbers),
                Role::Time(at) => rows.times(at, |last, times| column.times(last, times)),
                Role::Text(at) => rows.texts(at, |spans| run.spans(field, spans)),
                Role::Sensor(_) => column.sensors(sensors, rows.sensors()),
                // Parts are for the reference decoder alone.
                Role::Skip | Role::Part { .. } => {}
            }
        }
        odd.sort_unstable();
        odd.dedup();
        if !odd.is_empty() {
            return self.piecewise(from);
        }
        rows.accept_run(0..records, sensors, text)?;
        self.origins(0, records);
        self.line += records as u64;
        self.at = self.found.next;
        Ok(())
    }

    /// Takes the records between odd ones as they were decoded, and the odd ones by the reference decoder.
    fn piecewise(&mut self, from: usize) -> Result<()> {
        let decoded = self.rows.split_off(from);
        let scratch = std::mem::take(&mut self.scratch);
        let records = self.found.lines.len();
        let mut next = 0;
        for stop in scratch.odd.iter().map(|&row| row as usize).chain([records]) {
            self.rows.append(&decoded, next..stop);
            self.rows.accept_run(next..stop, &scratch.sensors, self.text)?;
            self.origins(next, stop);
            self.line += (stop - next) as u64;
            self.at = self.found.lines.get(stop).map_or(self.found.next, |&(start, _)| start as usize);
            if stop < records {
                self.one_by_reference()?;
            }
            next = stop + 1;
        }
        self.scratch = scratch;
        Ok(())
    }

    /// Notes where the lines `from..to` came from; the first of them is `self.line`.
    fn origins(&mut self, from: usize, to: usize) {
        if self.rows.has_origins() {
            for (line, &(start, end)) in (self.line..).zip(&self.found.lines[from..to]) {
                self.rows.origin(start as usize, line, (end - start) as usize);
            }
        }
    }
}

/// The values of lines that were written alike.
struct ValuesOfRun<'a> {
    text: &'a [u8],
    found: &'a RegularLines,
    /// Values a line.
    width: usize,
}

impl ValuesOfRun<'_> {
    /// Text is carried as it is, spaces and all; only `null` is missing.
    fn spans(&self, field: usize, spans: &mut Vec<Span>) {
        spans.extend(self.found.values.chunks_exact(self.width).map(|values| {
            let Value { start, end, is_null } = values[field];
            if is_null { Span::NULL } else { Span::new(start as usize, (end - start) as usize) }
        }));
    }
}

impl Run for ValuesOfRun<'_> {
    fn text(&self) -> &[u8] {
        self.text
    }

    fn records(&self) -> usize {
        self.found.lines.len()
    }

    fn bounds(&self, field: usize, record: usize) -> (usize, usize) {
        let Value { start, end, is_null } = self.found.values[record * self.width + field];
        (start as usize, if is_null { start } else { end } as usize)
    }

    #[inline(always)]
    fn each(&self, field: usize, mut each: impl FnMut(usize, usize, usize)) {
        for (record, values) in self.found.values.chunks_exact(self.width).enumerate() {
            let Value { start, end, is_null } = values[field];
            each(record, start as usize, if is_null { start } else { end } as usize);
        }
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
