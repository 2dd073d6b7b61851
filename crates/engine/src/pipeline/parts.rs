//! The parts of a pipeline file: its sources, stages and sinks as tables. Nothing here knows any component.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::overrides::set;
use super::written::Written;
use crate::error::{self, nearest};
use crate::options::{Diagnostic, Untyped, list};

/// The place of what is not there.
pub(super) const NOWHERE: Range<usize> = 0..0;

/// The tables of a pipeline file.
const TABLES: [&str; 3] = ["source", "stage", "sink"];

/// A part of which something is wrong, and its option, where it is known which.
pub(super) type Fault = (error::Part, Option<String>);

/// What is left out of a pipeline, to see what else is wrong with it.
#[derive(Default)]
pub(super) struct LeftOut {
    pub(super) options: Vec<(error::Part, String)>,
    /// Something else stands in their place.
    pub(super) parts: Vec<error::Part>,
}

/// One `[source]`, `[[stage]]` or `[[sink]]`.
pub(super) struct Part<'t> {
    pub(super) table: DeTable<'t>,
    pub(super) span: Range<usize>,
}

/// The parts of a pipeline, and the values in them that came whole from a variable.
#[derive(Default)]
pub(super) struct Parts<'t> {
    pub(super) sources: Vec<Part<'t>>,
    pub(super) stages: Vec<Part<'t>>,
    pub(super) sinks: Vec<Part<'t>>,
}

impl Parts<'_> {
    /// The same without these options.
    pub(super) fn leave_out(&mut self, options: &[(error::Part, String)]) {
        for (part, name) in options {
            let part = match *part {
                error::Part::Source(at) => self.sources.get_mut(at),
                error::Part::Stage(at) => self.stages.get_mut(at),
                error::Part::Sink(at) => self.sinks.get_mut(at),
            };
            part.map(|part| part.table.remove(name.as_str()));
        }
    }
}

/// The file as a table, with what was laid over it, and the values of that which have no type; `None` where it is no TOML.
pub(super) fn parse<'t>(
    written: &'t Written,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(DeTable<'t>, Vec<Untyped>)> {
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
    let (mut table, mut untyped) = (table.into_inner(), Vec::new());
    for (start, argument) in pieces {
        diagnostics.extend(set(&mut table, argument, start, &mut untyped).err());
    }
    Some((table, untyped))
}

/// The parts; what is no part is noted.
pub(super) fn split<'t>(mut table: DeTable<'t>, diagnostics: &mut Vec<Diagnostic>) -> Parts<'t> {
    let mut parts = Parts::default();
    let is_none =
        |value: &Spanned<DeValue<'_>>| matches!(value.get_ref(), DeValue::Array(list) if list.is_empty());
    match table.remove("source").filter(|value| !is_none(value)) {
        Some(value) if matches!(value.get_ref(), DeValue::Table(_)) => {
            let span = value.span();
            if let DeValue::Table(table) = value.into_inner() {
                parts.sources.push(Part { table, span });
            }
        }
        Some(value) => parts.sources = several("source", Some(value), diagnostics),
        None => {
            let help =
                "say where the records come from: `[source]` with `type = \"csv\"` and a `path`, for one";
            diagnostics.push(Diagnostic::new(NOWHERE, "there is no `[source]`").with_help(help));
        }
    }
    let is_sink_missing = !table.contains_key("sink");
    parts.stages = several("stage", table.remove("stage"), diagnostics);
    parts.sinks = several("sink", table.remove("sink"), diagnostics);
    if is_sink_missing {
        let help =
            "say where the records go: `[[sink]]` with `type = \"console\"`, for one; `null` only counts";
        diagnostics.push(Diagnostic::new(NOWHERE, "there is no `[[sink]]`").with_help(help));
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
