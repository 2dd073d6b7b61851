//! `tidemill verify`: runs a pipeline in many ways and checks that all give the same bytes.

use std::path::Path;

use super::args::VerifyArgs;
use super::failure::{Failure, Outcome};
use super::load;
use super::summary::{count, plural};
use super::{masked, output};
use tidemill_core::error::{Error, Result, visible};
use tidemill_core::time::Clock;
use tidemill_engine::pipeline::{Pipeline, Spec};
use tidemill_engine::verify::{VerifyOptions, verify as run};

pub(super) fn verify(args: &VerifyArgs) -> Outcome {
    let scratch = tempfile::tempdir().map_err(|error| Error::io("make", "a temporary folder", &error))?;
    let made = pipeline(args, std::iter::empty())?;
    masked::hide(&made.secrets);
    let make = |folder: &Path| pipeline(args, made.overrides_into(folder).into_iter());
    let seed = args.seed.unwrap_or_else(|| Clock::default().read().as_nanos().unsigned_abs() % 1_000_000_007);
    let verdict = run(&make, scratch.path(), &VerifyOptions { seed, rounds: args.rounds })?;
    match verdict.difference {
        None if verdict.failure.is_some() => Err(Failure::from(
            Error::data(format!(
                "{} of running failed in the same way: {}",
                ways(verdict.ways),
                verdict.failure.unwrap_or_default()
            ))
            .with_help("run it with `tidemill run`, and verify again when that succeeds"),
        )),
        Some(difference) => Err(Failure::from(
            Error::internal("not all ways of running give the same output:")
                .with_lines(difference.to_string().lines().map(str::to_owned))
                .with_help(format!("this is a bug, or a part whose result depends on more than its input; `--seed {seed}` repeats this test")),
        )),
        None => {
            let files = verdict.files.iter().map(|name| format!("`{}`", visible(name))).collect::<Vec<_>>().join(", ");
            output::note(&format!(
                "{} of running gave the same bytes: {files}, from {} (seed {seed})",
                ways(verdict.ways),
                plural(verdict.records, "record"),
            ));
            Ok(())
        }
    }
}

fn ways(ways: u64) -> String {
    format!("{} way{}", count(ways), if ways == 1 { "" } else { "s" })
}

/// The pipeline as written, with some overrides.
fn pipeline(args: &VerifyArgs, more: impl Iterator<Item = String>) -> Result<Pipeline> {
    Ok(more.fold(load::spec(&args.pipeline)?, Spec::with_set).resolve()?.pipeline)
}
