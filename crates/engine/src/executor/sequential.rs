//! One pass over the input on one thread, in a simple loop: for each chunk, decode, every stage, every sink. It is the reference for the
//! parallel runtime: the same input gives the same bits.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::InputPass;
use crate::batch::Batch;
use crate::chain::{Chain, Released, give_up, pieces};
use crate::error::guard::{asked, caught};
use crate::error::{Error, Rejection, Result};
use crate::format::Decoded;
use crate::metrics::Entry;
use crate::pipeline::{Pipeline, Plan};
use crate::runtime::admission::{Admission, InputPart};
use crate::runtime::chunks::{
    LineCount, Refused, check_stop, drain_rejections, enter_foreseen, foreseen, reject_ahead, rows_of,
};
use crate::runtime::drain::Drain;
use crate::runtime::idle::Idle;
use crate::runtime::inlet::Share;
use crate::runtime::inlets::Inlets;
use crate::runtime::limit::RejectLimit;
use crate::runtime::odd_times::OddTimes;
use crate::runtime::setup::Setup;
use crate::runtime::{Observer, Report, RunOptions};
use crate::sensor::{SensorId, SensorIds, SharedSensors};
use crate::source::Input;
use crate::stage::Stage;

/// The sources and the stages of one pass.
pub(super) struct Pass {
    sources: Inlets,
    source_entries: Vec<Entry>,
    stages: Chain,
    plan: Plan,
    sensors: Arc<SharedSensors>,
    ids: SensorIds,
    limit: RejectLimit,
    /// By source: the line after its last chunk.
    lines: Vec<u64>,
    admission: Admission,
    stop: Arc<AtomicBool>,
    chunk_size: usize,
    odd_times: OddTimes,
    /// Remarks of stages at the end.
    remarks: Vec<String>,
}

/// What has become of the share of one source in a piece of the input, besides its records.
struct Decoding {
    source: usize,
    rejections: Vec<Rejection>,
    aside: Vec<Rejection>,
    records: u64,
    /// How many of them were left unread.
    unread: u64,
}

impl InputPass for Pass {
    fn open(
        pipeline: &Pipeline,
        stages: &[Arc<dyn Stage>],
        asked: &[usize],
        options: &RunOptions,
        sensors: &Arc<SharedSensors>,
    ) -> Result<Self> {
        let setup = Setup::open(pipeline, stages, options)?;
        let route = setup.plan.graph.route(stages.len(), asked);
        let parts = stages.iter().zip(&setup.labels).enumerate();
        let parts =
            parts.map(|(at, (stage, label))| (label.clone(), Arc::clone(stage), setup.plan.into_stage(at)));
        Ok(Self {
            stages: Chain::of(parts, route)?,
            source_entries: pipeline.sources.iter().map(|source| Entry::new(source.spec.name())).collect(),
            plan: setup.plan,
            limit: RejectLimit::new(pipeline),
            sources: setup.sources,
            sensors: Arc::clone(sensors),
            ids: SensorIds::new(Arc::clone(sensors)),
            lines: vec![1; pipeline.sources.len()],
            admission: Admission::new(pipeline.sensor_limits(), Idle::of(pipeline)?),
            stop: Arc::clone(&options.stop),
            chunk_size: options.open.chunk_size,
            odd_times: OddTimes::default(),
            remarks: Vec::new(),
        })
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn drive<D: Drain>(
        &mut self,
        name: &str,
        observer: &mut (dyn Observer + Send),
        drain: &mut D,
    ) -> Result<()> {
        loop {
            check_stop(&self.stop)?;
            let start = Instant::now();
            let Some(arrived) = self.sources.next(&mut self.ids)? else { break };
            if arrived.is_nothing() {
                continue;
            }
            let (source, progress) = (arrived.source(), arrived.progress);
            let shares =
                arrived.shares.into_iter().map(|share| self.decode(share)).collect::<Result<Vec<_>>>()?;
            self.source_entries[source].time += start.elapsed();
            self.process(shares, drain)?;
            self.forget();
            let records = self.source_entries.iter().map(|entry| entry.ledger.input).sum();
            asked("the observer", || observer.progress(name, progress, records))?;
        }
        self.finish(drain)?;
        self.limit.finish()
    }

    fn close(self, report: &mut Report) -> Result<()> {
        self.sources.close(report)?;
        report.give_up(self.admission.given_up());
        let output = self.source_entries.iter().map(|entry| entry.ledger.output).sum();
        report.remark(self.odd_times.remarks(output));
        report.remark(self.remarks);
        report.passes += 1;
        report.sensors = self.admission.count().unwrap_or_else(|| self.sensors.read().len()) as u64;
        report.sources = self.source_entries;
        report.stages = self.stages.entries().cloned().collect();
        report.threads = 1;
        Ok(())
    }
}

impl Pass {
    /// Bytes to records, with what the source has refused, and the records whose time is not believed.
    fn decode(&mut self, Share { source, input, latest }: Share) -> Result<(Batch, Decoding)> {
        let foreseen = foreseen(&input);
        let route = self.stages.route().clone();
        enter_foreseen(foreseen, &route, self.stages.entries_mut());
        let (mut decoded, lines) = match input {
            Input::Nothing => return Err(Error::internal("records that need not be decoded")),
            Input::Records(decoded) => (decoded, LineCount::Final),
            Input::Deferred(deferred) => (deferred.decode(&mut self.ids)?, LineCount::Final),
            Input::Foreseen(foreseen) => {
                (Decoded { batch: foreseen.none, rejections: Vec::new(), lines: 0 }, LineCount::Final)
            }
            Input::Chunk(chunk) => {
                let mut decoded = caught("source", || {
                    let decoded = chunk.decode_by_reference(&mut self.ids)?;
                    chunk.check_unchanged().map(|()| decoded)
                })?;
                (decoded.batch.sequence, decoded.batch.received) = (chunk.sequence, chunk.received);
                let lines = LineCount::of(&chunk, &decoded);
                (decoded, lines)
            }
        };
        let base = lines.pass(&mut self.lines[source]);
        decoded.batch.origins.iter_mut().for_each(|origins| origins.shift_lines(base));
        let Decoded { mut batch, mut rejections, .. } = decoded;
        rejections.iter_mut().for_each(|rejection| rejection.position.line += base);
        let unread = foreseen.map_or(0, |(records, _)| records);
        let records = (batch.len() + rejections.len()) as u64 + unread;
        let aside = latest.map_or_else(Vec::new, |latest| reject_ahead(&mut batch, latest));
        Ok((batch, Decoding { source, rejections, aside, records, unread }))
    }

    /// Counts the shares of the sources in a piece, and takes them to `drain`.
    fn process<D: Drain>(&mut self, shares: Vec<(Batch, Decoding)>, drain: &mut D) -> Result<()> {
        let (mut batches, mut shares): (Vec<_>, Vec<_>) = shares.into_iter().unzip();
        let (mut refused, mut aside) = (Refused::default(), Vec::new());
        for Decoding { source, rejections, aside: more, records, .. } in &mut shares {
            refused.add(*records, std::mem::take(rejections), self.source_entries[*source].ledger.input);
            aside.append(more);
        }
        self.limit.pass(&refused)?;
        let rejections = refused.rejections;
        if batches.len() == 1 {
            let (batch, share) = (batches.remove(0), &shares[0]);
            let parts = self.admission.parts(batch, rejections, aside, &self.sensors);
            self.enter(share, parts.iter().map(|part| &part.batch));
            for InputPart { batch, rejections, aside, gone, .. } in parts {
                self.forward(vec![(share.source, batch)], rejections, aside, drain)?;
                if !gone.is_empty() {
                    self.give_up(&gone, drain)?;
                }
            }
            return Ok(());
        }
        aside.extend(self.admission.admit(&mut batches, &self.sensors).into_iter().flatten());
        shares.iter().zip(&batches).for_each(|(share, batch)| self.enter(share, [batch]));
        let batches = shares.iter().map(|share| share.source).zip(batches).collect();
        self.forward(batches, rejections, aside, drain)
    }

    /// Enters the share of a source, of which the records in `batches`, and those that were left unread, go on.
    fn enter<'b>(&mut self, share: &Decoding, batches: impl IntoIterator<Item = &'b Batch>) {
        let &Decoding { source, records, unread, .. } = share;
        let mut output = unread;
        for batch in batches {
            output += batch.len() as u64;
            self.odd_times.add(OddTimes::of(batch));
        }
        let ledger = &mut self.source_entries[source].ledger;
        ledger.input += records;
        ledger.output += output;
        ledger.rejected += records - output;
    }

    /// Gives up sensors in all stages, then in `drain`; records that a stage held for them pass through the stages after it first.
    fn give_up<D: Drain>(&mut self, gone: &[SensorId], drain: &mut D) -> Result<()> {
        for at in 0..self.stages.len() {
            let last = give_up(&mut self.stages, at, gone, &self.sensors.read())?;
            self.release(at, last, drain)?;
        }
        drain.give_up(gone)
    }

    /// Frees the names of sensors that were given up or refused.
    fn forget(&mut self) {
        let forgotten = self.admission.forgotten();
        if !forgotten.is_empty() {
            self.sensors.forget(&forgotten);
            self.ids = SensorIds::new(Arc::clone(&self.sensors));
        }
    }

    /// Passes what stage `at` released to the stages after it.
    fn release<D: Drain>(&mut self, at: usize, released: Released, drain: &mut D) -> Result<()> {
        self.limit.note(&released.rejections)?;
        drain_rejections(released.rejections, drain)?;
        let rows = rows_of(self.chunk_size);
        for piece in released.batch.iter().flat_map(|batch| pieces(batch, rows)) {
            let piece = vec![(self.stages.route().out_of_stage(at), piece)];
            self.forward(piece, Vec::new(), Vec::new(), drain)?;
        }
        Ok(())
    }

    /// Hands `batches`, each of which has come out of a port, to the stages behind those, then to `drain`, with the `rejections` of their chunk, and what
    /// was set `aside` besides.
    fn forward<D: Drain>(
        &mut self,
        batches: Vec<(usize, Batch)>,
        mut rejections: Vec<Rejection>,
        mut aside: Vec<Rejection>,
        drain: &mut D,
    ) -> Result<()> {
        let emitted = self.stages.push_out_of_each(batches, &self.sensors.read())?;
        aside.extend(emitted.rejections);
        self.limit.note(&aside)?;
        rejections.extend(aside);
        drain_rejections(rejections, drain)?;
        drain.records(&emitted.ports, &self.sensors.read())
    }

    /// Finishes every stage; records that it held pass through those after it.
    fn finish<D: Drain>(&mut self, drain: &mut D) -> Result<()> {
        for at in 0..self.stages.len() {
            let last = self.stages.finish_stage(at, &self.sensors.read())?;
            self.remarks.extend(self.stages.remarks(at)?);
            self.release(at, last, drain)?;
        }
        Ok(())
    }
}
