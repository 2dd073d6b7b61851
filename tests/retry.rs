//! Dead letters that somebody has repaired go through the pipeline again; the rest becomes new dead letters.

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::path::Path;

use command::{folder, run, text};

const PIPELINE: &str = "[source]\ntype = 'csv'\npath = 'in/*.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 1.0\n\
    [[sink]]\ntype = 'csv'\npath = 'out.csv'\n[[sink]]\ntype = 'dead_letter'\npath = 'rejects.jsonl'\n";

/// Two files with other columns, and three bad records.
fn rejected(folder: &Path) {
    fs::create_dir(folder.join("in")).expect("a folder");
    let one = "t,s,v\n2026-01-01T00:00:00Z,a,1\n2026-01-01T00:00:01Z,a,twelve\n2026-01-01T00:00:02Z,a,3\n";
    fs::write(folder.join("in/1.csv"), one).expect("written");
    fs::write(folder.join("in/2.csv"), "v,t,s\n5,yesterday,b\n6,2026-01-01T00:00:06Z,b\n7,tomorrow,b\n")
        .expect("written");
    fs::write(folder.join("p.toml"), PIPELINE).expect("written");
    let output = run(folder, &["run", "p.toml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(letters(folder, "rejects.jsonl").len(), 3);
}

fn letters(folder: &Path, name: &str) -> Vec<String> {
    fs::read_to_string(folder.join(name)).expect("letters").lines().map(str::to_owned).collect()
}

fn edit(folder: &Path, name: &str, edits: &[(&str, &str)]) {
    let mut all = fs::read_to_string(folder.join(name)).expect("letters");
    for (was, is) in edits {
        assert!(all.contains(was), "{all}");
        all = all.replace(was, is);
    }
    fs::write(folder.join(name), all).expect("written");
}

#[test]
fn what_was_repaired_passes_and_the_rest_is_a_new_dead_letter() {
    let folder = folder();
    let folder = folder.path();
    rejected(folder);
    edit(
        folder,
        "rejects.jsonl",
        &[("Z,a,twelve\"", "Z,a,12\""), ("\"5,yesterday,b\"", "\"5,2026-01-01T00:00:05Z,b\"")],
    );
    // What was written stays as it is.
    let output = run(folder, &["retry", "rejects.jsonl", "p.toml"]);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(78) && said.contains("would replace"), "{said}");
    let arguments = ["retry", "rejects.jsonl", "p.toml", "--set", "sink.0.path=repaired.csv"];
    let output = run(folder, &arguments);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("2 of 3 dead letters passed"), "{said}");
    let repaired = fs::read_to_string(folder.join("repaired.csv")).expect("a file");
    let lines: Vec<_> = repaired.lines().skip(1).collect();
    assert_eq!(
        lines,
        ["2026-01-01T00:00:01Z,a,12", "2026-01-01T00:00:05Z,b,5"],
        "each by the header of its file"
    );
    let rest = letters(folder, "rejects.rest.jsonl");
    assert!(rest.len() == 1 && rest[0].contains("7,tomorrow,b"), "{rest:?}");
    // Letters of an earlier attempt are not lost by another one.
    fs::remove_file(folder.join("repaired.csv")).expect("removed");
    let said = text(&run(folder, &arguments).stderr);
    assert!(said.contains("dead letters of an earlier attempt"), "{said}");
}

#[test]
fn when_all_pass_nothing_is_left() {
    let folder = folder();
    let folder = folder.path();
    rejected(folder);
    let edits =
        [("a,twelve", "a,12"), ("yesterday", "2026-01-01T00:00:05Z"), ("tomorrow", "2026-01-01T00:00:07Z")];
    // Only in what is read: the reason may say the same.
    let lines = letters(folder, "rejects.jsonl").into_iter().map(|line| {
        let (reason, raw) = line.split_once("\"raw\":").expect("a letter");
        let raw = edits.iter().fold(raw.to_owned(), |raw, (was, is)| raw.replace(was, is));
        format!("{reason}\"raw\":{raw}")
    });
    let repaired: Vec<String> = lines.collect();
    fs::write(folder.join("rejects.jsonl"), repaired.join("\n")).expect("written");
    let output = run(folder, &["retry", "rejects.jsonl", "p.toml", "--set", "sink.0.path=repaired.csv"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("all of 3 dead letters passed"), "{said}");
    assert!(!folder.join("rejects.rest.jsonl").exists());
}

#[test]
fn what_cannot_be_read_again_is_an_error_that_says_why() {
    let folder = folder();
    let folder = folder.path();
    rejected(folder);
    let retry = |set: &str| {
        let output = run(
            folder,
            &["retry", "rejects.jsonl", "p.toml", "--set", "sink.0.path=repaired.csv", "--set", set],
        );
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = retry("source.encoding=latin1");
    assert!(code == Some(78) && said.contains("dead letters are not"), "{said}");
    fs::rename(folder.join("in/1.csv"), folder.join("moved")).expect("moved");
    let (code, said) = retry("source.order=input");
    assert!(
        code == Some(69) && said.contains("does not exist any more, and records need its header"),
        "{said}"
    );
    fs::write(folder.join("rejects.jsonl"), "{\"file\": 1}\n").expect("written");
    let (code, said) = retry("source.order=input");
    assert!(code == Some(65) && said.contains("line 1 of rejects.jsonl is no dead letter"), "{said}");
}
