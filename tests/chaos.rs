//! `tidemill chaos`: a run under faults keeps what it promises, and one with a broken part is found out.
//!
//! This binary is the test and, where [`AS_COMMAND`] is set, the `tidemill` command with parts that make mistakes.

#[path = "chaos/parts.rs"]
mod parts;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

const AS_COMMAND: &str = "CHAOS_TEST_IS_THE_COMMAND";

/// A sink of rejections, a sink that is a file, and one that delivers by epochs.
const PLAIN: &str = "[[stage]]\ntype = 'threshold'\nmax = 80.0\n\
    [[stage]]\ntype = 'moving_average'\nwindow = 3\n\
    [[sink]]\ntype = 'csv'\npath = 'out.csv'\n\
    [[sink]]\ntype = 'jsonl'\npath = 'parts/{epoch}.jsonl'\nroll = { size = '32KiB' }\n\
    [[sink]]\ntype = 'target'\npath = 'target.txt'\n\
    [[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\n";

/// The seed of a schedule whose only lost connection is lost after the records have arrived.
const DELIVERED: &str = "1";

/// A folder with 3,000 records, five of them malformed, and a pipeline that ends with `rest`.
fn bench(rest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rows = String::from("t,s,v\n");
    for at in 0..3000 {
        let (minute, second, value) = (at / 60 % 60, at % 60, at * 7 % 97);
        let value = if at % 600 == 599 { "broken".to_owned() } else { value.to_string() };
        writeln!(rows, "2026-01-01 0{}:{minute:02}:{second:02},s{},{value}", at / 3600, at % 5)
            .expect("text");
    }
    fs::write(folder.path().join("in.csv"), rows).expect("written");
    let source = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\n";
    fs::write(folder.path().join("p.toml"), format!("{source}{rest}")).expect("written");
    folder
}

/// A chaos run that has ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    report: Value,
    said: String,
}

impl Ended {
    fn sink(&self, at: usize) -> &Value {
        &self.report["sinks"][at]
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.current_dir(folder).stdin(Stdio::null()).env(AS_COMMAND, "1");
    command
}

/// Runs `tidemill chaos p.toml` without pauses, with these arguments.
fn chaos(folder: &Path, more: &[&str]) -> Ended {
    let mut command = command(folder);
    command.args(["chaos", "p.toml", "--json"]).args(more);
    for option in ["--for", "--checkpoint-every"].iter().filter(|option| !more.contains(option)) {
        command.args([option, "1ms"]);
    }
    let output = command.output().expect("it runs");
    Ended {
        code: output.status.code(),
        report: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whatever happens, files and stand-ins have every record once, and nothing of the user's is touched.
fn promises_are_kept_under_every_schedule() {
    let folder = bench(PLAIN);
    // The other faults take seconds.
    let faults = "kill,drop,slow,refuse,disk,clock";
    for (seed, how) in [("1", &[][..]), ("2", &["--threads", "1"]), ("3", &["--live"])] {
        let arguments = [&["--seed", seed, "--count", "15", "--faults", faults, "--stand-ins"], how].concat();
        let ended = chaos(folder.path(), &arguments);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let report = &ended.report;
        assert_eq!((&report["is_kept"], &report["read"]), (&true.into(), &3000.into()), "{report:#}");
        assert_eq!(report["ledger"]["is_balanced"], true, "{report:#}");
        assert_eq!(report["schedule"].as_array().map(Vec::len), Some(15));
        let judged: Vec<_> = (0..4).map(|at| &ended.sink(at)["judged_by"]).collect();
        assert_eq!(judged, ["bytes", "records", "records", "bytes"], "{report:#}");
        for at in 0..4 {
            let sink = ended.sink(at);
            assert_eq!(
                (&sink["lost"], &sink["repeated"], &sink["is_kept"]),
                (&0.into(), &0.into(), &true.into())
            );
        }
        assert_eq!(ended.sink(3)["arrived"], 5);
    }
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .expect("read")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["in.csv", "p.toml"], "nothing else was written");
}

/// A target that is gone for seconds: its breaker opens, records wait, and all of them are delivered afterwards.
fn an_outage_opens_the_breaker_and_nothing_is_lost() {
    let folder = bench(
        "[[sink]]\ntype = 'target'\npath = 'target.txt'\nbreaker = { failures = 0.01, calls = 2, open = '200ms' }\n",
    );
    let ended = chaos(
        folder.path(),
        &["--seed", "2", "--faults", "outage", "--count", "1", "--stand-ins", "--keep", "kept"],
    );
    assert_eq!((ended.code, &ended.report["struck"]["outage"]), (Some(0), &1.into()), "{ended:#?}");
    let sink = ended.sink(0);
    assert_eq!((&sink["arrived"], &sink["lost"], &sink["repeated"]), (&2995.into(), &0.into(), &0.into()));
    let log = fs::read_to_string(folder.path().join("kept/chaos/log")).expect("a log");
    assert!(log.contains("its target is down") && log.contains("its target is there again"), "{log}");
    let seconds = ended.report["seconds"].as_f64().expect("a time");
    assert!(seconds >= 2.0, "{seconds}");
}

/// An input that fails ends the process, and the next one resumes; one that is silent only takes longer.
fn an_input_that_fails_is_read_again() {
    let folder = bench(PLAIN);
    let ended = chaos(folder.path(), &["--seed", "3", "--faults", "input", "--count", "6", "--stand-ins"]);
    assert_eq!((ended.code, &ended.report["struck"]["input"]), (Some(0), &6.into()), "{ended:#?}");
    let schedule = ended.report["schedule"].as_array().expect("a schedule").clone();
    let failures = schedule.iter().filter(|fault| fault["silent"].is_null()).count();
    assert!(failures > 0 && failures < 6, "{schedule:#?}");
    assert_eq!(ended.report["failures"], failures, "{:#}", ended.report);
    for at in 0..4 {
        assert_eq!((&ended.sink(at)["lost"], &ended.sink(at)["repeated"]), (&0.into(), &0.into()));
    }
}

/// Kills while reading come at a place of the input, and each is followed by another process.
fn every_kill_is_counted() {
    let folder = bench(PLAIN);
    let ended = chaos(folder.path(), &["--seed", "5", "--faults", "kill", "--count", "9", "--stand-ins"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let schedule = ended.report["schedule"].as_array().expect("a schedule").clone();
    let reading = schedule.iter().filter(|fault| fault["moment"] == "reading").count() as u64;
    let struck = ended.report["struck"]["kill"].as_u64().expect("a count");
    assert!(reading > 0 && struck >= reading, "{:#}", ended.report);
    assert_eq!(ended.report["kills"], struck);
    assert_eq!(ended.report["failures"], 0);
}

fn the_same_seed_has_the_same_schedule() {
    let folder = bench("[[sink]]\ntype = 'csv'\npath = 'out.csv'\n");
    let schedule = |seed: &str| {
        let ended = chaos(folder.path(), &["--seed", seed, "--count", "4"]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        // What a run prints before it begins is what it reports.
        assert!(ended.said.contains(&format!("seed {seed}: 4 faults")), "{}", ended.said);
        ended.report["schedule"].clone()
    };
    assert_eq!(schedule("11"), schedule("11"));
    assert_ne!(schedule("11"), schedule("12"));
}

/// A full disk ends a bounded run, which is started again, and is waited for by a live one.
fn a_full_disk_is_survived() {
    let folder = bench("[[sink]]\ntype = 'csv'\npath = 'out.csv'\n");
    for live in [&["--live"][..], &[]] {
        let arguments = [&["--seed", "1", "--faults", "disk", "--count", "2"], live].concat();
        let ended = chaos(folder.path(), &arguments);
        assert_eq!((ended.code, &ended.report["struck"]["disk"]), (Some(0), &2.into()), "{ended:#?}");
        let has_failed = ended.report["failures"].as_u64().expect("a count") > 0;
        assert_eq!(has_failed, live.is_empty(), "{:#}", ended.report);
    }
}

/// A sink of files that forgets, or repeats, when it is opened again.
fn a_sink_that_loses_or_repeats_is_found_out() {
    for (mistake, figure) in [("loses", "lost"), ("repeats", "repeated"), ("none", "")] {
        let folder =
            bench(&format!("[[sink]]\ntype = 'careless'\npath = 'out.csv'\nmistake = '{mistake}'\n"));
        let ended = chaos(folder.path(), &["--seed", "4", "--faults", "kill", "--count", "6"]);
        let (sink, is_kept) = (ended.sink(0), mistake == "none");
        assert_eq!(ended.code, Some(if is_kept { 0 } else { 70 }), "{ended:#?}");
        assert_eq!((&sink["is_kept"], &ended.report["is_kept"]), (&is_kept.into(), &is_kept.into()));
        for each in ["lost", "repeated"] {
            assert_eq!(sink[each].as_u64().expect("a figure") > 0, each == figure, "{sink:#}");
        }
        let told = "sink 0 (careless): promised exactly once, but ";
        assert_eq!(ended.said.contains(told), !is_kept, "{}", ended.said);
    }
}

/// A target that does not recognise an epoch that it has, or says that it has what it has not.
fn a_target_is_judged_by_its_records_or_else_by_what_it_acknowledges() {
    let count = ["--yes", "--count-by", "0=touch target.txt; wc -l <target.txt"];
    for (mistake, figure) in [("none", ""), ("repeats", "repeated"), ("loses", "lost")] {
        for counted in [&count[..], &["--yes"]] {
            let folder =
                bench(&format!("[[sink]]\ntype = 'target'\npath = 'target.txt'\nmistake = '{mistake}'\n"));
            let arguments = [&["--seed", DELIVERED, "--faults", "drop", "--count", "1"], counted].concat();
            let ended = chaos(folder.path(), &arguments);
            let (sink, is_counted) = (ended.sink(0), counted.len() > 1);
            let is_found = is_counted && mistake != "none";
            assert_eq!(ended.code, Some(if is_found { 70 } else { 0 }), "{mistake}: {ended:#?}");
            assert_eq!(sink["judged_by"], if is_counted { "count" } else { "acknowledgements" });
            assert_eq!(
                (&sink["expected"], &sink["is_kept"]),
                (&2995.into(), &(!is_found).into()),
                "{sink:#}"
            );
            if is_found {
                assert!(sink[figure].as_u64().expect("a figure") > 0, "{sink:#}");
            }
            if !is_counted {
                // An upper bound, and said to be one.
                assert!(sink["repeated"].as_u64().expect("a bound") > 0 && sink["lost"] == 0, "{sink:#}");
            }
        }
    }
}

/// A source that continues behind its position.
fn a_source_that_skips_is_found_out_behind_a_stand_in() {
    let folder = bench("[[sink]]\ntype = 'target'\npath = 'target.txt'\n");
    let source =
        "[source]\ntype = 'skipping'\npath = 'in.csv'\n[[sink]]\ntype = 'target'\npath = 'target.txt'\n";
    fs::write(folder.path().join("p.toml"), source).expect("written");
    // A process may be killed before its first checkpoint; then there is nothing to resume from.
    let resumed = folder.path().join("in.csv.resumed");
    let run = |seed: u32| {
        let seed = seed.to_string();
        chaos(folder.path(), &["--seed", &seed, "--faults", "kill", "--count", "8", "--stand-ins"])
    };
    let ended = (1..50).map(run).find(|ended| {
        assert_eq!(ended.code == Some(0), !resumed.exists(), "{ended:#?}");
        resumed.exists()
    });
    let ended = ended.expect("one that has resumed");
    assert_eq!(ended.code, Some(70), "{ended:#?}");
    assert!(ended.sink(0)["lost"].as_u64().expect("a figure") > 0, "{ended:#?}");
    assert!(ended.said.contains("the ledger of source 0 (skipping)"), "{}", ended.said);
}

/// What fails again and again is given up, with what it has said.
fn a_run_that_cannot_go_on_is_given_up() {
    let folder = bench("[[sink]]\ntype = 'careless'\npath = 'out.csv'\nmistake = 'refuses'\n");
    let ended = chaos(folder.path(), &["--seed", "4", "--faults", "kill", "--count", "6"]);
    assert_eq!(ended.code, Some(70), "{ended:#?}");
    assert!(
        ended.said.contains("the run was given up after") && ended.said.contains("opened once"),
        "{}",
        ended.said
    );
    assert_eq!(ended.report["ledger"]["is_balanced"], Value::Null);
}

fn a_recording_takes_the_place_of_the_input() {
    let folder = bench("[[sink]]\ntype = 'csv'\npath = 'out.csv'\n");
    let recorded = command(folder.path()).args(["record", "p.toml", "-o", "day.rec", "--quiet"]).status();
    assert!(recorded.expect("it runs").success());
    let ended = chaos(
        folder.path(),
        &["--seed", "6", "--from", "day.rec", "--count", "4", "--set", "source.follow=true"],
    );
    assert_eq!((ended.code, &ended.report["read"]), (Some(0), &3000.into()), "{ended:#?}");
}

/// What cannot be run is refused before anything is written, with what to do next.
fn what_cannot_be_run_is_refused() {
    let outside = "[[sink]]\ntype = 'target'\npath = 'target.txt'\n";
    for (rest, arguments, code, told) in [
        (outside, &[][..], 64, "would write to real targets: sink 0 (target)"),
        (outside, &["--yes", "--count-by", "1=true"], 64, "there is no such sink"),
        (PLAIN, &["--yes", "--count-by", "0=true"], 64, "sink 0 (csv) does not deliver to a target"),
        (outside, &["--yes", "--count-by", "true"], 64, "there is no `=`"),
        (outside, &["--yes", "--count-by", "0=echo none"], 69, "prints no number of records"),
        (outside, &["--stand-ins", "--for", "soon"], 64, "--for: "),
        (outside, &["--stand-ins", "--checkpoint-every", "soon"], 64, "--checkpoint-every: "),
        (outside, &["--stand-ins", "--keep", "."], 64, "the folder is not empty"),
        (outside, &["--stand-ins", "--set", "source.follow=true"], 78, "the input does not end"),
        (outside, &["--stand-ins", "--set", "source.path=none.csv"], 65, "fails without any fault"),
        (outside, &["--stand-ins", "--from", "in.csv"], 65, "in.csv is not a recording"),
    ] {
        let folder = bench(rest);
        let ended = chaos(folder.path(), arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
        assert!(ended.said.contains(told) && ended.said.contains("help: "), "{arguments:?}: {}", ended.said);
        assert!(!folder.path().join("target.txt").exists(), "{arguments:?}");
    }
    let folder = bench(outside);
    let output = command(folder.path()).args(["chaos", "-"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(64));
}

fn main() -> ExitCode {
    if tidemill_engine::environment::variable(AS_COMMAND).is_some() {
        return tidemill::cli::run(std::env::args_os()).into();
    }
    let tests: [(&str, fn()); 12] = [
        ("promises_are_kept_under_every_schedule", promises_are_kept_under_every_schedule),
        ("an_outage_opens_the_breaker_and_nothing_is_lost", an_outage_opens_the_breaker_and_nothing_is_lost),
        ("an_input_that_fails_is_read_again", an_input_that_fails_is_read_again),
        ("every_kill_is_counted", every_kill_is_counted),
        ("the_same_seed_has_the_same_schedule", the_same_seed_has_the_same_schedule),
        ("a_full_disk_is_survived", a_full_disk_is_survived),
        ("a_sink_that_loses_or_repeats_is_found_out", a_sink_that_loses_or_repeats_is_found_out),
        (
            "a_target_is_judged_by_its_records_or_else_by_what_it_acknowledges",
            a_target_is_judged_by_its_records_or_else_by_what_it_acknowledges,
        ),
        (
            "a_source_that_skips_is_found_out_behind_a_stand_in",
            a_source_that_skips_is_found_out_behind_a_stand_in,
        ),
        ("a_run_that_cannot_go_on_is_given_up", a_run_that_cannot_go_on_is_given_up),
        ("a_recording_takes_the_place_of_the_input", a_recording_takes_the_place_of_the_input),
        ("what_cannot_be_run_is_refused", what_cannot_be_run_is_refused),
    ];
    if std::env::args().any(|argument| argument == "--list" || argument == "--ignored") {
        return ExitCode::SUCCESS;
    }
    for (name, test) in tests {
        println!("test {name} ...");
        test();
    }
    println!("test result: ok. {} passed", tests.len());
    ExitCode::SUCCESS
}
