//! `tidemill doctor`: whether every endpoint of a pipeline can be used from here.

use std::fmt::Write;

use super::args::ValidateArgs;
use super::failure::Outcome;
use super::load;
use super::output::{self, TerminalText};
use super::summary::plural;
use tidemill_core::error::{Error, hide_secrets, visible};
use tidemill_engine::doctor::{Examined, examine};

pub(super) fn doctor(args: &ValidateArgs) -> Outcome {
    let resolved = load::pipeline(&args.pipeline)?;
    let examined = examine(&resolved.pipeline);
    output::data(&hide_secrets(&report(&examined)))?;
    let failed =
        examined.iter().flat_map(|part| part.probe.steps()).filter(|step| step.outcome.is_err()).count();
    match failed {
        0 => Ok(()),
        failed => Err(Error::unavailable(format!("{} failed", plural(failed as u64, "check"))).into()),
    }
}

/// One line per step, and what to do below each that failed.
fn report(examined: &[Examined]) -> String {
    let mut text = TerminalText::default();
    for Examined { label, probe, .. } in examined {
        // Into memory, where it cannot fail.
        let _written = writeln!(text, "{}", visible(label));
        for step in probe.steps() {
            let what = visible(&step.what);
            let _written = match &step.outcome {
                Ok(found) => writeln!(text, "  ok    {what}: {}", visible(found)),
                Err(error) => {
                    let mut told = writeln!(text, "  FAIL  {what}: {}", visible(error.message()));
                    if let Some(help) = error.help() {
                        told = told.and_then(|()| writeln!(text, "        {}", visible(help)));
                    }
                    told
                }
            };
        }
    }
    text.to_string()
}
