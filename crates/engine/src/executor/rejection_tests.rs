//! When a stage rejects records that it or another stage has held or made, their order in the dead letter is that of the records whose
//! arrival decided it, however the input is cut.

use super::{RunOptions, run};
use crate::Pipeline;
use crate::source::OpenOptions;

const PIVOT: &str = "[[stage]]\ntype = \"pivot\"\nkey = \"w\"\nnames = [\"x\"]\nvalue = \"v\"\n";
const MOVING: &str = "[[stage]]\ntype = \"moving_max\"\nwindow = \"4s\"\n";
const BY_TEN: &str = "[[stage]]\ntype = \"aggregate\"\nevery = \"10s\"\n";

/// Line and reason of all rejections of records of sensor and second (`?`: no time) in `stages`, which must be the same for any chunk size
/// and number of threads.
fn rejected(options: &str, stages: &str, records: &[&str]) -> Vec<(u64, String)> {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let record = |record: &&str| match record.split_once(' ') {
        Some((sensor, second)) => format!("2026-01-01T00:00:{second:0>2}Z,{sensor},1,x\n"),
        None => format!("{record},a,1,x\n"),
    };
    let text = "t,sensor,v,w\n".to_owned() + &records.iter().map(record).collect::<String>();
    std::fs::write(path("in.csv"), &text).expect("written");
    let pipeline = format!(
        "[source]\ntype = \"csv\"\npath = \"{}\"\ntime = \"t\"\nsensor = \"sensor\"\nmeasurements = [\"v\"]\nmax_rejects = 1.0\n\
         {options}\n{stages}[[sink]]\ntype = \"null\"\n[[sink]]\ntype = \"dead_letter\"\npath = \"{}\"\n",
        path("in.csv"),
        path("out")
    );
    let go = |chunk_size: usize, threads: Option<usize>| {
        let pipeline = Pipeline::from_toml(&pipeline).expect("a pipeline");
        let open = OpenOptions { chunk_size, ..OpenOptions::default() };
        let sequential = threads.is_none();
        run(&pipeline, &RunOptions { sequential, threads, open, ..RunOptions::default() }, &mut ())
            .expect("run");
        let letter = |line: &str| {
            let letter: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let reason = letter["reason"].as_str().expect("a reason").to_owned();
            (letter["line"].as_u64().expect("a line"), reason)
        };
        let written = std::fs::read_to_string(path("out")).expect("written");
        written.lines().map(letter).collect::<Vec<_>>()
    };
    let plain = go(1 << 20, None);
    for chunk_size in [1, 30, 60, 100, 200, 1 << 20] {
        for threads in [None, Some(1), Some(3)] {
            assert_eq!(go(chunk_size, threads), plain, "chunks of {chunk_size}, {threads:?} threads");
        }
    }
    plain
}

fn check(options: &str, stages: &str, records: &[&str], expected: &[(u64, &str)]) {
    let found = rejected(options, stages, records);
    let lines = |found: &[(u64, String)]| found.iter().map(|(line, _)| *line).collect::<Vec<_>>();
    assert_eq!(lines(&found), expected.iter().map(|(line, _)| *line).collect::<Vec<_>>(), "{found:?}");
    for ((_, found), (_, expected)) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found:?} is not {expected:?}");
    }
}

#[test]
fn clause_10_a_record_that_waited_for_its_next_one_has_its_place() {
    let records = ["a 0", "a 5", "b 30", "c 31", "?", "a 6", "b ?"];
    let quiet = "its sensor was quiet";
    check("max_jump = \"2s\"", BY_TEN, &records, &[(6, ""), (3, quiet), (7, quiet), (8, "")]);
}

#[test]
fn clause_10_a_record_that_waited_to_be_put_in_order_has_the_place_of_the_one_that_let_it_go() {
    // Line 10 releases line 3, and then all of `a`: the interval of `a` has left by then.
    let records = ["b 30", "c 30", "a 0", "a 5", "a 3", "a 2", "?", "b 35", "c 35", "?"];
    let quiet = "its sensor was quiet";
    let expected = [(8, ""), (7, quiet), (6, quiet), (5, quiet), (11, "")];
    check("order = \"time\"\ndisorder = \"4s\"", BY_TEN, &records, &expected);
}

#[test]
fn clause_10_a_record_that_was_made_has_the_place_of_the_one_that_closed_it() {
    let records = ["a 10", "?", "a 5", "?", "a 20", "?", "a 30", "?"];
    let expected = [(3, ""), (5, ""), (0, "5s behind"), (7, ""), (9, "")];
    check("", &format!("{PIVOT}{MOVING}"), &records, &expected);
}

#[test]
fn clause_10_what_the_end_of_the_input_lets_go_is_set_aside_in_its_order() {
    let records = ["b 0", "a 30", "c 30", "a 25", "b 5", "c 24", "?"];
    let expected = [(8, ""), (0, "5s behind"), (0, "its sensor was quiet"), (0, "6s behind")];
    check("", &format!("{PIVOT}{MOVING}{BY_TEN}"), &records, &expected);
}
