//! `tidemill explain`: describes what a pipeline would do, stage by stage, and what it guarantees.

use super::args::ValidateArgs;
use super::failure::Outcome;
use super::load;
use super::output::{self, TerminalText};
use tidemill_engine::explain::Explanation;

pub(super) fn explain(args: &ValidateArgs) -> Outcome {
    let (resolved, plan) = load::plan(&args.pipeline)?;
    let explanation = Explanation::new(&resolved.pipeline, &plan);
    output::page(&TerminalText::from(explanation.to_string().as_str()))
}
