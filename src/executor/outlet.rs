//! All sinks of a run: each is given every batch (clause 20).

use std::sync::Arc;
use std::time::{Duration, Instant};

use globset::GlobMatcher;

use super::drain::{Drain, PartJob};
use super::guard::guarded;
use super::report::Report;
use crate::batch::{Batch, Schema};
use crate::error::{Part, Rejection, RejectionKind, Result};
use crate::metrics::Entry;
use crate::pipeline::Pipeline;
use crate::sensor::{PerSensor, Sensors, SharedSensors};
use crate::sink::{Block, Prepare, Sink, Takes};

/// The sinks of a run, open, and what was set aside.
pub(super) struct Outlets {
    outlets: Vec<Outlet>,
    rejects: super::Rejects,
}

struct Outlet {
    label: String,
    part: Part,
    takes: Takes,
    filter: Option<Filter>,
    sink: Box<dyn Sink>,
    entry: Entry,
}

/// Which sensors a sink is given.
#[derive(Clone)]
struct Filter {
    patterns: Vec<GlobMatcher>,
    known: PerSensor<bool>,
}

impl Outlets {
    /// Opens all sinks.
    pub(super) fn open(pipeline: &Pipeline, schema: &Arc<Schema>) -> Result<Self> {
        let outlets = pipeline.sinks.iter().enumerate().map(|(at, entry)| {
            let label = format!("sink {at} ({})", entry.spec.name());
            let filter = entry.matchers()?.map(|patterns| Filter { patterns, known: PerSensor::default() });
            let part = Part::Sink(at);
            let sink = entry.spec.open(schema).map_err(|error| error.with_context(&label).with_part(part))?;
            Ok(Outlet {
                label,
                part,
                takes: entry.spec.takes(),
                filter,
                sink,
                entry: Entry::new(entry.spec.name()),
            })
        });
        Ok(Self { outlets: outlets.collect::<Result<_>>()?, rejects: super::Rejects::default() })
    }

    /// Hands everything to the system, then makes all of it visible, and tells `report`.
    pub(super) fn finish(mut self, report: &mut Report) -> Result<()> {
        for outlet in &mut self.outlets {
            outlet.timed(|sink| sink.flush())?;
        }
        for outlet in &mut self.outlets {
            let remarks = outlet.timed(|sink| sink.commit())?;
            report.remarks.extend(remarks);
        }
        report.sinks = self.outlets.into_iter().map(|outlet| outlet.entry).collect();
        report.rejects = self.rejects;
        Ok(())
    }
}

/// What a worker keeps of one sink.
pub(super) struct LocalOutlet {
    label: String,
    part: Part,
    filter: Option<Filter>,
    preparer: Option<Arc<dyn Prepare>>,
    /// Time spent in preparing and in jobs.
    time: Duration,
}

/// A batch on its way to one sink.
pub(super) struct ReadyBatch {
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
    type Ready = Vec<Option<ReadyBatch>>;

    fn records(&mut self, batch: Batch, sensors: &Sensors) -> Result<()> {
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.takes == Takes::Records) {
            let ledger = &mut outlet.entry.ledger;
            ledger.input += batch.len() as u64;
            let selected = outlet.filter.as_mut().and_then(|filter| filter.select(&batch, sensors));
            let batch = selected.as_ref().unwrap_or(&batch);
            ledger.output += batch.len() as u64;
            ledger.filtered = ledger.input - ledger.output;
            outlet.timed(|sink| sink.write(batch, sensors))?;
        }
        Ok(())
    }

    fn rejection(&mut self, rejection: &Rejection) -> Result<()> {
        match rejection.kind {
            RejectionKind::Malformed => self.rejects.malformed += 1,
            RejectionKind::Late => self.rejects.late += 1,
        }
        self.rejects.note(rejection);
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.takes == Takes::Rejections) {
            outlet.entry.ledger.input += 1;
            outlet.entry.ledger.output += 1;
            outlet.timed(|sink| sink.reject(rejection))?;
        }
        Ok(())
    }

    fn local(&self) -> Self::Local {
        let local = |outlet: &Outlet| LocalOutlet {
            label: outlet.label.clone(),
            part: outlet.part,
            filter: outlet.filter.clone(),
            preparer: outlet.sink.preparer(),
            time: Duration::ZERO,
        };
        self.outlets.iter().map(|outlet| (outlet.takes == Takes::Records).then(|| local(outlet))).collect()
    }

    fn prepare(local: &mut Self::Local, batch: Batch, sensors: &Sensors) -> Result<Self::Ready> {
        let batch = Arc::new(batch);
        let ready = |local: &mut Option<LocalOutlet>| local.as_mut().map(|l| l.ready(&batch, sensors));
        local.iter_mut().map(|local| ready(local).transpose()).collect()
    }

    fn accept(&mut self, ready: Self::Ready, sensors: &SharedSensors) -> Result<Vec<PartJob>> {
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
        let mut fits = |id| {
            *known
                .get_or_insert_with(id, || patterns.iter().any(|pattern| pattern.is_match(sensors.name(id))))
        };
        let ids = batch.sensors();
        let rows: Vec<u32> = (0..batch.len() as u32).filter(|&row| fits(ids[row as usize])).collect();
        (rows.len() < batch.len()).then(|| batch.take(&rows))
    }
}
