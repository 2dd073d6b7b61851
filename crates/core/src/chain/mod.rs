//! Stages without a runtime: batches in, batches out, on the calling thread.
//!
//! ```text
//! push(batch) → the output of each port, and the rejections             repeatedly
//! save() → bytes                                                        between two pushes; restore(bytes) resumes from them
//! finish() → the buffered records of each stage, processed by the rest  once, at the end of the input
//! ```
//!
//! A saved state has its sensors by name and their states one by one, so it can move between processes by groups of sensors. A [partitioned](Chain::partitioned) chain
//! has some of the sensors of a source, while others are in other processes:
//!
//! ```text
//! save_groups(n) → n × bytes            sensors by Chain::group_of(name, n)
//! restore([bytes, …])                   of one group or several, whichever process saved them, in a chain that has been given nothing yet
//! advance(watermark)                    if the watermark of the source is known; without it no sensor is quiet; due() says from which watermark on it has an effect
//! ```
//!
//! Each sensor gets the same records, to the bit, as from one partitioned chain that is given everything. Between sensors, the order is that of the process that they
//! were in.
//!
//! The output is bit for bit that of every runtime: the one-thread loop, their oracle, uses this.
//!
//! ```
//! use std::sync::Arc;
//! use tidemill_core::batch::{Batch, Column, Field, Schema, Text};
//! use tidemill_core::chain::Chain;
//! use tidemill_core::sensor::Sensors;
//! use tidemill_core::stage::{Stage, Threshold};
//!
//! let schema = Arc::new(Schema::new(vec![Field::sensor("sensor"), Field::measurement("v")])?);
//! let stages: Vec<Arc<dyn Stage>> = vec![Arc::new(Threshold::between(0.0, 10.0))];
//! let mut chain = Chain::new(&stages, &schema)?;
//! let mut sensors = Sensors::default();
//! let ids = vec![sensors.id("a")?, sensors.id("b")?];
//! let values = [Some(5.0), Some(50.0)].into_iter().collect();
//! let batch = Batch::new(schema, vec![Column::Sensor(ids), Column::F64(values)], Text::default());
//! let emitted = chain.push(batch, &sensors)?;
//! assert_eq!(emitted.output().map(|batch| batch.len()), Some(1));
//! # Ok::<(), tidemill_core::error::Error>(())
//! ```

#[cfg(test)]
mod golden_tests;
mod groups;
#[cfg(test)]
mod groups_tests;
mod ports;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use crate::batch::{Batch, Origins, Schema};
use crate::error::guard::{asked, guarded};
use crate::error::{Error, Rejection, RejectionKind, Result};
use crate::metrics::Entry;
use crate::offset::Trigger;
use crate::sensor::{SensorId, Sensors};
use crate::stage::{Flow, Identity, Process, Reach, Stage};
use crate::time::{Agreement, Timestamp, Watermark};

pub use ports::{Ports, Route};

/// A running graph of stages. All calls come from one thread at a time; a chain may move between threads.
pub struct Chain {
    steps: Vec<Step>,
    route: Route,
}

/// A running stage.
struct Step {
    label: String,
    /// With the columns that come in: what tells whether a state is its own.
    stage: Arc<dyn Stage>,
    input: Arc<Schema>,
    process: Box<dyn Process>,
    entry: Entry,
}

/// The result of pushing a batch through the chain.
#[non_exhaustive]
pub struct Emitted {
    /// The batch of each port: first those of the sources, then one per stage.
    pub ports: Ports,
    /// Rejected records, in the order of the stages.
    pub rejections: Vec<Rejection>,
}

impl Emitted {
    /// The output of the last stage; `None` if no record passed it.
    pub fn output(&self) -> Option<Arc<Batch>> {
        self.ports.look(&[self.ports.len() - 1])
    }
}

/// Records that a stage buffered and has released, and those it rejected meanwhile.
#[non_exhaustive]
pub struct Released {
    /// The released records, in order.
    pub batch: Option<Batch>,
    /// Rejected records.
    pub rejections: Vec<Rejection>,
}

impl Chain {
    /// A linear chain of `stages`, whose first stage gets records of the columns `input`.
    ///
    /// # Errors
    /// A configuration error of a stage, with its index in the message.
    pub fn new(stages: &[Arc<dyn Stage>], input: &Arc<Schema>) -> Result<Self> {
        let mut schema = Arc::clone(input);
        let mut parts = Vec::new();
        for (at, stage) in stages.iter().enumerate() {
            let label = format!("stage {at} ({})", stage.name());
            if asked(&label, || stage.reach())? == Reach::Global {
                return Err(Error::config(format!("{label} needs a first pass over the whole input")).with_help(
                    "let `Stage::fit` observe all records, and make the chain of the stage that its end gives",
                ));
            }
            let output = guarded(&label, || stage.output(&schema))?;
            let input = std::mem::replace(&mut schema, Arc::new(output));
            parts.push((label, Arc::clone(stage), input));
        }
        let count = parts.len();
        Self::of(
            parts.iter().map(|(label, stage, input)| (label.clone(), Arc::clone(stage), input)),
            Route::straight(count),
        )
    }

    /// The same for a chain that has some of the sensors of a source, while others are in other processes. No stage derives the watermark from
    /// the records that it is given: the watermark is set by [`Chain::advance`]; before that there is none, and no sensor is quiet.
    ///
    /// # Errors
    /// As for [`Chain::new`].
    pub fn partitioned(stages: &[Arc<dyn Stage>], input: &Arc<Schema>) -> Result<Self> {
        let given = |stage: &Arc<dyn Stage>| {
            stage.with_agreement(Agreement::Given).unwrap_or_else(|| Arc::clone(stage))
        };
        Self::new(&stages.iter().map(given).collect::<Vec<_>>(), input)
    }

    /// Stages connected by `route`: for each, its name in messages and its input columns, which [`Stage::output`] has accepted.
    ///
    /// # Errors
    /// The error of a stage that cannot be started.
    pub fn of<'s>(
        stages: impl Iterator<Item = (String, Arc<dyn Stage>, &'s Arc<Schema>)>,
        route: Route,
    ) -> Result<Self> {
        let steps = stages.map(|(label, stage, input)| {
            let process = guarded(&label, || stage.start(input))?;
            let entry = Entry::new(stage.name());
            Ok(Step { label, stage, input: Arc::clone(input), process, entry })
        });
        Ok(Self { steps: steps.collect::<Result<_>>()?, route })
    }

    /// The number of stages.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether it has no stages.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Processes the next records of the first source with all stages.
    ///
    /// # Errors
    /// The error of the stage that failed. The chain must not be used after that.
    pub fn push(&mut self, batch: Batch, sensors: &Sensors) -> Result<Emitted> {
        self.push_out_of(0, batch, sensors)
    }

    /// Processes records from `port` with the stages after it.
    ///
    /// # Errors
    /// As for [`Chain::push`].
    pub fn push_out_of(&mut self, port: usize, batch: Batch, sensors: &Sensors) -> Result<Emitted> {
        self.push_out_of_each(vec![(port, batch)], sensors)
    }

    /// The same for records that have come out of several ports at once, each with its batch; the origins say which records come first
    /// ([`Origins::trigger`]).
    ///
    /// # Errors
    /// As for [`Chain::push`].
    pub fn push_out_of_each(&mut self, batches: Vec<(usize, Batch)>, sensors: &Sensors) -> Result<Emitted> {
        let first = batches.iter().map(|(port, _)| self.route.behind(*port)).min().unwrap_or(0);
        let (mut ports, mut rejections) = (self.route.begin(batches), Vec::new());
        for (at, step) in self.steps.iter_mut().enumerate().skip(first) {
            let start = Instant::now();
            let Some(batch) = ports.take(self.route.into_stage(at)) else { continue };
            let mut flow = Flow::default();
            step.entry.ledger.input += batch.len() as u64;
            let output = guarded(&step.label, || step.process.process(batch, sensors, &mut flow))?;
            step.account(&flow, output.len());
            step.entry.time += start.elapsed();
            rejections.append(&mut flow.rejections);
            ports.put(self.route.out_of_stage(at), output);
        }
        Ok(Emitted { ports, rejections })
    }

    /// The input has ended: every stage releases its buffered records, which the stages after it process in pieces of about `rows` records.
    ///
    /// # Errors
    /// As for [`Chain::push`].
    pub fn finish(&mut self, rows: usize, sensors: &Sensors) -> Result<Vec<Emitted>> {
        self.release_all(rows, sensors, |process, flow| process.finish(sensors, flow))
    }

    /// Advances to the watermark `to`, when all records before it have been pushed: every stage emits what is due, such as the intervals of quiet sensors, through the stages after it,
    /// in pieces of about `rows` records. An earlier watermark than before has no effect.
    ///
    /// # Errors
    /// A configuration error if the chain is not [partitioned](Chain::partitioned) and a stage derives the watermark itself; those of [`Chain::push`].
    pub fn advance(&mut self, to: Timestamp, rows: usize, sensors: &Sensors) -> Result<Vec<Emitted>> {
        self.steps.iter().try_for_each(Step::check_partitioned)?;
        let mut watermark = Watermark::new();
        watermark.advance(to);
        self.release_all(rows, sensors, |process, flow| process.advance(watermark, sensors, flow))
    }

    /// The watermark at which [`Chain::advance`] may emit records, if none are pushed before: it emits none at an earlier one. `None` if it emits none at all.
    ///
    /// # Errors
    /// An internal error if a stage panics.
    pub fn due(&self) -> Result<Option<Timestamp>> {
        let due = self.steps.iter().map(|step| asked(&step.label, || step.process.due()));
        Ok(due.collect::<Result<Vec<_>>>()?.into_iter().flatten().min())
    }

    /// Every stage in turn releases what `act` returns, through the stages after it.
    fn release_all(
        &mut self,
        rows: usize,
        sensors: &Sensors,
        mut act: impl FnMut(&mut dyn Process, &mut Flow) -> Result<Option<Batch>>,
    ) -> Result<Vec<Emitted>> {
        let mut all = Vec::new();
        for at in 0..self.len() {
            let Released { batch, rejections } = self.release(at, &mut act)?;
            all.push(Emitted { ports: self.route.nothing(), rejections });
            for piece in batch.iter().flat_map(|batch| pieces(batch, rows)) {
                all.push(self.push_out_of(self.route.out_of_stage(at), piece, sensors)?);
            }
        }
        Ok(all)
    }

    /// Stage `at` releases its buffered records: it gets no more input.
    ///
    /// # Errors
    /// As for [`Chain::push`].
    pub fn finish_stage(&mut self, at: usize, sensors: &Sensors) -> Result<Released> {
        self.release(at, |process, flow| process.finish(sensors, flow))
    }

    /// Stage `at` releases what `act` returns.
    fn release(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut dyn Process, &mut Flow) -> Result<Option<Batch>>,
    ) -> Result<Released> {
        let (step, mut flow) = (&mut self.steps[at], Flow::default());
        let batch = guarded(&step.label, || act(&mut *step.process, &mut flow))?;
        step.account(&flow, batch.as_ref().map_or(0, Batch::len));
        Ok(Released { batch, rejections: flow.rejections })
    }

    /// The connections of its stages.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// The ledger of each stage, with its processing time.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.steps.iter().map(|step| &step.entry)
    }

    /// The same, mutable, for a runtime's own entries.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.steps.iter_mut().map(|step| &mut step.entry)
    }

    /// The remarks of stage `at` at the end of the run ([`Process::remarks`]).
    ///
    /// # Errors
    /// An internal error if it panics.
    pub fn remarks(&self, at: usize) -> Result<Vec<String>> {
        let step = &self.steps[at];
        asked(&step.label, || step.process.remarks())
    }
}

impl Step {
    fn identity(&self) -> Identity {
        Identity::of(&*self.stage, &self.input)
    }

    /// Checks that what it makes of a sensor does not depend on which others are here.
    fn check_partitioned(&self) -> Result<()> {
        match asked(&self.label, || self.process.goes_by())? {
            None => Ok(()),
            Some(what) => Err(Error::config(format!(
                "{} goes by {what}: what it keeps of some sensors means nothing without the others",
                self.label
            ))
            .with_help("make the chain with `Chain::partitioned`, and give it the watermark")),
        }
    }

    fn account(&mut self, flow: &Flow, output: usize) {
        account(&mut self.entry, flow, output);
        self.entry.ledger.held = self.process.held();
    }
}

/// Stage `at` of `chain` removes the state of the sensors `gone`, and releases their buffered records ([`Process::give_up`]). For runtimes, which afterwards
/// free the ids of these sensors; a chain by itself cannot do that.
///
/// # Errors
/// As for [`Chain::push`].
pub fn give_up(chain: &mut Chain, at: usize, gone: &[SensorId], sensors: &Sensors) -> Result<Released> {
    chain.release(at, |process, flow| process.give_up(gone, sensors, flow))
}

/// Adds the records of one call of a stage to its ledger; `output` is the number emitted.
pub fn account(entry: &mut Entry, flow: &Flow, output: usize) {
    let ledger = &mut entry.ledger;
    ledger.output += output as u64;
    ledger.made += flow.made;
    ledger.folded += flow.folded;
    ledger.filtered += flow.filtered;
    let late = flow.rejections.iter().filter(|rejection| rejection.kind == RejectionKind::Late).count();
    ledger.late += late as u64;
    ledger.rejected += (flow.rejections.len() - late) as u64;
}

/// A batch released at the end of the input may be large: the stages after it get it in pieces of `rows` records. Their rejections are
/// ordered by its records, whatever the pieces.
pub fn pieces(batch: &Batch, rows: usize) -> impl Iterator<Item = Batch> + '_ {
    (0..batch.len()).step_by(rows).map(move |start| {
        let rows = start..batch.len().min(start + rows);
        let triggers = rows.clone().map(|row| Trigger::end(row as u64)).collect();
        let mut piece = batch.take(&rows.map(|row| row as u32).collect::<Vec<_>>());
        match &mut piece.origins {
            Some(origins) => origins.set_triggers(triggers),
            None => piece.origins = Some(Origins::made_by(triggers)),
        }
        piece
    })
}
