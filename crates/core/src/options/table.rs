//! The options of one component as they stand in a pipeline file, with the place of each, so that
//! everything wrong with them is found in one go and can be pointed at.

use std::ops::Range;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::diagnostic::Diagnostic;
use super::untyped::{self, Untyped};
use super::words::{known_help, plain, suggestion};

/// One component's table. Groups of options are taken out one by one; what is left at the end is unknown.
pub struct Options<'a> {
    table: DeTable<'a>,
    span: Range<usize>,
    known: Vec<String>,
    untyped: &'a [Untyped],
    /// What has been found wrong so far.
    pub diagnostics: Vec<Diagnostic>,
}

impl<'a> Options<'a> {
    /// The options in `table`, which stands at `span`.
    pub fn new(table: DeTable<'a>, span: Range<usize>) -> Self {
        Self { table, span, known: Vec::new(), untyped: &[], diagnostics: Vec::new() }
    }

    /// The same options, some of whose values are `untyped`.
    pub fn with_untyped(mut self, untyped: &'a [Untyped]) -> Self {
        self.untyped = untyped;
        self
    }

    /// Where the table stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether the option called `name` is given.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Takes out the option called `name` as it stands.
    pub fn remove(&mut self, name: &str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(name.to_owned());
        self.table.remove(name)
    }

    /// Takes out the option called `name`, which others of its kind have and which has no meaning here, and notes why.
    pub fn refuse(&mut self, name: &str, why: &str, help: &str) {
        if let Some((key, _)) = self.table.remove_entry(name) {
            let message = format!("the option `{name}` has no meaning here: {why}");
            self.diagnostics.push(Diagnostic::new(key.span(), message).with_help(help));
        }
    }

    /// Takes out the options that `T` has and reads them. Every option that is wrong is noted, not only the first;
    /// then the result is `None`.
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

    /// Deserialises again and again, each time without the options found wrong, until nothing new turns up.
    fn read<T: DeserializeOwned>(&mut self, mut table: DeTable<'a>) -> Option<T> {
        let before = self.diagnostics.len();
        loop {
            let whole = Spanned::new(self.span(), DeValue::Table(table.clone()));
            let error = match T::deserialize(toml::de::ValueDeserializer::from(whole)) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let at = error.span().filter(|span| *span != self.span);
            // A missing option has no place of its own: it has been noted, or follows from a wrong one taken out.
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
        // What a missing required option leads to is noted already.
        if self.diagnostics.iter().any(|known| known.span == span && known.message == message) {
            return;
        }
        self.diagnostics.push(Diagnostic { span, message, help });
    }

    /// Notes what is left over as unknown, with the nearest known name.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        for key in self.table.keys() {
            let message = format!("unknown option `{}`", key.get_ref());
            let help = known_help(key.get_ref(), &self.known);
            self.diagnostics.push(Diagnostic { span: key.span(), message, help: Some(help) });
        }
        self.diagnostics
    }
}

/// Removes the innermost entry whose key or value stands at `span`; whether there was one.
fn remove_at(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let key = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = key.map(|(key, _)| key.clone()) {
        return table.remove(&key).is_some();
    }
    if table.iter_mut().map(|(_, value)| value).any(|value| remove_inside(value.get_mut(), span)) {
        return true;
    }
    // Something that cannot be taken out alone, such as an element of a list: the option goes as a whole.
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
