//! `--set stage.0.max=90`: overrides of single options.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::options::{Diagnostic, Untyped};

/// Applies `text` (`path=value`), whose first byte is at position `start`, to `table`; values without quotes are added to `untyped`.
pub(super) fn set<'t>(
    table: &mut DeTable<'t>,
    text: &'t str,
    start: usize,
    untyped: &mut Vec<Untyped>,
) -> Result<(), Diagnostic> {
    let whole = start..start + text.len();
    let help = "write it as `stage.0.max=90`: the table, the index from 0 if there are several, the option";
    let Some((path, value)) = text.split_once('=') else {
        return Err(Diagnostic::new(whole, "there is no `=`").with_help(help));
    };
    let mut keys = keys(path, start).ok_or_else(|| {
        Diagnostic::new(start..start + path.len(), "this is not a path to an option").with_help(help)
    })?;
    // For the only source, the index may be omitted.
    if let [first, second, ..] = &keys[..]
        && *first.get_ref() == "source"
        && second.get_ref().parse::<usize>().is_err()
        && matches!(table.get("source").map(Spanned::get_ref), Some(DeValue::Array(list)) if list.len() == 1)
    {
        let span = second.span();
        keys.insert(1, Spanned::new(span, "0"));
    }
    let (value_text, value_start) = (value, start + path.len() + 1);
    let value = value_of(value_text, value_start);
    note_untyped(&value, value_text, value_start, untyped);
    let Some((first, rest)) = keys.split_first() else {
        return Err(Diagnostic::new(whole, "this is not a path to an option").with_help(help));
    };
    let mut path = Path { keys: rest, done: first.get_ref().to_string() };
    path.set(entry(table, first), value)
}

/// The value parsed as TOML; if that fails, text.
fn value_of(text: &str, start: usize) -> Spanned<DeValue<'_>> {
    match DeValue::parse(text) {
        Ok(value) => moved(value, start),
        Err(_) => Spanned::new(start..start + text.len(), DeValue::String(text.into())),
    }
}

/// Records the values without quotes in a value that was parsed from `text`.
fn note_untyped(value: &Spanned<DeValue<'_>>, text: &str, start: usize, untyped: &mut Vec<Untyped>) {
    let span = value.span();
    let written = text.get(span.start - start..span.end - start).unwrap_or_default();
    match value.get_ref() {
        DeValue::Array(list) => list.iter().for_each(|value| note_untyped(value, text, start, untyped)),
        DeValue::Table(table) => table.values().for_each(|value| note_untyped(value, text, start, untyped)),
        _ if written.starts_with(['"', '\'']) => {}
        _ => untyped.push(Untyped { span, text: written.to_owned() }),
    }
}

/// The same value with all positions shifted by `start`.
fn moved(value: Spanned<DeValue<'_>>, start: usize) -> Spanned<DeValue<'_>> {
    let place = |span: Range<usize>| span.start + start..span.end + start;
    let span = place(value.span());
    let value = match value.into_inner() {
        DeValue::Array(list) => {
            DeValue::Array(list.into_iter().map(|element| moved(element, start)).collect())
        }
        DeValue::Table(table) => {
            let entries = table
                .into_iter()
                .map(|(key, value)| (Spanned::new(place(key.span()), key.into_inner()), moved(value, start)));
            DeValue::Table(entries.collect())
        }
        other => other,
    };
    Spanned::new(span, value)
}

/// The keys of a path, separated by dots; quoted if they contain dots.
fn keys(path: &str, start: usize) -> Option<Vec<Spanned<&str>>> {
    let mut keys = Vec::new();
    let mut at = 0;
    loop {
        let rest = &path[at..];
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (key, length) = match quote {
            Some(quote) => {
                let inside = rest[1..].split_once(quote)?.0;
                (inside, inside.len() + 2)
            }
            None => {
                let key = rest.split('.').next()?;
                (key.trim(), key.len())
            }
        };
        if key.is_empty() {
            return None;
        }
        keys.push(Spanned::new(start + at..start + at + length, key));
        at += length;
        match path[at..].chars().next() {
            None => return Some(keys),
            Some('.') => at += 1,
            Some(_) => return None,
        }
    }
}

/// The entry for `key` in `table`, created if necessary. An existing value gets the position of the key, so that errors about it point to
/// the override.
fn entry<'e, 't>(table: &'e mut DeTable<'t>, key: &Spanned<&'t str>) -> &'e mut Spanned<DeValue<'t>> {
    let name = Spanned::new(key.span(), (*key.get_ref()).into());
    let empty = || Spanned::new(key.span(), DeValue::Table(DeTable::new()));
    table.entry(name).or_insert_with(empty)
}

struct Path<'p, 't> {
    keys: &'p [Spanned<&'t str>],
    /// The path walked so far.
    done: String,
}

impl<'t> Path<'_, 't> {
    fn set(
        &mut self,
        place: &mut Spanned<DeValue<'t>>,
        value: Spanned<DeValue<'t>>,
    ) -> Result<(), Diagnostic> {
        let Some((key, rest)) = self.keys.split_first() else {
            *place = value;
            return Ok(());
        };
        self.keys = rest;
        let outer = std::mem::take(&mut self.done);
        self.done = format!("{outer}.{}", key.get_ref());
        match place.get_mut() {
            DeValue::Table(table) => {
                if rest.is_empty() {
                    table.remove(*key.get_ref());
                }
                self.set(entry(table, key), value)
            }
            DeValue::Array(list) => {
                let count = list.len();
                let element = key.get_ref().parse().ok().and_then(|at: usize| list.get_mut(at));
                match element {
                    Some(element) => self.set(element, value),
                    None => Err(Diagnostic::new(key.span(), format!("there is no `{}`", self.done))
                        .with_help(range(&outer, count))),
                }
            }
            other => Err(Diagnostic::new(
                key.span(),
                format!("`{outer}` is a {}, which has no options", other.type_str()),
            )),
        }
    }
}

fn range(outer: &str, count: usize) -> String {
    match count {
        0 => format!("`{outer}` is empty"),
        1 => format!("there is only `{outer}.0`"),
        _ => format!("there are `{outer}.0` to `{outer}.{}`", count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[source]\ntype = 'csv'\n[[stage]]\nmax = 1\n[[stage]]\nmin = 0\n";

    fn set_in(text: &str) -> Result<String, String> {
        let mut table = DeTable::parse(FILE).expect("toml").into_inner();
        set(&mut table, text, 0, &mut Vec::new()).map_err(|d| format!("{}: {}", d.message, &text[d.span]))?;
        let value: toml::Value = serde::Deserialize::deserialize(toml::de::ValueDeserializer::from(
            Spanned::new(0..0, DeValue::Table(table)),
        ))
        .map_err(|error: toml::de::Error| error.to_string())?;
        Ok(value.to_string())
    }

    #[test]
    fn values_are_toml_or_else_text() {
        for (text, expected) in [
            ("stage.0.max=90", "max = 90"),
            ("stage.1.sensors.\"press-*\".min=80.5", "press-*\" = { min = 80.5 }"),
            ("source.path=out/a b.csv", "path = \"out/a b.csv\""),
            ("source.null_values=['', 'NA']", "null_values = [\"\", \"NA\"]"),
            ("source.type=", "type = \"\""),
        ] {
            let written = set_in(text).expect(text);
            assert!(written.contains(expected), "{text} gave {written}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_is_pointed_at() {
        for (text, expected) in [
            ("stage.7.max=90", "there is no `stage.7`: 7"),
            ("stage.x=90", "there is no `stage.x`: x"),
            ("source.type.x=1", "`source.type` is a string, which has no options: x"),
            ("stage..max=1", "this is not a path to an option: stage..max"),
            ("stage.0.max", "there is no `=`: stage.0.max"),
        ] {
            assert_eq!(set_in(text), Err(expected.to_owned()));
        }
    }
}
