//! Checks whether a pipeline could run here: every endpoint that it reads and writes, step by step, without reading or writing a record.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::files::{everywhere, folder, is_address};
use crate::pipeline::sources::source_label;
use crate::pipeline::{Pipeline, Plan};
use crate::probe::Probe;
use crate::source::OpenOptions;

/// What was found at one source or sink.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examined {
    /// What messages call it.
    pub label: String,
    /// The steps.
    pub probe: Probe,
}

/// Examines all sources, the columns, then all sinks. No part depends on another, except that columns are known only if all sources can be opened.
#[must_use]
pub fn examine(pipeline: &Pipeline) -> Vec<Examined> {
    let open = pipeline.opening(&OpenOptions::default());
    let mut examined = Vec::new();
    let mut schemas = Vec::new();
    for (at, entry) in pipeline.sources.iter().enumerate() {
        let mut probe = Probe::default();
        schemas.push(probe.step("open", || {
            let source = entry.spec.open(&open)?;
            let schema = Arc::clone(source.schema());
            let names: Vec<&str> = schema.fields().iter().map(|field| &*field.name).collect();
            let found = format!("columns: {}", names.join(", "));
            Ok((schema, found))
        }));
        entry.spec.probe(&mut probe);
        examined.push(Examined { label: source_label(pipeline, at), probe });
    }
    let inputs: Option<Vec<_>> = schemas.into_iter().collect();
    let mut stages = Probe::default();
    let plan = inputs.and_then(|inputs| {
        stages.step("columns", || Ok((Plan::new(pipeline, inputs)?, "they fit the stages and sinks".into())))
    });
    if !stages.steps().is_empty() {
        examined.push(Examined { label: "stages".into(), probe: stages });
    }
    for (at, entry) in pipeline.sinks.iter().enumerate() {
        let mut probe = Probe::default();
        let schema = plan.as_ref().map(|plan| Arc::clone(plan.into_sink(at)));
        let folder_of = |path: std::path::PathBuf| folder(&path).to_owned();
        let rolled = || entry.spec.rolls().map(|template| template.root().to_owned());
        if let Some(path) = entry.spec.file().map(folder_of).or_else(rolled) {
            let look = if is_address(&path) { listed } else { writable };
            let what = if is_address(&path) { "store" } else { "folder" };
            probe.step(what, || look(&path).map(|found| ((), found)));
        }
        entry.spec.probe(schema.as_deref(), &mut probe);
        examined.push(Examined { label: format!("sink {at} ({})", entry.spec.name()), probe });
    }
    examined
}

/// Checks that the store with `folder` answers, and allows a look at it. Whether it allows writing is only known when something is written.
fn listed(folder: &Path) -> Result<String> {
    let at = folder.display();
    let names =
        everywhere(None).names(folder).map_err(|error| Error::io("look at", folder.display(), &error))?;
    Ok(format!("{at} can be reached and has {} names; writing was not tried", names.len()))
}

/// Checks that files can be made in `folder`.
fn writable(folder: &Path) -> Result<String> {
    let at = folder.display();
    let tried = tempfile::tempfile_in(folder);
    tried.map(|_file| format!("{at} is writable")).map_err(|error| {
        Error::new(ErrorKind::Io, format!("cannot write to the folder {at}: {error}"))
            .with_help("make the folder, or give this user the permission to write to it")
    })
}
