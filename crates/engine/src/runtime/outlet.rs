//! All sinks of a run: each is given every batch (clause 20).

use std::sync::Arc;
use std::time::{Duration, Instant};

use globset::GlobMatcher;

use super::Observer;
use super::drain::{Drain, PartJob};
use super::report::{Rejects, Report};
use super::schedule::Schedule;
use super::snapshot::{Draft, Resume, Snapshot};
use super::state::State;
use crate::atomic::Output;
use crate::batch::Batch;
use crate::chain::Ports;
use crate::checkpoint::{Ending, Manifest};
use crate::error::guard::{asked, guarded};
use crate::error::{Error, Part, Rejection, RejectionKind, Result};
use crate::metrics::{Entry, Latencies, Ledger};
use crate::pipeline::{Pipeline, Plan};
use crate::sensor::{OfSensors, SensorId, Sensors, SharedSensors};
use crate::sink::{Block, Outset, Prepare, Sink, Takes};

/// The sinks of a run, open, and what was set aside.
pub(crate) struct Outlets {
    outlets: Vec<Outlet>,
    /// Whether every batch is handed to the system at once.
    is_live: bool,
    /// The checkpoints of a run that goes on after a restart.
    state: Option<State>,
    rejects: Rejects,
}

struct Outlet {
    label: String,
    part: Part,
    takes: Takes,
    /// What feeds it.
    ports: Vec<usize>,
    filter: Option<Filter>,
    sink: Box<dyn Sink>,
    /// After a restart.
    begins_anew: bool,
    entry: Entry,
    /// From arrival to output, of live input.
    latencies: Latencies,
    /// Whether it was given rejections that nobody who reads along has seen.
    has_unseen: bool,
}

/// Which sensors a sink is given.
#[derive(Clone)]
struct Filter {
    patterns: Vec<GlobMatcher>,
    known: OfSensors<bool>,
}

impl Outlets {
    /// Opens all sinks, as `plain` says; with `state`, each where the checkpoint found it.
    pub(crate) fn open(
        pipeline: &Pipeline,
        plan: &Plan,
        state: Option<State>,
        plain: &Outset,
    ) -> Result<Self> {
        let plain = &Outset { masks: Arc::clone(pipeline.secrets.masks()), ..plain.clone() };
        let outlets = pipeline.sinks.iter().enumerate().map(|(at, entry)| {
            let (spec, part) = (&*entry.spec, Part::Sink(at));
            let name = asked(&format!("sink {at}"), || spec.name().to_owned())?;
            let label = format!("sink {at} ({name})");
            let (takes, can_resume) = asked(&label, || (spec.takes(), spec.can_resume()))?;
            let filter = entry.matchers()?.map(|patterns| Filter { patterns, known: OfSensors::default() });
            let outset = state.as_ref().map_or_else(|| plain.clone(), |state| state.outset(at, plain));
            let sink = guarded(&label, || spec.open(plan.into_sink(at), &outset))
                .map_err(|error| error.with_part(part))?;
            Ok(Outlet {
                label,
                part,
                takes,
                ports: plan.graph.sinks[at].clone(),
                filter,
                sink,
                begins_anew: !can_resume,
                entry: Entry::new(name),
                latencies: Latencies::default(),
                has_unseen: false,
            })
        });
        let outlets = outlets.collect::<Result<_>>()?;
        Ok(Self { outlets, is_live: false, state, rejects: Rejects::default() })
    }

    /// The run begins, and somebody waits for every batch, and for the header first.
    pub(crate) fn go_live(&mut self) -> Result<()> {
        self.is_live = true;
        self.outlets.iter_mut().try_for_each(|outlet| outlet.timed(|sink| sink.push()))
    }

    /// The checkpoint from which the run goes on; it is kept no longer than it is needed.
    pub(crate) fn take_resume(&mut self) -> Option<Resume> {
        self.state.as_mut()?.take_resume()
    }

    /// Keeps a checkpoint at once, before the run begins.
    pub(crate) fn keep(&mut self, first: Snapshot<'_>) -> Result<()> {
        let draft = self.draft(first, Ending::Running)?;
        match (&mut self.state, draft) {
            (Some(state), Some(draft)) => state.conclude(draft),
            _ => Ok(()),
        }
    }

    /// When checkpoints are due; never where there is no folder for them.
    pub(crate) fn schedule(&self) -> Schedule {
        self.state.as_ref().map_or_else(Schedule::never, State::schedule)
    }

    /// Counts on from a checkpoint.
    pub(crate) fn restore(&mut self, counts: &[u8], before: &[Option<usize>]) -> Result<()> {
        let damaged = |error| Error::data(format!("the counts of the checkpoint cannot be read: {error}"));
        let (rejects, sinks): (Rejects, Vec<Ledger>) = postcard::from_bytes(counts).map_err(damaged)?;
        for (outlet, before) in self.outlets.iter_mut().zip(before) {
            let counted = before.and_then(|at| sinks.get(at));
            counted.into_iter().for_each(|counted| outlet.entry.ledger = *counted);
        }
        self.rejects = rejects;
        Ok(())
    }

    /// Starts keeping checkpoints, where there is a folder for them.
    pub(crate) fn keep_checkpoints(&mut self) -> Result<()> {
        self.state.as_mut().map_or(Ok(()), State::begin)
    }

    /// A checkpoint of all sinks.
    fn draft(&mut self, snapshot: Snapshot<'_>, ending: Ending) -> Result<Option<Draft>> {
        let Some(state) = &mut self.state else { return Ok(None) };
        let mut draft = state.draft(snapshot, ending);
        let mut sinks = Vec::new();
        for outlet in &mut self.outlets {
            let epoch = draft.epoch;
            let (state, outputs) = match outlet.timed(|sink| sink.save(epoch))? {
                None => (None, Vec::new()),
                Some(saved) => {
                    draft.settle.push(saved.settle);
                    draft.deliver.extend(saved.deliver);
                    (Some(saved.state), saved.outputs)
                }
            };
            draft.manifest.sinks.push(state);
            draft.manifest.outputs.push(outputs);
            sinks.push(outlet.entry.ledger);
        }
        let counts = postcard::to_stdvec(&(&self.rejects, sinks))
            .and_then(|mine| postcard::to_stdvec(&(&draft.manifest.counts, mine)))
            .map_err(|error| Error::internal(format!("the counts cannot be saved: {error}")))?;
        draft.manifest.counts = counts;
        Ok(Some(draft))
    }

    /// Hands everything to the system; then makes all of it visible and tells `report`. A run that goes on after a restart
    /// keeps that in its folder: first that all is complete, then that it is published.
    pub(crate) fn finish(
        mut self,
        last: Option<Snapshot<'_>>,
        observer: &mut (dyn Observer + Send),
        report: &mut Report,
    ) -> Result<()> {
        for outlet in &mut self.outlets {
            outlet.timed(|sink| sink.flush())?;
        }
        asked("the observer", || observer.committing())?;
        let complete = match last {
            Some(last) => self.draft(last, Ending::Complete)?,
            None => None,
        };
        let mut published = None;
        if let (Some(state), Some(draft)) = (&mut self.state, complete) {
            published = Some(Manifest { ending: Ending::Published, ..draft.manifest.clone() });
            state.conclude(draft)?;
        }
        for outlet in &mut self.outlets {
            let remarks = outlet.timed(|sink| sink.commit())?;
            report.remarks.extend(remarks);
        }
        if let (Some(state), Some(manifest)) = (&mut self.state, published) {
            let draft = Draft::over(state.next_epoch(), manifest);
            state.conclude(draft)?;
        }
        self.close(report);
        Ok(())
    }

    /// Makes visible what a run had completed when it was cut off.
    pub(crate) fn publish(mut self, report: &mut Report) -> Result<()> {
        for outlet in &mut self.outlets {
            outlet.timed(|sink| sink.commit())?;
        }
        self.state.as_mut().map_or(Ok(()), State::published)?;
        self.close(report);
        Ok(())
    }

    /// Whether the run goes on after a restart.
    pub(crate) fn has_state(&self) -> bool {
        self.state.is_some()
    }

    /// Hands everything to the system and keeps a checkpoint: the run will go on from here.
    pub(crate) fn pause(
        mut self,
        last: Snapshot<'_>,
        observer: &mut (dyn Observer + Send),
        report: &mut Report,
    ) -> Result<()> {
        for outlet in &mut self.outlets {
            outlet.timed(|sink| sink.push())?;
        }
        asked("the observer", || observer.committing())?;
        let draft = self.draft(last, Ending::Running)?;
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.begins_anew) {
            report.remarks.extend(outlet.timed(|sink| sink.flush().and_then(|()| sink.commit()))?);
        }
        if let (Some(state), Some(draft)) = (&mut self.state, draft) {
            let outputs: Vec<_> = draft.manifest.outputs.iter().flatten().cloned().collect();
            state.conclude(draft)?;
            // Those that have been delivered are not.
            let in_the_making = outputs.iter().filter(|output| state.is_in_the_making(output));
            report.remarks.extend(in_the_making.map(|Output { path, part, .. }| {
                let (path, part) = (path.display(), part.display());
                format!("{path} is still {part}: the same command goes on with it, and with --finish gives it its name")
            }));
        }
        for outlet in &mut self.outlets {
            report.remarks.extend(outlet.timed(|sink| sink.pause())?);
        }
        report.is_paused = true;
        self.close(report);
        Ok(())
    }

    fn close(self, report: &mut Report) {
        let told = self.outlets.iter().map(|outlet| outlet.latencies.told(&outlet.label));
        report.latencies.extend(told.filter(|latency| latency.records > 0));
        report.sinks = self.outlets.into_iter().map(|outlet| outlet.entry).collect();
        report.rejects = self.rejects;
        report
            .remarks
            .extend(self.state.into_iter().flat_map(|mut state| std::mem::take(&mut state.remarks)));
    }
}

/// What a worker keeps of one sink.
pub(crate) struct LocalOutlet {
    label: String,
    part: Part,
    ports: Vec<usize>,
    filter: Option<Filter>,
    preparer: Option<Arc<dyn Prepare>>,
    /// Time spent in preparing and in jobs.
    time: Duration,
}

/// A batch on its way to one sink.
pub(crate) struct ReadyBatch {
    input: u64,
    output: u64,
    content: Content,
}

enum Content {
    /// To be written when its turn comes.
    Records(Arc<Batch>),
    /// Prepared.
    Block(Block),
}

impl Drain for Outlets {
    /// By sink; `None` for those that take rejections.
    type Local = Vec<Option<LocalOutlet>>;
    /// By sink; `None` where no record has come for it.
    type Ready = Vec<Option<ReadyBatch>>;

    fn records(&mut self, ports: &Ports, sensors: &Sensors) -> Result<()> {
        for outlet in &mut self.outlets {
            let Some(batch) = ports.look(&outlet.ports) else { continue };
            let ledger = &mut outlet.entry.ledger;
            ledger.input += batch.len() as u64;
            let selected = outlet.filter.as_mut().and_then(|filter| filter.select(&batch, sensors));
            let batch = selected.as_ref().unwrap_or(&*batch);
            ledger.output += batch.len() as u64;
            ledger.filtered = ledger.input - ledger.output;
            outlet.timed(|sink| sink.write(batch, sensors))?;
        }
        Ok(())
    }

    fn cut(&mut self, snapshot: Snapshot<'_>) -> Result<()> {
        let draft = self.draft(snapshot, Ending::Running)?;
        match (&self.state, draft) {
            (Some(state), Some(draft)) => state.submit(draft),
            _ => Ok(()),
        }
    }

    fn rejection(&mut self, rejection: &Rejection) -> Result<()> {
        match rejection.kind {
            RejectionKind::Malformed | RejectionKind::OtherHeader => self.rejects.malformed += 1,
            RejectionKind::Late => self.rejects.late += 1,
            RejectionKind::Ahead => self.rejects.ahead += 1,
        }
        self.rejects.note(rejection);
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.takes == Takes::Rejections) {
            outlet.entry.ledger.input += 1;
            outlet.entry.ledger.output += 1;
            outlet.timed(|sink| sink.reject(rejection))?;
            outlet.has_unseen = self.is_live;
        }
        Ok(())
    }

    fn show(&mut self) -> Result<()> {
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.has_unseen) {
            outlet.timed(|sink| sink.push())?;
            outlet.has_unseen = false;
        }
        Ok(())
    }

    fn give_up(&mut self, gone: &[SensorId]) -> Result<()> {
        self.outlets.iter_mut().try_for_each(|outlet| outlet.timed(|sink| sink.give_up(gone)))
    }

    fn local(&self) -> Result<Self::Local> {
        let local = |outlet: &Outlet| {
            Ok(LocalOutlet {
                label: outlet.label.clone(),
                part: outlet.part,
                ports: outlet.ports.clone(),
                filter: outlet.filter.clone(),
                preparer: asked(&outlet.label, || outlet.sink.preparer())?,
                time: Duration::ZERO,
            })
        };
        let takes_records = |outlet: &Outlet| outlet.takes == Takes::Records;
        self.outlets.iter().map(|outlet| takes_records(outlet).then(|| local(outlet)).transpose()).collect()
    }

    fn prepare(local: &mut Self::Local, ports: &Ports, sensors: &Sensors) -> Result<Option<Self::Ready>> {
        let ready = |local: &mut Option<LocalOutlet>| {
            let local = local.as_mut()?;
            let batch = ports.look(&local.ports)?;
            Some(local.ready(&batch, sensors))
        };
        let ready: Self::Ready =
            local.iter_mut().map(|local| ready(local).transpose()).collect::<Result<_>>()?;
        Ok(ready.iter().any(Option::is_some).then_some(ready))
    }

    fn accept(
        &mut self,
        ready: Self::Ready,
        arrived: Option<Instant>,
        sensors: &SharedSensors,
    ) -> Result<Vec<PartJob>> {
        let mut jobs = Vec::new();
        for (at, (outlet, ready)) in self.outlets.iter_mut().zip(ready).enumerate() {
            let Some(ReadyBatch { input, output, content }) = ready else { continue };
            let ledger = &mut outlet.entry.ledger;
            ledger.input += input;
            ledger.output += output;
            ledger.filtered = ledger.input - ledger.output;
            let job = outlet.timed(|sink| match content {
                Content::Records(batch) => sink.write(&batch, &sensors.read()).map(|()| None),
                Content::Block(block) => sink.accept(block),
            })?;
            if self.is_live {
                outlet.timed(|sink| sink.push())?;
            }
            if let Some(arrived) = arrived {
                outlet.latencies.add(arrived.elapsed(), output);
            }
            let (label, part) = (&outlet.label, outlet.part);
            jobs.extend(job.map(|job| PartJob { label: label.clone(), part, sink: at, job }));
        }
        Ok(jobs)
    }

    fn work(local: &mut Self::Local, job: PartJob) -> Result<()> {
        let (start, sink) = (Instant::now(), job.sink);
        let result = job.run();
        if let Some(Some(local)) = local.get_mut(sink) {
            local.time += start.elapsed();
        }
        result
    }

    fn close(&mut self, local: Self::Local) -> Result<()> {
        for (outlet, local) in self.outlets.iter_mut().zip(local) {
            outlet.entry.time += local.map_or(Duration::ZERO, |local| local.time);
        }
        Ok(())
    }
}

impl LocalOutlet {
    fn ready(&mut self, batch: &Arc<Batch>, sensors: &Sensors) -> Result<ReadyBatch> {
        let start = Instant::now();
        let selected = self.filter.as_mut().and_then(|filter| filter.select(batch, sensors)).map(Arc::new);
        let (input, batch) = (batch.len() as u64, selected.as_ref().unwrap_or(batch));
        let content = match &self.preparer {
            None => Content::Records(Arc::clone(batch)),
            Some(preparer) => guarded(&self.label, || preparer.prepare(batch, sensors))
                .map(Content::Block)
                .map_err(|error| error.with_part(self.part))?,
        };
        self.time += start.elapsed();
        Ok(ReadyBatch { input, output: batch.len() as u64, content })
    }
}

impl Outlet {
    fn timed<T>(&mut self, act: impl FnOnce(&mut dyn Sink) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let result = guarded(&self.label, || act(&mut *self.sink));
        self.entry.time += start.elapsed();
        result.map_err(|error| error.with_part(self.part))
    }
}

impl Filter {
    /// The records of the sensors that fit; `None` where all do.
    fn select(&mut self, batch: &Batch, sensors: &Sensors) -> Option<Batch> {
        let Self { patterns, known } = self;
        let fits = known.of(sensors, |name| patterns.iter().any(|pattern| pattern.is_match(name)));
        let ids = batch.sensors();
        let rows: Vec<u32> = (0..batch.len() as u32).filter(|&row| fits[ids[row as usize].index()]).collect();
        (rows.len() < batch.len()).then(|| batch.take(&rows))
    }
}
