//! `tidemill fit`: runs only the first passes, and saves the constants that a stage was fitted to.

use super::args::FitArgs;
use super::failure::Outcome;
use super::load::{self, locate, run_options};
use super::output;
use super::progress::Display;
use tidemill_core::error::{Error, Result, visible};
use tidemill_engine::executor;
use tidemill_engine::pipeline::Touched;

pub(super) fn fit(args: &FitArgs) -> Outcome {
    let resolved = load::pipeline(&args.pipeline)?;
    let output = args.output.iter().map(|path| Touched::written(path, "the constants"));
    let touched: Vec<_> = output.chain([load::read(&args.pipeline)]).collect();
    resolved.pipeline.check_touched(&touched).map_err(|error| locate(&resolved, error))?;
    args.output.as_deref().map_or(Ok(()), output::check_file)?;
    let mut display = Display::new(&args.drive);
    let result = executor::fit(&resolved.pipeline, &run_options(&args.drive), &mut display);
    display.finish();
    let (stages, report) = result.map_err(|error| locate(&resolved, error))?;
    if !args.drive.quiet {
        report.remarks.iter().for_each(|remark| output::note(&format!("note: {}", visible(remark))));
    }
    let first = resolved.pipeline.stages_before();
    let fitted =
        stages.iter().enumerate().skip(first).filter_map(|(at, stage)| Some((at - first, stage.fitted()?)));
    let text = choose(fitted.collect(), args.stage)?;
    match &args.output {
        Some(path) => output::file(path, &text, true),
        None => output::data(&text),
    }
}

fn choose(mut fitted: Vec<(usize, String)>, stage: Option<usize>) -> Result<String> {
    let numbers: Vec<_> = fitted.iter().map(|(at, _)| at.to_string()).collect();
    match stage {
        Some(wanted) => fitted.retain(|&(at, _)| at == wanted),
        None if fitted.len() > 1 => {
            return Err(Error::usage(format!("the stages {} all learn constants", numbers.join(", ")))
                .with_help("choose which one to save: `--stage N`"));
        }
        None => {}
    }
    let none = || match (stage, numbers.is_empty()) {
        (Some(at), false) => Error::usage(format!("stage {at} learns no constants"))
            .with_help(format!("these do: {}", numbers.join(", "))),
        _ => Error::config("no stage of this pipeline learns constants")
            .with_help("`type = \"normalize\"` with `fit = true` does"),
    };
    fitted.pop().map(|(_, text)| text).ok_or_else(none)
}
