//! Pieces of input after whose records sensors are given up (clause 27). There is one worker then: it takes one part of a piece after the
//! other to the sinks, and between them lets every stage discard state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ordered::{ChunkMetadata, Finished, OfSource, Ordered, Passed};
use super::{Crew, Dropped, Worker, decode};
use crate::batch::Batch;
use crate::chain::{account, pieces};
use crate::error::{Error, Result};
use crate::format::Decoded;
use crate::metrics::Entry;
use crate::runtime::admission::InputPart;
use crate::runtime::chunks::{LineCount, drain_rejections, reject_ahead, rows_of};
use crate::runtime::drain::Drain;
use crate::runtime::inlet::Share;
use crate::runtime::lane::Stopped;
use crate::runtime::odd_times::OddTimes;
use crate::runtime::turn::Turn;
use crate::sensor::{SensorId, SensorIds, SharedSensors};
use crate::stage::Flow;

impl Crew {
    /// Takes a piece all the way, part by part; each part, and each step between two parts, has an ordinal.
    pub(super) fn process_in_parts<D: Drain>(
        &self,
        mut about: ChunkMetadata,
        share: Share,
        worker: &mut Worker<D::Local>,
        ordered: &Turn<Ordered<'_, D>>,
    ) -> Result<(), Stopped> {
        let first = about.ordinal;
        let Share { source, input, latest } = share;
        let (decoded, mut lines, chunk) = decode(input, &about, worker)?;
        let Decoded { mut batch, mut rejections, .. } = decoded;
        self.meters.iter().for_each(|meters| meters.read(source, &batch));
        let turn = self.before_stages.as_ref().ok_or_else(|| Error::internal("no admission of sensors"))?;
        let mut before =
            turn.take(first, &self.control.cancelled, &mut Duration::default()).ok_or(Stopped::Cancelled)?;
        let base = lines.pass(&mut before.lines[source]);
        batch.origins.iter_mut().for_each(|origins| origins.shift_lines(base));
        rejections.iter_mut().for_each(|rejection| rejection.position.line += base);
        lines = lines.moved_by(base);
        let ahead = latest.map_or_else(Vec::new, |latest| reject_ahead(&mut batch, latest));
        let parts = before.admission.parts(batch, rejections, ahead, &self.sensors);
        let forgotten = before.admission.forgotten();
        drop(before);
        let mut records = 0;
        for part in parts {
            if about.ordinal > first {
                turn.pass(about.ordinal, &self.control.cancelled).ok_or(Stopped::Cancelled)?;
            }
            let InputPart { batch, records: more, mut rejections, aside, gone } = part;
            rejections.iter_mut().for_each(|rejection| rejection.record -= records);
            records += more;
            let odd_times = OddTimes::of(&batch);
            let rest = match self.stages::<D>(vec![(source, batch)], about.ordinal, worker) {
                Ok(rest) => Ok(rest),
                Err(Stopped::Failed(error)) => Err(error),
                Err(Stopped::Cancelled) => return Err(Stopped::Cancelled),
            };
            // The text of every part is in the chunk.
            let chunk = chunk.clone();
            let share = OfSource { source, chunk, records: more, rejections, aside, lines };
            let finished = Finished { about, sources: vec![share], odd_times, rest };
            self.hand_over(about.ordinal, Ok(finished), ordered, &mut worker.handing_over);
            D::work(&mut worker.drain);
            if self.control.is_cancelled() {
                return Err(Stopped::Cancelled);
            }
            (about.dropped, lines) = (Dropped::default(), LineCount::Final);
            about.ordinal += 1;
            if !gone.is_empty() {
                self.give_up(&gone, &mut about.ordinal, worker, ordered)?;
            }
        }
        self.more.fetch_add(about.ordinal - first - 1, Ordering::Relaxed);
        if !forgotten.is_empty() && self.sensors.forget(&forgotten) {
            worker.ids = SensorIds::new(Arc::clone(&self.sensors));
        }
        Ok(())
    }

    /// Gives up sensors in all stages, then in the sinks; records that a stage held for them pass through the stages after it first.
    fn give_up<D: Drain>(
        &self,
        gone: &[SensorId],
        ordinal: &mut u64,
        worker: &mut Worker<D::Local>,
        ordered: &Turn<Ordered<'_, D>>,
    ) -> Result<(), Stopped> {
        for (at, lane) in self.lanes.iter().enumerate() {
            let mut flow = Flow::default();
            let local = &mut worker.processes[at];
            let last = lane.give_up(gone, self.moment(*ordinal), local, &mut flow)?;
            self.pass(*ordinal, |other| other != at)?;
            let mut entries = vec![Entry::default(); self.lanes.len()];
            account(&mut entries[at], &flow, last.as_ref().map_or(0, Batch::len));
            let passed = Passed { entries, rejections: flow.rejections, ready: None, done: Vec::new() };
            self.hand_over_held(ordinal, passed, worker, ordered)?;
            for piece in last.iter().flat_map(|batch| pieces(batch, rows_of(self.chunk_size))) {
                self.pass(*ordinal, |other| other <= at)?;
                let piece = vec![(self.route.out_of_stage(at), piece)];
                let passed = self.stages::<D>(piece, *ordinal, worker)?;
                self.hand_over_held(ordinal, passed, worker, ordered)?;
            }
        }
        self.pass(*ordinal, |_| true)?;
        let mut ordered = self.take_ordered(*ordinal, ordered)?;
        *ordinal += 1;
        Ok(ordered.drain.give_up(gone)?)
    }

    /// Skips the turn of `ordinal` at the stages selected by `which`, and at the admission of sensors.
    fn pass(&self, ordinal: u64, which: impl Fn(usize) -> bool) -> Result<(), Stopped> {
        let turn = self.before_stages.iter();
        turn.map(|turn| turn.pass(ordinal, &self.control.cancelled))
            .collect::<Option<()>>()
            .ok_or(Stopped::Cancelled)?;
        let lanes = self.lanes.iter().enumerate().filter(|(at, _)| which(*at));
        lanes.map(|(_, lane)| lane).try_for_each(|lane| lane.pass(self.moment(ordinal)))
    }

    fn take_ordered<'t, 'd, D>(
        &self,
        ordinal: u64,
        ordered: &'t Turn<Ordered<'d, D>>,
    ) -> Result<crate::runtime::turn::Taken<'t, Ordered<'d, D>>, Stopped> {
        let taken = ordered.take(ordinal, &self.control.cancelled, &mut Duration::default());
        let mut taken = taken.ok_or(Stopped::Cancelled)?;
        taken.next = ordinal + 1;
        Ok(taken)
    }

    /// Passes the records that a stage held to the sinks; then it is the turn of the next ordinal.
    fn hand_over_held<D: Drain>(
        &self,
        ordinal: &mut u64,
        passed: Passed<D::Ready>,
        worker: &mut Worker<D::Local>,
        ordered: &Turn<Ordered<'_, D>>,
    ) -> Result<(), Stopped> {
        self.take_ordered(*ordinal, ordered)?.accept_held(passed, &self.sensors)?;
        *ordinal += 1;
        D::work(&mut worker.drain);
        Ok(())
    }
}

impl<D: Drain> Ordered<'_, D> {
    fn accept_held(&mut self, passed: Passed<D::Ready>, sensors: &SharedSensors) -> Result<()> {
        self.tally.add(&passed.entries);
        self.limit.note(&passed.rejections)?;
        drain_rejections(passed.rejections, self.drain)?;
        passed.ready.map_or(Ok(()), |ready| self.drain.accept(ready, None, sensors))
    }
}
