//! `silence` by the clock of the machine that receives records: the ticks are input, so that a recording gives the same bits, and a run that goes on goes on with them.

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use command::{folder, run, text, tidemill};

const STAGE: &str =
    "[[stage]]\ntype = 'silence'\nafter = '400ms'\nby = 'clock'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";

fn pipeline(source: &str) -> String {
    format!("[source]\ntype = 'csv'\n{source}\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\n{STAGE}")
}

const NAMED: &str = "path = '-'\nheader = false\nnames = ['t', 's', 'v']";

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("written");
}

/// Waits until what is written has `count` lines.
fn lines(folder: &Path, count: usize) {
    for _ in 0..4_000 {
        let mut entries =
            fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let is_out = |path: &std::path::PathBuf| {
            path.ends_with("out.csv") || path.to_string_lossy().contains(".out.csv.part-")
        };
        let out = entries.find(is_out);
        let text = out.map_or_else(String::new, |path| fs::read_to_string(path).unwrap_or_default());
        if text.lines().count() >= count {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never {count} lines");
}

fn end(mut child: Child) {
    let output = child.stdin.take();
    drop(output);
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn out(folder: &Path) -> String {
    fs::read_to_string(folder.join("out.csv")).expect("written")
}

const OUT: &str = "t,s,v,silent\n\
                   2026-01-01T00:00:00Z,a,1,0\n\
                   2026-01-01T00:00:01Z,b,2,0\n\
                   2026-01-01T00:00:00Z,a,,1\n\
                   2026-01-01T00:00:01Z,b,,1\n\
                   2026-01-01T00:00:02Z,a,3,0\n\
                   2026-01-01T00:00:02Z,a,,1\n\
                   2026-01-01T00:00:03Z,b,4,0\n";

#[test]
fn all_sensors_are_silent_and_that_is_noticed_and_replayed() {
    for threads in ["1", "3"] {
        let folder = folder();
        write(folder.path(), "p.toml", &pipeline(NAMED));
        let mut command = tidemill(folder.path());
        command.args(["run", "p.toml", "--quiet", "--record", "day.rec", "--threads", threads]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut send = |rows: &str| {
            child.stdin.as_mut().expect("piped").write_all(rows.as_bytes()).expect("sent");
        };
        send("2026-01-01T00:00:00Z,a,1\n2026-01-01T00:00:01Z,b,2\n");
        lines(folder.path(), 5);
        send("2026-01-01T00:00:02Z,a,3\n");
        lines(folder.path(), 7);
        send("2026-01-01T00:00:03Z,b,4\n");
        lines(folder.path(), 8);
        end(child);
        assert_eq!(out(folder.path()), OUT);
        for threads in ["1", "2", "3"] {
            fs::remove_file(folder.path().join("out.csv")).expect("removed");
            let output = run(
                folder.path(),
                &["replay", "p.toml", "--from", "day.rec", "--quiet", "--threads", threads],
            );
            assert!(output.status.success(), "{}", text(&output.stderr));
            assert_eq!(out(folder.path()), OUT, "{threads} threads");
        }
        let recorded = pipeline("path = 'day.rec'\nheader = false\nnames = ['t', 's', 'v']");
        write(folder.path(), "recorded.toml", &recorded.replace("out.csv", "again.csv"));
        let output = run(folder.path(), &["verify", "recorded.toml", "--rounds", "2"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn a_run_that_goes_on_knows_who_was_silent() {
    let folder = folder();
    write(folder.path(), "in.csv", "t,s,v\n2026-01-01T00:00:00Z,a,1\n");
    write(folder.path(), "p.toml", &pipeline("path = 'in.csv'\nfollow = true"));
    let start = || {
        let mut command = tidemill(folder.path());
        command.args(["run", "p.toml", "--quiet", "--state", "state", "--checkpoint-every", "10ms"]);
        command.stderr(Stdio::piped()).spawn().expect("it runs")
    };
    let stop = |child: Child| {
        let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(sent.expect("sent").success());
        end(child);
    };
    let first = start();
    lines(folder.path(), 3);
    stop(first);
    let second = start();
    // Several ticks.
    std::thread::sleep(Duration::from_millis(600));
    let mut input = fs::OpenOptions::new().append(true).open(folder.path().join("in.csv")).expect("opened");
    input.write_all(b"2026-01-01T00:00:05Z,a,2\n").expect("written");
    lines(folder.path(), 4);
    stop(second);
    let output = run(folder.path(), &["run", "p.toml", "--state", "state", "--finish"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told =
        "t,s,v,silent\n2026-01-01T00:00:00Z,a,1,0\n2026-01-01T00:00:00Z,a,,1\n2026-01-01T00:00:05Z,a,2,0\n";
    assert!(out(folder.path()).starts_with(told), "{}", out(folder.path()));
}

#[test]
fn two_sources_have_one_clock() {
    let folder = folder();
    let source = |name: &str| {
        write(folder.path(), name, "t,s,v\n");
        format!(
            "[[source]]\nname = '{name}'\ntype = 'csv'\npath = '{name}'\nfollow = true\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\n"
        )
    };
    write(folder.path(), "p.toml", &(source("one") + &source("two") + STAGE));
    let mut command = tidemill(folder.path());
    command.args(["run", "p.toml", "--quiet", "--record", "rec", "--threads", "2"]);
    let child = command.stderr(Stdio::piped()).spawn().expect("it runs");
    let add = |name: &str, row: &str| {
        let mut input = fs::OpenOptions::new().append(true).open(folder.path().join(name)).expect("opened");
        input.write_all(row.as_bytes()).expect("written");
    };
    add("one", "2026-01-01T00:00:00Z,a,1\n");
    lines(folder.path(), 3);
    add("two", "2026-01-01T00:00:01Z,b,2\n");
    lines(folder.path(), 5);
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("sent").success());
    end(child);
    let live = out(folder.path());
    assert_eq!(
        live,
        "t,s,v,silent\n2026-01-01T00:00:00Z,a,1,0\n2026-01-01T00:00:00Z,a,,1\n2026-01-01T00:00:01Z,b,2,0\n2026-01-01T00:00:01Z,b,,1\n"
    );
    fs::remove_file(folder.path().join("out.csv")).expect("removed");
    let output = run(folder.path(), &["replay", "p.toml", "--from", "rec", "--quiet", "--threads", "3"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(out(folder.path()), live);
}

#[test]
fn input_without_a_clock_is_refused() {
    let folder = folder();
    write(folder.path(), "in.csv", "t,s,v\n2026-01-01T00:00:00Z,a,1\n");
    write(folder.path(), "p.toml", &pipeline("path = 'in.csv'"));
    for verb in ["validate", "run"] {
        let output = run(folder.path(), &[verb, "p.toml"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("it uses the time at which records are received"), "{said}");
        assert!(!folder.path().join("out.csv").exists());
    }
}
