//! The workers of a run.
//!
//! ```text
//! claim a chunk → decode → Row stages → Series stages, shard by shard → prepare for the sinks → hand over → jobs of sinks
//!  one at a time  └──────── each worker by itself ────────┘  each shard in chunk order   itself  in chunk order
//! ```
//!
//! Every worker takes a chunk all the way, then claims the next: each worker has one chunk in flight, so memory does not grow with the
//! input. Everything that depends on order is done in a [`Turn`], in the order of the chunks; so the output is bit for bit that of the
//! executor's one-thread loop, whatever the number of workers. A worker only waits for workers of earlier chunks.
//!
//! A cut travels like a chunk: in its turn it finds every stage and every sink in the state after all earlier chunks and before all
//! later ones. The states that it collects are a checkpoint; no other worker has to stop for it.
//!
//! | `claim` | what a worker claims, and from where |
//! |---|---|
//! | this file | the main loop of a worker: claim, decode, stages, hand over |
//! | `ordered` | steps in the order of the chunks |
//! | `cuts` | checkpoints, and resuming from one |
//! | `giving_up` | pieces after whose records sensors are given up |
//! | `end`, `control` | the end of the input; an early end |

mod claim;
mod control;
mod cuts;
mod end;
mod giving_up;
mod ordered;
mod reload;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Span;

use super::admission::Admission;
use super::chunks::{LineCount, enter_foreseen, foreseen, reject_ahead};
use super::drain::Drain;
use super::idle::Idle;
use super::inlet::Share;
use super::lane::{Lane, Moment, Stopped};
use super::limit::RejectLimit;
use super::meters::{Board, CrewMeters};
use super::odd_times::OddTimes;
use super::reload::Reloads;
use super::setup::Setup;
use super::tally::Tally;
use super::turn::Turn;
use super::{Observer, RunOptions};
use crate::batch::Batch;
use crate::chain::{Route, account};
use crate::error::guard::caught;
use crate::error::{Error, Result};
use crate::format::{Chunk, Decoded};
use crate::metrics::Entry;
use crate::pipeline::Pipeline;
use crate::sensor::{SensorIds, SharedSensors};
use crate::source::Input;
use crate::stage::{Flow, Groups, Process, Stage};

use control::{Control, lock};
use ordered::{ChunkMetadata, Finished, OfSource, Ordered, Passed};

pub(crate) use claim::{Claim, Dropped, Feed, Piece, Spent};

/// The stages of one pass, and what its workers share.
pub(crate) struct Crew {
    lanes: Vec<Lane>,
    /// From the lanes to the drain.
    route: Route,
    sensors: Arc<SharedSensors>,
    /// The number of sources.
    sources: usize,
    /// State over earlier chunks that must be updated before the stages see a chunk.
    before_stages: Option<Turn<BeforeStages>>,
    control: Control,
    limit: RejectLimit,
    chunk_size: usize,
    workers: usize,
    /// The next ordinal.
    next: u64,
    /// Whether sensors are given up: then there is one worker, and there are more ordinals than claimed pieces.
    gives_up: bool,
    /// The number of additional ordinals.
    more: AtomicU64,
    /// The counts so far.
    tally: Tally,
    /// Time waited for the turn to hand chunks over.
    handing_over: Duration,
    /// Remarks of stages at the end.
    remarks: Vec<String>,
    reloads: Reloads,
    /// What other threads see of it, if they want to.
    meters: Option<Arc<CrewMeters>>,
    /// The same with the names of the parts, until the run begins.
    board: Option<Board>,
    /// Whether the next cut has only the changes of the stages' state.
    takes_changes: Arc<AtomicBool>,
}

/// State over the chunks so far, before the stages.
struct BeforeStages {
    /// By source: the line after its last chunk.
    lines: Vec<u64>,
    admission: Admission,
}

/// The state of one worker.
pub(crate) struct Worker<L> {
    ids: SensorIds,
    processes: Vec<Option<Box<dyn Process>>>,
    groups: Groups,
    /// By source.
    spent: Vec<Spent>,
    /// Time waited for the turn to hand chunks over.
    handing_over: Duration,
    /// How many reloads its processes know.
    reloads: usize,
    drain: L,
}

impl Crew {
    /// `workers` workers for the stages in `setup`, which are `stages` of `pipeline`, and for the output of the ports `asked`.
    pub(crate) fn new(
        pipeline: &Pipeline,
        stages: &[Arc<dyn Stage>],
        setup: &Setup,
        asked: &[usize],
        workers: usize,
        options: &RunOptions,
        sensors: &Arc<SharedSensors>,
    ) -> Result<Self> {
        let shards = if workers == 1 { 1 } else { 4 * workers.next_power_of_two() };
        let idle = Idle::of(pipeline)?;
        let gives_up = idle.is_some();
        if gives_up && workers != 1 {
            return Err(Error::internal("several workers in a run that gives up sensors"));
        }
        let lanes = stages.iter().zip(&setup.labels).enumerate();
        let lanes = lanes.map(|(at, (stage, label))| {
            Lane::new(stage, label.clone(), setup.plan.into_stage(at), shards, options.state.is_some())
        });
        let sources = || setup.sources.iter().map(|inlet| inlet.meter().clone());
        let meters = options.meters.as_ref();
        let meters = meters.map(|_| Arc::new(CrewMeters::new(sources(), stages.len())));
        Ok(Self {
            lanes: lanes.collect::<Result<_>>()?,
            route: setup.plan.graph.route(stages.len(), asked),
            sensors: Arc::clone(sensors),
            sources: pipeline.sources.len(),
            before_stages: setup.has_origins.then(|| {
                let lines = vec![1; pipeline.sources.len()];
                Turn::new(BeforeStages { lines, admission: Admission::new(pipeline.sensor_limits(), idle) })
            }),
            control: Control::default(),
            limit: RejectLimit::new(pipeline),
            chunk_size: options.open.chunk_size,
            workers,
            next: 0,
            gives_up,
            more: AtomicU64::new(0),
            tally: Tally::new(pipeline, stages),
            handing_over: Duration::ZERO,
            remarks: Vec::new(),
            reloads: options.reloads.clone(),
            board: meters.as_ref().map(|meters| Board::new(pipeline, stages, meters)),
            meters,
            takes_changes: Arc::default(),
        })
    }

    /// Set when the run has failed, so that nothing more is claimed.
    pub(crate) fn cancelled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.control.cancelled)
    }

    /// What other threads see of it.
    pub(crate) fn meters(&self) -> Option<&Arc<CrewMeters>> {
        self.meters.as_ref()
    }

    /// Takes everything from `feed` through the stages to `drain`. `spawn` runs its argument once for every worker, concurrently, and waits
    /// for all of them.
    pub(crate) fn drive<F: Feed, D: Drain>(
        &mut self,
        name: &str,
        feed: &F,
        observer: &mut (dyn Observer + Send),
        drain: &mut D,
        spawn: impl FnOnce(&(dyn Fn(usize) + Sync)),
    ) -> Result<Vec<Worker<D::Local>>> {
        let workers = (0..self.workers).map(|_| self.worker(drain)).collect::<Result<Vec<_>>>()?;
        let workers: Vec<_> = workers.into_iter().map(Mutex::new).collect();
        let (limit, tally) = (self.limit.clone(), std::mem::take(&mut self.tally));
        let meters = self.meters.clone();
        let ordered = Turn::new(Ordered { name, drain, observer, limit, tally, meters, next: self.next });
        let (this, span) = (&*self, Span::current());
        spawn(&|index| {
            let _in_it = span.enter();
            let mut worker = lock(&workers[index]);
            // The other workers must not wait for one that panicked.
            let end = caught("a worker", || {
                this.work(feed, &mut worker, &ordered);
                Ok(())
            });
            if let Err(error) = end {
                this.control.fail(u64::MAX, error);
            }
            if this.control.is_cancelled() {
                this.wake(&ordered);
            }
        });
        let failure = lock(&self.control.failure).take().map(|(_, error)| error);
        let Ordered { limit, tally, next, drain, .. } = ordered.into_inner();
        (self.tally, self.next) = (tally, next);
        self.limit = limit;
        if let Some(error) = drain.ended(failure) {
            return Err(error);
        }
        let workers = workers.into_iter().map(|worker| {
            let mut worker = worker.into_inner().unwrap_or_else(PoisonError::into_inner);
            // What stages hold comes behind all that was claimed.
            self.replace_own(u64::MAX, &mut worker).map(|()| worker)
        });
        workers.collect()
    }

    fn worker<D: Drain>(&self, drain: &D) -> Result<Worker<D::Local>> {
        Ok(Worker {
            ids: SensorIds::new(Arc::clone(&self.sensors)),
            processes: self.lanes.iter().map(Lane::local).collect::<Result<_>>()?,
            groups: Groups::default(),
            spent: vec![Spent::default(); self.sources],
            handing_over: Duration::ZERO,
            reloads: 0,
            drain: drain.local()?,
        })
    }

    /// The main loop of a worker: ends with the input, or when the run is cancelled.
    fn work<F: Feed, D: Drain>(
        &self,
        feed: &F,
        worker: &mut Worker<D::Local>,
        ordered: &Turn<Ordered<'_, D>>,
    ) {
        while !self.control.is_cancelled()
            && let Some(claim) = claim(feed, worker)
        {
            let _busy = self.meters.as_ref().map(|meters| meters.works());
            let ordinal = claim.ordinal + self.more.load(Ordering::Relaxed);
            if let Err(error) = self.replace_own(claim.ordinal, worker) {
                self.control.fail(ordinal, error);
                return;
            }
            match claim.piece {
                Piece::Failed(error) => {
                    self.hand_over(ordinal, Err(error), ordered, &mut worker.handing_over);
                }
                Piece::Cut(sources) => self.cut(ordinal, sources, ordered, &mut worker.handing_over),
                Piece::Reload(reload) => self.reload(ordinal, &reload, ordered, &mut worker.handing_over),
                Piece::Input(shares) => {
                    let about = ChunkMetadata {
                        ordinal,
                        source: claim.source,
                        progress: claim.progress,
                        arrived: claim.arrived,
                        dropped: claim.dropped,
                    };
                    if self.gives_up {
                        let share = shares.into_iter().next().ok_or_else(|| nothing_to_decode().into());
                        match share.and_then(|share| self.process_in_parts(about, share, worker, ordered)) {
                            Ok(()) => continue,
                            // No other worker waits for a turn.
                            Err(Stopped::Failed(error)) => self.control.fail(ordinal, error),
                            Err(Stopped::Cancelled) => {}
                        }
                        return;
                    }
                    let finished = match self.process_chunk::<D>(about, shares, worker) {
                        Ok(finished) => Ok(finished),
                        Err(Stopped::Failed(error)) => Err(error),
                        Err(Stopped::Cancelled) => return,
                    };
                    self.hand_over(ordinal, finished, ordered, &mut worker.handing_over);
                }
            }
            drop(claim.place);
            D::work(&mut worker.drain);
        }
    }

    /// Wakes all waiting workers to check whether the run was cancelled.
    fn wake<D>(&self, ordered: &Turn<Ordered<'_, D>>) {
        self.lanes.iter().for_each(Lane::wake);
        self.before_stages.iter().for_each(Turn::wake);
        ordered.wake();
    }

    /// Takes a chunk through decoding and all stages, up to the drain.
    fn process_chunk<D: Drain>(
        &self,
        about: ChunkMetadata,
        shares: Vec<Share>,
        worker: &mut Worker<D::Local>,
    ) -> Result<Finished<D::Ready>, Stopped> {
        let ordinal = about.ordinal;
        let start = Instant::now();
        let foreseen: Vec<_> = shares.iter().map(|share| foreseen(&share.input)).collect();
        let latest: Vec<_> = shares.iter().map(|share| share.latest).collect();
        let (mut batches, mut sources) = (Vec::new(), Vec::new());
        for (share, foreseen) in shares.into_iter().zip(&foreseen) {
            let source = share.source;
            let (Decoded { batch, rejections, .. }, lines, chunk) = decode(share.input, &about, worker)?;
            let unread = foreseen.map_or(0, |(records, _)| records);
            self.meters.iter().for_each(|meters| meters.read(source, &batch));
            let records = (batch.len() + rejections.len()) as u64 + unread;
            batches.push(batch);
            sources.push(OfSource { source, chunk, records, rejections, aside: Vec::new(), lines });
        }
        worker.spent[about.source].decoding += start.elapsed();
        if let Some(turn) = &self.before_stages {
            let mut before = turn
                .take(ordinal, &self.control.cancelled, &mut worker.spent[about.source].claiming)
                .ok_or(Stopped::Cancelled)?;
            for ((batch, share), latest) in batches.iter_mut().zip(&mut sources).zip(latest) {
                let base = share.lines.pass(&mut before.lines[share.source]);
                batch.origins.iter_mut().for_each(|origins| origins.shift_lines(base));
                // A record that is not believed takes no sensor's place.
                share.aside.extend(latest.into_iter().flat_map(|latest| reject_ahead(batch, latest)));
            }
            let refused = before.admission.admit(&mut batches, &self.sensors);
            sources.iter_mut().zip(refused).for_each(|(share, refused)| share.aside.extend(refused));
        }
        let mut odd_times = OddTimes::default();
        batches.iter().for_each(|batch| odd_times.add(OddTimes::of(batch)));
        let batches = sources.iter().map(|share| share.source).zip(batches).collect();
        let rest = match self.stages::<D>(batches, ordinal, worker) {
            Ok(mut rest) => {
                foreseen.into_iter().for_each(|it| enter_foreseen(it, &self.route, &mut rest.entries));
                Ok(rest)
            }
            Err(Stopped::Failed(error)) => Err(error),
            Err(Stopped::Cancelled) => return Err(Stopped::Cancelled),
        };
        Ok(Finished { about, sources, odd_times, rest })
    }

    /// Takes batches, each of which has come out of a port, through the stages behind those.
    fn stages<D: Drain>(
        &self,
        batches: Vec<(usize, Batch)>,
        ordinal: u64,
        worker: &mut Worker<D::Local>,
    ) -> Result<Passed<D::Ready>, Stopped> {
        let (mut rejections, mut entries) = (Vec::new(), vec![Entry::default(); self.lanes.len()]);
        let mut done = Vec::with_capacity(self.lanes.len());
        let Worker { processes, groups, drain, .. } = worker;
        let moment = self.moment(ordinal);
        let first = batches.iter().map(|(port, _)| self.route.behind(*port)).min().unwrap_or(0);
        let mut ports = self.route.begin(batches);
        for (at, lane) in self.lanes.iter().enumerate().skip(first) {
            let start = Instant::now();
            let Some(batch) = ports.take(self.route.into_stage(at)) else {
                lane.pass(moment)?;
                done.push(start);
                continue;
            };
            let mut flow = Flow::default();
            let entry = &mut entries[at];
            entry.ledger.input += batch.len() as u64;
            let output =
                lane.process(batch, moment, &mut processes[at], groups, &mut flow, &mut entry.waiting)?;
            account(entry, &flow, output.len());
            let end = Instant::now();
            entry.time = (end - start).saturating_sub(entry.waiting);
            done.push(end);
            rejections.append(&mut flow.rejections);
            ports.put(self.route.out_of_stage(at), output);
        }
        let ready = D::prepare(drain, &ports, &self.sensors.read())?;
        Ok(Passed { entries, rejections, ready, done })
    }

    fn moment(&self, ordinal: u64) -> Moment<'_> {
        Moment { ordinal, sensors: &self.sensors, cancelled: &self.control.cancelled }
    }

    /// Hands the result of a chunk over in its turn.
    fn hand_over<D: Drain>(
        &self,
        ordinal: u64,
        finished: Result<Finished<D::Ready>>,
        ordered: &Turn<Ordered<'_, D>>,
        waiting: &mut Duration,
    ) {
        let Some(mut ordered) = ordered.take(ordinal, &self.control.cancelled, waiting) else { return };
        ordered.next = ordinal + 1;
        if let Err(error) = finished.and_then(|finished| ordered.accept(finished, &self.sensors)) {
            // Still in the turn of this chunk, so that no later one is handed over.
            self.control.fail(ordinal, error);
        }
    }

    /// Counts records of a source that were dropped after its last piece.
    pub(crate) fn note_dropped(&mut self, source: usize, dropped: u64) {
        let ledger = &mut self.tally.sources[source].ledger;
        ledger.input += dropped;
        ledger.dropped += dropped;
    }
}

/// Claims the next piece, and measures the time.
fn claim<F: Feed, L>(feed: &F, worker: &mut Worker<L>) -> Option<Claim> {
    let mut spent = Spent::default();
    let claim = feed.claim(&mut worker.ids, &mut spent);
    worker.spent[claim.as_ref().map_or(0, |claim| claim.source)].add(spent);
    claim
}

fn nothing_to_decode() -> Error {
    Error::internal("nothing was to be decoded")
}

/// Bytes to records; the chunk is given back.
fn decode<L>(
    input: Input,
    about: &ChunkMetadata,
    worker: &mut Worker<L>,
) -> Result<(Decoded, LineCount, Option<Chunk>)> {
    match input {
        Input::Nothing => Err(nothing_to_decode()),
        Input::Records(decoded) => Ok((decoded, LineCount::Final, None)),
        Input::Deferred(deferred) => Ok((deferred.decode(&mut worker.ids)?, LineCount::Final, None)),
        Input::Foreseen(foreseen) => {
            Ok((Decoded { batch: foreseen.none, rejections: Vec::new(), lines: 0 }, LineCount::Final, None))
        }
        Input::Chunk(chunk) => {
            let mut decoded = caught("source", || chunk.decode(&mut worker.ids))?;
            (decoded.batch.sequence, decoded.batch.received) = (chunk.sequence, chunk.received);
            let lines = LineCount::of(&chunk, &decoded).after_dropped(about.dropped.lines);
            Ok((decoded, lines, Some(chunk)))
        }
    }
}
