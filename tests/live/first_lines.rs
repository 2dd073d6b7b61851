//! Input whose columns are said by its first lines, when those have not come yet: a run waits for them, and whoever looks does not.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use super::command::{folder, run, text};
use super::ongoing::{Run, write};

const FOLLOWED: &str = "path = 'in*.csv'\nfollow = true\ntime = 't'\nsensor = 'sensor'";
const PIPED: &str = "path = '-'\ntime = 't'\nsensor = 'sensor'";
const RECORDS: &str = "2026-01-01T00:00:00Z,a,1\n2026-01-01T00:00:01Z,a,3\n";

fn append(folder: &Path, name: &str, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(folder.join(name));
    file.expect("opened").write_all(text.as_bytes()).expect("written");
}

/// A run that has said that it waits, and what it said.
fn waiting(folder: &Path, arguments: &[&str]) -> (Run, BufReader<std::process::ChildStderr>, String) {
    let mut live = Run::start(folder, arguments);
    let mut said = BufReader::new(live.child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("waiting until") {
        line.clear();
        assert!(said.read_line(&mut line).expect("text") > 0, "it has ended");
    }
    (live, said, line)
}

/// How a run ends that is asked to stop before it has begun.
fn interrupted(mut live: Run, mut said: impl Read) -> String {
    live.signal("-INT");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    assert_eq!(live.child.wait().expect("an end").code(), Some(130), "{rest}");
    rest
}

#[test]
fn a_followed_file_that_is_missing_or_has_just_begun_is_waited_for() {
    for begun in
        [None, Some(""), Some("\u{feff}"), Some("t,sen"), Some("t,sensor,v\n"), Some("t,sensor,v\n2026-01-0")]
    {
        let folder = folder();
        let folder = folder.path();
        write(folder, FOLLOWED);
        begun.iter().for_each(|begun| append(folder, "in.csv", begun));
        let (mut live, mut said, line) = waiting(folder, &["--state", "state"]);
        let what = if begun.is_some_and(|begun| !begun.is_empty()) {
            "`in.csv` has its first lines"
        } else {
            "fits `in*.csv`"
        };
        assert!(line.contains(what), "{line}");
        let whole =
            format!("{}t,sensor,v\n{RECORDS}", if begun == Some("\u{feff}") { "\u{feff}" } else { "" });
        append(folder, "in.csv", &whole[begun.map_or(0, str::len)..]);
        let expected = ["t,sensor,v,v_avg", "2026-01-01T00:00:00Z,a,1,1", "2026-01-01T00:00:01Z,a,3,2"];
        assert_eq!(live.lines(3), expected, "{begun:?}");
        live.signal("-INT");
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        assert!(live.child.wait().expect("an end").success(), "{rest}");
        assert!(rest.contains("2 records of 1 sensor"), "{rest}");
    }
}

#[test]
fn asked_to_stop_while_it_waits_a_run_is_interrupted_and_leaves_nothing() {
    for (source, begun) in [(FOLLOWED, None), (FOLLOWED, Some("t,sen"))] {
        let folder = folder();
        let folder = folder.path();
        write(folder, source);
        begun.iter().for_each(|begun| append(folder, "in.csv", begun));
        let (live, said, _) = waiting(folder, &["--state", "state"]);
        let rest = interrupted(live, said);
        assert!(rest.contains("stopped before the input began"), "{rest}");
        assert!(!folder.join("dead.jsonl").exists());
        // The next one begins as if there had been none.
        append(folder, "in.csv", &format!("t,sensor,v\n{RECORDS}")[begun.map_or(0, str::len)..]);
        let mut live = Run::start(folder, &["--state", "state"]);
        assert_eq!(live.lines(3)[2], "2026-01-01T00:00:01Z,a,3,2");
        live.stop();
    }
}

#[test]
fn so_is_one_that_waits_for_the_header_of_a_pipe() {
    let folder = folder();
    write(folder.path(), PIPED);
    let mut live = Run::start(folder.path(), &[]);
    let mut input = live.child.stdin.take().expect("piped");
    let said = live.child.stderr.take().expect("piped");
    // More than goes into a pipe before somebody reads.
    input.write_all(&[b"t,sen".repeat(60_000)].concat()).expect("taken");
    let rest = interrupted(live, said);
    assert!(rest.contains("stopped before the input began"), "{rest}");
}

#[test]
fn whoever_only_looks_at_the_pipeline_is_told_that_the_columns_are_not_known_yet() {
    let folder = folder();
    write(folder.path(), FOLLOWED);
    for begun in ["", "t,sen"] {
        append(folder.path(), "in.csv", begun);
        for command in ["validate", "explain"] {
            let looked = run(folder.path(), &[command, "p.toml"]);
            let said = text(&looked.stderr);
            assert_eq!(looked.status.code(), Some(69), "{command}: {said}");
            for part in
                ["no file that fits `in*.csv` has its first lines", "waits for one", "with `measurements`"]
            {
                assert!(said.contains(part), "{command}: {said}");
            }
        }
    }
}
