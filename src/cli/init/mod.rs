//! `tidemill init`: inspects data files and writes a first pipeline for them.

mod alike;
mod archive;
mod file;
mod found;
mod inputs;
mod look;
mod pipeline;
mod relative;
mod series;
mod sort;
mod tell;
mod twins;

use std::path::Path;

use super::args::InitArgs;
use super::failure::Outcome;
use super::output;
use inputs::inputs;
use tidemill_core::error::Error;
use tidemill_engine::atomic;
use tidemill_engine::executor;
use tidemill_engine::pipeline::Spec;
use tidemill_engine::pipeline::touched::{self, Touched};
use tidemill_engine::source::OpenOptions;

pub(super) fn init(args: &InitArgs) -> Outcome {
    let inputs = inputs(&args.data)?;
    let mut found = look::at(&inputs)?;
    let file = args.output.as_deref().filter(|path| !atomic::is_stdout(path));
    let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
    for path in &mut found.paths {
        *path = relative::seen_from(folder, path)?;
    }
    let text = pipeline::text(&found);
    let output = args.output.iter().map(|path| Touched::written(path, "the pipeline file"));
    let data = inputs.iter().flat_map(|input| &input.files).map(|path| Touched::read(path, "the data"));
    touched::check(&data.chain(output).collect::<Vec<_>>())?;
    match &args.output {
        Some(path) => output::file(path, &text, args.force)?,
        None => output::data(&text)?,
    }
    tell::tell(&found);
    if !inputs.iter().any(|input| input.is_stdin()) {
        check(&text, folder);
    }
    Ok(())
}

/// Tests the pipeline against the data, because it is a guess.
fn check(text: &str, folder: &Path) {
    let plan = Spec::new("pipeline", text)
        .with_base(folder)
        .resolve()
        .map_err(Error::from)
        .and_then(|resolved| executor::plan(&resolved.pipeline, &OpenOptions::default()));
    if let Err(error) = plan {
        output::note(&format!("the pipeline does not fit the data yet: {error}"));
    }
}
