//! A source whose items come at a pace, and begin the faults of the schedule.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::faults::Faults;
use super::journal::Event;
use crate::atomic::Outputs;
use crate::batch::Schema;
use crate::error::Result;
use crate::files::Base;
use crate::offset::Offset;
use crate::probe::Probe;
use crate::resilience::pause;
use crate::sensor::SensorLookup;
use crate::source::{Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use crate::time::{TimeParser, Timestamp};

/// The same source, under faults.
pub(super) struct FaultySource {
    pub(super) inner: Arc<dyn SourceSpec>,
    pub(super) faults: Arc<Faults>,
    /// The time between two items.
    pub(super) pace: Duration,
}

impl SourceSpec for FaultySource {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn parameters(&self) -> serde_json::Value {
        self.inner.parameters()
    }

    fn traits(&self) -> Traits {
        self.inner.traits()
    }

    fn losses(&self) -> Vec<&'static str> {
        self.inner.losses()
    }

    fn files(&self, outputs: &Outputs) -> Vec<PathBuf> {
        self.inner.files(outputs)
    }

    fn exclusive(&self) -> Vec<String> {
        self.inner.exclusive()
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        let inner = self.inner.with_base(base)?;
        Some(Arc::new(Self { inner, faults: Arc::clone(&self.faults), pace: self.pace }))
    }

    fn times(&self) -> Result<Option<TimeParser>> {
        self.inner.times()
    }

    fn header(&self, file: &str) -> Result<Option<Vec<u8>>> {
        self.inner.header(file)
    }

    fn can_resume(&self) -> bool {
        self.inner.can_resume()
    }

    fn check_resumable(&self) -> Result<()> {
        self.inner.check_resumable()
    }

    fn ticks(&self) -> bool {
        self.inner.ticks()
    }

    fn probe(&self, probe: &mut Probe) {
        self.inner.probe(probe);
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let (inner, faults) = (self.inner.open(options)?, Arc::clone(&self.faults));
        Ok(Box::new(Faulty { inner, faults, pace: self.pace, stop: Arc::clone(&options.stop) }))
    }
}

/// It in use.
struct Faulty {
    inner: Box<dyn Source>,
    faults: Arc<Faults>,
    pace: Duration,
    stop: Arc<AtomicBool>,
}

impl Source for Faulty {
    fn schema(&self) -> &Arc<Schema> {
        self.inner.schema()
    }

    fn begin(&mut self) -> Result<()> {
        self.inner.begin()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let input = self.inner.next(sensors)?;
        if !matches!(input, None | Some(Input::Nothing)) {
            let longer = self.faults.read()?;
            let _in_full = pause(self.pace + longer, || !self.stop.load(Ordering::Relaxed));
        }
        Ok(input)
    }

    fn drain(&mut self, can_resume: bool, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.inner.drain(can_resume, sensors)
    }

    fn offset(&self) -> Offset {
        self.inner.offset()
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.inner.seek(offset)
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        self.inner.save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.inner.restore(state)
    }

    fn durable(&mut self, epoch: u64, position: &[u8]) -> Result<()> {
        self.inner.durable(epoch, position)?;
        self.faults.journal.note(Event::Durable)
    }

    fn received(&self) -> Option<Timestamp> {
        self.inner.received()
    }

    fn arrival(&mut self) -> Result<Option<u64>> {
        self.inner.arrival()
    }

    fn remarks(&self) -> Vec<String> {
        self.inner.remarks()
    }

    fn missing(&self) -> Option<String> {
        self.inner.missing()
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }

    fn waiting(&self) -> Option<u64> {
        self.inner.waiting()
    }

    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }
}
