//! One reading of the input by several workers.
//!
//! ```text
//! claim a chunk → decode → Row stages → Series stages, shard by shard → prepare for the sinks → hand over → jobs
//!  one at a time  └──────── each worker by itself ────────┘  each shard in chunk order   itself  in chunk order
//! ```
//!
//! Every worker takes a chunk all the way, then claims the next: one chunk a worker is in flight, so memory does not grow
//! with the input. Whatever depends on order is done in [`Turn`]s, which come in the order of the chunks; so the bits
//! that leave are those of the one-thread loop beside this file, whatever the number of workers.
//!
//! The workers run on a rayon pool, one for each of its threads, from the first claim to the end of the input. A worker waits
//! only for workers of earlier chunks; nothing of rayon's is called on the way, so none can be stuck under another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::chunks::{LineCount, account, check_stop, pieces, set_aside};
use super::drain::{Drain, PartJob};
use super::guard::caught;
use super::lane::{Lane, Moment, Stopped};
use super::limit::RejectLimit;
use super::report::Report;
use super::setup::Setup;
use super::turn::Turn;
use super::{Observer, Reading, RunOptions};
use crate::batch::{Batch, Schema};
use crate::chunk::{Chunk, Decoded};
use crate::error::{Error, Rejection, Result};
use crate::metrics::Entry;
use crate::pipeline::{MaxRejects, Pipeline};
use crate::sensor::{SensorIds, SharedSensors};
use crate::source::{Input, Progress, Source};
use crate::stage::{Flow, Groups, Process, Stage};

/// The source and the stages of one reading.
pub(super) struct Pass {
    source: Mutex<Claims>,
    source_name: String,
    lanes: Vec<Lane>,
    output: Arc<Schema>,
    sensors: Arc<SharedSensors>,
    /// The line after the last chunk, where stages have to know it.
    lines: Option<Turn<u64>>,
    stop: Arc<AtomicBool>,
    control: Control,
    max_rejects: MaxRejects,
    chunk_size: usize,
    workers: usize,
    /// What the workers entered, by stage, and the time that the source took.
    entries: Vec<Entry>,
    source_entry: Entry,
    /// Time waited to hand chunks over in their order.
    handing_over: Duration,
}

/// What is given to one worker after the other.
struct Claims {
    source: Box<dyn Source>,
    next: u64,
    has_ended: bool,
}

/// What a worker has claimed.
struct Claim {
    ordinal: u64,
    input: Result<Input>,
    progress: Progress,
}

/// How a run ends early.
#[derive(Default)]
struct Control {
    cancelled: AtomicBool,
    /// The first thing that went wrong, by chunk.
    failure: Mutex<Option<(u64, Error)>>,
}

/// What is done with the chunks in their order.
struct Ordered<'a, D> {
    name: &'a str,
    drain: &'a mut D,
    observer: &'a mut (dyn Observer + Send),
    limit: RejectLimit,
    /// The line after the last chunk.
    line: u64,
    entry: Entry,
}

/// A chunk that came all the way.
struct Finished<R> {
    /// Its bytes, where it had any.
    chunk: Option<Chunk>,
    progress: Progress,
    records: u64,
    rejections: Vec<Rejection>,
    lines: LineCount,
    /// What the stages set aside, and what goes to the drain; or what went wrong after decoding.
    rest: Result<(Vec<Rejection>, Option<R>)>,
}

/// What one worker keeps.
struct Worker<L> {
    ids: SensorIds,
    processes: Vec<Option<Box<dyn Process>>>,
    groups: Groups,
    entries: Vec<Entry>,
    /// Time with the source, and time waited for it.
    decoding: Duration,
    claiming: Duration,
    /// Time waited to hand chunks over in their order.
    handing_over: Duration,
    drain: L,
}

impl Reading for Pass {
    fn open(
        pipeline: &Pipeline,
        stages: &[Arc<dyn Stage>],
        options: &RunOptions,
        sensors: &Arc<SharedSensors>,
    ) -> Result<Self> {
        let setup = Setup::open(pipeline, stages, options)?;
        let workers = rayon::current_num_threads();
        let shards = if workers == 1 { 1 } else { 4 * workers.next_power_of_two() };
        let lanes = stages.iter().zip(setup.labels).enumerate();
        let lanes = lanes.map(|(at, (stage, label))| Lane::new(stage, label, &setup.schemas[at], shards));
        Ok(Self {
            source: Mutex::new(Claims { source: setup.source, next: 0, has_ended: false }),
            source_name: pipeline.source.name().to_owned(),
            lanes: lanes.collect::<Result<_>>()?,
            output: Arc::clone(&setup.schemas[stages.len()]),
            sensors: Arc::clone(sensors),
            lines: setup.has_origins.then(|| Turn::new(1)),
            stop: Arc::clone(&options.stop),
            control: Control::default(),
            max_rejects: pipeline.input.max_rejects,
            chunk_size: options.open.chunk_size,
            workers,
            entries: stages.iter().map(|stage| Entry::new(stage.name())).collect(),
            source_entry: Entry::default(),
            handing_over: Duration::ZERO,
        })
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
        let workers = (0..self.workers).map(|_| self.worker(drain)).collect::<Result<Vec<_>>>()?;
        let workers: Vec<_> = workers.into_iter().map(Mutex::new).collect();
        let limit = RejectLimit::new(self.max_rejects);
        let entry = Entry::new(&*self.source_name);
        let ordered = Turn::new(Ordered { name, drain, observer, limit, line: 1, entry });
        let this = &*self;
        rayon::broadcast(|context| {
            let mut worker = workers[context.index()].lock().unwrap_or_else(PoisonError::into_inner);
            // A worker that is gone must not be waited for, whatever it fell over.
            let end = caught("a worker", || {
                this.work(&mut worker, &ordered);
                Ok(())
            });
            if let Err(error) = end {
                this.control.fail(u64::MAX, error);
            }
            if this.control.is_cancelled() {
                this.wake(&ordered);
            }
        });
        let failure = self.control.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Ordered { drain, limit, entry, .. } = ordered.into_inner();
        self.source_entry = entry;
        let workers =
            workers.into_iter().map(|worker| worker.into_inner().unwrap_or_else(PoisonError::into_inner));
        let workers: Vec<_> = workers.collect();
        if let Some((_, error)) = failure {
            return Err(error);
        }
        limit.finish()?;
        self.finish(workers, drain)
    }

    fn close(self, report: &mut Report) {
        let claims = self.source.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.bytes += claims.source.bytes();
        report.passes += 1;
        report.source = self.source_entry;
        report.stages = self.entries;
        report.handing_over = self.handing_over;
        report.threads = self.workers as u64;
    }
}

impl Pass {
    fn worker<D: Drain>(&self, drain: &D) -> Result<Worker<D::Local>> {
        Ok(Worker {
            ids: SensorIds::new(Arc::clone(&self.sensors)),
            processes: self.lanes.iter().map(Lane::local).collect::<Result<_>>()?,
            groups: Groups::default(),
            entries: self.lanes.iter().map(|lane| Entry::new(&*lane.name)).collect(),
            decoding: Duration::ZERO,
            claiming: Duration::ZERO,
            handing_over: Duration::ZERO,
            drain: drain.local(),
        })
    }

    /// The life of a worker: it ends with the input, or when the run is cancelled.
    fn work<D: Drain>(&self, worker: &mut Worker<D::Local>, ordered: &Turn<Ordered<'_, D>>) {
        while let Some(claim) = self.claim(worker) {
            let ordinal = claim.ordinal;
            let jobs = match self.through::<D>(claim, worker) {
                Ok(finished) => self.hand_over(ordinal, Ok(finished), ordered, &mut worker.handing_over),
                Err(Stopped::Failed(error)) => {
                    self.hand_over(ordinal, Err(error), ordered, &mut worker.handing_over)
                }
                Err(Stopped::Cancelled) => return,
            };
            if let Err(error) = jobs.into_iter().try_for_each(|job| D::work(&mut worker.drain, job)) {
                self.control.fail(ordinal, error);
            }
        }
    }

    /// Lets everybody who waits look whether the run was cancelled.
    fn wake<D>(&self, ordered: &Turn<Ordered<'_, D>>) {
        self.lanes.iter().for_each(Lane::wake);
        self.lines.iter().for_each(Turn::wake);
        ordered.wake();
    }

    /// The next piece of the input; `None` at its end.
    fn claim<L>(&self, worker: &mut Worker<L>) -> Option<Claim> {
        let start = Instant::now();
        let mut claims = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.has_ended || self.control.is_cancelled() {
            return None;
        }
        worker.claiming += start.elapsed();
        let start = Instant::now();
        let next =
            check_stop(&self.stop).and_then(|()| caught("source", || claims.source.next(&mut worker.ids)));
        worker.decoding += start.elapsed();
        // A source is not called again after its end or an error.
        claims.has_ended = !matches!(next, Ok(Some(_)));
        let input = next.transpose()?;
        let ordinal = claims.next;
        claims.next += 1;
        Some(Claim { ordinal, input, progress: claims.source.progress() })
    }

    /// Takes a chunk through decoding and all stages, to where the drain can take it.
    fn through<D: Drain>(
        &self,
        claim: Claim,
        worker: &mut Worker<D::Local>,
    ) -> Result<Finished<D::Ready>, Stopped> {
        let start = Instant::now();
        let (decoded, lines, chunk) = decode(claim.input?, worker)?;
        worker.decoding += start.elapsed();
        let Decoded { mut batch, rejections, .. } = decoded;
        if let Some(turn) = &self.lines {
            let mut line = turn
                .take(claim.ordinal, &self.control.cancelled, &mut worker.claiming)
                .ok_or(Stopped::Cancelled)?;
            let base = lines.pass(&mut line);
            batch.origins.iter_mut().for_each(|origins| origins.shift_lines(base));
        }
        let records = (batch.len() + rejections.len()) as u64;
        let rest = match self.stages::<D>(0, batch, claim.ordinal, worker) {
            Ok(rest) => Ok(rest),
            Err(Stopped::Failed(error)) => Err(error),
            Err(Stopped::Cancelled) => return Err(Stopped::Cancelled),
        };
        Ok(Finished { chunk, progress: claim.progress, records, rejections, lines, rest })
    }

    /// Takes a batch through the stages from `from` on.
    fn stages<D: Drain>(
        &self,
        from: usize,
        mut batch: Batch,
        ordinal: u64,
        worker: &mut Worker<D::Local>,
    ) -> Result<(Vec<Rejection>, Option<D::Ready>), Stopped> {
        let mut rejections = Vec::new();
        let Worker { processes, groups, entries, drain, .. } = worker;
        let moment = Moment { ordinal, sensors: &self.sensors, cancelled: &self.control.cancelled };
        for (at, lane) in self.lanes.iter().enumerate().skip(from) {
            let start = Instant::now();
            let mut flow = Flow::default();
            let entry = &mut entries[at];
            entry.ledger.input += batch.len() as u64;
            let mut waiting = Duration::ZERO;
            batch = lane.process(batch, moment, &mut processes[at], groups, &mut flow, &mut waiting)?;
            account(entry, &flow, batch.len());
            entry.time += start.elapsed().saturating_sub(waiting);
            entry.waiting += waiting;
            rejections.append(&mut flow.rejections);
        }
        let ready =
            if batch.is_empty() { None } else { Some(D::prepare(drain, batch, &self.sensors.read())?) };
        Ok((rejections, ready))
    }

    /// Hands what became of a chunk over in its turn; gives what is left to do.
    fn hand_over<D: Drain>(
        &self,
        ordinal: u64,
        finished: Result<Finished<D::Ready>>,
        ordered: &Turn<Ordered<'_, D>>,
        waiting: &mut Duration,
    ) -> Vec<PartJob> {
        let Some(mut ordered) = ordered.take(ordinal, &self.control.cancelled, waiting) else {
            return Vec::new();
        };
        finished.and_then(|finished| ordered.accept(finished, &self.sensors)).unwrap_or_else(|error| {
            // Still in this chunk's turn, so that no later one is handed over.
            self.control.fail(ordinal, error);
            Vec::new()
        })
    }

    /// Lets every stage give back what it holds, each through those after it.
    fn finish<D: Drain>(&mut self, mut workers: Vec<Worker<D::Local>>, drain: &mut D) -> Result<()> {
        for worker in &mut workers {
            self.source_entry.time += worker.decoding;
            self.source_entry.waiting += worker.claiming;
            self.handing_over += worker.handing_over;
            let entries = self.entries.iter_mut().zip(std::mem::take(&mut worker.entries));
            entries.for_each(|(entry, more)| entry.add(&more));
        }
        let mut processes: Vec<Vec<Box<dyn Process>>> = (0..self.lanes.len())
            .map(|at| workers.iter_mut().filter_map(|worker| worker.processes[at].take()).collect())
            .collect();
        for at in 0..self.lanes.len() {
            let mut flow = Flow::default();
            let (last, held) = self.lanes[at].finish(&mut processes[at], &self.sensors, &mut flow)?;
            account(&mut self.entries[at], &flow, last.as_ref().map_or(0, Batch::len));
            self.entries[at].ledger.held = held;
            set_aside(flow.rejections, drain)?;
            // What was held goes on with one worker, which has the stages still to come.
            let worker = &mut workers[0];
            worker.processes = processes.iter_mut().map(Vec::pop).collect();
            worker.entries = std::mem::take(&mut self.entries);
            let result = self.forward(at + 1, last.as_ref(), worker, drain);
            self.entries = std::mem::take(&mut worker.entries);
            let kept = worker.processes.drain(..).zip(&mut processes);
            kept.for_each(|(process, processes)| processes.extend(process));
            result?;
        }
        workers.into_iter().try_for_each(|worker| drain.close(worker.drain))
    }

    /// Takes what a stage held through the stages from `from` on, in pieces of about a chunk.
    fn forward<D: Drain>(
        &mut self,
        from: usize,
        held: Option<&Batch>,
        worker: &mut Worker<D::Local>,
        drain: &mut D,
    ) -> Result<()> {
        let chunk_size = self.chunk_size;
        for piece in held.into_iter().flat_map(|batch| pieces(batch, chunk_size)) {
            let ordinal = self.next_ordinal();
            self.lanes[from..].iter_mut().for_each(|lane| lane.skip_to(ordinal));
            let (rejections, ready) = match self.stages::<D>(from, piece, ordinal, worker) {
                Ok(rest) => rest,
                Err(Stopped::Failed(error)) => return Err(error),
                Err(Stopped::Cancelled) => return Err(Error::internal("cancelled by nobody")),
            };
            set_aside(rejections, drain)?;
            if let Some(ready) = ready {
                let jobs = drain.accept(ready, &self.sensors)?;
                jobs.into_iter().try_for_each(|job| D::work(&mut worker.drain, job))?;
            }
        }
        Ok(())
    }

    fn next_ordinal(&mut self) -> u64 {
        let claims = self.source.get_mut().unwrap_or_else(PoisonError::into_inner);
        claims.next += 1;
        claims.next - 1
    }
}

/// Bytes to records; the chunk is given back.
fn decode<L>(input: Input, worker: &mut Worker<L>) -> Result<(Decoded, LineCount, Option<Chunk>)> {
    match input {
        Input::Records(decoded) => Ok((decoded, LineCount::Final, None)),
        Input::Chunk(chunk) => {
            let mut decoded = caught("source", || chunk.decode(&mut worker.ids))?;
            decoded.batch.sequence = chunk.sequence;
            let lines = LineCount::of(&chunk, &decoded);
            Ok((decoded, lines, Some(chunk)))
        }
    }
}

impl<D: Drain> Ordered<'_, D> {
    fn accept(&mut self, finished: Finished<D::Ready>, sensors: &SharedSensors) -> Result<Vec<PartJob>> {
        let Finished { chunk, progress, records, mut rejections, lines, rest } = finished;
        chunk.iter().try_for_each(Chunk::check_unchanged)?;
        let ledger = &mut self.entry.ledger;
        let base = lines.pass(&mut self.line);
        for rejection in &mut rejections {
            rejection.position.line += base;
            rejection.record += ledger.input;
        }
        ledger.input += records;
        ledger.rejected += rejections.len() as u64;
        ledger.output += records - rejections.len() as u64;
        self.limit.pass(records, &rejections)?;
        let (late, ready) = rest?;
        rejections.extend(late);
        set_aside(rejections, self.drain)?;
        let jobs = ready.map_or_else(|| Ok(Vec::new()), |ready| self.drain.accept(ready, sensors))?;
        self.observer.progress(self.name, progress, self.entry.ledger.input);
        Ok(jobs)
    }
}

impl Control {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Ends the run with `error`, unless an earlier chunk has failed too.
    fn fail(&self, ordinal: u64, error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.as_ref().is_none_or(|(earlier, _)| ordinal < *earlier) {
            *failure = Some((ordinal, error));
        }
        self.cancelled.store(true, Ordering::Release);
    }
}
