//! Sources that end, read together by the times of their records (clause 33): of the records that come next in each, the earliest goes first; of those with
//! the same time, that of the source that is written first. The order within each source stays as it is.
//!
//! They leave in pieces of about the size of a chunk, each of which ends where one source has nothing left of its own: so it costs as much to read sources
//! whose records alternate as any others. In a piece, the records of each source are a batch of their own, and each record has its place among all: whatever
//! joins the sources puts them together by that.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::chunks::{LineCount, take_until};
use super::inlet::{Arrived, Inlet, Share};
use crate::batch::{Batch, Origins};
use crate::error::guard::caught;
use crate::error::{Error, Rejection, Result};
use crate::format::{Chunk, Decoded};
use crate::offset::Trigger;
use crate::sensor::SensorIds;
use crate::source::{Input, Progress};
use crate::time::Timestamp;

/// Bytes after the place of a source in a checkpoint: its line, and how much of the piece from there on was [consumed](Ready::consumed).
const TAIL: usize = 8 + 8;

/// The sources that are merged.
#[derive(Default)]
pub(super) struct Merged {
    members: Vec<Member>,
    /// Whether positions are needed, to resume from.
    keeps_place: bool,
}

/// One of them.
struct Member {
    /// The index of the source.
    source: usize,
    /// Where its current piece begins: the source's position, and the line.
    before: (Option<Vec<u8>>, u64),
    /// The line behind that piece.
    line: u64,
    /// The number of records of the next piece that were processed before a restart.
    skip: u64,
    ready: Option<Ready>,
    has_ended: bool,
}

/// What is left of a piece.
struct Ready {
    /// The index of the source.
    source: usize,
    /// Its bytes, which must not have changed.
    chunk: Option<Chunk>,
    batch: Batch,
    rejections: Vec<Rejection>,
    latest: Option<Timestamp>,
    /// The number of its rows, and how many of them were passed on.
    length: usize,
    rows: usize,
    /// The number of records, including rejections.
    records: u64,
}

impl Merged {
    /// Merges these sources of the pipeline; with `keeps_place`, they can resume after a restart.
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

    /// The next records; `None` at the end of all.
    pub(super) fn next(&mut self, inlets: &mut [Inlet], ids: &mut SensorIds) -> Result<Option<Arrived>> {
        for member in &mut self.members {
            let inlet = inlets.iter_mut().find(|inlet| inlet.at() == member.source).ok_or_else(not_open)?;
            if let Some(arrived) = member.fill(inlet, self.keeps_place, ids)? {
                return Ok(Some(arrived));
            }
        }
        let places = self.places();
        let is_alone = places.iter().filter(|places| !places.is_empty()).count() < 2;
        let shares = self.members.iter_mut().zip(&places).filter(|(_, places)| !places.is_empty());
        let shares =
            shares.map(|(member, places)| member.take_share(places, is_alone)).collect::<Result<Vec<_>>>()?;
        Ok((!shares.is_empty()).then(|| Arrived { shares, progress: Progress::default() }))
    }

    /// By member: the places that its next records have among those of all, as far as each has records at hand.
    fn places(&self) -> Vec<Vec<Trigger>> {
        let heads = self
            .members
            .iter()
            .enumerate()
            .filter_map(|(at, member)| Some((*member.times_left().first()?, at)));
        let mut heads: BinaryHeap<_> = heads.map(Reverse).collect();
        let (mut places, mut next) = (vec![Vec::new(); self.members.len()], 0..);
        while let Some(Reverse((_, at))) = heads.pop() {
            let left = &self.members[at].times_left()[places[at].len()..];
            let other = heads.peek().map(|Reverse(head)| *head);
            let count = left.iter().take_while(|&&time| other.is_none_or(|other| (time, at) < other)).count();
            places[at].extend(next.by_ref().take(count).map(Trigger::merged));
            // What comes behind its last one has to be known first.
            let Some(&head) = left.get(count) else { break };
            heads.push(Reverse((head, at)));
        }
        places
    }

    /// The place of a source, which has given all before `reached`, for a checkpoint.
    pub(super) fn place(&self, source: usize, reached: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let Some(member) = self.members.iter().find(|member| member.source == source) else { return reached };
        let (place, line, gone) = match &member.ready {
            Some(ready) => (member.before.0.clone(), member.before.1, ready.consumed()),
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
        let damaged = || Error::data("the position of a merged source in the checkpoint is damaged");
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
            let Arrived { shares, progress } = arrived;
            let Some(Share { source, input, latest }) = shares.into_iter().next() else { continue };
            let (decoded, chunk) = match input {
                Input::Chunk(chunk) => (self.decode(&chunk, ids)?, Some(chunk)),
                Input::Records(decoded) => (decoded, None),
                Input::Deferred(deferred) => (deferred.decode(ids)?, None),
                input => {
                    let shares = vec![Share { source, input, latest }];
                    return Ok(Some(Arrived { shares, progress }));
                }
            };
            let Decoded { batch, mut rejections, .. } = decoded;
            rejections.sort_by_key(Rejection::trigger);
            let length = batch.len();
            let mut ready = Ready { source, chunk, batch, rejections, latest, length, rows: 0, records: 0 };
            self.skip = ready.skip(self.skip);
            // What was refused stands behind the record before it, and this piece's first record has none.
            let refused = ready.refused_before(ready.rows);
            let arrived = (!refused.is_empty()).then(|| {
                let shares = vec![ready.share(ready.rows, refused, None)];
                Arrived { shares, progress }
            });
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

    /// The times of the records at hand.
    fn times_left(&self) -> &[Timestamp] {
        let Some(ready) = &self.ready else { return &[] };
        ready.batch.times().map_or(&[], |times| &times[ready.rows..])
    }

    /// The records at hand that have these places among those of all members; where they are `is_alone` in their piece, they need none.
    fn take_share(&mut self, places: &[Trigger], is_alone: bool) -> Result<Share> {
        let mut ready = self.ready.take().ok_or_else(|| Error::internal("a merged source has no record"))?;
        let end = ready.rows + places.len();
        let mut refused = ready.refused_before(end);
        if !is_alone {
            ready.place(&mut refused, places);
        }
        let share = ready.share(end, refused, (!is_alone).then_some(places));
        match end == ready.length {
            true => ready.check_unchanged()?,
            false => self.ready = Some(ready),
        }
        Ok(share)
    }
}

impl Ready {
    /// How much of it has been consumed, for a checkpoint: the number of rows, plus one for what was refused before the first row. In a checkpoint, 0 stands for
    /// nothing.
    fn consumed(&self) -> u64 {
        self.rows as u64 + 1
    }

    /// Skips what was consumed before a restart, counted as by [`Ready::consumed`]; returns how much of it is in the pieces after this one.
    fn skip(&mut self, consumed: u64) -> u64 {
        let Some(rows) = consumed.checked_sub(1) else { return 0 };
        let length = self.length as u64;
        self.rows = rows.min(length) as usize;
        let refused = self.refused_before(self.rows);
        self.records = (self.rows + refused.len()) as u64;
        if rows < length { 0 } else { consumed - length }
    }

    /// Takes the rejections before row `end`; all of them at the end.
    fn refused_before(&mut self, end: usize) -> Vec<Rejection> {
        match self.batch.origins.as_ref().filter(|_| end < self.length) {
            Some(origins) => take_until(&mut self.rejections, origins.trigger(end)),
            None => std::mem::take(&mut self.rejections),
        }
    }

    /// Checks that the file has not changed since this piece was read.
    fn check_unchanged(&self) -> Result<()> {
        self.chunk.iter().try_for_each(|chunk| caught("source", || chunk.check_unchanged()))
    }

    /// Puts each of `refused`, which are in their order, behind the record before it; the next records have these places.
    fn place(&self, refused: &mut [Rejection], places: &[Trigger]) {
        let Some(origins) = &self.batch.origins else { return };
        let mut behind = 0;
        for rejection in refused {
            let trigger = rejection.trigger();
            let comes_before = |&at: &usize| origins.trigger(self.rows + at) < trigger;
            behind += (behind..places.len()).take_while(comes_before).count();
            let place = places.get(behind.saturating_sub(1)).copied().unwrap_or_default();
            rejection.decided = Some(place.behind());
        }
    }

    /// The rows to `end`, which have these places, with what was refused beside them.
    fn share(&mut self, end: usize, mut rejections: Vec<Rejection>, places: Option<&[Trigger]>) -> Share {
        let is_whole = self.rows == 0 && end == self.length;
        let rows = self.rows as u32..end as u32;
        let mut batch = match is_whole {
            true => {
                let none = Batch::empty(Arc::clone(self.batch.schema()));
                std::mem::replace(&mut self.batch, none)
            }
            false => self.batch.take(&rows.clone().collect::<Vec<_>>()),
        };
        rejections
            .iter_mut()
            .for_each(|rejection| rejection.record = rejection.record.saturating_sub(self.records));
        if let Some(places) = places.map(<[Trigger]>::to_vec) {
            match &mut batch.origins {
                Some(origins) => origins.set_triggers(places),
                None => batch.origins = Some(Origins::made_by(places)),
            }
        }
        self.records += rows.len() as u64 + rejections.len() as u64;
        self.rows = end;
        let input = Input::Records(Decoded { batch, rejections, lines: 0 });
        Share { source: self.source, input, latest: self.latest }
    }
}

fn not_open() -> Error {
    Error::internal("a merged source is not open")
}
