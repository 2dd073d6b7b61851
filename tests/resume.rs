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
    /// Whether those of a first pass count.
    is_early: bool,
}

impl Observer for Stopper {
    fn progress(&mut self, pass: &str, _progress: Progress, records: u64) {
        self.stop.store(records >= self.at && (self.is_early || pass == "run"), Ordering::Relaxed);
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
    run_over(folder, "'@/in.csv'", stages, sinks, until, accept, finish)
}

/// The same over the files that `path` names.
fn run_over(
    folder: &Path,
    path: &str,
    stages: &str,
    sinks: &str,
    until: u64,
    accept: bool,
    finish: bool,
) -> Result<Report, Error> {
    let toml = format!(
        "[source]\ntype = 'csv'\npath = {path}\ntime = 't'\ntime_format = 's'\nsensor = 'sensor'\n{stages}\n{sinks}"
    );
    let pipeline = Pipeline::from_toml(&toml.replace('@', folder.to_str().expect("UTF-8")))?;
    let stop = Arc::new(AtomicBool::new(false));
    let state =
        StateOptions { accept_changes: accept, finishes: finish, ..StateOptions::new(folder.join("state")) };
    let mut options =
        RunOptions { threads: Some(1), stop: Arc::clone(&stop), state: Some(state), ..RunOptions::default() };
    options.open.chunk_size = 200;
    let is_early = path.ends_with("in.csv'");
    pipeline.run_with(&options, &mut Stopper { stop, at: until, is_early })
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
    assert!(error.to_string().contains("has other columns than `t,sensor,v,v_avg`"), "{error}");
    // Nothing is lost by that.
    assert!(!run(folder.path(), "", OUT, u64::MAX, false, false).expect("a run").is_paused);
    assert_eq!(lines(&folder.path().join("out.csv")).len(), 1 + RECORDS);
}

#[test]
fn what_was_written_before_a_change_is_kept_beside() {
    let folder = folder();
    let before = run(folder.path(), "", OUT, 300, false, false).expect("a run").sources[0].ledger.input;
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
fn what_a_run_has_left_in_the_making_goes_with_the_next_one_once_its_state_folder_is_gone() {
    let folder = folder();
    let (state, moved) = (folder.path().join("state"), folder.path().join("moved"));
    let begun = run(folder.path(), "", OUT, 300, false, false).expect("a run").sources[0].ledger.input;
    std::fs::rename(&state, &moved).expect("moved");
    run(folder.path(), "", OUT, 100, false, false).expect("another run");
    std::fs::remove_dir_all(&state).expect("removed");
    run(folder.path(), "", OUT, u64::MAX, false, false).expect("a third one");
    // The first one may go on.
    std::fs::remove_dir_all(&state).and_then(|()| std::fs::rename(&moved, &state)).expect("moved back");
    let report = run(folder.path(), "", OUT, u64::MAX, false, false).expect("gone on");
    assert_eq!(report.records_before, begun);
    assert_eq!(lines(&folder.path().join("out.csv")).len(), 1 + RECORDS);
    assert_eq!(file(folder.path(), "."), None, "nothing is left in the making");
}

#[test]
fn a_run_that_is_over_needs_its_output() {
    let folder = folder();
    run(folder.path(), "", OUT, u64::MAX, false, false).expect("a run");
    let again = run(folder.path(), "", OUT, u64::MAX, false, false).expect("nothing to do");
    assert!(again.remarks.iter().any(|remark| remark.contains("already ended")));
    let path = folder.path().join("out.csv");
    let text = std::fs::read_to_string(&path).expect("an output");
    std::fs::write(&path, text + "more\n").expect("written");
    let error = run(folder.path(), "", OUT, u64::MAX, false, false).expect_err("another output");
    assert!(error.to_string().contains("bytes instead of"), "{error}");
    std::fs::remove_file(&path).expect("removed");
    let error = run(folder.path(), "", OUT, u64::MAX, false, false).expect_err("no output");
    assert!(error.to_string().contains("does not exist"), "{error}");
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
    let records = paused.sources[0].ledger.input;
    assert_eq!(
        (report.is_paused, report.sources[0].ledger.input, report.records_before),
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
fn constants_that_are_loaded_are_those_of_the_checkpoint() {
    let (fitted, folder) = (folder(), folder());
    let stage = |option: &str| format!("[[stage]]\ntype = 'normalize'\nmethod = 'z_score'\n{option}");
    run(fitted.path(), &stage("fit = true\nsave = '@/fit.json'"), OUT, u64::MAX, false, false)
        .expect("a run");
    let (loads, path) = (stage("load = '@/fit.json'"), folder.path().join("fit.json"));
    let constants = std::fs::read_to_string(fitted.path().join("fit.json")).expect("constants");
    std::fs::write(&path, &constants).expect("written");
    run(folder.path(), &loads, OUT, 300, false, false).expect("a run");
    let others = constants.replacen("\"unit\": ", "\"unit\": 1", 1);
    std::fs::write(&path, others).expect("written");
    let error = run(folder.path(), &loads, OUT, u64::MAX, false, false).expect_err("other constants");
    assert!(error.to_string().contains("has changed since the checkpoint"), "{error}");
    assert!(error.to_string().contains("stage 0 (normalize): `CRC-32C of "), "{error}");
    run(folder.path(), &loads, OUT, 600, true, false).expect("accepted");
    run(folder.path(), &loads, OUT, 700, false, false).expect("they are those of the checkpoint now");
    std::fs::write(&path, constants).expect("written");
    run(folder.path(), &loads, OUT, u64::MAX, false, false).expect_err("changed back");
}

#[test]
fn files_that_are_followed_from_now_on_are_not_read_again() {
    let folder = folder();
    run(folder.path(), "", OUT, 300, false, false).expect("a run");
    let error = run(folder.path(), "follow = true", OUT, u64::MAX, true, false).expect_err("another reading");
    assert!(error.to_string().contains("`follow` was off"), "{error}");
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
    assert!(error.to_string().contains("would never be read"), "{error}");
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
    assert!(error.to_string().contains("is a different file than at the checkpoint"), "{error}");
    // It has grown: that is the same one.
    std::fs::write(&input, wide(0..2 * RECORDS)).expect("written");
    run(folder.path(), "", OUT, u64::MAX, false, false).expect("a run");
    assert_eq!(lines(&folder.path().join("out.csv")).len(), 1 + 2 * RECORDS);
}

#[test]
fn a_run_is_finished_and_published_without_its_input() {
    let folder = folder();
    let records = run(folder.path(), "", OUT, 300, false, false).expect("a run").sources[0].ledger.input;
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
    assert_eq!(again.sources[0].ledger, first.sources[0].ledger);
    assert_eq!((again.sources[0].ledger.input, again.records_before), (RECORDS as u64, RECORDS as u64));
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

/// Several files, each of one sensor that has its name, and a run over them.
struct Several {
    folder: tempfile::TempDir,
    path: &'static str,
}

const LIST: &str = "['@/in/a', '@/in/b', '@/in/c', '@/in/d']";
const GLOB: &str = "'@/in/*'";

/// Records of each.
const EACH: usize = 100;

impl Several {
    fn new(path: &'static str) -> Self {
        let several = Self { folder: tempfile::tempdir().expect("a folder"), path };
        std::fs::create_dir(several.file("")).expect("a folder");
        ["a", "b", "c", "d"].into_iter().for_each(|name| several.write(name, EACH));
        several
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("in").join(name)
    }

    fn write(&self, name: &str, records: usize) {
        let lines: String = (0..records).map(|at| format!("{at},{name},{at}\n")).collect();
        std::fs::write(self.file(name), format!("t,sensor,v\n{lines}")).expect("written");
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.file(name)).expect("removed");
    }

    fn run(&self, until: u64, accept: bool, finish: bool) -> Result<Report, Error> {
        run_over(self.folder.path(), self.path, "", OUT, until, accept, finish)
    }

    /// Runs until a part of `b` is read.
    fn begin(&self) -> usize {
        let report = self.run(130, false, false).expect("a run");
        let records = report.sources[0].ledger.input as usize;
        assert!((EACH + 1..2 * EACH).contains(&records) && report.is_paused, "{records}");
        records
    }

    /// Has a run refused without that it is accepted that the file `name` is not what it was; then goes on with that, up to so many records.
    fn go_on(&self, name: &str, until: u64) -> Vec<String> {
        let error = self.run(u64::MAX, false, false).expect_err("not what it was");
        let said = error.to_string();
        assert!(said.contains(&format!("/in/{name}`")) && said.contains("--accept changes"), "{said}");
        let remarks = self.run(until, true, false).expect("accepted").remarks;
        let folder = self.file("");
        let short = |remark: &String| remark.replace(folder.to_str().expect("UTF-8"), "");
        remarks
            .iter()
            .filter(|remark| remark.starts_with(folder.to_str().expect("UTF-8")))
            .map(short)
            .collect()
    }

    /// Ends the run without accepting anything more; which records there are of which files, in order.
    fn end(&self) -> Vec<(String, std::ops::Range<usize>)> {
        assert!(!self.run(u64::MAX, false, false).expect("nothing new to accept").is_paused);
        let mut found: Vec<(String, std::ops::Range<usize>)> = Vec::new();
        for line in &lines(&self.folder.path().join("out.csv"))[1..] {
            let (time, rest) = line.split_once(',').expect("columns");
            let (at, name) = (time.parse().expect("a number"), rest.split(',').next().expect("a sensor"));
            match found.last_mut() {
                Some((last, there)) if last == name && there.end == at => there.end += 1,
                _ => found.push((name.to_owned(), at..at + 1)),
            }
        }
        found
    }
}

fn parts<const N: usize>(
    parts: [(&str, std::ops::Range<usize>); N],
) -> Vec<(String, std::ops::Range<usize>)> {
    parts.map(|(name, range)| (name.to_owned(), range)).into()
}

#[test]
fn files_that_are_gone_are_done_without_where_that_is_accepted_however_they_are_named() {
    for path in [LIST, GLOB] {
        let several = Several::new(path);
        several.begin();
        ["a", "c"].into_iter().for_each(|name| several.remove(name));
        let remarks = several.go_on("a", 250);
        let expected = [
            "a: was read before the checkpoint and has been removed since",
            "c: is not read, because it was removed after the checkpoint",
        ];
        assert_eq!(remarks, expected, "{path}");
        assert_eq!(several.end(), parts([("a", 0..EACH), ("b", 0..EACH), ("d", 0..EACH)]), "{path}");
    }
}

#[test]
fn files_that_have_come_are_read_where_that_is_accepted_those_before_the_place_next() {
    let several = Several::new(GLOB);
    several.begin();
    ["0", "aa", "cc"].into_iter().for_each(|name| several.write(name, 50));
    let remarks = several.go_on("0", 220);
    let behind =
        "is read next though it is new since the checkpoint and sorts before files that were read by then";
    let expected = [
        format!("0: {behind}"),
        format!("aa: {behind}"),
        "cc: is read though it is new since the checkpoint".into(),
    ];
    assert_eq!(remarks, expected);
    let whole = ["a", "b", "c", "d"].map(|name| (name, 0..EACH));
    let [a, b, c, d] = whole;
    assert_eq!(several.end(), parts([a, b, ("0", 0..50), ("aa", 0..50), c, ("cc", 0..50), d]));
}

#[test]
fn the_rest_of_a_file_that_is_gone_is_left_out_where_that_is_accepted_and_is_not_read_when_it_is_back() {
    for path in [LIST, GLOB] {
        let several = Several::new(path);
        let begun = several.begin() - EACH;
        several.remove("b");
        let remarks = several.go_on("b", 200);
        assert!(remarks.len() == 1 && remarks[0].starts_with("b: is not read from byte "), "{remarks:?}");
        several.write("b", EACH);
        let remarks = several.go_on("b", 250);
        assert_eq!(remarks, ["b: is not read again, though it was replaced after it was read"]);
        assert_eq!(several.end(), parts([("a", 0..EACH), ("b", 0..begun), ("c", 0..EACH), ("d", 0..EACH)]));
    }
}

#[test]
fn a_file_that_was_read_and_is_another_by_now_is_left_as_it_was_read_where_that_is_accepted() {
    let several = Several::new(LIST);
    several.begin();
    several.write("a", EACH + 5);
    let remarks = several.go_on("a", 250);
    assert_eq!(remarks, ["a: is not read again, though it was replaced after it was read"]);
    assert_eq!(several.end(), parts(["a", "b", "c", "d"].map(|name| (name, 0..EACH))));
}

#[test]
fn nothing_goes_on_within_another_file_and_a_run_does_not_end_because_all_of_its_files_are_gone() {
    let several = Several::new(LIST);
    let records = several.begin();
    several.write("b", 20);
    let error = several.run(u64::MAX, true, false).expect_err("another file").to_string();
    assert!(error.contains("/in/b` is a different file") && error.contains("move it away"), "{error}");
    ["a", "b", "c", "d"].into_iter().for_each(|name| several.remove(name));
    for accept in [false, true] {
        let error = several.run(u64::MAX, accept, false).expect_err("nothing there");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("--finish"), "{error}");
    }
    several.run(u64::MAX, true, true).expect("finished");
    assert_eq!(lines(&several.folder.path().join("out.csv")).len(), 1 + records);
}

#[test]
fn what_a_first_pass_has_learnt_from_is_not_changed_whatever_is_accepted() {
    let several = Several::new(GLOB);
    let fitted = "[[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nfit = true";
    let run = |until, accept| run_over(several.folder.path(), GLOB, fitted, OUT, until, accept, false);
    assert!(run(130, false).expect("a run").is_paused);
    several.write("e", EACH);
    for accept in [false, true] {
        let error = run(u64::MAX, accept).expect_err("another input").to_string();
        assert!(
            error.contains("/in/e` is new since the checkpoint") && error.contains("a first pass was fitted"),
            "{error}"
        );
        assert!(!error.contains("--accept"), "{error}");
    }
    several.remove("e");
    assert!(!run(u64::MAX, false).expect("as it was").is_paused);
}

#[test]
fn what_a_run_that_is_over_has_not_begun_is_not_for_it_to_accept() {
    let several = Several::new(GLOB);
    several.begin();
    assert!(!several.run(u64::MAX, false, true).expect("finished").is_paused);
    several.write("d", 50);
    for accept in [false, true] {
        let error = several.run(u64::MAX, accept, false).expect_err("another input");
        assert!(error.message().contains("already ended") && error.message().contains("/in/d`"), "{error}");
        assert_eq!(error.help(), Some("restore the input, or start a new run with another --state"));
    }
}
