//! The content of a checkpoint.

use serde::{Deserialize, Serialize};

use super::orphan::Orphan;
use super::pieces::StageState;
use crate::atomic::SavedPart;
use crate::sensor::SensorNames;

/// Everything that a run needs to resume.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// When it was made, in nanoseconds since 1970, by the machine's clock; for display.
    pub made: i64,
    /// How far the run was.
    pub ending: Ending,
    /// The pipeline: sources, stages, sinks, in order.
    pub pipeline: Vec<PartSpec>,
    /// The key of the fingerprints that stand in `pipeline` for values from the environment.
    pub key: [u8; 32],
    /// The number of records from all sources.
    pub records: u64,
    /// The position of each source; `None` for one that resumes without a position.
    pub sources: Vec<Option<Vec<u8>>>,
    /// The sensors, by id.
    pub sensors: SensorNames,
    /// The state of each stage, in order. Only in a manifest that was read: a manifest is written with [`Cut`](crate::stage::Cut)s instead.
    pub stages: Vec<StageState>,
    /// The state of each sink, in order; `None` for one that resumes without state.
    pub sinks: Vec<Option<Vec<u8>>>,
    /// The unpublished files of each sink, in order; empty for one that writes to a stream.
    pub outputs: Vec<Vec<SavedPart>>,
    /// The counts of the run.
    pub counts: Vec<u8>,
    /// Unpublished files that no sink resumes: they are renamed once this checkpoint is durable.
    pub orphans: Vec<Orphan>,
    /// The ordinal of the checkpoint to which the changes in this one refer; `None` if it is complete. Only in a manifest that was read.
    pub base: Option<u64>,
}

/// How far a run is at a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// More input follows.
    Running,
    /// All input has been processed; the output is complete and is about to be published.
    Complete,
    /// The output has been published.
    Published,
}

/// One part of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSpec {
    /// Its name in messages, such as `stage 0 (threshold)`.
    pub place: String,
    /// Its type.
    pub name: String,
    /// Its options including defaults, as JSON, with a fingerprint for each value from the environment.
    pub options: String,
}
