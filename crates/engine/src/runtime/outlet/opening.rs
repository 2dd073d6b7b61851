//! How a sink of a run is opened: with the file system and the way of failing that its options ask for, and with its delivery.

use std::sync::Arc;

use super::backlog::Backlog;
use super::delivering::{Beginning, Delivering};
use super::delivery::{Delivery, Terms};
use super::door::Door;
use super::open::Outlet;
use super::pace::{Pace, PaceRules};
use super::ready::Filter;
use crate::error::guard::{asked, guarded};
use crate::error::{Error, PartIndex, Result};
use crate::files::patient::Patient;
use crate::metrics::{Entry, Latencies};
use crate::pipeline::{OnFailure, Plan, SinkEntry};
use crate::runtime::state::State;
use crate::sink::{Sink, SinkContext, SinkSpec};

/// What all sinks of a run are opened with.
pub(super) struct Opening<'a> {
    pub(super) plan: &'a Plan,
    pub(super) state: Option<&'a State>,
    /// The context of a sink without a state folder.
    pub(super) plain: &'a SinkContext,
}

impl Opening<'_> {
    /// Opens sink `at`.
    ///
    /// # Errors
    /// Those of the sink, and wrong options for its failures.
    pub(super) fn outlet(&self, at: usize, entry: &SinkEntry) -> Result<Outlet> {
        let spec = &*entry.spec;
        let name = asked(&format!("sink {at}"), || spec.name().to_owned())?;
        let label = format!("sink {at} ({name})");
        let delivers = asked(&label, || spec.delivers())?;
        let on_failure = entry.on_failure.unwrap_or(self.otherwise());
        let context = self.context(at, &label, on_failure);
        let door = Arc::new(self.door(at, entry, label)?);
        let (pace, backlog) = match delivers {
            false => (Pace::of_files(on_failure == OnFailure::Wait), None),
            true => {
                let rules = entry.outage.rules().map_err(|error| error.with_part(door.part))?;
                let (when_full, pace) = policy(entry.on_failure, on_failure, self.state.is_some());
                let room = rules.room(self.state.is_some());
                let backlog = Arc::new(Backlog::new(&door, &context, room, when_full));
                (Pace::of_target(&rules, pace), Some(backlog))
            }
        };
        let (fence, waits) = self.state.map_or((None, false), |state| (Some(state.fence()), state.waits()));
        let has_delivery = delivers || fence.is_some();
        let terms = Terms { fence, pace, backlog: backlog.clone(), waits };
        let delivery = has_delivery.then(|| Delivery::new(&door, &context, terms));
        let open = |context: &SinkContext| spec.open(self.plan.into_sink(at), context);
        let opened = guarded(&door.label, || match (&delivery, &backlog) {
            (Some(delivery), Some(backlog)) => {
                let beginning = Beginning::of(&context)?;
                let sink = open(&beginning.context(&context))?;
                let epochs = delivery.epochs();
                let (sink, outbox) = Delivering::begin(&door, sink, beginning, &context, epochs, backlog)?;
                Ok((Box::new(sink) as Box<dyn Sink>, outbox))
            }
            _ => Ok((open(&context)?, None)),
        });
        let (sink, outbox) = opened.map_err(|error: Error| error.with_part(door.part))?;
        let (entry, latencies, filter) = (Entry::new(name), Latencies::default(), door.filter.clone());
        Ok(Outlet { door, sink, delivery, backlog, outbox, filter, entry, latencies, is_live: false })
    }

    /// What a sink does when it fails, if its options do not say.
    fn otherwise(&self) -> OnFailure {
        if self.plain.files.impatient().is_some() { OnFailure::Wait } else { OnFailure::Stop }
    }

    /// With a file system that waits while a disk is full only if the sink is to wait.
    fn context(&self, at: usize, label: &str, on_failure: OnFailure) -> SinkContext {
        let plain = self.plain;
        let mut context = self.state.map_or_else(|| plain.clone(), |state| state.context(at, plain));
        context.label = label.into();
        let files = context.files.impatient().unwrap_or_else(|| Arc::clone(&context.files));
        let files = files.until(&context.stop).unwrap_or(files);
        context.files = match on_failure {
            OnFailure::Stop | OnFailure::Drop => files,
            OnFailure::Wait => {
                Arc::new(Patient::new(files, &context.stop, Arc::clone(&context.label), &context.masks))
            }
        };
        context
    }

    fn door(&self, at: usize, entry: &SinkEntry, label: String) -> Result<Door> {
        let spec = &*entry.spec;
        let (takes, restarts) = asked(&label, || (spec.takes(), !spec.can_resume() && !spec.delivers()))?;
        Ok(Door {
            at,
            address: address(spec),
            label,
            part: PartIndex::Sink(at),
            takes,
            ports: self.plan.graph.sinks[at].clone(),
            filter: entry.matchers()?.map(Filter::new),
            restarts,
            meters: Arc::default(),
        })
    }
}

/// Where a sink writes to, for messages; `None` if it does not say.
fn address(spec: &dyn SinkSpec) -> Option<String> {
    let path = spec.stream().or_else(|| spec.file());
    let path = path.or_else(|| spec.rolls().map(|template| template.path()));
    let path = path.map(|path| path.display().to_string());
    path.or_else(|| spec.is_stdout().then(|| "standard output".to_owned()))
}

/// What happens when a sink's outbox is full, and to deliveries that fail: as `given`, or by default. Without a state folder, a run that is not to wait ends
/// when its target is down; with one, everything is kept meanwhile.
fn policy(given: Option<OnFailure>, otherwise: OnFailure, has_state: bool) -> (OnFailure, PaceRules) {
    let retries = true;
    match given {
        Some(OnFailure::Wait) => {
            (OnFailure::Wait, PaceRules { retries, refused: OnFailure::Wait, ends: false })
        }
        Some(OnFailure::Drop) => {
            (OnFailure::Drop, PaceRules { retries, refused: OnFailure::Drop, ends: true })
        }
        Some(OnFailure::Stop) => {
            (OnFailure::Stop, PaceRules { retries, refused: OnFailure::Stop, ends: true })
        }
        None => {
            let ends = !has_state && otherwise == OnFailure::Stop;
            (OnFailure::Wait, PaceRules { retries, refused: OnFailure::Stop, ends })
        }
    }
}
