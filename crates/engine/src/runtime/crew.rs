//! The workers of a run.
//!
//! ```text
//! claim a chunk → decode → Row stages → Series stages, shard by shard → prepare for the sinks → hand over → jobs
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

mod giving_up;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::admission::{self, Admission};
use super::chunks::{LineCount, enter_foreseen, foreseen, rows_of, set_ahead_aside, set_aside};
use super::drain::{Drain, PartJob};
use super::idle::Idle;
use super::inlet::Inlet;
use super::lane::{Lane, Moment, Stopped};
use super::limit::RejectLimit;
use super::odd_times::OddTimes;
use super::outlet::Outlets;
use super::report::Report;
use super::room::Place;
use super::setup::Setup;
use super::snapshot::{Resume, Snapshot};
use super::tally::Tally;
use super::turn::Turn;
use super::{Observer, RunOptions};
use crate::batch::Batch;
use crate::chain::{Route, SOURCE, account, pieces};
use crate::error::guard::{asked, caught};
use crate::error::{Error, Rejection, Result};
use crate::format::{Chunk, Decoded};
use crate::metrics::Entry;
use crate::pipeline::Pipeline;
use crate::sensor::{SensorIds, SharedSensors};
use crate::source::{Input, Progress};
use crate::stage::{Flow, Groups, Pieces, Process, Stage};
use crate::time::Timestamp;

/// Where workers get the pieces of the input from.
pub(crate) trait Feed: Sync {
    /// Waits for the next piece; `None` when no more will come. Time with the source is added to `decoding`, time waited for it
    /// to `claiming`.
    fn claim(&self, ids: &mut SensorIds, spent: &mut Spent) -> Option<Claim>;
}

/// What a worker has claimed. Ordinals count from that of the crew's [`Crew::first`] on, without gaps.
pub(crate) struct Claim {
    pub(crate) ordinal: u64,
    pub(crate) piece: Piece,
    pub(crate) progress: Progress,
    /// When it came in.
    pub(crate) arrived: Option<Instant>,
    /// What was dropped since the claim before, because nobody had room for it.
    pub(crate) dropped: Dropped,
    /// Times behind this are not believed.
    pub(crate) latest: Option<Timestamp>,
    /// What it takes of a bound in bytes, until it has been handed over.
    pub(crate) place: Option<Place>,
}

/// What nobody had room for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dropped {
    pub(crate) records: u64,
    /// They are not numbered anew: what comes behind them stands where it stands.
    pub(crate) lines: u64,
}

/// A piece of the input, or what goes between two of them.
pub(crate) enum Piece {
    Input(Input),
    /// The source has failed here.
    Failed(Error),
    /// A cut for a checkpoint: where the source goes on.
    Cut(Option<Vec<u8>>),
}

/// The time of one worker around the source.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    /// With the source, or decoding.
    pub(crate) decoding: Duration,
    /// Waiting for the source.
    pub(crate) claiming: Duration,
}

/// The stages of one reading, and what its workers share.
pub(crate) struct Crew {
    lanes: Vec<Lane>,
    /// Through the lanes to the drain.
    route: Route,
    sensors: Arc<SharedSensors>,
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
    /// The line after the last chunk.
    line: u64,
    admission: Admission,
}

/// How a run ends early.
#[derive(Default)]
struct Control {
    cancelled: Arc<AtomicBool>,
    /// The first thing that went wrong, by chunk.
    failure: Mutex<Option<(u64, Error)>>,
}

/// What is done with the chunks in their order.
struct Ordered<'a, D> {
    name: &'a str,
    drain: &'a mut D,
    observer: &'a mut (dyn Observer + Send),
    limit: RejectLimit,
    tally: Tally,
    next: u64,
}

/// A chunk that came all the way.
struct Finished<R> {
    /// Its bytes, where it had any.
    chunk: Option<Chunk>,
    about: About,
    records: u64,
    rejections: Vec<Rejection>,
    /// Those that were set aside for what is known besides the record: whose time is not believed, whose sensor is one too many.
    aside: Vec<Rejection>,
    odd_times: OddTimes,
    lines: LineCount,
    /// What the stages set aside, and what goes to the drain; or what went wrong after decoding.
    rest: Result<Passed<R>>,
}

/// What is known of a chunk before it is decoded.
#[derive(Clone, Copy)]
struct About {
    ordinal: u64,
    progress: Progress,
    arrived: Option<Instant>,
    dropped: Dropped,
    latest: Option<Timestamp>,
}

/// What became of a batch in the stages.
struct Passed<R> {
    entries: Vec<Entry>,
    rejections: Vec<Rejection>,
    ready: Option<R>,
    /// By stage: when it was done.
    done: Vec<Instant>,
}

/// What one worker keeps.
pub(crate) struct Worker<L> {
    ids: SensorIds,
    processes: Vec<Option<Box<dyn Process>>>,
    groups: Groups,
    spent: Spent,
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
            route: Route::new(&setup.plan.graph.stages[..stages.len()], asked.iter().copied()),
            sensors: Arc::clone(sensors),
            before_stages: setup.has_origins.then(|| {
                let limits = pipeline.input.sensor_limits(&*pipeline.source);
                Turn::new(BeforeStages { line: 1, admission: Admission::new(limits, idle) })
            }),
            control: Control::default(),
            limit: RejectLimit::new(pipeline),
            chunk_size: options.open.chunk_size,
            workers,
            next: 0,
            gives_up,
            more: AtomicU64::new(0),
            tally: Tally::new(pipeline.source.name(), stages),
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
        let failure = lock(&self.control.failure).take();
        let Ordered { limit, tally, next, .. } = ordered.into_inner();
        (self.tally, self.next) = (tally, next);
        self.limit = limit;
        if let Some((_, error)) = failure {
            return Err(error);
        }
        let workers =
            workers.into_iter().map(|worker| worker.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(workers.collect())
    }

    /// Writes the ledgers into `report`.
    pub(crate) fn close(mut self, report: &mut Report) {
        let admission = self.before_stages.as_mut().map(|turn| &turn.get_mut().admission);
        let taken = admission.and_then(|admission| admission.count());
        report.give_up(admission.and_then(|admission| admission.given_up()));
        report.sensors = taken.unwrap_or_else(|| self.sensors.read().len()) as u64;
        report.passes += 1;
        report.is_partial = self.tally.is_partial;
        report.records_before = self.tally.before;
        report.remark(self.tally.odd_times.remarks(self.tally.source.ledger.output));
        report.remark(self.remarks);
        report.source = self.tally.source;
        let told = self
            .lanes
            .iter()
            .zip(&self.tally.latencies)
            .map(|(lane, latencies)| latencies.told(lane.label()));
        let mut latencies: Vec<_> = told.filter(|latency| latency.records > 0).collect();
        latencies.append(&mut report.latencies);
        report.latencies = latencies;
        report.stages = self.tally.stages;
        report.handing_over = self.handing_over;
        report.threads = self.workers as u64;
    }

    fn worker<D: Drain>(&self, drain: &D) -> Result<Worker<D::Local>> {
        Ok(Worker {
            ids: SensorIds::new(Arc::clone(&self.sensors)),
            processes: self.lanes.iter().map(Lane::local).collect::<Result<_>>()?,
            groups: Groups::default(),
            spent: Spent::default(),
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
            && let Some(claim) = feed.claim(&mut worker.ids, &mut worker.spent)
        {
            let ordinal = claim.ordinal + self.more.load(Ordering::Relaxed);
            let jobs = match claim.piece {
                Piece::Failed(error) => {
                    self.hand_over(ordinal, Err(error), ordered, &mut worker.handing_over)
                }
                Piece::Cut(source) => {
                    self.cut(ordinal, source, ordered, &mut worker.handing_over);
                    Vec::new()
                }
                Piece::Input(input) => {
                    let about = About {
                        ordinal,
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
                    let finished = self.through::<D>(about, input, worker);
                    match finished {
                        Ok(finished) => {
                            self.hand_over(ordinal, Ok(finished), ordered, &mut worker.handing_over)
                        }
                        Err(Stopped::Failed(error)) => {
                            self.hand_over(ordinal, Err(error), ordered, &mut worker.handing_over)
                        }
                        Err(Stopped::Cancelled) => return,
                    }
                }
            };
            drop(claim.place);
            if let Err(error) = jobs.into_iter().try_for_each(|job| D::work(&mut worker.drain, job)) {
                self.control.fail(ordinal, error);
            }
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
        let (decoded, lines, chunk) = decode(input, about.dropped.lines, worker)?;
        worker.spent.decoding += start.elapsed();
        let Decoded { mut batch, rejections, .. } = decoded;
        let records = (batch.len() + rejections.len()) as u64 + foreseen.map_or(0, |(records, _)| records);
        let mut aside = Vec::new();
        if let Some(turn) = &self.before_stages {
            let mut before = turn
                .take(ordinal, &self.control.cancelled, &mut worker.spent.claiming)
                .ok_or(Stopped::Cancelled)?;
            let base = lines.pass(&mut before.line);
            batch.origins.iter_mut().for_each(|origins| origins.shift_lines(base));
            // A record that is not believed takes no sensor's place.
            aside.extend(about.latest.into_iter().flat_map(|latest| set_ahead_aside(&mut batch, latest)));
            aside.extend(before.admission.admit(&mut batch, &self.sensors));
        }
        let odd_times = OddTimes::of(&batch);
        let rest = match self.stages::<D>(SOURCE, batch, ordinal, worker) {
            Ok(mut rest) => {
                enter_foreseen(foreseen, &mut rest.entries);
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
        // The stage behind port `at` is stage `at`.
        for (at, lane) in self.lanes.iter().enumerate().skip(port) {
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
            ports.put(at + 1, output);
        }
        let ready = D::prepare(drain, &ports, &self.sensors.read())?;
        Ok(Passed { entries, rejections, ready, done })
    }

    fn moment(&self, ordinal: u64) -> Moment<'_> {
        Moment { ordinal, sensors: &self.sensors, cancelled: &self.control.cancelled }
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
        ordered.next = ordinal + 1;
        finished.and_then(|finished| ordered.accept(finished, &self.sensors)).unwrap_or_else(|error| {
            // Still in this chunk's turn, so that no later one is handed over.
            self.control.fail(ordinal, error);
            Vec::new()
        })
    }

    /// Counts records that were dropped behind the last piece.
    pub(crate) fn note_dropped(&mut self, dropped: u64) {
        self.tally.source.ledger.input += dropped;
        self.tally.source.ledger.dropped += dropped;
    }

    /// Takes a checkpoint along: in its turn at every stage, then at the sinks.
    fn cut<D: Drain>(
        &self,
        ordinal: u64,
        source: Option<Vec<u8>>,
        ordered: &Turn<Ordered<'_, D>>,
        waiting: &mut Duration,
    ) {
        let moment = self.moment(ordinal);
        let mut admission = None;
        if let Some(turn) = &self.before_stages {
            let Some(before) = turn.take(ordinal, &self.control.cancelled, waiting) else { return };
            admission = Some(before.admission.counted(&self.sensors));
        }
        let stages = self.lanes.iter().map(|lane| lane.cut(moment)).collect::<Result<Vec<_>, _>>();
        let result = match stages {
            Err(Stopped::Cancelled) => return,
            Err(Stopped::Failed(error)) => Err(error),
            Ok(stages) => Ok(stages),
        };
        let Some(mut ordered) = ordered.take(ordinal, &self.control.cancelled, waiting) else { return };
        ordered.next = ordinal + 1;
        if let Err(error) = result.and_then(|stages| ordered.cut(source, stages, admission, &self.sensors)) {
            self.control.fail(ordinal, error);
        }
    }

    /// A cut behind all that has come in, when no worker is there. Where the run `is_over`, no stage goes on from it.
    pub(crate) fn last_cut<T>(
        &mut self,
        source: Option<Vec<u8>>,
        is_over: bool,
        take: impl FnOnce(Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        let lanes = if is_over { &mut [] } else { &mut self.lanes[..] };
        let stages = lanes.iter_mut().map(Lane::cut_at_rest).collect::<Result<_>>()?;
        let admission =
            self.before_stages.as_mut().map(|turn| turn.get_mut().admission.counted(&self.sensors));
        let counts = counts(&self.tally, &self.limit, admission)?;
        take(Snapshot { source, stages, tally: &self.tally, counts, sensors: &self.sensors })
    }

    /// Goes on from the checkpoint that `outlets` have, if they have one.
    pub(crate) fn resume(&mut self, source: &mut Inlet, outlets: &mut Outlets) -> Result<()> {
        let Some(resume) = outlets.take_resume() else { return Ok(()) };
        if let Some(place) = &resume.source {
            source.restore(place)?;
        }
        let counts = self.restore(&resume)?;
        counts.map_or(Ok(()), |counts| outlets.restore(&counts, &resume.sinks_before))
    }

    /// Starts keeping checkpoints, where there is a folder for them. With a recording there is one before the first piece: from then on it
    /// is known whose recording that is.
    pub(crate) fn begin(
        &mut self,
        source: &Inlet,
        outlets: &mut Outlets,
        options: &RunOptions,
    ) -> Result<()> {
        if options.open.record.is_some() && outlets.has_state() {
            self.last_cut(source.save()?, false, |first| outlets.keep(first))?;
        }
        outlets.keep_checkpoints()
    }

    /// Goes on from a checkpoint; gives what is left of its counts, unless the pipeline has changed.
    fn restore(&mut self, resume: &Resume) -> Result<Option<Vec<u8>>> {
        for (lane, state) in self.lanes.iter_mut().zip(&resume.stages) {
            state.as_ref().map_or(Ok(()), |state| lane.restore(state.pieces(), &self.sensors))?;
        }
        let damaged = |error| Error::data(format!("the counts of the checkpoint cannot be read: {error}"));
        let (own, rest): (Vec<u8>, Vec<u8>) = postcard::from_bytes(&resume.counts).map_err(damaged)?;
        let (tally, limit, admission): (_, _, Option<admission::Counted>) =
            postcard::from_bytes(&own).map_err(damaged)?;
        let is_whole = resume.is_whole;
        self.tally.restore(tally, is_whole);
        if is_whole {
            self.limit.restore(limit);
        }
        if let Some(before) = &mut self.before_stages {
            let before = before.get_mut();
            before.line = self.tally.line;
            admission.map_or(Ok(()), |admission| before.admission.restore(admission, &self.sensors))?;
        } else if let Some(admission) = admission {
            admission.forget_free(&self.sensors);
        }
        Ok(is_whole.then_some(rest))
    }

    /// Ends the reading. With `is_over`, the input has ended, and every stage gives back what it holds, each through those after it;
    /// otherwise what is held stays held.
    pub(crate) fn finish<D: Drain>(
        &mut self,
        mut workers: Vec<Worker<D::Local>>,
        is_over: bool,
        drain: &mut D,
    ) -> Result<()> {
        for worker in &workers {
            self.tally.source.time += worker.spent.decoding;
            self.tally.source.waiting += worker.spent.claiming;
            self.handing_over += worker.handing_over;
        }
        let mut processes: Vec<Vec<Box<dyn Process>>> = (0..self.lanes.len())
            .map(|at| workers.iter_mut().filter_map(|worker| worker.processes[at].take()).collect())
            .collect();
        for at in 0..self.lanes.len() {
            let mut flow = Flow::default();
            let lane = &mut self.lanes[at];
            let last = match is_over {
                true => lane.finish(&mut processes[at], &self.sensors, &mut flow)?,
                false => None,
            };
            let entry = &mut self.tally.stages[at];
            account(entry, &flow, last.as_ref().map_or(0, Batch::len));
            entry.ledger.held = lane.held(&processes[at])?;
            self.remarks.extend(lane.remarks()?);
            self.limit.note(&flow.rejections)?;
            set_aside(flow.rejections, drain)?;
            // What was held goes on with one worker, which has the stages still to come.
            let worker = &mut workers[0];
            worker.processes = processes.iter_mut().map(Vec::pop).collect();
            let result = self.forward(at + 1, last.as_ref(), worker, drain);
            let kept = worker.processes.drain(..).zip(&mut processes);
            kept.for_each(|(process, processes)| processes.extend(process));
            result?;
        }
        if is_over {
            self.limit.finish()?;
        }
        workers.into_iter().try_for_each(|worker| drain.close(worker.drain))
    }

    /// Takes what a stage held, out of `port`, through the stages behind it, in pieces of about a chunk.
    fn forward<D: Drain>(
        &mut self,
        port: usize,
        held: Option<&Batch>,
        worker: &mut Worker<D::Local>,
        drain: &mut D,
    ) -> Result<()> {
        let chunk_size = self.chunk_size;
        for piece in held.into_iter().flat_map(|batch| pieces(batch, rows_of(chunk_size))) {
            let ordinal = self.next;
            self.next += 1;
            self.lanes[port..].iter_mut().for_each(|lane| lane.skip_to(ordinal));
            let passed = match self.stages::<D>(port, piece, ordinal, worker) {
                Ok(passed) => passed,
                Err(Stopped::Failed(error)) => return Err(error),
                Err(Stopped::Cancelled) => return Err(Error::internal("cancelled by nobody")),
            };
            self.tally.add(&passed.entries);
            self.limit.note(&passed.rejections)?;
            set_aside(passed.rejections, drain)?;
            if let Some(ready) = passed.ready {
                let jobs = drain.accept(ready, None, &self.sensors)?;
                jobs.into_iter().try_for_each(|job| D::work(&mut worker.drain, job))?;
            }
        }
        Ok(())
    }
}

/// Bytes to records; the chunk is given back.
fn decode<L>(
    input: Input,
    dropped_lines: u64,
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
            let lines = LineCount::of(&chunk, &decoded).behind(dropped_lines);
            Ok((decoded, lines, Some(chunk)))
        }
    }
}

/// Panics are caught where foreign code is called; what one leaves behind is never published.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has been counted, for a checkpoint.
fn counts(tally: &Tally, limit: &RejectLimit, admission: Option<admission::Counted>) -> Result<Vec<u8>> {
    postcard::to_stdvec(&(tally.counted(), limit.counted(), admission))
        .map_err(|error| Error::internal(format!("the counts cannot be saved: {error}")))
}

impl<D: Drain> Ordered<'_, D> {
    fn cut(
        &mut self,
        source: Option<Vec<u8>>,
        stages: Vec<Pieces>,
        admission: Option<admission::Counted>,
        sensors: &SharedSensors,
    ) -> Result<()> {
        let counts = counts(&self.tally, &self.limit, admission)?;
        self.drain.cut(Snapshot { source, stages, tally: &self.tally, counts, sensors })
    }

    fn accept(&mut self, finished: Finished<D::Ready>, sensors: &SharedSensors) -> Result<Vec<PartJob>> {
        let Finished { about, chunk, records, mut rejections, mut aside, odd_times, lines, rest } = finished;
        chunk.iter().try_for_each(|chunk| caught("source", || chunk.check_unchanged()))?;
        self.tally.odd_times.add(odd_times);
        let ledger = &mut self.tally.source.ledger;
        let base = lines.pass(&mut self.tally.line);
        for rejection in &mut rejections {
            rejection.position.line += base;
            rejection.record += ledger.input;
        }
        let rejected = (rejections.len() + aside.len()) as u64;
        ledger.input += records + about.dropped.records;
        ledger.dropped += about.dropped.records;
        ledger.rejected += rejected;
        ledger.output += records - rejected;
        self.limit.pass(records, &rejections)?;
        let passed = rest?;
        self.tally.add(&passed.entries);
        if let Some(arrived) = about.arrived {
            for ((latencies, done), entry) in
                self.tally.latencies.iter_mut().zip(&passed.done).zip(&passed.entries)
            {
                latencies.add(done.saturating_duration_since(arrived), entry.ledger.input);
            }
        }
        aside.extend(passed.rejections);
        self.limit.note(&aside)?;
        rejections.extend(aside);
        set_aside(rejections, self.drain)?;
        let jobs = passed
            .ready
            .map_or_else(|| Ok(Vec::new()), |ready| self.drain.accept(ready, about.arrived, sensors))?;
        self.drain.show()?;
        let Self { observer, name, tally, .. } = self;
        asked("the observer", || observer.progress(name, about.progress, tally.source.ledger.input))?;
        Ok(jobs)
    }
}

impl Control {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Ends the run with `error`, unless an earlier chunk has failed too.
    fn fail(&self, ordinal: u64, error: Error) {
        let mut failure = lock(&self.failure);
        if failure.as_ref().is_none_or(|(earlier, _)| ordinal < *earlier) {
            *failure = Some((ordinal, error));
        }
        self.cancelled.store(true, Ordering::Release);
    }
}
