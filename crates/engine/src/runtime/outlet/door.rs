//! One sink: what is known of it, and what is done with what is handed to it.

use std::sync::Arc;
use std::time::Instant;

use crossbeam::channel::Sender;

use super::ready::{Content, Filter, ReadyBatch};
use crate::batch::Batch;
use crate::error::guard::guarded;
use crate::error::{Part, Rejection, Result};
use crate::metrics::{Entry, Latencies};
use crate::outbox::OutboxReader;
use crate::runtime::drain::PartJob;
use crate::runtime::snapshot::SinkCut;
use crate::sensor::{SensorId, Sensors};
use crate::sink::{Job, Sink, Takes};

/// What is known of a sink wherever it is.
pub(super) struct Door {
    /// Its place in the pipeline.
    pub(super) at: usize,
    pub(super) label: String,
    pub(super) part: Part,
    pub(super) takes: Takes,
    /// What feeds it.
    pub(super) ports: Vec<usize>,
    pub(super) filter: Option<Filter>,
    /// After a restart.
    pub(super) begins_anew: bool,
    /// Whether it delivers by epochs.
    pub(super) delivers: bool,
}

/// A sink, open, with its ledger: at one place at a time, and nobody else calls it.
pub(super) struct Outlet {
    pub(super) door: Arc<Door>,
    pub(super) sink: Box<dyn Sink>,
    /// What is not delivered yet, where it is kept.
    pub(super) outbox: Option<OutboxReader>,
    /// Of the one-thread loop.
    pub(super) filter: Option<Filter>,
    pub(super) entry: Entry,
    /// From arrival to output, of live input.
    pub(super) latencies: Latencies,
    /// Whether every batch is handed to the system at once.
    pub(super) is_live: bool,
}

/// What is handed to a sink, in order.
pub(super) enum Message {
    /// Records.
    Batch {
        ready: ReadyBatch,
        /// The names of the sensors; none for what is prepared.
        sensors: Option<Arc<Sensors>>,
        arrived: Option<Instant>,
    },
    /// What was set aside.
    Rejections(Arc<Vec<Rejection>>),
    /// These sensors are given up.
    GiveUp(Arc<[SensorId]>),
    /// A cut for the checkpoint that closes an epoch: asks for what it is made of.
    Cut { epoch: u64, answer: Sender<SinkCut> },
}

impl Door {
    pub(super) fn takes_records(&self) -> bool {
        self.takes == Takes::Records
    }

    /// Calls the sink, and names it in what goes wrong.
    pub(super) fn named<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        guarded(&self.label, act).map_err(|error| error.with_part(self.part))
    }
}

impl Message {
    /// The bytes that it takes, about.
    pub(super) fn size(&self) -> usize {
        let content = match self {
            Self::Batch { ready, .. } => ready.content.size(),
            Self::Rejections(rejections) => rejections.iter().map(size_of_rejection).sum(),
            Self::GiveUp(gone) => size_of_val(&**gone),
            Self::Cut { .. } => 0,
        };
        content + size_of::<Self>()
    }
}

fn size_of_rejection(rejection: &Rejection) -> usize {
    size_of::<Rejection>() + rejection.raw.len() + rejection.reason.len()
}

impl Outlet {
    /// Calls the sink.
    pub(super) fn timed<T>(&mut self, act: impl FnOnce(&mut dyn Sink) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let result = self.door.named(|| act(&mut *self.sink));
        self.entry.time += start.elapsed();
        result
    }

    /// Takes message `sequence`; what is left to do is offered to `workers`, who may give it back.
    pub(super) fn take(
        &mut self,
        sequence: u64,
        message: Message,
        workers: impl FnOnce(PartJob) -> Option<PartJob>,
    ) -> Result<()> {
        match message {
            Message::Batch { ready, sensors, arrived } => {
                let ReadyBatch { input, output, content } = ready;
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
                    self.latencies.add(arrived.elapsed(), output);
                }
                Ok(())
            }
            Message::Rejections(rejections) => {
                self.reject(&rejections)?;
                self.push()
            }
            Message::GiveUp(gone) => self.timed(|sink| sink.give_up(&gone)),
            Message::Cut { epoch, answer } => {
                // Nobody waits for it where the run has failed.
                let _failed = answer.send(self.cut(epoch)?);
                Ok(())
            }
        }
    }

    /// Takes records on the thread of whoever has them.
    pub(super) fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.timed(|sink| sink.write(batch, sensors))
    }

    /// Takes what was set aside.
    pub(super) fn reject(&mut self, rejections: &[Rejection]) -> Result<()> {
        for rejection in rejections {
            self.timed(|sink| sink.reject(rejection))?;
            self.count(1, 1);
        }
        Ok(())
    }

    /// What the sink has taken so far, for the checkpoint that closes `epoch`.
    pub(super) fn cut(&mut self, epoch: u64) -> Result<SinkCut> {
        let saved = self.timed(|sink| sink.save(epoch))?;
        Ok(SinkCut { saved, ledger: self.entry.ledger })
    }

    /// Makes the output visible. Gives remarks.
    pub(super) fn commit(&mut self) -> Result<Vec<String>> {
        self.timed(|sink| sink.commit())
    }

    /// All is delivered, and no checkpoint speaks of it any more.
    pub(super) fn clear(&self) {
        self.outbox.iter().for_each(OutboxReader::clear);
    }

    /// Nothing has come for a while: sees whether anything went wrong meanwhile.
    pub(super) fn look(&mut self) -> Result<()> {
        self.timed(|sink| sink.push())
    }

    /// Enters that of `input` records `output` were for it.
    pub(super) fn count(&mut self, input: u64, output: u64) {
        let ledger = &mut self.entry.ledger;
        ledger.input += input;
        ledger.output += output;
        ledger.filtered = ledger.input - ledger.output;
    }

    /// Whoever reads along sees what was written.
    fn push(&mut self) -> Result<()> {
        if self.is_live { self.timed(|sink| sink.push()) } else { Ok(()) }
    }

    fn part_job(&self, sequence: u64, job: Job) -> PartJob {
        let Door { label, part, at, .. } = &*self.door;
        PartJob { label: label.clone(), part: *part, sink: *at, sequence, job }
    }

    /// Does what nobody else has time for.
    fn work(&mut self, job: PartJob) -> Result<()> {
        let start = Instant::now();
        let result = job.run();
        self.entry.time += start.elapsed();
        result
    }
}
