//! Resuming from the newest intact checkpoint: which part of the pipeline gets which part of it.

use super::State;
use super::parts::{changes_between, of_kind, of_kind_without_reloads};
use crate::atomic::SavedPart;
use crate::checkpoint::{Change, Ending, Found, Manifest, Orphan, PartSpec, StageState, matches, successors};
use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::runtime::snapshot::Positions;
use crate::sensor::SensorNames;
use crate::source::Resumption;

/// A checkpoint, its parts in the order of the pipeline that resumes from it.
#[derive(Clone, Default)]
pub(crate) struct Resume {
    pub(crate) ending: Option<Ending>,
    /// By source; `None` if it starts without a position.
    pub(crate) sources: Positions,
    /// The index of each source in the checkpoint.
    pub(crate) sources_before: Vec<Option<usize>>,
    pub(crate) sensors: SensorNames,
    /// By stage; `None` if it starts without state.
    pub(crate) stages: Vec<Option<StageState>>,
    /// The index of each stage in the checkpoint.
    pub(crate) stages_before: Vec<Option<usize>>,
    /// Whether the sources and stages are all those of the checkpoint.
    pub(crate) is_whole: bool,
    /// By sink; `None` if it starts without state.
    pub(crate) sinks: Vec<Option<Vec<u8>>>,
    /// The index of each sink in the checkpoint.
    pub(crate) sinks_before: Vec<Option<usize>>,
    pub(crate) counts: Vec<u8>,
}

impl Resume {
    /// Matches `manifest` to the parts `now` of `pipeline`.
    fn new(manifest: Manifest, now: &[PartSpec], pipeline: &Pipeline) -> Self {
        let kind = |parts: &[PartSpec], kind: &str| of_kind_without_reloads(parts, kind, pipeline);
        let matched = |name: &str| matches(&kind(&manifest.pipeline, name), &kind(now, name));
        // A source resumes at its position even if its options have changed.
        let sources_before = successors(&kind(&manifest.pipeline, "source"), &kind(now, "source"));
        let (stages_before, sinks_before) = (matched("stage"), matched("sink"));
        let is_all = |before: &[Option<usize>], count: usize| before.iter().copied().eq((0..count).map(Some));
        let is_whole =
            is_all(&sources_before, manifest.sources.len()) && is_all(&stages_before, manifest.stages.len());
        let sources = sources_before.iter().map(|&at| manifest.sources.get(at?).cloned().flatten()).collect();
        let stages = stages_before.iter().map(|&at| manifest.stages.get(at?).cloned()).collect();
        let sinks = sinks_before.iter().map(|&at| manifest.sinks.get(at?).cloned().flatten()).collect();
        Self {
            ending: Some(manifest.ending),
            sources,
            sources_before,
            sensors: manifest.sensors,
            stages,
            stages_before,
            is_whole,
            sinks,
            sinks_before,
            counts: manifest.counts,
        }
    }
}

impl State {
    /// Resumes from the checkpoint in `found`, if any.
    ///
    /// # Errors
    /// If the pipeline has changed and that was not accepted; if the run is to be finished and there is no checkpoint.
    pub(super) fn resume_from(&mut self, found: Found, pipeline: &Pipeline) -> Result<()> {
        let damaged = found.damaged.iter();
        self.remarks.extend(damaged.map(|(path, why)| format!("{} was skipped: {why}", path.display())));
        let Some((manifest, path)) = found.manifest else {
            return match self.options.finishes || self.options.delivers {
                true => Err(self.nothing_to_finish()),
                false => Ok(()),
            };
        };
        let changes = changes_between(&manifest.pipeline, &self.pipeline);
        let is_over = manifest.ending != Ending::Running;
        if !changes.is_empty() && (is_over || !self.options.accept_changes) {
            return Err(self.changed(&changes, manifest.ending));
        }
        let resume = Resume::new(manifest.clone(), &self.pipeline, pipeline);
        let orphans = self.orphans(&manifest, &resume);
        let before = self.checkpointer.folder().preserve_orphans_now(&manifest.orphans);
        self.remarks.extend(changes.iter().map(|change| format!("changed since the checkpoint: {change}")));
        self.remarks.extend(before.iter().chain(&orphans).map(|Orphan { output, aside, .. }| {
            format!("the output for {} so far is kept as {}", output.path.display(), aside.display())
        }));
        let records = match manifest.records {
            1 => "1 record".into(),
            records => format!("{records} records"),
        };
        self.remarks.push(format!("resumed from {}, after {records}", path.display()));
        self.checkpointer.folder().preserve_orphans(orphans, pipeline.secrets.masks());
        self.resume = Some(resume);
        self.found = Some(manifest);
        Ok(())
    }

    fn nothing_to_finish(&self) -> Error {
        let folder = self.options.folder.display();
        Error::config(format!("{folder} has no checkpoint: there is nothing to finish or deliver"))
            .with_help("name the folder that was given to the run as --state")
    }

    fn changed(&self, changes: &[Change], ending: Ending) -> Error {
        let list = changes.iter().map(|change| format!("  {change}"));
        let folder = self.options.folder.display();
        let message = format!("the pipeline has changed since the checkpoint in {folder}:");
        Error::config(message).with_lines(list).with_help(match ending {
            Ending::Running => "undo the changes; or give `--accept changes`: unchanged parts resume, and so do parts in which only options that can be reloaded have changed; all others start without state; or start a new run with another --state",
            Ending::Complete => "that run was interrupted when its output was complete: undo the changes and run it again to publish the output, or start a new run with another --state",
            Ending::Published => "that run has ended: start a new run with another --state",
        })
    }

    /// The unfinished files that no sink resumes.
    fn orphans(&self, manifest: &Manifest, resume: &Resume) -> Vec<Orphan> {
        let is_resumed = |at: usize| resume.sinks_before.contains(&Some(at));
        let outputs = manifest.outputs.iter().enumerate().filter(|(at, _)| !is_resumed(*at));
        let orphan = |output: &SavedPart| Orphan::of(&*self.options.files, output, manifest.records);
        let orphans = outputs.flat_map(|(_, outputs)| outputs.iter().map(orphan));
        orphans.filter(|orphan| orphan.is_there(&*self.options.files)).collect()
    }

    /// What each source knows before it is opened, if the run resumes; `None` for a source that is not in the checkpoint.
    pub(crate) fn resumptions(&self) -> Vec<Option<Resumption>> {
        let Some((found, resume)) = self.found.as_ref().zip(self.resume.as_ref()) else { return Vec::new() };
        let is_same = matches(&of_kind(&found.pipeline, "source"), &of_kind(&self.pipeline, "source"));
        // A run whose output is complete reads nothing more.
        let finishes = self.options.finishes || self.options.delivers || found.ending != Ending::Running;
        let known = |(place, same): (&Option<Vec<u8>>, Option<usize>)| {
            let place = place.as_deref().filter(|_| same.is_some())?.into();
            Some(Resumption { place, finishes })
        };
        resume.sources.iter().zip(is_same).map(known).collect()
    }

    /// How the run had ended when its last checkpoint was made.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.resume.as_ref()?.ending
    }

    /// Takes the checkpoint to resume from. The state of sinks may be large: it is not kept for the whole run.
    pub(crate) fn take_resume(&mut self) -> Option<Resume> {
        self.found = None;
        self.resume.take()
    }
}
