//! Stages without a runtime: batches in, batches out, on the thread that calls.
//!
//! ```text
//! push(batch) → what came out of each port, and what was set aside      as often as there is input
//! save() → bytes                                                        between two pushes; restore(bytes) goes on from them
//! finish() → what the stages held, each through those behind it         once, at the end of the input
//! ```
//!
//! What comes out is what any runtime gives, to the bit: the one-thread loop that judges them is made of this.
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

mod ports;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use crate::batch::{Batch, Origins, Schema};
use crate::error::guard::{asked, guarded};
use crate::error::{Rejection, RejectionKind, Result};
use crate::metrics::Entry;
use crate::offset::Trigger;
use crate::sensor::{SensorId, Sensors};
use crate::stage::{Flow, Process, Stage};

pub use ports::{Ports, Route};

/// Stages in use.
pub struct Chain {
    steps: Vec<Step>,
    route: Route,
}

/// A stage in use.
struct Step {
    label: String,
    process: Box<dyn Process>,
    entry: Entry,
}

/// The result of pushing a batch through the chain.
pub struct Emitted {
    /// The batch of each port: those of the sources first, then one a stage.
    pub ports: Ports,
    /// Rejected records, in the order of the stages.
    pub rejections: Vec<Rejection>,
}

impl Emitted {
    /// The output of the last stage; `None` where no record passed it.
    pub fn output(&self) -> Option<Arc<Batch>> {
        self.ports.look(&[self.ports.len() - 1])
    }
}

/// Records that a stage held and has released, and those it rejected meanwhile.
pub struct LetGo {
    /// The released records, in order.
    pub batch: Option<Batch>,
    /// Rejected records.
    pub rejections: Vec<Rejection>,
}

impl Chain {
    /// `stages` in a row, the first of which is given records of the columns `input`.
    ///
    /// # Errors
    /// A configuration error of a stage, which its message names by its place.
    pub fn new(stages: &[Arc<dyn Stage>], input: &Arc<Schema>) -> Result<Self> {
        let mut schema = Arc::clone(input);
        let mut parts = Vec::new();
        for (at, stage) in stages.iter().enumerate() {
            let label = format!("stage {at} ({})", stage.name());
            let output = guarded(&label, || stage.output(&schema))?;
            let input = std::mem::replace(&mut schema, Arc::new(output));
            parts.push((label, Arc::clone(stage), input));
        }
        Self::of(
            parts.iter().map(|(label, stage, input)| (label.clone(), &**stage, input)),
            Route::straight(parts.len()),
        )
    }

    /// Stages joined as `route` says: of each, what messages call it and the columns that come in, which it has agreed to ([`Stage::output`]).
    ///
    /// # Errors
    /// The error of the stage that cannot be started.
    pub fn of<'s>(
        stages: impl Iterator<Item = (String, &'s dyn Stage, &'s Arc<Schema>)>,
        route: Route,
    ) -> Result<Self> {
        let steps = stages.map(|(label, stage, input)| {
            let process = guarded(&label, || stage.start(input))?;
            Ok(Step { label, process, entry: Entry::new(stage.name()) })
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

    /// Takes the next records of the first source through all stages.
    ///
    /// # Errors
    /// The error of the stage that failed. The chain must not be used after that.
    pub fn push(&mut self, batch: Batch, sensors: &Sensors) -> Result<Emitted> {
        self.push_out_of(0, batch, sensors)
    }

    /// Takes records that have come out of `port` through the stages behind it.
    ///
    /// # Errors
    /// As for [`Chain::push`].
    pub fn push_out_of(&mut self, port: usize, batch: Batch, sensors: &Sensors) -> Result<Emitted> {
        let (mut ports, mut rejections) = (self.route.begin(port, batch), Vec::new());
        for (at, step) in self.steps.iter_mut().enumerate().skip(self.route.behind(port)) {
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

    /// The input has ended: every stage gives back what it holds, each through those behind it, in pieces of about `rows` records.
    ///
    /// # Errors
    /// As for [`Chain::push`].
    pub fn finish(&mut self, rows: usize, sensors: &Sensors) -> Result<Vec<Emitted>> {
        let mut all = Vec::new();
        for at in 0..self.len() {
            let LetGo { batch, rejections } = self.finish_stage(at, sensors)?;
            all.push(Emitted { ports: self.route.nothing(), rejections });
            for piece in batch.iter().flat_map(|batch| pieces(batch, rows)) {
                all.push(self.push_out_of(self.route.out_of_stage(at), piece, sensors)?);
            }
        }
        Ok(all)
    }

    /// Stage `at` gives back what it holds: no more comes into it.
    ///
    /// # Errors
    /// As for [`Chain::push`].
    pub fn finish_stage(&mut self, at: usize, sensors: &Sensors) -> Result<LetGo> {
        self.let_go(at, |process, flow| process.finish(sensors, flow))
    }

    /// Stage `at` forgets the sensors that are `gone`, and gives back what it held of them ([`Process::give_up`]).
    ///
    /// # Errors
    /// As for [`Chain::push`].
    pub fn give_up(&mut self, at: usize, gone: &[SensorId], sensors: &Sensors) -> Result<LetGo> {
        self.let_go(at, |process, flow| process.give_up(gone, sensors, flow))
    }

    fn let_go(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut dyn Process, &mut Flow) -> Result<Option<Batch>>,
    ) -> Result<LetGo> {
        let (step, mut flow) = (&mut self.steps[at], Flow::default());
        let batch = guarded(&step.label, || act(&mut *step.process, &mut flow))?;
        step.account(&flow, batch.as_ref().map_or(0, Batch::len));
        Ok(LetGo { batch, rejections: flow.rejections })
    }

    /// How its stages are joined.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// The ledger of each stage, and the time in it.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.steps.iter().map(|step| &step.entry)
    }

    /// The same, for what a runtime has to enter besides.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.steps.iter_mut().map(|step| &mut step.entry)
    }

    /// Remarks of stage `at` at the end of the run ([`Process::remarks`]).
    ///
    /// # Errors
    /// An internal error where it panics.
    pub fn remarks(&self, at: usize) -> Result<Vec<String>> {
        let step = &self.steps[at];
        asked(&step.label, || step.process.remarks())
    }
}

impl Step {
    fn account(&mut self, flow: &Flow, output: usize) {
        account(&mut self.entry, flow, output);
        self.entry.ledger.held = self.process.held();
    }
}

/// Enters what became of the records of one call of a stage, of which `output` go on.
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

/// A batch that the end of the input has let go may be large: the stages after it get it in pieces of `rows` records. What they set aside
/// then is ordered by its records, whatever the pieces.
pub fn pieces(batch: &Batch, rows: usize) -> impl Iterator<Item = Batch> + '_ {
    (0..batch.len()).step_by(rows).map(move |start| {
        let rows = start..batch.len().min(start + rows);
        let triggers = rows.clone().map(|row| Trigger::end(row as u64)).collect();
        let mut piece = batch.take(&rows.map(|row| row as u32).collect::<Vec<_>>());
        match &mut piece.origins {
            Some(origins) => origins.let_go_by(triggers),
            None => piece.origins = Some(Origins::made_by(triggers)),
        }
        piece
    })
}
