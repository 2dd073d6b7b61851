//! A run that was paused and replaced writes nothing more: it is ended, and where it cannot be, it is refused.

#[path = "common/command.rs"]
mod command;
#[path = "common/of_disk.rs"]
mod of_disk;
#[path = "take_over/refused.rs"]
mod refused;

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use command::{folder, run, text, tidemill};
use rustix::process::{Pid, Signal, kill_process};
use tidemill_engine::checkpoint;
use tidemill_engine::files::Disk;

/// Whoever waits longer than this waits for something that will not come.
const LIMIT: Duration = Duration::from_secs(120);

const ARGUMENTS: [&str; 6] = ["run", "p.toml", "--state", "state", "--checkpoint-every", "5ms"];

fn signal(run: &Child, signal: Signal) {
    kill_process(Pid::from_child(run), signal).expect("a process");
}

/// Waits for a checkpoint behind so many records.
fn wait_for(folder: &Path, records: u64) {
    let begun = Instant::now();
    loop {
        let found = checkpoint::look(&Disk, &folder.join("state")).ok();
        if found.and_then(|found| found.manifest).is_some_and(|(manifest, _)| manifest.records >= records) {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "no checkpoint behind {records} records");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn append(folder: &Path, records: std::ops::Range<u64>) {
    let mut file =
        std::fs::File::options().append(true).create(true).open(folder.join("in.csv")).expect("a file");
    for at in records {
        writeln!(file, "m{},{at}", at % 3).expect("written");
    }
}

fn start(folder: &Path, more: &[&str]) -> Child {
    let mut command = tidemill(folder);
    command.args(ARGUMENTS).args(more).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("started")
}

/// A run that follows a file, with a checkpoint of the 100 records that it has so far.
fn begin(folder: &Path) -> Child {
    std::fs::write(folder.join("in.csv"), "s,v\n").expect("written");
    append(folder, 0..100);
    let pipeline = "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor = 's'\nfollow = true\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
    std::fs::write(folder.join("p.toml"), pipeline).expect("written");
    let first = start(folder, &[]);
    wait_for(folder, 100);
    first
}

#[test]
fn a_run_that_was_stopped_and_replaced_writes_nothing_more() {
    let folder = folder();
    let folder = folder.path();
    let mut first = begin(folder);
    signal(&first, Signal::STOP);
    append(folder, 100..200);
    let refused = run(folder, &ARGUMENTS);
    let said = text(&refused.stderr);
    let who = format!("another run is using the state folder state: process {}", first.id());
    assert!(said.contains(&who) && said.contains("--take-over"), "{said}");
    let second = start(folder, &["--take-over"]);
    wait_for(folder, 200);
    // It would go on now, and has been ended.
    let _gone_already = kill_process(Pid::from_child(&first), Signal::CONT);
    assert_eq!(first.wait().expect("an end").signal(), Some(Signal::KILL.as_raw()));
    append(folder, 200..300);
    wait_for(folder, 300);
    signal(&second, Signal::INT);
    let ended = second.wait_with_output().expect("an end");
    assert!(
        text(&ended.stderr).contains("ended the run that was using the state folder"),
        "{}",
        text(&ended.stderr)
    );
    let finished = run(folder, &[&ARGUMENTS[..], &["--finish", "--take-over"]].concat());
    assert!(finished.status.success(), "{}", text(&finished.stderr));
    let written = std::fs::read_to_string(folder.join("out.csv")).expect("a file");
    let values: Vec<u64> = written
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).expect("a value").parse().expect("a number"))
        .collect();
    assert!(values.into_iter().eq(0..300), "each record once, in order");
}

#[test]
fn of_several_that_take_over_at_the_same_time_one_goes_on_and_the_others_say_so() {
    let folder = folder();
    let folder = folder.path();
    let mut first = begin(folder);
    let mut others: Vec<_> = (0..4).map(|_| start(folder, &["--take-over"])).collect();
    assert_eq!(first.wait().expect("an end").signal(), Some(Signal::KILL.as_raw()));
    let begun = Instant::now();
    while others.iter_mut().filter_map(|run| run.try_wait().expect("asked")).count() < 3 {
        assert!(begun.elapsed() < LIMIT, "more than one goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    append(folder, 100..200);
    wait_for(folder, 200);
    for mut run in others {
        if run.try_wait().expect("asked").is_none() {
            signal(&run, Signal::INT);
            assert!(text(&run.wait_with_output().expect("an end").stderr).contains("in its place"));
            continue;
        }
        let ended = run.wait_with_output().expect("an end");
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(69), "{said}");
        assert!(said.contains("another run has taken over the state folder state: process "), "{said}");
        assert!(said.contains(", since 20") && said.contains("--take-over again"), "{said}");
    }
}
