//! The positions of the parts of a pipeline and their options in the file, and which of them an error is about.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::named::named;
use super::parts::{Fault, NOWHERE, PartTable, PartTables};
use super::secrets::Secrets;
use crate::error::{self, Error};
use crate::options::Diagnostic;

/// The positions of all parts.
#[derive(Clone, Default)]
pub(super) struct Places {
    sources: Vec<PartPlace>,
    stages: Vec<PartPlace>,
    sinks: Vec<PartPlace>,
}

/// The position of a part, and of its options.
#[derive(Clone)]
struct PartPlace {
    span: Range<usize>,
    options: Vec<OptionPlace>,
}

#[derive(Clone)]
struct OptionPlace {
    name: String,
    key: Range<usize>,
    value: Range<usize>,
    /// Of a table: the options in it.
    inner: Vec<OptionPlace>,
}

impl Places {
    pub(super) fn of(parts: &PartTables<'_>) -> Self {
        let places = |parts: &[PartTable<'_>]| parts.iter().map(PartPlace::of).collect();
        Self { sources: places(&parts.sources), stages: places(&parts.stages), sinks: places(&parts.sinks) }
    }

    fn part(&self, part: error::PartIndex) -> Option<&PartPlace> {
        match part {
            error::PartIndex::Source(at) => self.sources.get(at),
            error::PartIndex::Stage(at) => self.stages.get(at),
            error::PartIndex::Sink(at) => self.sinks.get(at),
        }
    }

    pub(super) fn has_source(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The names of a part's options.
    pub(super) fn options(&self, part: error::PartIndex) -> impl Iterator<Item = &String> {
        self.part(part).into_iter().flat_map(|place| place.options.iter().map(|option| &option.name))
    }

    /// An error of a part as a diagnostic about its option, or about the part.
    pub(super) fn diagnose(&self, error: &Error) -> Option<Diagnostic> {
        let place = self.part(error.part()?)?;
        let span = place.option(error).map_or(&place.span, |(_, place)| place);
        let at = error.position().map_or_else(String::new, |position| format!(" ({position})"));
        let mut diagnostic = Diagnostic::new(span.clone(), format!("{}{at}", error.message()));
        diagnostic.help = error.help().map(str::to_owned);
        Some(diagnostic)
    }

    /// The part that an error belongs to, and the option that it is about, if any.
    pub(super) fn fault(&self, error: &Error) -> Option<Fault> {
        let part = error.part()?;
        Some((part, self.part(part)?.option(error).map(|(option, _)| option.name.clone())))
    }

    /// The diagnostics with values from the environment masked.
    pub(super) fn hide(&self, mut found: Vec<Diagnostic>, secrets: &Secrets) -> Vec<Diagnostic> {
        for Diagnostic { message, help, span } in &mut found {
            let fault = self.at(span);
            for text in std::iter::once(message).chain(help) {
                *text = match &fault {
                    Some((part, option)) => secrets.hide_about(text, *part, option.as_deref()),
                    None => secrets.hide(text).into_owned(),
                };
            }
        }
        found
    }

    /// The part that `span` is in, and its option.
    pub(super) fn at(&self, span: &Range<usize>) -> Option<Fault> {
        if *span == NOWHERE {
            return None;
        }
        let sources =
            self.sources.iter().enumerate().map(|(at, place)| (error::PartIndex::Source(at), place));
        let stages = self.stages.iter().enumerate().map(|(at, place)| (error::PartIndex::Stage(at), place));
        let sinks = self.sinks.iter().enumerate().map(|(at, place)| (error::PartIndex::Sink(at), place));
        let mut all = sources.chain(stages).chain(sinks);
        // An override is outside of its part.
        let in_option =
            all.clone().find_map(|(part, place)| Some((part, Some(place.option_at(span)?.name.clone()))));
        in_option.or_else(|| all.find(|(_, place)| is_in(span, &place.span)).map(|(part, _)| (part, None)))
    }
}

impl PartPlace {
    fn of(part: &PartTable<'_>) -> Self {
        Self { span: part.span.clone(), options: part.table.iter().map(OptionPlace::of).collect() }
    }

    fn option_at(&self, span: &Range<usize>) -> Option<&OptionPlace> {
        self.options.iter().find(|option| is_in(span, &option.key) || is_in(span, &option.value))
    }

    /// The option that an error is about, and the place of its value, or of the one in it (`roll.every`).
    fn option(&self, error: &Error) -> Option<(&OptionPlace, &Range<usize>)> {
        named(error)
            .find_map(|name| self.options.iter().find_map(|option| Some((option, option.find(&name)?))))
    }
}

impl OptionPlace {
    fn of((key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)) -> Self {
        let inner = match value.get_ref() {
            DeValue::Table(table) => table.iter().map(Self::of).collect(),
            _ => Vec::new(),
        };
        Self { name: key.get_ref().to_string(), key: key.span(), value: value.span(), inner }
    }

    /// The place of the value that `name` means: its own, or that of one in it, with a dot between the names; where that is not there, its own.
    fn find(&self, name: &str) -> Option<&Range<usize>> {
        let rest = match name.strip_prefix(self.name.as_str())? {
            "" => return Some(&self.value),
            rest => rest.strip_prefix('.')?,
        };
        Some(self.inner.iter().find_map(|option| option.find(rest)).unwrap_or(&self.value))
    }
}

fn is_in(span: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= span.start && span.end <= outer.end
}
