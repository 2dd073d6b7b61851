//! The JSON Schema of pipeline files, assembled from those of the registered components.

use serde_json::{Map, Value, json};

use super::{InputOptions, OutputOptions, StageOptions};
use crate::registry::{Component, ComponentKind, components};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a whole pipeline file.
pub fn of_pipeline() -> Value {
    let mut definitions = Map::new();
    let mut of_kind = |kind| {
        let each = components().iter().filter(|component| component.kind() == kind);
        let each: Vec<_> = each.map(|component| table(component, &mut definitions)).collect();
        json!({ "oneOf": each })
    };
    let (source, stage, sink) =
        (of_kind(ComponentKind::Source), of_kind(ComponentKind::Stage), of_kind(ComponentKind::Sink));
    json!({
        "$schema": DIALECT,
        "title": "tidemill pipeline",
        "type": "object",
        "properties": {
            "source": source,
            "stage": { "type": "array", "items": stage },
            "sink": { "type": "array", "items": sink, "minItems": 1 },
        },
        "required": ["source", "sink"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// The schema of one component's table, including the options common to its kind.
pub fn of_component(component: &Component) -> Value {
    let mut definitions = Map::new();
    let mut schema = table(component, &mut definitions);
    schema["$schema"] = DIALECT.into();
    if !definitions.is_empty() {
        schema["$defs"] = definitions.into();
    }
    schema
}

fn table(component: &Component, definitions: &mut Map<String, Value>) -> Value {
    let mut schemas = (component.schemas)();
    match component.kind() {
        ComponentKind::Source => schemas.push(schemars::schema_for!(InputOptions)),
        ComponentKind::Stage => schemas.push(schemars::schema_for!(StageOptions)),
        ComponentKind::Sink => schemas.push(schemars::schema_for!(OutputOptions)),
    }
    let mut properties = Map::new();
    properties.insert("type".into(), json!({ "const": component.name }));
    let mut required = vec![json!("type")];
    for schema in schemas {
        let prefix = format!("{}.{}", component.kind().as_str(), component.name);
        let mut schema = schema.to_value();
        rename(&mut schema, &prefix);
        let mut part = |name: &str| schema.get_mut(name).map(Value::take);
        if let Some(Value::Object(more)) = part("properties") {
            properties.extend(more);
        }
        if let Some(Value::Array(more)) = part("required") {
            required.extend(more);
        }
        if let Some(Value::Object(more)) = part("$defs") {
            definitions.extend(more.into_iter().map(|(name, schema)| (format!("{prefix}.{name}"), schema)));
        }
    }
    json!({
        "title": component.name,
        "description": component.help,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Prefixes references with the component, since two components may each have a type of the same name, such as `Method`.
fn rename(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(path) if name == "$ref" => {
                        *path = path.replacen("#/$defs/", &format!("#/$defs/{prefix}."), 1);
                    }
                    _ => rename(value, prefix),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|element| rename(element, prefix)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let schema = of_pipeline();
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(!found.is_empty());
        for path in found {
            assert!(schema.pointer(path.trim_start_matches('#')).is_some(), "{path}");
        }
    }
}
