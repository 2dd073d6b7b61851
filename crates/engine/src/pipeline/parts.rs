//! The parts of a pipeline file: its sources, stages and sinks as tables. Independent of the components.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::overrides::set;
use super::written::Written;
use crate::error::{self, nearest};
use crate::options::{Diagnostic, Untyped, list};

/// The position of something that is missing.
pub(super) const NOWHERE: Range<usize> = 0..0;

/// The tables of a pipeline file.
const TABLES: [&str; 3] = ["source", "stage", "sink"];

/// A part with a mistake, and its option, if known.
pub(super) type Fault = (error::PartIndex, Option<String>);

/// What is left out of a pipeline to find further mistakes.
#[derive(Default)]
pub(super) struct LeftOut {
    pub(super) options: Vec<(error::PartIndex, String)>,
    /// Parts that are replaced by placeholders.
    pub(super) parts: Vec<error::PartIndex>,
}

/// One `[source]`, `[[stage]]` or `[[sink]]`.
pub(super) struct PartTable<'t> {
    pub(super) table: DeTable<'t>,
    pub(super) span: Range<usize>,
}

/// The parts of a pipeline, and the values that consist of a single variable.
#[derive(Default)]
pub(super) struct PartTables<'t> {
    pub(super) sources: Vec<PartTable<'t>>,
    pub(super) stages: Vec<PartTable<'t>>,
    pub(super) sinks: Vec<PartTable<'t>>,
}

impl PartTables<'_> {
    /// Removes these options.
    pub(super) fn leave_out(&mut self, options: &[(error::PartIndex, String)]) {
        for (part, name) in options {
            let part = match *part {
                error::PartIndex::Source(at) => self.sources.get_mut(at),
                error::PartIndex::Stage(at) => self.stages.get_mut(at),
                error::PartIndex::Sink(at) => self.sinks.get_mut(at),
            };
            part.map(|part| part.table.remove(name.as_str()));
        }
    }
}

/// Parses the file as a table and applies the overrides; returns values without a type as well. `None` if it is not valid TOML.
pub(super) fn parse<'t>(
    written: &'t Written,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(DeTable<'t>, Vec<Untyped>)> {
    let mut pieces = written.pieces();
    let (_, text) = pieces.next()?;
    let (table, errors) = DeTable::parse_recoverable(text);
    diagnostics.extend(errors.iter().map(|error| {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim().lines().collect::<Vec<_>>().join(", ");
        let twice = message.contains("duplicate key").then(|| text.get(span.clone())).flatten();
        let diagnostic = Diagnostic::new(span, message);
        match twice {
            Some(key) => diagnostic.with_help(written_twice(key)),
            None => diagnostic,
        }
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

/// What to do about a key that stands twice.
fn written_twice(key: &str) -> String {
    match TABLES.into_iter().find(|table| *table == key.trim_matches(['[', ']', ' '])) {
        Some(table) => format!("write `[[{table}]]`, in double brackets, for each of several {table}s"),
        None => "a table has each key once: leave one of them out".into(),
    }
}

/// The parts; what is no part is noted.
pub(super) fn split<'t>(mut table: DeTable<'t>, diagnostics: &mut Vec<Diagnostic>) -> PartTables<'t> {
    let mut parts = PartTables::default();
    let is_none =
        |value: &Spanned<DeValue<'_>>| matches!(value.get_ref(), DeValue::Array(list) if list.is_empty());
    match table.remove("source").filter(|value| !is_none(value)) {
        Some(value) if matches!(value.get_ref(), DeValue::Table(_)) => {
            let span = value.span();
            if let DeValue::Table(table) = value.into_inner() {
                parts.sources.push(PartTable { table, span });
            }
        }
        Some(value) => parts.sources = several("source", Some(value), diagnostics),
        None => {
            let help =
                "add the source of the records, for example `[source]` with `type = \"csv\"` and a `path`";
            diagnostics.push(Diagnostic::new(NOWHERE, "there is no `[source]`").with_help(help));
        }
    }
    let is_sink_missing = !table.contains_key("sink");
    parts.stages = several("stage", table.remove("stage"), diagnostics);
    parts.sinks = several("sink", table.remove("sink"), diagnostics);
    if is_sink_missing {
        let help = "add a sink for the records, for example `[[sink]]` with `type = \"console\"`; `null` discards them";
        diagnostics.push(Diagnostic::new(NOWHERE, "there is no `[[sink]]`").with_help(help));
    }
    diagnostics.extend(table.keys().map(unknown_table));
    parts
}

fn several<'t>(
    name: &str,
    value: Option<Spanned<DeValue<'t>>>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<PartTable<'t>> {
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
            DeValue::Table(table) => parts.push(PartTable { table, span }),
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
