//! Reload: other options for a run in progress.
//!
//! [`Reloads::request`] may be called from any thread, and says at once whether the options can change. They take effect between two pieces of the input: the
//! worker that claims the next piece finds the [`Reload`] and gives it an ordinal of its own, as a cut has. In its turn, every stage is replaced by one that takes
//! over the state of the stage before. Processes without order, of which each worker has its own, are replaced by each worker before its next piece; the ordinal of
//! a piece says which reloads precede it. So the records before see the old options and all others the new ones, on any number of threads.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::error::guard::asked;
use crate::error::{Error, PartIndex, Result};
use crate::pipeline::label::stage_label;
use crate::pipeline::parameters::{sink_options, source_options, stage_options};
use crate::pipeline::{Pipeline, Plan, plan};
use crate::sink::SinkSpec;
use crate::source::Foresee;
use crate::stage::{Reach, Stage};

/// Changes options of a run in progress: see [`RunOptions::reloads`](super::RunOptions::reloads). Clones belong to the same run.
#[derive(Clone, Default)]
pub struct Reloads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    run: Mutex<Option<ActiveRun>>,
    /// Whether a reload was requested that has no ordinal yet.
    is_due: AtomicBool,
    /// The number of reloads with an ordinal.
    count: AtomicUsize,
}

/// A run in progress that accepts reloads.
struct ActiveRun {
    /// With the options of all reloads requested so far.
    pipeline: Pipeline,
    plan: Plan,
    foresees: Vec<Foresee>,
    /// Reloads without an ordinal.
    due: Vec<Arc<Reload>>,
    /// Reloads with their ordinals.
    numbered: Vec<(u64, Arc<Reload>)>,
}

/// A requested change of options.
pub(crate) struct Reload {
    /// The pipeline with the new options.
    pub(crate) pipeline: Pipeline,
    /// For each stage of the run: the new one, if its options have changed.
    pub(crate) stages: Vec<Option<Arc<dyn Stage>>>,
    /// For each sink, likewise.
    pub(crate) sinks: Vec<Option<Arc<dyn SinkSpec>>>,
    /// The names of the changed options, for people.
    pub(crate) options: Vec<String>,
}

/// While it exists, a run accepts reloads.
pub(crate) struct AcceptsReloads(Reloads);

impl Reloads {
    /// Applies the options of `pipeline` from the next piece of the input on, and returns the names of those that changed, such as "stage 0 (threshold) `max`". The
    /// report says after how many records they took effect. A request that is followed by no more input has no effect.
    ///
    /// The pipelines may differ only in options that [may change](Stage::reloads) during a run.
    ///
    /// # Errors
    /// A configuration error that names what is wrong or cannot change; a usage error if no run is in progress that accepts changes. Then nothing changes.
    pub fn request(&self, pipeline: &Pipeline) -> Result<Vec<String>> {
        let mut run = self.run();
        let Some(run) = &mut *run else {
            return Err(Error::usage("no run that accepts other options is in progress").with_help(
                "a run accepts them from its first record to its last; one with `sequential` accepts none",
            ));
        };
        let reload = run.compare(pipeline).map_err(|error| pipeline.hide_error(error))?;
        let options = reload.options.clone();
        if !options.is_empty() {
            run.pipeline = pipeline.clone();
            run.due.push(Arc::new(reload));
            self.0.is_due.store(true, Ordering::Release);
        }
        Ok(options)
    }

    /// Lets a run of `pipeline` accept reloads until the result is dropped; `foresees` are those of its sources that skip records by statistics.
    pub(crate) fn take(&self, pipeline: &Pipeline, plan: &Plan, foresees: Vec<Foresee>) -> AcceptsReloads {
        let (pipeline, plan) = (pipeline.clone(), plan.clone());
        *self.run() = Some(ActiveRun { pipeline, plan, foresees, due: Vec::new(), numbered: Vec::new() });
        self.0.count.store(0, Ordering::Release);
        AcceptsReloads(self.clone())
    }

    /// The next reload without an ordinal, which becomes the piece with this `ordinal`. Must be called where ordinals are given, by one thread at a time.
    pub(crate) fn next(&self, ordinal: u64) -> Option<Arc<Reload>> {
        if !self.0.is_due.load(Ordering::Acquire) {
            return None;
        }
        let mut run = self.run();
        let run = run.as_mut()?;
        let due = (!run.due.is_empty()).then(|| run.due.remove(0));
        if run.due.is_empty() {
            self.0.is_due.store(false, Ordering::Release);
        }
        let due = due?;
        run.numbered.push((ordinal, Arc::clone(&due)));
        self.0.count.store(run.numbered.len(), Ordering::Release);
        Some(due)
    }

    /// The reloads before the piece with this `ordinal`, without the first `known` ones.
    pub(crate) fn before(&self, ordinal: u64, known: usize) -> Vec<Arc<Reload>> {
        if self.0.count.load(Ordering::Acquire) == known {
            return Vec::new();
        }
        let run = self.run();
        let numbered = run.iter().flat_map(|run| run.numbered.iter().skip(known));
        numbered.take_while(|(at, _)| *at < ordinal).map(|(_, reload)| Arc::clone(reload)).collect()
    }

    fn run(&self) -> MutexGuard<'_, Option<ActiveRun>> {
        self.0.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AcceptsReloads {
    fn drop(&mut self) {
        *self.0.run() = None;
        self.0.0.is_due.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reloads")
    }
}

impl ActiveRun {
    /// The options that differ in `pipeline`.
    ///
    /// # Errors
    /// A configuration error that names one that cannot change.
    fn compare(&self, pipeline: &Pipeline) -> Result<Reload> {
        let before = &self.pipeline;
        let counts =
            |pipeline: &Pipeline| [pipeline.sources.len(), pipeline.stages.len(), pipeline.sinks.len()];
        if counts(before) != counts(pipeline) {
            return Err(Error::config("parts were added or removed, which is not possible during a run")
                .with_help(HELP));
        }
        for (at, (old, new)) in before.sources.iter().zip(&pipeline.sources).enumerate() {
            let options = [source_options(old), source_options(new)];
            let part =
                Compared { part: PartIndex::Source(at), names: [old.spec.name(), new.spec.name()], options };
            part.changed("source", |_| false)?;
        }
        let first = pipeline.stages_before();
        let all = plan::as_written(pipeline)?;
        let (mut reloaded, mut stages) = (Vec::new(), vec![None; all.len()]);
        for (at, (old, new)) in before.stages.iter().zip(&pipeline.stages).enumerate() {
            let options = [stage_options(old), stage_options(new)];
            let part =
                Compared { part: PartIndex::Stage(at), names: [old.stage.name(), new.stage.name()], options };
            let stage = &all[first + at];
            let label = stage_label(pipeline, first + at, &**stage);
            let changed = part.changed(&label, |option| stage.reloads(option))?;
            if changed.is_empty() {
                continue;
            }
            asked(&label, || self.check(first + at, stage))?
                .map_err(|error| error.with_context(&label).with_part(PartIndex::Stage(at)))?;
            reloaded.extend(changed);
            stages[first + at] = Some(Arc::clone(stage));
        }
        let mut sinks = vec![None; pipeline.sinks.len()];
        for (at, (old, new)) in before.sinks.iter().zip(&pipeline.sinks).enumerate() {
            let options = [sink_options(old), sink_options(new)];
            let part =
                Compared { part: PartIndex::Sink(at), names: [old.spec.name(), new.spec.name()], options };
            let label = format!("sink {at} ({})", new.spec.name());
            let changed = part.changed(&label, |option| new.spec.reloads(option) && !new.spec.delivers())?;
            if changed.is_empty() {
                continue;
            }
            asked(&label, || new.spec.check(self.plan.into_sink(at)))?
                .map_err(|error| error.with_context(&label).with_part(PartIndex::Sink(at)))?;
            reloaded.extend(changed);
            sinks[at] = Some(Arc::clone(&new.spec));
        }
        if stages.iter().any(Option::is_some) && !self.foresees.iter().all(Foresee::forget) {
            let what = "options of stages cannot change now: records were skipped by the statistics of their files, according to the previous options";
            return Err(Error::config(what).with_help(HELP));
        }
        Ok(Reload { pipeline: pipeline.clone(), stages, sinks, options: reloaded })
    }

    /// Checks that `stage` can replace stage `at`.
    fn check(&self, at: usize, stage: &Arc<dyn Stage>) -> Result<()> {
        let output = stage.output(self.plan.into_stage(at))?;
        if output != **self.plan.out_of_stage(at) {
            return Err(Error::config("its output columns would change").with_help(HELP));
        }
        if stage.reach() == Reach::Global || stage.reach() == Reach::Row && stage.keeps_state() {
            return Err(Error::internal(
                "it declares options that may change during a run, but its reach does not allow that",
            ));
        }
        Ok(())
    }
}

const HELP: &str = "stop the run and start it again with the new pipeline";

/// A part with its old and new options.
struct Compared<'a> {
    part: PartIndex,
    names: [&'a str; 2],
    options: [Value; 2],
}

impl Compared<'_> {
    /// The options that differ; those for which `may_change` is false are an error.
    fn changed(&self, label: &str, may_change: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let wrong = |what: String| Err(Error::config(what).with_help(HELP).with_part(self.part));
        let [old, new] = &self.names;
        if old != new {
            return wrong(format!("{label} was `{old}`: the type of a part cannot change during a run"));
        }
        let [old, new] = &self.options;
        let names = [old, new].into_iter().filter_map(Value::as_object).flat_map(|options| options.keys());
        let mut names: Vec<_> = names.filter(|name| old.get(name) != new.get(name)).collect();
        names.sort_unstable();
        names.dedup();
        match names.iter().find(|name| !may_change(name)) {
            Some(name) => wrong(format!("{label}: `{name}` cannot change during a run")),
            None => Ok(names.into_iter().map(|name| format!("{label} `{name}`")).collect()),
        }
    }
}
