//! An object, its fields, and what they say.

use std::borrow::Cow;

use memchr::memchr2;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Result;
use crate::format::MAX_FIELD;
use crate::format::rows::Refusal;

/// Arrays and objects may lie this deep in one another.
pub(super) const MAX_NESTING: usize = 64;

/// One field's name and value.
pub(super) type Entry<'t> = (Cow<'t, str>, &'t RawValue);

/// The fields of one object, in order.
pub(super) struct Object<'t>(pub(super) Vec<Entry<'t>>);

impl<'t> Deserialize<'t> for Object<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'t> Visitor<'t> for Fields {
            type Value = Object<'t>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Object<'t>, A::Error> {
                let mut fields = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[derive(Deserialize)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

/// The fields of the object that `text` is.
pub(super) fn parse(text: &[u8]) -> std::result::Result<Object<'_>, Refusal> {
    serde_json::from_slice(text).map_err(|error| not_json("object", &error))
}

/// The elements of the array that `text` is.
pub(super) fn elements(text: &[u8]) -> std::result::Result<Vec<&RawValue>, Refusal> {
    serde_json::from_slice(text).map_err(|error| not_json("array", &error))
}

fn not_json(what: &str, error: &serde_json::Error) -> Refusal {
    let line = match error.line() {
        0 | 1 => String::new(),
        line => format!(" line {line} of it,"),
    };
    Refusal::record(format!("not a JSON {what}: {},{line} column {}", without_place(error), error.column()))
}

/// Whether a value is an object or an array.
pub(super) fn is_nested(value: &RawValue) -> bool {
    matches!(value.get().as_bytes(), [b'{' | b'[', ..])
}

/// The refusal of what lies too deep.
pub(super) fn too_deep() -> Refusal {
    Refusal::record(format!("arrays and objects more than {MAX_NESTING} deep in one another"))
}

/// What is wrong, without the line, which counts from the start of the record.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what).to_owned()
}

/// A value as the field of a record: a string's content, nothing for null, and everything else as it stands.
pub(super) fn field(value: &RawValue) -> std::result::Result<Option<Cow<'_, str>>, Refusal> {
    match value.get().as_bytes() {
        b"null" => Ok(None),
        text if text.len() > MAX_FIELD => {
            Err(Refusal::record(format!("field of {} bytes; {MAX_FIELD} are allowed", text.len())))
        }
        [b'"', ..] => {
            let text: Key<'_> = serde_json::from_str(value.get())
                .map_err(|error| Refusal::record(format!("not a string: {}", without_place(&error))))?;
            Ok(Some(text.0))
        }
        [b'{' | b'[', ..] if nesting(value.get()) > MAX_NESTING => Err(too_deep()),
        _ => Ok(Some(Cow::Borrowed(value.get()))),
    }
}

/// How deep arrays and objects lie in one another. `text` is valid JSON.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Goes behind the quote that closes the string begun.
fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// The next line from `at`: its end, and the start of the one after.
pub(super) fn line(text: &[u8], at: usize) -> (usize, usize) {
    match memchr2(b'\n', b'\r', &text[at..]) {
        None => (text.len(), text.len()),
        Some(length) if text[at + length..].starts_with(b"\r\n") => (at + length, at + length + 2),
        Some(length) => (at + length, at + length + 1),
    }
}

#[cfg(test)]
thread_local! {
    /// How many bytes were taken apart.
    pub(super) static TAKEN_APART: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What an object or an array consists of: elements are called by their place, from 0 on.
pub(super) fn parts(value: &RawValue) -> Result<Vec<Entry<'_>>, Refusal> {
    let text = value.get().as_bytes();
    #[cfg(test)]
    TAKEN_APART.set(TAKEN_APART.get() + text.len());
    if text.starts_with(b"{") {
        return parse(text).map(|object| object.0);
    }
    let elements = elements(text)?;
    Ok(elements.into_iter().enumerate().map(|(at, element)| (Cow::Owned(at.to_string()), element)).collect())
}
