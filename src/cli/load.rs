//! From the arguments to a pipeline and the way to run it.

use super::args::{DriveArgs, FileArgs};
use super::exit::{Failure, Outcome};
use super::interrupt;
use super::output;
use crate::error::Error;
use crate::executor::{self, RunOptions};
use crate::pipeline::{Plan, Resolved, Spec, Touched};
use crate::source::OpenOptions;

/// The pipeline in the file, checked.
pub(super) fn pipeline(args: &FileArgs) -> Outcome<Resolved> {
    let spec = args.set.iter().fold(Spec::read(&args.file)?, |spec, set| spec.with_set(set));
    let resolved = spec.resolve()?;
    output::hide(&resolved.pipeline.secrets);
    Ok(resolved)
}

/// The pipeline file, which nothing may be written over.
pub(super) fn read(args: &FileArgs) -> Touched {
    Touched::read(&args.file, "the pipeline file")
}

/// What the pipeline will do to the columns of its input.
pub(super) fn plan(resolved: &Resolved) -> Outcome<Plan> {
    executor::plan(&resolved.pipeline, &OpenOptions::default()).map_err(|error| locate(resolved, error))
}

/// An error at its place in the pipeline file, if it has one.
pub(super) fn locate(resolved: &Resolved, error: Error) -> Failure {
    resolved.locate(error).map_or_else(Failure::from, Failure::from)
}

/// How the arguments want a pipeline run. From here on, Ctrl-C stops the run and not the process.
pub(super) fn run_options(args: &DriveArgs) -> RunOptions {
    RunOptions {
        sequential: false,
        threads: args.threads.map(usize::from),
        open: OpenOptions { io: args.io.into(), ..OpenOptions::default() },
        stop: interrupt::stop_flag(),
        ..RunOptions::default()
    }
}
