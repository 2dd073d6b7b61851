//! A followed file whose last record has not ended when the run is stopped: it is set aside, or read again by the run that goes on.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::command::{folder, run, text};
use super::ongoing::{COLUMNS, Run, at, dead, patiently, write};

const STATE: [&str; 2] = ["--state", "state"];

fn append(folder: &Path, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(folder.join("in.csv"));
    file.expect("opened").write_all(text.as_bytes()).expect("written");
}

/// A run that has read all of `in.csv`, which ends with half a record; what it says when it is stopped.
fn stopped(folder: &Path, arguments: &[&str]) -> String {
    let mut live = Run::start(folder, arguments);
    patiently("reading", || live.line().starts_with("2026").then_some(()));
    live.stop().1
}

fn begin(folder: &Path) {
    write(folder, &format!("path = 'in.csv'\nfollow = true\n{COLUMNS}"));
    append(folder, &(at(0, "a", "1") + "2026-01-01T00:00:01Z,a,2"));
}

fn is_half(letter: &serde_json::Value) {
    assert_eq!(letter["raw"], "2026-01-01T00:00:01Z,a,2", "{letter}");
    assert_eq!((&letter["line"], &letter["offset"]), (&2.into(), &25.into()), "{letter}");
    assert!(letter.to_string().contains("stopped before the record ended"), "{letter}");
}

#[test]
fn half_a_record_at_the_end_is_set_aside_when_the_run_is_stopped() {
    let folder = folder();
    begin(folder.path());
    stopped(folder.path(), &[]);
    let letters = dead(folder.path());
    assert_eq!(letters.len(), 1, "{letters:?}");
    is_half(&letters[0]);
}

#[test]
fn a_run_that_goes_on_reads_the_half_record_whole() {
    let folder = folder();
    begin(folder.path());
    let said = stopped(folder.path(), &STATE);
    assert!(said.contains("in.csv: the record at byte 25 has not ended"), "{said}");
    append(folder.path(), ".5\n");
    let mut live = Run::start(folder.path(), &STATE);
    patiently("reading", || live.line().starts_with("2026-01-01T00:00:01Z,a,2.5").then_some(()));
    live.stop();
    let finish = run(folder.path(), &["run", "p.toml", "--state", "state", "--finish"]);
    assert!(finish.status.success(), "{}", text(&finish.stderr));
    assert_eq!(dead(folder.path()).len(), 0);
}

#[test]
fn a_run_that_only_finishes_sets_it_aside() {
    let folder = folder();
    begin(folder.path());
    stopped(folder.path(), &STATE);
    // It need not be there any more.
    std::fs::remove_file(folder.path().join("in.csv")).expect("removed");
    let finish = ["run", "p.toml", "--state", "state", "--finish", "--report", "report.json"];
    let finished = run(folder.path(), &finish);
    assert!(finished.status.success(), "{}", text(&finished.stderr));
    let letters = dead(folder.path());
    assert_eq!(letters.len(), 1, "{letters:?}");
    is_half(&letters[0]);
    let report = std::fs::read(folder.path().join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report["report"]["source"]["rejected"], 1, "{report}");
}
