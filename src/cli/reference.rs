//! The reference of components as Markdown, made from their schemas.

use std::fmt::Write;

use serde_json::Value;

use tidemill_engine::pipeline::schema::of_component;
use tidemill_engine::registry::{Component, ComponentKind};

/// One section per component: name, help, a table of options.
pub(super) fn reference(components: &[&Component]) -> String {
    let mut text = String::new();
    for kind in [ComponentKind::Source, ComponentKind::Stage, ComponentKind::Sink] {
        let mut of_kind = components.iter().filter(|component| component.kind() == kind).peekable();
        if of_kind.peek().is_some() {
            let _ = writeln!(text, "# {}\n", ["Sources", "Stages", "Sinks"][kind as usize]);
        }
        of_kind.for_each(|component| section(component, &mut text));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section(component: &Component, text: &mut String) {
    let schema = of_component(component);
    let _ = writeln!(text, "## `{}`\n\n{}\n", component.name, sentence(component.help));
    text.push_str("| option | type | default | |\n|---|---|---|---|\n");
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, option) in properties.iter().filter(|(name, _)| *name != "type") {
        row(&schema, name, option, is_required(&schema, name), text);
        for (inner, option) in inner_options(&schema, option) {
            row(&schema, &format!("{name}.*.{inner}"), option, false, text);
        }
        let table = table(&schema, option);
        for (inner, option) in properties_of(table) {
            row(&schema, &format!("{name}.{inner}"), option, is_required(table, inner), text);
        }
    }
    text.push('\n');
}

fn row(root: &Value, name: &str, option: &Value, is_required: bool, text: &mut String) {
    let default = match option.get("default") {
        _ if is_required => "required".to_owned(),
        None | Some(Value::Null) => String::new(),
        Some(Value::Object(fields)) if fields.is_empty() => String::new(),
        Some(value) => format!("`{value}`"),
    };
    let description = option.get("description").and_then(Value::as_str).unwrap_or_default();
    let cells = [format!("`{name}`"), kind(root, option), default, sentence(&description.replace('\n', " "))];
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|required| required == name))
}

/// The options inside a table of tables, such as the rules per sensor.
fn inner_options<'v>(root: &'v Value, option: &'v Value) -> Vec<(&'v String, &'v Value)> {
    option.get("additionalProperties").map(|inner| properties_of(follow(root, inner))).unwrap_or_default()
}

/// The schema of a table with names of its own, such as `retry`: that of the option, unless there is a choice.
fn table<'v>(root: &'v Value, option: &'v Value) -> &'v Value {
    let schema = follow(root, option);
    let choices = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    let choices: Vec<_> = choices.into_iter().flatten().filter(|choice| !is_null(choice)).collect();
    match choices[..] {
        [only] => follow(root, only),
        [] => schema,
        _ => &Value::Null,
    }
}

fn properties_of(schema: &Value) -> Vec<(&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten().collect()
}

fn follow<'v>(root: &'v Value, schema: &'v Value) -> &'v Value {
    let path = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    path.and_then(|path| root.pointer(path)).unwrap_or(schema)
}

/// The type of an option's value, in words.
fn kind(root: &Value, schema: &Value) -> String {
    let schema = follow(root, schema);
    if let Some(value) = schema.get("const") {
        return format!("`{value}`");
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values = values.iter().filter(|value| !value.is_null()).map(|value| format!("`{value}`"));
        return values.collect::<Vec<_>>().join(" or ");
    }
    if let Some(choices) = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array) {
        let mut kinds: Vec<_> =
            choices.iter().filter(|choice| !is_null(choice)).map(|choice| kind(root, choice)).collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    let name = match schema.get("type") {
        Some(Value::Array(names)) => {
            names.iter().find_map(|name| name.as_str().filter(|name| *name != "null"))
        }
        Some(Value::String(name)) => Some(name.as_str()),
        _ => None,
    };
    match name {
        Some("string") => "text".into(),
        Some("integer") => "whole number".into(),
        Some("boolean") => "true or false".into(),
        Some("array") => format!("list of {}", kind(root, schema.get("items").unwrap_or(&Value::Null))),
        Some("object") => "table".into(),
        Some(other) => other.into(),
        None => "any".into(),
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// The text with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let Some(first) = letters.next() else { return String::new() };
    let stop = if text.trim().ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}
