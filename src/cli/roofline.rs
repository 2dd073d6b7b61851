//! `tidemill roofline`: measures this machine's limits for the input of a pipeline, and how close the pipeline comes.
//!
//! Each baseline does one necessary step of a run and nothing else, on as many threads as the run
//! has (after Williams, Waterman and Patterson, "Roofline", 2009).

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::args::RooflineArgs;
use super::failure::Outcome;
use super::load::{self, locate, run_options};
use super::output;
use super::progress::Display;
use super::summary::{aligned, count, plural, time};
use tidemill_core::batch::Bytes;
use tidemill_core::error::{Error, Result};
use tidemill_engine::executor::{self, Report, RunOptions};
use tidemill_engine::pipeline::{Pipeline, SinkEntry};
use tidemill_engine::sink::Null;
use tidemill_engine::source::{MappedFile, is_local};

/// Rounds in which every baseline and the pipeline are measured in turn; the fastest counts.
const ROUNDS: usize = 3;
/// Bytes that a thread processes at once: a buffer of that size stays in its cache.
const PIECE: usize = 256 << 10;

/// The input, file by file.
struct MeasuredFiles {
    files: Vec<(PathBuf, u64)>,
    /// Where the pipeline would write, for the baseline of writing.
    folder: PathBuf,
}

/// A measured step, and its best time.
struct Baseline {
    what: &'static str,
    measure: fn(&MeasuredFiles) -> Result<()>,
    best: Duration,
}

pub(super) fn roofline(args: &RooflineArgs) -> Outcome {
    let resolved = load::pipeline(&args.pipeline)?;
    let input = MeasuredFiles::of(&resolved.pipeline)?;
    let without_sinks =
        Pipeline { sinks: vec![SinkEntry::new(Null::default())], ..resolved.pipeline.clone() };
    let options = run_options(&args.drive);
    let mut baselines = baselines();
    let mut best: Option<Report> = None;
    let mut display = Display::new(&args.drive);
    for _ in 0..ROUNDS {
        for baseline in &mut baselines {
            baseline.best = baseline.best.min(measured(baseline.measure, &input, &options)?);
        }
        let report = executor::run(&without_sinks, &options, &mut display);
        let report = report.map_err(|error| locate(&resolved, error))?;
        if best.as_ref().is_none_or(|best| report.elapsed < best.elapsed) {
            best = Some(report);
        }
    }
    display.finish();
    output::data(&best.map(|best| text(&input, &baselines, &best)).unwrap_or_default())
}

fn baselines() -> [Baseline; 4] {
    let baseline = |what, measure| Baseline { what, measure, best: Duration::MAX };
    [
        baseline("read", read),
        baseline("map, count line ends", count_line_ends),
        baseline("map, copy to memory", copy),
        baseline("write as many bytes", write),
    ]
}

impl MeasuredFiles {
    fn of(pipeline: &Pipeline) -> Result<Self> {
        let with_size = |path: PathBuf| {
            let size =
                path.metadata().map_err(|error| Error::io("read", path.to_string_lossy(), &error))?.len();
            Ok((path, size))
        };
        let files = pipeline.files(&pipeline.outputs()).map(with_size).collect::<Result<Vec<_>>>()?;
        if files.iter().all(|(_, size)| *size == 0) {
            return Err(Error::usage("there is no non-empty file to measure").with_help(
                "name files in [source] `path`; standard input and synthetic readings cannot be measured",
            ));
        }
        let output = pipeline.sinks.iter().find_map(|sink| sink.spec.file());
        let folder = output.and_then(|path| path.parent().map(Path::to_path_buf));
        let is_there = |folder: &PathBuf| folder.is_dir();
        Ok(Self { files, folder: folder.filter(is_there).unwrap_or_else(|| ".".into()) })
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, size)| size).sum()
    }

    /// Calls `act` with every piece of the files and a buffer per thread, on all threads of the pool.
    fn pieces(&self, act: impl Fn(&File, u64, &mut [u8]) -> io::Result<()> + Sync) -> Result<()> {
        for (path, size) in &self.files {
            let failed = |error: io::Error| Error::io("read", path.to_string_lossy(), &error);
            let (file, next) = (File::open(path).map_err(failed)?, AtomicU64::new(0));
            on_all_threads(|| {
                let mut buffer = vec![0; PIECE];
                loop {
                    let at = next.fetch_add(PIECE as u64, Ordering::Relaxed);
                    let length = size.saturating_sub(at).min(PIECE as u64) as usize;
                    if length == 0 {
                        return Ok(());
                    }
                    act(&file, at, &mut buffer[..length])?;
                }
            })
            .map_err(failed)?;
        }
        Ok(())
    }

    /// The same with mapped bytes, and memory per thread.
    fn mapped(&self, act: impl Fn(&Bytes, &mut Vec<u8>) + Sync) -> Result<()> {
        for (path, size) in self.files.iter().filter(|(_, size)| *size > 0) {
            let failed = |error: io::Error| Error::io("map", path.to_string_lossy(), &error);
            let file = File::open(path).map_err(failed)?;
            if !is_local(&file) {
                return Err(Error::usage(format!("{} is on a network file system", path.display()))
                    .with_help("measure a copy on a disk of this machine"));
            }
            let map = Mutex::new(MappedFile::open(&file, *size).map_err(failed)?);
            let next = || -> io::Result<Bytes> {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                let length = map.peek(4 * PIECE)?.0.len();
                Ok(map.take(length))
            };
            on_all_threads(|| {
                let mut own = Vec::new();
                loop {
                    let bytes = next()?;
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    act(&bytes, &mut own);
                }
            })
            .map_err(failed)?;
        }
        Ok(())
    }
}

/// Runs `act` on every thread of the pool; the first error counts.
fn on_all_threads(act: impl Fn() -> io::Result<()> + Sync) -> io::Result<()> {
    rayon::broadcast(|_| act()).into_iter().collect()
}

fn measured(
    measure: fn(&MeasuredFiles) -> Result<()>,
    input: &MeasuredFiles,
    options: &RunOptions,
) -> Result<Duration> {
    executor::on_threads(options, || {
        let start = Instant::now();
        measure(input)?;
        Ok(start.elapsed())
    })
}

fn read(input: &MeasuredFiles) -> Result<()> {
    input.pieces(|file, at, buffer| file.read_exact_at(buffer, at))
}

fn count_line_ends(input: &MeasuredFiles) -> Result<()> {
    input.mapped(|bytes, _| {
        std::hint::black_box(memchr::memchr_iter(b'\n', bytes.as_slice()).count());
    })
}

fn copy(input: &MeasuredFiles) -> Result<()> {
    input.mapped(|bytes, own| {
        own.clear();
        own.extend_from_slice(bytes.as_slice());
        std::hint::black_box(own);
    })
}

/// Writes an unnamed temporary file where the pipeline would write.
fn write(input: &MeasuredFiles) -> Result<()> {
    let failed = |error: io::Error| Error::io("write", input.folder.to_string_lossy(), &error);
    let mut file = tempfile::tempfile_in(&input.folder).map_err(failed)?;
    let piece = vec![b'7'; PIECE];
    let mut left = input.bytes();
    while left > 0 {
        let length = left.min(PIECE as u64) as usize;
        file.write_all(&piece[..length]).map_err(failed)?;
        left -= length as u64;
    }
    Ok(())
}

fn text(input: &MeasuredFiles, baselines: &[Baseline], report: &Report) -> String {
    let (bytes, records) = (input.bytes(), report.records());
    let each = |spent: Duration| format!("{:.1}", spent.as_nanos() as f64 / records.max(1) as f64);
    let speed = |spent: Duration| format!("{:.2}", bytes as f64 / spent.as_secs_f64().max(1e-9) / 1e9);
    let passes = report.passes.max(1) as u32;
    let share = |baseline: Duration| {
        format!("{:.0} %", 100.0 * baseline.as_secs_f64() / (report.elapsed / passes).as_secs_f64().max(1e-9))
    };
    let mut rows = vec![["", "time", "GB/s", "ns/record", "share"].map(str::to_owned).to_vec()];
    rows.extend(baselines.iter().map(|Baseline { what, best, .. }| {
        vec![(*what).to_owned(), time(*best), speed(*best), each(*best), share(*best)]
    }));
    let pass = report.elapsed / passes;
    let what = if passes > 1 { "the pipeline, per pass" } else { "the pipeline" };
    rows.push(vec![what.to_owned(), time(pass), speed(pass), each(pass), "100 %".to_owned()]);
    format!(
        "{} bytes in {}, {}, {}; the best of {ROUNDS}\n{}\
         share: time of the step alone, relative to the pipeline. Sinks are left out (`run --timings` shows them).\n",
        count(bytes),
        plural(input.files.len() as u64, "file"),
        plural(records, "record"),
        plural(report.threads, "thread"),
        aligned(&rows),
    )
}
