//! The start of a pass, common to all runtimes.

use std::sync::Arc;
use std::time::Duration;

use super::RunOptions;
use super::inlets::Inlets;
use super::odd_times::OddTimes;
use crate::error::{PartIndex, Result};
use crate::pipeline::label::stage_label;
use crate::pipeline::leading::period;
use crate::pipeline::sources::{merged, recording_name};
use crate::pipeline::{Graph, Pipeline, Plan};
use crate::source::{Changes, Foresee, OpenOptions, Recorder};
use crate::stage::{Foresight, Stage};

/// The open sources, and what is known of the stages.
pub(crate) struct Setup {
    pub(crate) sources: Inlets,
    pub(crate) plan: Plan,
    /// The name of each stage in messages.
    pub(crate) labels: Vec<String>,
    /// Whether batches carry the origins of their records.
    pub(crate) has_origins: bool,
    /// Those that leave records unread, by source.
    pub(crate) foresees: Vec<Foresee>,
}

impl Setup {
    /// Opens the sources for a pass through `stages`, a prefix of those of `pipeline` that was checked before.
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
        let ticks = stages.iter().filter_map(|stage| stage.ticks()).min();
        open.ticks = ticks.map(|nanos| Duration::from_nanos(nanos.unsigned_abs()));
        // Where anyone may send, a record ahead of the clock is rejected with its raw text.
        let gives_up = pipeline.idle_sensors().is_some();
        let graph = Graph::new(pipeline)?;
        open.origins |= Plan::needs_origins(stages) || pipeline.traits().is_open || gives_up || graph.joins();
        // Rejections must be ordered among the records beside them.
        open.origins |= merged(pipeline).next().is_some();
        // A record that is not read would have been a report of its sensor.
        let foresee_of = |at| foresee(at, stages.to_vec(), graph.clone());
        let foresees: Vec<_> = match open.reads_all || gives_up {
            true => Vec::new(),
            false => (0..pipeline.sources.len()).map(foresee_of).collect(),
        };
        let sources = Inlets::open(pipeline, |at| {
            let source = &pipeline.sources[at];
            let period = period(source).map_err(|error| error.with_part(PartIndex::Source(at)))?;
            let foresee = foresees.get(at).cloned();
            let resume = options.resume.get(at).cloned().flatten();
            let record =
                open.record.as_ref().map(|recorder| recorder_of(pipeline, at, recorder)).transpose()?;
            Ok(OpenOptions { period, foresee, resume, record, ..open.clone() })
        })?;
        let plan = Plan::new(pipeline, sources.schemas()?)?;
        let labels =
            stages.iter().enumerate().map(|(at, stage)| stage_label(pipeline, at, &**stage)).collect();
        Ok(Self { sources, plan, labels, has_origins: open.origins, foresees })
    }
}

/// The recorder of source `at`.
pub(super) fn recorder_of(pipeline: &Pipeline, at: usize, recorder: &Recorder) -> Result<Recorder> {
    match pipeline.sources.len() {
        1 => Ok(recorder.clone()),
        _ => Ok(recorder.part(&recording_name(pipeline, at))),
    }
}

/// Predicts what these stages do with records of a source before they are read: finds the first stage that filters them, after others that
/// pass them, before the first branch.
fn foresee(source: usize, stages: Vec<Arc<dyn Stage>>, graph: Graph) -> Foresee {
    Foresee::new(move |schema, extent| {
        // Suspicious times must be counted.
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
