//! A run with checkpoints on a disk of one's own, and what it must give.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rand::RngExt;
use tidemill::files::FileSystem;
use tidemill::runtime::{RunOptions, StateOptions};
use tidemill::source::{Io, OpenOptions};
use tidemill::{Error, Pipeline, Report};
use tidemill_engine::{executor, streaming};

use crate::model::random;

/// The folders of the model.
pub(crate) const OUT: &str = "/model/out";
pub(crate) const STATE: &str = "/model/kept/state";

/// How long a run of some dozen records may take before it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stages whose state a checkpoint has to hold, with and without time.
pub(crate) const STAGES: [&str; 3] = [
    "[[stage]]\ntype = 'threshold'\nmin = -20\nmax = 90\n\
     [[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nrunning = true\n\
     [[stage]]\ntype = 'moving_average'\nwindow = 4\n",
    "[[stage]]\ntype = 'threshold'\nmin = -20\nmax = 90\n\
     [[stage]]\ntype = 'aggregate'\nevery = '10s'\nstatistics = ['count', 'mean', 'max']\ninto = 'v_{statistic}'\n",
    "[[stage]]\ntype = 'moving_average'\nwindow = 3\ninto = 'v'\n\
     [[stage]]\ntype = 'aggregate'\nevery = '10s'\nstatistics = ['count', 'mean', 'max']\ninto = 'v_{statistic}'\n",
];

/// Options of the source beside the stages.
const OPTIONS: [&str; 3] = ["", "", "idle_sensors = '3s'\nmax_sensors = 9\n"];

/// What the alerts watch.
const WATCHED: [(&str, f64); 3] = [("v", 1.0), ("v_max", 60.0), ("v_max", 30.0)];

/// An input, and the pipelines over it.
pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) chunk_size: usize,
    pub(crate) threads: usize,
    /// Whether the runtime of unbounded input runs it.
    pub(crate) is_live: bool,
}

/// What is in the output folder.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

impl Rig {
    /// An input of so many records: several sensors, some of them out of order, some no records at all.
    pub(crate) fn new(records: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("in.csv"), input(records, |_| 0, "")).expect("written");
        Self { folder, chunk_size: 128, threads: 1, is_live: false }
    }

    /// The same of sensors that come and go.
    pub(crate) fn of_many(records: usize) -> Self {
        let rig = Self::new(records);
        std::fs::write(rig.input(), input(records, |at| 10 + at / 9 * 2, "")).expect("written");
        rig
    }

    /// The same of sensors whose names take more than a checkpoint that always has everything.
    pub(crate) fn of_long_names(records: usize) -> Self {
        let rig = Self { chunk_size: 25_000, ..Self::new(records) };
        let name = "-".repeat(1000);
        std::fs::write(rig.input(), input(records, |at| at.min(100 + at % 9), &name)).expect("written");
        rig
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.folder.path().join("in.csv")
    }

    /// Pipeline `variant`, with its output in `out`.
    pub(crate) fn toml(&self, variant: usize, out: &str) -> String {
        let (column, above) = WATCHED[variant];
        let (stages, options) = (STAGES[variant], OPTIONS[variant]);
        let input = self.input();
        let input = input.to_str().expect("UTF-8");
        format!(
            "[source]\ntype = 'csv'\npath = '{input}'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\norder = 'time'\ndisorder = '5s'\nmax_rejects = 1000\n{options}\
             {stages}\
             [[sink]]\ntype = 'csv'\npath = '{out}/a.csv'\n\
             [[sink]]\ntype = 'jsonl'\npath = '{out}/b.jsonl'\nsensors = ['s1*']\n\
             [[sink]]\ntype = 'dead_letter'\npath = '{out}/c.jsonl'\n\
             [[sink]]\ntype = 'alert'\npath = '{out}/d.jsonl'\ncolumn = '{column}'\nabove = {above}\n"
        )
    }

    pub(crate) fn pipeline(&self, variant: usize, out: &str) -> Pipeline {
        Pipeline::from_toml(&self.toml(variant, out)).expect("a pipeline")
    }

    pub(crate) fn options(&self, state: Option<StateOptions>) -> RunOptions {
        RunOptions {
            threads: Some(self.threads),
            open: OpenOptions { chunk_size: self.chunk_size, io: Io::Read, ..OpenOptions::default() },
            state,
            ..RunOptions::default()
        }
    }

    /// What an uninterrupted run without checkpoints gives.
    pub(crate) fn expected(&self, variant: usize) -> Files {
        let out = tempfile::tempdir().expect("a folder");
        let pipeline = self.pipeline(variant, out.path().to_str().expect("UTF-8"));
        pipeline.run_with(&self.options(None), &mut ()).expect("a run");
        let files = files(out.path());
        let lines = |bytes: &Vec<u8>| bytes.iter().filter(|&&byte| byte == b'\n').count();
        let lines: Vec<_> = files.values().map(lines).collect();
        assert!(
            lines.len() == 4 && lines.iter().all(|&lines| lines >= 2),
            "all sinks have something to do: {lines:?}"
        );
        files
    }

    /// A run with a checkpoint before every chunk, on the disk `files`.
    pub(crate) fn run(&self, variant: usize, files: impl FileSystem + 'static) -> Result<Report, Error> {
        self.run_on(self.pipeline(variant, OUT), files, false)
    }

    /// The same of variant 0 where its first sink has other options by now, which is accepted.
    pub(crate) fn run_changed(&self, files: impl FileSystem + 'static) -> Result<Report, Error> {
        let toml = self.toml(0, OUT).replace("/a.csv'", "/a.csv'\ndecimals = 1");
        self.run_on(Pipeline::from_toml(&toml).expect("a pipeline"), files, true)
    }

    pub(crate) fn run_on(
        &self,
        pipeline: Pipeline,
        files: impl FileSystem + 'static,
        accept_changes: bool,
    ) -> Result<Report, Error> {
        let state = StateOptions {
            every: Duration::ZERO,
            waits: true,
            files: Arc::new(files),
            accept_changes,
            ..StateOptions::new(STATE)
        };
        let options = self.options(Some(state));
        let (sender, receiver) = channel();
        let run = if self.is_live { streaming::run } else { executor::run };
        // Left behind where it hangs: the test fails, and with it its process ends.
        let thread = std::thread::Builder::new().spawn(move || {
            let _given_up = sender.send(run(&pipeline, &options, &mut ()));
        });
        thread.expect("a thread");
        receiver.recv_timeout(PATIENCE).expect("the run hangs, or panicked")
    }
}

/// The files in a folder of the disk.
pub(crate) fn files(folder: &Path) -> Files {
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("an entry");
        (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file"))
    };
    std::fs::read_dir(folder).expect("a folder").map(file).collect()
}

/// Records of four sensors, numbered from what `first` says on, two a second; some earlier than those before, some with a value that is none. Their names end with `name`.
fn input(records: usize, first: impl Fn(usize) -> usize, name: &str) -> String {
    let (mut text, mut random) = (String::from("t,s,v\n"), random(4));
    for at in 0..records {
        let second = (at / 2 + 4).saturating_sub(random.random_range(0..5));
        let (minute, second, sensor) = (second / 60, second % 60, first(at) + random.random_range(0..4));
        let value = match random.random_range(0..11) {
            0 => "none".to_owned(),
            _ => format!("{:.3}", random.random_range(-25.0..95.0)),
        };
        writeln!(text, "2024-05-01T00:{minute:02}:{second:02}Z,s{sensor}{name},{value}").expect("room");
    }
    text
}
