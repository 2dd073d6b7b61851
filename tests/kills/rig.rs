//! Runs a pipeline that is killed again and again, and counts what that met.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidemill_engine::checkpoint::{self, Manifest};
use tidemill_engine::files::Disk;

use super::command::{text, tidemill};
pub(crate) use super::seed::seed;
use super::seed::variable;

/// Kills in all, if `TIDEMILL_KILLS` does not say otherwise.
const KILLS: u64 = 300;

/// Whoever waits longer than this waits for something that will not come.
const LIMIT: Duration = Duration::from_secs(120);

/// What was asked to stop ends with this.
pub(crate) const STOPPED: i32 = 130;

/// Files by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What happened, in all.
#[derive(Default)]
pub(crate) struct Count {
    kills: AtomicU64,
    /// Before the first checkpoint of a run.
    early: AtomicU64,
    /// When some output had its name already, and the run did not know that it was over.
    late: AtomicU64,
    pub(crate) stops: AtomicU64,
    pub(crate) runs: AtomicU64,
    /// Runs that resumed from a checkpoint.
    pub(crate) resumed: AtomicU64,
}

impl Count {
    /// A kill of a run in `folder`, by what it met.
    pub(crate) fn kill(&self, folder: &Path) {
        add(&self.kills);
        if !has_checkpoint(folder) {
            add(&self.early);
        }
        if files(&folder.join("out")).keys().any(|name| !name.starts_with('.')) {
            add(&self.late);
        }
    }
}

pub(crate) fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// `share` percent of all kills.
fn wanted(share: u64) -> u64 {
    (kills(KILLS) * share).div_ceil(100)
}

/// How many kills there are, `usual` ones if `TIDEMILL_KILLS` does not say otherwise.
pub(crate) fn kills(usual: u64) -> u64 {
    variable("TIDEMILL_KILLS").unwrap_or(usual)
}

/// Calls `story` with other seeds until `share` percent of all kills have happened, from `at_a_time` threads, each with a folder of its own.
pub(crate) fn campaign(share: u64, at_a_time: u64, story: impl Fn(&Path, u64, &Count) + Sync) {
    let (wanted, seed) = (wanted(share), seed());
    println!("{wanted} kills");
    let (begun, count) = (Instant::now(), Count::default());
    std::thread::scope(|scope| {
        for worker in 0..at_a_time {
            let (count, story) = (&count, &story);
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(seed ^ worker);
                while count.kills.load(Ordering::Relaxed) < wanted {
                    let folder = super::command::folder();
                    story(folder.path(), random.random(), count);
                }
            });
        }
    });
    let Count { kills, early, late, stops, runs, resumed } = count;
    let [kills, early, late, stops, runs, resumed] =
        [kills, early, late, stops, runs, resumed].map(AtomicU64::into_inner);
    assert!(resumed > 0, "no run resumed from a checkpoint");
    println!(
        "{kills} kills in {:.1?}: {early} before the first checkpoint, {late} with output published; {stops} stops; {runs} runs; {resumed} resumed from a checkpoint",
        begun.elapsed()
    );
}

/// Starts a run that goes on with what is there, on 1 to 3 threads and with checkpoints in quick succession.
pub(crate) fn start(folder: &Path, pipeline: &str, more: &[&str], random: &mut StdRng) -> Child {
    let threads = random.random_range(1..=3).to_string();
    let every = format!("{}ms", [1, 1, 5, 20][random.random_range(0..4)]);
    let mut command = tidemill(folder);
    command.args(["run", pipeline, "--threads", &threads, "--state", "state"]);
    command.args(["--checkpoint-every", &every]).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started")
}

/// Asks a run to stop; it may have ended meanwhile.
pub(crate) fn ask_to_stop(child: &mut Child) {
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(asked.expect("asked").success() || child.try_wait().expect("a child").is_some());
}

/// Kills a run whose input does not end, or asks it to stop, and waits for it.
pub(crate) fn end(mut child: Child, folder: &Path, random: &mut StdRng, count: &Count) {
    add(&count.runs);
    let is_stop = random.random_range(0..12) == 0;
    if is_stop {
        add(&count.stops);
        ask_to_stop(&mut child);
    } else {
        child.kill().expect("killed");
    }
    let ended = child.wait_with_output().expect("a child");
    match ended.status.code() {
        // A stop may come before anybody listens for it.
        None => count.kill(folder),
        code => assert!(is_stop && code == Some(0), "{}", text(&ended.stderr)),
    }
}

/// Has a run that was stopped or killed give its files their names, killing it now and then.
pub(crate) fn finish(folder: &Path, more: &[&str], random: &mut StdRng, count: &Count) {
    let more = [more, &["--finish"]].concat();
    loop {
        let mut child = start(folder, "p.toml", &more, random);
        add(&count.runs);
        if random.random_range(0..2) == 0 {
            std::thread::sleep(Duration::from_millis(random.random_range(0..60)));
            child.kill().expect("killed");
        }
        let ended = child.wait_with_output().expect("a child");
        match ended.status.code() {
            None => count.kill(folder),
            Some(0) => return,
            Some(_) => panic!("{}", text(&ended.stderr)),
        }
    }
}

/// Waits until `child` has a checkpoint behind just so many records: what it has read, it does not need any more.
#[track_caller]
pub(crate) fn settle(folder: &Path, child: &mut Child, records: u64) {
    let start = Instant::now();
    loop {
        let found = newest(folder).map_or(0, |manifest| manifest.records);
        if found == records {
            return;
        }
        assert!(found < records, "{found} records were read where there are {records}");
        assert!(start.elapsed() < LIMIT, "{found} of {records} records were read, and no more come");
        if child.try_wait().expect("a child").is_some() {
            let mut said = String::new();
            let stderr = child.stderr.take();
            std::io::Read::read_to_string(&mut stderr.expect("piped"), &mut said).expect("text");
            panic!("the run has ended by itself: {said}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The newest checkpoint; `None` where there is none, or where a run is just removing the one looked at.
pub(crate) fn newest(folder: &Path) -> Option<Manifest> {
    Some(checkpoint::look(&Disk, &folder.join("state")).ok()?.manifest?.0)
}

pub(crate) fn has_checkpoint(folder: &Path) -> bool {
    files(&folder.join("state")).keys().any(|name| name.starts_with("checkpoint-"))
}

/// Whether output is still in the making.
pub(crate) fn is_waiting(folder: &Path) -> bool {
    files(&folder.join("out")).keys().any(|name| name.starts_with('.'))
}

/// The files in a folder that nobody is writing to.
pub(crate) fn files(folder: &Path) -> Files {
    let Ok(entries) = std::fs::read_dir(folder) else { return Files::new() };
    let entries = entries.map(|entry| entry.expect("an entry")).filter(|entry| !entry.path().is_dir());
    let file = |entry: std::fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file"))
    };
    entries.map(file).collect()
}

/// The lines of a file that is text.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(str::to_owned).collect()
}
