//! One open sink, and how it handles messages.

use std::sync::Arc;
use std::time::Instant;

use super::backlog::Backlog;
use super::delivery::{Delivery, Task};
use super::door::Door;
use super::message::Message;
use super::ready::{Content, Filter, ReadyBatch};
use crate::batch::Batch;
use crate::error::{Error, Rejection, Result};
use crate::metrics::{Entry, Latencies};
use crate::rows::RowReader;
use crate::runtime::drain::PartJob;
use crate::runtime::snapshot::SinkCut;
use crate::sensor::Sensors;
use crate::sink::{Job, Sink};

/// An open sink with its ledger. One thread at a time calls it: that of the run while no worker runs, else the sink's own or that of a worker (see
/// [`threads`](super::threads)).
pub(super) struct Outlet {
    pub(super) door: Arc<Door>,
    pub(super) sink: Box<dyn Sink>,
    /// Delivers its epochs, in a run with a state folder, or if it delivers anyway.
    pub(super) delivery: Option<Delivery>,
    /// What waits to be delivered, if it delivers by epochs.
    pub(super) backlog: Option<Arc<Backlog>>,
    /// The rows not delivered yet, if it has an outbox.
    pub(super) outbox: Option<RowReader>,
    /// For the one-thread loop.
    pub(super) filter: Option<Filter>,
    pub(super) entry: Entry,
    /// From arrival to output, of live input.
    pub(super) latencies: Latencies,
    /// Whether every batch is passed to the operating system at once.
    pub(super) is_live: bool,
}

impl Outlet {
    /// Calls the sink.
    pub(super) fn timed<T>(&mut self, act: impl FnOnce(&mut dyn Sink) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let result = self.door.named(|| act(&mut *self.sink));
        self.entry.time += start.elapsed();
        result
    }

    /// Handles message `sequence`. A job that the sink leaves is offered to `workers`, who may return it.
    pub(super) fn take(
        &mut self,
        sequence: u64,
        message: Message,
        workers: impl FnOnce(PartJob) -> Option<PartJob>,
    ) -> Result<()> {
        self.check()?;
        match message {
            Message::Batch { ready, sensors, arrived } => {
                let ReadyBatch { input, output, content } = ready;
                self.backlog.iter().for_each(|backlog| backlog.gets(output));
                let job = self.timed(|sink| match content {
                    Content::Block(block, _) => sink.accept(block),
                    Content::Records(batch) => {
                        sink.write(&batch, &sensors.unwrap_or_default()).map(|()| None)
                    }
                })?;
                let job = job.map(|job| self.part_job(sequence, job));
                job.and_then(workers).map_or(Ok(()), |job| self.work(job))?;
                self.count(input, output);
                self.push()?;
                if let Some(arrived) = arrived {
                    let elapsed = arrived.elapsed();
                    self.latencies.add(elapsed, output);
                    self.door.meters.took(elapsed, output);
                }
                Ok(())
            }
            Message::Rejections(rejections) => {
                self.reject(&rejections)?;
                self.push()
            }
            Message::GiveUp(gone) => self.timed(|sink| sink.give_up(&gone)),
            Message::Reload(spec) => self.timed(|sink| sink.reload(&spec)),
            Message::Cut { epoch, answer } => {
                // If the run has failed, nobody waits for the answer.
                let _failed = answer.send(self.cut(epoch)?);
                Ok(())
            }
        }
    }

    /// Writes records on the caller's thread.
    pub(super) fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        if let Some(backlog) = &self.backlog {
            backlog.wait_for_room(|| true);
            backlog.gets(batch.len() as u64);
            self.check()?;
        }
        self.timed(|sink| sink.write(batch, sensors))
    }

    /// Writes rejected records.
    pub(super) fn reject(&mut self, rejections: &[Rejection]) -> Result<()> {
        for rejection in rejections {
            self.timed(|sink| sink.reject(rejection))?;
            self.count(1, 1);
        }
        Ok(())
    }

    /// The state of the sink for the checkpoint that closes `epoch`.
    pub(super) fn cut(&mut self, epoch: u64) -> Result<SinkCut> {
        self.check()?;
        let mut saved = self.timed(|sink| sink.save(epoch))?;
        let deliver = saved.as_mut().and_then(|saved| saved.deliver.take());
        let release = deliver.map(|task| self.release(task)).transpose()?;
        self.count_dropped();
        Ok(SinkCut { saved, release, ledger: self.entry.ledger })
    }

    /// The job that queues an epoch for delivery once its checkpoint is durable.
    fn release(&self, task: Task) -> Result<Job> {
        let nobody = || Error::internal("a sink delivers after checkpoints, but the run has none");
        let epochs = self.delivery.as_ref().ok_or_else(nobody)?.epochs();
        Ok(Box::new(move || {
            epochs.deliver(task);
            Ok(())
        }))
    }

    /// Checks its delivery for an error.
    pub(super) fn check(&self) -> Result<()> {
        self.delivery.as_ref().map_or(Ok(()), Delivery::check)
    }

    /// Waits until everything is delivered, and makes the rest of the output visible. Returns remarks.
    pub(super) fn commit(&mut self) -> Result<Vec<String>> {
        let mut remarks = self.delivery.as_ref().map_or_else(|| Ok(Vec::new()), Delivery::finish)?;
        self.count_all_dropped();
        remarks.extend(self.timed(|sink| sink.commit())?);
        Ok(remarks)
    }

    /// Removes the outbox: everything is delivered, and no checkpoint refers to it any more.
    pub(super) fn clear(&self) {
        self.outbox.iter().for_each(RowReader::clear);
    }

    /// No message has come for a while: checks the delivery, and lets the sink check the time.
    pub(super) fn look(&mut self) -> Result<()> {
        self.check()?;
        self.push()
    }

    /// Counts `input` records, of which the sink received `output`.
    pub(super) fn count(&mut self, input: u64, output: u64) {
        let ledger = &mut self.entry.ledger;
        ledger.input += input;
        ledger.output += output;
        ledger.filtered = ledger.input - ledger.output - ledger.dropped;
        self.door.meters.count(ledger);
    }

    /// Counts what was dropped up to the last checkpoint.
    fn count_dropped(&mut self) {
        let dropped = self.backlog.as_ref().map_or(0, |backlog| backlog.take_settled());
        let ledger = &mut self.entry.ledger;
        // Of epochs that an earlier version has kept, the rows are not known.
        let dropped = dropped.min(ledger.output);
        (ledger.output, ledger.dropped) = (ledger.output - dropped, ledger.dropped + dropped);
        self.door.meters.count(ledger);
    }

    /// Counts all that was dropped: no checkpoint follows.
    pub(super) fn count_all_dropped(&mut self) {
        if let Some(backlog) = &self.backlog {
            let _done = backlog.settle();
        }
        self.count_dropped();
    }

    /// Passes what was written to the operating system, for readers of live output.
    fn push(&mut self) -> Result<()> {
        if self.is_live { self.timed(|sink| sink.push()) } else { Ok(()) }
    }

    fn part_job(&self, sequence: u64, job: Job) -> PartJob {
        let Door { label, part, at, .. } = &*self.door;
        PartJob { label: label.clone(), part: *part, sink: *at, sequence, job }
    }

    /// Runs a job that no worker has taken.
    fn work(&mut self, job: PartJob) -> Result<()> {
        let start = Instant::now();
        let result = job.run();
        self.entry.time += start.elapsed();
        result
    }
}
