//! Any input through any pipeline: the parallel runtime with its fast decoders gives what the one-thread loop with the reference decoders
//! gives, whatever the number of threads, the size of chunks and the way of reading: outputs, ledgers, rejections, errors. Some are also read
//! live in random pieces, and stopped and resumed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use tempfile::TempDir;
use tidemill::source::{Io, OpenOptions};
use tidemill::verify::{VerifyOptions, verify};
use tidemill::{Pipeline, Report, Result, RunOptions};
use tidemill_engine::executor::run;

use super::choices::Choices;

/// How many bytes choose the pipeline and how it is run.
const CHOICES: usize = 10;

/// Stages of every reach, in pieces of a pipeline file.
const STAGES: [&str; 18] = [
    "type = 'threshold'\nmin = -50.0\nmax = 90.0",
    "type = 'threshold'\nmin = 0.0\naction = 'mask'\nnulls = 'keep'\nsensors.'s1*' = { min = 10.0 }",
    "type = 'normalize'\nmethod = 'min_max'\nfit = true",
    "type = 'normalize'\nmethod = 'robust'\nfit = true",
    "type = 'normalize'\nmethod = 'z_score'\nrunning = true",
    "type = 'moving_average'\nwindow = 3\ninto = '{column}_3'\ncount = true",
    "type = 'moving_average'\nwindow = '4s'",
    "type = 'threshold'\nmax = 50.0\naction = 'flag'",
    "type = 'moving_min'\nwindow = '5s'",
    "type = 'moving_max'\nwindow = 4\nnon_finite = 'propagate'",
    "type = 'moving_std'\nwindow = 5\nddof = 1",
    "type = 'moving_median'\nwindow = '3s'",
    "type = 'aggregate'\nevery = '10s'\ninto = 'v{statistic}'\ncolumns = ['v']\nquantiles = [0.9]",
    "type = 'pivot'\nkey = 'w'\nnames = ['v', 'x']\nvalue = 'v'",
    "type = 'rate'\ncounter = true",
    "type = 'dedupe'\ntolerance = 2.0\nheartbeat = '5s'",
    "type = 'silence'\nafter = '3s'",
    "type = 'alerts'\ncolumn = 'v'\nabove = 50.0\nclear_above = 30.0\nhold = '1s'",
];

thread_local! {
    /// Where inputs and outputs are written: in memory where there is such a place.
    static FOLDER: TempDir = {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
    };
    /// Most of the time would go into pipeline files: each is read once.
    static KNOWN: RefCell<HashMap<String, Option<Pipeline>>> = RefCell::default();
}

/// Runs the pipeline that is chosen over the text in all these ways; whether it is one, and ends well.
///
/// # Panics
/// Where they differ.
pub fn check(input: &[u8]) -> bool {
    let (choices, text) = Choices::<CHOICES>::split(input);
    FOLDER.with(|folder| check_in(folder.path(), &choices, text))
}

fn check_in(folder: &Path, choices: &Choices<CHOICES>, text: &[u8]) -> bool {
    std::fs::write(folder.join("in"), [&*header(choices), text].concat()).expect("written");
    let open = OpenOptions {
        chunk_size: 1 + choices.number(3) * 4,
        io: if choices.bit(0, 1) { Io::Read } else { Io::Auto },
        ..OpenOptions::default()
    };
    let threads = choices.of(2, &[2, 1, 7, 16]);
    let options = RunOptions { threads: Some(threads), open, ..RunOptions::default() };
    let plain = RunOptions { sequential: true, ..RunOptions::default() };
    let file = written(choices, folder, folder);
    KNOWN.with_borrow_mut(|known| {
        let pipeline = known.entry(file).or_insert_with_key(|file| Pipeline::from_toml(file).ok());
        let Some(pipeline) = pipeline else { return false };
        let outcome = |options| outcome(folder, pipeline, options);
        let expected = outcome(&plain);
        assert_eq!(outcome(&options), expected, "{threads} threads");
        if choices.bit(0, 6) {
            check_live(folder, choices);
        }
        expected[0].starts_with('[')
    })
}

/// Runs it live, and stopped and resumed.
fn check_live(folder: &Path, choices: &Choices<CHOICES>) {
    let scratch = tempfile::tempdir_in(folder).expect("a folder");
    let make = |out: &Path| {
        std::fs::create_dir_all(out).expect("made");
        Ok(Pipeline::from_toml(&written(choices, folder, out))?)
    };
    let options = VerifyOptions { seed: choices.number(9) as u64, rounds: 1 };
    // That it cannot be run at all has been compared.
    if let Ok(verdict) = verify(&make, scratch.path(), &options) {
        assert_eq!(verdict.difference, None);
    }
}

/// The type of the source.
fn kind(choices: &Choices<CHOICES>) -> &'static str {
    match (choices.bit(0, 0), choices.bit(0, 5)) {
        (true, _) => "jsonl",
        (false, true) => "influx",
        (false, false) => "csv",
    }
}

fn header(choices: &Choices<CHOICES>) -> Vec<u8> {
    let text = match kind(choices) {
        "jsonl" => "{\"t\":\"2026-01-01T00:00:00Z\",\"s\":\"s1\",\"v\":1,\"w\":\"x\"}\n",
        "influx" => "",
        _ => "t,s,v,w\n",
    };
    match encoding(choices) {
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        _ => text.into(),
    }
}

fn encoding(choices: &Choices<CHOICES>) -> &'static str {
    choices.of(7, &["utf-8", "windows-1252", "utf-16le", "gb18030"])
}

/// The pipeline file. One that asks for a window of time without times is none.
fn written(choices: &Choices<CHOICES>, input: &Path, output: &Path) -> String {
    let (input, output) = (input.display(), output.display());
    let mut file = format!(
        "[source]\ntype = '{}'\npath = '{input}/in'\nmeasurements = ['v']\nmax_rejects = {}\n",
        kind(choices),
        if choices.bit(0, 2) { 3 } else { 1000 },
    );
    file += source(choices).as_str();
    // The first eight by one byte, the others by what is left of others.
    let is_chosen = |at: usize| match at {
        0..8 => choices.bit(1, at as u8),
        8..15 => choices.bit(4, at as u8 - 7),
        15..17 => choices.bit(5, at as u8 - 9),
        _ => choices.bit(8, at as u8 - 10),
    };
    let chosen = STAGES.iter().enumerate().filter(|&(at, _)| is_chosen(at));
    chosen.for_each(|(_, stage)| file += &format!("[[stage]]\n{stage}\n"));
    for (kind, more) in
        [("csv", ""), ("jsonl", "sensors = ['s1*']"), ("dead_letter", ""), ("parquet", "row_group = 7")]
    {
        // Parquet takes most of the time.
        if kind != "parquet" || choices.bit(4, 0) {
            let _ = write!(file, "[[sink]]\ntype = '{kind}'\npath = '{output}/{kind}'\n{more}\n");
        }
    }
    file
}

/// The options of the source, those of order and time among them.
fn source(choices: &Choices<CHOICES>) -> String {
    let mut chosen = Vec::new();
    let mut choose = |is_chosen: bool, option: &'static str| chosen.extend(is_chosen.then_some(option));
    let (kind, has_time) = (kind(choices), !choices.bit(0, 3));
    let has_time_column = has_time && kind != "influx";
    choose(!choices.bit(6, 0), "sensor = 's'");
    choose(kind != "influx" && choices.number(7) % 4 == 1, "encoding = 'windows-1252'");
    choose(kind != "influx" && choices.number(7) % 4 == 2, "encoding = 'utf-16le'");
    choose(kind != "influx" && choices.number(7) % 4 == 3, "encoding = 'gb18030'");
    choose(has_time_column, "time = 't'");
    choose(has_time_column && choices.bit(6, 1), "time_format = '%H:%M:%S'\nstart = '2026-01-01T23:00:00Z'");
    choose(has_time_column && choices.bit(6, 2), "timezone = 'Europe/Berlin'");
    choose(has_time && choices.bit(0, 4), "order = 'time'\ndisorder = '3s'");
    choose(has_time && choices.bit(5, 0), "order = 'newest_first'");
    choose(has_time && choices.bit(5, 1), "from = '2026-01-01T00:00:02Z'");
    choose(has_time && choices.bit(5, 2), "until = '2026-01-01T00:00:09Z'");
    choose(has_time && choices.bit(5, 3), "max_jump = '1m'");
    choose(has_time && choices.bit(0, 4) && choices.bit(5, 4), "agree = 1");
    choose(has_time && choices.bit(5, 5), "idle_sensors = '3s'");
    choose(kind == "csv" && choices.bit(8, 0), "ragged = 'fit'");
    choose(kind == "csv" && choices.bit(8, 1), "comment = '#'");
    choose(choices.bit(8, 2), "null_values = ['-999', 'b']");
    choose(choices.bit(8, 3), "columns = []");
    choose(choices.bit(8, 4), "unpivot = { sensor = '{sensor}.{column}' }");
    choose(kind == "jsonl" && choices.bit(8, 5), "unfold = 'w'");
    choose(kind == "jsonl" && choices.bit(8, 6), "layout = 'values'");
    chosen.iter().map(|option| format!("{option}\n")).collect()
}

/// Everything that a run leaves behind: its files, its ledgers without the times, or its error.
fn outcome(folder: &Path, pipeline: &Pipeline, options: &RunOptions) -> Vec<String> {
    let files = ["csv", "jsonl", "dead_letter", "parquet"].map(|kind| folder.join(kind));
    for file in &files {
        // Not there the first time.
        let _ = std::fs::remove_file(file);
    }
    let mut all = vec![told(run(pipeline, options, &mut ()))];
    all.extend(files.map(|file| std::fs::read(file).unwrap_or_default().escape_ascii().to_string()));
    all
}

fn told(result: Result<Report>) -> String {
    match result {
        Err(error) => format!("{error:?}"),
        Ok(report) => {
            let entries = report.sources.iter().chain(&report.stages).chain(&report.sinks);
            let ledgers: Vec<_> = entries.map(|entry| (&entry.name, entry.ledger)).collect();
            format!("{ledgers:?} {:?} {} {:?}", report.rejects, report.sensors, report.remarks)
        }
    }
}
