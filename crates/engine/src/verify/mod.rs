//! Verifies that a pipeline gives the same bytes however it is run: on the one-thread loop, on any number of threads, with chunks of any
//! size, live, record by record, stopped and resumed anywhere.

#[cfg(test)]
mod idle_tests;
mod shredded;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::executor;
use crate::pipeline::{Pipeline, SinkEntry};
use crate::runtime::{Observer, RunOptions, StateOptions};
use crate::sink::{CsvFile, DeadLetter, Takes};
use crate::source::{OpenOptions, Progress};
use crate::streaming;

use crate::random::Random;
use shredded::Shredded;

/// Settings of a verification.
#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions {
    /// The seed of all random sizes and positions.
    pub seed: u64,
    /// The number of random runs of each kind.
    pub rounds: u64,
}

/// The result of a verification.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// The number of runs, including the reference run.
    pub ways: u64,
    /// The number of records of the source.
    pub records: u64,
    /// The names of the compared files.
    pub files: Vec<String>,
    /// The first difference.
    pub difference: Option<Difference>,
    /// The error of the reference run, and, if there is no difference, of all others.
    pub failure: Option<String>,
}

/// The first difference between two ways of running.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The way that differs from the reference run.
    pub way: String,
    /// The file, or `the end` if one of the runs failed.
    pub file: String,
    /// The line number, from 1.
    pub line: u64,
    /// The line in the reference run.
    pub plain: String,
    /// The line in the other run.
    pub other: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, file, line, plain, other } = self;
        write!(f, "{way}: {file}, line {line}\n  plain: {plain}\n  here:  {other}")
    }
}

impl Pipeline {
    /// The overrides of its file, such as `sink.0.path="…"`, that put all files that it writes into `folder`: for [`verify`].
    pub fn overrides_into(&self, folder: &Path) -> Vec<String> {
        let place =
            |option: String, name: String| format!("{option}={:?}", folder.join(name).to_string_lossy());
        // The sink's number keeps equal names apart.
        let sinks = self.sinks.iter().enumerate().filter_map(|(at, sink)| {
            let file = sink.spec.file()?;
            let name = file.file_name()?.to_string_lossy();
            Some(place(format!("sink.{at}.path"), format!("sink {at} {name}")))
        });
        // Fitted constants are compared too, and do not overwrite those saved by an earlier run.
        let stages = self.stages.iter().enumerate();
        let saves = stages.filter(|(_, entry)| entry.stage.parameters()["save"].is_string());
        let saves = saves.map(|(at, _)| place(format!("stage.{at}.save"), format!("stage {at} learnt")));
        sinks.chain(saves).collect()
    }
}

/// Runs the pipeline in many ways. `make` is called with a folder for its files, under `scratch`, and returns the pipeline. Sinks that
/// write no files are replaced; all records and all rejections are written and compared in any case. Blocks the calling thread, possibly
/// for long.
///
/// # Errors
/// If the pipeline cannot be built, or its input cannot be read twice. A failing run is not an error: it is a result that must be the same
/// for all.
pub fn verify(
    make: &dyn Fn(&Path) -> Result<Pipeline>,
    scratch: &Path,
    options: &VerifyOptions,
) -> Result<Verdict> {
    let mut ways = Ways { make, scratch, random: Random::new(options.seed), count: 0, can_resume: false };
    let plain = ways.plain()?;
    let (records, files) = (plain.records, plain.names());
    let failure = plain.has_failed.then(|| plain.end.clone());
    let mut verdict = Verdict { ways: 1, records, files, difference: None, failure };
    for round in 0..options.rounds {
        for kind in [RunMode::Bounded, RunMode::Live, RunMode::Resumed] {
            if kind == RunMode::Resumed && !ways.can_resume {
                continue;
            }
            let (way, outcome) = ways.run(kind, round, plain.records)?;
            verdict.ways += 1;
            verdict.difference = plain.difference(&way, &outcome, kind == RunMode::Resumed);
            if verdict.difference.is_some() {
                return Ok(verdict);
            }
        }
    }
    Ok(verdict)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RunMode {
    Bounded,
    Live,
    Resumed,
}

/// What a run leaves behind.
struct Outcome {
    /// The files by name; sinks that cannot resume are missing in resumed runs.
    files: BTreeMap<String, Vec<u8>>,
    /// How it ended: the error, or the ledgers.
    end: String,
    has_failed: bool,
    records: u64,
}

struct Ways<'a> {
    make: &'a dyn Fn(&Path) -> Result<Pipeline>,
    scratch: &'a Path,
    random: Random,
    count: u64,
    /// Whether the source can resume.
    can_resume: bool,
}

impl Ways<'_> {
    fn plain(&mut self) -> Result<Outcome> {
        let (folder, pipeline) = self.pipeline()?;
        if !pipeline.traits().is_replayable {
            return Err(Error::config("the input cannot be read twice")
                .with_help("verify with files, such as a recording"));
        }
        self.can_resume = can_resume(&pipeline);
        let options = RunOptions { sequential: true, ..RunOptions::default() };
        outcome(&folder, &pipeline, executor::run(&pipeline, &options, &mut ()))
    }

    /// The pipeline with its output in a folder of its own.
    fn pipeline(&mut self) -> Result<(PathBuf, Pipeline)> {
        self.count += 1;
        let folder = self.scratch.join(format!("way-{}", self.count));
        let mut pipeline = (self.make)(&folder)?;
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        // Input of sinks that write no file is written to a file instead.
        for (at, sink) in pipeline.sinks.iter_mut().enumerate().filter(|(_, sink)| sink.spec.file().is_none())
        {
            sink.spec = match sink.spec.takes() {
                Takes::Records => Arc::new(CsvFile::new(path(&format!("records of sink {at}.csv")))),
                Takes::Rejections => Arc::new(DeadLetter::new(path(&format!("rejects of sink {at}.jsonl")))),
            };
        }
        pipeline.sinks.push(SinkEntry::new(CsvFile::new(path("all records.csv"))));
        pipeline.sinks.push(SinkEntry::new(DeadLetter::new(path("all rejects.jsonl"))));
        Ok((folder, pipeline))
    }

    fn run(&mut self, kind: RunMode, round: u64, records: u64) -> Result<(String, Outcome)> {
        let (folder, mut pipeline) = self.pipeline()?;
        let written = pipeline.clone();
        let threads = [1, 2, 3, 7][(round % 4) as usize];
        let chunk_size = 1 << self.random.below(18);
        let open = OpenOptions { chunk_size, ..OpenOptions::default() };
        let options = RunOptions { threads: Some(threads), open, ..RunOptions::default() };
        let how = format!("{threads} threads, chunks of {chunk_size} bytes");
        let (way, result) = match kind {
            RunMode::Bounded => (format!("bounded, {how}"), executor::run(&pipeline, &options, &mut ())),
            RunMode::Live => {
                let (seed, mut options) = (self.random.next(), options.clone());
                // Both the input pieces and the chunks made of them have random sizes.
                options.open.shred = Some(seed);
                let live = |mut pipeline: Pipeline| {
                    for source in &mut pipeline.sources {
                        source.spec = Arc::new(Shredded::new(Arc::clone(&source.spec), seed));
                    }
                    streaming::run(&pipeline, &options, &mut ())
                };
                (format!("live, {how}, read and cut again at random"), learnt(pipeline).and_then(live))
            }
            RunMode::Resumed => {
                pipeline.sinks.retain(|sink| sink.spec.can_resume());
                let (stops, result) = match learnt(pipeline) {
                    Ok(pipeline) => self.resumed(&folder, &pipeline, &options, records),
                    Err(error) => (0, Err(error)),
                };
                (format!("stopped {stops} times and resumed, {how}"), result)
            }
        };
        Ok((way, outcome(&folder, &written, result)?))
    }

    /// Runs `pipeline` with stops at random points, on alternating runtimes.
    fn resumed(
        &mut self,
        folder: &Path,
        pipeline: &Pipeline,
        options: &RunOptions,
        records: u64,
    ) -> (u64, Result<crate::Report>) {
        let state = StateOptions {
            every: Duration::from_micros(self.random.below(5000)),
            ..StateOptions::new(folder.join("state"))
        };
        let (mut stops, mut reached) = (0, 0);
        loop {
            // The number of records of a failing run is not known.
            let step = if records > 0 { records / 3 } else { reached };
            reached += 1 + self.random.below(step + 1);
            let stop = Arc::new(AtomicBool::new(false));
            let options =
                RunOptions { stop: Arc::clone(&stop), state: Some(state.clone()), ..options.clone() };
            let mut stopper = Stopper { stop, at: reached };
            let result = match stops % 2 {
                0 => executor::run(pipeline, &options, &mut stopper),
                _ => streaming::run(pipeline, &options, &mut stopper),
            };
            let is_over = result.as_ref().map_or(true, |report| !report.is_paused);
            // Stops before any progress must not repeat forever.
            if is_over || stops > records + 100 {
                return (stops, result);
            }
            stops += 1;
        }
    }
}

/// Sets a flag after a number of records.
struct Stopper {
    stop: Arc<AtomicBool>,
    at: u64,
}

impl Observer for Stopper {
    fn progress(&mut self, _pass: &str, _progress: Progress, records: u64) {
        if records >= self.at {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether its sources and stages can go on from a checkpoint. Sinks that cannot are left out.
fn can_resume(pipeline: &Pipeline) -> bool {
    let sources = || pipeline.sources.iter().all(|source| source.spec.check_resumable().is_ok());
    let stages = || pipeline.stages.iter().all(|entry| entry.stage.check_resumable().is_ok());
    pipeline.can_resume() && sources() && stages()
}

/// The pipeline with its first passes done.
fn learnt(pipeline: Pipeline) -> Result<Pipeline> {
    match pipeline.has_first_pass() {
        true => executor::learnt(&pipeline, &RunOptions::default(), &mut ()).map(|(learnt, _)| learnt),
        false => Ok(pipeline),
    }
}

fn outcome(folder: &Path, pipeline: &Pipeline, result: Result<crate::Report>) -> Result<Outcome> {
    let result = result.map_err(|error| pipeline.hide_error(error));
    let (end, records) = match &result {
        Ok(report) => {
            let parts = report.sources.iter().chain(&report.stages);
            let ledgers: Vec<_> = parts.map(|entry| format!("{} {:?}", entry.name, entry.ledger)).collect();
            (report.missing.clone().unwrap_or_else(|| ledgers.join("\n")), report.records())
        }
        Err(error) => (error.to_string().replace(&*folder.to_string_lossy(), ""), 0),
    };
    let mut files = BTreeMap::new();
    let failed = |error: std::io::Error| Error::io("read", folder.display(), &error);
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A failed run keeps its unfinished output to resume from.
        if path.is_file() && !name.starts_with('.') {
            files.insert(name, std::fs::read(&path).map_err(failed)?);
        }
    }
    let has_failed = result.as_ref().map_or(true, |report| report.missing.is_some());
    Ok(Outcome { files, end, has_failed, records })
}

impl Outcome {
    fn names(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }

    /// The first difference from `other`; a file missing there is not a difference if it `may_lack` some.
    fn difference(&self, way: &str, other: &Self, may_lack: bool) -> Option<Difference> {
        if let Some(difference) = unlike(way, "the end", self.end.as_bytes(), other.end.as_bytes()) {
            return Some(difference);
        }
        let names: std::collections::BTreeSet<_> = self.files.keys().chain(other.files.keys()).collect();
        names.into_iter().find_map(|name| match (self.files.get(name), other.files.get(name)) {
            (Some(_), None) if may_lack => None,
            (plain, other) => {
                let bytes =
                    |file: Option<&Vec<u8>>| file.map_or_else(|| b"(no such file)".to_vec(), Clone::clone);
                unlike(way, name, &bytes(plain), &bytes(other))
            }
        })
    }
}

fn unlike(way: &str, file: &str, plain: &[u8], other: &[u8]) -> Option<Difference> {
    if plain == other {
        return None;
    }
    let same = plain.iter().zip(other).take_while(|(a, b)| a == b).count();
    let start = plain[..same].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let line = |bytes: &[u8]| {
        let line = bytes[start.min(bytes.len())..].split(|&byte| byte == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned()
    };
    Some(Difference {
        way: way.to_owned(),
        file: file.to_owned(),
        line: 1 + memchr::memchr_iter(b'\n', &plain[..start]).count() as u64,
        plain: line(plain),
        other: line(other),
    })
}
