//! Fast decoder for regular CSV: a tile of some kilobytes at a time, first the positions of all separators, then column by column, so that
//! rows do not depend on each other. Irregular text goes to the reference decoder, record by record, or tile by tile if its quotes or line
//! ends are irregular. So records, rejections and positions always equal those of the reference decoder.

use super::decoder::CsvDecoder;
use super::reference::ReferenceBuffers;
use super::scan::Marks;
use crate::batch::Span;
use crate::error::Result;
use crate::format::blank::blank_lines;
use crate::format::columns::Role;
use crate::format::rows::ChunkRows;
use crate::format::run::{FieldOfRun, NumberScratch, RecordRun, SensorsOfRun, trimmed};
use crate::kernel::separators::{self, Separators, Survey};

/// Decodes a chunk into rows.
pub(super) struct Tiles<'d, 'r, 'c> {
    decoder: &'d CsvDecoder,
    comment: Option<u8>,
    text: &'c [u8],
    rows: &'r mut ChunkRows<'c>,
    by: Separators,
    /// The next byte and its line.
    at: usize,
    line: u64,
    /// The delimiters and line feeds outside quotes in the tile, up to the last line feed.
    places: Vec<u32>,
    scratch: RunBuffers,
    reference: ReferenceBuffers,
}

/// Buffers for one run of records.
#[derive(Default)]
struct RunBuffers {
    sensors: SensorsOfRun,
    /// Records left to the reference decoder.
    odd: Vec<u32>,
    numbers: NumberScratch,
}

/// How the fields of a tile are delimited.
#[derive(Clone, Copy)]
struct TileShape {
    fields: usize,
    /// The number of line feeds outside quotes.
    records: usize,
    /// Whether every line feed follows a carriage return.
    has_returns: bool,
    quote: Option<u8>,
    has_doubled: bool,
}

/// Consecutive regular records: `places[first_place ..]` are their separators.
#[derive(Clone, Copy)]
struct Stretch {
    start: usize,
    first_place: usize,
    records: usize,
}

impl<'d, 'r, 'c> Tiles<'d, 'r, 'c> {
    pub(super) fn new(
        decoder: &'d CsvDecoder,
        marks: &Marks,
        text: &'c [u8],
        rows: &'r mut ChunkRows<'c>,
    ) -> Self {
        Self {
            decoder,
            comment: marks.comment,
            text,
            rows,
            by: Separators { delimiter: marks.delimiter, quote: marks.quote },
            at: 0,
            line: 0,
            places: Vec::new(),
            scratch: RunBuffers::default(),
            reference: ReferenceBuffers::default(),
        }
    }

    /// Decodes the whole text; returns the number of its lines.
    pub(super) fn decode(mut self, tile: usize) -> Result<u64> {
        while self.at < self.text.len() {
            let end = self.text.len().min(self.at + tile);
            let found = separators::find(&self.text[self.at..end], self.at as u32, self.by, &mut self.places);
            let is_first = self.at == 0;
            match self.shape(&found) {
                Some(shape) => self.tile(shape)?,
                None => self.by_reference(end)?,
            }
            if is_first {
                // The rest is likely to resemble the first tile.
                self.rows.reserve(self.rows.len() * (self.text.len() / self.at.max(1)));
            }
        }
        Ok(self.line)
    }

    /// How the fields of the tile are delimited; `None` if the reference decoder has to decide.
    fn shape(&self, found: &Survey) -> Option<TileShape> {
        let has_returns = found.has_returns;
        let line_feeds = found.line_feeds;
        let is_regular = found.has_plain_lines();
        let fields = self.decoder.layout.roles.len();
        let is_text = found.is_ascii || std::str::from_utf8(&self.text[self.at..self.complete()]).is_ok();
        (is_regular && line_feeds > 0 && fields > 0 && is_text && !self.may_begin_with_nuls()).then_some(
            TileShape {
                fields,
                records: line_feeds,
                has_returns,
                quote: self.by.quote.filter(|_| found.quotes > 0),
                has_doubled: found.has_doubled,
            },
        )
    }

    /// Whether a record of the tile may begin with NULs to be ignored and still decode: numbers and times with NULs are odd anyway.
    fn may_begin_with_nuls(&self) -> bool {
        let first = self.decoder.layout.roles.first();
        matches!(first, Some(Role::Text(_) | Role::Sensor(_)))
            && memchr::memchr(0, &self.text[self.at..self.complete()]).is_some()
    }

    /// The end of the last complete record of the tile.
    fn complete(&self) -> usize {
        let last = self.places.iter().rfind(|&&place| self.text[place as usize] == b'\n');
        last.map_or(self.at, |&place| place as usize + 1)
    }

    /// Decodes the complete records of a tile.
    fn tile(&mut self, shape: TileShape) -> Result<()> {
        let complete = self.complete();
        self.places.truncate(self.places.partition_point(|&place| (place as usize) < complete));
        if shape.has_returns && !self.has_returns_at_line_ends(complete) {
            return self.by_reference(complete);
        }
        let mut next = 0;
        while next < self.places.len() {
            let run = Stretch { start: self.at, first_place: next, records: self.regular(next, shape) };
            next += run.records * shape.fields;
            self.run(run, shape)?;
            let blank = self.blank_lines(complete);
            next += blank;
            if blank == 0 && next < self.places.len() {
                self.one_by_reference()?;
                next += self.places[next..].partition_point(|&place| (place as usize) < self.at);
            }
        }
        Ok(())
    }

    /// Skips the blank lines that come next, each of which is one separator; returns their number.
    fn blank_lines(&mut self, complete: usize) -> usize {
        let (lines, bytes) = blank_lines(&self.text[self.at..complete]);
        (self.at, self.line) = (self.at + bytes, self.line + lines as u64);
        lines
    }

    /// Whether carriage returns occur before every line feed, and nowhere else.
    fn has_returns_at_line_ends(&self, complete: usize) -> bool {
        let ends = self.places.iter().map(|&place| place as usize).filter(|&place| self.text[place] == b'\n');
        let mut count = 0;
        let all = ends.into_iter().all(|place| {
            count += 1;
            place > self.at && self.text[place - 1] == b'\r'
        });
        all && memchr::memchr_iter(b'\r', &self.text[self.at..complete]).count() == count
    }

    /// The number of records from separator `first` on that have the expected number of fields and are neither blank nor comments.
    fn regular(&self, first: usize, shape: TileShape) -> usize {
        let mut start = self.at;
        let comment = self.comment;
        if first == 0 && comment.is_none() && self.is_regular_throughout(shape) {
            return shape.records;
        }
        let is_regular = |places: &&[u32]| {
            let (&end, delimiters) = match places.split_last() {
                Some(split) => split,
                None => return false,
            };
            let is_blank = start + usize::from(shape.has_returns) >= end as usize;
            let is_comment = comment.is_some() && self.text.get(start).copied() == comment;
            start = end as usize + 1;
            let in_line = delimiters.iter().all(|&place| self.text[place as usize] != b'\n');
            self.text[end as usize] == b'\n' && in_line && !is_blank && !is_comment
        };
        self.places[first..].chunks_exact(shape.fields).take_while(is_regular).count()
    }

    /// Whether the whole tile is regular, without comments. If every last separator is a line feed and there are no other line feeds, all
    /// others are delimiters; with two or more fields, no line is blank then.
    fn is_regular_throughout(&self, shape: TileShape) -> bool {
        let records = self.places.chunks_exact(shape.fields);
        shape.fields > 1
            && self.places.len() == shape.fields * shape.records
            && records.into_iter().all(|places| self.text[places[shape.fields - 1] as usize] == b'\n')
    }

    /// Decodes records with the reference decoder until `until` is reached.
    fn by_reference(&mut self, until: usize) -> Result<()> {
        while self.at < until {
            self.one_by_reference()?;
        }
        Ok(())
    }

    fn one_by_reference(&mut self) -> Result<()> {
        let (at, lines) = self.decoder.one(self.text, self.at, self.line, self.rows, &mut self.reference)?;
        (self.at, self.line) = (at, self.line + lines);
        Ok(())
    }

    /// Decodes a run of regular records, column by column.
    fn run(&mut self, run: Stretch, shape: TileShape) -> Result<()> {
        if run.records == 0 {
            return Ok(());
        }
        let decoder = self.decoder;
        let fields = RunFields { text: self.text, places: &self.places, run, shape };
        let end = fields.end(run.records - 1);
        let RunBuffers { sensors, odd, numbers } = &mut self.scratch;
        odd.clear();
        sensors.clear();
        let from = self.rows.len();
        for (field, &role) in decoder.layout.roles.iter().enumerate() {
            let mut column = FieldOfRun { run: &fields, field, columns: &decoder.layout.columns, odd };
            match role {
                Role::Measurement(at) => self.rows.numbers(at, &mut column, numbers),
                Role::Time(at) => self.rows.times(at, |last, times| column.times(last, times)),
                Role::Text(at) => self.rows.texts(at, |spans| fields.spans(field, spans)),
                Role::Sensor(_) => column.sensors(sensors, self.rows.sensors()),
                // Composite columns are left to the reference decoder.
                Role::Skip | Role::Part { .. } => continue,
            }
            fields.mark_doubled(field, odd);
        }
        self.rows.fill_missing(run.records);
        if decoder.has_likely_header {
            fields.mark_headers(decoder, odd);
        }
        odd.sort_unstable();
        odd.dedup();
        if odd.is_empty() {
            self.rows.accept_run(0..run.records, sensors, self.text)?;
            self.origins(run, shape, 0, run.records);
            self.line += run.records as u64;
            self.at = end;
            return Ok(());
        }
        self.piecewise(run, shape, from)
    }

    /// Keeps the decoded records between odd ones, and decodes the odd ones with the reference decoder.
    fn piecewise(&mut self, run: Stretch, shape: TileShape, from: usize) -> Result<()> {
        let decoded = self.rows.split_off(from);
        let scratch = std::mem::take(&mut self.scratch);
        let mut next = 0;
        for stop in scratch.odd.iter().map(|&row| row as usize).chain([run.records]) {
            self.rows.append(&decoded, next..stop);
            self.rows.accept_run(next..stop, &scratch.sensors, self.text)?;
            self.origins(run, shape, next, stop);
            self.line += (stop - next) as u64;
            let fields = RunFields { text: self.text, places: &self.places, run, shape };
            self.at = fields.begin(stop);
            if stop < run.records {
                self.one_by_reference()?;
            }
            next = stop + 1;
        }
        self.scratch = scratch;
        Ok(())
    }

    /// Records the origins of the records `from..to` of a run; the first of them is at line `self.line`.
    fn origins(&mut self, run: Stretch, shape: TileShape, from: usize, to: usize) {
        if self.rows.has_origins() {
            let fields = RunFields { text: self.text, places: &self.places, run, shape };
            for record in from..to {
                let (start, end) = (fields.begin(record), fields.line_end(record));
                self.rows.origin(start, self.line + (record - from) as u64, end - start);
            }
        }
    }
}

/// The positions of a run's fields.
struct RunFields<'a> {
    text: &'a [u8],
    places: &'a [u32],
    run: Stretch,
    shape: TileShape,
}

impl RunFields<'_> {
    /// The first byte of a record.
    #[inline]
    fn begin(&self, record: usize) -> usize {
        if record == 0 { self.run.start } else { self.end(record - 1) }
    }

    /// The byte after a record's line end.
    fn end(&self, record: usize) -> usize {
        self.places[self.run.first_place + (record + 1) * self.shape.fields - 1] as usize + 1
    }

    /// The end of a record without its line end.
    fn line_end(&self, record: usize) -> usize {
        self.end(record) - 1 - usize::from(self.shape.has_returns)
    }
}

impl RecordRun for RunFields<'_> {
    fn text(&self) -> &[u8] {
        self.text
    }

    fn records(&self) -> usize {
        self.run.records
    }

    fn bounds(&self, field: usize, record: usize) -> (usize, usize) {
        let TileShape { fields, .. } = self.shape;
        let place = self.run.first_place + record * fields + field;
        let start = if field == 0 { self.begin(record) } else { self.places[place - 1] as usize + 1 };
        self.within_quotes(start, self.places[place] as usize - self.returns(field))
    }

    #[inline(always)]
    fn each(&self, field: usize, mut each: impl FnMut(usize, usize, usize)) {
        let TileShape { fields, .. } = self.shape;
        let places = &self.places[self.run.first_place..][..self.run.records * fields];
        let returns = self.returns(field);
        let mut before = self.run.start;
        for (record, places) in places.chunks_exact(fields).enumerate() {
            let start = if field == 0 { before } else { places[field - 1] as usize + 1 };
            before = places[fields - 1] as usize + 1;
            let (start, end) = self.within_quotes(start, places[field] as usize - returns);
            each(record, start, end);
        }
    }
}

impl RunFields<'_> {
    /// The number of carriage returns between a field and the next separator.
    fn returns(&self, field: usize) -> usize {
        usize::from(self.shape.has_returns && field + 1 == self.shape.fields)
    }

    /// The range between the quotes; doubled quotes in it are odd, and decoded again.
    #[inline(always)]
    fn within_quotes(&self, start: usize, end: usize) -> (usize, usize) {
        let is_quoted = self.shape.quote.is_some_and(|quote| end - start >= 2 && self.text[start] == quote);
        (start + usize::from(is_quoted), end - usize::from(is_quoted))
    }

    fn spans(&self, field: usize, spans: &mut Vec<Span>) {
        self.each(field, |_, start, end| {
            let (start, field) = trimmed(self.text, start, end);
            spans.push(if field.is_empty() { Span::NULL } else { Span::new(start, field.len()) });
        });
    }

    /// If all columns are text, a header decodes like a record, so it has to be found here.
    #[inline(never)]
    fn mark_headers(&self, decoder: &CsvDecoder, odd: &mut Vec<u32>) {
        let is_header =
            |&record: &usize| decoder.may_be_header(&self.text[self.begin(record)..self.line_end(record)]);
        odd.extend((0..self.run.records).filter(is_header).map(|record| record as u32));
    }

    /// Fields with quotes inside have to be unquoted: the reference decoder does that. Not inlined: it would take registers from the loops
    /// beside it (measured).
    #[inline(never)]
    fn mark_doubled(&self, field: usize, odd: &mut Vec<u32>) {
        let Some(quote) = self.shape.quote.filter(|_| self.shape.has_doubled) else { return };
        self.each(field, |record, start, end| {
            if self.text[start..end].contains(&quote) {
                odd.push(record as u32);
            }
        });
    }
}

#[cfg(test)]
#[path = "tiles_tests.rs"]
mod tests;
