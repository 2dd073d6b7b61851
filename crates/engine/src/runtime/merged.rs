//! Sources that end, read together by the times of their records (clause 33): of the records that come next in each, the earliest goes first; of those with
//! the same time, that of the source that is written first. The order within each source stays as it is.

use std::sync::Arc;

use super::chunks::{LineCount, until};
use super::inlet::{Arrived, Inlet};
use crate::batch::Batch;
use crate::error::guard::caught;
use crate::error::{Error, Rejection, Result};
use crate::format::{Chunk, Decoded};
use crate::sensor::SensorIds;
use crate::source::{Input, Progress};
use crate::time::Timestamp;

/// Bytes behind the place of a source in a checkpoint: its line, and what of the piece from there on has gone ([`Ready::gone`]).
const TAIL: usize = 8 + 8;

/// The sources that are merged.
#[derive(Default)]
pub(super) struct Merged {
    members: Vec<Member>,
    /// Whether their places are asked for.
    keeps_place: bool,
}

/// One of them.
struct Member {
    /// Which source of the pipeline it is.
    source: usize,
    /// Where its piece in hand begins: the source's place, and the line.
    before: (Option<Vec<u8>>, u64),
    /// The line behind that piece.
    line: u64,
    /// What of the next piece has gone before a restart.
    skip: u64,
    ready: Option<Ready>,
    has_ended: bool,
}

/// What is left of a piece.
struct Ready {
    /// Which source gave it.
    source: usize,
    /// Its bytes, which must not have changed.
    chunk: Option<Chunk>,
    batch: Batch,
    rejections: Vec<Rejection>,
    latest: Option<Timestamp>,
    /// How many rows it has, and how many of them have gone.
    length: usize,
    rows: usize,
    /// How many records, rejections among them.
    records: u64,
}

impl Merged {
    /// Of these sources of the pipeline; with `keeps_place`, they can go on after a restart.
    pub(super) fn new(sources: impl Iterator<Item = usize>, keeps_place: bool) -> Self {
        let member =
            |source| Member { source, before: (None, 1), line: 1, skip: 0, ready: None, has_ended: false };
        Self { members: sources.map(member).collect(), keeps_place }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether that source is one of them.
    pub(super) fn has(&self, source: usize) -> bool {
        self.members.iter().any(|member| member.source == source)
    }

    /// The next records of one of them; `None` at the end of all.
    pub(super) fn next(&mut self, inlets: &mut [Inlet], ids: &mut SensorIds) -> Result<Option<Arrived>> {
        for member in &mut self.members {
            let inlet = inlets.iter_mut().find(|inlet| inlet.at() == member.source).ok_or_else(not_there)?;
            if let Some(arrived) = member.fill(inlet, self.keeps_place, ids)? {
                return Ok(Some(arrived));
            }
        }
        let heads = self.members.iter().enumerate().filter_map(|(at, member)| Some((member.head()?, at)));
        let mut heads: Vec<_> = heads.collect();
        heads.sort_unstable();
        let Some(&(_, first)) = heads.first() else { return Ok(None) };
        self.members[first].give(heads.get(1).copied(), first).map(Some)
    }

    /// The place of a source, which has given all before `reached`, for a checkpoint.
    pub(super) fn place(&self, source: usize, reached: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let Some(member) = self.members.iter().find(|member| member.source == source) else { return reached };
        let (place, line, gone) = match &member.ready {
            Some(ready) => (member.before.0.clone(), member.before.1, ready.gone()),
            None => (reached, member.line, member.skip),
        };
        let tail = [line.to_le_bytes(), gone.to_le_bytes()].concat();
        place.map(|place| [place, tail].concat())
    }

    /// Goes on from what [`Merged::place`] gave; the place as the source knows it.
    pub(super) fn restore<'p>(&mut self, source: usize, place: &'p [u8]) -> Result<&'p [u8]> {
        let Some(member) = self.members.iter_mut().find(|member| member.source == source) else {
            return Ok(place);
        };
        let damaged = || Error::data("the place of a merged source in the checkpoint is damaged");
        let (place, tail) = place.split_at_checked(place.len().wrapping_sub(TAIL)).ok_or_else(damaged)?;
        let number = |at: usize| Some(u64::from_le_bytes(tail.get(at..at + 8)?.try_into().ok()?));
        let (line, skip) = number(0).zip(number(8)).ok_or_else(damaged)?;
        (member.line, member.skip) = (line, skip);
        Ok(place)
    }
}

impl Member {
    /// Has a record at hand, unless the source has ended; gives what it has given that is no record to be merged.
    fn fill(&mut self, inlet: &mut Inlet, keeps_place: bool, ids: &mut SensorIds) -> Result<Option<Arrived>> {
        while self.ready.is_none() && !self.has_ended {
            self.before = (if keeps_place { inlet.save()? } else { None }, self.line);
            let Some(arrived) = inlet.next(ids)? else {
                self.has_ended = true;
                break;
            };
            inlet.accept(0)?;
            let (decoded, chunk) = match arrived.input {
                Input::Chunk(chunk) => (self.decode(&chunk, ids)?, Some(chunk)),
                Input::Records(decoded) => (decoded, None),
                input => return Ok(Some(Arrived { input, ..arrived })),
            };
            let Decoded { batch, rejections, .. } = decoded;
            let (source, latest) = (self.source, arrived.latest);
            let length = batch.len();
            let mut ready = Ready { source, chunk, batch, rejections, latest, length, rows: 0, records: 0 };
            self.skip = ready.pass_over(self.skip);
            // What was refused stands behind the record before it, and this piece's first record has none.
            let refused = ready.refused_before(ready.rows);
            let arrived = (!refused.is_empty()).then(|| ready.piece(ready.rows, refused));
            match ready.rows == ready.length {
                true => ready.check_unchanged()?,
                false => self.ready = Some(ready),
            }
            if arrived.is_some() {
                return Ok(arrived);
            }
        }
        Ok(None)
    }

    /// The records of a chunk, whose lines are final.
    fn decode(&mut self, chunk: &Chunk, ids: &mut SensorIds) -> Result<Decoded> {
        let mut decoded = caught("source", || chunk.decode(ids))?;
        let base = LineCount::of(chunk, &decoded).pass(&mut self.line);
        decoded.batch.origins.iter_mut().for_each(|origins| origins.shift_lines(base));
        decoded.rejections.iter_mut().for_each(|rejection| rejection.position.line += base);
        Ok(decoded)
    }

    /// The time of the record at hand.
    fn head(&self) -> Option<Timestamp> {
        let ready = self.ready.as_ref()?;
        ready.batch.times()?.get(ready.rows).copied()
    }

    /// The records at hand that come before the one at hand of another member: `next` is its time and its place, `own` the place of this one.
    fn give(&mut self, next: Option<(Timestamp, usize)>, own: usize) -> Result<Arrived> {
        let mut ready = self.ready.take().ok_or_else(|| Error::internal("a merged source has no record"))?;
        let times = ready.batch.times().unwrap_or_default();
        let comes_first = |time: &&Timestamp| next.is_none_or(|next| (**time, own) < next);
        let count = times[ready.rows..].iter().take_while(comes_first).count();
        let end = ready.rows + count;
        let refused = ready.refused_before(end);
        let arrived = ready.piece(end, refused);
        match end == ready.length {
            true => ready.check_unchanged()?,
            false => self.ready = Some(ready),
        }
        Ok(arrived)
    }
}

impl Ready {
    /// What of it has gone: 0, or one more than rows; what was refused before a row goes with the row before it.
    fn gone(&self) -> u64 {
        self.rows as u64 + 1
    }

    /// Leaves out what has gone of it, as [`Ready::gone`] says; what of that is of later pieces.
    fn pass_over(&mut self, gone: u64) -> u64 {
        let Some(rows) = gone.checked_sub(1) else { return 0 };
        let length = self.length as u64;
        self.rows = rows.min(length) as usize;
        let refused = self.refused_before(self.rows);
        self.records = (self.rows + refused.len()) as u64;
        if rows < length { 0 } else { gone - length }
    }

    /// What was refused before row `end`, which is out of here then; all of it at the end.
    fn refused_before(&mut self, end: usize) -> Vec<Rejection> {
        match self.batch.origins.as_ref().filter(|_| end < self.length) {
            Some(origins) => until(&mut self.rejections, origins.trigger(end)),
            None => std::mem::take(&mut self.rejections),
        }
    }

    /// That the file is what it was when this was read.
    fn check_unchanged(&self) -> Result<()> {
        self.chunk.iter().try_for_each(|chunk| caught("source", || chunk.check_unchanged()))
    }

    /// The rows to `end`, with what was refused beside them.
    fn piece(&mut self, end: usize, mut rejections: Vec<Rejection>) -> Arrived {
        let is_whole = self.rows == 0 && end == self.length;
        let rows = self.rows as u32..end as u32;
        let batch = match is_whole {
            true => {
                let none = Batch::empty(Arc::clone(self.batch.schema()));
                std::mem::replace(&mut self.batch, none)
            }
            false => self.batch.take(&rows.clone().collect::<Vec<_>>()),
        };
        rejections
            .iter_mut()
            .for_each(|rejection| rejection.record = rejection.record.saturating_sub(self.records));
        self.records += rows.len() as u64 + rejections.len() as u64;
        self.rows = end;
        let input = Input::Records(Decoded { batch, rejections, lines: 0 });
        Arrived { input, source: self.source, latest: self.latest, progress: Progress::default() }
    }
}

fn not_there() -> Error {
    Error::internal("a merged source is not open")
}
