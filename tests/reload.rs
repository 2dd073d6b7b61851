//! Other options for a run that goes on: what comes of it is what a plain run gives that has the old ones up to that record and the new ones from there on.

#[path = "common/command.rs"]
mod command;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use tidemill::error::ErrorKind;
use tidemill::runtime::{Observer, Reloads, StateOptions};
use tidemill::source::Progress;
use tidemill::{Pipeline, Report, RunOptions};

use command::{folder, run, text, tidemill};

/// The options that change: of `dedupe`, of `threshold`, of `alert`.
#[derive(Clone, Copy)]
struct Values {
    tolerance: f64,
    max: f64,
    above: f64,
}

const BEFORE: Values = Values { tolerance: 0.0, max: 90.0, above: 80.0 };
const AFTER: Values = Values { tolerance: 5.0, max: 70.0, above: 60.0 };

const RECORDS: usize = 6_000;

fn value(at: usize) -> f64 {
    // Not the same for one sensor and time after time, and sometimes near the one before.
    ((at * 7919 + at / 40 * 31) % 1009 / 10) as f64
}

fn record(at: usize) -> (String, f64) {
    (format!("s{}", at * 13 % 7), value(at))
}

/// As much of a growing file as is there when a run begins; the rest comes when other options have been asked for, so that some
/// records come behind them.
const BEGINNING: usize = 2_000;

fn rows(records: Range<usize>) -> String {
    let row = |at: usize| {
        let (sensor, value) = record(at);
        format!("{at},{sensor},{value}\n")
    };
    records.map(row).collect()
}

fn write_input(folder: &Path, records: usize) {
    fs::write(folder.join("in.csv"), format!("n,s,v\n{}", rows(0..records))).expect("written");
}

fn append_rest(folder: &Path) {
    let mut file = fs::OpenOptions::new().append(true).open(folder.join("in.csv")).expect("the input");
    file.write_all(rows(BEGINNING..RECORDS).as_bytes()).expect("written");
}

fn toml(follow: bool, Values { tolerance, max, above }: Values) -> String {
    format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor = 's'\nmeasurements = ['n', 'v']\nfollow = {follow}\n\
         [[stage]]\ntype = 'dedupe'\ncolumns = ['v']\ntolerance = {tolerance:?}\n\
         [[stage]]\ntype = 'threshold'\ncolumns = ['v']\nmax = {max:?}\n\
         [[sink]]\ntype = 'csv'\npath = 'out.csv'\n\
         [[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = {above:?}\npath = 'alerts.jsonl'\n"
    )
}

fn pipeline(folder: &Path, follow: bool, values: Values) -> Pipeline {
    Pipeline::from_toml(&toml(follow, values)).expect("a pipeline").with_base(folder)
}

/// The numbers of the records that are written; and alerts: the sensor, its value, and what became of the incident.
type Outcome = (Vec<usize>, Vec<(String, f64, String)>);

/// What comes out where other options hold from record `split` on.
fn plain(split: usize) -> Outcome {
    let (mut last, mut raised) = (BTreeMap::new(), BTreeMap::new());
    let (mut written, mut alerts) = (Vec::new(), Vec::new());
    for at in 0..RECORDS {
        let (sensor, value) = record(at);
        let Values { tolerance, max, above } = if at < split { BEFORE } else { AFTER };
        if last.get(&sensor).is_some_and(|last: &f64| (last - value).abs() <= tolerance) {
            continue;
        }
        last.insert(sensor.clone(), value);
        if value > max {
            continue;
        }
        written.push(at);
        let is_raised = raised.entry(sensor.clone()).or_insert(false);
        if *is_raised != (value > above) {
            *is_raised = value > above;
            alerts.push((sensor, value, if *is_raised { "raised" } else { "cleared" }.to_owned()));
        }
    }
    (written, alerts)
}

/// What was written.
fn found(folder: &Path) -> Outcome {
    let out = fs::read_to_string(folder.join("out.csv")).expect("written");
    let header = out.lines().next().expect("a header");
    let column = header.split(',').position(|name| name == "n").expect("a column");
    let number = |line: &str| line.split(',').nth(column).expect("a field").parse().expect("a number");
    let written = out.lines().skip(1).map(number).collect();
    let alerts = fs::read_to_string(folder.join("alerts.jsonl")).unwrap_or_default();
    let alerts = alerts.lines().map(|line| {
        let alert: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| alert[name].as_str().expect("text").to_owned();
        (text("sensor"), alert["value"].as_f64().expect("a number"), text("state"))
    });
    (written, alerts.collect())
}

/// Asks for other options when so many records have come, and stops the run behind the last one, or where that is said.
struct Asking {
    folder: std::path::PathBuf,
    follow: bool,
    options: RunOptions,
    ask_at: u64,
    has_asked: bool,
    stop_at: u64,
}

impl Observer for Asking {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        if records >= self.ask_at && !self.has_asked {
            let options = self.options.reloads.request(&pipeline(&self.folder, self.follow, AFTER));
            let expected =
                ["stage 0 (dedupe) `tolerance`", "stage 1 (threshold) `max`", "sink 1 (alert) `above`"];
            assert_eq!(options.expect("taken"), expected);
            self.has_asked = true;
            if self.follow {
                append_rest(&self.folder);
            }
        }
        if records >= self.stop_at {
            self.options.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn options(threads: usize) -> RunOptions {
    let mut options = RunOptions { threads: Some(threads), ..RunOptions::default() };
    options.open.chunk_size = 2 << 10;
    options
}

fn go(folder: &Path, follow: bool, options: RunOptions, ask_at: u64, stop_at: u64, values: Values) -> Report {
    let mut asking = Asking {
        folder: folder.to_owned(),
        follow,
        options: options.clone(),
        ask_at,
        has_asked: false,
        stop_at,
    };
    pipeline(folder, follow, values).run_with(&options, &mut asking).expect("a run")
}

/// The number of records before the new options took effect.
fn split(report: &Report) -> usize {
    let remark = report.remarks.iter().find_map(|remark| remark.strip_prefix("options changed after "));
    let remark = remark.unwrap_or_else(|| panic!("none in {:?}", report.remarks));
    assert!(remark.contains("records: stage 0 (dedupe) `tolerance`"), "{remark}");
    remark.split(' ').next().expect("a number").parse().expect("a number")
}

#[test]
fn a_run_at_rest_or_live_gives_what_a_plain_run_gives_that_is_split_there() {
    let mut splits = Vec::new();
    for follow in [false, true] {
        for threads in [1, 2, 3] {
            for ask_at in [1, 1_500] {
                let folder = folder();
                write_input(folder.path(), if follow { BEGINNING } else { RECORDS });
                let stop_at = if follow { RECORDS as u64 } else { u64::MAX };
                let report = go(folder.path(), follow, options(threads), ask_at, stop_at, BEFORE);
                let split = split(&report);
                assert!(split as u64 >= ask_at, "{split}");
                assert!(found(folder.path()) == plain(split), "{follow}, {threads} threads, from {split} on");
                splits.push(split);
            }
        }
    }
    assert!(splits.iter().any(|split| (1..RECORDS).contains(split)), "{splits:?}");
}

#[test]
fn a_checkpoint_knows_the_options_that_held_and_goes_on_with_them() {
    for threads in [1, 3] {
        let folder = folder();
        write_input(folder.path(), RECORDS);
        let mut options = options(threads);
        options.state = Some(StateOptions {
            every: Duration::from_millis(1),
            ..StateOptions::new(folder.path().join("state"))
        });
        let report = go(folder.path(), false, options.clone(), 500, 3_000, BEFORE);
        assert!(report.is_paused);
        let split = split(&report);
        assert!(split < RECORDS, "{split}");
        let again = RunOptions { stop: Default::default(), reloads: Reloads::default(), ..options };
        let error =
            pipeline(folder.path(), false, BEFORE).run_with(&again, &mut ()).expect_err("other options");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("`max` was 70.0, is 90.0"), "{error}");
        pipeline(folder.path(), false, AFTER).run_with(&again, &mut ()).expect("the rest");
        assert!(found(folder.path()) == plain(split), "{threads} threads, from {split} on");
    }
}

#[test]
fn a_run_that_goes_on_with_such_changes_accepted_goes_on_with_what_it_has_kept() {
    let folder = folder();
    write_input(folder.path(), RECORDS);
    let mut options = options(2);
    options.state = Some(StateOptions {
        every: Duration::from_secs(3600),
        ..StateOptions::new(folder.path().join("state"))
    });
    let report = go(folder.path(), false, options.clone(), u64::MAX, 2_000, BEFORE);
    assert!(report.is_paused);
    let split = report.records() as usize;
    assert!((1..RECORDS).contains(&split));
    let mut again = RunOptions { stop: Default::default(), ..options };
    again.state.as_mut().expect("there").accept_changes = true;
    let report = pipeline(folder.path(), false, AFTER).run_with(&again, &mut ()).expect("the rest");
    assert_eq!(report.records(), RECORDS as u64, "the counts go on");
    assert!(found(folder.path()) == plain(split));
}

#[test]
fn what_cannot_change_is_refused_and_the_run_goes_on_as_before() {
    let folder = folder();
    fs::write(folder.path().join("in.csv"), "n,s,v\n").expect("written");
    let before = pipeline(folder.path(), true, BEFORE);
    let options = options(2);
    assert_eq!(options.reloads.request(&before).expect_err("no run").kind(), ErrorKind::Usage);
    let running = before.start(&options).expect("a thread");
    let text = toml(true, BEFORE);
    let ask = |text: String| {
        let pipeline = Pipeline::from_toml(&text).expect("a pipeline").with_base(folder.path());
        running.reload(&pipeline)
    };
    while ask(text.clone()).is_err() {
        assert!(!running.status().is_over);
        std::thread::yield_now();
    }
    for (from, to, wrong) in [
        ("follow = true", "follow = true\nmax_rejects = 3", "source: `max_rejects` cannot change"),
        (
            "columns = ['v']\nmax",
            "columns = ['v']\naction = 'flag'\nmax",
            "stage 1 (threshold): `action` cannot change",
        ),
        ("tolerance = 0.0", "tolerance = -1.0", "`tolerance` is -1, which is not a distance"),
        ("path = 'out.csv'", "path = 'other.csv'", "sink 0 (csv): `path` cannot change"),
        ("above = 80.0", "above = 80.0\nclear_above = 90.0", "is beyond its alarm threshold"),
        ("type = 'dedupe'\ncolumns = ['v']\ntolerance = 0.0", "type = 'threshold'\nmax = 3", "`dedupe`"),
        (
            "[[sink]]\ntype = 'alert'",
            "[[sink]]\ntype = 'null'\n[[sink]]\ntype = 'alert'",
            "parts were added or removed",
        ),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        let error = ask(changed).expect_err(to);
        assert!(error.to_string().contains(wrong), "{to}: {error}");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    assert_eq!(ask(text.clone()).expect("nothing"), [""; 0]);
    running.stop();
    running.join().expect("a run");
    assert_eq!(options.reloads.request(&before).expect_err("it is over").kind(), ErrorKind::Usage);
}

// ---- the command ----

/// The lines that a run says, as they come.
struct Said(BufReader<std::process::ChildStderr>);

impl Said {
    /// Reads on to a line that has `what` in it.
    fn wait_for(&mut self, what: &str) -> String {
        let mut all = String::new();
        loop {
            let start = all.len();
            assert!(self.0.read_line(&mut all).expect("text") > 0, "no {what:?} in: {all}");
            if all[start..].contains(what) {
                return all;
            }
        }
    }
}

/// A run that is ended with the test, however that ends.
struct Running(Child);

impl Running {
    fn signal(&self, signal: &str) {
        let sent = std::process::Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(sent.expect("sent").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}

fn lines(folder: &Path, count: usize) -> String {
    let part = || fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    for _ in 0..2_000 {
        let out = part()
            .find(|path| path.to_string_lossy().contains(".out.csv.part-") || path.ends_with("out.csv"));
        let text = out.map_or_else(String::new, |path| fs::read_to_string(path).unwrap_or_default());
        if text.lines().count() >= count {
            return text;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never {count} lines");
}

#[test]
fn a_hangup_reads_the_file_again_and_ends_no_run() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let toml = |max: &str| {
        format!(
            "[source]\ntype = 'csv'\npath = 'in.csv'\nfollow = true\nmeasurements = ['v']\n\
             [[stage]]\ntype = 'threshold'\nmax = {max}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
        )
    };
    write("p.toml", &toml("10"));
    write("in.csv", "v\n5\n15\n25\n");
    let mut command = tidemill(folder.path());
    command.args(["run", "p.toml", "--state", "state", "--checkpoint-every", "10ms", "--progress", "never"]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it runs");
    let mut said = Said(BufReader::new(child.stderr.take().expect("piped")));
    let mut child = Running(child);
    let mut input = fs::OpenOptions::new().append(true).open(folder.path().join("in.csv")).expect("opened");
    let mut add = |rows: &str| input.write_all(rows.as_bytes()).expect("written");
    lines(folder.path(), 2);

    write("p.toml", &toml("20"));
    child.signal("-HUP");
    let told = said.wait_for("reloaded p.toml");
    assert!(told.contains("the run continues with new values of stage 0 (threshold) `max`"), "{told}");
    add("16\n26\n");
    assert_eq!(lines(folder.path(), 3), "sensor,v\nin,5\nin,16\n");

    child.signal("-HUP");
    said.wait_for("no option has changed");
    write("p.toml", &toml("'much'"));
    child.signal("-HUP");
    let told = said.wait_for("the run continues with the previous options");
    assert!(told.contains("expected a number"), "{told}");
    write("p.toml", &toml("30").replace("out.csv", "other.csv"));
    child.signal("-HUP");
    let told = said.wait_for("the run continues with the previous options");
    assert!(told.contains("`path` cannot change"), "{told}");
    add("27\n17\n");
    assert_eq!(lines(folder.path(), 4), "sensor,v\nin,5\nin,16\nin,17\n");

    write("p.toml", &toml("20"));
    child.signal("-TERM");
    let told = said.wait_for("options changed after 3 records");
    assert!(child.0.wait().expect("an end").success(), "{told}");
    // What goes on later goes on with the options that held.
    let output = run(folder.path(), &["run", "p.toml", "--state", "state", "--finish"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_live_run_whose_terminal_hangs_up_stops() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write(
        "p.toml",
        "[source]\ntype = 'csv'\npath = 'in.csv'\nfollow = true\nmeasurements = ['v']\n\
         [[sink]]\ntype = 'csv'\npath = 'out.csv'\n",
    );
    write("in.csv", "v\n5\n15\n");
    // It has a terminal of its own, which hangs up when `script` is killed. Its output does not come through the terminal.
    let command = format!("exec {} run p.toml --progress never > said 2>&1", env!("CARGO_BIN_EXE_tidemill"));
    let mut script = std::process::Command::new("script");
    script.args(["-q", "-c", &command, "/dev/null"]).current_dir(folder.path());
    let mut terminal =
        Running(script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("`script` runs"));
    lines(folder.path(), 3);
    assert!(!folder.path().join("out.csv").exists(), "it runs");
    terminal.0.kill().expect("killed");
    for _ in 0..2_000 {
        if folder.path().join("out.csv").exists() {
            let said = fs::read_to_string(folder.path().join("said")).expect("said");
            assert!(said.contains("stopping"), "{said}");
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("still running: {:?}", fs::read_to_string(folder.path().join("said")));
}
