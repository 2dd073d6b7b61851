//! One reading of the input through some of the stages.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::limit::RejectLimit;
use super::report::Report;
use super::{Observer, RunOptions, check_stop};
use crate::batch::{Batch, Schema};
use crate::error::{Part, Rejection, RejectionKind, Result};
use crate::metrics::Entry;
use crate::pipeline::plan::stage_label;
use crate::pipeline::{Pipeline, Plan};
use crate::sensor::Sensors;
use crate::source::{Input, Source};
use crate::stage::{Fit, Flow, Process, Stage};

/// What the last stage's records, and all records set aside, are handed to.
pub(super) trait Drain {
    /// Takes records.
    fn records(&mut self, batch: Batch, sensors: &Sensors) -> Result<()>;
    /// Takes a record set aside.
    fn rejection(&mut self, rejection: &Rejection) -> Result<()>;
}

/// A first pass has eyes for records only.
impl Drain for dyn Fit + '_ {
    fn records(&mut self, batch: Batch, sensors: &Sensors) -> Result<()> {
        self.observe(&batch, sensors)
    }

    fn rejection(&mut self, _rejection: &Rejection) -> Result<()> {
        Ok(())
    }
}

/// The source and the stages of one reading.
pub(super) struct Pass<'a> {
    source: Box<dyn Source>,
    source_entry: Entry,
    stages: Vec<Step>,
    schemas: Vec<Arc<Schema>>,
    sensors: &'a mut Sensors,
    limit: RejectLimit,
    /// The line after the last chunk.
    line: u64,
    stop: Arc<AtomicBool>,
    chunk_size: usize,
}

struct Step {
    label: String,
    process: Box<dyn Process>,
    entry: Entry,
}

impl<'a> Pass<'a> {
    /// Opens the source and starts `stages`, all of them checked before.
    pub(super) fn open(
        pipeline: &Pipeline,
        stages: &[Arc<dyn Stage>],
        options: &RunOptions,
        sensors: &'a mut Sensors,
    ) -> Result<Self> {
        let mut open = options.open.clone();
        open.origins |= Plan::needs_origins(stages);
        let source = pipeline.source.open(&open).map_err(|error| error.with_part(Part::Source))?;
        let plan = Plan::new(pipeline, Arc::clone(source.schema()))?;
        let first = plan.stages.len() - pipeline.stages.len();
        let steps = stages.iter().enumerate().map(|(at, stage)| {
            let label = if at < first { stage.name().to_owned() } else { stage_label(at - first, &**stage) };
            let process = stage.start(&plan.schemas[at]).map_err(|error| error.with_context(&label))?;
            Ok(Step { label, process, entry: Entry::new(stage.name()) })
        });
        Ok(Self {
            stages: steps.collect::<Result<_>>()?,
            source_entry: Entry::new(pipeline.source.name()),
            schemas: plan.schemas,
            limit: RejectLimit::new(pipeline.input.max_rejects),
            source,
            sensors,
            line: 1,
            stop: Arc::clone(&options.stop),
            chunk_size: options.open.chunk_size,
        })
    }

    /// The columns that leave the last stage.
    pub(super) fn output(&self) -> &Arc<Schema> {
        &self.schemas[self.stages.len()]
    }

    /// Reads the input to its end.
    pub(super) fn drive<D: Drain + ?Sized>(
        &mut self,
        name: &str,
        observer: &mut dyn Observer,
        drain: &mut D,
    ) -> Result<()> {
        loop {
            check_stop(&self.stop)?;
            let start = Instant::now();
            let input = self.source.next(self.sensors)?;
            let Some(input) = input else { break };
            let batch = self.decode(input, drain)?;
            self.source_entry.time += start.elapsed();
            self.forward(0, batch, drain)?;
            observer.progress(name, self.source.progress(), self.source_entry.ledger.input);
        }
        self.limit.finish()?;
        self.finish(drain)
    }

    /// Bytes to records, with the ledger and the rejections of the source.
    fn decode<D: Drain + ?Sized>(&mut self, input: Input, drain: &mut D) -> Result<Batch> {
        let (mut decoded, base, sequence) = match input {
            Input::Records(decoded) => (decoded, 0, None),
            Input::Chunk(chunk) => {
                let decoded = chunk.decode(self.sensors)?;
                let base = if chunk.offset.line == 0 { self.line } else { 0 };
                self.line = base + chunk.offset.line + decoded.lines;
                (decoded, base, Some(chunk.sequence))
            }
        };
        if let Some(origins) = decoded.batch.origins.as_mut().filter(|_| base > 0) {
            origins.shift_lines(base);
        }
        let ledger = &mut self.source_entry.ledger;
        let records = (decoded.batch.len() + decoded.rejections.len()) as u64;
        for rejection in &mut decoded.rejections {
            rejection.position.line += base;
            rejection.record += ledger.input;
            drain.rejection(rejection)?;
        }
        ledger.input += records;
        ledger.rejected += decoded.rejections.len() as u64;
        ledger.output += decoded.batch.len() as u64;
        self.limit.pass(records, &decoded.rejections)?;
        decoded.batch.sequence = sequence.unwrap_or(decoded.batch.sequence);
        Ok(decoded.batch)
    }

    /// Hands `batch` to the stages from `at` on, then to `drain`.
    fn forward<D: Drain + ?Sized>(&mut self, at: usize, mut batch: Batch, drain: &mut D) -> Result<()> {
        for step in &mut self.stages[at..] {
            let start = Instant::now();
            let mut flow = Flow::default();
            step.entry.ledger.input += batch.len() as u64;
            batch = step
                .process
                .process(batch, self.sensors, &mut flow)
                .map_err(|e| e.with_context(&step.label))?;
            step.account(&flow, batch.len());
            step.entry.time += start.elapsed();
            flow.rejections.iter().try_for_each(|rejection| drain.rejection(rejection))?;
        }
        if batch.is_empty() { Ok(()) } else { drain.records(batch, self.sensors) }
    }

    /// Lets every stage give back what it holds, each through those after it.
    fn finish<D: Drain + ?Sized>(&mut self, drain: &mut D) -> Result<()> {
        for at in 0..self.stages.len() {
            let mut flow = Flow::default();
            let step = &mut self.stages[at];
            let last =
                step.process.finish(self.sensors, &mut flow).map_err(|e| e.with_context(&step.label))?;
            step.account(&flow, last.as_ref().map_or(0, Batch::len));
            flow.rejections.iter().try_for_each(|rejection| drain.rejection(rejection))?;
            let chunk_size = self.chunk_size;
            for piece in last.iter().flat_map(|batch| pieces(batch, chunk_size)) {
                self.forward(at + 1, piece, drain)?;
            }
        }
        Ok(())
    }

    /// Writes the ledgers into `report`.
    pub(super) fn close(self, report: &mut Report) {
        report.bytes += self.source.progress().done;
        report.passes += 1;
        report.source = self.source_entry;
        report.stages = self.stages.into_iter().map(|step| step.entry).collect();
    }
}

impl Step {
    fn account(&mut self, flow: &Flow, output: usize) {
        let ledger = &mut self.entry.ledger;
        ledger.output += output as u64;
        ledger.filtered += flow.filtered;
        let late = flow.rejections.iter().filter(|rejection| rejection.kind == RejectionKind::Late).count();
        ledger.late += late as u64;
        ledger.rejected += (flow.rejections.len() - late) as u64;
        ledger.held = self.process.held();
    }
}

/// A batch that was held may be large: the stages after it get it in pieces of about a chunk.
fn pieces(batch: &Batch, chunk_size: usize) -> impl Iterator<Item = Batch> + '_ {
    let rows = (chunk_size / 32).max(1);
    (0..batch.len()).step_by(rows).map(move |start| {
        let rows: Vec<u32> = (start..batch.len().min(start + rows)).map(|row| row as u32).collect();
        batch.take(&rows)
    })
}
