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
            "matches `in*.csv`"
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
fn a_pipe_of_records_that_name_their_fields_begins_with_what_has_all_that_the_options_name() {
    let second = |at: usize| 1_767_225_600 + at;
    let json = |at: usize| match at % 3 {
        1 => format!("{{\"q\":{at},\"note\":\"n{at}\",\"t\":{},\"s\":\"a\"}}\n", second(at)),
        _ => format!("{{\"t\":{},\"other\":1,\"s\":\"a\",\"p\":{at}.5}}\n", second(at)),
    };
    let influx = |at: usize| match at % 3 {
        1 => format!("m,s=a q={at},note=\"n{at}\" {}000000000\n", second(at)),
        _ => format!("m,s=a other=1,p={at}.5 {}000000000\n", second(at)),
    };
    let kinds: [(&str, &dyn Fn(usize) -> String); 2] =
        [("type = 'jsonl'\ntime = 't'\ntime_format = 's'", &json), ("type = 'influx'\ntable = ''", &influx)];
    for (kind, record) in kinds {
        let folder = folder();
        let pipeline = |path: &str| {
            let text = format!(
                "[source]\n{kind}\npath = '{path}'\nsensor = 's'\nmeasurements = ['p', 'q']\ncolumns = ['note']\n\
                 [[sink]]\ntype = 'csv'\npath = '-'\n"
            );
            std::fs::write(folder.path().join("p.toml"), text).expect("written");
        };
        pipeline("-");
        let mut live = Run::start(folder.path(), &[]);
        let mut input = live.child.stdin.take().expect("piped");
        let mut send = |at: usize| input.write_all(record(at).as_bytes()).expect("taken");
        // The second one has what the first one lacks.
        (0..2).for_each(&mut send);
        let mut out = live.lines(3);
        for at in 2..1_500 {
            send(at);
            if at < 10 {
                out.push(live.line());
            }
        }
        drop(input);
        out.extend(live.output.by_ref().lines().map(|line| line.expect("text")));
        assert!(live.child.wait().expect("an end").success());
        // At rest, the bits are the same.
        std::fs::write(folder.path().join("in"), (0..1_500).map(record).collect::<String>())
            .expect("written");
        pipeline("in");
        let whole = run(folder.path(), &["run", "p.toml"]);
        assert_eq!(text(&whole.stdout).lines().collect::<Vec<_>>(), out, "{kind}: {}", text(&whole.stderr));
        assert_eq!(out.len(), 1_501, "{kind}");
    }
}

#[test]
fn a_pipe_that_is_waited_for_is_said_to_be_and_why() {
    let json = "type = 'jsonl'\ntime = 't'\nsensor = 's'";
    let cases = [
        ("type = 'csv'\ntime = 't'\nsensor = 's'", "t,", "waiting until `-` has its first lines"),
        ("type = 'csv'\ntime = 't'\nsensor = 's'", "t,s,v\n1,a,1\n", "with `measurements` and no globs"),
        (json, "{\"t\":1,\"s\":\"a\",\"v\":1}\n", "with `measurements` and `columns`"),
        (
            &format!("{json}\nmeasurements = ['v', 'w']\ncolumns = []"),
            "{\"t\":1,\"s\":\"a\",\"v\":1}\n",
            "all fields that the options name, or 1000 records or 1 MiB",
        ),
        (
            "type = 'influx'\nmeasurements = ['v']",
            "m v=1 1\n",
            "with `measurements`, and `texts` or `columns`",
        ),
    ];
    for (source, begun, expected) in cases {
        let folder = folder();
        let text = format!("[source]\n{source}\npath = '-'\n[[sink]]\ntype = 'csv'\npath = '-'\n");
        std::fs::write(folder.path().join("p.toml"), text).expect("written");
        let mut live = Run::start(folder.path(), &[]);
        let mut input = live.child.stdin.take().expect("piped");
        input.write_all(begun.as_bytes()).expect("taken");
        let mut said = BufReader::new(live.child.stderr.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("text");
        assert!(line.contains(expected), "{source}: {line}");
        live.child.kill().expect("killed");
        live.child.wait().expect("an end");
    }
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
                ["no file that matches `in*.csv` has its first lines", "waits for one", "with `measurements`"]
            {
                assert!(said.contains(part), "{command}: {said}");
            }
        }
    }
}
