//! A pipeline as written: a TOML text, values laid over it, variables put in. Nothing here knows any component.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment;
use super::findings::OptionOf;
use super::overrides::set;
use super::resolve::{Resolved, resolve};
use super::variables::{Expanded, Lookup, expand};
use super::written::{SpecError, Written};
use crate::error::nearest;
use crate::error::{self, Error, Result};
use crate::options::{Diagnostic, Variable, list};

/// The tables of a pipeline file.
const TABLES: [&str; 3] = ["source", "stage", "sink"];

/// A pipeline as written, not yet checked.
pub struct Spec {
    written: Written,
    base: PathBuf,
    lookup: Box<Lookup<'static>>,
}

/// One `[source]`, `[[stage]]` or `[[sink]]`.
pub(super) struct Part<'t> {
    pub(super) table: DeTable<'t>,
    pub(super) span: Range<usize>,
}

/// The parts of a pipeline, and the values in them that came whole from a variable.
#[derive(Default)]
pub(super) struct Parts<'t> {
    pub(super) source: Option<Part<'t>>,
    pub(super) stages: Vec<Part<'t>>,
    pub(super) sinks: Vec<Part<'t>>,
}

impl Parts<'_> {
    fn leave_out(&mut self, (part, name): &OptionOf) {
        let part = match *part {
            error::Part::Source => self.source.as_mut(),
            error::Part::Stage(at) => self.stages.get_mut(at),
            error::Part::Sink(at) => self.sinks.get_mut(at),
        };
        part.map(|part| part.table.remove(name.as_str()));
    }

    /// The option whose name or value is at `span`, or has it inside.
    fn option_at(&self, span: &Range<usize>) -> Option<OptionOf> {
        let source = self.source.iter().map(|part| (error::Part::Source, part));
        let stages = self.stages.iter().enumerate().map(|(at, part)| (error::Part::Stage(at), part));
        let sinks = self.sinks.iter().enumerate().map(|(at, part)| (error::Part::Sink(at), part));
        let is_in = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
        source.chain(stages).chain(sinks).find_map(|(of, part)| {
            let (key, _) = part.table.iter().find(|(key, value)| is_in(key.span()) || is_in(value.span()))?;
            Some((of, key.get_ref().to_string()))
        })
    }
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
        self.resolve_without(&[])
    }

    /// The options that diagnostics are about; `None` where one is about something else.
    pub(super) fn options_at(&self, found: &[Diagnostic]) -> Option<Vec<OptionOf>> {
        let mut known = Vec::new();
        let table = parse(&self.written, &mut known)?;
        let parts = split(table, &mut known);
        found.iter().map(|one| parts.option_at(&one.span)).collect()
    }

    /// The same as if these options were not given.
    pub(super) fn resolve_without(&self, left_out: &[OptionOf]) -> Result<Resolved, SpecError> {
        let written = Arc::new(self.written.clone());
        let mut diagnostics = Vec::new();
        let mut table = parse(&self.written, &mut diagnostics);
        let Expanded { whole, secrets } = match &mut table {
            Some(table) => expand(table, &self.written, &*self.lookup as &Lookup<'_>, &mut diagnostics),
            None => Expanded::default(),
        };
        let resolved = table.and_then(|table| {
            let mut parts = split(table, &mut diagnostics);
            left_out.iter().for_each(|option| parts.leave_out(option));
            resolve(parts, &whole as &[Variable], &written, &mut diagnostics)
        });
        match resolved {
            Some(mut resolved) if diagnostics.is_empty() => {
                resolved.pipeline = resolved.pipeline.with_base(&self.base);
                resolved.pipeline.secrets = secrets;
                Ok(resolved)
            }
            _ => Err(SpecError::new(written, diagnostics).hiding(&secrets)),
        }
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

/// The file as a table, with what was laid over it; `None` where it is no TOML.
fn parse<'t>(written: &'t Written, diagnostics: &mut Vec<Diagnostic>) -> Option<DeTable<'t>> {
    let mut pieces = written.pieces();
    let (_, text) = pieces.next()?;
    let (table, errors) = DeTable::parse_recoverable(text);
    diagnostics.extend(errors.iter().map(|error| {
        let span = error.span().unwrap_or(0..0);
        Diagnostic::new(span, error.message().trim().lines().collect::<Vec<_>>().join(", "))
    }));
    if !diagnostics.is_empty() {
        return None;
    }
    let mut table = table.into_inner();
    for (start, argument) in pieces {
        diagnostics.extend(set(&mut table, argument, start).err());
    }
    Some(table)
}

/// The parts; what is no part is noted.
fn split<'t>(mut table: DeTable<'t>, diagnostics: &mut Vec<Diagnostic>) -> Parts<'t> {
    let mut parts = Parts::default();
    if let Some(value) = table.remove("source") {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => parts.source = Some(Part { table, span }),
            _ => diagnostics.push(
                Diagnostic::new(span, "a pipeline has one source")
                    .with_help("write `[source]`, in single brackets"),
            ),
        }
    } else {
        let help = "say where the records come from: `[source]` with `type = \"csv\"` and a `path`, for one";
        diagnostics.push(Diagnostic::new(0..0, "there is no `[source]`").with_help(help));
    }
    let is_sink_missing = !table.contains_key("sink");
    parts.stages = several("stage", table.remove("stage"), diagnostics);
    parts.sinks = several("sink", table.remove("sink"), diagnostics);
    if is_sink_missing {
        let help =
            "say where the records go: `[[sink]]` with `type = \"console\"`, for one; `null` only counts";
        diagnostics.push(Diagnostic::new(0..0, "there is no `[[sink]]`").with_help(help));
    }
    diagnostics.extend(table.keys().map(unknown_table));
    parts
}

fn several<'t>(
    name: &str,
    value: Option<Spanned<DeValue<'t>>>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Part<'t>> {
    let Some(value) = value else { return Vec::new() };
    let span = value.span();
    let mut wrong = |span| {
        let message = format!("a pipeline has a list of {name}s");
        diagnostics.push(
            Diagnostic::new(span, message).with_help(format!("write `[[{name}]]`, in double brackets")),
        );
    };
    let DeValue::Array(list) = value.into_inner() else {
        wrong(span);
        return Vec::new();
    };
    let mut parts = Vec::new();
    for element in list {
        let span = element.span();
        match element.into_inner() {
            DeValue::Table(table) => parts.push(Part { table, span }),
            _ => wrong(span),
        }
    }
    parts
}

fn unknown_table(key: &Spanned<std::borrow::Cow<'_, str>>) -> Diagnostic {
    let name = key.get_ref();
    let help = match nearest(name, TABLES) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("a pipeline file has {}", list(&TABLES)),
    };
    Diagnostic::new(key.span(), format!("unknown table `{name}`")).with_help(help)
}
