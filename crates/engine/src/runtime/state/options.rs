//! The options of a run that can resume.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::files::{Disk, FileSystem};

/// Where and when a run writes the checkpoints from which it resumes after a restart.
#[derive(Clone, Debug)]
pub struct StateOptions {
    /// The folder of the checkpoints.
    pub folder: PathBuf,
    /// The minimum time between two checkpoints, requested ones excepted.
    pub every: Duration,
    /// Whether the run resumes if the pipeline or its input differs from that of the checkpoint: unchanged parts resume, the others start without state.
    pub accept_changes: bool,
    /// Whether the run ends at its checkpoint: it reads nothing more, and publishes its output.
    pub finishes: bool,
    /// Whether the run only delivers what earlier ones had not: it reads nothing, and goes on no further.
    pub delivers: bool,
    /// Whether another run that uses the folder is killed, and this one resumes in its place.
    pub takes_over: bool,
    /// Whether the run waits until each checkpoint is durable and its epoch is delivered. Otherwise it continues, and starts no other checkpoint meanwhile.
    pub waits: bool,
    /// The file system of the folder and of the output.
    pub files: Arc<dyn FileSystem>,
}

impl StateOptions {
    /// Checkpoints in `folder`, every second.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            every: Duration::from_secs(1),
            accept_changes: false,
            finishes: false,
            delivers: false,
            takes_over: false,
            waits: false,
            files: Arc::new(Disk),
        }
    }
}
