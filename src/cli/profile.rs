//! `--profile`: a flame graph of the run, from samples of the stacks of this process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pprof::flamegraph::Options;
use pprof::{Frames, ProfilerGuard, Symbol};
use rustix::time::{ClockId, clock_gettime};

use super::failure::Outcome;
use super::output;
use tidemill_core::error::{Error, Result};

/// Samples a second of processor time: a prime, so that nothing that happens at round times is met more often than it should be.
const FREQUENCY: i32 = 997;

/// The sampling of a run.
pub(super) struct Profile {
    guard: ProfilerGuard<'static>,
    path: PathBuf,
}

impl Profile {
    /// Begins to sample; the picture will go to `path`.
    pub(super) fn start(path: &Path) -> Result<Self> {
        warm_up()?;
        let guard = ProfilerGuard::new(FREQUENCY).map_err(|error| failed(&error))?;
        Ok(Self { guard, path: path.to_owned() })
    }

    /// Ends sampling and writes the picture of a run of `pipeline`.
    pub(super) fn finish(self, pipeline: &Path) -> Outcome {
        let report = self.guard.report().frames_post_processor(shorten).build();
        let report = report.map_err(|error| failed(&error))?;
        let samples: isize = report.data.values().sum();
        if samples == 0 {
            let what = "the run was over before the first sample was taken: there is nothing to draw";
            output::note(&format!("note: {what}"));
            return Ok(());
        }
        let mut options = Options::default();
        options.title = format!("tidemill run {}", pipeline.display());
        options.subtitle = Some(format!("{samples} samples of the stacks"));
        options.deterministic = true;
        let mut picture = Vec::new();
        report.flamegraph_with_options(&mut picture, &mut options).map_err(|error| failed(&error))?;
        output::file(&self.path, &String::from_utf8_lossy(&picture), true)
    }
}

/// The first sample makes the tables that unwinding needs, in the signal handler, with memory that it allocates: whoever was interrupted
/// in the allocator would wait for itself. So it is taken here, where nobody allocates, and forgotten.
fn warm_up() -> Result<()> {
    // The system's clock for this ticks 100 times a second on some machines, however often samples are asked for.
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
    Error::internal(format!("the run cannot be sampled: {error}"))
}

/// Leaves of every frame the function that stands in the program: samples are told apart by those alone, so what was put in line
/// there is that of the first sample only. Drops the frames that say how a worker was started, and puts all workers together.
fn shorten(frames: &mut Frames) {
    for symbols in &mut frames.frames {
        symbols.drain(..symbols.len().saturating_sub(1));
    }
    // Frames begin with the innermost.
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
