//! Files in the making: other runs leave them alone, the next run removes those of killed ones, and one that is removed is missed.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;

use super::command::{folder, run};
use super::ongoing::{COLUMNS, Run, at, patiently};

/// A pipeline from `in.csv` to `out/out.csv` and standard output.
fn write(folder: &Path, follow: bool) {
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\nfollow = {follow}\n{COLUMNS}\n\
         [[sink]]\ntype = 'csv'\npath = 'out/out.csv'\n[[sink]]\ntype = 'csv'\npath = '-'\n"
    );
    std::fs::write(folder.join("p.toml"), pipeline).expect("written");
}

fn append(folder: &Path, second: u32) {
    let file = OpenOptions::new().create(true).append(true).open(folder.join("in.csv"));
    file.expect("opened").write_all(at(second, "a", "1").as_bytes()).expect("written");
}

/// What is in `out`, in the order of the names.
fn made(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder.join("out")).expect("a folder");
    let mut names: Vec<_> =
        names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A run that has written its first record.
fn begun(folder: &Path, arguments: &[&str]) -> Run {
    let mut live = Run::start(folder, arguments);
    patiently("reading", || live.line().starts_with("2026").then_some(()));
    live
}

/// How a run ends that cannot, and what it says.
fn failed(mut live: Run) -> String {
    let mut said = String::new();
    live.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!(live.child.wait().expect("an end").code(), Some(74), "{said}");
    said
}

#[test]
fn a_run_of_the_same_output_leaves_that_of_a_live_one_alone() {
    let folder = folder();
    let folder = folder.path();
    append(folder, 0);
    write(folder, true);
    let mut live = begun(folder, &[]);
    write(folder, false);
    assert!(run(folder, &["run", "p.toml"]).status.success());
    assert_eq!(made(folder).len(), 2, "{:?}", made(folder));
    append(folder, 1);
    assert!(live.line().starts_with("2026-01-01T00:00:01Z"));
    live.stop();
    assert_eq!(made(folder), ["out.csv"]);
    let out = std::fs::read_to_string(folder.join("out/out.csv")).expect("an output");
    assert_eq!(out.lines().count(), 3, "{out}");
}

#[test]
fn what_killed_live_runs_have_left_is_removed_by_the_next_one() {
    let folder = folder();
    let folder = folder.path();
    append(folder, 0);
    write(folder, true);
    for _ in 0..3 {
        let mut live = begun(folder, &[]);
        assert_eq!(made(folder).len(), 1, "{:?}", made(folder));
        live.child.kill().expect("killed");
        live.child.wait().expect("an end");
    }
    begun(folder, &[]).stop();
    assert_eq!(made(folder), ["out.csv"]);
}

#[test]
fn a_live_run_whose_output_is_removed_or_moved_fails_with_the_next_record() {
    let there = |folder: &Path| folder.join("out");
    let away: [&dyn Fn(&Path); 2] =
        [&|folder| std::fs::remove_dir_all(there(folder)).expect("removed"), &|folder| {
            std::fs::rename(there(folder), folder.join("elsewhere")).expect("moved")
        }];
    for (away, arguments) in away.iter().flat_map(|away| [(away, &[][..]), (away, &["--state", "state"][..])])
    {
        let folder = folder();
        let folder = folder.path();
        append(folder, 0);
        write(folder, true);
        let live = begun(folder, arguments);
        away(folder);
        append(folder, 1);
        let said = failed(live);
        assert!(said.contains("cannot write out/out.csv: it, or its folder, was removed or moved"), "{said}");
    }
}

#[test]
fn a_live_run_that_goes_on_later_does_not_promise_an_output_that_was_removed() {
    let folder = folder();
    let folder = folder.path();
    append(folder, 0);
    write(folder, true);
    let live = begun(folder, &["--state", "state", "--checkpoint-every", "1h"]);
    std::fs::remove_dir_all(folder.join("out")).expect("removed");
    live.signal("-INT");
    let said = failed(live);
    assert!(said.contains("cannot write out/out.csv: it, or its folder, was removed or moved"), "{said}");
    assert!(!said.contains("the same command resumes it"), "{said}");
}

#[test]
fn a_recording_that_is_removed_is_missed() {
    for command in ["record", "run"] {
        let folder = folder();
        let folder = folder.path();
        append(folder, 0);
        write(folder, true);
        std::fs::create_dir(folder.join("rec")).expect("made");
        let recording = folder.join("rec/day.rec");
        let arguments: &[&str] = match command {
            "record" => &["record", "p.toml", "-o", "rec/day.rec"],
            _ => &["run", "p.toml", "--record", "rec/day.rec"],
        };
        let live = Run::of(folder, arguments);
        patiently("recording", || recording.metadata().is_ok_and(|meta| meta.len() > 100).then_some(()));
        std::fs::remove_dir_all(folder.join("rec")).expect("removed");
        append(folder, 1);
        let said = failed(live);
        assert!(said.contains("cannot write rec/day.rec: it, or its folder, was removed or moved"), "{said}");
    }
}

#[test]
fn so_is_one_that_is_removed_when_nothing_comes_in_any_more() {
    let folder = folder();
    let folder = folder.path();
    append(folder, 0);
    write(folder, true);
    let live = begun(folder, &["--record", "day.rec"]);
    std::fs::remove_file(folder.join("day.rec")).expect("removed");
    live.signal("-INT");
    let said = failed(live);
    assert!(said.contains("cannot write day.rec: it, or its folder, was removed or moved"), "{said}");
}
