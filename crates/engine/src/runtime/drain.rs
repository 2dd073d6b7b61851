//! The destination of a pass: the sinks, or a first pass.

use std::time::Instant;

use super::reload::Reload;
use super::snapshot::Snapshot;
use crate::chain::Ports;
use crate::error::guard::{asked, guarded};
use crate::error::{Error, PartIndex, Rejection, Result};
use crate::metrics::Entry;
use crate::sensor::{SensorId, Sensors, SharedSensors};
use crate::sink::Job;
use crate::stage::{Fit, Fitted};

/// Receives the records of the last stage and all rejections.
///
/// A single worker only calls `records`. Several workers each get a `local`, `prepare` batches with it in any order, pass the result to
/// `accept` in the order of the batches, run the remaining jobs with `work`, and `close` their `local` at the end.
pub(crate) trait Drain: Send {
    /// State of one worker.
    type Local: Send;
    /// A prepared batch.
    type Ready: Send;

    /// Takes the output of its ports for a piece of the input.
    fn records(&mut self, ports: &Ports, sensors: &Sensors) -> Result<()>;

    /// A cut between two pieces of the input: everything before it has been accepted, nothing after it.
    fn cut(&mut self, _snapshot: Snapshot<'_>) -> Result<()> {
        Ok(())
    }

    /// From here on, behind `records` records, other options hold.
    fn reload(&mut self, _reload: &Reload, _records: u64) -> Result<()> {
        Ok(())
    }

    /// Takes rejections, in this order.
    fn rejections(&mut self, rejections: Vec<Rejection>) -> Result<()>;

    /// These sensors are given up: from now on their ids refer to other sensors, or to the same ones starting anew.
    fn give_up(&mut self, _gone: &[SensorId]) -> Result<()> {
        Ok(())
    }

    /// Creates the state of a worker that prepares batches.
    fn local(&self) -> Result<Self::Local>;

    /// Does all work for a piece that does not depend on its turn; `None` if its ports have no output.
    fn prepare(local: &mut Self::Local, ports: &Ports, sensors: &Sensors) -> Result<Option<Self::Ready>>;

    /// Takes a prepared batch; `arrived` is the time of arrival of its records, if known.
    fn accept(&mut self, ready: Self::Ready, arrived: Option<Instant>, sensors: &SharedSensors)
    -> Result<()>;

    /// Runs jobs left by accepted batches, if there are any: on any worker, at any time before the end. Errors are reported by the next
    /// call of `accept`, or at the end.
    fn work(_local: &mut Self::Local) {}

    /// All workers have ended, possibly with this `failure`: returns the error of the run, which may be an earlier one from accepted
    /// batches.
    fn ended(&mut self, failure: Option<Error>) -> Option<Error> {
        failure
    }

    /// Ends the state of a worker.
    fn close(&mut self, local: Self::Local) -> Result<()>;
}

/// A job, and the part of the pipeline it belongs to.
pub(crate) struct PartJob {
    pub(crate) label: String,
    pub(crate) part: PartIndex,
    /// The index of the sink.
    pub(crate) sink: usize,
    /// The number of the message to the sink that left it.
    pub(crate) sequence: u64,
    pub(crate) job: Job,
}

impl PartJob {
    pub(crate) fn run(self) -> Result<()> {
        guarded(&self.label, self.job).map_err(|error| error.with_part(self.part))
    }
}

/// The first pass of a stage: takes records only, in any order.
pub(crate) struct FirstPass {
    label: String,
    /// The ports that feed the stage.
    ports: Vec<usize>,
    fit: Box<dyn Fit>,
    /// The number of records, and the time spent.
    entry: Entry,
}

impl FirstPass {
    /// For the stage `name`, called `label` in messages and fed by `ports`.
    pub(crate) fn new(name: &str, label: String, ports: &[usize], fit: Box<dyn Fit>) -> Self {
        Self { label, ports: ports.to_vec(), fit, entry: Entry::new(name) }
    }

    /// The entries since the last call.
    pub(crate) fn take_entry(&mut self) -> Entry {
        let empty = Entry::new(&*self.entry.name);
        std::mem::replace(&mut self.entry, empty)
    }

    /// Ends the input; see [`Fit::finish`].
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
