//! Records of JSON: one a line, an array, or one behind the other.

use serde_json::{Deserializer, Map, Value};

use super::table::{Dialect, Kind, Table};

/// The records; without names where there are none. What is cut off at the end is left out.
pub(super) fn records(bytes: &[u8]) -> Table {
    let mut objects = Vec::new();
    let mut values = Deserializer::from_slice(bytes).into_iter::<Value>();
    let mut stopped = false;
    for value in values.by_ref() {
        match value {
            Ok(value) => objects_of(value, &mut objects),
            Err(_) => {
                stopped = true;
                break;
            }
        }
    }
    // An odd line does not hide those after it.
    if stopped {
        let rest = &bytes[values.byte_offset().min(bytes.len())..];
        let lines = rest.split(|&byte| byte == b'\n').skip(1);
        lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .for_each(|value| objects_of(value, &mut objects));
    }
    let mut names: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    let mut texts = Vec::new();
    for object in objects {
        let mut row = vec![String::new(); names.len()];
        for (name, value) in object {
            let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                row.push(String::new());
                names.len() - 1
            });
            if value.is_string() && !texts.contains(&at) {
                texts.push(at);
            }
            row[at] = text(value);
        }
        rows.push(row);
    }
    rows.iter_mut().for_each(|row| row.resize(names.len(), String::new()));
    Table { kind: Kind::Json, dialect: Dialect::default(), names, rows, station: None, texts }
}

fn objects_of(value: Value, objects: &mut Vec<Map<String, Value>>) {
    match value {
        Value::Object(object) => objects.push(object),
        Value::Array(values) => values.into_iter().for_each(|value| objects_of(value, objects)),
        _ => {}
    }
}

fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}
