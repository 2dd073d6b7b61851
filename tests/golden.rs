//! Checkpoints and recordings that earlier builds have made: they are gone on with, or refused by name where their format is an older one.
//!
//! A folder of `tests/golden` is named after a kind and the version of its format. It has an input, two pipelines over it (`p.toml`, which a run
//! has begun, and `judge.toml`, whose output is that of the whole), the state folder of that run and its output in the making.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemill::runtime::{Observer, RunOptions, StateOptions};
use tidemill::source::{Progress, Recorder};
use tidemill::{Pipeline, Report};
use tidemill_core::stage::Pieces;
use tidemill_engine::checkpoint::{self, StageState};
use tidemill_engine::files::Disk;

/// The versions that are written now: see `CONTRIBUTING.md`.
const CURRENT: [(&str, u32); 2] = [("checkpoint", 7), ("recording", 6)];

const RECORDS: usize = 60;

/// Of the runs that are cut off.
const HALF: u64 = 30;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// All folders: name, kind, version.
fn folders() -> Vec<(String, String, u32)> {
    let entries = fs::read_dir(golden()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let parsed = |name: String| {
        let (kind, version) = name.split_once('-').expect("a kind and a version");
        (name.clone(), kind.to_owned(), version.parse().expect("a version"))
    };
    entries.map(|name| parsed(name.into_string().expect("UTF-8"))).collect()
}

/// A copy of a folder that a run may use.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            fs::DirBuilder::new().mode(0o700).create(&target).expect("made");
            copy(&source, &target);
        } else {
            fs::write(target, fs::read(source).expect("read")).expect("written");
        }
    }
}

/// What is in the output folder.
fn outputs(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder.join("out")).expect("a folder").map(|entry| entry.expect("an entry"));
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().expect("UTF-8");
    entries.map(|entry| (name(&entry), fs::read_to_string(entry.path()).expect("text"))).collect()
}

fn run(folder: &Path, pipeline: &str, options: &RunOptions) -> tidemill::Result<Report> {
    Pipeline::load(folder.join(pipeline)).expect("a pipeline").run_with(options, &mut ())
}

fn on_state(folder: &Path) -> RunOptions {
    let state =
        StateOptions { every: Duration::ZERO, waits: true, ..StateOptions::new(folder.join("state")) };
    RunOptions { threads: Some(1), state: Some(state), ..RunOptions::default() }
}

#[test]
fn what_another_build_has_left_is_gone_on_with_or_refused_by_name() {
    let folders = folders();
    for (kind, version) in CURRENT {
        let name = format!("{kind}-{version}");
        assert!(folders.iter().any(|(other, _, _)| *other == name), "{name} is not there");
    }
    for (name, kind, version) in folders {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&golden().join(&name), folder.path());
        let state = folder.path().join("state");
        let goes_on = checkpoint::look(&Disk, &state).is_ok_and(|found| found.manifest.is_some());
        if kind == "recording" && !goes_on {
            // Its checkpoint, where it has one, is of an older version, and would be refused first.
            for name in ["state", "out"] {
                let _not_there = fs::remove_dir_all(folder.path().join(name));
            }
        }
        let end = run(folder.path(), "p.toml", &on_state(folder.path()));
        if !CURRENT.contains(&(&*kind, version)) {
            let error = end.expect_err("another version").to_string();
            assert!(error.contains(&format!("{kind} of version {version}")), "{name}: {error}");
            continue;
        }
        let report = end.unwrap_or_else(|error| panic!("{name}: {error}"));
        let has_gone_on = report.remarks.iter().any(|remark| remark.contains("resumed from"));
        assert_eq!(has_gone_on, goes_on, "{name}: {report:?}");
        assert!(goes_on || kind == "recording", "{name}");
        let found = outputs(folder.path());
        fs::remove_dir_all(folder.path().join("out")).expect("removed");
        run(folder.path(), "judge.toml", &RunOptions::default()).expect("the whole");
        assert_eq!(found, outputs(folder.path()), "{name}");
    }
}

#[test]
fn checkpoints_are_written_as_they_were() {
    for (name, kind, version) in folders() {
        if !CURRENT.contains(&(&*kind, version)) {
            continue;
        }
        let entries = fs::read_dir(golden().join(&name).join("state")).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        for path in paths.filter(|path| path.to_string_lossy().contains("/checkpoint-00")) {
            let bytes = fs::read(&path).expect("read");
            let mut again = Vec::new();
            let manifest = match checkpoint::read(&Disk, &path) {
                // That of a recording may be of an older version.
                Err(error)
                    if kind == "recording" && error.to_string().contains("a checkpoint of version") =>
                {
                    continue;
                }
                found => found.expect("a checkpoint"),
            };
            assert_eq!(manifest.base, None, "{}", path.display());
            let pieces = |state: &StageState| Box::new(state.cuts().into_iter().flatten()) as Pieces;
            let stages = manifest.stages.iter().map(pieces).collect();
            manifest.write(&mut again, stages).expect("bytes");
            assert_eq!(again, bytes, "{}", path.display());
        }
    }
}

/// Stops a run in the middle.
struct Stopper(Arc<AtomicBool>);

impl Observer for Stopper {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        self.0.store(records >= HALF, Ordering::Relaxed);
    }
}

fn pipeline(path: &str) -> String {
    format!(
        "[source]\ntype = 'csv'\npath = '{path}'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\norder = 'time'\ndisorder = '5s'\nmax_rejects = 0.9\n\
         [[stage]]\ntype = 'threshold'\nmin = -20\nmax = 90\n\
         [[stage]]\ntype = 'moving_average'\nwindow = '8s'\n\
         [[stage]]\ntype = 'aggregate'\nevery = '4s'\nstatistics = ['count', 'mean', 'std']\ninto = '{{column}}_{{statistic}}'\n\
         [[sink]]\ntype = 'csv'\npath = 'out/a.csv'\n\
         [[sink]]\ntype = 'jsonl'\npath = 'out/b.jsonl'\n\
         [[sink]]\ntype = 'dead_letter'\npath = 'out/c.jsonl'\n\
         [[sink]]\ntype = 'alert'\npath = 'out/d.jsonl'\ncolumn = 'v_mean'\nabove = 20\nclear_above = 10\n"
    )
}

/// A record each half second, some out of order, some of no number.
fn record(at: usize) -> String {
    let second = at / 2 + 3 * usize::from(at.is_multiple_of(7));
    let value = if at % 11 == 5 { "none".to_owned() } else { format!("{}.5", at * 13 % 70) };
    format!("2024-05-01T00:00:{second:02}Z,s{},{value}\n", at % 3)
}

/// Adds the folders of the versions that are written now, where they are not there.
#[test]
#[ignore = "writes into the source tree: see CONTRIBUTING.md"]
fn add_the_current_versions() {
    for (kind, version) in CURRENT {
        let kept = golden().join(format!("{kind}-{version}"));
        if kept.exists() {
            continue;
        }
        // A checkpoint has the path of its output.
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path();
        for (name, records) in [("in-1.csv", 0..RECORDS / 2 + 9), ("in-2.csv", RECORDS / 2 + 9..RECORDS)] {
            let text: String = std::iter::once("t,s,v\n".to_owned()).chain(records.map(record)).collect();
            fs::write(folder.join(name), text).expect("written");
        }
        let mut options = on_state(folder);
        options.open.chunk_size = 300;
        fs::write(folder.join("judge.toml"), pipeline("in-*.csv")).expect("written");
        let path = if kind == "recording" { "day.rec" } else { "in-*.csv" };
        fs::write(folder.join("p.toml"), pipeline(path)).expect("written");
        if kind == "recording" {
            let recorder = Recorder::create(&folder.join(path)).expect("a recording");
            let mut recorded = RunOptions { state: None, ..options.clone() };
            recorded.open.record = Some(recorder.clone());
            run(folder, "judge.toml", &recorded).expect("recorded");
            recorder.finish().expect("a recording");
            fs::remove_dir_all(folder.join("out")).expect("removed");
        }
        let mut stopper = Stopper(Arc::clone(&options.stop));
        let pipeline = Pipeline::load(folder.join("p.toml")).expect("a pipeline");
        let report = pipeline.run_with(&options, &mut stopper).expect("a run");
        assert!(report.is_paused, "{report:?}");
        // One is enough.
        for older in ["checkpoint-0000000001", "checkpoint-0000000002", "lock"] {
            let _not_there = fs::remove_file(folder.join("state").join(older));
        }
        fs::create_dir_all(&kept).expect("made");
        copy(folder, &kept);
    }
}
