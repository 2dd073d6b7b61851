//! The plan of a run: every stage with the columns of its input and output, checked before anything starts.

use std::sync::Arc;

use super::agreement;
use super::delivery;
use super::graph::Graph;
use super::idle;
use super::label::stage_label;
use super::leading::leading;
use super::{OnFailure, Pipeline, SinkEntry, outage, sources};
use crate::batch::Schema;
use crate::error::guard::{caught, guarded};
use crate::error::{Error, PartIndex, Result, visible};
use crate::sink::Takes;
use crate::stage::Stage;

/// A pipeline bound to the columns of its sources.
#[derive(Clone)]
pub struct Plan {
    /// The stages in order, starting with those that options of sources insert.
    pub stages: Vec<Arc<dyn Stage>>,
    /// How they are connected.
    pub graph: Graph,
    /// The columns of each port.
    pub schemas: Vec<Arc<Schema>>,
    /// The columns that come into each stage.
    into_stages: Vec<Arc<Schema>>,
    /// The columns that come into each sink; into one that takes what was set aside, those of the last stage.
    into_sinks: Vec<Arc<Schema>>,
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
        idle::check(pipeline, &stages, &inputs[0]).map_err(|error| error.with_part(PartIndex::Source(0)))?;
        let graph = Graph::new(pipeline)?;
        let first = pipeline.stages_before();
        let (into_stages, into_sinks) = (Vec::new(), Vec::new());
        let mut plan = Self { stages: Vec::new(), graph, schemas: inputs, into_stages, into_sinks };
        for (at, stage) in stages.iter().enumerate() {
            let label = stage_label(pipeline, at, &**stage);
            let output = || {
                let input = plan.joined(pipeline, &plan.graph.stages[at])?;
                if stage.ticks().is_some() {
                    check_clock(pipeline, &plan.graph, at)?;
                }
                let output = caught(&label, || stage.output(&input)).map_err(|error| match at < first {
                    true => error,
                    false => error.with_context(&label),
                });
                Ok((input, output?))
            };
            let (input, output) = output().map_err(|error: Error| error.with_part(part_of(pipeline, at)))?;
            plan.into_stages.push(input);
            plan.schemas.push(Arc::new(output));
        }
        plan.stages = stages;
        for (at, sink) in pipeline.sinks.iter().enumerate() {
            let label = format!("sink {at} ({})", sink.spec.name());
            let check = || {
                check_sensors(sink)?;
                check_waiting(sink)?;
                outage::check(sink)?;
                check_placeholders(sink)?;
                let input = plan.joined(pipeline, &plan.graph.sinks[at])?;
                sink.spec.check(&input)?;
                Ok(input)
            };
            let input = guarded(&label, check).map_err(|error| error.with_part(PartIndex::Sink(at)))?;
            plan.into_sinks.push(input);
        }
        pipeline.check_touched(&[])?;
        check_sinks(pipeline)?;
        delivery::check(pipeline, &plan.graph)?;
        Ok(plan)
    }

    /// The columns of the input of stage `at`.
    pub fn into_stage(&self, at: usize) -> &Arc<Schema> {
        &self.into_stages[at]
    }

    /// The columns of the output of stage `at`.
    pub fn out_of_stage(&self, at: usize) -> &Arc<Schema> {
        &self.schemas[self.graph.out_of_stage(at)]
    }

    /// The columns of the input of sink `at`; for a sink that takes rejections, those of the last stage.
    pub fn into_sink(&self, at: usize) -> &Arc<Schema> {
        &self.into_sinks[at]
    }

    /// The columns of what comes out of all of `ports`; of none, those of the last stage.
    fn joined(&self, pipeline: &Pipeline, ports: &[usize]) -> Result<Arc<Schema>> {
        let first = ports.first().copied().unwrap_or(self.schemas.len() - 1);
        let mut schema = Arc::clone(&self.schemas[first]);
        for &port in ports.iter().skip(1) {
            let other = &self.schemas[port];
            if !schema.is_like(other) {
                return Err(other_columns(&schema, other));
            }
            let of = (&*self.port_name(pipeline, first), &*self.port_name(pipeline, port));
            schema = Arc::new(Schema::clone(&schema).with_units_of(other, of)?);
        }
        Ok(schema)
    }

    /// What gives the records that come out of `port`: of a stage that an option of a source asks for, that source.
    fn port_name(&self, pipeline: &Pipeline, port: usize) -> String {
        let written = |kind: &str, at: usize, name: Option<&String>| match name {
            Some(name) => format!("{kind} `{name}`"),
            None => format!("{kind} {at}"),
        };
        let first = pipeline.stages_before();
        match port.checked_sub(pipeline.sources.len()) {
            None => written("source", port, pipeline.sources[port].input.name.as_ref()),
            Some(at) if at < first => self.port_name(pipeline, self.graph.stages[at][0]),
            Some(at) => written("stage", at - first, pipeline.stages[at - first].name.as_ref()),
        }
    }

    /// Whether batches must carry the origins of their records.
    pub fn needs_origins(stages: &[Arc<dyn Stage>]) -> bool {
        stages.iter().any(|stage| stage.needs_origins())
    }
}

/// All stages: those that options of sources insert, then those in the file, with their files loaded.
///
/// # Errors
/// A configuration error that names the option; an I/O error if a file cannot be read.
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
        *stage = loaded.map_err(|error| error.with_part(PartIndex::Stage(at.saturating_sub(first))))?;
    }
    Ok(stages)
}

/// The same stages without loading files.
///
/// # Errors
/// A configuration error that names the option.
pub fn as_written(pipeline: &Pipeline) -> Result<Vec<Arc<dyn Stage>>> {
    let mut stages = Vec::new();
    for (at, source) in pipeline.sources.iter().enumerate() {
        stages.extend(leading(source).map_err(|error| error.with_part(PartIndex::Source(at)))?);
    }
    stages.extend(pipeline.stages.iter().map(|entry| Arc::clone(&entry.stage)));
    agreement::apply(pipeline, &mut stages)?;
    Ok(stages)
}

/// The part that stage `at` comes from.
fn part_of(pipeline: &Pipeline, at: usize) -> PartIndex {
    let mut before = 0;
    for (source, entry) in pipeline.sources.iter().enumerate() {
        before += leading(entry).map_or(0, |stages| stages.len());
        if at < before {
            return PartIndex::Source(source);
        }
    }
    PartIndex::Stage(at - before)
}

/// The error if a part is fed by ports with different columns.
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
    Error::config(what).with_help("all input of a part must have the same columns")
}

/// Checks that a stage that uses the receiver's clock has a source with such times: live input, or a recording of it.
fn check_clock(pipeline: &Pipeline, graph: &Graph, at: usize) -> Result<()> {
    let (sources, mut ports) = (pipeline.sources.len(), graph.stages[at].clone());
    while let Some(port) = ports.pop() {
        match port.checked_sub(sources) {
            None if pipeline.sources[port].spec.ticks() => return Ok(()),
            None => {}
            Some(before) => ports.extend(&graph.stages[before]),
        }
    }
    Err(Error::config("it uses the time at which records are received, but its input is neither received live nor a recording of such input")
        .with_help("use the times of the records instead, or read from a socket, a pipe, a file with `follow = true`, or a recording of such input"))
}

/// Rejects `sensors` for sinks of rejections, which may belong to no sensor.
fn check_sensors(sink: &SinkEntry) -> Result<()> {
    match (sink.matchers()?, sink.spec.takes()) {
        (Some(_), Takes::Rejections) => {
            Err(Error::config("`sensors` has no effect here: this sink receives all rejections")
                .with_help("leave `sensors` out"))
        }
        _ => Ok(()),
    }
}

/// Rejects `on_failure = "wait"` for a sink that writes to a stream: what was written cannot be taken back for a retry.
fn check_waiting(sink: &SinkEntry) -> Result<()> {
    let address = sink.spec.stream().map(|path| path.display().to_string());
    let address = address.or_else(|| sink.spec.is_stdout().then(|| "standard output".to_owned()));
    match address.filter(|_| sink.on_failure == Some(OnFailure::Wait)) {
        None => Ok(()),
        Some(address) => Err(Error::config(format!(
            "`on_failure` has no effect here: writing to {address} has no transient errors, because it is not a file"
        ))
        .with_help("leave it out: the run waits for a slow reader anyway; with a file as `path` it would wait while the disk is full")),
    }
}

/// Rejects placeholders in the path of a sink that does not roll: they would be part of the name.
fn check_placeholders(sink: &SinkEntry) -> Result<()> {
    let Some(path) = sink.spec.file() else { return Ok(()) };
    let path = path.display().to_string();
    match ["{epoch}", "{date}", "{hour}"].into_iter().find(|placeholder| path.contains(placeholder)) {
        None => Ok(()),
        Some(placeholder) => {
            Err(Error::config(format!("`path` \"{path}\" has {placeholder}, but the sink does not `roll`"))
                .with_help("set `roll`, such as `roll = { every = \"1h\" }`; or remove the placeholder"))
        }
    }
}

/// One sink at most writes to standard output, and one at least takes the records.
fn check_sinks(pipeline: &Pipeline) -> Result<()> {
    let mut writes = pipeline.sinks.iter().enumerate().filter(|(_, sink)| sink.spec.is_stdout());
    if let (Some((first, one)), Some((second, other))) = (writes.next(), writes.next()) {
        let (one, other) = (one.spec.name(), other.spec.name());
        let what = format!("sink {first} ({one}) and sink {second} ({other}) both write to standard output");
        return Err(Error::config(what)
            .with_help("give one of them a `path`")
            .with_part(PartIndex::Sink(second)));
    }
    if pipeline.sinks.iter().all(|sink| sink.spec.takes() == Takes::Rejections) {
        return Err(Error::config("no sink takes records")
            .with_help("add one; `null` discards records")
            .with_part(PartIndex::Sink(0)));
    }
    Ok(())
}
