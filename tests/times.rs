//! Times as the field writes them, from the file to the mean over a window: with one thread and with several, in small chunks and large, stopped
//! after every chunk and gone on with.

use std::path::Path;

use tidemill::runtime::StateOptions;
use tidemill::{Error, Pipeline, Report};
use tidemill_engine::executor::{self, RunOptions};

/// The pipeline that reads `input` with these options of `[source]` and writes what comes out of `stages`.
fn pipeline(folder: &Path, input: &str, options: &str, stages: &str) -> Result<Pipeline, Error> {
    let path = folder.join("in.csv");
    std::fs::write(&path, input).expect("written");
    let text = format!(
        "[source]\ntype = 'csv'\npath = '{}'\n{options}\n{stages}\n[[sink]]\ntype = 'csv'\npath = '{}'\n",
        path.display(),
        folder.join("out.csv").display(),
    );
    Ok(Pipeline::from_toml(&text)?)
}

/// What comes out, the same however it is run.
fn outcome(input: &str, options: &str, stages: &str) -> (String, Report) {
    let mut first: Option<(String, Report)> = None;
    for (threads, chunk_size, sequential) in
        [(1, 1 << 20, true), (1, 1, false), (3, 1, false), (3, 40, false), (3, 1 << 20, false)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let pipeline = pipeline(folder.path(), input, options, stages).expect("a pipeline");
        let mut run = RunOptions { threads: Some(threads), sequential, ..RunOptions::default() };
        run.open.chunk_size = chunk_size;
        let report = executor::run(&pipeline, &run, &mut ()).expect("run");
        let out = std::fs::read_to_string(folder.path().join("out.csv")).expect("output");
        match &first {
            None => first = Some((out, report)),
            Some((expected, judge)) => {
                assert_eq!(&out, expected, "{threads} threads, chunks of {chunk_size}");
                assert_eq!(report.remarks, judge.remarks);
                assert_eq!(set_aside(&report), set_aside(judge));
            }
        }
    }
    first.expect("it was run")
}

/// Lines and reasons of what was set aside.
fn set_aside(report: &Report) -> Vec<(u64, &str)> {
    report.rejects.first.iter().map(|reject| (reject.line, reject.reason.as_str())).collect()
}

/// The fields of every record that comes out.
fn rows(out: &str) -> Vec<Vec<String>> {
    out.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn hourly(column: &str) -> String {
    format!(
        "[[stage]]\ntype = 'aggregate'\nevery = '1h'\nstatistics = ['count', 'mean']\ncolumns = ['{column}']"
    )
}

#[test]
fn clause_4_the_second_showing_of_a_doubled_hour() {
    let minutes =
        ["01:30", "02:00", "02:15", "02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00", "03:15"];
    let input = minutes.iter().enumerate().fold("Timestamp;Load\n".to_owned(), |text, (at, minute)| {
        text + &format!("30.10.2022 {minute};{}\n", at + 1)
    });
    let options =
        "time = 'Timestamp'\ntime_format = '%d.%m.%Y %H:%M'\ntimezone = 'Europe/Vienna'\ndelimiter = ';'";
    let (out, report) = outcome(&input, options, &hourly("Load"));
    let expected = [
        ["2022-10-29T23:00:00Z", "1", "1"],
        ["2022-10-30T00:00:00Z", "4", "3.5"],
        ["2022-10-30T01:00:00Z", "4", "7.5"],
        ["2022-10-30T02:00:00Z", "2", "10.5"],
    ];
    let got: Vec<_> =
        rows(&out).into_iter().map(|row| [row[0].clone(), row[2].clone(), row[3].clone()]).collect();
    assert_eq!(got, expected, "{out}");
    assert!(
        report.remarks.iter().any(|remark| remark
            .starts_with("4 records are from an hour that the clocks of Europe/Vienna show twice")),
        "{:?}",
        report.remarks
    );
    assert_eq!(report.rejects.late, 0);
    // With an offset in the text there is nothing to resolve, and it is late.
    let (_, report) = outcome(
        "t,v\n2022-10-30T02:45:00+02:00,1\n2022-10-30T02:15:00+02:00,2\n2022-10-30T03:00:00+01:00,2\n",
        "time = 't'\ntimezone = 'Europe/Vienna'\nmax_rejects = 9",
        &hourly("v").replace("1h", "1m"),
    );
    assert_eq!((report.rejects.late, report.remarks.len()), (1, 0), "{:?}", report.remarks);
}

#[test]
fn clause_9_the_newest_record_comes_first() {
    let input = "time,value\n2024-01-01T00:04:00Z,5\n2024-01-01T00:03:00Z,4\n2024-01-01T00:02:00Z,3\n2024-01-01T00:01:00Z,2\n2024-01-01T00:00:00Z,1\n";
    let window = "[[stage]]\ntype = 'moving_average'\nwindow = '2m'";
    let (out, report) = outcome(input, "time = 'time'\norder = 'newest_first'", window);
    let means: Vec<_> = rows(&out).into_iter().map(|row| row[3].clone()).collect();
    assert_eq!(means, ["1", "1.5", "2.5", "3.5", "4.5"], "{out}");
    assert_eq!(report.rejects.late, 0);
}

#[test]
fn clause_25_a_clock_that_jumps_ahead() {
    let mut input = "time,device,temp\n".to_owned();
    for (time, temp) in [("13T10:00", 1), ("13T10:01", 2), ("14T10:00", 99), ("13T10:02", 3), ("13T10:03", 6)]
    {
        input += &format!("2026-09-{time}:00Z,a,{temp}\n");
    }
    let options = "time = 'time'\nsensor = 'device'\nmax_rejects = 9";
    let (out, report) = outcome(&input, &format!("{options}\nmax_jump = '1h'"), &hourly("temp"));
    assert_eq!(rows(&out), [["2026-09-13T10:00:00Z", "a", "4", "3"]], "{out}");
    assert_eq!((report.rejects.ahead, report.rejects.late), (1, 0));
    let (_, report) = outcome(&input, options, &hourly("temp"));
    assert_eq!((report.rejects.ahead, report.rejects.late), (0, 2), "what it is about");
}

#[test]
fn clause_24_a_stretch_of_time_of_any_source() {
    let input =
        "t,v\n2024-06-30 23:59:59,1\n2024-07-01 00:00:00,2\n2024-07-01 12:00:00,3\n2024-07-02 00:00:00,4\n";
    let options = "time = 't'\ntimezone = 'Europe/Berlin'\nfrom = '2024-07-01'\nuntil = '2024-07-02'";
    let (out, report) = outcome(input, options, "");
    assert_eq!(rows(&out).into_iter().map(|row| row[2].clone()).collect::<Vec<_>>(), ["2", "3"]);
    let period = report.stages.iter().find(|stage| stage.name == "period").expect("a stage");
    assert_eq!(period.ledger.filtered, 2);
    let made = "[source]\ntype = 'synthetic'\nrecords = 100\nstart = '2024-01-01T00:00:00Z'\n";
    let text = |more: &str| format!("{made}{more}\n[[sink]]\ntype = 'null'\n");
    let whole = Pipeline::from_toml(&text("")).expect("a pipeline").run().expect("run");
    let half =
        Pipeline::from_toml(&text("until = '2024-01-01T00:00:05Z'")).expect("a pipeline").run().expect("run");
    assert!(
        half.stages[0].ledger.output > 0 && half.stages[0].ledger.output < whole.sources[0].ledger.output,
        "{half:?}"
    );
}

#[test]
fn clause_4_units_that_are_wrong_are_said() {
    let input = "t,v\n1711190542,1\n1711190543,2\n";
    let (_, report) = outcome(input, "time = 't'\ntime_format = 'ns'", "");
    assert!(
        report.remarks[0].starts_with("2 of 2 records have times in January 1970"),
        "{:?}",
        report.remarks
    );
    let (_, report) = outcome(input, "time = 't'\ntime_format = 's'", "");
    assert!(report.remarks.is_empty(), "{:?}", report.remarks);
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let cases = [
        (
            "time = 't'\norder = 'newest_first'\ndisorder = '5m'",
            "`disorder` has no meaning without `order = \"time\"`",
        ),
        ("order = 'newest_first'", "`order = \"newest_first\"` needs a time column"),
        ("time = 't'\norder = 'newest_first'\nmax_jump = '1h'", "`max_jump` cannot be combined with"),
        (
            "time = 't'\ntime_format = '%H:%M'\nstart = '2024-01-01'\norder = 'newest_first'",
            "times of day cannot be combined with",
        ),
        ("max_jump = '1h'", "`max_jump` needs a time column"),
        ("time = 't'\nmax_jump = 'far'", "`max_jump`: `far` is not a duration"),
        ("from = '2024-01-01'", "`from` and `until` need a time column"),
        ("time = 't'\nfrom = 'monday'", "`from`: `monday` is not a time"),
        (
            "time = 't'\nfrom = '2024-01-02'\nuntil = '2024-01-01'",
            "`from` is 2024-01-02T00:00:00Z and `until` is 2024-01-01T00:00:00Z: there is no time between them",
        ),
        ("time = 't'\ntime_format = '%H:%M'", "name the day that they begin with in `start`"),
        ("time = 't'\nstart = '2024-01-01'", "`start`: the time format `rfc3339` has absolute times"),
        (
            "time = 't'\ntime_format = 's'\nzones = { CET = '+01:00' }",
            "`zones`: the time format `s` has no time zone abbreviations",
        ),
        ("zones = { CET = '+01:00' }", "`zones` has no meaning without a time column"),
        ("time_format = 's'\nstart = '2024-01-01'", "`start` has no meaning without a time column"),
    ];
    for (options, expected) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let pipeline = pipeline(folder.path(), "t,v\n0,1\n", options, "").expect(options);
        let error = pipeline.run().expect_err(options).to_string();
        assert!(error.contains(expected), "{options}: {error}");
    }
    let live = "[source]\ntype = 'csv'\npath = 'tcp://127.0.0.1:0'\nnames = ['t', 'v']\nheader = false\ntime = 't'\nmeasurements = ['v']\norder = 'newest_first'\n[[sink]]\ntype = 'null'\n";
    let error = Pipeline::from_toml(live).expect("a pipeline").run().expect_err("no end").to_string();
    assert!(error.contains("needs a bounded input"), "{error}");
}

/// A run with a checkpoint after every chunk, stopped at every place that it can be stopped at, gives what one run gives.
#[test]
fn what_leading_stages_keep_is_in_checkpoints() {
    let mut input = "t,s,v\n".to_owned();
    for (at, minute) in ["01:45", "02:15", "02:45", "02:00", "02:30", "03:00"].iter().enumerate() {
        input += &format!("2022-10-30 {minute}:00,a,{at}\n2022-10-30 {minute}:00,b,{at}\n");
        if at == 2 {
            input += "2022-11-30 00:00:00,a,99\n";
        }
    }
    for order in ["", "order = 'time'\ndisorder = '10m'\n", "order = 'newest_first'\n"] {
        let jump = if order.contains("newest") { "" } else { "max_jump = '2h'\n" };
        let options = format!(
            "time = 't'\nsensor = 's'\ntimezone = 'Europe/Vienna'\nuntil = '2022-12-01'\n{jump}{order}"
        );
        let (expected, judge) = outcome(&input, &options, "");
        for threads in [1, 3] {
            let folder = tempfile::tempdir().expect("a folder");
            let state = folder.path().join("state");
            let lines: Vec<&str> = input.lines().collect();
            let mut runs = 0;
            let report = loop {
                let pipeline = pipeline(folder.path(), &input, &options, "").expect("a pipeline");
                let mut run = RunOptions { threads: Some(threads), ..RunOptions::default() };
                run.open.chunk_size = 1;
                run.state =
                    Some(StateOptions { every: std::time::Duration::ZERO, ..StateOptions::new(&state) });
                // Stops itself once it has seen some more.
                let mut stopper = Stopper { stop: run.stop.clone(), behind: 2 * (runs + 1) };
                runs += 1;
                let report = executor::run(&pipeline, &run, &mut stopper).expect("run");
                if !report.is_paused {
                    break report;
                }
                assert!(runs < lines.len() as u64, "it never ends");
            };
            assert!(runs > 2, "it was stopped");
            let out = std::fs::read_to_string(folder.path().join("out.csv")).expect("output");
            assert_eq!(out, expected, "{order}{threads} threads");
            assert_eq!(report.rejects.ahead, judge.rejects.ahead);
            let said = |report: &Report| report.remarks.iter().any(|remark| remark.contains("show twice"));
            assert!(said(&report) && said(&judge), "{:?}", report.remarks);
        }
    }
}

/// Stops a run behind a number of records.
struct Stopper {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    behind: u64,
}

impl tidemill_engine::executor::Observer for Stopper {
    fn progress(&mut self, _pass: &str, _progress: tidemill::source::Progress, records: u64) {
        if records >= self.behind {
            self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
