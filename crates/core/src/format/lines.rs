//! Decodes text with one record per line; shared by JSON Lines and line protocol. A line with a known shape (that of an earlier line in all
//! but its values) is compared, not parsed; then many lines are decoded column by column. Irregular lines go to the reference decoder, one
//! by one. So records, rejections and positions always equal those of the reference decoder.

use super::blank::blank_lines;
use super::columns::Role;
use super::file_columns::FileColumns;
use super::rows::ChunkRows;
use super::run::{FieldOfRun, NumberScratch, RecordRun, SensorsOfRun};
use super::{Chunk, Decoded};
use crate::batch::Span;
use crate::error::Result;
use crate::sensor::SensorLookup;
use crate::time::Timestamp;

/// Lines decoded at a time: their text, positions and columns stay in cache. Smaller for fuzzing, where inputs are small.
pub(super) const LINES_AT_ONCE: usize = if cfg!(fuzzing) { 4 } else { 256 };

/// In irregular text, the maximum number of lines between two attempts to learn a shape.
const MOST_PAUSED: u32 = 63;

/// A decoder of text with one record per line.
pub(super) trait LineDecoder: Sized {
    /// The shapes of lines that it knows.
    type Shapes: LineShapes<Self>;

    fn layout(&self) -> &FileColumns;

    /// The reference decoder: decodes line `number`, which begins at `at`, to its records, if it has any. Returns its end and the start of
    /// the next line.
    fn line(&self, text: &[u8], at: usize, number: u64, rows: &mut ChunkRows<'_>) -> Result<(usize, usize)>;

    /// Decodes a chunk line by line.
    fn lines_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let text = chunk.bytes.as_slice();
        let mut rows = ChunkRows::new(self.layout(), chunk, sensors);
        let (mut at, mut number) = (0, 0);
        while at < text.len() {
            (_, at) = self.line(text, at, number, &mut rows)?;
            number += 1;
        }
        Ok(rows.finish(number))
    }

    /// The fast decoder; gives the same result as [`LineDecoder::lines_by_reference`] for any number of lines at a time.
    fn lines_by_shape(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup, most: usize) -> Result<Decoded> {
        let mut rows = ChunkRows::new(self.layout(), chunk, sensors);
        let lines = Lines::new(self, chunk.bytes.as_slice(), &mut rows).decode(most)?;
        Ok(rows.finish(lines))
    }
}

/// The known shapes of lines.
pub(super) trait LineShapes<D>: Default {
    /// Finds the values of at most `most` lines from `found.next` on, while their shapes are known.
    fn find(&mut self, text: &[u8], decoder: &D, most: usize, found: &mut FoundLines);

    /// Learns the shape of a line; `false` if only the reference decoder can decode it.
    fn learn(&mut self, line: &[u8], decoder: &D) -> bool;
}

/// Lines of known shapes, and where their values are.
#[derive(Default)]
pub(super) struct FoundLines {
    /// By line: `width` values each.
    pub(super) values: Vec<Span>,
    /// Unescaped values; their spans count on from the text's. Only text and sensors have such values.
    pub(super) made: Vec<u8>,
    pub(super) width: usize,
    /// By role of the layout: the index of its value; `None` if no line has one.
    pub(super) places: Vec<Option<usize>>,
    /// The times of the lines if they have been parsed; otherwise empty.
    pub(super) times: Vec<Timestamp>,
    /// The start and end of each line, without its line end.
    pub(super) lines: Vec<(u32, u32)>,
    /// The start of the next line.
    pub(super) next: usize,
}

impl FoundLines {
    fn clear(&mut self, at: usize) {
        self.values.clear();
        self.made.clear();
        self.times.clear();
        self.lines.clear();
        self.next = at;
    }
}

/// Decodes a chunk into rows.
struct Lines<'d, 'r, 'c, D: LineDecoder> {
    decoder: &'d D,
    text: &'c [u8],
    rows: &'r mut ChunkRows<'c>,
    /// The next byte and its line.
    at: usize,
    line: u64,
    shapes: D::Shapes,
    /// The number of lines until the next attempt to learn a shape, and the length of the previous pause.
    pause: [u32; 2],
    found: FoundLines,
    buffers: RunBuffers,
}

/// Buffers for one run of records.
#[derive(Default)]
struct RunBuffers {
    sensors: SensorsOfRun,
    /// Records left to the reference decoder.
    odd: Vec<u32>,
    numbers: NumberScratch,
}

impl<'d, 'r, 'c, D: LineDecoder> Lines<'d, 'r, 'c, D> {
    fn new(decoder: &'d D, text: &'c [u8], rows: &'r mut ChunkRows<'c>) -> Self {
        let (shapes, pause, found, buffers) = Default::default();
        Self { decoder, text, rows, at: 0, line: 0, shapes, pause, found, buffers }
    }

    /// Decodes the whole text, at most `most` lines at a time; returns the number of its lines.
    fn decode(mut self, most: usize) -> Result<u64> {
        let mut is_first = true;
        while self.at < self.text.len() {
            self.found.clear(self.at);
            self.shapes.find(self.text, self.decoder, most, &mut self.found);
            if self.found.lines.is_empty() {
                self.learn()?;
                continue;
            }
            self.run()?;
            if std::mem::take(&mut is_first) {
                // The rest is likely to resemble the first lines.
                self.rows.reserve(self.rows.len() * (self.text.len() / self.at.max(1)));
            }
        }
        Ok(self.line)
    }

    /// Decodes a line with the reference decoder and learns its shape. If that fails, the pause until the next attempt grows.
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
        self.pause = match self.shapes.learn(&self.text[start..end], self.decoder) {
            true => [0; 2],
            false => [(2 * *whole + 1).min(MOST_PAUSED); 2],
        };
        Ok(())
    }

    /// Returns the end of the line.
    fn one_by_reference(&mut self) -> Result<usize> {
        let (end, next) = self.decoder.line(self.text, self.at, self.line, self.rows)?;
        (self.at, self.line) = (next, self.line + 1);
        Ok(end)
    }

    /// Decodes the lines found, column by column.
    fn run(&mut self) -> Result<()> {
        let Self { decoder, text, rows, found, buffers, .. } = self;
        let RunBuffers { sensors, odd, numbers } = buffers;
        odd.clear();
        sensors.clear();
        let from = rows.len();
        let run = ValuesOfRun { text, found };
        let (records, layout) = (run.records(), decoder.layout());
        for (&role, &value) in layout.roles.iter().zip(&found.places) {
            let Some(field) = value else {
                rows.missing(role, records);
                continue;
            };
            let mut column = FieldOfRun { run: &run, field, columns: &layout.columns, odd };
            match role {
                Role::Measurement(at) => rows.numbers(at, &mut column, numbers),
                Role::Time(at) if found.times.is_empty() => {
                    rows.times(at, |last, times| column.times(last, times));
                }
                Role::Time(at) => rows.times(at, |_, times| {
                    times.values.to_mut().extend_from_slice(&found.times);
                    run.spans(field, &mut times.text);
                }),
                Role::Text(at) => {
                    rows.texts(at, |spans| run.spans(field, spans));
                    rows.keep_made(at, from, text.len(), &found.made);
                }
                Role::Sensor(_) => column.sensors(sensors, rows.sensors()),
                // Composite columns are left to the reference decoder.
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

    /// Keeps the decoded records between odd ones, and decodes the odd ones with the reference decoder.
    fn piecewise(&mut self, from: usize) -> Result<()> {
        let decoded = self.rows.split_off(from);
        let buffers = std::mem::take(&mut self.buffers);
        let records = self.found.lines.len();
        let mut next = 0;
        for stop in buffers.odd.iter().map(|&row| row as usize).chain([records]) {
            self.rows.append(&decoded, next..stop);
            self.rows.accept_run(next..stop, &buffers.sensors, self.text)?;
            self.origins(next, stop);
            self.line += (stop - next) as u64;
            self.at = self.found.lines.get(stop).map_or(self.found.next, |&(start, _)| start as usize);
            if stop < records {
                self.one_by_reference()?;
            }
            next = stop + 1;
        }
        self.buffers = buffers;
        Ok(())
    }

    /// Records the origins of the lines `from..to`; the first of them is line `self.line`.
    fn origins(&mut self, from: usize, to: usize) {
        if self.rows.has_origins() {
            for (line, &(start, end)) in (self.line..).zip(&self.found.lines[from..to]) {
                self.rows.origin(start as usize, line, (end - start) as usize);
            }
        }
    }
}

/// The values of the lines found.
struct ValuesOfRun<'a> {
    text: &'a [u8],
    found: &'a FoundLines,
}

impl ValuesOfRun<'_> {
    /// Text is carried unchanged, including spaces; only null is missing.
    fn spans(&self, field: usize, spans: &mut Vec<Span>) {
        spans.extend(self.found.values.chunks_exact(self.found.width).map(|values| values[field]));
    }
}

/// The start and end of a value; equal for a missing one.
#[inline]
fn bounds(value: Span) -> (usize, usize) {
    let start = value.start();
    (start, if value.is_null() { start } else { start + value.len() })
}

impl RecordRun for ValuesOfRun<'_> {
    fn text(&self) -> &[u8] {
        self.text
    }

    fn made(&self) -> &[u8] {
        &self.found.made
    }

    fn records(&self) -> usize {
        self.found.lines.len()
    }

    fn bounds(&self, field: usize, record: usize) -> (usize, usize) {
        bounds(self.found.values[record * self.found.width + field])
    }

    #[inline(always)]
    fn each(&self, field: usize, mut each: impl FnMut(usize, usize, usize)) {
        for (record, values) in self.found.values.chunks_exact(self.found.width).enumerate() {
            let (start, end) = bounds(values[field]);
            each(record, start, end);
        }
    }
}
