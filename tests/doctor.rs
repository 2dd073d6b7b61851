//! `tidemill doctor`: every endpoint is looked at, whatever is wrong with another one.

#[path = "common/command.rs"]
mod command;

use std::fs;

use command::{folder, run, text};

const PIPELINE: &str = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\n\
    [[stage]]\ntype = 'threshold'\nmin = 0\n\
    [[sink]]\ntype = 'csv'\npath = 'out/x.csv'\n[[sink]]\ntype = 'jsonl'\npath = 'x.jsonl'\n";

#[test]
fn what_is_fine_and_what_fails_is_told_for_each_part() {
    let folder = folder();
    fs::write(folder.path().join("p.toml"), PIPELINE).expect("written");
    fs::write(folder.path().join("in.csv"), "time,sensor,v\n2026-01-01T00:00:00Z,a,1\n").expect("written");
    let out = run(folder.path(), &["doctor", "p.toml"]);
    let told = text(&out.stdout);
    assert_eq!(out.status.code(), Some(69), "{told}");
    assert!(told.contains("ok    open: columns: time, sensor, v"), "{told}");
    assert!(told.contains("FAIL  folder: cannot write to the folder out"), "{told}");
    assert!(told.contains("sink 1 (jsonl)\n  ok    folder"), "{told}");
    fs::create_dir(folder.path().join("out")).expect("a folder");
    let out = run(folder.path(), &["doctor", "p.toml"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stdout));
    fs::remove_file(folder.path().join("in.csv")).expect("removed");
    let out = run(folder.path(), &["doctor", "p.toml"]);
    let told = text(&out.stdout);
    assert!(
        told.contains("FAIL  open: cannot read in.csv") && told.contains("ok    folder: out is writable"),
        "{told}"
    );
    let left: Vec<_> = fs::read_dir(folder.path().join("out")).expect("a folder").collect();
    assert!(left.is_empty(), "nothing is written");
}
