//! All cells of a run, with the names of its parts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::cells::{CheckpointMeters, CrewMeters, SinkMeters};
use crate::files::patient::waited_for;
use crate::metrics::Ledger;
use crate::pipeline::Pipeline;
use crate::stage::Stage;

/// A sink that stands still for longer than that keeps a run from being ready, as does a source that has no connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Workers that have finished nothing for that long are stuck.
const STUCK: Duration = Duration::from_secs(60);

/// What a run shows.
pub(crate) struct Board {
    /// The labels of each part in the text format, without braces.
    pub(super) sources: Vec<String>,
    pub(super) stages: Vec<String>,
    pub(super) sinks: Vec<String>,
    /// The name of each sink in messages.
    names: Vec<String>,
    pub(super) crew: Arc<CrewMeters>,
    pub(super) of_sinks: Vec<Arc<SinkMeters>>,
    /// In a run with a state folder.
    pub(super) checkpoints: Option<Arc<CheckpointMeters>>,
}

impl Board {
    /// For a run of `pipeline` with all its `stages`.
    pub(crate) fn new(pipeline: &Pipeline, stages: &[Arc<dyn Stage>], crew: &Arc<CrewMeters>) -> Self {
        let before = pipeline.stages_before();
        let stage = |(at, stage): (usize, &Arc<dyn Stage>)| match at.checked_sub(before) {
            Some(at) => labels("stage", &at.to_string(), stage.name()),
            None => labels("stage", &format!("before {at}"), stage.name()),
        };
        let sources = pipeline.sources.iter().enumerate();
        let sinks = || pipeline.sinks.iter().enumerate();
        Self {
            sources: sources.map(|(at, it)| labels("source", &at.to_string(), it.spec.name())).collect(),
            stages: stages.iter().enumerate().map(stage).collect(),
            sinks: sinks().map(|(at, it)| labels("sink", &at.to_string(), it.spec.name())).collect(),
            names: sinks().map(|(at, it)| format!("sink {at} ({})", it.spec.name())).collect(),
            crew: Arc::clone(crew),
            of_sinks: Vec::new(),
            checkpoints: None,
        }
    }

    /// With the cells of the sinks and of the checkpoints.
    pub(crate) fn with(
        self,
        of_sinks: Vec<Arc<SinkMeters>>,
        checkpoints: Option<Arc<CheckpointMeters>>,
    ) -> Self {
        Self { of_sinks, checkpoints, ..self }
    }

    /// The labels and the ledger of every part.
    pub(super) fn ledgers(&self) -> impl Iterator<Item = (&str, Ledger)> {
        let sources = self.sources.iter().zip(self.crew.sources.iter().map(|source| source.ledger.load()));
        let stages = self.stages.iter().zip(self.crew.stages.iter().map(|stage| stage.load()));
        let sinks = self.sinks.iter().zip(self.of_sinks.iter().map(|sink| sink.ledger.load()));
        sources.chain(stages).chain(sinks).map(|(labels, ledger)| (labels.as_str(), ledger))
    }

    /// Sources without a connection, and sinks that stand still.
    pub(crate) fn obstacles(&self) -> Vec<String> {
        let sources = self.crew.sources.iter().filter_map(|source| source.own.outage(PATIENCE));
        let sinks = self.names.iter().zip(&self.of_sinks);
        sources.chain(sinks.filter_map(|(name, sink)| obstacle(name, sink))).collect()
    }

    /// How many sources have lost all of their connections.
    pub(crate) fn disconnected(&self) -> usize {
        self.crew.sources.iter().filter(|source| source.own.is_connected() == Some(false)).count()
    }

    /// Whether the workers move, have nothing to do, or wait for a sink.
    pub(crate) fn is_live(&self) -> bool {
        self.is_held_up() || self.crew.stuck() < STUCK
    }

    /// Whether the run waits for a sink.
    pub(crate) fn is_held_up(&self) -> bool {
        self.of_sinks.iter().any(|sink| sink.stands.nanos().is_some())
    }

    /// Records that were discarded because a queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.ledgers().map(|(_, ledger)| ledger.dropped).sum()
    }

    /// Checkpoints that were due while another was on its way.
    pub(crate) fn deferred(&self) -> u64 {
        self.checkpoints.as_ref().map_or(0, |checkpoints| checkpoints.deferred())
    }
}

fn obstacle(name: &str, sink: &SinkMeters) -> Option<String> {
    let long = |age: Option<Duration>| age.filter(|&age| age >= PATIENCE).map(waited_for);
    if let Some(waited) = long(sink.stands.age()) {
        return Some(format!("{name} has accepted no records for {waited}"));
    }
    if sink.breaker.load(Ordering::Relaxed) {
        return Some(format!("{name} is not sent anything: its deliveries fail"));
    }
    long(sink.fails.age()).map(|waited| format!("{name} has delivered nothing for {waited}"))
}

/// The labels of a part.
fn labels(part: &str, index: &str, kind: &str) -> String {
    format!("part=\"{part}\",index=\"{index}\",type=\"{}\"", escaped(kind))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
