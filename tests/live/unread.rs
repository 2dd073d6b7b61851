//! Nobody has to read standard error for a run to go on.

use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::process::Stdio;

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
    let report = std::fs::read_to_string(folder.path().join("report.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let remarks = report["report"]["remarks"].to_string();
    assert!(remarks.contains("1 line of notes stayed unread"), "{remarks}");
    drop(unread);
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
