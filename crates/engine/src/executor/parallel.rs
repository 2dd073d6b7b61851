//! One pass over the input by several workers, each of which claims the next chunk from the sources when it has finished one.
//!
//! The workers occupy a rayon pool, one per thread, from the first claim to the end of the input. They call nothing of rayon's meanwhile,
//! so that no worker blocks inside another one's task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::InputPass;
use crate::error::Result;
use crate::pipeline::{Pipeline, Plan};
use crate::runtime::chunks::check_stop;
use crate::runtime::crew::{Claim, Crew, Dropped, Feed, Piece, Spent};
use crate::runtime::drain::Drain;
use crate::runtime::inlet::Arrived;
use crate::runtime::inlets::Inlets;
use crate::runtime::outlet::{Outlets, RunControl};
use crate::runtime::reload::{AcceptsReloads, Reload, Reloads};
use crate::runtime::schedule::Schedule;
use crate::runtime::setup::Setup;
use crate::runtime::snapshot::Positions;
use crate::runtime::{Observer, Report, RunOptions};
use crate::sensor::{SensorIds, SharedSensors};
use crate::source::{Foresee, Progress};
use crate::stage::Stage;

/// The sources and the workers of one pass.
pub(super) struct Pass {
    crew: Crew,
    sources: SharedSources,
    plan: Plan,
    foresees: Vec<Foresee>,
}

/// The sources, used by one worker at a time.
struct SharedSources {
    claims: Mutex<Claims>,
    stop: Arc<AtomicBool>,
    /// Whether the run can resume, so that a stop is not a failure.
    can_resume: bool,
    /// The run only finishes earlier input: nothing is read.
    finishes: bool,
    /// The run only delivers what earlier ones had not: nothing is read, and the run is paused.
    delivers: bool,
    reloads: Reloads,
}

/// What is to be claimed next.
enum NextClaim {
    Arrived(Arrived),
    /// A cut for a checkpoint: where the sources go on.
    Cut(Positions),
    /// Other options for what comes behind.
    Reload(Arc<Reload>),
}

struct Claims {
    sources: Inlets,
    next: u64,
    has_ended: bool,
    is_stopped: bool,
    schedule: Schedule,
    /// Whether anything was claimed since the last cut.
    is_dirty: bool,
}

impl InputPass for Pass {
    fn open(
        pipeline: &Pipeline,
        stages: &[Arc<dyn Stage>],
        asked: &[usize],
        options: &RunOptions,
        sensors: &Arc<SharedSensors>,
    ) -> Result<Self> {
        let setup = Setup::open(pipeline, stages, options)?;
        let crew =
            Crew::new(pipeline, stages, &setup, asked, rayon::current_num_threads(), options, sensors)?;
        let claims = Mutex::new(Claims {
            sources: setup.sources,
            next: 0,
            has_ended: false,
            is_stopped: false,
            schedule: Schedule::never(),
            is_dirty: false,
        });
        Ok(Self {
            crew,
            sources: SharedSources {
                claims,
                stop: Arc::clone(&options.stop),
                can_resume: options.state.is_some(),
                finishes: options.state.as_ref().is_some_and(|state| state.finishes),
                delivers: options.state.as_ref().is_some_and(|state| state.delivers),
                reloads: options.reloads.clone(),
            },
            plan: setup.plan,
            foresees: setup.foresees,
        })
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Works on all threads of the current pool.
    fn drive<D: Drain>(
        &mut self,
        name: &str,
        observer: &mut (dyn Observer + Send),
        drain: &mut D,
    ) -> Result<()> {
        let workers = self.crew.drive(name, &self.sources, observer, drain, |work| {
            rayon::broadcast(|context| work(context.index()));
        })?;
        self.crew.finish(workers, !self.sources.is_stopped(), drain)
    }

    fn begin(&mut self, outlets: &mut Outlets, options: &RunOptions) -> Result<()> {
        let claims = self.sources.claims.get_mut().unwrap_or_else(PoisonError::into_inner);
        claims.schedule = outlets.schedule(&options.open.cuts);
        self.crew.resume(&mut claims.sources, outlets)?;
        self.crew.begin(&claims.sources, outlets, options)?;
        // A run that can resume delivers everything to the sinks when it is stopped.
        let stop = (!self.sources.can_resume).then(|| Arc::clone(&options.stop));
        let (cancelled, workers) = (self.crew.cancelled(), rayon::current_num_threads());
        outlets.start(RunControl { cancelled, stop, workers })
    }

    fn take_reloads(&self, pipeline: &Pipeline) -> Option<AcceptsReloads> {
        Some(self.sources.reloads.take(pipeline, &self.plan, self.foresees.clone()))
    }

    fn conclude(
        &mut self,
        outlets: Outlets,
        observer: &mut (dyn Observer + Send),
        report: &mut Report,
    ) -> Result<()> {
        if !outlets.has_state() {
            return outlets.finish(None, observer, report);
        }
        let is_stopped = self.sources.is_stopped();
        let claims = self.sources.claims.get_mut().unwrap_or_else(PoisonError::into_inner);
        let positions = claims.sources.save()?;
        self.crew.last_cut(positions, !is_stopped, |last| match is_stopped {
            true => outlets.pause(last, observer, report),
            false => outlets.finish(Some(last), observer, report),
        })?;
        claims.sources.acknowledge()
    }

    fn close(self, report: &mut Report) -> Result<()> {
        let claims = self.sources.claims.into_inner().unwrap_or_else(PoisonError::into_inner);
        claims.sources.close(report)?;
        self.crew.close(report);
        Ok(())
    }
}

impl SharedSources {
    /// Whether the pass ended before the input.
    fn is_stopped(&self) -> bool {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).is_stopped
    }

    /// The next piece, unless the run is to stop.
    fn next(&self, claims: &mut Claims, ids: &mut SensorIds) -> Result<Option<NextClaim>> {
        if self.delivers {
            claims.is_stopped = true;
            return Ok(None);
        }
        if self.finishes {
            return Ok(None);
        }
        loop {
            if self.can_resume && self.stop.load(Ordering::Relaxed) {
                claims.is_stopped = true;
                return Ok(None);
            }
            check_stop(&self.stop)?;
            if let Some(reload) = self.reloads.next(claims.next) {
                // The checkpoint behind it knows of it.
                claims.is_dirty = true;
                return Ok(Some(NextClaim::Reload(reload)));
            }
            if claims.schedule.is_due(claims.is_dirty) {
                claims.is_dirty = false;
                return claims.sources.save().map(NextClaim::Cut).map(Some);
            }
            match claims.sources.next(ids)? {
                Some(arrived) if arrived.is_nothing() => {}
                arrived => {
                    claims.is_dirty = true;
                    return Ok(arrived.map(NextClaim::Arrived));
                }
            }
        }
    }
}

impl Feed for SharedSources {
    fn claim(&self, ids: &mut SensorIds, spent: &mut Spent) -> Option<Claim> {
        let start = Instant::now();
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.has_ended {
            return None;
        }
        let claimed = Instant::now();
        spent.claiming += claimed - start;
        let next = self.next(&mut claims, ids);
        spent.decoding += claimed.elapsed();
        // No source is called again after its end or an error.
        claims.has_ended = !matches!(next, Ok(Some(_)));
        let (piece, source, progress) = match next {
            Err(error) => (Piece::Failed(error), 0, Progress::default()),
            Ok(next) => match next? {
                NextClaim::Cut(positions) => (Piece::Cut(positions), 0, Progress::default()),
                NextClaim::Reload(reload) => (Piece::Reload(reload), 0, Progress::default()),
                NextClaim::Arrived(arrived) => {
                    let source = arrived.source();
                    let Arrived { shares, progress } = arrived;
                    (Piece::Input(shares), source, progress)
                }
            },
        };
        let ordinal = claims.next;
        claims.next += 1;
        Some(Claim {
            ordinal,
            piece,
            source,
            progress,
            arrived: None,
            dropped: Dropped::default(),
            place: None,
        })
    }
}
