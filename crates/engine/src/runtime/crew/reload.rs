//! Other options for stages and sinks, between two pieces of the input.

use std::time::Duration;

use super::ordered::Ordered;
use super::{Crew, Worker};
use crate::error::Result;
use crate::runtime::drain::Drain;
use crate::runtime::lane::Stopped;
use crate::runtime::reload::Reload;
use crate::runtime::turn::Turn;

impl Crew {
    /// Takes `reload` along: in its turn at every stage, then at the sinks.
    pub(super) fn reload<D: Drain>(
        &self,
        ordinal: u64,
        reload: &Reload,
        ordered: &Turn<Ordered<'_, D>>,
        waiting: &mut Duration,
    ) {
        let moment = self.moment(ordinal);
        if let Some(turn) = &self.before_stages
            && turn.pass(ordinal, &self.control.cancelled).is_none()
        {
            return;
        }
        let mut lanes = self.lanes.iter().zip(&reload.stages);
        let result = lanes.try_for_each(|(lane, stage)| lane.reload(moment, stage.as_ref()));
        let result = match result {
            Err(Stopped::Cancelled) => return,
            Err(Stopped::Failed(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        let Some(mut ordered) = ordered.take(ordinal, &self.control.cancelled, waiting) else { return };
        ordered.next = ordinal + 1;
        if let Err(error) = result.and_then(|()| ordered.reload(reload)) {
            self.control.fail(ordinal, error);
        }
    }

    /// Sees to it that the processes that a worker has for itself are those for the piece `claimed`.
    pub(super) fn replace_own<L>(&self, claimed: u64, worker: &mut Worker<L>) -> Result<()> {
        for reload in self.reloads.before(claimed, worker.reloads) {
            worker.reloads += 1;
            for ((lane, stage), own) in self.lanes.iter().zip(&reload.stages).zip(&mut worker.processes) {
                if let (Some(stage), Some(own)) = (stage, own) {
                    *own = lane.start(stage)?;
                }
            }
        }
        Ok(())
    }
}
