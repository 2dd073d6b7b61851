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
    assert!(letter.to_string().contains("stopped before the record was complete"), "{letter}");
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
    assert!(said.contains("in.csv: the record at byte 25 is incomplete"), "{said}");
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

/// Waits until a checkpoint knows of half the record.
fn kept(folder: &Path) {
    let half = b"2026-01-01T00:00:01Z,a,2";
    let has_half = |path: &Path| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(half.len()).any(|text| text == half))
    };
    patiently("waiting for a checkpoint", || {
        let names = std::fs::read_dir(folder.join("state")).ok()?;
        let mut names =
            names.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("checkpoint-"));
        names.find(|entry| has_half(&entry.path()))
    });
}

#[test]
fn one_that_came_before_a_kill_is_set_aside_by_a_run_that_only_finishes() {
    for is_there in [true, false] {
        let folder = folder();
        begin(folder.path());
        let mut live = Run::start(folder.path(), &[&STATE[..], &["--checkpoint-every", "5ms"]].concat());
        patiently("reading", || live.line().starts_with("2026").then_some(()));
        kept(folder.path());
        live.child.kill().expect("killed");
        live.child.wait().expect("an end");
        if !is_there {
            std::fs::remove_file(folder.path().join("in.csv")).expect("removed");
        }
        let finish = run(folder.path(), &["run", "p.toml", "--state", "state", "--finish"]);
        assert!(finish.status.success(), "{}", text(&finish.stderr));
        let letters = dead(folder.path());
        assert_eq!(letters.len(), 1, "{letters:?}");
        is_half(&letters[0]);
    }
}

#[test]
fn half_a_record_alone_is_worth_a_checkpoint() {
    let folder = folder();
    begin(folder.path());
    std::fs::write(folder.path().join("in.csv"), "2026-01-01T00:00:01Z,a,2").expect("written");
    let mut live = Run::start(folder.path(), &[&STATE[..], &["--checkpoint-every", "5ms"]].concat());
    kept(folder.path());
    live.child.kill().expect("killed");
    live.child.wait().expect("an end");
    let finish = run(folder.path(), &["run", "p.toml", "--state", "state", "--finish"]);
    assert!(finish.status.success(), "{}", text(&finish.stderr));
    let letters = dead(folder.path());
    assert_eq!((letters.len(), &letters[0]["offset"]), (1, &0.into()), "{letters:?}");
}

#[test]
fn one_whose_file_is_removed_or_written_anew_meanwhile_is_set_aside_by_the_run_that_goes_on() {
    let removed = |path: &Path| std::fs::remove_file(path).expect("removed");
    let replaced = |path: &Path| {
        std::fs::write(path.with_file_name("new"), at(5, "b", "7")).expect("written");
        std::fs::rename(path.with_file_name("new"), path).expect("replaced");
    };
    let written_anew = |path: &Path| std::fs::write(path, at(5, "b", "7")).expect("written");
    let ways: [&dyn Fn(&Path); 3] = [&removed, &replaced, &written_anew];
    for (way, change) in ways.into_iter().enumerate() {
        let records = u64::from(way > 0);
        let folder = folder();
        begin(folder.path());
        stopped(folder.path(), &STATE);
        change(&folder.path().join("in.csv"));
        let mut live = Run::start(folder.path(), &[&STATE[..], &["--checkpoint-every", "5ms"]].concat());
        assert_eq!(live.line(), "t,sensor,v,v_avg");
        if records > 0 {
            assert_eq!(live.line(), "2026-01-01T00:00:05Z,b,7,7", "way {way}");
        }
        live.stop();
        // Once and no more.
        let mut live = Run::start(folder.path(), &STATE);
        append(folder.path(), &at(6, "b", "9"));
        patiently("reading", || live.line().starts_with("2026-01-01T00:00:06Z,b,9").then_some(()));
        live.stop();
        let report = ["--finish", "--report", "report.json"];
        let finish = run(folder.path(), &[&["run", "p.toml"], &STATE[..], &report].concat());
        assert!(finish.status.success(), "{}", text(&finish.stderr));
        let letters = dead(folder.path());
        assert_eq!(
            (letters.len(), &letters[0]["raw"]),
            (1, &"2026-01-01T00:00:01Z,a,2".into()),
            "way {way}: {letters:?}"
        );
        assert!(
            letters[0].to_string().contains("removed or rewritten before the record was complete"),
            "{letters:?}"
        );
        let report = std::fs::read(folder.path().join("report.json")).expect("a report");
        let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
        assert_eq!(report["report"]["source"]["input"], records + 3, "way {way}: {report}");
    }
}
