//! Where the records of a reading go: into the sinks, or into a first pass.

use std::time::Instant;

use super::snapshot::Snapshot;
use crate::chain::Ports;
use crate::error::guard::{asked, guarded};
use crate::error::{Error, Part, Rejection, Result};
use crate::metrics::Entry;
use crate::sensor::{SensorId, Sensors, SharedSensors};
use crate::sink::Job;
use crate::stage::{Fit, Fitted};

/// What the last stage's records, and all records set aside, are handed to.
///
/// One worker alone calls `records`. Several of them ask for a `local` each, `prepare` batches with it in any order,
/// hand over what came of it with `accept` in the order of the batches, `work` off what that has left to do, and `close` their `local` at the end.
pub(crate) trait Drain: Send {
    /// What one worker keeps.
    type Local: Send;
    /// What a worker made of a batch.
    type Ready: Send;

    /// Takes what has come out of its ports for a piece of the input.
    fn records(&mut self, ports: &Ports, sensors: &Sensors) -> Result<()>;

    /// A cut between two pieces of the input: everything before it has been taken, nothing behind it.
    fn cut(&mut self, _snapshot: Snapshot<'_>) -> Result<()> {
        Ok(())
    }

    /// Takes records set aside, in this order.
    fn rejections(&mut self, rejections: Vec<Rejection>) -> Result<()>;

    /// These sensors are given up: what comes under their ids from now on is of others, or of the same ones as if they were new.
    fn give_up(&mut self, _gone: &[SensorId]) -> Result<()> {
        Ok(())
    }

    /// What a worker needs to prepare batches.
    fn local(&self) -> Result<Self::Local>;

    /// Does with a piece whatever can be done before its turn; `None` where nothing has come out of its ports.
    fn prepare(local: &mut Self::Local, ports: &Ports, sensors: &Sensors) -> Result<Option<Self::Ready>>;

    /// Takes what was prepared of records that came in at `arrived`, where that is known.
    fn accept(&mut self, ready: Self::Ready, arrived: Option<Instant>, sensors: &SharedSensors)
    -> Result<()>;

    /// Does what is left to do with what was accepted, if there is anything: by any worker, at any time before the end. What goes wrong is
    /// seen by whoever hands over next, or at the end.
    fn work(_local: &mut Self::Local) {}

    /// All workers have ended, with this `failure` or with none: gives what the run has failed of, which may be something that went wrong
    /// with what was handed over before.
    fn ended(&mut self, failure: Option<Error>) -> Option<Error> {
        failure
    }

    /// Takes back what a worker kept.
    fn close(&mut self, local: Self::Local) -> Result<()>;
}

/// A job, and which part of the pipeline it is of.
pub(crate) struct PartJob {
    pub(crate) label: String,
    pub(crate) part: Part,
    /// Which sink's.
    pub(crate) sink: usize,
    /// What it is left of: the number of the message to the sink.
    pub(crate) sequence: u64,
    pub(crate) job: Job,
}

impl PartJob {
    pub(crate) fn run(self) -> Result<()> {
        guarded(&self.label, self.job).map_err(|error| error.with_part(self.part))
    }
}

/// The first pass of a stage: it has eyes for records only, and their order means nothing to it.
pub(crate) struct FirstPass {
    label: String,
    /// What feeds the stage.
    ports: Vec<usize>,
    fit: Box<dyn Fit>,
    /// Records seen, and the time that took.
    entry: Entry,
}

impl FirstPass {
    /// That of the stage `name`, which messages call `label` and `ports` feed.
    pub(crate) fn new(name: &str, label: String, ports: &[usize], fit: Box<dyn Fit>) -> Self {
        Self { label, ports: ports.to_vec(), fit, entry: Entry::new(name) }
    }

    /// What was entered since this was asked the last time.
    pub(crate) fn take_entry(&mut self) -> Entry {
        let empty = Entry::new(&*self.entry.name);
        std::mem::replace(&mut self.entry, empty)
    }

    /// The input has ended; see [`Fit::finish`].
    pub(crate) fn finish(&mut self, sensors: &Sensors) -> Result<Option<Fitted>> {
        guarded(&self.label, || self.fit.finish(sensors))
    }

    fn observe(&mut self, ports: &Ports, sensors: &Sensors) -> Result<()> {
        let Some(batch) = ports.look(&self.ports) else { return Ok(()) };
        let start = Instant::now();
        self.entry.ledger.input += batch.len() as u64;
        self.entry.ledger.folded += batch.len() as u64;
        let result = guarded(&self.label, || self.fit.observe(&batch, sensors));
        self.entry.time += start.elapsed();
        result
    }
}

impl Drain for FirstPass {
    type Local = Self;
    type Ready = ();

    fn records(&mut self, ports: &Ports, sensors: &Sensors) -> Result<()> {
        self.observe(ports, sensors)
    }

    fn rejections(&mut self, _rejections: Vec<Rejection>) -> Result<()> {
        Ok(())
    }

    fn local(&self) -> Result<Self> {
        let fit = asked(&self.label, || self.fit.fork())?;
        let (label, ports) = (self.label.clone(), self.ports.clone());
        Ok(Self { label, ports, fit, entry: Entry::new(&*self.entry.name) })
    }

    fn prepare(local: &mut Self, ports: &Ports, sensors: &Sensors) -> Result<Option<()>> {
        local.observe(ports, sensors).map(|()| None)
    }

    fn accept(&mut self, _ready: (), _arrived: Option<Instant>, _sensors: &SharedSensors) -> Result<()> {
        Ok(())
    }

    fn close(&mut self, local: Self) -> Result<()> {
        self.entry.add(&local.entry);
        guarded(&self.label, || self.fit.merge(local.fit))
    }
}
