//! Cuts for checkpoints, and how a run goes on from one.

use std::time::Duration;

use super::Crew;
use super::ordered::{Ordered, counts};
use crate::error::{Error, Result};
use crate::runtime::RunOptions;
use crate::runtime::admission;
use crate::runtime::drain::Drain;
use crate::runtime::inlets::Inlets;
use crate::runtime::lane::{Lane, Stopped};
use crate::runtime::outlet::Outlets;
use crate::runtime::snapshot::Positions;
use crate::runtime::snapshot::{Resume, Snapshot};
use crate::runtime::turn::Turn;

impl Crew {
    /// Takes a checkpoint along: in its turn at every stage, then at the sinks.
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
        let stages = self.lanes.iter().map(|lane| lane.cut(moment)).collect::<Result<Vec<_>, _>>();
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

    /// A cut behind all that has come in, when no worker is there. Where the run `is_over`, no stage goes on from it.
    pub(crate) fn last_cut<T>(
        &mut self,
        sources: Positions,
        is_over: bool,
        take: impl FnOnce(Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        let lanes = if is_over { &mut [] } else { &mut self.lanes[..] };
        let stages = lanes.iter_mut().map(Lane::cut_at_rest).collect::<Result<_>>()?;
        let admission =
            self.before_stages.as_mut().map(|turn| turn.get_mut().admission.counted(&self.sensors));
        let counts = counts(&self.tally, &self.limit, admission)?;
        take(Snapshot { sources, stages, tally: &self.tally, counts, sensors: &self.sensors })
    }

    /// Goes on from the checkpoint that `outlets` have, if they have one.
    pub(crate) fn resume(&mut self, sources: &mut Inlets, outlets: &mut Outlets) -> Result<()> {
        outlets.durable().into_iter().for_each(|durable| sources.acknowledge_by(durable));
        let Some(resume) = outlets.take_resume() else { return Ok(()) };
        sources.restore(&resume.sources)?;
        let counts = self.restore(&resume)?;
        counts.map_or(Ok(()), |counts| outlets.restore(&counts, &resume.sinks_before))
    }

    /// Starts keeping checkpoints, where there is a folder for them. With a recording there is one before the first piece: from then on it
    /// is known whose recording that is.
    pub(crate) fn begin(
        &mut self,
        sources: &Inlets,
        outlets: &mut Outlets,
        options: &RunOptions,
    ) -> Result<()> {
        if options.open.record.is_some() && outlets.has_state() {
            self.last_cut(sources.save()?, false, |first| outlets.keep(first))?;
        }
        outlets.keep_checkpoints()
    }

    /// Goes on from a checkpoint; gives what is left of its counts, unless the pipeline has changed.
    fn restore(&mut self, resume: &Resume) -> Result<Option<Vec<u8>>> {
        for (lane, state) in self.lanes.iter_mut().zip(&resume.stages) {
            state.as_ref().map_or(Ok(()), |state| lane.restore(state.pieces(), &self.sensors))?;
        }
        let damaged = |error| Error::data(format!("the counts of the checkpoint cannot be read: {error}"));
        let (own, rest): (Vec<u8>, Vec<u8>) = postcard::from_bytes(&resume.counts).map_err(damaged)?;
        let (tally, limit, admission): (_, _, Option<admission::Counted>) =
            postcard::from_bytes(&own).map_err(damaged)?;
        let is_whole = resume.is_whole;
        self.tally.restore(tally, &resume.sources_before, is_whole);
        if is_whole {
            self.limit.restore(limit);
        }
        if let Some(before) = &mut self.before_stages {
            let before = before.get_mut();
            before.lines.clone_from(&self.tally.lines);
            admission.map_or(Ok(()), |admission| before.admission.restore(admission, &self.sensors))?;
        } else if let Some(admission) = admission {
            admission.forget_free(&self.sensors);
        }
        Ok(is_whole.then_some(rest))
    }
}
