//! Makes goldens: a run that is stopped in the middle of its input.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill::runtime::{Observer, RunOptions};
use tidemill::source::{Progress, Recorder};
use tidemill_engine::checkpoint;
use tidemill_engine::files::Disk;

use super::cases::{Case, inputs};
use super::delivered::AWAY;
use super::rig::{Files, files, keep, load, on_state, run};

/// Where a sink delivers.
const DELIVERED: &str = "out/delivered";

const RECORDING: &str = "day.rec";

/// A chunk has a few ordinary records, or all with long names.
const CHUNK: usize = 300;
const LARGE_CHUNK: usize = 100_000;

/// Stops a run behind so many records.
struct Stopper {
    stop: Arc<AtomicBool>,
    behind: u64,
}

impl Observer for Stopper {
    fn progress(&mut self, pass: &str, _progress: Progress, records: u64) {
        // A first pass that is stopped would fail.
        if pass == "run" {
            self.stop.store(records >= self.behind, Ordering::Relaxed);
        }
    }
}

/// Makes the golden of `case`.
pub(crate) fn write(case: &Case) {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path();
    for (name, text) in inputs(case) {
        fs::write(folder.join(name), text).expect("written");
    }
    let write = |name: &str, pipeline: &str| fs::write(folder.join(name), pipeline).expect("written");
    let chunk_size = if case.has_long_names { LARGE_CHUNK } else { CHUNK };
    write("judge.toml", case.pipeline);
    if case.is_recorded {
        record(folder, chunk_size);
        write("p.toml", &case.pipeline.replace("in-*.csv", RECORDING));
    } else {
        write("p.toml", case.pipeline);
    }
    if let Some(before) = case.before {
        write("before.toml", before);
        run(folder, "before.toml", &RunOptions::default()).expect("a run");
    }
    let away = folder.join(DELIVERED).join(AWAY);
    for (at, &behind) in case.stops.iter().enumerate() {
        let mut options = on_state(folder);
        options.open.chunk_size = chunk_size;
        let is_away = at > 0;
        if is_away {
            fs::write(&away, "").expect("written");
            // It would wait for the target.
            options.state.iter_mut().for_each(|state| state.waits = false);
        }
        let mut stopper = Stopper { stop: Arc::clone(&options.stop), behind };
        let report = load(folder, "p.toml").run_with(&options, &mut stopper).expect("a run");
        assert!(report.is_paused, "{}: {report:?}", case.name);
    }
    let _not_there = fs::remove_file(away);
    if case.has_begun() {
        remove_older(&folder.join("state"));
    }
    check(case, &files(folder));
    keep(folder, &case.folder());
}

/// Records the input of the plain pipeline.
fn record(folder: &Path, chunk_size: usize) {
    let recorder = Recorder::create(&folder.join(RECORDING)).expect("a recording");
    let mut options = RunOptions { threads: Some(1), ..RunOptions::default() };
    (options.open.chunk_size, options.open.record) = (chunk_size, Some(recorder.clone()));
    run(folder, "judge.toml", &options).expect("recorded");
    recorder.finish().expect("a recording");
    fs::remove_dir_all(folder.join("out")).expect("removed");
}

/// Leaves the newest checkpoint, and those to which it refers.
fn remove_older(state: &Path) {
    let newest = checkpoint::look(&Disk, state).expect("a folder").manifest.expect("a checkpoint").1;
    let mut needed = vec![newest];
    while let Some(base) = checkpoint::read(&Disk, &needed[needed.len() - 1]).expect("a checkpoint").base {
        needed.push(state.join(format!("checkpoint-{base:010}")));
    }
    for (_, path) in checkpoint::ordinals(&Disk, state).expect("a folder") {
        if !needed.contains(&path) {
            fs::remove_file(path).expect("removed");
        }
    }
    fs::remove_file(state.join("lock")).expect("removed");
}

/// Checks that `files`, those of a golden, are what it is kept for.
#[track_caller]
pub(crate) fn check(case: &Case, files: &Files) {
    for start in case.has {
        let is_there = files.keys().any(|path| path.to_string_lossy().starts_with(start));
        assert!(is_there, "{} has no {start}: {:?}", case.name, files.keys());
    }
}
