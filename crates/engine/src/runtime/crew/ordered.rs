//! Steps in the order of the chunks.

use std::sync::Arc;
use std::time::Instant;

use super::claim::Dropped;
use crate::error::guard::{asked, caught};
use crate::error::{Error, Rejection, Result};
use crate::format::Chunk;
use crate::metrics::Entry;
use crate::runtime::Observer;
use crate::runtime::admission;
use crate::runtime::chunks::{LineCount, Refused, drain_rejections};
use crate::runtime::drain::Drain;
use crate::runtime::limit::RejectLimit;
use crate::runtime::meters::CrewMeters;
use crate::runtime::odd_times::OddTimes;
use crate::runtime::reload::Reload;
use crate::runtime::snapshot::Positions;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::tally::Tally;
use crate::sensor::SharedSensors;
use crate::source::Progress;
use crate::stage::Cut;

/// State that is updated in the order of the chunks.
pub(super) struct Ordered<'a, D> {
    pub(super) name: &'a str,
    pub(super) drain: &'a mut D,
    pub(super) observer: &'a mut (dyn Observer + Send),
    pub(super) limit: RejectLimit,
    pub(super) tally: Tally,
    pub(super) meters: Option<Arc<CrewMeters>>,
    pub(super) next: u64,
}

/// A processed chunk.
pub(super) struct Finished<R> {
    pub(super) about: ChunkMetadata,
    /// What became of it in the sources that have a share in it.
    pub(super) sources: Vec<OfSource>,
    pub(super) odd_times: OddTimes,
    /// What the stages set aside, and what goes to the drain; or what went wrong after decoding.
    pub(super) rest: Result<Passed<R>>,
}

/// What has become of the share of one source, besides its records.
pub(super) struct OfSource {
    pub(super) source: usize,
    /// Its bytes, where it had any.
    pub(super) chunk: Option<Chunk>,
    pub(super) records: u64,
    pub(super) rejections: Vec<Rejection>,
    /// Rejections for reasons other than the record's text: its time is ahead of the clock, or its sensor is beyond the limits.
    pub(super) aside: Vec<Rejection>,
    pub(super) lines: LineCount,
}

/// What is known of a chunk before it is decoded.
#[derive(Clone, Copy)]
pub(super) struct ChunkMetadata {
    pub(super) ordinal: u64,
    /// Which source gave it; the first of several.
    pub(super) source: usize,
    pub(super) progress: Progress,
    pub(super) arrived: Option<Instant>,
    pub(super) dropped: Dropped,
}

/// The result of the stages for a batch.
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
        stages: Vec<Cut>,
        admission: Option<admission::AdmissionState>,
        sensors: &SharedSensors,
    ) -> Result<()> {
        let counts = counts(&self.tally, &self.limit, admission)?;
        self.drain.cut(Snapshot { sources, stages, tally: &self.tally, counts, sensors })
    }

    /// From here on, other options hold.
    pub(super) fn reload(&mut self, reload: &Reload) -> Result<()> {
        self.drain.reload(reload, self.tally.records())
    }

    pub(super) fn accept(&mut self, finished: Finished<D::Ready>, sensors: &SharedSensors) -> Result<()> {
        let Finished { about, sources, odd_times, rest } = finished;
        let chunks = sources.iter().filter_map(|source| source.chunk.as_ref());
        chunks.into_iter().try_for_each(|chunk| caught("source", || chunk.check_unchanged()))?;
        self.tally.odd_times.add(odd_times);
        let (mut refused, mut aside) = (Refused::default(), Vec::new());
        for source in sources {
            let dropped = if source.source == about.source { about.dropped.records } else { 0 };
            aside.extend(self.count(source, dropped, &mut refused));
        }
        self.limit.pass(&refused)?;
        let mut rejections = refused.rejections;
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
        drain_rejections(rejections, self.drain)?;
        passed.ready.map_or(Ok(()), |ready| self.drain.accept(ready, about.arrived, sensors))?;
        let Self { observer, name, tally, meters, .. } = self;
        if let Some(meters) = meters {
            meters.count(tally, sensors.read().len(), about.progress);
        }
        asked("the observer", || observer.progress(name, about.progress, tally.records()))
    }

    /// Counts the share of a source and what was `dropped` before it; adds what it has refused, and gives what was set aside besides.
    fn count(&mut self, share: OfSource, dropped: u64, refused: &mut Refused) -> Vec<Rejection> {
        let OfSource { source, records, mut rejections, aside, lines, .. } = share;
        let ledger = &mut self.tally.sources[source].ledger;
        let (before, base) = (ledger.input, lines.pass(&mut self.tally.lines[source]));
        rejections.iter_mut().for_each(|rejection| rejection.position.line += base);
        let rejected = (rejections.len() + aside.len()) as u64;
        ledger.input += records + dropped;
        ledger.dropped += dropped;
        ledger.rejected += rejected;
        ledger.output += records - rejected;
        refused.add(records, rejections, before);
        aside
    }
}

/// The counts for a checkpoint.
pub(super) fn counts(
    tally: &Tally,
    limit: &RejectLimit,
    admission: Option<admission::AdmissionState>,
) -> Result<Vec<u8>> {
    postcard::to_stdvec(&(tally.counted(), limit.counted(), admission))
        .map_err(|error| Error::internal(format!("the counts cannot be saved: {error}")))
}
