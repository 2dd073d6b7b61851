//! Work for the sinks that a worker does before the turn of its chunk: filtering and preparing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;

use super::door::Door;
use super::failures::Failures;
use super::ready::{Content, Filter, ReadyBatch};
use crate::batch::Batch;
use crate::chain::Ports;
use crate::error::Result;
use crate::error::guard::guarded;
use crate::runtime::drain::PartJob;
use crate::sensor::Sensors;
use crate::sink::Prepare;

/// The state of a worker for all sinks.
pub(crate) struct OutletsLocal {
    /// By sink; `None` for those that take rejections.
    outlets: Vec<Option<LocalOutlet>>,
    /// Jobs left by sinks.
    jobs: Receiver<PartJob>,
    failures: Arc<Failures>,
}

/// The state of a worker for one sink.
struct LocalOutlet {
    door: Arc<Door>,
    filter: Option<Filter>,
    preparer: Option<Arc<dyn Prepare>>,
    /// Time spent on preparing and jobs.
    time: Duration,
}

impl OutletsLocal {
    pub(super) fn new(
        doors: &[Arc<Door>],
        preparers: &[Option<Arc<dyn Prepare>>],
        jobs: Receiver<PartJob>,
        failures: Arc<Failures>,
    ) -> Self {
        let local = |(door, preparer): (&Arc<Door>, &Option<Arc<dyn Prepare>>)| {
            door.takes_records().then(|| LocalOutlet {
                door: Arc::clone(door),
                filter: door.filter.clone(),
                preparer: preparer.clone(),
                time: Duration::ZERO,
            })
        };
        Self { outlets: doors.iter().zip(preparers).map(local).collect(), jobs, failures }
    }

    /// By sink: the output of its ports, prepared; `None` if there are no records.
    pub(super) fn prepare(
        &mut self,
        ports: &Ports,
        sensors: &Sensors,
    ) -> Result<Option<Vec<Option<ReadyBatch>>>> {
        let ready = |local: &mut Option<LocalOutlet>| {
            let local = local.as_mut()?;
            let batch = ports.look(&local.door.ports)?;
            Some(local.ready(&batch, sensors))
        };
        let ready = self.outlets.iter_mut().map(|local| ready(local).transpose());
        let ready: Vec<_> = ready.collect::<Result<_>>()?;
        Ok(ready.iter().any(Option::is_some).then_some(ready))
    }

    /// Runs jobs left by sinks.
    pub(super) fn work(&mut self) {
        while let Ok(job) = self.jobs.try_recv() {
            let (start, sink) = (Instant::now(), job.sink);
            self.failures.run(job);
            if let Some(Some(local)) = self.outlets.get_mut(sink) {
                local.time += start.elapsed();
            }
        }
    }

    /// By sink: the time spent for it.
    pub(super) fn times(&self) -> impl Iterator<Item = Duration> {
        self.outlets.iter().map(|local| local.as_ref().map_or(Duration::ZERO, |local| local.time))
    }
}

impl LocalOutlet {
    fn ready(&mut self, batch: &Arc<Batch>, sensors: &Sensors) -> Result<ReadyBatch> {
        let start = Instant::now();
        let selected = self.filter.as_mut().and_then(|filter| filter.select(batch, sensors)).map(Arc::new);
        let (input, batch) = (batch.len() as u64, selected.as_ref().unwrap_or(batch));
        let content = match &self.preparer {
            None => Content::Records(Arc::clone(batch)),
            Some(preparer) => guarded(&self.door.label, || preparer.prepare(batch, sensors))
                .map(|block| Content::of_block(block, batch))
                .map_err(|error| error.with_part(self.door.part))?,
        };
        self.time += start.elapsed();
        Ok(ReadyBatch { input, output: batch.len() as u64, content })
    }
}
