//! One reading of the input on one thread, in a loop that is plainly right: chunk by chunk, decode, every stage, every
//! sink. It judges the parallel one: the same input gives the same bits.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::Reading;
use crate::batch::Batch;
use crate::chain::{Chain, LetGo, pieces};
use crate::error::guard::{asked, caught};
use crate::error::{Error, Rejection, Result};
use crate::format::Decoded;
use crate::metrics::Entry;
use crate::pipeline::{Pipeline, Plan};
use crate::runtime::admission::{Admission, Part};
use crate::runtime::chunks::{
    LineCount, check_stop, enter_foreseen, foreseen, rows_of, set_ahead_aside, set_aside,
};
use crate::runtime::drain::Drain;
use crate::runtime::idle::Idle;
use crate::runtime::inlet::Arrived;
use crate::runtime::inlets::Inlets;
use crate::runtime::limit::RejectLimit;
use crate::runtime::odd_times::OddTimes;
use crate::runtime::setup::Setup;
use crate::runtime::{Observer, Report, RunOptions};
use crate::sensor::{SensorId, SensorIds, SharedSensors};
use crate::source::Input;
use crate::stage::Stage;

/// The sources and the stages of one reading.
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
    /// What stages have to say at the end.
    remarks: Vec<String>,
}

impl Reading for Pass {
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
        let parts = parts.map(|(at, (stage, label))| (label.clone(), &**stage, setup.plan.into_stage(at)));
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
            let (source, progress) = (arrived.source, arrived.progress);
            if matches!(arrived.input, Input::Nothing) {
                continue;
            }
            let parts = self.decode(arrived)?;
            self.source_entries[source].time += start.elapsed();
            for Part { batch, rejections, aside, gone, .. } in parts {
                self.forward(source, batch, rejections, aside, drain)?;
                if !gone.is_empty() {
                    self.give_up(&gone, drain)?;
                }
            }
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
    /// Bytes to records, with the ledger of the source, its rejections, and the records whose time is not believed.
    fn decode(&mut self, Arrived { input, source, latest, .. }: Arrived) -> Result<Vec<Part>> {
        let foreseen = foreseen(&input);
        let route = self.stages.route().clone();
        enter_foreseen(foreseen, &route, self.stages.entries_mut());
        let (mut decoded, lines) = match input {
            Input::Nothing => return Err(Error::internal("nothing was to be decoded")),
            Input::Records(decoded) => (decoded, LineCount::Final),
            Input::Foreseen(foreseen) => {
                (Decoded { batch: foreseen.none, rejections: Vec::new(), lines: 0 }, LineCount::Final)
            }
            Input::Chunk(chunk) => {
                let mut decoded = caught("source", || {
                    let decoded = chunk.decode_by_reference(&mut self.ids)?;
                    chunk.check_unchanged().map(|()| decoded)
                })?;
                decoded.batch.sequence = chunk.sequence;
                let lines = LineCount::of(&chunk, &decoded);
                (decoded, lines)
            }
        };
        let base = lines.pass(&mut self.lines[source]);
        decoded.batch.origins.iter_mut().for_each(|origins| origins.shift_lines(base));
        let ledger = &mut self.source_entries[source].ledger;
        let unread = foreseen.map_or(0, |(records, _)| records);
        let records = (decoded.batch.len() + decoded.rejections.len()) as u64 + unread;
        let aside = latest.map_or_else(Vec::new, |latest| set_ahead_aside(&mut decoded.batch, latest));
        for rejection in &mut decoded.rejections {
            rejection.position.line += base;
            rejection.record += ledger.input;
        }
        self.limit.pass(records, ledger.input, &decoded.rejections)?;
        let parts = self.admission.parts(decoded.batch, decoded.rejections, aside, &self.sensors);
        let output = parts.iter().map(|part| part.batch.len() as u64).sum::<u64>() + unread;
        ledger.input += records;
        ledger.output += output;
        ledger.rejected += records - output;
        parts.iter().for_each(|part| self.odd_times.add(OddTimes::of(&part.batch)));
        Ok(parts)
    }

    /// Lets all stages, then `drain`, forget the sensors that are `gone`; what a stage held of them goes through those after it first.
    fn give_up<D: Drain>(&mut self, gone: &[SensorId], drain: &mut D) -> Result<()> {
        for at in 0..self.stages.len() {
            let last = self.stages.give_up(at, gone, &self.sensors.read())?;
            self.let_go(at, last, drain)?;
        }
        drain.give_up(gone)
    }

    /// Forgets the names of sensors that are given up or were refused.
    fn forget(&mut self) {
        let forgotten = self.admission.forgotten();
        if !forgotten.is_empty() {
            self.sensors.forget(&forgotten);
            self.ids = SensorIds::new(Arc::clone(&self.sensors));
        }
    }

    /// What stage `at` let go goes through those after it.
    fn let_go<D: Drain>(&mut self, at: usize, gone: LetGo, drain: &mut D) -> Result<()> {
        self.limit.note(&gone.rejections)?;
        set_aside(gone.rejections, drain)?;
        let rows = rows_of(self.chunk_size);
        for piece in gone.batch.iter().flat_map(|batch| pieces(batch, rows)) {
            self.forward(self.stages.route().out_of_stage(at), piece, Vec::new(), Vec::new(), drain)?;
        }
        Ok(())
    }

    /// Hands `batch`, which has come out of `port`, to the stages behind it, then to `drain`, with the `rejections` of its chunk, and what was
    /// set `aside` besides.
    fn forward<D: Drain>(
        &mut self,
        port: usize,
        batch: Batch,
        mut rejections: Vec<Rejection>,
        mut aside: Vec<Rejection>,
        drain: &mut D,
    ) -> Result<()> {
        let emitted = self.stages.push_out_of(port, batch, &self.sensors.read())?;
        aside.extend(emitted.rejections);
        self.limit.note(&aside)?;
        rejections.extend(aside);
        set_aside(rejections, drain)?;
        drain.records(&emitted.ports, &self.sensors.read())
    }

    /// Lets every stage give back what it holds, each through those after it.
    fn finish<D: Drain>(&mut self, drain: &mut D) -> Result<()> {
        for at in 0..self.stages.len() {
            let last = self.stages.finish_stage(at, &self.sensors.read())?;
            self.remarks.extend(self.stages.remarks(at)?);
            self.let_go(at, last, drain)?;
        }
        Ok(())
    }
}
