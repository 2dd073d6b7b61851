//! A pipeline as written: TOML text, overrides and variables. Independent of the components.

use std::cell::RefCell;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::Pipeline;
use super::parts::{LeftOut, parse, split};
use super::places::Places;
use super::resolve::{Resolved, resolve};
use super::secrets::Secrets;
use super::variables::{Expanded, Lookup, expand};
use super::written::{SpecError, Written};
use crate::environment;
use crate::error::{Error, Result};
use crate::files::Base;
use crate::options::{Diagnostic, Untyped};
use crate::secret::{FoundSecrets, Reading};

/// A pipeline as written, not yet checked.
pub struct Spec {
    written: Written,
    base: PathBuf,
    /// The name of the pipeline in events.
    name: Option<Arc<str>>,
    lookup: Rc<Lookup<'static>>,
    /// All secrets that were met, also in options that are left out when the rest is looked at.
    met: RefCell<Vec<Arc<FoundSecrets>>>,
}

impl Spec {
    /// A pipeline from `text`; `name` stands for the file in messages. Variables come from the environment, and relative paths are resolved
    /// against the current folder.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut written = Written::default();
        written.push(name, text);
        Self {
            written,
            base: PathBuf::new(),
            name: None,
            lookup: Rc::new(environment::variable),
            met: RefCell::default(),
        }
    }

    /// Reads the file at `path`; `-` is standard input. Relative paths are resolved against the folder of the file (of a link, the folder
    /// of the link itself); those of standard input against the current folder.
    ///
    /// # Errors
    /// If it cannot be read, or is not UTF-8.
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
                .with_help("a pipeline file is TOML text; is this a data file?")
        })?;
        Ok(match name.as_str() {
            "-" => Self::new("standard input", text),
            _ => {
                let stem = path.file_stem().map(|stem| stem.to_string_lossy().into());
                let spec = Self::new(name, text).with_base(path.parent().unwrap_or(Path::new("")));
                Self { name: stem, ..spec }
            }
        })
    }

    /// Resolves relative paths against `folder`.
    pub fn with_base(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base = folder.into();
        self
    }

    /// Overrides an option by `path=value`, such as `stage.0.max=90`.
    pub fn with_set(mut self, argument: impl Into<String>) -> Self {
        self.written.push("--set", argument);
        self
    }

    /// Takes the values of `${…}` and of secrets from `lookup` instead of the environment.
    pub fn with_variables(mut self, lookup: impl Fn(&str) -> Option<String> + 'static) -> Self {
        self.lookup = Rc::new(lookup);
        self
    }

    /// Checks everything and makes the components.
    ///
    /// # Errors
    /// All mistakes, each with its position.
    pub fn resolve(&self) -> Result<Resolved, SpecError> {
        let Attempt { pipeline, diagnostics, secrets, places } = self.attempt(&LeftOut::default());
        match pipeline {
            Some(pipeline) if diagnostics.is_empty() => Ok(self.resolved(pipeline, places)),
            _ => Err(self.wrong(diagnostics, &secrets, &places)),
        }
    }

    /// Makes the components, except what is left out, as far as possible.
    pub(super) fn attempt(&self, left_out: &LeftOut) -> Attempt {
        let mut attempt = Attempt::default();
        let diagnostics = &mut attempt.diagnostics;
        let Some((mut table, mut untyped)) = parse(&self.written, diagnostics) else { return attempt };
        let expanded = expand(&mut table, &self.written, &*self.lookup, diagnostics);
        let Expanded { untyped: of_variables, mut secrets } = expanded;
        untyped.extend(of_variables);
        let mut parts = split(table, diagnostics);
        attempt.places = Places::of(&parts);
        parts.leave_out(&left_out.options);
        let lookup = Rc::clone(&self.lookup);
        let reading = Reading::new(Base::new(&self.base), move |name: &str| lookup(name));
        let reading = reading.with_variables(secrets.values());
        let (pipeline, found) =
            reading.around(|| resolve(parts, &left_out.parts, &untyped as &[Untyped], diagnostics));
        secrets.found = Arc::new(found);
        self.met.borrow_mut().push(Arc::clone(&secrets.found));
        attempt.pipeline = pipeline.map(|pipeline| Pipeline {
            name: self.name.clone(),
            secrets: secrets.clone(),
            ..pipeline.with_base(&self.base)
        });
        attempt.secrets = secrets;
        attempt
    }

    pub(super) fn resolved(&self, pipeline: Pipeline, places: Places) -> Resolved {
        Resolved::new(pipeline, Arc::new(self.written.clone()), places)
    }

    /// The error for these diagnostics, with values from the environment masked.
    pub(super) fn wrong(&self, found: Vec<Diagnostic>, secrets: &Secrets, places: &Places) -> SpecError {
        let met = self.met.borrow();
        let written = self.written.without(met.iter().flat_map(|found| &found.inline));
        SpecError::new(Arc::new(written), places.hide(found, secrets))
    }
}

/// The result of making the components.
#[derive(Default)]
pub(super) struct Attempt {
    /// `None` if one could not be made.
    pub(super) pipeline: Option<Pipeline>,
    /// The mistakes found.
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) secrets: Secrets,
    pub(super) places: Places,
}

impl Pipeline {
    /// Parses a pipeline from `text`, with variables from the environment. Relative paths are resolved against the current folder: see
    /// [`Pipeline::with_base`].
    ///
    /// # Errors
    /// All mistakes, each with its position.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        Ok(Spec::new("pipeline", text).resolve()?.pipeline)
    }

    /// Loads the pipeline file at `path`; `-` is standard input. Relative paths are resolved against the folder of the file.
    ///
    /// # Errors
    /// If the file cannot be read; a configuration error with all mistakes.
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
