//! Each stage of this crate gives what the one-thread loop gives: at rest on any number of threads, live, stopped and resumed, and killed while it
//! follows a file.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tidemill::Pipeline;
use tidemill::verify::{VerifyOptions, verify};
// Linked for its registrations.
use tidemill_example_stages as _;

/// A stage of each protocol.
const STAGES: [&str; 4] = [
    "type = 'power'\nvolts = 'u'\namperes = 'i'",
    "type = 'smooth'\nweight = 0.25",
    "type = 'dew_point'\ntemperature = 'u'\nhumidity = 'i'",
    "type = 'time_mean'\nevery = '7s'\ncarry = true",
];

const RECORDS: usize = 3000;

/// Records of 7 sensors, the same every time: lines of a file, the header first.
fn lines() -> Vec<String> {
    let mut chance = 1_u32;
    let mut next = |below: u32| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance >> 8) % below
    };
    let mut lines = vec!["t,s,u,i\n".to_owned()];
    for at in 0..RECORDS {
        let (sensor, volts, amperes) = (next(7), 220 + next(20), next(130));
        let volts = if next(10) == 0 { String::new() } else { format!("{volts}.5") };
        let (minute, second) = (at / 600 % 60, at / 10 % 60);
        lines.push(format!("2026-01-01T00:{minute:02}:{second:02}Z,m{sensor},{volts},{amperes}.25\n"));
    }
    lines
}

/// A pipeline of these stages from `input` to `output`, with more options of the source.
fn pipeline(stages: &[&str], input: &Path, output: &Path, more: &str) -> String {
    let (input, output) = (input.display(), output.display());
    let mut text = format!(
        "[source]\ntype = 'csv'\npath = '{input}'\ntime = 't'\nsensor = 's'\nmeasurements = ['u', 'i']\n{more}\n"
    );
    stages.iter().for_each(|stage| write!(text, "[[stage]]\n{stage}\n").expect("room"));
    text + &format!("[[sink]]\ntype = 'csv'\npath = '{output}'\n")
}

#[test]
fn every_way_of_running_gives_what_the_plain_loop_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("in.csv");
    std::fs::write(&input, lines().concat()).expect("written");
    for stages in STAGES.iter().map(std::slice::from_ref).chain([&STAGES[..]]) {
        let scratch = tempfile::tempdir().expect("a folder");
        let make = |out: &Path| {
            Pipeline::from_toml(&pipeline(stages, &input, &out.join("out.csv"), "")).map_err(Into::into)
        };
        // Rounds on 1, 2, 3 and 7 threads.
        let options = VerifyOptions { seed: 5, rounds: 4 };
        let verdict = verify(&make, scratch.path(), &options).expect("a verdict");
        assert_eq!(
            (verdict.failure, verdict.ways, verdict.records),
            (None, 13, RECORDS as u64),
            "{stages:?}"
        );
        assert_eq!(verdict.difference, None, "{stages:?}");
    }
}

/// The command of this crate in `folder`.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill-example-stages"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    command(folder, arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started")
}

fn run(folder: &Path, arguments: &[&str]) {
    let ended = start(folder, arguments).wait_with_output().expect("a child");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// How many records the newest checkpoint has; `None` before the first.
fn checkpointed(folder: &Path) -> Option<u64> {
    let inspected = command(folder, &["state", "inspect", "state", "--json"]).output().expect("it runs");
    let state: serde_json::Value = serde_json::from_slice(&inspected.stdout).ok()?;
    state["newest"]["records"].as_u64()
}

/// Kills a run that follows a file once a checkpoint has `records` records.
fn kill_behind(folder: &Path, records: u64) {
    let live = ["run", "live.toml", "--state", "state", "--checkpoint-every", "1ms", "--threads", "3"];
    let (mut child, start) = (start(folder, &live), Instant::now());
    while checkpointed(folder).is_none_or(|found| found < records) {
        assert!(start.elapsed() < Duration::from_secs(60) && child.try_wait().expect("a child").is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("killed");
    child.wait().expect("a child");
}

#[test]
fn a_live_run_that_was_killed_goes_on_to_the_same_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let (at, lines) = (folder.path(), lines());
    let write = |name: &str, more: &str| {
        let out = format!("{name}.csv");
        let text = pipeline(&STAGES, Path::new("in.csv"), Path::new(&out), more);
        std::fs::write(at.join(format!("{name}.toml")), text).expect("written");
    };
    write("plain", "");
    write("live", "follow = true");
    for records in [RECORDS / 3, 2 * RECORDS / 3, RECORDS] {
        std::fs::write(at.join("in.csv"), lines[..=records].concat()).expect("written");
        kill_behind(at, records as u64);
    }
    run(at, &["run", "live.toml", "--state", "state", "--finish"]);
    run(at, &["run", "plain.toml", "--threads", "1"]);
    let read = |name: &str| std::fs::read_to_string(at.join(name)).expect("an output");
    assert!(read("plain.csv").lines().count() > RECORDS / 20);
    assert_eq!(read("live.csv"), read("plain.csv"));
}
