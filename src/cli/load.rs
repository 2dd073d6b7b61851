//! From the arguments to a pipeline and the way to run it.

use super::args::{DriveArgs, FileArgs};
use super::failure::{Failure, Outcome};
use super::interrupt;
use super::{masked, output};
use tidemill_core::error::{Error, Result};
use tidemill_engine::executor::{self, RunOptions};
use tidemill_engine::pipeline::{Plan, Resolved, Spec, Touched};
use tidemill_engine::source::OpenOptions;

/// The pipeline as written, with the overrides of the arguments.
pub(super) fn spec(args: &FileArgs) -> Result<Spec> {
    let spec = Spec::read(&args.file)?;
    let spec = match &args.base {
        None => spec,
        Some(base) if base.is_dir() => spec.with_base(base),
        Some(base) => {
            return Err(Error::usage(format!("--base {}: no such folder", base.display()))
                .with_help("name the folder from which relative paths of the pipeline start"));
        }
    };
    Ok(args.set.iter().fold(spec, Spec::with_set))
}

/// The pipeline in the file, checked.
pub(super) fn pipeline(args: &FileArgs) -> Outcome<Resolved> {
    let resolved = spec(args)?.resolve()?;
    masked::hide(&resolved.pipeline.secrets);
    Ok(resolved)
}

/// The pipeline file, which must not be overwritten.
pub(super) fn read(args: &FileArgs) -> Touched {
    Touched::read(&args.file, "the pipeline file")
}

/// The pipeline in the file, with the columns at each stage. Reports all mistakes at once.
pub(super) fn plan(args: &FileArgs) -> Outcome<(Resolved, Plan)> {
    let (resolved, plan) =
        spec(args)?.plan(|pipeline| executor::columns(pipeline, &OpenOptions::default()))?;
    masked::hide(&resolved.pipeline.secrets);
    resolved.pipeline.secrets.remarks().iter().for_each(|remark| output::note(&format!("note: {remark}")));
    Ok((resolved, plan))
}

/// The error with its place in the pipeline file, if it has one.
pub(super) fn locate(resolved: &Resolved, error: Error) -> Failure {
    resolved.locate(error).map_or_else(Failure::from, Failure::from)
}

/// The run options from the arguments. From here on, Ctrl-C stops the run and not the process.
pub(super) fn run_options(args: &DriveArgs) -> RunOptions {
    RunOptions {
        sequential: false,
        threads: args.threads.map(usize::from),
        open: OpenOptions { io: args.io.into(), ..OpenOptions::default() },
        stop: interrupt::stop_flag(),
        ..RunOptions::default()
    }
}
