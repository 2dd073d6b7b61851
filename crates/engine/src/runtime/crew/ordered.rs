//! What is done with the chunks in their order.

use std::time::Instant;

use super::claim::Dropped;
use crate::error::guard::{asked, caught};
use crate::error::{Error, Rejection, Result};
use crate::format::Chunk;
use crate::metrics::Entry;
use crate::runtime::Observer;
use crate::runtime::admission;
use crate::runtime::chunks::{LineCount, set_aside};
use crate::runtime::drain::Drain;
use crate::runtime::limit::RejectLimit;
use crate::runtime::odd_times::OddTimes;
use crate::runtime::snapshot::Positions;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::tally::Tally;
use crate::sensor::SharedSensors;
use crate::source::Progress;
use crate::stage::Pieces;
use crate::time::Timestamp;

/// What is done with the chunks in their order.
pub(super) struct Ordered<'a, D> {
    pub(super) name: &'a str,
    pub(super) drain: &'a mut D,
    pub(super) observer: &'a mut (dyn Observer + Send),
    pub(super) limit: RejectLimit,
    pub(super) tally: Tally,
    pub(super) next: u64,
}

/// A chunk that came all the way.
pub(super) struct Finished<R> {
    /// Its bytes, where it had any.
    pub(super) chunk: Option<Chunk>,
    pub(super) about: About,
    pub(super) records: u64,
    pub(super) rejections: Vec<Rejection>,
    /// Those that were set aside for what is known besides the record: whose time is not believed, whose sensor is one too many.
    pub(super) aside: Vec<Rejection>,
    pub(super) odd_times: OddTimes,
    pub(super) lines: LineCount,
    /// What the stages set aside, and what goes to the drain; or what went wrong after decoding.
    pub(super) rest: Result<Passed<R>>,
}

/// What is known of a chunk before it is decoded.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) ordinal: u64,
    /// Which source gave it.
    pub(super) source: usize,
    pub(super) progress: Progress,
    pub(super) arrived: Option<Instant>,
    pub(super) dropped: Dropped,
    pub(super) latest: Option<Timestamp>,
}

/// What became of a batch in the stages.
pub(super) struct Passed<R> {
    pub(super) entries: Vec<Entry>,
    pub(super) rejections: Vec<Rejection>,
    pub(super) ready: Option<R>,
    /// By stage: when it was done.
    pub(super) done: Vec<Instant>,
}

impl<D: Drain> Ordered<'_, D> {
    pub(super) fn cut(
        &mut self,
        sources: Positions,
        stages: Vec<Pieces>,
        admission: Option<admission::Counted>,
        sensors: &SharedSensors,
    ) -> Result<()> {
        let counts = counts(&self.tally, &self.limit, admission)?;
        self.drain.cut(Snapshot { sources, stages, tally: &self.tally, counts, sensors })
    }

    pub(super) fn accept(&mut self, finished: Finished<D::Ready>, sensors: &SharedSensors) -> Result<()> {
        let Finished { about, chunk, records, mut rejections, mut aside, odd_times, lines, rest } = finished;
        chunk.iter().try_for_each(|chunk| caught("source", || chunk.check_unchanged()))?;
        self.tally.odd_times.add(odd_times);
        let ledger = &mut self.tally.sources[about.source].ledger;
        let (before, base) = (ledger.input, lines.pass(&mut self.tally.lines[about.source]));
        for rejection in &mut rejections {
            rejection.position.line += base;
            rejection.record += before;
        }
        let rejected = (rejections.len() + aside.len()) as u64;
        ledger.input += records + about.dropped.records;
        ledger.dropped += about.dropped.records;
        ledger.rejected += rejected;
        ledger.output += records - rejected;
        self.limit.pass(records, before, &rejections)?;
        let passed = rest?;
        self.tally.add(&passed.entries);
        if let Some(arrived) = about.arrived {
            for ((latencies, done), entry) in
                self.tally.latencies.iter_mut().zip(&passed.done).zip(&passed.entries)
            {
                latencies.add(done.saturating_duration_since(arrived), entry.ledger.input);
            }
        }
        aside.extend(passed.rejections);
        self.limit.note(&aside)?;
        rejections.extend(aside);
        set_aside(rejections, self.drain)?;
        passed.ready.map_or(Ok(()), |ready| self.drain.accept(ready, about.arrived, sensors))?;
        let Self { observer, name, tally, .. } = self;
        asked("the observer", || observer.progress(name, about.progress, tally.records()))
    }
}

/// What has been counted, for a checkpoint.
pub(super) fn counts(
    tally: &Tally,
    limit: &RejectLimit,
    admission: Option<admission::Counted>,
) -> Result<Vec<u8>> {
    postcard::to_stdvec(&(tally.counted(), limit.counted(), admission))
        .map_err(|error| Error::internal(format!("the counts cannot be saved: {error}")))
}
