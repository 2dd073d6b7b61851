//! A pipeline as written: a TOML text, values laid over it, variables put in. Nothing here knows any component.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Pipeline;
use super::environment;
use super::parts::{LeftOut, parse, split};
use super::places::Places;
use super::resolve::{Resolved, resolve};
use super::secrets::Secrets;
use super::variables::{Expanded, Lookup, expand};
use super::written::{SpecError, Written};
use crate::error::{Error, Result};
use crate::options::{Diagnostic, Untyped};

/// A pipeline as written, not yet checked.
pub struct Spec {
    written: Written,
    base: PathBuf,
    lookup: Box<Lookup<'static>>,
}

impl Spec {
    /// The pipeline written in `text`; `name` stands for the file in messages. Variables are the environment's, and relative paths start
    /// from the current folder.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut written = Written::default();
        written.push(name, text);
        Self { written, base: PathBuf::new(), lookup: Box::new(environment::variable) }
    }

    /// Reads the file at `path`; `-` is standard input. Relative paths start from the folder that the file lies in (a link counts where it
    /// is, not where it leads), those of standard input from the current folder.
    ///
    /// # Errors
    /// When it cannot be read, or is not UTF-8.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        let read = if name == "-" {
            std::io::stdin().read_to_end(&mut bytes)
        } else {
            std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
        };
        read.map_err(|error| cannot_read(&name, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::config(format!("cannot read {name}: it is not UTF-8 at byte {at}"))
                .with_help("a pipeline file is TOML text; is this the data instead?")
        })?;
        Ok(match name.as_str() {
            "-" => Self::new("standard input", text),
            _ => Self::new(name, text).with_base(path.parent().unwrap_or(Path::new(""))),
        })
    }

    /// Lets relative paths start from `folder`.
    pub fn with_base(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base = folder.into();
        self
    }

    /// Lays `path=value`, such as `stage.0.max=90`, over the file.
    pub fn with_set(mut self, argument: impl Into<String>) -> Self {
        self.written.push("--set", argument);
        self
    }

    /// Takes the values of `${…}` from `lookup` instead of the environment.
    pub fn with_variables(mut self, lookup: impl Fn(&str) -> Option<String> + 'static) -> Self {
        self.lookup = Box::new(lookup);
        self
    }

    /// Checks everything and makes the components.
    ///
    /// # Errors
    /// All that is wrong, each with its place.
    pub fn resolve(&self) -> Result<Resolved, SpecError> {
        let Attempt { pipeline, diagnostics, secrets, places } = self.attempt(&LeftOut::default());
        match pipeline {
            Some(pipeline) if diagnostics.is_empty() => Ok(self.resolved(pipeline, places)),
            _ => Err(self.wrong(diagnostics, &secrets, &places)),
        }
    }

    /// Makes the components without what is left out, as far as that goes.
    pub(super) fn attempt(&self, left_out: &LeftOut) -> Attempt {
        let mut attempt = Attempt::default();
        let diagnostics = &mut attempt.diagnostics;
        let Some((mut table, mut untyped)) = parse(&self.written, diagnostics) else { return attempt };
        let expanded = expand(&mut table, &self.written, &*self.lookup, diagnostics);
        let Expanded { untyped: of_variables, secrets } = expanded;
        untyped.extend(of_variables);
        let mut parts = split(table, diagnostics);
        attempt.places = Places::of(&parts);
        parts.leave_out(&left_out.options);
        let pipeline = resolve(parts, &left_out.parts, &untyped as &[Untyped], diagnostics);
        attempt.pipeline =
            pipeline.map(|pipeline| Pipeline { secrets: secrets.clone(), ..pipeline.with_base(&self.base) });
        attempt.secrets = secrets;
        attempt
    }

    pub(super) fn resolved(&self, pipeline: Pipeline, places: Places) -> Resolved {
        Resolved::new(pipeline, Arc::new(self.written.clone()), places)
    }

    /// What was found wrong, without what came from the environment.
    pub(super) fn wrong(&self, found: Vec<Diagnostic>, secrets: &Secrets, places: &Places) -> SpecError {
        SpecError::new(Arc::new(self.written.clone()), places.hide(found, secrets))
    }
}

/// What came of making the components.
#[derive(Default)]
pub(super) struct Attempt {
    /// `None` where one could not be made.
    pub(super) pipeline: Option<Pipeline>,
    /// What is wrong all the same.
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) secrets: Secrets,
    pub(super) places: Places,
}

impl Pipeline {
    /// The pipeline written in `text`, with the environment's variables. Relative paths start from the current folder: see
    /// [`Pipeline::with_base`].
    ///
    /// # Errors
    /// All that is wrong with it, each with its place.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        Ok(Spec::new("pipeline", text).resolve()?.pipeline)
    }

    /// The pipeline in the file at `path`; `-` is standard input. Relative paths start from the folder of the file.
    ///
    /// # Errors
    /// When the file cannot be read, or a configuration error with all that is wrong with it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Spec::read(path)?.resolve()?.pipeline)
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

fn cannot_read(name: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::unavailable(format!("cannot read {name}: no such file"))
            .with_help("`tidemill init DATA -o pipeline.toml` writes a first pipeline for a data file"),
        _ => Error::io("read", name, error),
    }
}
