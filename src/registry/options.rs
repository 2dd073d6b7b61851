//! The options of one component as they stand in a pipeline file, with the place of each, so that
//! everything wrong with them is found in one go and can be pointed at.

use std::ops::Range;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Something wrong in a pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// One component's table. Groups of options are taken out one by one; what is left at the end is unknown.
pub struct Options<'a> {
    table: DeTable<'a>,
    span: Range<usize>,
    known: Vec<String>,
    /// What has been found wrong so far.
    pub diagnostics: Vec<Diagnostic>,
}

impl<'a> Options<'a> {
    /// The options in `table`, which stands at `span`.
    pub fn new(table: DeTable<'a>, span: Range<usize>) -> Self {
        Self { table, span, known: Vec::new(), diagnostics: Vec::new() }
    }

    /// Where the table stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Takes out the option called `name` as it stands.
    pub fn remove(&mut self, name: &str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(name.to_owned());
        let key = self.table.keys().find(|key| key.get_ref() == name)?.clone();
        self.table.remove(&key)
    }

    /// Takes out the options that `T` has and reads them. Every option that is wrong is noted, not only the first;
    /// then the result is `None`.
    pub fn take<T: DeserializeOwned + JsonSchema>(&mut self) -> Option<T> {
        let schema = schemars::schema_for!(T);
        let names: Vec<String> = schema
            .get("properties")
            .and_then(|properties| properties.as_object())
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default();
        let mut mine = DeTable::new();
        let keys: Vec<_> =
            self.table.keys().filter(|key| names.iter().any(|n| n == key.get_ref())).cloned().collect();
        for key in keys {
            if let Some(value) = self.table.remove(&key) {
                mine.insert(key, value);
            }
        }
        self.known.extend(names);
        self.read(mine)
    }

    /// Deserialises again and again, each time without the options found wrong, until nothing new turns up.
    fn read<T: DeserializeOwned>(&mut self, mut table: DeTable<'a>) -> Option<T> {
        let before = self.diagnostics.len();
        loop {
            let whole = Spanned::new(self.span.clone(), DeValue::Table(table.clone()));
            let error = match T::deserialize(toml::de::ValueDeserializer::from(whole)) {
                Ok(value) if self.diagnostics.len() == before => return Some(value),
                Ok(_) => return None,
                Err(error) => error,
            };
            let at = error.span().filter(|span| *span != self.span);
            // A missing option has no place of its own; after a wrong one it may be a follow-up.
            if at.is_some() || self.diagnostics.len() == before {
                self.note(&error, at.clone().unwrap_or_else(|| self.span.clone()));
            }
            if !at.is_some_and(|span| remove_at(&mut table, &span)) {
                return None;
            }
        }
    }

    fn note(&mut self, error: &toml::de::Error, span: Range<usize>) {
        let message = error.message().trim().to_owned();
        let help = suggestion(&message);
        self.diagnostics.push(Diagnostic { span, message, help });
    }

    /// Notes what is left over as unknown, with the nearest known name.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        for key in self.table.keys() {
            let name = key.get_ref();
            let help = match nearest(name, self.known.iter().map(String::as_str)) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("the options here are {}", list(&self.known)),
            };
            let message = format!("unknown option `{name}`");
            self.diagnostics.push(Diagnostic { span: key.span(), message, help: Some(help) });
        }
        self.diagnostics
    }
}

/// Removes the innermost entry whose key or value stands at `span`; whether there was one.
fn remove_at(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let within = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let key = table
        .iter()
        .find(|(key, value)| within(key.span()) || within(value.span()))
        .map(|(key, _)| key.clone());
    let Some(key) = key else {
        // The span of a table written in several lines covers its first line only: look inside the others.
        return table.iter_mut().any(|(_, value)| remove_inside(value.get_mut(), span));
    };
    if !within(key.span()) && table.get_mut(&key).is_some_and(|value| remove_inside(value.get_mut(), span)) {
        return true;
    }
    table.remove(&key).is_some()
}

fn remove_inside(value: &mut DeValue<'_>, span: &Range<usize>) -> bool {
    match value {
        DeValue::Table(inner) => remove_at(inner, span),
        _ => false,
    }
}

/// For a message of serde that lists what is known: the nearest.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next().filter(|_| message.starts_with("unknown "))?;
    nearest(wrong, quoted).map(|known| format!("did you mean `{known}`?"))
}

/// The name among `known` that `name` was probably meant to be.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(name.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
