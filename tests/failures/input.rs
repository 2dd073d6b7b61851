//! An input that is missing, damaged, or not what the options say.

use std::io::Write;
use std::process::Command;

use super::command::{run, text};
use super::rig::{CSV, bench, check, check_untouched, fails};

#[test]
fn an_input_that_is_not_there() {
    fails(
        "type = 'csv'\npath = 'nowhere.csv'",
        "",
        69,
        "error: cannot read nowhere.csv: no such file or directory\n  help: it was looked for at @/nowhere.csv",
    );
    fails(
        "type = 'csv'\npath = 'data/*.csv'",
        "",
        69,
        "error: no file matches `data/*.csv`\n  help: it was looked for at @/data/*.csv",
    );
    fails(
        "type = 'jsonl'\npath = '.'",
        "",
        69,
        "error: the folder `.` has no data files\n  help: files there should end in .jsonl, .ndjson, .json, .json-seq",
    );
    // The second of two is met in the middle of the run.
    fails(
        "type = 'csv'\npath = ['in.csv', 'nowhere.csv']",
        "",
        69,
        "error: cannot read nowhere.csv: no such file or directory\n  help: it was looked for at @/nowhere.csv",
    );
}

#[test]
fn a_column_that_is_not_there() {
    let message = "\
error: `in.csv` has no column `tme` (option `time`)
 --> p.toml:4:8
  |
4 | time = 'tme'
  |        ^^^^^
  |
  = help: its columns are `t`, `s`, `v`, `note`
";
    fails(&format!("{CSV}\ntime = 'tme'"), "", 78, message);
    let message = "\
error: stage 0 (threshold): no column `w`
 --> p.toml:4:1
  |
4 | [[stage]]
  | ^^^^^^^^^
  |
  = help: the measurements are `t`, `v`
";
    fails(CSV, "[[stage]]\ntype = 'threshold'\nmin = 0\ncolumns = ['w']", 78, message);
}

#[test]
fn an_option_that_asks_for_a_stage_and_is_wrong() {
    let message = "\
error: `disorder`: `5w` is not a duration: unknown unit `w`; write `5m`, `1h30m` or `250ms`, with the units d, h, m, s, ms, us, ns
 --> p.toml:6:12
  |
6 | disorder = '5w'
  |            ^^^^
  |
  = help: give a bound for out-of-order records, such as `disorder = \"5m\"` in [source]
";
    fails(&format!("{CSV}\ntime = 't'\norder = 'time'\ndisorder = '5w'"), "", 78, message);
}

#[test]
fn a_column_that_is_never_a_number() {
    fails(
        &format!("{CSV}\nmeasurements = ['note']"),
        "",
        65,
        "error: 2 of 2 records were rejected, more than half, all for column `note`; the first: \"x\" is not a number (in.csv, line 2, byte 11)\n  \
        help: correct the [source] options, or raise `max_rejects` and collect the rejected records in a `dead_letter` sink",
    );
    let message = "\
error: stage 0 (threshold): column `note` is a text, not a measurement
 --> p.toml:4:1
  |
4 | [[stage]]
  | ^^^^^^^^^
  |
  = help: list it in [source] `measurements` if it contains numbers; the measurements are `t`, `v`
";
    fails(CSV, "[[stage]]\ntype = 'threshold'\nmin = 0\ncolumns = ['note']", 78, message);
}

#[test]
fn more_rejects_than_the_run_may_have() {
    fails(
        &format!("{CSV}\nmeasurements = ['v', 'note']\nmax_rejects = 1"),
        "",
        65,
        "error: 2 of 2 records were rejected, more than 1, all for column `note`; the first: \"x\" is not a number (in.csv, line 2, byte 11)\n  \
        help: correct the [source] options, or raise `max_rejects` and collect the rejected records in a `dead_letter` sink",
    );
}

#[test]
fn an_input_that_cannot_be_unpacked() {
    let folder = bench("type = 'csv'\npath = 'in.csv.gz'", "");
    let rows: String = (0..200_000).map(|n| format!("{},\n", n * 7919 % 1_000_003)).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(format!("v,note\n{rows}").as_bytes()).expect("packed");
    let packed = encoder.finish().expect("packed");
    let with = |bytes: &[u8]| {
        std::fs::write(folder.path().join("in.csv.gz"), bytes).expect("written");
        run(folder.path(), &["run", "p.toml"])
    };
    let message = "error: `in.csv.gz` is cut short: its compressed data end in the middle\n  help: fetch the file again";
    check(folder.path(), &with(&packed[..100]), 65, message);
    check(folder.path(), &with(&packed[..packed.len() - 1]), 65, message);
    let mut damaged = packed.clone();
    damaged[packed.len() - 6] ^= 0xff;
    let output = with(&damaged);
    assert_eq!(output.status.code(), Some(65));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("error: `in.csv.gz` is damaged: ")
            && said.ends_with("\n  help: fetch the file again\n"),
        "{said}"
    );
    check_untouched(folder.path());
}

#[test]
fn standard_input_that_is_closed_or_empty() {
    let folder = bench("type = 'csv'\npath = '-'", "");
    let message = "error: `-` has no header: it is empty\n  \
        help: check the file, or name the columns with `header = false` and `names`";
    check(folder.path(), &run(folder.path(), &["run", "p.toml"]), 65, message);
    let command = ["-c", "exec \"$@\" <&-", "sh", env!("CARGO_BIN_EXE_tidemill"), "run", "p.toml"];
    let output = Command::new("sh").args(command).current_dir(folder.path()).output().expect("`sh` runs");
    check(folder.path(), &output, 65, message);
}

#[test]
fn standard_input_cannot_be_read_twice() {
    fails(
        "type = 'csv'\npath = '-'",
        "[[stage]]\ntype = 'normalize'\nfit = true",
        78,
        "error: `normalize` needs a first pass, and this source cannot be read twice\n  \
        help: read what can be read twice, such as a file or a table, or load constants that an earlier `tidemill fit` saved",
    );
}
