//! Checkpoints of a run that was stopped. It goes on from one that is whole and writes what an undisturbed run does, or says that none is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tidemill::runtime::{Observer, StateOptions};
use tidemill::source::Progress;
use tidemill::{Pipeline, RunOptions};

use super::rig::{self, Bench, Outcome, mutated, refused};

const RECORDS: u64 = 1000;

/// The run is stopped when it has seen so many.
const STOP: u64 = 600;

pub(crate) struct Checkpoints {
    folder: tempfile::TempDir,
    /// What a stopped run has left, by path.
    left: BTreeMap<PathBuf, Vec<u8>>,
    checkpoints: Vec<PathBuf>,
    /// What an undisturbed run writes.
    right: Vec<u8>,
}

struct Stopper(Arc<AtomicBool>);

impl Observer for Stopper {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        self.0.store(records >= STOP, Ordering::Relaxed);
    }
}

pub(crate) fn bench() -> Checkpoints {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path();
    let line = |at: u64| format!("{at},s{},{}.25\n", at % 9, at * 7919 % 1009);
    rig::write(&folder.join("in.csv"), "t,s,v\n".to_owned() + &(0..RECORDS).map(line).collect::<String>());
    let shown = folder.display();
    let toml = format!(
        "[source]\ntype = 'csv'\npath = '{shown}/in.csv'\ntime = 't'\ntime_format = 's'\nsensor = 's'\norder = 'time'\ndisorder = '20s'\n\
         [[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nrunning = true\ninto = 'z'\n\
         [[stage]]\ntype = 'moving_average'\nwindow = 7\ncolumns = ['v']\n\
         [[sink]]\ntype = 'csv'\npath = '{shown}/out.csv'\n"
    );
    rig::write(&folder.join("p.toml"), toml);
    let pipeline = Pipeline::load(folder.join("p.toml")).expect("a pipeline");
    pipeline.run().expect("a run");
    let right = rig::bytes(&folder.join("out.csv"));
    std::fs::remove_file(folder.join("out.csv")).expect("removed");
    let mut options = options(folder, Duration::ZERO);
    options.threads = Some(1);
    let report = pipeline.run_with(&options, &mut Stopper(Arc::clone(&options.stop))).expect("a run");
    assert!(report.is_paused);
    let (left, first) = (all(folder), folder.join("state/checkpoint-"));
    let first = first.as_os_str().as_encoded_bytes();
    let is_checkpoint = |path: &&PathBuf| path.as_os_str().as_encoded_bytes().starts_with(first);
    let names = left.keys().filter(is_checkpoint);
    let checkpoints: Vec<_> = names.cloned().collect();
    assert_eq!(checkpoints.len(), 3);
    Checkpoints { folder: temporary, left, checkpoints, right }
}

/// A checkpoint `every` so often, behind a chunk.
fn options(folder: &Path, every: Duration) -> RunOptions {
    let state = StateOptions { every, waits: true, ..StateOptions::new(folder.join("state")) };
    let mut options = RunOptions { state: Some(state), ..RunOptions::default() };
    options.open.chunk_size = 500;
    options
}

/// All files in a folder and the one in it.
fn all(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    };
    let all = [paths(folder), paths(&folder.join("state"))].concat();
    all.into_iter().filter(|path| path.is_file()).map(|path| (path.clone(), rig::bytes(&path))).collect()
}

impl Checkpoints {
    /// Puts everything back.
    fn restore(&self) {
        all(self.folder.path()).into_keys().for_each(|path| std::fs::remove_file(path).expect("removed"));
        self.left.iter().for_each(|(path, bytes)| rig::write(path, bytes));
    }
}

impl Bench for Checkpoints {
    fn once(&mut self, random: &mut StdRng) -> Result<Outcome, String> {
        self.restore();
        // The newest one, the last two, or all of them.
        let damaged = random.random_range(1..=self.checkpoints.len());
        for path in self.checkpoints.iter().rev().take(damaged) {
            rig::write(path, mutated(&self.left[path], random));
        }
        let options = options(self.folder.path(), Duration::from_secs(3600));
        let report = match rig::run(&self.folder.path().join("p.toml"), options, random) {
            Ok(report) => report,
            Err(error) if damaged == self.checkpoints.len() => return refused(&error, "state"),
            Err(error) => return Err(format!("{damaged} are damaged, and the run ends: {error}")),
        };
        let went_on = report.remarks.iter().any(|remark| remark.contains("resumed from"));
        let said = report.remarks.iter().filter(|remark| remark.contains("was skipped")).count();
        if !went_on || said != damaged {
            return Err(format!("{damaged} are damaged, and it says: {:?}", report.remarks));
        }
        match rig::bytes(&self.folder.path().join("out.csv")) == self.right {
            true => Ok(Outcome::Right),
            false => Err(format!("{damaged} are damaged, and the output is another one")),
        }
    }
}
