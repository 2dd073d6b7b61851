//! One reading of the input by several workers, each of which takes the next chunk from the source when it is done with one.
//!
//! The workers run on a rayon pool, one for each of its threads, from the first claim to the end of the input. Nothing of
//! rayon's is called on the way, so none can be stuck under another.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Reading;
use crate::batch::Schema;
use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::runtime::chunks::check_stop;
use crate::runtime::crew::{Claim, Crew, Feed, Piece, Spent};
use crate::runtime::drain::Drain;
use crate::runtime::guard::caught;
use crate::runtime::setup::Setup;
use crate::runtime::{Observer, Report, RunOptions};
use crate::sensor::{SensorIds, SharedSensors};
use crate::source::{Input, Source};
use crate::stage::Stage;

/// The source and the workers of one reading.
pub(super) struct Pass {
    crew: Crew,
    source: SharedSource,
    output: Arc<Schema>,
}

/// The source, given to one worker after the other.
struct SharedSource {
    claims: Mutex<Claims>,
    stop: Arc<AtomicBool>,
}

struct Claims {
    source: Box<dyn Source>,
    next: u64,
    has_ended: bool,
}

impl Reading for Pass {
    fn open(
        pipeline: &Pipeline,
        stages: &[Arc<dyn Stage>],
        options: &RunOptions,
        sensors: &Arc<SharedSensors>,
    ) -> Result<Self> {
        let setup = Setup::open(pipeline, stages, options)?;
        let crew = Crew::new(pipeline, stages, &setup, rayon::current_num_threads(), options, sensors)?;
        let claims = Mutex::new(Claims { source: setup.source, next: 0, has_ended: false });
        let output = Arc::clone(&setup.schemas[stages.len()]);
        Ok(Self { crew, source: SharedSource { claims, stop: Arc::clone(&options.stop) }, output })
    }

    fn output(&self) -> &Arc<Schema> {
        &self.output
    }

    /// Works on all threads of the pool that this thread is in.
    fn drive<D: Drain>(
        &mut self,
        name: &str,
        observer: &mut (dyn Observer + Send),
        drain: &mut D,
    ) -> Result<()> {
        let workers = self.crew.drive(name, &self.source, observer, drain, |work| {
            rayon::broadcast(|context| work(context.index()));
        })?;
        self.crew.finish(workers, true, drain)
    }

    fn close(self, report: &mut Report) {
        let claims = self.source.claims.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.bytes += claims.source.bytes();
        self.crew.close(report);
    }
}

impl Feed for SharedSource {
    fn claim(&self, ids: &mut SensorIds, spent: &mut Spent) -> Option<Claim> {
        let start = Instant::now();
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.has_ended {
            return None;
        }
        let arrived = Instant::now();
        spent.claiming += arrived - start;
        let next = loop {
            match check_stop(&self.stop).and_then(|()| caught("source", || claims.source.next(ids))) {
                Ok(Some(Input::Nothing)) => {}
                next => break next,
            }
        };
        spent.decoding += arrived.elapsed();
        // A source is not called again after its end or an error.
        claims.has_ended = !matches!(next, Ok(Some(_)));
        let piece = next.transpose()?.map_or_else(Piece::Failed, Piece::Input);
        let ordinal = claims.next;
        claims.next += 1;
        Some(Claim { ordinal, piece, progress: claims.source.progress(), arrived, place: None })
    }
}
