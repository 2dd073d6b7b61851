//! Parses an object into its fields and their contents.

use std::borrow::Cow;

use memchr::memchr2;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Result;
use crate::format::MAX_FIELD;
use crate::format::refusal::Refusal;

/// The maximum nesting depth of arrays and objects.
pub(super) const MAX_NESTING: usize = 64;

/// One field's name and value.
pub(super) type FieldEntry<'t> = (Cow<'t, str>, &'t RawValue);

/// The fields of one object, in order.
pub(super) struct Object<'t>(pub(super) Vec<FieldEntry<'t>>);

impl<'t> Deserialize<'t> for Object<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'t> Visitor<'t> for FieldsVisitor {
            type Value = Object<'t>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Object<'t>, A::Error> {
                let mut fields = Vec::new();
                while let Some(BorrowedText(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[derive(Deserialize)]
struct BorrowedText<'t>(#[serde(borrow)] Cow<'t, str>);

/// The fields of the object `text`.
pub(super) fn parse(text: &[u8]) -> std::result::Result<Object<'_>, Refusal> {
    serde_json::from_slice(text).map_err(|error| not_json("object", &error))
}

/// The elements of the array `text`.
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

/// The rejection of an object that is nested too deeply.
pub(super) fn too_deep() -> Refusal {
    Refusal::record(format!("arrays and objects nested more than {MAX_NESTING} deep"))
}

/// The error without its line, which counts from the start of the record.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what).to_owned()
}

/// A value as the field of a record: a string's content, `None` for null, everything else as written.
pub(super) fn field(value: &RawValue) -> std::result::Result<Option<Cow<'_, str>>, Refusal> {
    match value.get().as_bytes() {
        b"null" => Ok(None),
        text if text.len() > MAX_FIELD => {
            Err(Refusal::record(format!("field of {} bytes; {MAX_FIELD} are allowed", text.len())))
        }
        [b'"', ..] => {
            let text: BorrowedText<'_> = serde_json::from_str(value.get())
                .map_err(|error| Refusal::record(format!("not a string: {}", without_place(&error))))?;
            Ok(Some(text.0))
        }
        [b'{' | b'[', ..] if nesting(value.get()) > MAX_NESTING => Err(too_deep()),
        _ => Ok(Some(Cow::Borrowed(value.get()))),
    }
}

/// The nesting depth of arrays and objects. `text` is valid JSON.
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

/// Skips to after the quote that closes the current string.
fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// The end of the line at `at`, and the start of the next one.
pub(super) fn line(text: &[u8], at: usize) -> (usize, usize) {
    match memchr2(b'\n', b'\r', &text[at..]) {
        None => (text.len(), text.len()),
        Some(length) if text[at + length..].starts_with(b"\r\n") => (at + length, at + length + 2),
        Some(length) => (at + length, at + length + 1),
    }
}

#[cfg(test)]
thread_local! {
    /// The number of bytes parsed.
    pub(super) static TAKEN_APART: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The entries of an object or array; elements are named by their index, from 0.
pub(super) fn parts(value: &RawValue) -> Result<Vec<FieldEntry<'_>>, Refusal> {
    let text = value.get().as_bytes();
    #[cfg(test)]
    TAKEN_APART.set(TAKEN_APART.get() + text.len());
    if text.starts_with(b"{") {
        return parse(text).map(|object| object.0);
    }
    let elements = elements(text)?;
    Ok(elements.into_iter().enumerate().map(|(at, element)| (Cow::Owned(at.to_string()), element)).collect())
}
