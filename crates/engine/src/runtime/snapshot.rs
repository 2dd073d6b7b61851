//! The content of a checkpoint on its way from the run to the state folder.

use crossbeam::channel::{Receiver, Sender, bounded};

use super::report::Rejects;
use super::tally::Tally;
use crate::checkpoint::Manifest;
use crate::error::{Error, Result};
use crate::metrics::Ledger;
use crate::sensor::SharedSensors;
use crate::sink::{Job, SinkCheckpoint};
use crate::stage::Cut;

/// The position of each source of a run; `None` for one without a position.
pub(crate) type Positions = Vec<Option<Vec<u8>>>;

/// A cut through a run, between two pieces of its input.
pub(crate) struct Snapshot<'a> {
    pub(crate) sources: Positions,
    /// The state of the stages at the cut, though they may be past it when it is written.
    pub(crate) stages: Vec<Cut>,
    pub(crate) tally: &'a Tally,
    pub(crate) counts: Vec<u8>,
    pub(crate) sensors: &'a SharedSensors,
}

/// The part of a checkpoint that comes from one sink.
pub(crate) struct SinkCut {
    /// `None` where it begins anew after a restart.
    pub(crate) saved: Option<SinkCheckpoint>,
    /// Hands what it delivers to its delivery, once the checkpoint is durable.
    pub(crate) release: Option<Job>,
    pub(crate) ledger: Ledger,
}

/// A checkpoint to be written, what must be durable before, and what is delivered after.
pub(crate) struct Draft {
    /// The number of the epoch that it closes, and of the checkpoint.
    pub(crate) epoch: u64,
    pub(crate) manifest: Manifest,
    pub(super) stages: Vec<Cut>,
    pub(crate) settle: Vec<Job>,
    /// Called once the checkpoint is durable: hands each sink's delivery what to make visible.
    pub(crate) release: Vec<Job>,
    /// The answers of sinks that are still at work; `None` once all have answered.
    pub(crate) awaited: Option<Awaited>,
    /// Dropped when the checkpoint was written or has failed.
    pub(super) written: Option<Sender<()>>,
}

/// Pending answers of sinks to a cut.
pub(crate) struct Awaited {
    answers: Vec<Receiver<SinkCut>>,
    rejects: Rejects,
}

impl Awaited {
    /// For a cut with these rejections so far.
    pub(crate) fn new(rejects: Rejects) -> Self {
        Self { answers: Vec::new(), rejects }
    }

    /// The sender for the answer of the next sink.
    pub(crate) fn ask(&mut self) -> Sender<SinkCut> {
        let (asked, answer) = bounded(1);
        self.answers.push(answer);
        asked
    }
}

impl Draft {
    /// The checkpoint `epoch` of an ended run: everything is durable and delivered, and no stage resumes.
    pub(crate) fn over(epoch: u64, manifest: Manifest) -> Self {
        Self {
            epoch,
            manifest,
            stages: Vec::new(),
            settle: Vec::new(),
            release: Vec::new(),
            awaited: None,
            written: None,
        }
    }

    /// Adds the parts of all sinks, and the rejections.
    pub(crate) fn add(&mut self, cuts: Vec<SinkCut>, rejects: &Rejects) -> Result<()> {
        let mut jobs = add(&mut self.manifest, cuts, rejects)?;
        self.settle.append(&mut jobs.settle);
        self.release.append(&mut jobs.release);
        Ok(())
    }
}

/// The jobs of the sinks for a checkpoint: before it is durable, and after that.
#[derive(Default)]
struct Jobs {
    settle: Vec<Job>,
    release: Vec<Job>,
}

impl Awaited {
    /// Waits for the answers of running sinks, adds them to `manifest`, and makes durable what it refers to; returns the jobs for when the
    /// checkpoint is durable.
    ///
    /// # Errors
    /// If something cannot be made durable, or if a sink has failed, whose error its run reports.
    pub(super) fn complete(self, manifest: &mut Manifest) -> Result<Vec<Job>> {
        let gone = |_| Error::internal("a sink has ended before it reported its state");
        let cuts =
            self.answers.into_iter().map(|answer| answer.recv().map_err(gone)).collect::<Result<_>>()?;
        let Jobs { settle, release } = add(manifest, cuts, &self.rejects)?;
        settle.into_iter().try_for_each(|settle| settle())?;
        Ok(release)
    }
}

fn add(manifest: &mut Manifest, cuts: Vec<SinkCut>, rejects: &Rejects) -> Result<Jobs> {
    let (mut jobs, mut ledgers) = (Jobs::default(), Vec::new());
    for SinkCut { saved, release, ledger } in cuts {
        jobs.release.extend(release);
        let (state, outputs) = match saved {
            None => (None, Vec::new()),
            Some(saved) => {
                jobs.settle.push(saved.settle);
                (Some(saved.state), saved.outputs)
            }
        };
        manifest.sinks.push(state);
        manifest.outputs.push(outputs);
        ledgers.push(ledger);
    }
    manifest.counts = counts(&manifest.counts, rejects, &ledgers)?;
    Ok(jobs)
}

/// Replaces the counts of the sinks in a manifest that has them.
///
/// # Errors
/// If it has none.
pub(super) fn recount(
    manifest: &mut Manifest,
    rejects: &Rejects,
    ledgers: impl Iterator<Item = Ledger>,
) -> Result<()> {
    let (own, _): (Vec<u8>, Vec<u8>) = postcard::from_bytes(&manifest.counts)
        .map_err(|error| Error::internal(format!("the counts cannot be read: {error}")))?;
    manifest.counts = counts(&own, rejects, &ledgers.collect::<Vec<_>>())?;
    Ok(())
}

/// All counts of a checkpoint: those of the run itself, the rejections, and those of the sinks.
fn counts(own: &[u8], rejects: &Rejects, ledgers: &[Ledger]) -> Result<Vec<u8>> {
    postcard::to_stdvec(&(rejects, ledgers))
        .and_then(|mine| postcard::to_stdvec(&(own, mine)))
        .map_err(|error| Error::internal(format!("the counts cannot be saved: {error}")))
}
