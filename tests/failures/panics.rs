//! Parts that panic, at each call that a run makes of them: the run ends with an error that names the part, on any number of threads
//! and in every runtime, and nothing gets its name. Every part here does what a real one does until its trap is reached.

use std::any::Any;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::time::Duration;

use tidemill::batch::{Batch, Schema};
use tidemill::error::{ErrorKind, Result};
use tidemill::offset::Offset;
use tidemill::pipeline::{InputOptions, MaxRejects};
use tidemill::runtime::{Observer, StateOptions};
use tidemill::sensor::{SensorId, SensorLookup, Sensors};
use tidemill::sink::{
    Block, CsvFile, DeadLetter, Job, Prepare, Repeat, Sink, SinkCheckpoint, SinkContext, SinkSpec,
};
use tidemill::source::{Csv, Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use tidemill::{Error, Pipeline, Report};
use tidemill_core::stage::{
    Aggregate, Cut, CutKind, EachSeries, Fit, Fitted, Flow, Groups, Made, Method, MovingAverage, Normalize,
    Pieces, Process, Reach, Shards, Share, Stage,
};
use tidemill_engine::executor::{self, RunOptions};
use tidemill_engine::streaming;

use super::command::folder;

/// Whoever takes longer than this waits for something that will not come.
const LIMIT: Duration = Duration::from_secs(60);

/// Panics when the call that it waits for is made.
struct Trap {
    at: &'static str,
    is_set: AtomicBool,
    is_sprung: AtomicBool,
}

impl Trap {
    fn pass(&self, call: &str) {
        if self.at == call && self.is_set.load(Ordering::Acquire) {
            self.is_sprung.store(true, Ordering::Release);
            panic!("planted in {call}");
        }
    }
}

/// A part, and the trap on its way.
struct Trapped<T: ?Sized> {
    trap: Arc<Trap>,
    inner: Box<T>,
}

fn trapped<T: ?Sized>(trap: &Arc<Trap>, inner: Box<T>) -> Trapped<T> {
    Trapped { trap: Arc::clone(trap), inner }
}

impl SourceSpec for Trapped<dyn SourceSpec> {
    fn name(&self) -> &str {
        self.trap.pass("source.name");
        self.inner.name()
    }
    fn parameters(&self) -> serde_json::Value {
        self.inner.parameters()
    }
    fn traits(&self) -> Traits {
        self.trap.pass("source.traits");
        self.inner.traits()
    }
    fn can_resume(&self) -> bool {
        true
    }
    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        self.trap.pass("source.open");
        Ok(Box::new(trapped(&self.trap, self.inner.open(options)?)))
    }
}

impl Source for Trapped<dyn Source> {
    fn schema(&self) -> &Arc<Schema> {
        self.trap.pass("source.schema");
        self.inner.schema()
    }
    fn begin(&mut self) -> Result<()> {
        self.trap.pass("source.begin");
        self.inner.begin()
    }
    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.trap.pass("source.next");
        self.inner.next(sensors)
    }
    fn drain(&mut self, goes_on: bool, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.trap.pass("source.drain");
        self.inner.drain(goes_on, sensors)
    }
    fn offset(&self) -> Offset {
        self.inner.offset()
    }
    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.inner.seek(offset)
    }
    fn save(&self) -> Result<Option<Vec<u8>>> {
        self.trap.pass("source.save");
        self.inner.save()
    }
    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.trap.pass("source.restore");
        self.inner.restore(state)
    }
    fn received(&self) -> Option<tidemill::time::Timestamp> {
        self.trap.pass("source.received");
        self.inner.received()
    }
    fn remarks(&self) -> Vec<String> {
        self.trap.pass("source.remarks");
        self.inner.remarks()
    }
    fn progress(&self) -> Progress {
        self.trap.pass("source.progress");
        self.inner.progress()
    }
    fn bytes(&self) -> u64 {
        self.trap.pass("source.bytes");
        self.inner.bytes()
    }
}

/// A stage whose calls begin with `at`.
struct TrappedStage {
    at: &'static str,
    part: Trapped<dyn Stage>,
}

impl TrappedStage {
    fn pass(&self, call: &str) {
        self.part.trap.pass(&format!("{}.{call}", self.at));
    }
    fn within<T: ?Sized>(&self, inner: Box<T>) -> Within<T> {
        Within { at: self.at, part: trapped(&self.part.trap, inner) }
    }
}

impl Stage for TrappedStage {
    fn name(&self) -> &str {
        self.part.inner.name()
    }
    fn parameters(&self) -> serde_json::Value {
        self.part.inner.parameters()
    }
    fn reach(&self) -> Reach {
        self.pass("reach");
        self.part.inner.reach()
    }
    fn keeps_state(&self) -> bool {
        self.pass("keeps_state");
        self.part.inner.keeps_state()
    }
    fn output(&self, input: &Schema) -> Result<Schema> {
        self.pass("output");
        self.part.inner.output(input)
    }
    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        self.pass("start");
        Ok(Box::new(self.within(self.part.inner.start(input)?)))
    }
    fn shards(&self, input: &Arc<Schema>, count: usize) -> Result<Option<Box<dyn Shards>>> {
        self.pass("shards");
        let shards = self.part.inner.shards(input, count)?;
        Ok(shards.map(|shards| Box::new(self.within(shards)) as Box<dyn Shards>))
    }
    fn fit(&self, input: &Arc<Schema>) -> Result<Option<Box<dyn Fit>>> {
        self.pass("fit");
        let fit = self.part.inner.fit(input)?;
        Ok(fit.map(|fit| Box::new(self.within(fit)) as Box<dyn Fit>))
    }
    fn fitted(&self) -> Option<String> {
        self.pass("fitted");
        self.part.inner.fitted()
    }
    fn gives_up(&self) -> bool {
        self.part.inner.gives_up()
    }
}

/// Something that a stage gave.
struct Within<T: ?Sized> {
    at: &'static str,
    part: Trapped<T>,
}

impl<T: ?Sized> Within<T> {
    fn pass(&self, call: &str) {
        self.part.trap.pass(&format!("{}.{call}", self.at));
    }
}

/// What is inside of another one of its kind.
fn inside<T: ?Sized + 'static>(other: Box<dyn Any>) -> Result<Box<T>>
where
    Within<T>: Any,
{
    let within = other.downcast::<Within<T>>().map_err(|_| Error::internal("another part"))?;
    Ok(within.part.inner)
}

impl Process for Within<dyn Process> {
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        self.pass("process");
        self.part.inner.process(batch, sensors, flow)
    }
    fn finish(&mut self, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.pass("finish");
        self.part.inner.finish(sensors, flow)
    }
    fn give_up(&mut self, gone: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.pass("give_up");
        self.part.inner.give_up(gone, sensors, flow)
    }
    fn merge(&mut self, other: Box<dyn Process>) -> Result<()> {
        self.pass("merge");
        self.part.inner.merge(inside(other)?)
    }
    fn held(&self) -> u64 {
        self.pass("held");
        self.part.inner.held()
    }
    fn save(&self) -> Result<Vec<u8>> {
        self.pass("save");
        self.part.inner.save()
    }
    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        self.pass("restore");
        self.part.inner.restore(state, sensors)
    }
}

impl Shards for Within<dyn Shards> {
    fn count(&self) -> usize {
        self.pass("count");
        self.part.inner.count()
    }
    fn step(&self, shard: usize, batch: &Batch, share: Share<'_>, sensors: &Sensors) -> Result<Made> {
        self.pass("step");
        self.part.inner.step(shard, batch, share, sensors)
    }
    fn assemble(
        &self,
        batch: Batch,
        groups: &Groups,
        made: Vec<Made>,
        sensors: &Sensors,
        flow: &mut Flow,
    ) -> Result<Batch> {
        self.pass("assemble");
        self.part.inner.assemble(batch, groups, made, sensors, flow)
    }
    fn finish(&self, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.pass("finish");
        self.part.inner.finish(sensors, flow)
    }
    fn give_up(&self, gone: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.pass("give_up");
        self.part.inner.give_up(gone, sensors, flow)
    }
    fn cut(&self, kind: CutKind) -> Result<Cut> {
        self.pass("save");
        self.part.inner.cut(kind)
    }
    fn restore(&mut self, cuts: Vec<Pieces>, sensors: &Sensors) -> Result<()> {
        self.pass("restore");
        self.part.inner.restore(cuts, sensors)
    }
}

impl Fit for Within<dyn Fit> {
    fn fork(&self) -> Box<dyn Fit> {
        self.pass("fork");
        let inner = self.part.inner.fork();
        Box::new(Self { at: self.at, part: trapped(&self.part.trap, inner) })
    }
    fn merge(&mut self, fork: Box<dyn Fit>) -> Result<()> {
        self.pass("merge");
        self.part.inner.merge(inside(fork)?)
    }
    fn observe(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.pass("observe");
        self.part.inner.observe(batch, sensors)
    }
    fn finish(&mut self, sensors: &Sensors) -> Result<Option<Fitted>> {
        self.pass("finish");
        let fitted = self.part.inner.finish(sensors)?;
        let stage = |stage| Box::new(TrappedStage { at: self.at, part: trapped(&self.part.trap, stage) });
        Ok(fitted.map(|Fitted { stage: fixed, remarks }| Fitted { stage: stage(fixed), remarks }))
    }
}

impl SinkSpec for Trapped<dyn SinkSpec> {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn parameters(&self) -> serde_json::Value {
        self.inner.parameters()
    }
    fn takes(&self) -> tidemill::sink::Takes {
        self.trap.pass("sink.takes");
        self.inner.takes()
    }
    fn repeat(&self) -> Repeat {
        self.inner.repeat()
    }
    fn check(&self, schema: &Schema) -> Result<()> {
        self.trap.pass("sink.check");
        self.inner.check(schema)
    }
    fn can_resume(&self) -> bool {
        self.trap.pass("sink.can_resume");
        self.inner.can_resume()
    }
    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        self.trap.pass("sink.open");
        Ok(Box::new(trapped(&self.trap, self.inner.open(schema, context)?)))
    }
}

impl Sink for Trapped<dyn Sink> {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.trap.pass("sink.write");
        self.inner.write(batch, sensors)
    }
    fn give_up(&mut self, gone: &[SensorId]) -> Result<()> {
        self.trap.pass("sink.give_up");
        self.inner.give_up(gone)
    }
    fn reject(&mut self, rejection: &tidemill::error::Rejection) -> Result<()> {
        self.trap.pass("sink.reject");
        self.inner.reject(rejection)
    }
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        self.trap.pass("sink.preparer");
        let preparer = self.inner.preparer()?;
        Some(Arc::new(TrappedPreparer(Arc::clone(&self.trap), preparer)))
    }
    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        self.trap.pass("sink.accept");
        let trap = Arc::clone(&self.trap);
        let job = self.inner.accept(block)?;
        Ok(job.map(|job| {
            Box::new(move || {
                trap.pass("sink.job");
                job()
            }) as Job
        }))
    }
    fn push(&mut self) -> Result<()> {
        self.trap.pass("sink.push");
        self.inner.push()
    }
    fn flush(&mut self) -> Result<()> {
        self.trap.pass("sink.flush");
        self.inner.flush()
    }
    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        self.trap.pass("sink.save");
        let trap = Arc::clone(&self.trap);
        let saved = self.inner.save(epoch)?;
        Ok(saved.map(|SinkCheckpoint { state, outputs, settle, deliver }| {
            let settle = Box::new(move || {
                trap.pass("sink.settle");
                settle()
            });
            SinkCheckpoint { state, outputs, settle, deliver }
        }))
    }
    fn commit(&mut self) -> Result<Vec<String>> {
        self.trap.pass("sink.commit");
        self.inner.commit()
    }
}

struct TrappedPreparer(Arc<Trap>, Arc<dyn Prepare>);

impl Prepare for TrappedPreparer {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        self.0.pass("sink.prepare");
        self.1.prepare(batch, sensors)
    }
}

/// Asks for a stop at some number of records, and has a trap too.
struct Watching {
    trap: Arc<Trap>,
    stop: Arc<AtomicBool>,
    at: u64,
}

impl Observer for Watching {
    fn progress(&mut self, pass: &str, _progress: Progress, records: u64) {
        self.trap.pass("observer.progress");
        if pass == "run" && records >= self.at {
            self.stop.store(true, Ordering::Release);
        }
    }
}

const SOURCE: [&str; 12] = [
    "name", "traits", "open", "schema", "begin", "next", "drain", "save", "restore", "received", "progress",
    "bytes",
];
const ROW: [&str; 7] = ["reach", "keeps_state", "output", "start", "process", "merge", "give_up"];
const WHOLE: [&str; 7] = ["start", "process", "finish", "held", "save", "restore", "give_up"];
const SERIES: [&str; 8] = ["shards", "count", "step", "assemble", "finish", "save", "restore", "give_up"];
const GLOBAL: [&str; 7] = ["fit", "fork", "observe", "merge", "finish", "fitted", "process"];
const SINK: [&str; 15] = [
    "takes",
    "check",
    "can_resume",
    "open",
    "preparer",
    "prepare",
    "accept",
    "job",
    "push",
    "flush",
    "save",
    "settle",
    "commit",
    "reject",
    "give_up",
];

fn calls() -> Vec<&'static str> {
    let of = |part: &str, calls: &[&str]| -> Vec<&'static str> {
        calls.iter().map(|call| &*format!("{part}.{call}").leak()).collect()
    };
    let parts: [(&str, &[&str]); 6] = [
        ("source", &SOURCE),
        ("row", &ROW),
        ("whole", &WHOLE),
        ("series", &SERIES),
        ("global", &GLOBAL),
        ("sink", &SINK),
    ];
    let calls = parts.iter().flat_map(|(part, calls)| of(part, calls));
    calls.chain(["source.remarks", "sink.write", "observer.progress"]).collect()
}

/// A way of running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Bounded(usize),
    Live(usize),
    /// Stopped once without the trap, then with it.
    Resumed(usize),
    /// The same, gone on with in the other runtime, which is asked to stop before it has read more.
    LiveResumed(usize),
    /// Sensors come and go, bounded or live.
    Idle {
        is_live: bool,
    },
}

const WAYS: [Way; 10] = [
    Way::Plain,
    Way::Bounded(1),
    Way::Bounded(3),
    Way::Live(1),
    Way::Live(3),
    Way::Resumed(1),
    Way::Resumed(2),
    Way::LiveResumed(2),
    Way::Idle { is_live: false },
    Way::Idle { is_live: true },
];

impl Way {
    fn is_live(self) -> bool {
        matches!(self, Self::Live(_) | Self::LiveResumed(_) | Self::Idle { is_live: true })
    }
    fn is_idle(self) -> bool {
        matches!(self, Self::Idle { .. })
    }
    fn has_state(self) -> bool {
        matches!(self, Self::Resumed(_) | Self::LiveResumed(_))
    }
}

fn pipeline(folder: &Path, trap: &Arc<Trap>, way: Way) -> Result<Pipeline> {
    let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let stage = |at, stage: Box<dyn Stage>| TrappedStage { at, part: trapped(trap, stage) };
    let source = Csv::new(path("in.csv")).sensor("s").time("t").measurements(["v"]);
    let source: Box<dyn SourceSpec> = Box::new(source);
    let out: Box<dyn SinkSpec> = Box::new(CsvFile::new(path("out.csv")));
    let dead: Box<dyn SinkSpec> = Box::new(DeadLetter::new(path("dead.jsonl")));
    let idle_sensors = way.is_idle().then(|| "20s".to_owned());
    let input =
        InputOptions { max_rejects: Some(MaxRejects::Count(10)), idle_sensors, ..InputOptions::default() };
    let mut builder = Pipeline::builder()
        .input(input)
        .source(trapped(trap, source))
        .stage(stage("row", Box::new(Normalize::min_max(0.0, 9.0))))
        .stage(stage("series", Box::new(EachSeries(MovingAverage::rows(2)))));
    if !way.is_live() && !way.is_idle() {
        // A first pass needs an input that ends.
        builder = builder.stage(stage("global", Box::new(Normalize::fitted(Method::ZScore))));
    }
    builder
        .stage(stage("whole", Box::<Aggregate>::default()))
        .sink(trapped(trap, out))
        .sink(trapped(trap, dead))
        .build()
}

fn run(folder: &Path, trap: &Arc<Trap>, way: Way, stop_at: u64) -> Result<Report> {
    let pipeline = pipeline(folder, trap, way)?;
    let stop = Arc::new(AtomicBool::new(stop_at == 0));
    let mut options = RunOptions { stop: Arc::clone(&stop), ..RunOptions::default() };
    options.open.chunk_size = 200;
    options.sequential = way == Way::Plain;
    options.threads = match way {
        Way::Plain | Way::Idle { .. } => None,
        Way::Bounded(n) | Way::Live(n) | Way::Resumed(n) | Way::LiveResumed(n) => Some(n),
    };
    if way.has_state() {
        let state = StateOptions::new(folder.join("state"));
        options.state = Some(StateOptions { every: Duration::ZERO, waits: true, ..state });
    }
    let mut observer = Watching { trap: Arc::clone(trap), stop, at: stop_at };
    match way.is_live() && trap.is_set.load(Ordering::Acquire) {
        true => streaming::run(&pipeline, &options, &mut observer),
        false => executor::run(&pipeline, &options, &mut observer),
    }
}

/// The same, by somebody who does not wait for ever.
fn run_in_time(folder: &Path, trap: &Arc<Trap>, way: Way, stop_at: u64) -> Result<Report> {
    let (sender, receiver) = mpsc::channel();
    let (folder, its_trap) = (folder.to_owned(), Arc::clone(trap));
    let running = move || drop(sender.send(run(&folder, &its_trap, way, stop_at)));
    std::thread::Builder::new().spawn(running).expect("a thread");
    let call = trap.at;
    receiver.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("{call}, {way:?}: {error}"))
}

/// What is planted need not be told.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload().downcast_ref::<String>();
            if !text.is_some_and(|text| text.starts_with("planted in ")) {
                others(panic);
            }
        }));
    });
}

/// Runs into the trap at `call`; whether it was reached.
fn spring(call: &'static str, way: Way) -> bool {
    let folder = folder();
    let time = |n: usize| format!("2026-01-01T00:{:02}:{:02}Z", n / 60, n % 60);
    let rows: String = (0..100).map(|n| format!("{},s{},{}\n", time(n), n % 7 + n / 30 * 7, n % 9)).collect();
    let refused = format!("{},s1,none\n", time(99)).repeat(3);
    std::fs::write(folder.path().join("in.csv"), format!("t,s,v\n{rows}{refused}{rows}")).expect("written");
    let trap = Arc::new(Trap { at: call, is_set: false.into(), is_sprung: false.into() });
    if way.has_state() {
        let paused = run_in_time(folder.path(), &trap, way, 100).expect("a run that is stopped");
        assert!(paused.is_paused, "{call}, {way:?}");
    }
    trap.is_set.store(true, Ordering::Release);
    let stop_at = if way == Way::LiveResumed(2) { 0 } else { u64::MAX };
    let result = run_in_time(folder.path(), &trap, way, stop_at);
    let is_sprung = trap.is_sprung.load(Ordering::Acquire);
    match result {
        Ok(_) => assert!(!is_sprung, "{call}, {way:?}: a panic was passed over"),
        Err(error) => {
            assert!(is_sprung, "{call}, {way:?}: {error}");
            assert_eq!(error.kind(), ErrorKind::Internal, "{call}, {way:?}: {error}");
            assert!(
                error.message().contains(&format!("panicked: planted in {call}")),
                "{call}, {way:?}: {error}"
            );
            let is_published =
                folder.path().join("out.csv").exists() || folder.path().join("dead.jsonl").exists();
            let may_be = matches!(call, "sink.commit" | "source.remarks" | "source.bytes");
            assert!(may_be || !is_published, "{call}, {way:?}: something has its name");
        }
    }
    is_sprung
}

#[test]
fn a_part_that_panics_at_any_call_ends_the_run_with_an_error() {
    keep_quiet();
    for call in calls() {
        // Checkpoints make runs slow: they are kept where the call has to do with them.
        let is_kept = ["save", "restore", "settle", "drain", "can_resume", "fitted", "keeps_state"].iter();
        let is_kept = { is_kept }.any(|kept| call.ends_with(kept));
        let ways = WAYS.into_iter().filter(|way| is_kept || !way.has_state());
        let ways = ways.filter(|way| way.is_idle() == call.ends_with("give_up"));
        let reached: Vec<_> = ways.filter(|&way| spring(call, way)).collect();
        assert!(!reached.is_empty(), "{call} is never made");
    }
}

#[test]
fn no_threads_are_no_way_to_run() {
    let folder = folder();
    std::fs::write(folder.path().join("in.csv"), "s,v\na,1\n").expect("written");
    let trap = Arc::new(Trap { at: "nowhere", is_set: true.into(), is_sprung: false.into() });
    for way in [Way::Bounded(0), Way::Live(0)] {
        let error = run_in_time(folder.path(), &trap, way, u64::MAX).expect_err("nobody works");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.message().contains("`threads` must be at least 1"), "{error}");
    }
}
