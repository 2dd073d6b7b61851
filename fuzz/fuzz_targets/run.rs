//! Any input through any pipeline: the parallel runtime with its fast decoders gives what the one-thread loop with the reference decoders
//! gives, whatever the number of threads, the size of chunks and the way of reading: outputs, ledgers, rejections, errors.
#![no_main]

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tidemill::executor::run;
use tidemill::source::{Io, OpenOptions};
use tidemill::{Pipeline, Report, Result, RunOptions};
use tidemill_fuzz::Choices;

/// Stages of every reach, in pieces of a pipeline file.
const STAGES: [&str; 14] = [
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
];

/// Where inputs and outputs are written: in memory where there is such a place.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
});

fuzz_target!(|input: &[u8]| {
    let (choices, text) = Choices::<5>::split(input);
    std::fs::write(FOLDER.path().join("in"), [header(&choices), text].concat()).expect("written");
    let open = OpenOptions {
        chunk_size: 1 + choices.number(3) * 4,
        io: if choices.bit(0, 1) { Io::Read } else { Io::Auto },
        ..OpenOptions::default()
    };
    let threads = choices.of(2, &[2, 1, 7, 16]);
    let options = RunOptions { threads: Some(threads), open, ..RunOptions::default() };
    let plain = RunOptions { sequential: true, ..RunOptions::default() };
    with_pipeline(written(&choices), |pipeline| {
        assert_eq!(outcome(pipeline, &options), outcome(pipeline, &plain), "{threads} threads");
    });
});

/// Most of the time would go into pipeline files: each is read once.
fn with_pipeline(file: String, act: impl FnOnce(&Pipeline)) {
    thread_local! {
        static KNOWN: RefCell<HashMap<String, Option<Pipeline>>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let pipeline = known.entry(file).or_insert_with_key(|file| Pipeline::from_toml(file).ok());
        pipeline.as_ref().map(act);
    });
}

fn header(choices: &Choices<5>) -> &'static [u8] {
    if choices.bit(0, 0) {
        b"{\"t\":\"2026-01-01T00:00:00Z\",\"s\":\"s1\",\"v\":1,\"w\":\"x\"}\n"
    } else {
        b"t,s,v,w\n"
    }
}

/// The pipeline file. One that asks for a window of time without times is none.
fn written(choices: &Choices<5>) -> String {
    let folder = FOLDER.path().display();
    let mut file = format!(
        "[source]\ntype = '{}'\npath = '{folder}/in'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = {}\n",
        if choices.bit(0, 0) { "jsonl" } else { "csv" },
        if choices.bit(0, 2) { 3 } else { 1000 },
    );
    if !choices.bit(0, 3) {
        file += "time = 't'\n";
        file += if choices.bit(0, 4) { "order = 'time'\ndisorder = '3s'\n" } else { "" };
    }
    // The first eight by one byte, the others by what is left of another.
    let is_chosen = |at: usize| if at < 8 { choices.bit(1, at as u8) } else { choices.bit(4, at as u8 - 7) };
    let chosen = STAGES.iter().enumerate().filter(|&(at, _)| is_chosen(at));
    chosen.for_each(|(_, stage)| file += &format!("[[stage]]\n{stage}\n"));
    for (kind, more) in
        [("csv", ""), ("jsonl", "sensors = ['s1*']"), ("dead_letter", ""), ("parquet", "row_group = 7")]
    {
        // Parquet takes most of the time.
        if kind != "parquet" || choices.bit(4, 0) {
            let _ = write!(file, "[[sink]]\ntype = '{kind}'\npath = '{folder}/{kind}'\n{more}\n");
        }
    }
    file
}

/// Everything that a run leaves behind: its files, its ledgers without the times, or its error.
fn outcome(pipeline: &Pipeline, options: &RunOptions) -> Vec<String> {
    let files = ["csv", "jsonl", "dead_letter", "parquet"].map(|kind| FOLDER.path().join(kind));
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
            let entries = [&report.source].into_iter().chain(&report.stages).chain(&report.sinks);
            let ledgers: Vec<_> = entries.map(|entry| (&entry.name, entry.ledger)).collect();
            format!("{ledgers:?} {:?} {} {:?}", report.rejects, report.sensors, report.remarks)
        }
    }
}
