//! What a reading of the input begins with, however it is run.

use std::sync::Arc;

use super::RunOptions;
use super::inlet::Inlet;
use super::odd_times::OddTimes;
use crate::error::{Error, Part, Result};
use crate::pipeline::label::stage_label;
use crate::pipeline::{Graph, Pipeline, Plan};
use crate::source::{Changes, Foresee};
use crate::stage::{Foresight, Stage};

/// The source, open, and what is known of the stages.
pub(crate) struct Setup {
    pub(crate) source: Inlet,
    pub(crate) plan: Plan,
    /// How messages name each stage.
    pub(crate) labels: Vec<String>,
    /// Whether batches say where their records came from.
    pub(crate) has_origins: bool,
}

impl Setup {
    /// Opens the source for a reading through `stages`, the first ones of `pipeline`, all of them checked before.
    pub(crate) fn open(pipeline: &Pipeline, stages: &[Arc<dyn Stage>], options: &RunOptions) -> Result<Self> {
        let mut open = pipeline.opening(&options.open);
        if let Some(state) = &options.state {
            Arc::make_mut(&mut open.outputs).add_state(&state.folder);
            open.keeps_place = true;
            open.changes = match state.accept_changes {
                _ if pipeline.has_first_pass() => Changes::Unacceptable,
                true => Changes::Accepted,
                false => Changes::Refused,
            };
        }
        (open.waits, open.stop) = (true, Arc::clone(&options.stop));
        open.period = pipeline.period()?;
        // Of what was sent by anybody, a record whose time is not believed is set aside in full.
        let gives_up = pipeline.input.idle_sensors.is_some();
        let graph = Graph::new(pipeline)?;
        open.origins |=
            Plan::needs_origins(stages) || pipeline.source.traits().is_open || gives_up || graph.joins();
        // What is left unread would be a report of its sensor.
        open.foresee = (!open.reads_all && !gives_up).then(|| foresee(stages.to_vec(), graph));
        let source = Inlet::open(&*pipeline.source, &open)?;
        if open.record.as_ref().is_some_and(|recorder| !recorder.is_taken()) {
            let name = pipeline.source.name();
            return Err(Error::config(format!("the source ({name}) cannot be recorded"))
                .with_help("text is, from files, pipes and sockets; what else there is can be read again")
                .with_part(Part::Source));
        }
        let plan = Plan::new(pipeline, source.schema()?)?;
        let labels =
            stages.iter().enumerate().map(|(at, stage)| stage_label(pipeline, at, &**stage)).collect();
        Ok(Self { source, plan, labels, has_origins: open.origins })
    }
}

/// What these stages do with records that nobody has read yet: the first that filters them, behind others that let them pass, before the first
/// branch.
fn foresee(stages: Vec<Arc<dyn Stage>>, graph: Graph) -> Foresee {
    Foresee::new(move |schema, extent| {
        // Those are counted.
        if extent.times.is_some_and(|(first, last)| OddTimes::may_lie_in(first, last)) {
            return None;
        }
        for (at, stage) in stages.iter().enumerate().take_while(|(at, _)| graph.goes_on_alone(*at)) {
            match stage.foresee(schema, extent) {
                Foresight::Kept => {}
                Foresight::Filtered => return Some(at),
                Foresight::Unknown => return None,
            }
        }
        None
    })
}
