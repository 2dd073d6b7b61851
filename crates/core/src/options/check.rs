//! Checks the names in a table against its JSON Schema, before any value is deserialised.

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::words::known_help;

/// The names of all options.
pub(super) fn properties(schema: &Value) -> Vec<String> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// The names of the required options.
pub(super) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The description of an option, in one line.
pub(super) fn description(schema: &Value, name: &str) -> Option<String> {
    let text = schema.get("properties")?.get(name)?.get("description")?.as_str()?;
    Some(text.split("\n\n").next().unwrap_or(text).replace('\n', " "))
}

/// Removes names that are unknown to their schemas from the tables inside `table`, and reports each.
pub(super) fn remove_unknown(root: &Value, table: &mut DeTable<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for (key, value) in table.iter_mut() {
        let schema = root.get("properties").and_then(|properties| properties.get(&**key.get_ref()));
        if let Some(schema) = schema {
            check(root, schema, value.get_mut(), diagnostics);
        }
    }
}

fn check(root: &Value, schema: &Value, value: &mut DeValue<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let schema = follow(root, schema);
    match value {
        DeValue::Array(list) => {
            let Some(items) = schema.get("items") else { return };
            for element in list.iter_mut() {
                check(root, items, element.get_mut(), diagnostics);
            }
        }
        DeValue::Table(table) => check_table(root, schema, table, diagnostics),
        _ => {}
    }
}

fn check_table(root: &Value, schema: &Value, table: &mut DeTable<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let properties = schema.get("properties");
    let others = schema.get("additionalProperties");
    let mut unknown = Vec::new();
    for (key, value) in table.iter_mut() {
        match properties.and_then(|known| known.get(&**key.get_ref())).or(others) {
            Some(Value::Bool(true)) => {}
            Some(Value::Object(_)) => {
                let inner = properties.and_then(|known| known.get(&**key.get_ref())).or(others);
                check(root, inner.unwrap_or(&Value::Null), value.get_mut(), diagnostics);
            }
            // Without a list of names, there is nothing to check against.
            _ if properties.is_none() => {}
            _ => unknown.push(key.clone()),
        }
    }
    let known = self::properties(schema);
    for key in unknown {
        let help = known_help(key.get_ref(), &known);
        let message = format!("unknown option `{}`", key.get_ref());
        diagnostics.push(Diagnostic::new(key.span(), message).with_help(help));
        table.remove(&key);
    }
}

/// Resolves references and optional schemas; of several kinds of value, the table.
fn follow<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        let target = path.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(schema, |target| follow(root, target));
    }
    let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) else {
        return schema;
    };
    let mut tables = choices
        .iter()
        .map(|choice| follow(root, choice))
        .filter(|choice| choice.get("properties").is_some() || choice.get("items").is_some());
    match (tables.next(), tables.next()) {
        (Some(only), None) => only,
        // Names cannot tell which one of several tables is meant.
        _ => &Value::Null,
    }
}
