//! All sinks of a run: each is given every batch (clause 20).
//!
//! At rest they are called by whoever has them: the one-thread loop, the beginning of a run and its end. While workers hand over, each has a
//! [thread](threads) of its own.

mod delivering;
mod delivery;
mod door;
mod failures;
mod local;
mod ready;
mod threads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Observer;
use super::drain::Drain;
use super::durable::Durable;
use super::report::{Rejects, Report};
use super::schedule::Schedule;
use super::snapshot::{Awaited, Draft, Resume, Snapshot};
use super::state::State;
use crate::atomic::Output;
use crate::chain::Ports;
use crate::checkpoint::{Ending, Manifest};
use crate::error::guard::{asked, guarded};
use crate::error::{Error, ErrorKind, Part, Rejection, RejectionKind, Result};
use crate::files::patient::Patient;
use crate::metrics::{Entry, Latencies, Ledger};
use crate::pipeline::{OnFailure, Pipeline, Plan};
use crate::sensor::{SensorId, Sensors, SharedSensors};
use crate::sink::{Outset, Prepare, Sink, Takes};

use delivering::{Beginning, Delivering};
use door::{Door, Message, Outlet};
use ready::{Content, Filter, ReadyBatch};
use threads::Threads;

pub(crate) use local::Local;
pub(crate) use threads::Around;

/// The sinks of a run, open, and what was set aside.
pub(crate) struct Outlets {
    doors: Vec<Arc<Door>>,
    /// The sinks, where they are at rest.
    outlets: Vec<Outlet>,
    /// Where they are not.
    threads: Option<Threads>,
    /// By sink: what can be done with batches before their turn.
    preparers: Vec<Option<Arc<dyn Prepare>>>,
    /// By sink: time that workers have spent for it.
    times: Vec<Duration>,
    /// The sensors as a sink was last told of them.
    sensors: Option<Arc<Sensors>>,
    /// The checkpoints of a run that goes on after a restart.
    state: Option<State>,
    rejects: Rejects,
}

impl Outlets {
    /// Opens all sinks, as `plain` says; with `state`, each where the checkpoint found it.
    pub(crate) fn open(
        pipeline: &Pipeline,
        plan: &Plan,
        mut state: Option<State>,
        plain: &Outset,
    ) -> Result<Self> {
        let plain = &Outset { masks: Arc::clone(pipeline.secrets.masks()), ..plain.clone() };
        let otherwise = if plain.files.impatient().is_some() { OnFailure::Wait } else { OnFailure::Stop };
        // Of all that wait: that a disk is full is said once.
        let mut patient = None;
        let outlets = pipeline.sinks.iter().enumerate().map(|(at, entry)| {
            let (spec, part) = (&*entry.spec, Part::Sink(at));
            let name = asked(&format!("sink {at}"), || spec.name().to_owned())?;
            let label = format!("sink {at} ({name})");
            let (takes, can_resume, delivers) =
                asked(&label, || (spec.takes(), spec.can_resume(), spec.delivers()))?;
            let mut outset = state.as_ref().map_or_else(|| plain.clone(), |state| state.outset(at, plain));
            match (entry.on_failure.unwrap_or(otherwise), outset.files.impatient()) {
                (OnFailure::Stop, Some(files)) => outset.files = files,
                (OnFailure::Wait, None) => {
                    let waits = || Arc::new(Patient::new(Arc::clone(&outset.files), &outset.stop));
                    outset.files = Arc::clone(patient.get_or_insert_with(waits)) as _;
                }
                _ => {}
            }
            let door = Door {
                at,
                label,
                part,
                takes,
                ports: plan.graph.sinks[at].clone(),
                filter: entry.matchers()?.map(Filter::new),
                begins_anew: !can_resume && !delivers,
                delivers,
            };
            let door = Arc::new(door);
            let open = |outset: &Outset| spec.open(plan.into_sink(at), outset);
            let fence = state.as_ref().map(State::fence);
            let opened = guarded(&door.label, || match delivers {
                false => Ok((open(&outset)?, None)),
                true => {
                    let beginning = Beginning::of(at, &outset)?;
                    let sink = open(&beginning.outset(&outset))?;
                    let waits = entry.on_failure == Some(OnFailure::Wait);
                    let (sink, outbox) = Delivering::begin(&door, sink, beginning, &outset, fence, waits)?;
                    Ok((Box::new(sink) as Box<dyn Sink>, outbox))
                }
            });
            let (sink, outbox) = opened.map_err(|error| error.with_part(part))?;
            let (entry, latencies) = (Entry::new(name), Latencies::default());
            let filter = door.filter.clone();
            Ok(Outlet { door, sink, outbox, filter, entry, latencies, is_live: false })
        });
        let outlets: Vec<_> = outlets.collect::<Result<_>>()?;
        let outboxes: Vec<_> = outlets.iter().filter_map(|outlet| outlet.outbox.as_ref()).collect();
        state.iter_mut().for_each(|state| state.remark_left(&outboxes));
        Ok(Self {
            doors: outlets.iter().map(|outlet| Arc::clone(&outlet.door)).collect(),
            times: vec![Duration::ZERO; outlets.len()],
            outlets,
            threads: None,
            preparers: Vec::new(),
            sensors: None,
            state,
            rejects: Rejects::default(),
        })
    }

    /// Gives each sink its thread: from now on it is called there, until the run ends.
    pub(crate) fn start(&mut self, around: Around) -> Result<()> {
        let preparers =
            self.outlets.iter().map(|outlet| asked(&outlet.door.label, || outlet.sink.preparer()));
        self.preparers = preparers.collect::<Result<_>>()?;
        self.threads = Some(Threads::start(std::mem::take(&mut self.outlets), around)?);
        Ok(())
    }

    /// Waits until the sinks have taken all that was handed over, and has them back; where that is `abandoned`, they take no more.
    ///
    /// # Errors
    /// What went wrong with them first.
    fn rest(&mut self, is_abandoned: bool) -> Result<()> {
        let Some(threads) = self.threads.take() else { return Ok(()) };
        let (outlets, failure) = threads.rest(is_abandoned);
        self.outlets = outlets;
        failure.map_or(Ok(()), Err)
    }

    /// Hands `message` to sink `at`.
    fn send(&mut self, at: usize, message: Message) -> Result<()> {
        let Some(threads) = &mut self.threads else {
            return Err(Error::internal("a sink at rest was given what workers have prepared"));
        };
        if threads.send(at, message)? {
            return Ok(());
        }
        self.rest(false)?;
        Err(Error::internal("a sink takes no more, and nothing went wrong with it"))
    }

    /// The sensors as they are, for a sink that looks at them later.
    fn sensors(&mut self, sensors: &SharedSensors) -> Arc<Sensors> {
        let now = sensors.read();
        let known = self.sensors.take().filter(|known| known.changes() == now.changes());
        let known = known.unwrap_or_else(|| Arc::new(now.snapshot()));
        self.sensors = Some(Arc::clone(&known));
        known
    }

    /// The run begins, and somebody waits for every batch, and for the header first.
    pub(crate) fn go_live(&mut self) -> Result<()> {
        self.outlets.iter_mut().try_for_each(|outlet| {
            outlet.is_live = true;
            outlet.timed(|sink| sink.push())
        })
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

    /// What says how far the sources are durable, where there is a folder for checkpoints.
    pub(crate) fn durable(&self) -> Option<&Arc<Durable>> {
        self.state.as_ref().map(State::durable)
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

    /// A checkpoint of all sinks, at rest.
    fn draft(&mut self, snapshot: Snapshot<'_>, ending: Ending) -> Result<Option<Draft>> {
        let Some(state) = &mut self.state else { return Ok(None) };
        let mut draft = state.draft(snapshot, ending);
        let epoch = draft.epoch;
        let cuts = self.outlets.iter_mut().map(|outlet| outlet.cut(epoch)).collect::<Result<_>>()?;
        draft.add(cuts, &self.rejects)?;
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
        self.rest(false)?;
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
            report.remarks.extend(outlet.commit()?);
        }
        if let (Some(state), Some(manifest)) = (&mut self.state, published) {
            let draft = Draft::over(state.next_epoch(), manifest);
            state.conclude(draft)?;
        }
        self.outlets.iter().for_each(Outlet::clear);
        self.close(report);
        Ok(())
    }

    /// Makes visible what a run had completed when it was cut off.
    pub(crate) fn publish(mut self, report: &mut Report) -> Result<()> {
        for outlet in &mut self.outlets {
            report.remarks.extend(outlet.commit()?);
        }
        self.state.as_mut().map_or(Ok(()), State::published)?;
        self.outlets.iter().for_each(Outlet::clear);
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
        self.rest(false)?;
        for outlet in &mut self.outlets {
            outlet.timed(|sink| sink.push())?;
        }
        asked("the observer", || observer.committing())?;
        let draft = self.draft(last, Ending::Running)?;
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.door.begins_anew) {
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
        let told = self.outlets.iter().map(|outlet| outlet.latencies.told(&outlet.door.label));
        report.latencies.extend(told.filter(|latency| latency.records > 0));
        let entries = self.outlets.into_iter().zip(self.times).map(|(outlet, time)| {
            let mut entry = outlet.entry;
            entry.time += time;
            entry
        });
        report.sinks = entries.collect();
        report.rejects = self.rejects;
        report
            .remarks
            .extend(self.state.into_iter().flat_map(|mut state| std::mem::take(&mut state.remarks)));
    }
}

impl Drain for Outlets {
    type Local = Local;
    /// By sink; `None` where no record has come for it.
    type Ready = Vec<Option<ReadyBatch>>;

    fn records(&mut self, ports: &Ports, sensors: &Sensors) -> Result<()> {
        for outlet in &mut self.outlets {
            let Some(batch) = ports.look(&outlet.door.ports) else { continue };
            let selected = outlet.filter.as_mut().and_then(|filter| filter.select(&batch, sensors));
            let (input, batch) = (batch.len() as u64, selected.as_ref().unwrap_or(&*batch));
            outlet.write(batch, sensors)?;
            outlet.count(input, batch.len() as u64);
        }
        Ok(())
    }

    fn cut(&mut self, snapshot: Snapshot<'_>) -> Result<()> {
        let Some(state) = &mut self.state else { return Ok(()) };
        let mut draft = state.draft(snapshot, Ending::Running);
        let mut awaited = Awaited::new(self.rejects.clone());
        for at in 0..self.doors.len() {
            self.send(at, Message::Cut { epoch: draft.epoch, answer: awaited.ask() })?;
        }
        draft.awaited = Some(awaited);
        self.state.as_ref().map_or(Ok(()), |state| state.submit(draft))
    }

    fn rejections(&mut self, rejections: Vec<Rejection>) -> Result<()> {
        for rejection in &rejections {
            match rejection.kind {
                RejectionKind::Malformed | RejectionKind::OtherHeader => self.rejects.malformed += 1,
                RejectionKind::Late => self.rejects.late += 1,
                RejectionKind::Ahead => self.rejects.ahead += 1,
            }
            self.rejects.note(rejection);
        }
        if self.threads.is_none() {
            let mut takers = self.outlets.iter_mut().filter(|outlet| outlet.door.takes == Takes::Rejections);
            return takers.try_for_each(|outlet| outlet.reject(&rejections));
        }
        let rejections = Arc::new(rejections);
        for at in 0..self.doors.len() {
            if self.doors[at].takes == Takes::Rejections {
                self.send(at, Message::Rejections(Arc::clone(&rejections)))?;
            }
        }
        Ok(())
    }

    fn give_up(&mut self, gone: &[SensorId]) -> Result<()> {
        if self.threads.is_none() {
            return self.outlets.iter_mut().try_for_each(|outlet| outlet.timed(|sink| sink.give_up(gone)));
        }
        let gone: Arc<[SensorId]> = gone.into();
        (0..self.doors.len()).try_for_each(|at| self.send(at, Message::GiveUp(Arc::clone(&gone))))
    }

    fn local(&self) -> Result<Local> {
        let threads = self.threads.as_ref().ok_or_else(|| Error::internal("workers for sinks at rest"))?;
        let (jobs, failures) = (threads.jobs().clone(), Arc::clone(threads.failures()));
        Ok(Local::new(&self.doors, &self.preparers, jobs, failures))
    }

    fn prepare(local: &mut Local, ports: &Ports, sensors: &Sensors) -> Result<Option<Self::Ready>> {
        local.prepare(ports, sensors)
    }

    fn accept(
        &mut self,
        ready: Self::Ready,
        arrived: Option<Instant>,
        sensors: &SharedSensors,
    ) -> Result<()> {
        for (at, ready) in ready.into_iter().enumerate() {
            let Some(ready) = ready else { continue };
            let are_records = matches!(ready.content, Content::Records(_));
            let sensors = are_records.then(|| self.sensors(sensors));
            self.send(at, Message::Batch { ready, sensors, arrived })?;
        }
        Ok(())
    }

    fn work(local: &mut Local) {
        local.work();
    }

    fn ended(&mut self, failure: Option<Error>) -> Option<Error> {
        let has_failed = self.threads.as_ref().is_some_and(|threads| threads.failures().is_any());
        if failure.is_none() && !has_failed {
            return None;
        }
        // What was handed over before may fail too. Who asked for the end wants it now.
        let is_abandoned = failure.as_ref().is_some_and(|error| error.kind() == ErrorKind::Interrupted);
        self.rest(is_abandoned).err().or(failure)
    }

    fn close(&mut self, local: Local) -> Result<()> {
        self.times.iter_mut().zip(local.times()).for_each(|(time, more)| *time += more);
        Ok(())
    }
}
