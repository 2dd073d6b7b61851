//! The workers of a run.
//!
//! ```text
//! claim a chunk → decode → Row stages → Series stages, shard by shard → prepare for the sinks → hand over → jobs of sinks
//!  one at a time  └──────── each worker by itself ────────┘  each shard in chunk order   itself  in chunk order
//! ```
//!
//! Every worker takes a chunk all the way, then claims the next: one chunk a worker is in flight, so memory does not grow
//! with the input. Whatever depends on order is done in [`Turn`]s, which come in the order of the chunks; so the bits
//! that leave are those of the one-thread loop of the executor, whatever the number of workers. A worker waits only for
//! workers of earlier chunks.
//!
//! A barrier travels like a chunk: in its turn it finds every stage and every sink as all earlier chunks have left them and no
//! later one has touched them. What it sees on its way is a checkpoint; nobody else has to stop for it.
//!
//! | `claim` | what a worker takes on, and from whom |
//! |---|---|
//! | this file | the life of a worker: claim, decode, stages, hand over |
//! | `ordered` | what is done with the chunks in their order |
//! | `cuts` | checkpoints, and going on from one |
//! | `giving_up` | pieces behind whose records sensors are given up |
//! | `end`, `control` | the end of the input; the end for another reason |

mod claim;
mod control;
mod cuts;
mod end;
mod giving_up;
mod ordered;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::admission::Admission;
use super::chunks::{LineCount, enter_foreseen, foreseen, set_ahead_aside};
use super::drain::Drain;
use super::idle::Idle;
use super::lane::{Lane, Moment, Stopped};
use super::limit::RejectLimit;
use super::odd_times::OddTimes;
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
use ordered::{About, Finished, Ordered, Passed};

pub(crate) use claim::{Claim, Dropped, Feed, Piece, Spent};

/// The stages of one reading, and what its workers share.
pub(crate) struct Crew {
    lanes: Vec<Lane>,
    /// Through the lanes to the drain.
    route: Route,
    sensors: Arc<SharedSensors>,
    /// How many sources there are.
    sources: usize,
    /// What has to be known of earlier chunks before the stages see one.
    before_stages: Option<Turn<BeforeStages>>,
    control: Control,
    limit: RejectLimit,
    chunk_size: usize,
    workers: usize,
    /// The ordinal after the last one.
    next: u64,
    /// Whether sensors are given up: then there is one worker, and there are more ordinals than pieces are claimed.
    gives_up: bool,
    /// So many more.
    more: AtomicU64,
    /// What has been counted.
    tally: Tally,
    /// Time waited to hand chunks over in their order.
    handing_over: Duration,
    /// What stages have to say at the end.
    remarks: Vec<String>,
}

/// What is known of the chunks so far when the records of one go to the stages.
struct BeforeStages {
    /// By source: the line after its last chunk.
    lines: Vec<u64>,
    admission: Admission,
}

/// What one worker keeps.
pub(crate) struct Worker<L> {
    ids: SensorIds,
    processes: Vec<Option<Box<dyn Process>>>,
    groups: Groups,
    /// By source.
    spent: Vec<Spent>,
    /// Time waited to hand chunks over in their order.
    handing_over: Duration,
    drain: L,
}

impl Crew {
    /// `workers` workers for the stages in `setup`, `stages` of `pipeline`, and for what comes out of the ports `asked`.
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
            return Err(Error::internal("several workers where sensors are given up"));
        }
        let lanes = stages.iter().zip(&setup.labels).enumerate();
        let lanes = lanes.map(|(at, (stage, label))| {
            Lane::new(stage, label.clone(), setup.plan.into_stage(at), shards, options.state.is_some())
        });
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
        })
    }

    /// Set when the run has failed, so that nobody should take on more.
    pub(crate) fn cancelled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.control.cancelled)
    }

    /// Takes everything that `feed` gives through the stages to `drain`. `spawn` runs what it is given once for every
    /// worker, at the same time, and waits for all of them.
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
        let ordered = Turn::new(Ordered { name, drain, observer, limit, tally, next: self.next });
        let this = &*self;
        spawn(&|index| {
            let mut worker = lock(&workers[index]);
            // A worker that is gone must not be waited for, whatever it fell over.
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
        let workers =
            workers.into_iter().map(|worker| worker.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(workers.collect())
    }

    fn worker<D: Drain>(&self, drain: &D) -> Result<Worker<D::Local>> {
        Ok(Worker {
            ids: SensorIds::new(Arc::clone(&self.sensors)),
            processes: self.lanes.iter().map(Lane::local).collect::<Result<_>>()?,
            groups: Groups::default(),
            spent: vec![Spent::default(); self.sources],
            handing_over: Duration::ZERO,
            drain: drain.local()?,
        })
    }

    /// The life of a worker: it ends with the input, or when the run is cancelled.
    fn work<F: Feed, D: Drain>(
        &self,
        feed: &F,
        worker: &mut Worker<D::Local>,
        ordered: &Turn<Ordered<'_, D>>,
    ) {
        while !self.control.is_cancelled()
            && let Some(claim) = claim(feed, worker)
        {
            let ordinal = claim.ordinal + self.more.load(Ordering::Relaxed);
            match claim.piece {
                Piece::Failed(error) => {
                    self.hand_over(ordinal, Err(error), ordered, &mut worker.handing_over);
                }
                Piece::Cut(sources) => self.cut(ordinal, sources, ordered, &mut worker.handing_over),
                Piece::Input(input) => {
                    let about = About {
                        ordinal,
                        source: claim.source,
                        progress: claim.progress,
                        arrived: claim.arrived,
                        dropped: claim.dropped,
                        latest: claim.latest,
                    };
                    if self.gives_up {
                        match self.through_in_parts(about, input, worker, ordered) {
                            Ok(()) => continue,
                            // Nobody else waits for a turn.
                            Err(Stopped::Failed(error)) => self.control.fail(ordinal, error),
                            Err(Stopped::Cancelled) => {}
                        }
                        return;
                    }
                    let finished = match self.through::<D>(about, input, worker) {
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

    /// Lets everybody who waits look whether the run was cancelled.
    fn wake<D>(&self, ordered: &Turn<Ordered<'_, D>>) {
        self.lanes.iter().for_each(Lane::wake);
        self.before_stages.iter().for_each(Turn::wake);
        ordered.wake();
    }

    /// Takes a chunk through decoding and all stages, to where the drain can take it.
    fn through<D: Drain>(
        &self,
        about: About,
        input: Input,
        worker: &mut Worker<D::Local>,
    ) -> Result<Finished<D::Ready>, Stopped> {
        let ordinal = about.ordinal;
        let start = Instant::now();
        let foreseen = foreseen(&input);
        let (decoded, lines, chunk) = decode(input, &about, worker)?;
        worker.spent[about.source].decoding += start.elapsed();
        let Decoded { mut batch, rejections, .. } = decoded;
        let records = (batch.len() + rejections.len()) as u64 + foreseen.map_or(0, |(records, _)| records);
        let mut aside = Vec::new();
        if let Some(turn) = &self.before_stages {
            let mut before = turn
                .take(ordinal, &self.control.cancelled, &mut worker.spent[about.source].claiming)
                .ok_or(Stopped::Cancelled)?;
            let base = lines.pass(&mut before.lines[about.source]);
            batch.origins.iter_mut().for_each(|origins| origins.shift_lines(base));
            // A record that is not believed takes no sensor's place.
            aside.extend(about.latest.into_iter().flat_map(|latest| set_ahead_aside(&mut batch, latest)));
            aside.extend(before.admission.admit(&mut batch, &self.sensors));
        }
        let odd_times = OddTimes::of(&batch);
        let rest = match self.stages::<D>(about.source, batch, ordinal, worker) {
            Ok(mut rest) => {
                enter_foreseen(foreseen, &self.route, &mut rest.entries);
                Ok(rest)
            }
            Err(Stopped::Failed(error)) => Err(error),
            Err(Stopped::Cancelled) => return Err(Stopped::Cancelled),
        };
        Ok(Finished { about, chunk, records, rejections, aside, odd_times, lines, rest })
    }

    /// Takes a batch that has come out of `port` through the stages behind it.
    fn stages<D: Drain>(
        &self,
        port: usize,
        batch: Batch,
        ordinal: u64,
        worker: &mut Worker<D::Local>,
    ) -> Result<Passed<D::Ready>, Stopped> {
        let (mut rejections, mut entries) = (Vec::new(), vec![Entry::default(); self.lanes.len()]);
        let mut done = Vec::with_capacity(self.lanes.len());
        let Worker { processes, groups, drain, .. } = worker;
        let moment = self.moment(ordinal);
        let mut ports = self.route.begin(port, batch);
        for (at, lane) in self.lanes.iter().enumerate().skip(self.route.behind(port)) {
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

    /// Hands what became of a chunk over in its turn.
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
            // Still in this chunk's turn, so that no later one is handed over.
            self.control.fail(ordinal, error);
        }
    }

    /// Counts records of a source that were dropped behind its last piece.
    pub(crate) fn note_dropped(&mut self, source: usize, dropped: u64) {
        let ledger = &mut self.tally.sources[source].ledger;
        ledger.input += dropped;
        ledger.dropped += dropped;
    }
}

/// Claims the next piece, and notes the time that took.
fn claim<F: Feed, L>(feed: &F, worker: &mut Worker<L>) -> Option<Claim> {
    let mut spent = Spent::default();
    let claim = feed.claim(&mut worker.ids, &mut spent);
    worker.spent[claim.as_ref().map_or(0, |claim| claim.source)].add(spent);
    claim
}

/// Bytes to records; the chunk is given back.
fn decode<L>(
    input: Input,
    about: &About,
    worker: &mut Worker<L>,
) -> Result<(Decoded, LineCount, Option<Chunk>)> {
    match input {
        Input::Nothing => Err(Error::internal("nothing was to be decoded")),
        Input::Records(decoded) => Ok((decoded, LineCount::Final, None)),
        Input::Foreseen(foreseen) => {
            Ok((Decoded { batch: foreseen.none, rejections: Vec::new(), lines: 0 }, LineCount::Final, None))
        }
        Input::Chunk(chunk) => {
            let mut decoded = caught("source", || chunk.decode(&mut worker.ids))?;
            decoded.batch.sequence = chunk.sequence;
            let lines = LineCount::of(&chunk, &decoded).behind(about.dropped.lines);
            Ok((decoded, lines, Some(chunk)))
        }
    }
}
