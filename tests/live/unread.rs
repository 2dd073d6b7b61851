//! Nobody has to read standard error for a run to go on.

use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::command::{folder, run, text, tidemill};
use super::ongoing::{COLUMNS, at, patiently};

/// A pipe that takes no more, and that nobody reads.
fn full() -> (PipeReader, PipeWriter) {
    let (unread, mut full) = pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&full, true).expect("set");
    while full.write(&[b'x'; 4096]).is_ok() || full.write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&full, false).expect("set");
    (unread, full)
}

#[test]
fn a_run_whose_standard_error_nobody_reads_goes_on_and_counts_what_it_could_not_say() {
    let folder = folder();
    let pipeline =
        format!("[source]\ntype = 'csv'\npath = '-'\n{COLUMNS}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n");
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let (unread, full) = full();
    let mut child = tidemill(folder.path())
        .args(["run", "p.toml", "--state", "state", "--report", "report.json", "--progress", "always"])
        .stdin(Stdio::piped())
        .stderr(full)
        .spawn()
        .expect("the command runs");
    let records: String = (0..1000).map(|n| at(n, "a", "1")).collect();
    let mut input = child.stdin.take().expect("piped");
    input.write_all(records.as_bytes()).expect("taken");
    drop(input);
    let status = patiently("waiting for the end", || child.try_wait().expect("a child"));
    assert!(status.success());
    let lines = std::fs::read_to_string(folder.path().join("out.csv")).expect("an output");
    assert_eq!(lines.lines().count(), 1001);
    // The summary is among it.
    let remarks = remarks(folder.path());
    assert!(remarks.contains(" lines of notes were not written"), "{remarks}");
    drop(unread);
}

/// What the report has to say.
fn remarks(folder: &Path) -> String {
    let report = std::fs::read_to_string(folder.join("report.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    report["report"]["remarks"].to_string()
}

/// Runs a pipeline with three alerts for every second record of `in.csv`, two of them to a log that nobody reads. Gives what the report says.
fn alerts(input: &str, arguments: &[&str], feed: impl FnOnce(&mut ChildStdin, &str)) -> String {
    let folder = folder();
    let alert = "[[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 0\n";
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = '{input}'\n{COLUMNS}\n{alert}{alert}{alert}path = 'alerts.jsonl'\n[[sink]]\ntype = 'null'\n"
    );
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let records: String = (0..1000).map(|n| at(n, "a", if n % 2 == 0 { "1" } else { "-1" })).collect();
    std::fs::write(folder.path().join("in.csv"), &records).expect("written");
    let (unread, full) = full();
    let mut child = tidemill(folder.path())
        .args(["run", "p.toml", "--report", "report.json"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(full)
        .spawn()
        .expect("the command runs");
    let start = Instant::now();
    let mut input = child.stdin.take().expect("piped");
    feed(&mut input, &records);
    if arguments.is_empty() {
        drop(input);
    } else {
        // All has been read when it has come out.
        patiently("waiting for alerts", || {
            let parts = std::fs::read_dir(folder.path()).expect("a folder").filter_map(Result::ok);
            let is_whole = |entry: std::fs::DirEntry| {
                std::fs::read_to_string(entry.path()).is_ok_and(|text| text.lines().count() == 1000)
            };
            let mut alerts = parts.filter(|entry| entry.file_name().to_string_lossy().contains("alerts"));
            alerts.any(is_whole).then_some(())
        });
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().expect("it runs").success());
    }
    assert!(patiently("waiting for the end", || child.try_wait().expect("a child")).success());
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    drop(unread);
    remarks(folder.path())
}

#[test]
fn alerts_that_nobody_reads_hold_no_run_up_at_its_end_and_are_counted() {
    let told = "1000 alerts were dropped because the log did not read them";
    for (input, arguments) in [("in.csv", &[][..]), ("-", &[]), ("-", &["--state", "state"])] {
        let remarks = alerts(input, arguments, |stdin, records| {
            if input == "-" {
                stdin.write_all(records.as_bytes()).expect("taken");
            }
        });
        assert_eq!(remarks.matches(told).count(), 2, "{input} {arguments:?}: {remarks}");
        assert!(remarks.contains(" of notes were not written"), "{remarks}");
    }
}

#[test]
fn a_command_that_fails_ends_though_nobody_reads_why() {
    let folder = folder();
    let (unread, full) = full();
    let mut child =
        tidemill(folder.path()).args(["run", "none.toml"]).stderr(full).spawn().expect("the command runs");
    let status = patiently("waiting for the end", || child.try_wait().expect("a child"));
    assert_eq!(status.code(), run(folder.path(), &["run", "none.toml"]).status.code());
    drop(unread);
    // What was said is said to whoever reads.
    assert!(text(&run(folder.path(), &["run", "none.toml"]).stderr).contains("no such file"));
}
