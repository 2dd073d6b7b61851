//! One reading of the input by several workers, each of which takes the next chunk from the sources when it is done with one.
//!
//! The workers run on a rayon pool, one for each of its threads, from the first claim to the end of the input. Nothing of
//! rayon's is called on the way, so none can be stuck under another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Reading;
use crate::error::Result;
use crate::pipeline::{Pipeline, Plan};
use crate::runtime::chunks::check_stop;
use crate::runtime::crew::{Claim, Crew, Dropped, Feed, Piece, Spent};
use crate::runtime::drain::Drain;
use crate::runtime::inlet::Arrived;
use crate::runtime::inlets::Inlets;
use crate::runtime::outlet::{Around, Outlets};
use crate::runtime::schedule::Schedule;
use crate::runtime::setup::Setup;
use crate::runtime::snapshot::Positions;
use crate::runtime::{Observer, Report, RunOptions};
use crate::sensor::{SensorIds, SharedSensors};
use crate::source::{Input, Progress};
use crate::stage::Stage;

/// The sources and the workers of one reading.
pub(super) struct Pass {
    crew: Crew,
    sources: SharedSources,
    plan: Plan,
}

/// The sources, given to one worker after the other.
struct SharedSources {
    claims: Mutex<Claims>,
    stop: Arc<AtomicBool>,
    /// Whether the run goes on after a restart, so that a stop is no failure.
    goes_on: bool,
    /// Nothing is read any more.
    finishes: bool,
}

/// What is to be claimed next.
enum Next {
    Arrived(Box<Arrived>),
    /// A cut for a checkpoint: where the sources go on.
    Cut(Positions),
}

struct Claims {
    sources: Inlets,
    next: u64,
    has_ended: bool,
    is_stopped: bool,
    schedule: Schedule,
    /// Whether anything has been claimed since the last cut.
    is_dirty: bool,
}

impl Reading for Pass {
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
                goes_on: options.state.is_some(),
                finishes: options.state.as_ref().is_some_and(|state| state.finishes),
            },
            plan: setup.plan,
        })
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Works on all threads of the pool that this thread is in.
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
        claims.schedule = outlets.schedule();
        self.crew.resume(&mut claims.sources, outlets)?;
        self.crew.begin(&claims.sources, outlets, options)?;
        // A run that goes on later hands all over when it is stopped.
        let stop = (!self.sources.goes_on).then(|| Arc::clone(&options.stop));
        let (cancelled, workers) = (self.crew.cancelled(), rayon::current_num_threads());
        outlets.start(Around { cancelled, stop, workers })
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
    /// Whether the reading ended before the input did.
    fn is_stopped(&self) -> bool {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).is_stopped
    }

    /// The next piece, where the run is not to stop.
    fn next(&self, claims: &mut Claims, ids: &mut SensorIds) -> Result<Option<Next>> {
        if self.finishes {
            return Ok(None);
        }
        loop {
            if self.goes_on && self.stop.load(Ordering::Relaxed) {
                claims.is_stopped = true;
                return Ok(None);
            }
            check_stop(&self.stop)?;
            if claims.schedule.is_due(claims.is_dirty) {
                claims.is_dirty = false;
                return claims.sources.save().map(Next::Cut).map(Some);
            }
            match claims.sources.next(ids)? {
                Some(Arrived { input: Input::Nothing, .. }) => {}
                arrived => {
                    claims.is_dirty = true;
                    return Ok(arrived.map(|arrived| Next::Arrived(Box::new(arrived))));
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
        // No source is called again after the end or an error.
        claims.has_ended = !matches!(next, Ok(Some(_)));
        let (piece, source, latest, progress) = match next {
            Err(error) => (Piece::Failed(error), 0, None, Progress::default()),
            Ok(next) => match next? {
                Next::Cut(positions) => (Piece::Cut(positions), 0, None, Progress::default()),
                Next::Arrived(arrived) => {
                    let Arrived { input, source, latest, progress } = *arrived;
                    (Piece::Input(input), source, latest, progress)
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
            latest,
            place: None,
        })
    }
}
