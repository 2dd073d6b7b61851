//! Kill it at any moment: nothing is lost, nothing comes twice (file → file).
//!
//! The command runs in a folder of its own and is killed after a random time, again and again, also while it recovers; when one run has
//! come to its end, every output is compared with that of a run that nobody disturbed.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how many kills; 1,000 if not given |
//! | `TIDEMILL_SEED` | replays the delays and settings of an earlier run; the moment of a kill depends on the machine too |

#[path = "common/command.rs"]
mod command;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use command::{folder, run, text, tidemill};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How many are killed at the same time.
const AT_A_TIME: u64 = 2;

/// The input comes in so many files, each a chunk.
const FILES: usize = 24;

/// Records of each.
const RECORDS: usize = 400;

/// After so many kills of one run, it may come to its end.
const PATIENCE: u32 = 30;

/// What stands between source and sinks.
const STAGES: [&str; 2] = [
    "[[stage]]\ntype = 'threshold'\nmin = -20\nmax = 90\n\
     [[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nrunning = true\n\
     [[stage]]\ntype = 'moving_average'\nwindow = 20\n\
     [[sink]]\ntype = 'alert'\npath = 'out/alerts.jsonl'\ncolumn = 'v'\nabove = 1.5\n",
    "[[stage]]\ntype = 'threshold'\nmin = -20\nmax = 90\n\
     [[stage]]\ntype = 'normalize'\nmin = -20\nmax = 90\n\
     [[stage]]\ntype = 'aggregate'\nevery = '7s'\nstatistics = ['count', 'mean', 'min', 'std']\ninto = 'v_{statistic}'\n\
     [[sink]]\ntype = 'alert'\npath = 'out/alerts.jsonl'\ncolumn = 'v_mean'\nabove = 0.6\n",
];

type Files = BTreeMap<String, Vec<u8>>;

/// What happened, in all.
#[derive(Default)]
struct Count {
    kills: AtomicU64,
    /// Before the first checkpoint of a run.
    early: AtomicU64,
    /// When some output had its name already, and the run did not know that it was over.
    late: AtomicU64,
    stops: AtomicU64,
    runs: AtomicU64,
    /// Runs that came to their end from a checkpoint.
    resumed: AtomicU64,
}

#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn pipeline(stages: &str) -> String {
    format!(
        "[source]\ntype = 'csv'\npath = 'in/*.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\norder = 'time'\ndisorder = '5s'\nmax_rejects = 0.5\n\
         {stages}\
         [[sink]]\ntype = 'csv'\npath = 'out/all.csv'\n\
         [[sink]]\ntype = 'jsonl'\npath = 'out/some.jsonl'\nsensors = ['s1*']\n\
         [[sink]]\ntype = 'dead_letter'\npath = 'out/rejects.jsonl'\n"
    )
}

/// An input for both pipelines, the same every time: out of order here and there, values that are none among them.
fn write_input(folder: &Path) {
    std::fs::create_dir(folder.join("in")).expect("a folder");
    let mut random = StdRng::seed_from_u64(4);
    for file in 0..FILES {
        let mut text = String::from("t,s,v\n");
        for record in 0..RECORDS {
            let second = ((file * RECORDS + record) / 8 + 6).saturating_sub(random.random_range(0..6));
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            let sensor = random.random_range(0..16);
            let value = match random.random_range(0..20) {
                0 => "none".to_owned(),
                _ => format!("{:.3}", random.random_range(-25.0..95.0)),
            };
            writeln!(text, "2024-05-01T{hour:02}:{minute:02}:{second:02}Z,s{sensor},{value}").expect("room");
        }
        std::fs::write(folder.join(format!("in/{file:02}.csv")), text).expect("written");
    }
    for (at, stages) in STAGES.iter().enumerate() {
        std::fs::write(folder.join(format!("p{at}.toml")), pipeline(stages)).expect("written");
    }
}

fn files(folder: &Path) -> Files {
    let Ok(entries) = std::fs::read_dir(folder) else { return Files::new() };
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("an entry");
        (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file"))
    };
    entries.map(file).collect()
}

/// What each pipeline gives when nobody disturbs it, and how long that takes.
fn undisturbed(folder: &Path) -> Vec<(Files, Duration)> {
    let run = |at: usize| {
        let start = Instant::now();
        let ended = run(folder, &["run", &format!("p{at}.toml"), "--quiet", "--state", "state"]);
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        let (took, outputs) = (start.elapsed(), files(&folder.join("out")));
        assert!(outputs.len() == 4 && outputs.values().all(|bytes| bytes.len() > 1000));
        for left in ["out", "state"] {
            std::fs::remove_dir_all(folder.join(left)).expect("removed");
        }
        (outputs, took)
    };
    (0..STAGES.len()).map(run).collect()
}

/// Starts a run that goes on with what is there.
fn start(folder: &Path, pipeline: usize, random: &mut StdRng) -> Child {
    let threads = random.random_range(1..=3).to_string();
    let every = format!("{}ms", [1, 1, 5, 20][random.random_range(0..4)]);
    let pipeline = format!("p{pipeline}.toml");
    let mut command = tidemill(folder);
    command.args(["run", &pipeline, "--threads", &threads, "--state", "state"]);
    command.args(["--checkpoint-every", &every]).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("started")
}

/// When to kill a run that takes about so long: most are anywhere in it, some at its very start.
fn delay(took: Duration, random: &mut StdRng) -> Duration {
    match random.random_range(0..4) {
        0 => took.mul_f64(random.random_range(0.0..0.25)),
        _ => took.mul_f64(random.random_range(0.0..1.1)),
    }
}

/// Kills one run until it has come to its end all the same, and compares.
fn kill_one(folder: &Path, expected: &[(Files, Duration)], seed: u64, count: &Count) {
    let mut random = StdRng::seed_from_u64(seed);
    let at = random.random_range(0..expected.len());
    let (outputs, took) = &expected[at];
    let mut kills = 0;
    loop {
        let goes_on = has_checkpoint(folder);
        let mut child = start(folder, at, &mut random);
        let is_stop = random.random_range(0..16) == 0;
        if kills < PATIENCE {
            std::thread::sleep(delay(*took, &mut random));
            if child.try_wait().expect("a child").is_none() {
                if is_stop {
                    // A stop is asked for; what is durable then is all that has come in.
                    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
                    assert!(asked.expect("asked").success() || child.try_wait().expect("a child").is_some());
                    count.stops.fetch_add(1, Ordering::Relaxed);
                } else {
                    child.kill().expect("killed");
                }
            }
        }
        let ended = child.wait_with_output().expect("a child");
        count.runs.fetch_add(1, Ordering::Relaxed);
        if ended.status.code().is_none() {
            kills += 1;
            note(folder, count);
            continue;
        }
        if ended.status.code() == Some(130) {
            assert!(is_stop, "seed {seed}, after {kills} kills: stopped by nobody");
            continue;
        }
        let said = text(&ended.stderr);
        assert!(ended.status.success(), "seed {seed}, after {kills} kills: {said}");
        // One that began anew would give the same output too.
        assert!(!goes_on || said.contains("went on from"), "seed {seed}, after {kills} kills: {said}");
        count.resumed.fetch_add(u64::from(goes_on), Ordering::Relaxed);
        if files(&folder.join("out")).len() == outputs.len() && !is_waiting(folder) {
            break;
        }
        assert!(is_stop, "seed {seed}, after {kills} kills: a run has ended, and its output is not complete");
    }
    let found = files(&folder.join("out"));
    let names: Vec<_> = found.keys().collect();
    assert_eq!(names, outputs.keys().collect::<Vec<_>>(), "seed {seed}, after {kills} kills");
    for (name, bytes) in outputs {
        assert!(
            found[name] == *bytes,
            "seed {seed}, after {kills} kills: {name} differs\n{}",
            text(&found[name])
        );
    }
    let kept = files(&folder.join("state"));
    assert!(
        kept.len() <= 4 && kept.keys().all(|name| !name.starts_with('.')),
        "seed {seed}: {:?}",
        kept.keys()
    );
}

fn has_checkpoint(folder: &Path) -> bool {
    files(&folder.join("state")).keys().any(|name| name.starts_with("checkpoint-"))
}

/// Whether output is still in the making.
fn is_waiting(folder: &Path) -> bool {
    files(&folder.join("out")).keys().any(|name| name.starts_with('.'))
}

/// Counts a kill by what it met.
fn note(folder: &Path, count: &Count) {
    count.kills.fetch_add(1, Ordering::Relaxed);
    let out = files(&folder.join("out"));
    if !has_checkpoint(folder) {
        count.early.fetch_add(1, Ordering::Relaxed);
    }
    if out.keys().any(|name| !name.starts_with('.')) {
        count.late.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_run_killed_at_any_moments_loses_and_repeats_nothing() {
    let wanted = variable("TIDEMILL_KILLS").unwrap_or(1000);
    let seed = variable("TIDEMILL_SEED").unwrap_or_else(|| rand::rng().random());
    println!("TIDEMILL_SEED={seed} TIDEMILL_KILLS={wanted}");
    let (begun, count) = (Instant::now(), Count::default());
    std::thread::scope(|scope| {
        for worker in 0..AT_A_TIME {
            let count = &count;
            scope.spawn(move || {
                let place = folder();
                write_input(place.path());
                let expected = undisturbed(place.path());
                let mut random = StdRng::seed_from_u64(seed ^ worker);
                while count.kills.load(Ordering::Relaxed) < wanted {
                    kill_one(place.path(), &expected, random.random(), count);
                    for left in ["out", "state"] {
                        std::fs::remove_dir_all(place.path().join(left)).expect("removed");
                    }
                }
            });
        }
    });
    let Count { kills, early, late, stops, runs, resumed } = count;
    let resumed = resumed.into_inner();
    assert!(resumed > 0, "no run went on from a checkpoint");
    println!(
        "{} kills in {:.1?}: {} before the first checkpoint, {} with output published; {} stops; {} runs; {resumed} came to their end from a checkpoint",
        kills.into_inner(),
        begun.elapsed(),
        early.into_inner(),
        late.into_inner(),
        stops.into_inner(),
        runs.into_inner()
    );
}
