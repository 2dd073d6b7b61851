//! Other options for a run that goes on.
//!
//! Whoever wants them [asks](Reloads::request) from any thread, and is told at once whether they can be had. They take effect between two pieces of the input:
//! whoever claims the next piece finds the [`Reload`] and gives it an ordinal of its own, as a cut has. In its turn, every stage is replaced by one that goes on
//! with what the stage before has kept; what needs no order, the processes that workers have for themselves, is replaced by each worker before its next piece,
//! for by its ordinal it is known behind which reloads a piece stands. So the records before see the old options and all others the new ones, on any number of threads.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::error::guard::asked;
use crate::error::{Error, Part, Result};
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
    open: Mutex<Option<Open>>,
    /// Whether somebody has asked.
    is_due: AtomicBool,
    /// How many reloads have an ordinal.
    count: AtomicUsize,
}

/// A run that takes reloads.
struct Open {
    /// As it will be behind all that was asked for.
    pipeline: Pipeline,
    plan: Plan,
    foresees: Vec<Foresee>,
    /// What was asked for and has no ordinal yet.
    due: Vec<Arc<Reload>>,
    /// Those that have one, which it is behind.
    numbered: Vec<(u64, Arc<Reload>)>,
}

/// Other options.
pub(crate) struct Reload {
    /// The pipeline that has them.
    pub(crate) pipeline: Pipeline,
    /// Of all stages that run: those that have other options.
    pub(crate) stages: Vec<Option<Arc<dyn Stage>>>,
    /// Of all sinks, likewise.
    pub(crate) sinks: Vec<Option<Arc<dyn SinkSpec>>>,
    /// What they are, for people.
    pub(crate) options: Vec<String>,
}

/// A run that takes reloads until this is dropped.
pub(crate) struct Taking(Reloads);

impl Reloads {
    /// Applies the options of `pipeline` from the next piece of the input on, and returns the names of those that changed, such as "stage 0 (threshold) `max`". The
    /// report says after how many records they took effect. A request that is followed by no more input has no effect.
    ///
    /// The pipelines may differ only in options that [may change](Stage::reloads) during a run.
    ///
    /// # Errors
    /// A configuration error that names what is wrong or cannot change; a usage error if no run is in progress that accepts changes. Then nothing changes.
    pub fn request(&self, pipeline: &Pipeline) -> Result<Vec<String>> {
        let mut open = self.open();
        let Some(open) = &mut *open else {
            return Err(Error::usage("no run goes on that could take other options").with_help(
                "it takes them from its first record to its last; the one-thread loop takes none",
            ));
        };
        let reload = open.compare(pipeline).map_err(|error| pipeline.hide_error(error))?;
        let options = reload.options.clone();
        if !options.is_empty() {
            open.pipeline = pipeline.clone();
            open.due.push(Arc::new(reload));
            self.0.is_due.store(true, Ordering::Release);
        }
        Ok(options)
    }

    /// From now on, until what is given is dropped, a run of `pipeline` takes them; `foresees` are those that leave records unread for it.
    pub(crate) fn take(&self, pipeline: &Pipeline, plan: &Plan, foresees: Vec<Foresee>) -> Taking {
        let (pipeline, plan) = (pipeline.clone(), plan.clone());
        *self.open() = Some(Open { pipeline, plan, foresees, due: Vec::new(), numbered: Vec::new() });
        self.0.count.store(0, Ordering::Release);
        Taking(self.clone())
    }

    /// A reload that is due, which the piece with this `ordinal` is. To be called by whoever gives ordinals, where nobody else gives the next one meanwhile.
    pub(crate) fn next(&self, ordinal: u64) -> Option<Arc<Reload>> {
        if !self.0.is_due.load(Ordering::Acquire) {
            return None;
        }
        let mut open = self.open();
        let open = open.as_mut()?;
        let due = (!open.due.is_empty()).then(|| open.due.remove(0));
        if open.due.is_empty() {
            self.0.is_due.store(false, Ordering::Release);
        }
        let due = due?;
        open.numbered.push((ordinal, Arc::clone(&due)));
        self.0.count.store(open.numbered.len(), Ordering::Release);
        Some(due)
    }

    /// Those before the piece with this `ordinal`, but for the first `known` ones.
    pub(crate) fn before(&self, ordinal: u64, known: usize) -> Vec<Arc<Reload>> {
        if self.0.count.load(Ordering::Acquire) == known {
            return Vec::new();
        }
        let open = self.open();
        let numbered = open.iter().flat_map(|open| open.numbered.iter().skip(known));
        numbered.take_while(|(at, _)| *at < ordinal).map(|(_, reload)| Arc::clone(reload)).collect()
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        *self.0.open() = None;
        self.0.0.is_due.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reloads")
    }
}

impl Open {
    /// What is other in `pipeline`, all of which may change.
    fn compare(&self, pipeline: &Pipeline) -> Result<Reload> {
        let before = &self.pipeline;
        let counts =
            |pipeline: &Pipeline| [pipeline.sources.len(), pipeline.stages.len(), pipeline.sinks.len()];
        if counts(before) != counts(pipeline) {
            return Err(Error::config("a pipeline of other parts is another run").with_help(HELP));
        }
        for (at, (old, new)) in before.sources.iter().zip(&pipeline.sources).enumerate() {
            let options = [source_options(old), source_options(new)];
            let part =
                Compared { part: Part::Source(at), names: [old.spec.name(), new.spec.name()], options };
            part.changed("source", |_| false)?;
        }
        let first = pipeline.stages_before();
        let all = plan::as_written(pipeline)?;
        let (mut reloaded, mut stages) = (Vec::new(), vec![None; all.len()]);
        for (at, (old, new)) in before.stages.iter().zip(&pipeline.stages).enumerate() {
            let options = [stage_options(old), stage_options(new)];
            let part =
                Compared { part: Part::Stage(at), names: [old.stage.name(), new.stage.name()], options };
            let stage = &all[first + at];
            let label = stage_label(pipeline, first + at, &**stage);
            let changed = part.changed(&label, |option| stage.reloads(option))?;
            if changed.is_empty() {
                continue;
            }
            asked(&label, || self.check(first + at, stage))?
                .map_err(|error| error.with_context(&label).with_part(Part::Stage(at)))?;
            reloaded.extend(changed);
            stages[first + at] = Some(Arc::clone(stage));
        }
        let mut sinks = vec![None; pipeline.sinks.len()];
        for (at, (old, new)) in before.sinks.iter().zip(&pipeline.sinks).enumerate() {
            let options = [sink_options(old), sink_options(new)];
            let part = Compared { part: Part::Sink(at), names: [old.spec.name(), new.spec.name()], options };
            let label = format!("sink {at} ({})", new.spec.name());
            let changed = part.changed(&label, |option| new.spec.reloads(option) && !new.spec.delivers())?;
            if changed.is_empty() {
                continue;
            }
            asked(&label, || new.spec.check(self.plan.into_sink(at)))?
                .map_err(|error| error.with_context(&label).with_part(Part::Sink(at)))?;
            reloaded.extend(changed);
            sinks[at] = Some(Arc::clone(&new.spec));
        }
        if stages.iter().any(Option::is_some) && !self.foresees.iter().all(Foresee::forget) {
            let what = "records are left unread because of what the stages were before, by the statistics of their files";
            return Err(Error::config(what).with_help(HELP));
        }
        Ok(Reload { pipeline: pipeline.clone(), stages, sinks, options: reloaded })
    }

    /// Whether `stage` can take the place of stage `at`.
    fn check(&self, at: usize, stage: &Arc<dyn Stage>) -> Result<()> {
        let output = stage.output(self.plan.into_stage(at))?;
        if output != **self.plan.out_of_stage(at) {
            return Err(Error::config("other columns would leave it").with_help(HELP));
        }
        if stage.reach() == Reach::Global || stage.reach() == Reach::Row && stage.keeps_state() {
            return Err(Error::internal(
                "its options cannot change while it runs, and it says that they can",
            ));
        }
        Ok(())
    }
}

const HELP: &str = "stop the run, and start it with that pipeline";

/// A part, as it is and as it is to be.
struct Compared<'a> {
    part: Part,
    names: [&'a str; 2],
    options: [Value; 2],
}

impl Compared<'_> {
    /// The options that are others, each of which `may` be.
    fn changed(&self, label: &str, may: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let wrong = |what: String| Err(Error::config(what).with_help(HELP).with_part(self.part));
        let [old, new] = &self.names;
        if old != new {
            return wrong(format!("{label} was `{old}`: a pipeline of other parts is another run"));
        }
        let [old, new] = &self.options;
        let names = [old, new].into_iter().filter_map(Value::as_object).flat_map(|options| options.keys());
        let mut names: Vec<_> = names.filter(|name| old.get(name) != new.get(name)).collect();
        names.sort_unstable();
        names.dedup();
        match names.iter().find(|name| !may(name)) {
            Some(name) => wrong(format!("{label}: `{name}` cannot change while a run goes on")),
            None => Ok(names.into_iter().map(|name| format!("{label} `{name}`")).collect()),
        }
    }
}
