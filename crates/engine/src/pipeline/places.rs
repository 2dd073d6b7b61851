//! Where the parts of a pipeline and their options are written, and which of them an error is about.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::named::named;
use super::parts::{Fault, NOWHERE, Part, Parts};
use super::secrets::Secrets;
use crate::error::{self, Error};
use crate::options::Diagnostic;

/// The places of all parts.
#[derive(Clone, Default)]
pub(super) struct Places {
    sources: Vec<Place>,
    stages: Vec<Place>,
    sinks: Vec<Place>,
}

/// Where a part stands, and the options in it.
#[derive(Clone)]
struct Place {
    span: Range<usize>,
    options: Vec<OptionPlace>,
}

#[derive(Clone)]
struct OptionPlace {
    name: String,
    key: Range<usize>,
    value: Range<usize>,
}

impl Places {
    pub(super) fn of(parts: &Parts<'_>) -> Self {
        let places = |parts: &[Part<'_>]| parts.iter().map(Place::of).collect();
        Self { sources: places(&parts.sources), stages: places(&parts.stages), sinks: places(&parts.sinks) }
    }

    fn part(&self, part: error::Part) -> Option<&Place> {
        match part {
            error::Part::Source(at) => self.sources.get(at),
            error::Part::Stage(at) => self.stages.get(at),
            error::Part::Sink(at) => self.sinks.get(at),
        }
    }

    pub(super) fn has_source(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The names of a part's options.
    pub(super) fn options(&self, part: error::Part) -> impl Iterator<Item = &String> {
        self.part(part).into_iter().flat_map(|place| place.options.iter().map(|option| &option.name))
    }

    /// An error that belongs to a part, as what it says of the option that it is about, or of that part.
    pub(super) fn diagnose(&self, error: &Error) -> Option<Diagnostic> {
        let place = self.part(error.part()?)?;
        let span = place.option(error).map_or(&place.span, |option| &option.value);
        let at = error.position().map_or_else(String::new, |position| format!(" ({position})"));
        let mut diagnostic = Diagnostic::new(span.clone(), format!("{}{at}", error.message()));
        diagnostic.help = error.help().map(str::to_owned);
        Some(diagnostic)
    }

    /// The part that an error belongs to, and its option, if it is about one.
    pub(super) fn fault(&self, error: &Error) -> Option<Fault> {
        let part = error.part()?;
        Some((part, self.part(part)?.option(error).map(|option| option.name.clone())))
    }

    /// What was found, without what came from the environment.
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
        let sources = self.sources.iter().enumerate().map(|(at, place)| (error::Part::Source(at), place));
        let stages = self.stages.iter().enumerate().map(|(at, place)| (error::Part::Stage(at), place));
        let sinks = self.sinks.iter().enumerate().map(|(at, place)| (error::Part::Sink(at), place));
        let mut all = sources.chain(stages).chain(sinks);
        // What was laid over the file stands outside of its part.
        let in_option =
            all.clone().find_map(|(part, place)| Some((part, Some(place.option_at(span)?.name.clone()))));
        in_option.or_else(|| all.find(|(_, place)| is_in(span, &place.span)).map(|(part, _)| (part, None)))
    }
}

impl Place {
    fn of(part: &Part<'_>) -> Self {
        Self { span: part.span.clone(), options: part.table.iter().map(OptionPlace::of).collect() }
    }

    fn option_at(&self, span: &Range<usize>) -> Option<&OptionPlace> {
        self.options.iter().find(|option| is_in(span, &option.key) || is_in(span, &option.value))
    }

    /// The option that an error is about.
    fn option(&self, error: &Error) -> Option<&OptionPlace> {
        named(error).find_map(|name| self.options.iter().find(|option| option.name == name))
    }
}

impl OptionPlace {
    fn of((key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)) -> Self {
        Self { name: key.get_ref().to_string(), key: key.span(), value: value.span() }
    }
}

fn is_in(span: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= span.start && span.end <= outer.end
}
