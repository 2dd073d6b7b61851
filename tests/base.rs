//! Where relative paths start: from the folder of the pipeline file, wherever the command runs; from `--base` where that is given.

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use command::{folder, run, text};
use tidemill::{Pipeline, RunOptions};

/// The paths of everything that a pipeline can name.
const PIPELINE: &str = "
    [source]
    type = 'csv'
    path = ['data/*.csv', '../more.csv']
    time = 't'
    time_format = 's'
    measurements = ['v']
    max_rejects = 100
    [[stage]]
    type = 'normalize'
    fit = true
    save = 'fit.json'
    [[sink]]
    type = 'csv'
    path = 'out/a.csv'
    [[sink]]
    type = 'jsonl'
    path = '../b.jsonl'
    [[sink]]
    type = 'dead_letter'
    path = 'dead.jsonl'
    [[sink]]
    type = 'alert'
    column = 'v'
    above = 0.5
    command = ['./notify', 'told']
";

/// A folder `jobs` with a pipeline and its data, and beside it one to run in.
fn place() -> tempfile::TempDir {
    let place = folder();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).expect("written");
    ["jobs/data", "elsewhere"]
        .iter()
        .for_each(|name| fs::create_dir_all(place.path().join(name)).expect("made"));
    write("jobs/p.toml", PIPELINE);
    write("jobs/data/a.csv", "t,v\n1,1\n2,x\n");
    write("more.csv", "t,v\n1,3\nx,4\n");
    write("jobs/notify", "#!/bin/sh\ncat > \"$1\"\n");
    let notify = place.path().join("jobs/notify");
    fs::set_permissions(notify, fs::Permissions::from_mode(0o700)).expect("set");
    place
}

#[track_caller]
fn good(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a run has left: in `jobs`, or what else the paths start from, and above it.
fn outputs(base: &Path) -> Vec<String> {
    let names = ["out/a.csv", "../b.jsonl", "dead.jsonl", "fit.json", "told"];
    names.iter().map(|name| read(&base.join(name))).collect()
}

#[test]
fn they_start_from_the_folder_of_the_file_wherever_the_command_runs() {
    let place = place();
    let jobs = place.path().join("jobs");
    good(&run(&jobs, &["run", "p.toml", "--quiet"]));
    let expected = outputs(&jobs);
    assert!(
        expected[2].contains("\"file\":\"../more.csv\"") && expected[2].contains("\"file\":\"data/a.csv\"")
    );
    let link = place.path().join("link");
    symlink("jobs", &link).expect("linked");
    let whole = jobs.join("p.toml");
    for (at, file) in [
        (place.path(), "jobs/p.toml"),
        (place.path(), "./link/../jobs/p.toml"),
        (place.path(), "link/p.toml"),
        (&place.path().join("elsewhere"), "../jobs/p.toml"),
        (Path::new("/"), whole.to_str().expect("UTF-8")),
    ] {
        ["out/a.csv", "../b.jsonl", "dead.jsonl", "fit.json", "told"]
            .iter()
            .for_each(|name| fs::remove_file(jobs.join(name)).expect("removed"));
        good(&run(at, &["run", file, "--quiet"]));
        assert_eq!(outputs(&jobs), expected, "{file}");
        assert!(fs::read_dir(place.path().join("elsewhere")).expect("a folder").next().is_none());
    }
}

#[test]
fn base_overrides_it_and_a_link_to_a_pipeline_counts_where_it_is() {
    let place = place();
    let other = place.path().join("other");
    fs::create_dir_all(other.join("data")).expect("made");
    fs::copy(place.path().join("jobs/data/a.csv"), other.join("data/a.csv")).expect("copied");
    fs::copy(place.path().join("jobs/notify"), other.join("notify")).expect("copied");
    good(&run(place.path(), &["run", "jobs/p.toml", "--quiet", "--base", "other"]));
    let by_base = outputs(&other);
    fs::remove_file(other.join("out/a.csv")).expect("removed");
    symlink("../jobs/p.toml", other.join("linked.toml")).expect("linked");
    good(&run(place.path(), &["run", "other/linked.toml", "--quiet"]));
    assert_eq!(outputs(&other), by_base);
    let output = run(place.path(), &["run", "jobs/p.toml", "--base", "none"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("no such folder"), "{}", text(&output.stderr));
}

#[test]
fn what_is_not_there_was_looked_for_in_one_place_and_others_are_only_named() {
    let place = place();
    let said = |file: &str, set: &str| {
        let output = run(place.path(), &["run", file, "--set", set]);
        assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
        text(&output.stderr).replace(place.path().to_str().expect("UTF-8"), "@")
    };
    // The current folder has it, and it is not taken.
    for (set, path) in [("source.path=more.csv", "more.csv"), ("source.path=mor*.csv", "mor*.csv")] {
        let said = said("jobs/p.toml", set);
        assert!(said.contains(&format!("it was looked for at @/jobs/{path}")), "{said}");
        assert!(said.contains("`--base .` starts there"), "{said}");
    }
    let home = said("jobs/p.toml", "source.path=~/more.csv");
    assert!(home.contains("it was looked for at @/jobs/~/more.csv") && !home.contains("--base"), "{home}");
    let load = "stage.0={ type = 'normalize', load = 'more.csv' }";
    let load = said("jobs/p.toml", load);
    assert!(load.contains("@/jobs/more.csv") && load.contains("--base ."), "{load}");
}

#[test]
fn a_pipeline_from_standard_input_and_paths_of_the_command_line_start_from_the_current_folder() {
    let place = place();
    let jobs = place.path().join("jobs");
    let mut command = command::tidemill(&jobs);
    command.args(["run", "-", "--quiet", "--report", "report.json"]);
    command.stdin(fs::File::open(jobs.join("p.toml")).expect("open"));
    good(&command.output().expect("the command runs"));
    outputs(&jobs);
    good(&run(place.path(), &["run", "jobs/p.toml", "--quiet", "--report", "elsewhere/report.json"]));
    let reports = [jobs.join("report.json"), place.path().join("elsewhere/report.json")];
    reports.iter().for_each(|path| assert!(path.is_file(), "{}", path.display()));
    good(&run(place.path(), &["record", "jobs/p.toml", "--quiet", "-o", "elsewhere/day.rec"]));
    let before = outputs(&jobs);
    good(&run(place.path(), &["replay", "jobs/p.toml", "--quiet", "--from", "elsewhere/day.rec"]));
    assert_eq!(outputs(&jobs), before);
    good(&run(place.path(), &["fit", "jobs/p.toml", "-o", "elsewhere/fit.json"]));
    assert_eq!(read(&place.path().join("elsewhere/fit.json")), before[3]);
    good(&run(place.path(), &["verify", "jobs/p.toml", "--rounds", "1", "--set", "sink.3.command=['cat']"]));
    assert_eq!(outputs(&jobs), before, "what is compared is written elsewhere");
}

#[test]
fn a_run_that_goes_on_is_the_same_from_any_folder_and_after_a_move() {
    let place = folder();
    let jobs = place.path().join("jobs");
    fs::create_dir_all(&jobs).expect("made");
    let lines: String = (0..3000).map(|at| format!("{at},{}\n", at % 7)).collect();
    fs::write(jobs.join("in.csv"), format!("t,v\n{lines}x,y\n")).expect("written");
    let pipeline = "[source]\ntype = 'csv'\npath = 'in.csv'\nfollow = true\ntime = 't'\ntime_format = 's'\n\
        [[stage]]\ntype = 'moving_average'\nwindow = 4\n[[sink]]\ntype = 'csv'\npath = 'out/a.csv'\n\
        [[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\n[[sink]]\ntype = 'csv'\npath = '-'\n";
    fs::write(jobs.join("p.toml"), pipeline).expect("written");
    // Where, how the file is called, and the folder of checkpoints.
    let ways = [(jobs.clone(), "p.toml", "state"), (place.path().to_owned(), "jobs/p.toml", "jobs/state")];
    let command = |(at, file, state): &(PathBuf, &str, &str)| {
        let mut command = command::tidemill(at);
        command
            .args(["run", file, "--state", state, "--quiet"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    // Runs until this record is through, and stops it.
    let go = |way: &(PathBuf, &str, &str), last: &str| {
        let mut child = command(way).spawn().expect("the command runs");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        lines.map(|line| line.expect("text")).find(|line| line.starts_with(last)).expect("the record");
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("`kill` runs").success());
        good(&child.wait_with_output().expect("an end"));
    };
    go(&ways[0], "2999,");
    let more: String = (3000..5000).map(|at| format!("{at},{}\n", at % 5)).collect();
    let mut file = fs::File::options().append(true).open(jobs.join("in.csv")).expect("open");
    file.write_all(more.as_bytes()).expect("written");
    go(&ways[1], "4999,");
    fs::rename(&jobs, place.path().join("moved")).expect("moved");
    let moved = place.path().join("moved");
    good(&command(&(moved.clone(), "p.toml", "state")).arg("--finish").output().expect("the command runs"));
    assert_eq!(read(&moved.join("out/a.csv")).lines().count(), 5001);
    assert_eq!(read(&moved.join("dead.jsonl")).matches("\"file\":\"in.csv\"").count(), 1);
    // It is over, which it says from anywhere.
    let output = run(place.path(), &["run", "moved/p.toml", "--state", "moved/state"]);
    good(&output);
    assert!(text(&output.stderr).contains("had already ended"), "{}", text(&output.stderr));
}

#[test]
fn init_writes_paths_that_are_right_from_the_file() {
    let place = place();
    let data = fs::canonicalize(place.path().join("more.csv")).expect("a path");
    let data = data.to_str().expect("UTF-8");
    fs::write(place.path().join("more.csv"), "t,v\n1,3\n2,4\n").expect("written");
    for (at, output, input, written) in [
        ("", "jobs/made.toml", "more.csv", "../more.csv"),
        ("", "new/made/made.toml", "mor*.csv", "../../mor*.csv"),
        ("", "jobs/made.toml", "jobs/data/a.csv", "data/a.csv"),
        ("", "made.toml", "jobs/data", "jobs/data/*.csv"),
        ("elsewhere", "../jobs/made.toml", "../more.csv", "../more.csv"),
        ("elsewhere", "made.toml", "../more.csv", "../more.csv"),
        ("elsewhere", "../jobs/made.toml", data, data),
    ] {
        let here = place.path().join(at);
        let made = run(&here, &["init", input, "-o", output, "--force"]);
        good(&made);
        let said = text(&made.stderr);
        assert!(!said.contains("does not fit"), "{input}: {said}");
        let pipeline: toml::Table = read(&here.join(output)).parse().expect("TOML");
        assert_eq!(pipeline["source"]["path"].as_str(), Some(written), "{input} for {output}");
        good(&run(&here, &["run", output, "--quiet", "--set", "source.max_rejects=9"]));
    }
}

#[test]
fn the_library_has_the_same_rule() {
    let place = place();
    let jobs = place.path().join("jobs");
    Pipeline::load(jobs.join("p.toml")).expect("a pipeline").run().expect("a run");
    let expected = outputs(&jobs);
    fs::remove_file(jobs.join("dead.jsonl")).expect("removed");
    let pipeline = Pipeline::from_toml(PIPELINE).expect("a pipeline").with_base(&jobs);
    pipeline.run_with(&RunOptions::default(), &mut ()).expect("a run");
    assert_eq!(outputs(&jobs), expected);
    let built = Pipeline::builder()
        .source(tidemill::source::Csv::new("data/a.csv").measurements(["v"]))
        .input(tidemill::pipeline::InputOptions {
            max_rejects: Some(tidemill::pipeline::MaxRejects::Count(9)),
            ..Default::default()
        })
        .sink(tidemill::sink::CsvFile::new("built.csv"))
        .base(&jobs);
    built.run().expect("a run");
    assert_eq!(read(&jobs.join("built.csv")).lines().count(), 2);
}
