//! All sinks of a run: each receives every batch (clause 20).
//!
//! At rest they are called directly: by the one-thread loop, at the beginning and at the end of a run. While workers pass batches on, each
//! sink has a [thread](threads) of its own, which handles its queue; a prompt sink whose queue is empty is called by the worker.

mod backlog;
pub(crate) mod delivering;
mod delivery;
mod door;
mod failures;
mod local;
mod message;
mod open;
mod opening;
mod pace;
mod ready;
mod threads;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::Observer;
use super::drain::Drain;
use super::durable::Durable;
use super::meters::{CheckpointMeters, SinkMeters};
use super::reload::Reload;
use super::report::{Rejects, Report};
use super::schedule::Schedule;
use super::snapshot::{Awaited, Draft, Snapshot, recount};
use super::state::{Resume, State};
use crate::atomic::SavedPart;
use crate::chain::Ports;
use crate::checkpoint::{Ending, Manifest};
use crate::cuts::CutRequest;
use crate::error::guard::asked;
use crate::error::{Error, ErrorKind, Masks, Rejection, RejectionKind, Result};
use crate::metrics::Ledger;
use crate::notes::Event;
use crate::pipeline::{Pipeline, Plan};
use crate::sensor::{SensorId, Sensors, SharedSensors};
use crate::sink::{Prepare, SinkContext, Takes};

use delivery::Delivery;
use door::Door;
use message::Message;
use open::Outlet;
use opening::Opening;
use ready::{Content, ReadyBatch};
use threads::Threads;

pub(crate) use local::OutletsLocal;
pub(crate) use threads::RunControl;

/// The open sinks of a run, and its rejected records.
pub(crate) struct Outlets {
    doors: Vec<Arc<Door>>,
    /// The sinks, while they are at rest.
    outlets: Vec<Outlet>,
    /// Their threads, while they are not.
    threads: Option<Threads>,
    /// By sink: the part that may run out of order.
    preparers: Vec<Option<Arc<dyn Prepare>>>,
    /// By sink: time that workers have spent for it.
    times: Vec<Duration>,
    /// The sensor names that sinks were given last.
    sensors: Option<Arc<Sensors>>,
    /// The checkpoints of a run that can be resumed.
    state: Option<State>,
    rejects: Rejects,
    /// The secrets to mask in messages about the sinks.
    masks: Arc<Masks>,
    /// Remarks about where new options took effect.
    remarks: Vec<String>,
}

impl Outlets {
    /// Opens all sinks with the context `plain`; with `state`, each resumes from the checkpoint.
    pub(crate) fn open(
        pipeline: &Pipeline,
        plan: &Plan,
        mut state: Option<State>,
        plain: &SinkContext,
    ) -> Result<Self> {
        let plain = &SinkContext { masks: Arc::clone(pipeline.secrets.masks()), ..plain.clone() };
        let opening = Opening { plan, state: state.as_ref(), plain };
        let sinks = pipeline.sinks.iter().enumerate();
        let outlets: Vec<_> = sinks.map(|(at, entry)| opening.outlet(at, entry)).collect::<Result<_>>()?;
        state.iter_mut().for_each(State::remark_undelivered);
        Ok(Self {
            doors: outlets.iter().map(|outlet| Arc::clone(&outlet.door)).collect(),
            times: vec![Duration::ZERO; outlets.len()],
            outlets,
            threads: None,
            preparers: Vec::new(),
            sensors: None,
            state,
            rejects: Rejects::default(),
            masks: Arc::clone(&plain.masks),
            remarks: Vec::new(),
        })
    }

    /// Starts the thread of each sink. From now until the run ends the sinks are called by these threads, and the prompt ones also by workers.
    pub(crate) fn start(&mut self, control: RunControl) -> Result<()> {
        let preparers =
            self.outlets.iter().map(|outlet| asked(&outlet.door.label, || outlet.sink.preparer()));
        self.preparers = preparers.collect::<Result<_>>()?;
        self.threads = Some(Threads::start(std::mem::take(&mut self.outlets), control, &self.masks)?);
        Ok(())
    }

    /// What other threads see of each sink.
    pub(crate) fn meters(&self) -> Vec<Arc<SinkMeters>> {
        self.doors.iter().map(|door| Arc::clone(&door.meters)).collect()
    }

    /// What other threads see of the checkpoints.
    pub(crate) fn checkpoint_meters(&self) -> Option<Arc<CheckpointMeters>> {
        self.state.as_ref().map(|state| Arc::clone(state.meters()))
    }

    /// Waits until the sinks have taken everything, and ends their threads; if the run `is_abandoned`, what is queued is discarded.
    ///
    /// # Errors
    /// The first error of a sink.
    fn join(&mut self, is_abandoned: bool) -> Result<()> {
        let Some(threads) = self.threads.take() else { return Ok(()) };
        let (outlets, failure) = threads.join(is_abandoned);
        self.outlets = outlets;
        failure.map_or(Ok(()), Err)
    }

    /// Sends `message` to sink `at`.
    fn send(&mut self, at: usize, message: Message) -> Result<()> {
        let Some(threads) = &mut self.threads else {
            return Err(Error::internal("a prepared batch for a sink that has no thread"));
        };
        if threads.send(at, message)? {
            return Ok(());
        }
        self.join(false)?;
        Err(Error::internal("a sink has ended without an error"))
    }

    /// The current sensor names, for sinks that use them later.
    fn sensors(&mut self, sensors: &SharedSensors) -> Arc<Sensors> {
        let now = sensors.read();
        let known = self.sensors.take().filter(|known| known.changes() == now.changes());
        let known = known.unwrap_or_else(|| Arc::new(now.snapshot()));
        self.sensors = Some(Arc::clone(&known));
        known
    }

    /// The run begins, and readers wait for every batch, and for the header first.
    pub(crate) fn go_live(&mut self) -> Result<()> {
        self.outlets.iter_mut().try_for_each(|outlet| {
            outlet.is_live = true;
            outlet.timed(|sink| sink.push())
        })
    }

    /// Takes the checkpoint to resume from; it is kept no longer than necessary.
    pub(crate) fn take_resume(&mut self) -> Option<Resume> {
        self.state.as_mut()?.take_resume()
    }

    /// Makes a checkpoint at once, before the run begins.
    pub(crate) fn keep(&mut self, first: Snapshot<'_>) -> Result<()> {
        let draft = self.draft(first, Ending::Running)?;
        match (&mut self.state, draft) {
            (Some(state), Some(draft)) => state.conclude(draft),
            _ => Ok(()),
        }
    }

    /// The durable positions of the sources, if there is a state folder.
    pub(crate) fn durable(&self) -> Option<&Arc<Durable>> {
        self.state.as_ref().map(State::durable)
    }

    /// Whether the next checkpoint has only what has changed since the last one.
    pub(crate) fn takes_changes(&self) -> Arc<AtomicBool> {
        self.state.as_ref().map(State::takes_changes).unwrap_or_default()
    }

    /// When checkpoints are due: by time, and when one is requested by `cuts`; never in a run without a state folder.
    pub(crate) fn schedule(&self, cuts: &CutRequest) -> Schedule {
        self.state.as_ref().map_or_else(Schedule::never, |state| state.schedule(cuts))
    }

    /// Restores the counts from a checkpoint.
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

    /// Starts making checkpoints, if there is a state folder.
    pub(crate) fn keep_checkpoints(&mut self) -> Result<()> {
        self.state.as_mut().map_or(Ok(()), State::begin)
    }

    /// A checkpoint of all sinks at rest.
    fn draft(&mut self, snapshot: Snapshot<'_>, ending: Ending) -> Result<Option<Draft>> {
        let Some(state) = &mut self.state else { return Ok(None) };
        let mut draft = state.draft(snapshot, ending);
        let epoch = draft.epoch;
        let cuts = self.outlets.iter_mut().map(|outlet| outlet.cut(epoch)).collect::<Result<_>>()?;
        draft.add(cuts, &self.rejects)?;
        Ok(Some(draft))
    }

    /// Flushes all sinks, then makes their output visible and fills in `report`. A run that can be resumed keeps checkpoints of that: first
    /// that the output is complete, then that it is published.
    pub(crate) fn finish(
        mut self,
        last: Option<Snapshot<'_>>,
        observer: &mut (dyn Observer + Send),
        report: &mut Report,
    ) -> Result<()> {
        self.join(false)?;
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
        if let (Some(state), Some(mut manifest)) = (&mut self.state, published) {
            // Something may have been dropped at the very end.
            recount(&mut manifest, &self.rejects, self.outlets.iter().map(|outlet| outlet.entry.ledger))?;
            let draft = Draft::over(state.next_epoch(), manifest);
            state.conclude(draft)?;
        }
        self.outlets.iter().for_each(Outlet::clear);
        self.close(report);
        Ok(())
    }

    /// Publishes what a run had completed before it was killed.
    pub(crate) fn publish(mut self, report: &mut Report) -> Result<()> {
        for outlet in &mut self.outlets {
            report.remarks.extend(outlet.commit()?);
        }
        self.state.as_mut().map_or(Ok(()), State::published)?;
        self.outlets.iter().for_each(Outlet::clear);
        self.close(report);
        Ok(())
    }

    /// Removes the outboxes of a run that is over: a run that was killed when its output was published may have left them.
    pub(crate) fn clear(pipeline: &Pipeline, state: &State) -> Result<()> {
        for (at, entry) in pipeline.sinks.iter().enumerate() {
            if asked(&format!("sink {at}"), || entry.spec.delivers())? {
                delivering::clear(&state.context(at, &SinkContext::default()))?;
            }
        }
        Ok(())
    }

    /// Whether the run can be resumed.
    pub(crate) fn has_state(&self) -> bool {
        self.state.is_some()
    }

    /// Flushes all sinks and makes a checkpoint to resume from.
    pub(crate) fn pause(
        mut self,
        last: Snapshot<'_>,
        observer: &mut (dyn Observer + Send),
        report: &mut Report,
    ) -> Result<()> {
        self.join(false)?;
        for outlet in &mut self.outlets {
            outlet.timed(|sink| sink.push())?;
        }
        asked("the observer", || observer.committing())?;
        if self.state.as_ref().is_some_and(State::delivers) {
            // Before the checkpoint, which then no longer has it.
            self.outlets
                .iter()
                .filter_map(|outlet| outlet.delivery.as_ref())
                .try_for_each(Delivery::complete)?;
        }
        let draft = self.draft(last, Ending::Running)?;
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.door.restarts) {
            report.remarks.extend(outlet.timed(|sink| sink.flush().and_then(|()| sink.commit()))?);
        }
        if let (Some(state), Some(draft)) = (&mut self.state, draft) {
            let outputs: Vec<_> = draft.manifest.outputs.iter().flatten().cloned().collect();
            state.conclude(draft)?;
            for delivery in self.outlets.iter().filter_map(|outlet| outlet.delivery.as_ref()) {
                report.remarks.extend(delivery.pause()?);
            }
            self.outlets.iter_mut().for_each(Outlet::count_all_dropped);
            // Those that have been delivered are not.
            let unpublished = outputs.iter().filter(|output| state.is_unpublished(output));
            report.remarks.extend(unpublished.map(|SavedPart { path, part, .. }| {
                let (path, part) = (path.display(), part.display());
                format!("{path} is not complete: its records so far are in {part}; the same command resumes it, and --finish publishes it")
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
        report.remarks.extend(self.remarks);
        report
            .remarks
            .extend(self.state.into_iter().flat_map(|mut state| std::mem::take(&mut state.remarks)));
    }
}

impl Drain for Outlets {
    type Local = OutletsLocal;
    /// By sink; `None` if there are no records for it.
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

    fn reload(&mut self, reload: &Reload, records: u64) -> Result<()> {
        for (at, spec) in reload.sinks.iter().enumerate() {
            let Some(spec) = spec else { continue };
            self.send(at, Message::Reload(Arc::clone(spec)))?;
        }
        self.state.iter_mut().for_each(|state| state.reload(&reload.pipeline));
        let options = reload.options.join(", ");
        let said = format!("options changed after {records} records: {options}");
        Event::debug("options_changed").records(records).say(&self.masks, &said);
        self.remarks.push(said);
        Ok(())
    }

    fn rejections(&mut self, rejections: Vec<Rejection>) -> Result<()> {
        for rejection in &rejections {
            match rejection.kind {
                RejectionKind::Late => self.rejects.late += 1,
                RejectionKind::Ahead => self.rejects.ahead += 1,
                _ => self.rejects.malformed += 1,
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

    fn local(&self) -> Result<OutletsLocal> {
        let threads =
            self.threads.as_ref().ok_or_else(|| Error::internal("workers for sinks that have no threads"))?;
        let (jobs, failures) = (threads.jobs().clone(), Arc::clone(threads.failures()));
        Ok(OutletsLocal::new(&self.doors, &self.preparers, jobs, failures))
    }

    fn prepare(local: &mut OutletsLocal, ports: &Ports, sensors: &Sensors) -> Result<Option<Self::Ready>> {
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

    fn work(local: &mut OutletsLocal) {
        local.work();
    }

    fn ended(&mut self, failure: Option<Error>) -> Option<Error> {
        let has_failed = self.threads.as_ref().is_some_and(|threads| threads.failures().is_any());
        if failure.is_none() && !has_failed {
            return None;
        }
        // Earlier batches may still fail. If the user asked to stop, the run ends at once.
        let is_abandoned = failure.as_ref().is_some_and(|error| error.kind() == ErrorKind::Interrupted);
        self.join(is_abandoned).err().or(failure)
    }

    fn close(&mut self, local: OutletsLocal) -> Result<()> {
        self.times.iter_mut().zip(local.times()).for_each(|(time, more)| *time += more);
        Ok(())
    }
}
