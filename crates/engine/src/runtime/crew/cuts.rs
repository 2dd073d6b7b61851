//! Cuts for checkpoints, and resuming from one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Crew;
use super::ordered::{Ordered, counts};
use crate::error::{Error, Result};
use crate::metrics::Entry;
use crate::runtime::RunOptions;
use crate::runtime::admission;
use crate::runtime::drain::Drain;
use crate::runtime::inlets::Inlets;
use crate::runtime::lane::Stopped;
use crate::runtime::outlet::Outlets;
use crate::runtime::snapshot::{Positions, Snapshot};
use crate::runtime::state::Resume;
use crate::runtime::turn::Turn;
use crate::source::Progress;
use crate::stage::CutKind;

impl Crew {
    /// Takes a cut through every stage in its turn, then to the sinks.
    pub(super) fn cut<D: Drain>(
        &self,
        ordinal: u64,
        sources: Positions,
        ordered: &Turn<Ordered<'_, D>>,
        waiting: &mut Duration,
    ) {
        let moment = self.moment(ordinal);
        let mut admission = None;
        if let Some(turn) = &self.before_stages {
            let Some(before) = turn.take(ordinal, &self.control.cancelled, waiting) else { return };
            admission = Some(before.admission.counted(&self.sensors));
        }
        let kind = self.cut_kind();
        let stages = self.lanes.iter().map(|lane| lane.cut(moment, kind)).collect::<Result<Vec<_>, _>>();
        let result = match stages {
            Err(Stopped::Cancelled) => return,
            Err(Stopped::Failed(error)) => Err(error),
            Ok(stages) => Ok(stages),
        };
        let Some(mut ordered) = ordered.take(ordinal, &self.control.cancelled, waiting) else { return };
        ordered.next = ordinal + 1;
        if let Err(error) = result.and_then(|stages| ordered.cut(sources, stages, admission, &self.sensors)) {
            self.control.fail(ordinal, error);
        }
    }

    /// A cut after all input that has arrived, while no worker runs. If the run `is_over`, no stage resumes from it.
    pub(crate) fn last_cut<T>(
        &mut self,
        sources: Positions,
        is_over: bool,
        take: impl FnOnce(Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        let kind = self.cut_kind();
        let lanes = if is_over { &mut [] } else { &mut self.lanes[..] };
        let stages = lanes.iter_mut().map(|lane| lane.cut_at_rest(kind)).collect::<Result<_>>()?;
        let admission =
            self.before_stages.as_mut().map(|turn| turn.get_mut().admission.counted(&self.sensors));
        let counts = counts(&self.tally, &self.limit, admission)?;
        take(Snapshot { sources, stages, tally: &self.tally, counts, sensors: &self.sensors })
    }

    /// Resumes from the checkpoint in `outlets`, if any.
    pub(crate) fn resume(&mut self, sources: &mut Inlets, outlets: &mut Outlets) -> Result<()> {
        outlets.durable().into_iter().for_each(|durable| sources.acknowledge_by(durable));
        let Some(resume) = outlets.take_resume() else { return Ok(()) };
        sources.restore(&resume.sources)?;
        let counts = self.restore(&resume)?;
        outlets.restore(&counts, &resume.sinks_before)
    }

    /// Shows the run to others, and starts making checkpoints, if there is a state folder. If the input is recorded, the first one is made before the first piece, so
    /// that the recording is known to belong to this run.
    pub(crate) fn begin(
        &mut self,
        sources: &Inlets,
        outlets: &mut Outlets,
        options: &RunOptions,
    ) -> Result<()> {
        self.takes_changes = outlets.takes_changes();
        if options.open.record.is_some() && outlets.has_state() {
            self.last_cut(sources.save()?, false, |first| outlets.keep(first))?;
        }
        if let (Some(meters), Some(board), Some(crew)) = (&options.meters, self.board.take(), &self.meters) {
            crew.count(&self.tally, self.sensors.read().len(), Progress::default());
            meters.begin(board.with(outlets.meters(), outlets.checkpoint_meters()));
        }
        outlets.keep_checkpoints()
    }

    /// How much of the stages' state the next cut has.
    fn cut_kind(&self) -> CutKind {
        if self.takes_changes.load(Ordering::Acquire) { CutKind::Changes } else { CutKind::Complete }
    }

    /// Goes on from a checkpoint; gives what is left of its counts.
    fn restore(&mut self, resume: &Resume) -> Result<Vec<u8>> {
        for (lane, state) in self.lanes.iter_mut().zip(&resume.stages) {
            state.as_ref().map_or(Ok(()), |state| lane.restore(state.cuts(), &self.sensors))?;
        }
        let damaged = |error| Error::data(format!("the counts of the checkpoint cannot be read: {error}"));
        let (own, rest): (Vec<u8>, Vec<u8>) = postcard::from_bytes(&resume.counts).map_err(damaged)?;
        let (tally, limit, admission): (_, _, Option<admission::AdmissionState>) =
            postcard::from_bytes(&own).map_err(damaged)?;
        self.tally.restore(tally, &resume.sources_before, &resume.stages_before, resume.is_whole);
        // The run that made the checkpoint may have gone on from another one likewise.
        self.tally.is_partial |= !self.counts_add_up();
        self.limit.restore(limit);
        if let Some(before) = &mut self.before_stages {
            let before = before.get_mut();
            before.lines.clone_from(&self.tally.lines);
            admission.map_or(Ok(()), |admission| before.admission.restore(admission, &self.sensors))?;
        } else if let Some(admission) = admission {
            admission.forget_free(&self.sensors);
        }
        Ok(rest)
    }

    /// Whether every stage has counted the records that the parts which feed it have given.
    fn counts_add_up(&self) -> bool {
        let ports: Vec<_> = self.tally.sources.iter().chain(&self.tally.stages).collect();
        let counts_add_up = |(at, stage): (usize, &Entry)| {
            let flowing: u64 = self.route.into_stage(at).iter().map(|&port| ports[port].ledger.output).sum();
            stage.ledger.input == flowing
        };
        self.tally.stages.iter().enumerate().all(counts_add_up)
    }
}
