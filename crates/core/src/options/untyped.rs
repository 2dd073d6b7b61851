//! Values written without a type: they get the type that their option expects, a number, a boolean or text.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Text with variables, such as `"${LIMIT}"`, which TOML can only write as text; or a value given by `--set` without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untyped {
    /// Its location.
    pub span: Range<usize>,
    /// The resulting text.
    pub text: String,
}

/// The types that an option accepts.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    text: bool,
    boolean: bool,
    integer: bool,
    number: bool,
}

/// Converts all values in `table` that are `untyped` to the types in the schema `root`.
pub(super) fn settle<'a>(root: &Value, table: &mut DeTable<'a>, untyped: &'a [Untyped]) {
    if !untyped.is_empty() {
        Settling { root, untyped }.table(&[root], table);
    }
}

struct Settling<'s, 'a> {
    root: &'s Value,
    untyped: &'a [Untyped],
}

impl<'s, 'a> Settling<'s, 'a> {
    fn table(&self, schemas: &[&'s Value], table: &mut DeTable<'a>) {
        for (key, value) in table.iter_mut() {
            let name = &**key.get_ref();
            let of_key = |schema: &&'s Value| {
                let named = schema.get("properties").and_then(|properties| properties.get(name));
                named.or_else(|| schema.get("additionalProperties"))
            };
            self.value(schemas.iter().filter_map(of_key).collect(), value);
        }
    }

    /// Converts a value to one of `schemas`.
    fn value(&self, schemas: Vec<&'s Value>, value: &mut Spanned<DeValue<'a>>) {
        let mut choices = Vec::new();
        schemas.into_iter().for_each(|schema| self.choices(schema, &mut choices));
        let span = value.span();
        match value.get_mut() {
            DeValue::Table(table) => self.table(&choices, table),
            DeValue::Array(list) => {
                let items: Vec<_> = choices.iter().filter_map(|schema| schema.get("items")).collect();
                for element in list.iter_mut() {
                    self.value(items.clone(), element);
                }
            }
            // The last one set takes precedence.
            scalar => {
                if let Some(untyped) = self.untyped.iter().rev().find(|untyped| untyped.span == span) {
                    settle_scalar(Wanted::of(&choices), &untyped.text, scalar);
                }
            }
        }
    }

    /// The alternative schemas of a value, with references and choices resolved.
    fn choices(&self, schema: &'s Value, choices: &mut Vec<&'s Value>) {
        choices.push(schema);
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        let target = reference.and_then(|pointer| self.root.pointer(pointer));
        let several = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|name| schema.get(name)?.as_array());
        target.into_iter().chain(several.flatten()).for_each(|schema| self.choices(schema, choices));
    }
}

fn settle_scalar<'a>(wanted: Wanted, text: &'a str, value: &mut DeValue<'a>) {
    let parsed = DeValue::parse(text.trim()).map(Spanned::into_inner).ok();
    match parsed.filter(|parsed| wanted.takes(parsed)) {
        Some(parsed) => *value = parsed,
        None if wanted.text => *value = DeValue::String(text.into()),
        None => {}
    }
}

impl Wanted {
    fn of(choices: &[&Value]) -> Self {
        let mut wanted = Self::default();
        for choice in choices {
            let kinds = choice.get("type").into_iter().flat_map(|kinds| match kinds {
                Value::Array(several) => several.iter().collect(),
                one => vec![one],
            });
            for kind in kinds.filter_map(Value::as_str) {
                wanted.text |= kind == "string";
                wanted.boolean |= kind == "boolean";
                wanted.integer |= kind == "integer";
                wanted.number |= kind == "number";
            }
        }
        wanted
    }

    /// Whether a value has an accepted type; if that cannot be text, a number of another kind is better than none.
    fn takes(self, value: &DeValue<'_>) -> bool {
        let is_number = self.number || self.integer && !self.text;
        value.is_bool() && self.boolean
            || value.is_integer() && (self.integer || self.number)
            || value.is_float() && is_number
    }
}
