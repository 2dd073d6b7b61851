//! Parts that panic, at each call that a run makes of them: the run ends with an error that names the part, on any number of threads
//! and in every runtime, and nothing gets its name.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::time::Duration;

use tidemill::error::{ErrorKind, Result};
use tidemill::pipeline::{InputOptions, MaxRejects};
use tidemill::runtime::{Observer, StateOptions};
use tidemill::sink::{CsvFile, DeadLetter, SinkSpec};
use tidemill::source::{Csv, Progress, SourceSpec};
use tidemill::{Pipeline, Report};
use tidemill_core::stage::{Aggregate, EachSeries, Method, MovingAverage, Normalize, Stage};
use tidemill_engine::executor::{self, RunOptions};
use tidemill_engine::streaming;

use super::command::folder;
use super::traps::{Trap, TrappedStage, trapped};

/// Whoever takes longer than this waits for something that will not come.
const LIMIT: Duration = Duration::from_secs(60);

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
