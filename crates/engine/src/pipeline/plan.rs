//! What will run: every stage with the columns that come in and go out, checked before anything starts.

use std::sync::Arc;

use super::agreement;
use super::graph::Graph;
use super::idle;
use super::label::stage_label;
use super::leading::leading;
use super::{Pipeline, SinkEntry, sources};
use crate::batch::Schema;
use crate::error::guard::{caught, guarded};
use crate::error::{Error, Part, Result, visible};
use crate::sink::Takes;
use crate::stage::Stage;

/// A pipeline bound to the columns of its sources.
#[derive(Clone)]
pub struct Plan {
    /// The stages in order, those that options of sources ask for first.
    pub stages: Vec<Arc<dyn Stage>>,
    /// How they are joined.
    pub graph: Graph,
    /// The columns of what comes out of each port.
    pub schemas: Vec<Arc<Schema>>,
}

impl Plan {
    /// Checks all stages and sinks of `pipeline` against the columns of its sources, in order.
    ///
    /// # Errors
    /// A configuration error that names the stage or sink.
    pub fn new(pipeline: &Pipeline, inputs: Vec<Arc<Schema>>) -> Result<Self> {
        let stages = stages(pipeline)?;
        sources::check(pipeline)?;
        sources::check_merged(pipeline, &inputs)?;
        idle::check(pipeline, &stages, &inputs[0]).map_err(|error| error.with_part(Part::Source(0)))?;
        let graph = Graph::new(pipeline)?;
        let first = pipeline.stages_before();
        let mut plan = Self { stages: Vec::new(), graph, schemas: inputs };
        for (at, stage) in stages.iter().enumerate() {
            let label = stage_label(pipeline, at, &**stage);
            let output = || {
                let input = plan.joined(&plan.graph.stages[at])?;
                caught(&label, || stage.output(input)).map_err(|error| match at < first {
                    true => error,
                    false => error.with_context(&label),
                })
            };
            let output = output().map_err(|error| error.with_part(part_of(pipeline, at)))?;
            plan.schemas.push(Arc::new(output));
        }
        plan.stages = stages;
        for (at, sink) in pipeline.sinks.iter().enumerate() {
            let label = format!("sink {at} ({})", sink.spec.name());
            let check = || {
                check_sensors(sink)?;
                plan.joined(&plan.graph.sinks[at])?;
                sink.spec.check(plan.into_sink(at))
            };
            guarded(&label, check).map_err(|error| error.with_part(Part::Sink(at)))?;
        }
        pipeline.check_touched(&[])?;
        check_sinks(pipeline)?;
        Ok(plan)
    }

    /// The columns that come into stage `at`.
    pub fn into_stage(&self, at: usize) -> &Arc<Schema> {
        &self.schemas[self.graph.stages[at][0]]
    }

    /// The columns that leave stage `at`.
    pub fn out_of_stage(&self, at: usize) -> &Arc<Schema> {
        &self.schemas[self.graph.out_of_stage(at)]
    }

    /// The columns that come into sink `at`; of one that takes what was set aside, those of the last stage.
    pub fn into_sink(&self, at: usize) -> &Arc<Schema> {
        &self.schemas[self.graph.sinks[at].first().copied().unwrap_or(self.schemas.len() - 1)]
    }

    /// The columns of what comes out of all of `ports`.
    fn joined(&self, ports: &[usize]) -> Result<&Schema> {
        let schema = ports.first().map_or(&self.schemas[0], |&port| &self.schemas[port]);
        match ports.iter().find(|&&port| self.schemas[port] != *schema) {
            None => Ok(schema),
            Some(&other) => Err(other_columns(schema, &self.schemas[other])),
        }
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
    let mut stages = Vec::new();
    for (at, source) in pipeline.sources.iter().enumerate() {
        stages.extend(leading(source).map_err(|error| error.with_part(Part::Source(at)))?);
    }
    stages.extend(pipeline.stages.iter().map(|entry| Arc::clone(&entry.stage)));
    agreement::apply(pipeline, &mut stages)?;
    Ok(stages)
}

/// The part that asks for stage `at` of all that run.
fn part_of(pipeline: &Pipeline, at: usize) -> Part {
    let mut before = 0;
    for (source, entry) in pipeline.sources.iter().enumerate() {
        before += leading(entry).map_or(0, |stages| stages.len());
        if at < before {
            return Part::Source(source);
        }
    }
    Part::Stage(at - before)
}

/// Two parts that one takes from have different columns.
fn other_columns(one: &Schema, other: &Schema) -> Error {
    let names = |schema: &Schema| {
        let fields: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| format!("{} ({})", visible(&field.name), field.description()))
            .collect();
        fields.join(", ")
    };
    let what = format!("`from` joins records of different columns: {}; and: {}", names(one), names(other));
    Error::config(what)
        .with_help("a part takes records of one kind: take from parts that have the same columns")
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
