//! What the run gives to a sink when it opens.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cuts::CutRequest;
use crate::error::Masks;
use crate::files::{FileSystem, everywhere};
use crate::notes::Event;
use crate::notes::event::in_span;
use crate::time::Clock;

/// Everything a sink needs to open: the file system, the run's id, and its state from the checkpoint being resumed.
#[derive(Clone, Debug)]
pub struct SinkContext {
    /// The name of the sink in messages.
    pub label: Arc<str>,
    /// The file system.
    pub files: Arc<dyn FileSystem>,
    /// The id of the run, if it can resume after a restart. Its part files stay when it ends early, and have this id in their names; when the run begins
    /// a file, part files of that file from before the restart are removed.
    pub run: Option<Arc<str>>,
    /// The state folder of that run. Once it no longer exists, the run cannot resume, and the next run removes its part files.
    pub state: Option<PathBuf>,
    /// The state that `Sink::save` returned at the checkpoint from which the run resumes; `None` if the sink starts without state.
    pub resume: Option<Vec<u8>>,
    /// The number of the epoch that is open when the run begins, which the next checkpoint closes. 0 for a run without checkpoints.
    pub epoch: u64,
    /// The number of the epoch that was closed by the checkpoint from which the run resumes; 0 if it begins with its first record.
    pub resumed: u64,
    /// Distinguishes what this sink delivers and keeps from what other sinks and runs do, in letters, digits and `-`. For a sink that delivers by epochs it
    /// stays the same when the run resumes; for any other sink it is new each time, and `None` without a state folder.
    pub writer: Option<Arc<str>>,
    /// Requests a checkpoint ahead of schedule, when the sink has enough for one epoch.
    pub cuts: CutRequest,
    /// The clock that decides when a file is due.
    pub clock: Clock,
    /// Set when the run is to stop: a sink that waits for someone checks it.
    pub stop: Arc<AtomicBool>,
    /// Masks secrets in messages that a sink prints itself, besides errors and the report.
    pub masks: Arc<Masks>,
}

impl SinkContext {
    /// Says something about the sink during the run that is as it should be: as the event of this name, and as a sentence.
    pub fn info(&self, event: &'static str, text: &str) {
        self.say(Event::info(event), text);
    }

    /// Says something about the sink during the run that somebody should look at.
    pub fn warn(&self, event: &'static str, text: &str) {
        self.say(Event::warn(event), text);
    }

    fn say(&self, event: Event<'_>, text: &str) {
        event.part(&self.label).say(&self.masks, &format!("{}: {text}", self.label));
    }

    /// `act` for a thread of the sink's own: what it says belongs to the run of the calling thread.
    pub fn in_run<T, F: FnOnce() -> T>(&self, act: F) -> impl FnOnce() -> T + use<T, F> {
        in_span(act)
    }
}

impl Default for SinkContext {
    fn default() -> Self {
        Self {
            label: "a sink".into(),
            files: everywhere(None),
            run: None,
            state: None,
            resume: None,
            epoch: 0,
            resumed: 0,
            writer: None,
            cuts: CutRequest::default(),
            clock: Clock::default(),
            stop: Arc::default(),
            masks: Arc::default(),
        }
    }
}
