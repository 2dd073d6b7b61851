//! What a checkpoint is made of, and what a run goes on from.

use crossbeam::channel::{Receiver, Sender, bounded};

use super::report::Rejects;
use super::tally::Tally;
use crate::checkpoint::{Ending, Manifest, StageState};
use crate::error::{Error, Result};
use crate::metrics::Ledger;
use crate::sensor::{SensorNames, SharedSensors};
use crate::sink::{Job, Saved};
use crate::stage::Pieces;

/// Where each source of a run is; `None` for those that begin anew.
pub(crate) type Positions = Vec<Option<Vec<u8>>>;

/// What a run goes on from.
#[derive(Clone, Default)]
pub(crate) struct Resume {
    pub(crate) ending: Option<Ending>,
    /// By source; `None` where it begins anew.
    pub(crate) sources: Positions,
    /// Which source of the checkpoint each was.
    pub(crate) sources_before: Vec<Option<usize>>,
    pub(crate) sensors: SensorNames,
    /// By stage; `None` where it begins anew.
    pub(crate) stages: Vec<Option<StageState>>,
    /// Whether the sources and stages are all those of the checkpoint, so that their counts go on too.
    pub(crate) is_whole: bool,
    /// By sink; likewise.
    pub(crate) sinks: Vec<Option<Vec<u8>>>,
    /// Which sink of the checkpoint each was.
    pub(crate) sinks_before: Vec<Option<usize>>,
    pub(crate) counts: Vec<u8>,
}

/// One cut through a run, between two pieces of its input.
pub(crate) struct Snapshot<'a> {
    pub(crate) sources: Positions,
    /// What the stages keep at the cut, though they may be past it when it is written.
    pub(crate) stages: Vec<Pieces>,
    pub(crate) tally: &'a Tally,
    pub(crate) counts: Vec<u8>,
    pub(crate) sensors: &'a SharedSensors,
}

/// What a checkpoint is made of, of one sink.
pub(crate) struct SinkCut {
    /// `None` where it begins anew after a restart.
    pub(crate) saved: Option<Saved>,
    pub(crate) ledger: Ledger,
}

/// A checkpoint to be kept, what must be durable before, and what becomes visible behind it.
pub(crate) struct Draft {
    /// The number of the epoch that it closes, which will be the checkpoint's.
    pub(crate) epoch: u64,
    pub(crate) manifest: Manifest,
    pub(super) stages: Vec<Pieces>,
    pub(crate) settle: Vec<Job>,
    /// What every sink does once the checkpoint is durable ([`Saved::deliver`](crate::sink::Saved::deliver)).
    pub(crate) deliver: Vec<Job>,
    /// What sinks that are at work will say; nothing where they have.
    pub(crate) awaited: Option<Awaited>,
    /// Hangs up when it has been kept, or cannot be.
    pub(super) kept: Option<Sender<()>>,
}

/// The answers of sinks to which a cut is on its way.
pub(crate) struct Awaited {
    answers: Vec<Receiver<SinkCut>>,
    rejects: Rejects,
}

impl Awaited {
    /// Of a cut until which these were set aside.
    pub(crate) fn new(rejects: Rejects) -> Self {
        Self { answers: Vec::new(), rejects }
    }

    /// Where the next sink is to answer.
    pub(crate) fn ask(&mut self) -> Sender<SinkCut> {
        let (asked, answer) = bounded(1);
        self.answers.push(answer);
        asked
    }
}

impl Draft {
    /// The checkpoint `epoch` of a run that is over: everything is durable and delivered, and no stage goes on.
    pub(crate) fn over(epoch: u64, manifest: Manifest) -> Self {
        Self {
            epoch,
            manifest,
            stages: Vec::new(),
            settle: Vec::new(),
            deliver: Vec::new(),
            awaited: None,
            kept: None,
        }
    }

    /// Adds what all sinks have said, and what was set aside.
    pub(crate) fn add(&mut self, cuts: Vec<SinkCut>, rejects: &Rejects) -> Result<()> {
        let mut jobs = add(&mut self.manifest, cuts, rejects)?;
        self.settle.append(&mut jobs.settle);
        self.deliver.append(&mut jobs.deliver);
        Ok(())
    }
}

/// What is to be done for a checkpoint by its sinks: before it is durable, and behind that.
#[derive(Default)]
struct Jobs {
    settle: Vec<Job>,
    deliver: Vec<Job>,
}

impl Awaited {
    /// Waits for the sinks that are at work, adds what they say to `manifest`, and makes durable what that speaks of; gives what they do once
    /// the checkpoint is durable.
    ///
    /// # Errors
    /// What keeps that from being done; when a sink has failed, which its run tells.
    pub(super) fn complete(self, manifest: &mut Manifest) -> Result<Vec<Job>> {
        let gone = |_| Error::internal("a sink has ended before it could say how far it had come");
        let cuts =
            self.answers.into_iter().map(|answer| answer.recv().map_err(gone)).collect::<Result<_>>()?;
        let Jobs { settle, deliver } = add(manifest, cuts, &self.rejects)?;
        settle.into_iter().try_for_each(|settle| settle())?;
        Ok(deliver)
    }
}

fn add(manifest: &mut Manifest, cuts: Vec<SinkCut>, rejects: &Rejects) -> Result<Jobs> {
    let (mut jobs, mut ledgers) = (Jobs::default(), Vec::new());
    for SinkCut { saved, ledger } in cuts {
        let (state, outputs) = match saved {
            None => (None, Vec::new()),
            Some(saved) => {
                jobs.settle.push(saved.settle);
                jobs.deliver.extend(saved.deliver);
                (Some(saved.state), saved.outputs)
            }
        };
        manifest.sinks.push(state);
        manifest.outputs.push(outputs);
        ledgers.push(ledger);
    }
    manifest.counts = postcard::to_stdvec(&(rejects, ledgers))
        .and_then(|mine| postcard::to_stdvec(&(&manifest.counts, mine)))
        .map_err(|error| Error::internal(format!("the counts cannot be saved: {error}")))?;
    Ok(jobs)
}
