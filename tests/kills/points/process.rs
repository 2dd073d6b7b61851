//! The process that is killed: a run of the pipeline, as an environment variable orders it.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidemill::runtime::{RunOptions, StateOptions};
use tidemill::source::OpenOptions;
use tidemill::{Pipeline, Result};
use tidemill_engine::pipeline::SinkEntry;

use super::disk::Deadly;
use super::sink::{Delivered, Manner};
use super::{Killer, Moment, POINTS, Point};
use crate::rolled;

/// What the process that is killed is told.
const VARIABLE: &str = "TIDEMILL_KILLED_AT";

/// The test that is that process.
const PROCESS: &str = "a_process_that_is_killed_at_a_point";

/// Whether the input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    AtRest,
    Followed,
}

/// How a process runs.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) input: Input,
    /// Where it is killed: the point, the moment, and at which such call.
    pub(super) kill: Option<(Point, Moment, u64)>,
    pub(super) threads: usize,
    /// Behind how many deliveries the target of a sink is away for a while.
    pub(super) outage: u64,
    /// It ends where its checkpoint is.
    pub(super) finishes: bool,
}

impl Order {
    pub(super) fn text(&self) -> String {
        let (at, moment, call) = match self.kill {
            None => ("-", Moment::Before, 0),
            Some((point, moment, call)) => (point.name, moment, call),
        };
        let Self { input, threads, outage, finishes, .. } = self;
        format!("{input:?}/{at}/{moment:?}/{call}/{threads}/{outage}/{finishes}")
    }

    fn parse(text: &str) -> Self {
        let [input, at, moment, call, threads, outage, finishes] =
            text.split('/').collect::<Vec<_>>().try_into().expect("seven fields");
        let moment = match moment {
            "Before" => Moment::Before,
            "Midway" => Moment::Midway,
            _ => Moment::After,
        };
        let point = POINTS.into_iter().find(|point| point.name == at);
        Self {
            input: if input == "AtRest" { Input::AtRest } else { Input::Followed },
            kill: point.map(|point| (point, moment, call.parse().expect("a number"))),
            threads: threads.parse().expect("a number"),
            outage: outage.parse().expect("a number"),
            finishes: finishes == "true",
        }
    }
}

/// The sinks that deliver.
fn delivering(outage: u64) -> [Manner; 3] {
    [Manner::AtOnce, Manner::Slowly, Manner::WithAnOutage(outage)]
}

/// The names of their folders.
pub(super) fn delivered() -> [&'static str; 3] {
    delivering(0).map(Manner::name)
}

/// The pipeline in `folder`: three kinds of output, files that roll and sinks that deliver.
fn pipeline(folder: &Path, order: Order, killer: &Arc<Killer>) -> Pipeline {
    let folder = folder.display();
    let follow = order.input == Input::Followed;
    let sinks = rolled::SINKS.replace("'rolled/", &format!("'{folder}/rolled/"));
    let toml = format!(
        "[source]\ntype = 'csv'\npath = '{folder}/in.csv'\nfollow = {follow}\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 0.9\n\
         order = 'time'\ndisorder = '5s'\n\
         [[stage]]\ntype = 'threshold'\nmin = -20\nmax = 90\n\
         [[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nrunning = true\n\
         [[stage]]\ntype = 'moving_average'\nwindow = 20\n\
         [[sink]]\ntype = 'csv'\npath = '{folder}/out/all.csv'\n\
         [[sink]]\ntype = 'alert'\npath = '{folder}/out/alerts.jsonl'\ncolumn = 'v'\nabove = 0.3\n\
         [[sink]]\ntype = 'dead_letter'\npath = '{folder}/out/rejects.jsonl'\n{sinks}"
    );
    let mut pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
    for manner in delivering(order.outage) {
        let (folder, killer) = (format!("{folder}/{}", manner.name()).into(), Arc::clone(killer));
        pipeline.sinks.push(SinkEntry::new(Delivered { folder, manner, killer }));
    }
    pipeline
}

/// Runs the pipeline in `folder`, and is killed where `order` says.
pub(super) fn run(folder: &Path, order: Order, with_state: bool) -> Result<()> {
    let (point, moment, call) = order.kill.unwrap_or((POINTS[0], Moment::Before, 0));
    let killer = Arc::new(Killer { point, moment, left: AtomicU64::new(call) });
    let pipeline = pipeline(folder, order, &killer);
    let state = StateOptions {
        every: Duration::ZERO,
        waits: order.threads != 2,
        finishes: order.finishes,
        files: Arc::new(Deadly(killer)),
        ..StateOptions::new(folder.join("state"))
    };
    let options = RunOptions {
        threads: Some(order.threads),
        open: OpenOptions { chunk_size: 4096, ..OpenOptions::default() },
        state: with_state.then_some(state),
        stop: stop_at_end_of_input(order),
        ..RunOptions::default()
    };
    pipeline.run_with(&options, &mut ()).map(drop)
}

/// A run that follows files is stopped when standard input ends. One that finishes ends by itself: stopped while a target is away, it would leave rows
/// to the next one.
fn stop_at_end_of_input(order: Order) -> Arc<AtomicBool> {
    let stop = Arc::<AtomicBool>::default();
    if order.input == Input::Followed && !order.finishes {
        let stop = Arc::clone(&stop);
        // Ends with standard input, or with the process.
        let thread = std::thread::Builder::new().spawn(move || {
            let _ended = io::stdin().read_to_end(&mut Vec::new());
            stop.store(true, Ordering::SeqCst);
        });
        thread.expect("a thread");
    }
    stop
}

/// The process that is killed, as the variable says.
#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
pub(crate) fn process() {
    let Ok(order) = std::env::var(VARIABLE) else { return };
    let folder = std::env::current_dir().expect("a folder");
    if let Err(error) = run(&folder, Order::parse(&order), true) {
        panic!("{error}");
    }
}

pub(super) fn spawn(folder: &Path, order: Order) -> Child {
    let own = std::env::current_exe().expect("this binary");
    let mut command = Command::new(own);
    command.args(["--exact", PROCESS, "--ignored", "--nocapture"]).current_dir(folder);
    command.env(VARIABLE, order.text());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("started")
}
