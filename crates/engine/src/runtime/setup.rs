//! What a reading of the input begins with, however it is run.

use std::sync::Arc;

use super::RunOptions;
use super::inlets::Inlets;
use super::odd_times::OddTimes;
use crate::error::{Part, Result};
use crate::pipeline::label::stage_label;
use crate::pipeline::leading::period;
use crate::pipeline::sources::{merged, recording_name};
use crate::pipeline::{Graph, Pipeline, Plan};
use crate::source::{Changes, Foresee, OpenOptions, Recorder};
use crate::stage::{Foresight, Stage};

/// The sources, open, and what is known of the stages.
pub(crate) struct Setup {
    pub(crate) sources: Inlets,
    pub(crate) plan: Plan,
    /// How messages name each stage.
    pub(crate) labels: Vec<String>,
    /// Whether batches say where their records came from.
    pub(crate) has_origins: bool,
}

impl Setup {
    /// Opens the sources for a reading through `stages`, the first ones of `pipeline`, all of them checked before.
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
        // Of what was sent by anybody, a record whose time is not believed is set aside in full.
        let gives_up = pipeline.idle_sensors().is_some();
        let graph = Graph::new(pipeline)?;
        open.origins |= Plan::needs_origins(stages) || pipeline.traits().is_open || gives_up || graph.joins();
        // What was refused goes between the records beside which it stood.
        open.origins |= merged(pipeline).next().is_some();
        // What is left unread would be a report of its sensor.
        let foresees = !open.reads_all && !gives_up;
        let sources = Inlets::open(pipeline, |at| {
            let source = &pipeline.sources[at];
            let period = period(source).map_err(|error| error.with_part(Part::Source(at)))?;
            let foresee = foresees.then(|| foresee(at, stages.to_vec(), graph.clone()));
            let resume = options.resume.get(at).cloned().flatten();
            let record =
                open.record.as_ref().map(|recorder| recorder_of(pipeline, at, recorder)).transpose()?;
            Ok(OpenOptions { period, foresee, resume, record, ..open.clone() })
        })?;
        let plan = Plan::new(pipeline, sources.schemas()?)?;
        let labels =
            stages.iter().enumerate().map(|(at, stage)| stage_label(pipeline, at, &**stage)).collect();
        Ok(Self { sources, plan, labels, has_origins: open.origins })
    }
}

/// The one that keeps what source `at` gives.
pub(super) fn recorder_of(pipeline: &Pipeline, at: usize, recorder: &Recorder) -> Result<Recorder> {
    match pipeline.sources.len() {
        1 => Ok(recorder.clone()),
        _ => Ok(recorder.part(&recording_name(pipeline, at))),
    }
}

/// What these stages do with records of a source that nobody has read yet: the first that filters them, behind others that let them pass, before the
/// first branch.
fn foresee(source: usize, stages: Vec<Arc<dyn Stage>>, graph: Graph) -> Foresee {
    Foresee::new(move |schema, extent| {
        // Those are counted.
        if extent.times.is_some_and(|(first, last)| OddTimes::may_lie_in(first, last)) {
            return None;
        }
        let mut port = source;
        while let Some(at) = graph.goes_on_alone(port)
            && let Some(stage) = stages.get(at)
        {
            match stage.foresee(schema, extent) {
                Foresight::Kept => port = graph.out_of_stage(at),
                Foresight::Filtered => return Some(at),
                Foresight::Unknown => return None,
            }
        }
        None
    })
}
