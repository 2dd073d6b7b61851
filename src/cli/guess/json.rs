//! Records of JSON: one a line, an array, or one behind the other. The fields of nested objects have dotted names.

use serde_json::{Deserializer, Map, Value};

use super::table::{Kind, Table};

/// A text with line ends in place of what RFC 7464 puts before every value.
pub(super) fn without_separators(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|&byte| if byte == 0x1e { b'\n' } else { byte }).collect()
}

/// The objects. What is cut off at the end is left out.
pub(super) fn objects(bytes: &[u8]) -> Vec<Map<String, Value>> {
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
    objects
}

/// The fields that have arrays of objects, which could be records.
pub(super) fn arrays(objects: &[Map<String, Value>]) -> Vec<String> {
    let mut names = Vec::new();
    for (name, value) in objects.iter().flatten() {
        let is_array = value.as_array().is_some_and(|values| values.iter().any(Value::is_object));
        if is_array && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// A record for each object in the array `name` of each object, with the fields around it.
pub(super) fn unfolded(objects: &[Map<String, Value>], name: &str) -> Vec<Map<String, Value>> {
    let mut records = Vec::new();
    for object in objects {
        for value in object.get(name).and_then(Value::as_array).into_iter().flatten() {
            let mut record = object.clone();
            record.insert(name.to_owned(), value.clone());
            records.push(record);
        }
    }
    records
}

/// The records of objects; without names where there are none.
pub(super) fn table(objects: Vec<Map<String, Value>>) -> Table {
    let mut names: Vec<String> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut texts = Vec::new();
    for object in objects {
        let mut row = vec![String::new(); names.len()];
        for (name, value) in flat(object) {
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
    without_null_objects(&mut names, &mut rows, &mut texts);
    Table { kind: Kind::Json, names, rows, texts, ..Table::default() }
}

fn objects_of(value: Value, objects: &mut Vec<Map<String, Value>>) {
    match value {
        Value::Object(object) => objects.push(object),
        Value::Array(values) => values.into_iter().for_each(|value| objects_of(value, objects)),
        _ => {}
    }
}

/// The fields, those of nested objects in their place.
fn flat(object: Map<String, Value>) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    for (name, value) in object {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                fields
                    .extend(flat(inner).into_iter().map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            other => fields.push((name, other)),
        }
    }
    fields
}

/// Takes away what is null wherever other records have an object.
fn without_null_objects(names: &mut Vec<String>, rows: &mut [Vec<String>], texts: &mut Vec<usize>) {
    for at in (0..names.len()).rev() {
        let start = format!("{}.", names[at]);
        if names.iter().any(|name| name.starts_with(&start)) && rows.iter().all(|row| row[at].is_empty()) {
            names.remove(at);
            rows.iter_mut().for_each(|row| drop(row.remove(at)));
            texts.retain(|text| *text != at);
            texts.iter_mut().filter(|text| **text > at).for_each(|text| *text -= 1);
        }
    }
}

fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}
