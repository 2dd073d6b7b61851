//! The options of one component in a pipeline file, with their positions, so that all problems are reported at once with a location.

use std::ops::Range;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::diagnostic::Diagnostic;
use super::untyped::{self, Untyped};
use super::words::{known_help, plain, suggestion};

/// One component's table. Groups of options are removed one by one; what is left at the end is unknown.
pub struct Options<'a> {
    table: DeTable<'a>,
    span: Range<usize>,
    known: Vec<String>,
    untyped: &'a [Untyped],
    /// The problems found so far.
    pub diagnostics: Vec<Diagnostic>,
}

impl<'a> Options<'a> {
    /// The options in `table`, located at `span`.
    pub fn new(table: DeTable<'a>, span: Range<usize>) -> Self {
        Self { table, span, known: Vec::new(), untyped: &[], diagnostics: Vec::new() }
    }

    /// The same options, with the values in `untyped` to be converted.
    pub fn with_untyped(mut self, untyped: &'a [Untyped]) -> Self {
        self.untyped = untyped;
        self
    }

    /// The location of the table.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether the option `name` is present.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Removes and returns the option `name`, unconverted.
    pub fn remove(&mut self, name: &str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(name.to_owned());
        self.table.remove(name)
    }

    /// Sets the option `name`, as if the file had it.
    pub fn insert(&mut self, name: &str, value: Spanned<DeValue<'a>>) {
        self.table.insert(Spanned::new(value.span(), name.to_owned().into()), value);
    }

    /// Removes and returns all options that are left, for a component whose options only it knows. `None` if one has no equivalent in JSON, which is
    /// reported.
    pub fn take_rest(&mut self) -> Option<serde_json::Map<String, serde_json::Value>> {
        let rest = std::mem::take(&mut self.table);
        self.read(rest)
    }

    /// Removes the option `name`, which does not apply here, and reports why.
    pub fn refuse(&mut self, name: &str, why: &str, help: &str) {
        if let Some((key, _)) = self.table.remove_entry(name) {
            let message = format!("the option `{name}` does not apply here: {why}");
            self.diagnostics.push(Diagnostic::new(key.span(), message).with_help(help));
        }
    }

    /// Removes and deserialises the options of `T`. All invalid options are reported, not only the first one; then the result is `None`.
    pub fn take<T: DeserializeOwned + JsonSchema>(&mut self) -> Option<T> {
        let schema = schemars::schema_for!(T);
        let names = check::properties(schema.as_value());
        let mut mine = DeTable::new();
        for name in &names {
            if let Some((key, value)) = self.table.remove_entry(name.as_str()) {
                mine.insert(key, value);
            }
        }
        let before = self.diagnostics.len();
        self.note_missing(schema.as_value(), &mine);
        check::remove_unknown(schema.as_value(), &mut mine, &mut self.diagnostics);
        untyped::settle(schema.as_value(), &mut mine, self.untyped);
        self.known.extend(names);
        self.read(mine).filter(|_| self.diagnostics.len() == before)
    }

    fn note_missing(&mut self, schema: &serde_json::Value, table: &DeTable<'a>) {
        for name in check::required(schema).filter(|&name| !table.contains_key(name)) {
            let message = format!("the option `{name}` is missing");
            let help = check::description(schema, name).map(|text| format!("`{name}`: {text}"));
            self.diagnostics.push(Diagnostic { span: self.span(), message, help });
        }
    }

    /// Deserialises repeatedly, each time without the options found invalid, until no new problem appears.
    fn read<T: DeserializeOwned>(&mut self, mut table: DeTable<'a>) -> Option<T> {
        let before = self.diagnostics.len();
        loop {
            let whole = Spanned::new(self.span(), DeValue::Table(table.clone()));
            let error = match T::deserialize(toml::de::ValueDeserializer::from(whole)) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let at = error.span().filter(|span| *span != self.span);
            // A missing option has no location: it is reported already, or is a consequence of a removed invalid one.
            if at.is_some() || self.diagnostics.len() == before {
                self.note(&error, at.clone().unwrap_or_else(|| self.span()));
            }
            if !at.is_some_and(|span| remove_at(&mut table, &span)) {
                return None;
            }
        }
    }

    fn note(&mut self, error: &toml::de::Error, span: Range<usize>) {
        let help = suggestion(error.message());
        let message = plain(error.message());
        // The consequences of a missing required option are covered by its report.
        if self.diagnostics.iter().any(|known| known.span == span && known.message == message) {
            return;
        }
        self.diagnostics.push(Diagnostic { span, message, help });
    }

    /// Reports the remaining options as unknown, with the most similar known name.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        for key in self.table.keys() {
            let message = format!("unknown option `{}`", key.get_ref());
            let help = known_help(key.get_ref(), &self.known);
            self.diagnostics.push(Diagnostic { span: key.span(), message, help: Some(help) });
        }
        self.diagnostics
    }
}

/// Removes the innermost entry whose key or value is at `span`; returns whether there was one.
fn remove_at(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let key = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = key.map(|(key, _)| key.clone()) {
        return table.remove(&key).is_some();
    }
    if table.iter_mut().map(|(_, value)| value).any(|value| remove_inside(value.get_mut(), span)) {
        return true;
    }
    // An element that cannot be removed alone, such as one of a list: the whole option is removed.
    let around = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let key = table.iter().find(|(_, value)| around(value.span())).map(|(key, _)| key.clone());
    key.is_some_and(|key| table.remove(&key).is_some())
}

fn remove_inside(value: &mut DeValue<'_>, span: &Range<usize>) -> bool {
    match value {
        DeValue::Table(inner) => remove_at(inner, span),
        DeValue::Array(list) => {
            list.iter_mut().any(|element| element.span() != *span && remove_inside(element.get_mut(), span))
        }
        _ => false,
    }
}
