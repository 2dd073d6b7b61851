//! Sources of Parquet and of synthetic readings go on where a checkpoint found them. `TIDEMILL_SEED` replays what a failure names.

#[path = "common/seed.rs"]
mod seed;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use seed::seed;
use tidemill::runtime::{Observer, StateOptions};
use tidemill::source::Progress;
use tidemill::{ErrorKind, Pipeline, Report, Result, RunOptions};
use tidemill_engine::{executor, streaming};

/// Stops a run when it has seen so many records.
struct Stopper(Arc<AtomicBool>, u64);

impl Observer for Stopper {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        self.0.store(records >= self.1, Ordering::Relaxed);
    }
}

/// What is asked of a run besides.
#[derive(Clone, Copy, Default)]
struct Way {
    threads: usize,
    is_live: bool,
    accepts: bool,
    finishes: bool,
}

const SYNTHETIC: &str =
    "type = 'synthetic'\nrecords = 3000\nsensors = 7\ngaps = 0.1\nnulls = 0.05\nspikes = 0.02";
const COLUMNS: &str = "type = 'parquet'\npath = '@/in/*.parquet'\ntime = 'timestamp'\nsensor = 'sensor'\nmeasurements = ['value']";

fn pipeline(folder: &Path, source: &str, sink: &str) -> Pipeline {
    let toml = format!(
        "[source]\n{source}\n[[stage]]\ntype = 'threshold'\nmin = -20\nmax = 60\n[[stage]]\ntype = 'moving_average'\nwindow = 5\n\
         [[sink]]\n{sink}\n"
    );
    Pipeline::from_toml(&toml.replace('@', folder.to_str().expect("UTF-8"))).expect("a pipeline")
}

/// Runs to `out.csv` until about so many records are read.
fn run(folder: &Path, source: &str, until: u64, way: Way) -> Result<Report> {
    let stop = Arc::new(AtomicBool::new(false));
    let state = StateOptions {
        every: Duration::ZERO,
        accept_changes: way.accepts,
        finishes: way.finishes,
        ..StateOptions::new(folder.join("state"))
    };
    let threads = Some(way.threads.max(1));
    let mut options =
        RunOptions { threads, stop: Arc::clone(&stop), state: Some(state), ..RunOptions::default() };
    options.open.chunk_size = 1500;
    let (mut stopper, pipeline) =
        (Stopper(stop, until), pipeline(folder, source, "type = 'csv'\npath = '@/out.csv'"));
    match way.is_live {
        false => executor::run(&pipeline, &options, &mut stopper),
        true => streaming::run(&pipeline, &options, &mut stopper),
    }
}

/// What an undisturbed run writes.
fn whole(folder: &Path, source: &str) -> Vec<u8> {
    let path = folder.join("whole.csv");
    pipeline(folder, source, "type = 'csv'\npath = '@/whole.csv'").run().expect("a run");
    std::fs::read(path).expect("an output")
}

/// A folder with Parquet files, each of several row groups, one of them empty.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (at, records) in [900, 0, 700, 50].into_iter().enumerate() {
        write(folder.path(), &format!("{at}.parquet"), records, at);
    }
    folder
}

fn write(folder: &Path, name: &str, records: usize, seed: usize) {
    let toml = format!(
        "[source]\ntype = 'synthetic'\nrecords = {records}\nsensors = 5\nseed = {seed}\n\
         [[sink]]\ntype = 'parquet'\npath = '@/in/{name}'\nrow_group = 120\n"
    );
    let toml = toml.replace('@', folder.to_str().expect("UTF-8"));
    Pipeline::from_toml(&toml).expect("a pipeline").run().expect("a run");
}

#[test]
fn a_run_that_was_stopped_anywhere_goes_on_to_the_same_output() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut resumed = 0;
    for round in 0..16 {
        let folder = folder();
        let source = [SYNTHETIC, COLUMNS][round % 2];
        let (expected, mut told) = (whole(folder.path(), source), format!("round {round}"));
        loop {
            let until = random.random_range(1..3500);
            let way = Way {
                threads: random.random_range(1..4),
                is_live: random.random_bool(0.5),
                ..Way::default()
            };
            told += &format!(", until {until} live: {}", way.is_live);
            let report =
                run(folder.path(), source, until, way).unwrap_or_else(|error| panic!("{told}: {error}"));
            resumed += usize::from(report.records_before > 0);
            if !report.is_paused {
                break;
            }
        }
        let found = std::fs::read(folder.path().join("out.csv")).expect("an output");
        assert!(found == expected, "{told}: {} bytes where {} are expected", found.len(), expected.len());
    }
    assert!(resumed > 0, "{resumed} runs went on");
}

#[test]
fn a_parquet_file_that_is_another_by_now_is_refused_and_one_ahead_is_read_where_that_is_accepted() {
    let stopped = || {
        let folder = folder();
        assert!(run(folder.path(), COLUMNS, 300, Way::default()).expect("a run").is_paused);
        folder
    };
    let one = Way::default();
    // The one that is being read.
    let folder = stopped();
    write(folder.path(), "0.parquet", 900, 77);
    for accepts in [false, true] {
        let error = run(folder.path(), COLUMNS, u64::MAX, Way { accepts, ..one }).expect_err("another file");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains("0.parquet") && error.to_string().contains("another"), "{error}");
    }
    // Those that are not begun.
    for change in [
        |folder: &Path| write(folder, "2.parquet", 700, 77),
        |folder: &Path| write(folder, "4.parquet", 10, 4),
        |folder: &Path| {
            std::fs::remove_file(folder.join("in/3.parquet")).expect("removed");
        },
    ] {
        let folder = stopped();
        change(folder.path());
        let error = run(folder.path(), COLUMNS, u64::MAX, one).expect_err("changed");
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        run(folder.path(), COLUMNS, u64::MAX, Way { accepts: true, ..one }).expect("accepted");
        let found = std::fs::read(folder.path().join("out.csv")).expect("an output");
        assert!(found == whole(folder.path(), COLUMNS));
    }
    // Nothing is read any more.
    let folder = stopped();
    std::fs::remove_dir_all(folder.path().join("in")).expect("removed");
    run(folder.path(), COLUMNS, u64::MAX, one).expect_err("gone");
    run(folder.path(), COLUMNS, u64::MAX, Way { finishes: true, ..one }).expect("finished");
    assert!(folder.path().join("out.csv").exists());
}

#[test]
fn what_a_run_has_read_of_records_is_said() {
    let folder = folder();
    run(folder.path(), COLUMNS, 300, Way::default()).expect("a run");
    let found =
        tidemill_engine::checkpoint::look(&tidemill_engine::files::Disk, &folder.path().join("state"));
    let (manifest, _) = found.expect("a folder").manifest.expect("a checkpoint");
    let place =
        tidemill_engine::source::place(manifest.sources[0].as_deref().expect("a place")).expect("known");
    assert!(place.contains("0.parquet, record "), "{place}");
}

/// Two sources of text, the second of which has `more` options, and a stage and a sink for each: until about so many records are read.
fn run_two(folder: &Path, more: &str, stage: &str, until: u64, accepts: bool) -> Result<Report> {
    let stop = Arc::new(AtomicBool::new(false));
    let state = StateOptions {
        every: Duration::ZERO,
        accept_changes: accepts,
        ..StateOptions::new(folder.join("state"))
    };
    let mut options =
        RunOptions { threads: Some(1), stop: Arc::clone(&stop), state: Some(state), ..RunOptions::default() };
    options.open.chunk_size = 100;
    let source = |name: &str, more: &str| {
        format!(
            "[[source]]\nname = '{name}'\ntype = 'csv'\npath = '@/{name}.csv'\ntime = 't'\ntime_format = 's'\n\
             sensor = 's'\nmeasurements = ['v']\nmerge = 'time'\nmax_rejects = 1.0\n{more}\n"
        )
    };
    let part = |name: &str, stage: &str| {
        format!(
            "[[stage]]\nname = 'of {name}'\nfrom = '{name}'\ntype = 'threshold'\n{stage}\n\
             [[sink]]\nfrom = 'of {name}'\ntype = 'csv'\npath = '@/out-{name}.csv'\n"
        )
    };
    let toml = [
        source("a", ""),
        source("b", more),
        part("a", "min = 0"),
        part("b", stage),
        "[[sink]]\ntype = 'dead_letter'\npath = '@/dead.jsonl'\n".to_owned(),
    ];
    let pipeline = Pipeline::from_toml(&toml.concat().replace('@', folder.to_str().expect("UTF-8")))?;
    executor::run(&pipeline, &options, &mut Stopper(stop, until))
}

#[test]
fn what_goes_on_beside_a_change_that_is_accepted_counts_on() {
    const RECORDS: u64 = 600;
    let none = "min = 0";
    for (more, stage) in [("", "min = 0\naction = 'mask'"), ("null_values = ['none']", none)] {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a", "b"] {
            let line = |at: u64| match at % 50 {
                7 => "broken\n".to_owned(),
                _ => format!("{at},s{},{}\n", at % 3, at % 10),
            };
            let text: String = std::iter::once("t,s,v\n".to_owned()).chain((0..RECORDS).map(line)).collect();
            std::fs::write(folder.path().join(format!("{name}.csv")), text).expect("written");
        }
        let before = run_two(folder.path(), "", none, 500, false).expect("a run");
        assert!(before.is_paused && before.records() > 400, "{before:?}");
        let after = run_two(folder.path(), more, stage, u64::MAX, true).expect("gone on");
        assert_eq!(after.records_before, before.records());
        let refused = RECORDS / 50;
        for source in &after.sources {
            assert_eq!((source.ledger.input, source.ledger.rejected), (RECORDS, refused), "{more} {stage}");
        }
        assert_eq!(after.rejects.malformed, 2 * refused);
        // The stage that has changed begins anew; the others have seen all.
        assert_eq!(after.stages[0].ledger.input, RECORDS - refused);
        let of_changed = after.stages[1].ledger.input;
        assert_eq!(of_changed == RECORDS - refused, stage == none, "{of_changed}");
        let dead = std::fs::read_to_string(folder.path().join("dead.jsonl")).expect("written");
        let letters = dead.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let mut lines: Vec<_> =
            letters.map(|letter| (letter["file"].to_string(), letter["line"].as_u64())).collect();
        lines.sort();
        // Each stands where it stands in its file.
        let expected = (0..2 * refused).map(|at| Some(9 + at % refused * 50));
        assert!(lines.iter().map(|(_, line)| *line).eq(expected), "{lines:?}");
    }
}
