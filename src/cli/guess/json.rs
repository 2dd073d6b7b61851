//! JSON records: one per line, an array, or concatenated. The fields of nested objects have dotted names.

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Map, Value};

use super::formats::is_time;
use super::sample::shown;
use super::table::{FileKind, SampleTable};
use tidemill_core::format::Refused;
use tidemill_core::format::jsonl::{FirstValues, JsonLayout, first_values};

/// The objects of a text, and the values that are not objects.
pub(super) struct JsonFound {
    pub(super) objects: Vec<Map<String, Value>>,
    /// How many values there are, including rejected ones.
    pub(super) values: usize,
    pub(super) refused: Refused,
    /// The option `layout`, if it reads more records.
    pub(super) layout: Option<&'static str>,
}

/// The content of a text that is JSON: it begins like JSON, or most of its lines are.
pub(super) fn find(bytes: &[u8], is_whole: bool) -> Option<JsonFound> {
    let first = first_values(bytes, is_whole, JsonLayout::Auto);
    let is_more = |values: &FirstValues<'_>| {
        values.records.len() > first.records.len() && values.refused.count < first.refused.count
    };
    let values = begins(bytes).then(|| first_values(bytes, is_whole, JsonLayout::Values)).filter(is_more);
    let layout = values.is_some().then_some("values");
    let FirstValues { records, refused, cut } = values.unwrap_or(first);
    let mut objects = Vec::new();
    let values = records.iter().filter_map(|text| serde_json::from_slice(text).ok());
    values.for_each(|value| objects_of(value, &mut objects));
    if let Some(begun) = cut.filter(|_| objects.is_empty()) {
        let value = closed(begun).and_then(|text| serde_json::from_slice(&text).ok());
        value.into_iter().for_each(|value| objects_of(value, &mut objects));
    }
    let is_json = begins(bytes)
        || objects.is_empty() && are_arrays(bytes, is_whole)
        || !objects.is_empty() && records.len() > refused.count;
    is_json.then_some(JsonFound { objects, values: records.len() + refused.count, refused, layout })
}

/// Whether a text begins with an object, or an array of them.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut letters = bytes.iter().filter(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'[' | 0x1e));
    letters.next() == Some(&b'{') && matches!(letters.next(), Some(b'"' | b'\''))
}

/// A truncated value up to the last comma of its outermost array, with the missing brackets added.
fn closed(text: &[u8]) -> Option<Vec<u8>> {
    let (mut open, mut is_string, mut is_escaped) = (Vec::new(), false, false);
    let mut last: Option<(usize, Vec<u8>)> = None;
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_string,
            b'"' => is_string = !is_string,
            _ if is_string => {}
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' => drop(open.pop()),
            b',' if open.last() == Some(&b']')
                && last.as_ref().is_none_or(|(_, known)| open.len() <= known.len()) =>
            {
                last = Some((at, open.clone()));
            }
            _ => {}
        }
    }
    let (end, open) = last?;
    Some(text[..end].iter().chain(open.iter().rev()).copied().collect())
}

/// Whether a text is nothing but arrays.
fn are_arrays(bytes: &[u8], is_whole: bool) -> bool {
    let mut values = Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    let are_whole = values.by_ref().all(|value| match value {
        Ok(_) => true,
        Err(error) => error.is_eof() && !is_whole,
    });
    are_whole && bytes.trim_ascii_start().starts_with(b"[")
}

/// A warning about an object that has records, but not in an array: keyed by their times, or as columns (arrays of equal length).
pub(super) fn otherwise(objects: &[Map<String, Value>]) -> Option<String> {
    let mut times = objects.first()?.keys().filter(|name| is_time(name));
    if let (Some(first), Some(_)) = (times.next(), times.next()) {
        return Some(format!(
            "{} is a time, used as a field name: write one object per record, with the time as a value",
            shown(first)
        ));
    }
    let arrays = flat(objects.first()?.clone()).into_iter().filter_map(|(name, value)| {
        let values = value.as_array()?;
        let are_plain = values.iter().all(|value| !value.is_object() && !value.is_array());
        (are_plain && values.len() > 2).then_some((name, values.len()))
    });
    let arrays: Vec<_> = arrays.collect();
    let [(first, length), others @ ..] = arrays.as_slice() else { return None };
    let (second, _) = others.iter().find(|(_, other)| other == length)?;
    Some(format!(
        "{} and {} are arrays of {length} values each, probably columns, and are carried as text: write one object per record",
        shown(first),
        shown(second)
    ))
}

/// The fields that have arrays of objects, which could be records, by their paths.
pub(super) fn arrays(objects: &[Map<String, Value>]) -> Vec<String> {
    let mut names = Vec::new();
    for (name, value) in objects.iter().flat_map(|object| flat(object.clone())) {
        let is_array = value.as_array().is_some_and(|values| values.iter().any(Value::is_object));
        if is_array && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A record for each object in the array at `path` of each object, with the fields around it.
pub(super) fn unfolded(objects: &[Map<String, Value>], path: &str) -> Vec<Map<String, Value>> {
    let mut records = Vec::new();
    for object in objects {
        let mut around = object.clone();
        let Some(Value::Array(values)) = at(&mut around, path).map(Value::take) else { continue };
        for value in values {
            let mut record = around.clone();
            if let Some(place) = at(&mut record, path) {
                *place = value;
            }
            records.push(record);
        }
    }
    records
}

/// The field at a path; a key that itself contains the dots wins.
fn at<'v>(object: &'v mut Map<String, Value>, path: &str) -> Option<&'v mut Value> {
    if object.contains_key(path) {
        return object.get_mut(path);
    }
    let mut ends = path.match_indices('.').map(|(end, _)| end);
    let end = ends.find(|&end| object.get(&path[..end]).is_some_and(Value::is_object))?;
    at(object.get_mut(&path[..end])?.as_object_mut()?, &path[end + 1..])
}

/// The records of objects; without names where there are none.
pub(super) fn table(objects: Vec<Map<String, Value>>) -> SampleTable {
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
    SampleTable { kind: FileKind::Json, names, rows, texts, ..SampleTable::default() }
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
