//! What will run: every stage with the columns that come in and go out, checked before anything starts.

use std::sync::Arc;

use super::agreement;
use super::idle;
use super::label::stage_label;
use super::leading::leading;
use super::{MaxRejects, Pipeline, SinkEntry};
use crate::batch::Schema;
use crate::error::guard::{caught, guarded};
use crate::error::{Error, Part, Result};
use crate::sink::Takes;
use crate::stage::Stage;

/// A pipeline bound to the columns of its source.
#[derive(Clone)]
pub struct Plan {
    /// The stages in order, those that options of the source ask for first.
    pub stages: Vec<Arc<dyn Stage>>,
    /// The columns that come into each stage, and, last, those that reach the sinks.
    pub schemas: Vec<Arc<Schema>>,
}

impl Plan {
    /// Checks all stages and sinks of `pipeline` against the columns of its source.
    ///
    /// # Errors
    /// A configuration error that names the stage or sink.
    pub fn new(pipeline: &Pipeline, input: Arc<Schema>) -> Result<Self> {
        let stages = stages(pipeline)?;
        let checked = check_limits(pipeline).and_then(|()| idle::check(pipeline, &stages, &input));
        checked.map_err(|error| error.with_part(Part::Source))?;
        let first = pipeline.stages_before();
        let mut schemas = vec![input];
        for (at, stage) in stages.iter().enumerate() {
            let label = stage_label(pipeline, at, &**stage);
            let output = caught(&label, || stage.output(&schemas[at])).map_err(|error| {
                if at < first {
                    error.with_part(Part::Source)
                } else {
                    error.with_context(&label).with_part(Part::Stage(at - first))
                }
            })?;
            schemas.push(Arc::new(output));
        }
        for (at, sink) in pipeline.sinks.iter().enumerate() {
            let label = format!("sink {at} ({})", sink.spec.name());
            let check = || check_sensors(sink).and_then(|()| sink.spec.check(&schemas[stages.len()]));
            guarded(&label, check).map_err(|error| error.with_part(Part::Sink(at)))?;
        }
        pipeline.check_touched(&[])?;
        check_sinks(pipeline)?;
        Ok(Self { stages, schemas })
    }

    /// The columns that reach the sinks.
    pub fn output(&self) -> &Arc<Schema> {
        &self.schemas[self.stages.len()]
    }

    /// Whether batches must say where their records came from.
    pub fn needs_origins(stages: &[Arc<dyn Stage>]) -> bool {
        stages.iter().any(|stage| stage.needs_origins())
    }
}

/// All stages that will run: those written, behind those that options of the source ask for, with what lies in their files.
///
/// # Errors
/// A configuration error that names the option; an I/O error where a file cannot be read.
pub fn stages(pipeline: &Pipeline) -> Result<Vec<Arc<dyn Stage>>> {
    let mut stages = as_written(pipeline)?;
    let first = pipeline.stages_before();
    for (at, stage) in stages.iter_mut().enumerate() {
        let Some(path) = stage.loads() else { continue };
        let label = stage_label(pipeline, at, &**stage);
        let load = || {
            let text = std::fs::read_to_string(path).map_err(|error| path.cannot_read(&error))?;
            stage.load(&text)
        };
        let loaded = guarded(&label, load);
        *stage = loaded.map_err(|error| error.with_part(Part::Stage(at.saturating_sub(first))))?;
    }
    Ok(stages)
}

/// The same stages, whose files nobody has looked at.
///
/// # Errors
/// A configuration error that names the option.
pub fn as_written(pipeline: &Pipeline) -> Result<Vec<Arc<dyn Stage>>> {
    let with_leading = || {
        let mut stages = leading(pipeline)?;
        stages.extend(pipeline.stages.iter().cloned());
        agreement::apply(pipeline, &mut stages)?;
        Ok(stages)
    };
    with_leading().map_err(|error: Error| error.with_part(Part::Source))
}

/// Which sensors a sink is given is a question of records: what was set aside may be of no sensor.
fn check_sensors(sink: &SinkEntry) -> Result<()> {
    match (sink.matchers()?, sink.spec.takes()) {
        (Some(_), Takes::Rejections) => {
            Err(Error::config("`sensors` has no effect here: what was set aside is given to this sink whole")
                .with_help("leave `sensors` out"))
        }
        _ => Ok(()),
    }
}

/// A share of rejects is one: from 0 to 1.
fn check_limits(pipeline: &Pipeline) -> Result<()> {
    pipeline.input.max_ahead()?;
    match pipeline.input.max_rejects {
        Some(MaxRejects::Share(share)) if !(0.0..=1.0).contains(&share) => {
            Err(Error::config(format!("`max_rejects` {share} is neither a count nor a share"))
                .with_help("write a count such as 100, or a share from 0.0 to 1.0 such as 0.01"))
        }
        _ => Ok(()),
    }
}

/// One sink at most writes to standard output, and one at least takes the records.
fn check_sinks(pipeline: &Pipeline) -> Result<()> {
    let mut writes = pipeline.sinks.iter().enumerate().filter(|(_, sink)| sink.spec.is_stdout());
    if let Some((second, _)) = writes.nth(1) {
        return Err(Error::config("two sinks write to standard output")
            .with_help("give one of them a `path`")
            .with_part(Part::Sink(second)));
    }
    if pipeline.sinks.iter().all(|sink| sink.spec.takes() == Takes::Rejections) {
        return Err(Error::config("no sink takes the records")
            .with_help("add one; `null` only counts")
            .with_part(Part::Sink(0)));
    }
    Ok(())
}
