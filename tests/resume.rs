//! A run with a state folder that is called again: with another pipeline, when it is over, to be finished.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill::runtime::{Observer, StateOptions};
use tidemill::source::Progress;
use tidemill::{Error, ErrorKind, Pipeline, Report, RunOptions};

const RECORDS: usize = 1000;

/// Stops a run when it has seen so many records.
struct Stopper {
    stop: Arc<AtomicBool>,
    at: u64,
}

impl Observer for Stopper {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        self.stop.store(records >= self.at, Ordering::Relaxed);
    }
}

/// Runs over `in.csv` through `stages` to `sinks`, both in TOML, until about so many records are read.
fn run(
    folder: &Path,
    stages: &str,
    sinks: &str,
    until: u64,
    accept: bool,
    finish: bool,
) -> Result<Report, Error> {
    let toml = format!(
        "[source]\ntype = 'csv'\npath = '@/in.csv'\ntime = 't'\ntime_format = 's'\nsensor = 'sensor'\n{stages}\n{sinks}"
    );
    let pipeline = Pipeline::from_toml(&toml.replace('@', folder.to_str().expect("UTF-8")))?;
    let stop = Arc::new(AtomicBool::new(false));
    let state =
        StateOptions { accept_changes: accept, finishes: finish, ..StateOptions::new(folder.join("state")) };
    let mut options =
        RunOptions { threads: Some(1), stop: Arc::clone(&stop), state: Some(state), ..RunOptions::default() };
    options.open.chunk_size = 200;
    pipeline.run_with(&options, &mut Stopper { stop, at: until })
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = (0..RECORDS).map(|at| format!("{at},s{},{}\n", at % 3, at % 7));
    let text: String = std::iter::once("t,sensor,v\n".to_owned()).chain(lines).collect();
    std::fs::write(folder.path().join("in.csv"), text).expect("written");
    folder
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("an output").lines().map(str::to_owned).collect()
}

/// The only file whose name begins with this.
fn file(folder: &Path, start: &str) -> Option<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found =
        entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)));
    let first = found.next();
    assert!(found.next().is_none(), "several of {start}");
    first
}

const OUT: &str = "[[sink]]\ntype = 'csv'\npath = '@/out.csv'";
const MEAN: &str = "[[stage]]\ntype = 'moving_average'\nwindow = 2";

#[test]
fn a_file_is_not_gone_on_with_by_other_columns() {
    let folder = folder();
    assert!(run(folder.path(), "", OUT, 300, false, false).expect("a run").is_paused);
    let error = run(folder.path(), MEAN, OUT, u64::MAX, true, false).expect_err("other columns");
    assert!(error.to_string().contains("begun with other columns than `t,sensor,v,v_avg`"), "{error}");
    // Nothing is lost by that.
    assert!(!run(folder.path(), "", OUT, u64::MAX, false, false).expect("a run").is_paused);
    assert_eq!(lines(&folder.path().join("out.csv")).len(), 1 + RECORDS);
}

#[test]
fn what_was_written_before_a_change_is_kept_beside() {
    let folder = folder();
    let before = run(folder.path(), "", OUT, 300, false, false).expect("a run").source.ledger.input;
    let other = OUT.replace("out.csv", "other.csv");
    run(folder.path(), MEAN, &other, 600, true, false).expect("a run");
    // Once more with the same path, other options.
    let decimals = format!("{other}\ndecimals = 1");
    let report = run(folder.path(), MEAN, &decimals, u64::MAX, true, false).expect("a run");
    let first = file(folder.path(), "out.csv.until-").expect("kept");
    assert!(first.to_string_lossy().ends_with(&format!(".until-{before}")), "{first:?}");
    let second = file(folder.path(), "other.csv.until-").expect("kept");
    assert!(
        report.remarks.iter().any(|remark| remark.contains(&*second.to_string_lossy())),
        "{:?}",
        report.remarks
    );
    let parts = [first, second, folder.path().join("other.csv")].map(|path| lines(&path)[1..].to_vec());
    let times: Vec<_> =
        parts.iter().flatten().map(|line| line.split(',').next().map(str::to_owned)).collect();
    assert_eq!(times, (0..RECORDS).map(|at| Some(at.to_string())).collect::<Vec<_>>());
    assert_eq!(file(folder.path(), "."), None, "nothing is left in the making");
}

#[test]
fn a_run_that_is_over_needs_its_output() {
    let folder = folder();
    run(folder.path(), "", OUT, u64::MAX, false, false).expect("a run");
    let again = run(folder.path(), "", OUT, u64::MAX, false, false).expect("nothing to do");
    assert!(again.remarks.iter().any(|remark| remark.contains("over already")));
    let path = folder.path().join("out.csv");
    let text = std::fs::read_to_string(&path).expect("an output");
    std::fs::write(&path, text + "more\n").expect("written");
    let error = run(folder.path(), "", OUT, u64::MAX, false, false).expect_err("another output");
    assert!(error.to_string().contains("bytes where"), "{error}");
    std::fs::remove_file(&path).expect("removed");
    let error = run(folder.path(), "", OUT, u64::MAX, false, false).expect_err("no output");
    assert!(error.to_string().contains("is not there"), "{error}");
}

#[test]
fn a_run_is_finished_where_its_checkpoint_is() {
    let folder = folder();
    let error = run(folder.path(), "", OUT, u64::MAX, false, true).expect_err("nothing to finish");
    assert!(error.to_string().contains("nothing to finish"), "{error}");
    // What waits to be put in order leaves too.
    let order = "order = 'time'\ndisorder = '100s'";
    let paused = run(folder.path(), order, OUT, 500, false, false).expect("a run");
    assert!(paused.remarks.iter().any(|remark| remark.contains("--finish")), "{:?}", paused.remarks);
    let report = run(folder.path(), order, OUT, u64::MAX, false, true).expect("a run");
    let records = paused.source.ledger.input;
    assert_eq!(
        (report.is_paused, report.source.ledger.input, report.records_before),
        (false, records, records)
    );
    assert_eq!(lines(&folder.path().join("out.csv")).len() as u64, 1 + records);
}

#[test]
fn a_first_pass_is_whole_or_nothing() {
    let fitted =
        format!("{MEAN}\n[[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nfit = true\nsave = '@/fit.json'");
    let (whole, folder) = (folder(), folder());
    run(whole.path(), &fitted, OUT, u64::MAX, false, false).expect("a run");
    let error = run(folder.path(), &fitted, OUT, 300, false, false).expect_err("a stop in the first pass");
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    assert!(!folder.path().join("fit.json").exists());
    run(folder.path(), &fitted, OUT, u64::MAX, false, false).expect("a run");
    assert_eq!(lines(&folder.path().join("out.csv")), lines(&whole.path().join("out.csv")));
}

#[test]
fn files_that_are_followed_from_now_on_are_not_read_again() {
    let folder = folder();
    run(folder.path(), "", OUT, 300, false, false).expect("a run");
    let error = run(folder.path(), "follow = true", OUT, u64::MAX, true, false).expect_err("another reading");
    assert!(error.to_string().contains("`follow` was another"), "{error}");
}

#[test]
fn what_an_address_would_hide_is_not_passed_over_in_silence() {
    let folder = folder();
    let list = "path = ['tcp-listen://127.0.0.1:1', '@/in.csv']"
        .replace('@', folder.path().to_str().expect("UTF-8"));
    let toml = format!(
        "[source]\ntype = 'csv'\n{list}\ntime = 't'\nheader = false\nnames = ['t', 's', 'v']\nmeasurements = ['v']\n[[sink]]\ntype = 'null'"
    );
    let error = Pipeline::from_toml(&toml).expect("a pipeline").run().expect_err("a file behind an address");
    assert!(error.to_string().contains("never read"), "{error}");
}

/// Records of these times behind a header that is longer than what is remembered of a file's beginning.
fn wide(times: std::ops::Range<usize>) -> String {
    let names: Vec<_> = (0..300).map(|at| format!("column_{at}")).collect();
    let lines = times.map(|at| format!("{at},s{},{}{}\n", at % 3, at % 7, ",".repeat(300)));
    std::iter::once(format!("t,sensor,v,{}\n", names.join(","))).chain(lines).collect()
}

#[test]
fn another_file_under_the_same_name_is_not_gone_on_with() {
    let folder = folder();
    let input = folder.path().join("in.csv");
    std::fs::write(&input, wide(0..RECORDS)).expect("written");
    assert!(run(folder.path(), "", OUT, 300, false, false).expect("a run").is_paused);
    // The next day's, which is longer.
    std::fs::write(&input, wide(RECORDS..3 * RECORDS)).expect("written");
    let error = run(folder.path(), "", OUT, u64::MAX, false, false).expect_err("another file");
    assert!(error.to_string().contains("is another file than it was"), "{error}");
    // It has grown: that is the same one.
    std::fs::write(&input, wide(0..2 * RECORDS)).expect("written");
    run(folder.path(), "", OUT, u64::MAX, false, false).expect("a run");
    assert_eq!(lines(&folder.path().join("out.csv")).len(), 1 + 2 * RECORDS);
}

#[test]
fn a_run_is_finished_and_published_without_its_input() {
    let folder = folder();
    let records = run(folder.path(), "", OUT, 300, false, false).expect("a run").source.ledger.input;
    std::fs::remove_file(folder.path().join("in.csv")).expect("removed");
    let error = run(folder.path(), "", OUT, u64::MAX, false, false).expect_err("no input");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    run(folder.path(), "", OUT, u64::MAX, false, true).expect("finished");
    assert_eq!(lines(&folder.path().join("out.csv")).len() as u64, 1 + records);
}

#[test]
fn the_report_of_a_run_that_is_over_has_what_it_counted() {
    let folder = folder();
    let first = run(folder.path(), MEAN, OUT, u64::MAX, false, false).expect("a run");
    let again = run(folder.path(), MEAN, OUT, u64::MAX, false, false).expect("nothing to do");
    assert_eq!(again.source.ledger, first.source.ledger);
    assert_eq!((again.source.ledger.input, again.records_before), (RECORDS as u64, RECORDS as u64));
    let ledgers = |report: &Report| -> Vec<_> {
        report.stages.iter().chain(&report.sinks).map(|entry| (entry.name.clone(), entry.ledger)).collect()
    };
    assert_eq!(ledgers(&again), ledgers(&first));
    assert_eq!((again.sensors, first.sensors), (3, 3));
}

#[test]
fn incidents_of_several_measurements_go_on() {
    let alert =
        "[[sink]]\ntype = 'alert'\ncolumn = 'v*'\nabove = 3\nclear_above = 0.5\npath = '@/alerts.jsonl'";
    let whole = folder();
    run(whole.path(), MEAN, alert, u64::MAX, false, false).expect("a run");
    let expected = lines(&whole.path().join("alerts.jsonl"));
    for column in ["v", "v_avg"] {
        let of = format!("\"column\":\"{column}\"");
        assert!(expected.iter().filter(|line| line.contains(&of)).count() > 2, "{expected:?}");
    }
    let folder = folder();
    let mut pauses = 0;
    while run(folder.path(), MEAN, alert, 100 * (pauses + 1), false, false).expect("a run").is_paused {
        pauses += 1;
    }
    assert!(pauses > 5, "{pauses}");
    assert_eq!(lines(&folder.path().join("alerts.jsonl")), expected);
}
