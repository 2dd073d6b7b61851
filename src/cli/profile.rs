//! `--profile`: a flame graph of the run, from samples of the stacks of this process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pprof::flamegraph::Options;
use pprof::{Frames, ProfilerGuard, Symbol};
use rustix::time::{ClockId, clock_gettime};

use super::failure::Outcome;
use super::output;
use tidemill_core::error::{Error, Result};

/// Samples per second of processor time: a prime, so that periodic events are not sampled too often.
const FREQUENCY: i32 = 997;

/// The sampling of a run.
pub(super) struct Profile {
    guard: ProfilerGuard<'static>,
    path: PathBuf,
}

impl Profile {
    /// Starts sampling; the flame graph will be written to `path`.
    pub(super) fn start(path: &Path) -> Result<Self> {
        warm_up()?;
        let guard = ProfilerGuard::new(FREQUENCY).map_err(|error| failed(&error))?;
        Ok(Self { guard, path: path.to_owned() })
    }

    /// Stops sampling and writes the flame graph of a run of `pipeline`.
    pub(super) fn finish(self, pipeline: &Path) -> Outcome {
        let report = self.guard.report().frames_post_processor(shorten).build();
        let report = report.map_err(|error| failed(&error))?;
        let samples: isize = report.data.values().sum();
        if samples == 0 {
            let what = "the run ended before the first sample: there is no profile";
            output::note(&format!("note: {what}"));
            return Ok(());
        }
        let mut options = Options::default();
        options.title = format!("tidemill run {}", pipeline.display());
        options.subtitle = Some(format!("{samples} stack samples"));
        options.deterministic = true;
        let mut picture = Vec::new();
        report.flamegraph_with_options(&mut picture, &mut options).map_err(|error| failed(&error))?;
        output::file(&self.path, &String::from_utf8_lossy(&picture), true)
    }
}

/// The first sample allocates the tables for unwinding, in the signal handler: if it interrupts the allocator, the thread
/// deadlocks. So it is taken here, where nothing allocates, and discarded.
fn warm_up() -> Result<()> {
    // The system's clock for this ticks only 100 times a second on some machines.
    const SEVERAL_TICKS: Duration = Duration::from_millis(50);
    let guard = ProfilerGuard::new(FREQUENCY).map_err(|error| failed(&error))?;
    let spent = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    let start = spent();
    while spent().saturating_sub(start) < SEVERAL_TICKS {}
    drop(guard);
    Ok(())
}

fn failed(error: &pprof::Error) -> Error {
    Error::internal(format!("the run cannot be profiled: {error}"))
}

/// Keeps only the outermost function of every frame: samples are distinguished by that alone, so functions inlined into it
/// would be those of the first sample. Drops the frames of a worker's start, and merges all workers.
fn shorten(frames: &mut Frames) {
    for symbols in &mut frames.frames {
        symbols.drain(..symbols.len().saturating_sub(1));
    }
    // Frames are ordered from the innermost.
    let is_of_rayon =
        |symbols: &Vec<Symbol>| symbols.iter().any(|symbol| symbol.filename().contains("/rayon-core"));
    if let Some(start) = frames.frames.iter().position(is_of_rayon) {
        frames.frames.truncate(start);
    }
    for symbol in frames.frames.iter_mut().flatten() {
        symbol.name = Some(label(&symbol.name(), &symbol.filename()).into_bytes());
    }
    frames.thread_name = "all threads".into();
}

/// A function without its type arguments, and the file that it is in.
fn label(name: &str, file: &str) -> String {
    let short = name.split('<').find(|part| !part.is_empty()).unwrap_or(name);
    match file.rsplit_once("/src/") {
        Some((_, inside)) => format!("{short} ({inside})"),
        None => short.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_function_and_file() {
        let file = "tidemill/src/format/csv/encode.rs";
        assert_eq!(label("encode<alloc::vec::Vec<u8>>", file), "encode (format/csv/encode.rs)");
        assert_eq!(label("__libc_pwrite64", "Unknown"), "__libc_pwrite64");
    }
}
