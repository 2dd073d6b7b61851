//! JSON Lines: one object a record. Numbers go through the same parser as those of CSV.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::{memchr2, memrchr2};
use schemars::JsonSchema;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::columns::{ColumnOptions, Columns, Decimal, Role, SAMPLE};
use super::rows::{Layout, Refusal, Rows};
use super::text::{write_float, write_time};
use super::{Bound, Decode, Encode, Format, Head, MAX_FIELD, MAX_FIELDS, MAX_RECORD};
use crate::batch::{Batch, Column, Schema, Span};
use crate::chunk::{Chunk, Decoded};
use crate::error::{Error, Result};
use crate::sensor::{SensorLookup, Sensors};

/// Arrays and objects may lie this deep in one another.
const MAX_NESTING: usize = 64;

/// Options of JSON Lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JsonOptions {
    /// What happens to a record with a field that the first 1,000 records did not have: `reject` it, or `ignore` the field.
    pub unknown_fields: UnknownFields,
}

/// What happens to a record with an unknown field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    /// The record is refused.
    #[default]
    Reject,
    /// The field is left out.
    Ignore,
}

/// The format.
#[derive(Clone, Debug)]
pub struct JsonLines {
    options: JsonOptions,
    columns: Columns,
    origins: bool,
}

impl JsonLines {
    /// Checks the options. The decimal mark is always the point: JSON has no other.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn new(options: &JsonOptions, columns: &ColumnOptions) -> Result<Self> {
        let columns = ColumnOptions { decimal: Decimal::Point, ..columns.clone() };
        Ok(Self { options: options.clone(), columns: Columns::new(&columns)?, origins: false })
    }

    /// Whether batches say where their records came from.
    pub fn with_origins(mut self, origins: bool) -> Self {
        self.origins = origins;
        self
    }
}

/// One field's name and value.
type Entry<'t> = (Cow<'t, str>, &'t RawValue);

/// The fields of one object, in order.
struct Object<'t>(Vec<Entry<'t>>);

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

fn parse(line: &[u8]) -> std::result::Result<Object<'_>, Refusal> {
    serde_json::from_slice(line).map_err(|error| {
        Refusal::record(format!("not a JSON object: {}, column {}", without_place(&error), error.column()))
    })
}

/// What is wrong, without the line, which counts from the start of the record.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what).to_owned()
}

/// A value as the field of a record: a string's content, nothing for null, and everything else as it stands.
fn field(value: &RawValue) -> std::result::Result<Option<Cow<'_, str>>, Refusal> {
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
        [b'{' | b'[', ..] if nesting(value.get()) > MAX_NESTING => {
            Err(Refusal::record(format!("arrays and objects more than {MAX_NESTING} deep in one another")))
        }
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
fn line(text: &[u8], at: usize) -> (usize, usize) {
    match memchr2(b'\n', b'\r', &text[at..]) {
        None => (text.len(), text.len()),
        Some(length) if text[at + length..].starts_with(b"\r\n") => (at + length, at + length + 2),
        Some(length) => (at + length, at + length + 1),
    }
}

impl Format for JsonLines {
    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        let (mut names, mut sample) = (Vec::new(), Vec::new());
        let mut at = skip_bom(head.bytes);
        while at < head.bytes.len() && sample.len() < SAMPLE {
            let (end, next) = line(head.bytes, at);
            let is_whole = next < head.bytes.len() || head.is_whole;
            let object = if is_whole { parse(&head.bytes[at..end]).ok() } else { None };
            if let Some(Object(fields)) = object.filter(|Object(fields)| fields.len() <= MAX_FIELDS) {
                sample.push(sample_record(&fields, &mut names));
            }
            if names.len() > MAX_FIELDS {
                let what =
                    format!("the records of `{}` have more than {MAX_FIELDS} different fields", head.name);
                return Err(
                    Error::data(what).with_help("JSON Lines have the same few fields in every record")
                );
            }
            at = next;
        }
        if names.is_empty() {
            return Err(Error::data(format!("`{}` has no JSON objects among its first lines", head.name))
                .with_help("JSON Lines have one object a line"));
        }
        self.columns.schema(head.name, &names, &sample)
    }

    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<Bound> {
        let mut names: Vec<String> = schema.fields().iter().map(|field| field.name.to_string()).collect();
        let sensor = self.columns.file_sensor(head.stem).map(str::to_owned);
        if sensor.is_some() {
            names.remove(schema.sensor());
        }
        let roles = self.columns.roles(head.name, &names, schema)?;
        let layout = Layout {
            roles,
            sensor,
            columns: self.columns.clone(),
            schema: Arc::clone(schema),
            origins: self.origins,
        };
        let decoder = JsonDecoder {
            names,
            ignore_unknown: self.options.unknown_fields == UnknownFields::Ignore,
            layout,
        };
        Ok(Bound { decoder: Arc::new(decoder), skip_bytes: skip_bom(head.bytes), skip_lines: 0 })
    }
}

fn skip_bom(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

/// Which of `names` is `name`, which is the `order`th of its record: mostly the one at that place.
fn place_of(names: &[String], name: &str, order: usize) -> Option<usize> {
    match names.get(order) {
        Some(known) if known == name => Some(order),
        _ => names.iter().position(|known| known == name),
    }
}

fn sample_record<'t>(fields: &[Entry<'t>], names: &mut Vec<String>) -> Vec<Cow<'t, [u8]>> {
    let mut record = Vec::new();
    for (order, (name, value)) in fields.iter().enumerate() {
        let at = place_of(names, name, order).unwrap_or_else(|| {
            names.push(name.clone().into_owned());
            names.len() - 1
        });
        if record.len() <= at {
            record.resize(at + 1, Cow::Borrowed(&b""[..]));
        }
        record[at] = match field(value) {
            Ok(Some(Cow::Borrowed(text))) => Cow::Borrowed(text.as_bytes()),
            Ok(Some(Cow::Owned(text))) => Cow::Owned(text.into_bytes()),
            _ => Cow::Borrowed(b""),
        };
    }
    record
}

/// Reads the chunks of one file.
struct JsonDecoder {
    /// By field, as the layout's roles.
    names: Vec<String>,
    ignore_unknown: bool,
    layout: Layout,
}

impl Decode for JsonDecoder {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        if at_end {
            return bytes.len();
        }
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        memrchr2(b'\n', b'\r', bytes).map_or(0, |at| at + 1)
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let text = chunk.bytes.as_slice();
        let mut rows = Rows::new(&self.layout, chunk, sensors);
        let (mut at, mut number) = (0, 0);
        while at < text.len() {
            let (end, next) = line(text, at);
            if !text[at..end].trim_ascii().is_empty() {
                match self.record(text, at, end, &mut rows) {
                    Ok(()) => rows.accept(at, number, end - at)?,
                    Err(refusal) => rows.refuse(at, number, end - at, refusal),
                }
            }
            number += 1;
            at = next;
        }
        Ok(rows.finish(number))
    }
}

impl JsonDecoder {
    fn record(&self, text: &[u8], start: usize, end: usize, rows: &mut Rows<'_>) -> Result<(), Refusal> {
        if end - start > MAX_RECORD {
            let reason = format!("record of {} bytes; {MAX_RECORD} are allowed", end - start);
            return Err(Refusal::record(reason));
        }
        let Object(fields) = parse(&text[start..end])?;
        if fields.len() > MAX_FIELDS {
            return Err(Refusal::record(format!("more than {MAX_FIELDS} fields")));
        }
        let mut values: Vec<Option<&RawValue>> = vec![None; self.names.len()];
        for (order, (name, value)) in fields.iter().enumerate() {
            match place_of(&self.names, name, order) {
                Some(at) if values[at].is_none() => values[at] = Some(value),
                Some(_) => return Err(Refusal::record(format!("field `{name}` stands twice"))),
                None if self.ignore_unknown => {}
                None => return Err(Refusal::record(format!("unknown field `{name}`"))),
            }
        }
        for (&role, value) in self.layout.roles.iter().zip(values) {
            self.value(text, role, value, rows)?;
        }
        Ok(())
    }

    fn value(
        &self,
        text: &[u8],
        role: Role,
        value: Option<&RawValue>,
        rows: &mut Rows<'_>,
    ) -> Result<(), Refusal> {
        let content = value.map_or(Ok(None), field);
        let content = content.map_err(|refusal| Refusal { column: Some(role.column()), ..refusal })?;
        match (role, content) {
            (Role::Text(at), None) => rows.push_text(at, Span::NULL),
            // Text is carried as it is, spaces and all.
            (Role::Text(at), Some(content)) => {
                let span = rows.span(content.as_bytes(), place(text, &content));
                rows.push_text(at, span);
            }
            (Role::Measurement(at), None) => rows.push_number(at, None),
            (role, None) => rows.field(role, b"", None)?,
            (role, Some(content)) => rows.field(role, content.as_bytes(), place(text, &content))?,
        }
        Ok(())
    }
}

/// Where in `text` the content lies; `None` where it had to be made anew.
fn place(text: &[u8], content: &str) -> Option<usize> {
    let start = content.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    (start + content.len() <= text.len()).then_some(start)
}

/// Writes JSON Lines. NaN and infinities are the strings "NaN", "inf", "-inf", since JSON has no
/// numbers for them; null is for missing values only.
#[derive(Clone, Debug)]
pub struct JsonEncoder {
    /// `"name":` of each column.
    keys: Vec<Vec<u8>>,
    decimals: Option<u8>,
}

impl JsonEncoder {
    /// An encoder for batches of this schema; the shortest float texts unless `decimals` is given.
    pub fn new(schema: &Schema, decimals: Option<u8>) -> Self {
        let key = |name: &str| {
            let mut key = Vec::new();
            write_string(name, &mut key);
            key.push(b':');
            key
        };
        Self { keys: schema.fields().iter().map(|field| key(&field.name)).collect(), decimals }
    }

    fn value(&self, batch: &Batch, column: &Column, row: usize, sensors: &Sensors, out: &mut Vec<u8>) {
        match column {
            Column::Time(times) => {
                let mut text = Vec::new();
                write_time(batch, times, row, &mut text);
                write_string(&String::from_utf8_lossy(&text), out);
            }
            Column::Sensor(ids) => write_string(sensors.name(ids[row]), out),
            Column::Measurement(measurement) => match measurement.get(row) {
                None => out.extend_from_slice(b"null"),
                Some(value) if value.is_finite() => write_float(value, self.decimals, out),
                Some(value) => {
                    out.push(b'"');
                    write_float(value, None, out);
                    out.push(b'"');
                }
            },
            Column::Flag(bits) => out.extend_from_slice(if bits.get(row) { b"true" } else { b"false" }),
            Column::Count(counts) => {
                out.extend_from_slice(itoa::Buffer::new().format(counts[row]).as_bytes())
            }
            Column::Text(spans) => match batch.text.get(spans[row]) {
                None => out.extend_from_slice(b"null"),
                Some(text) => write_string(&String::from_utf8_lossy(text), out),
            },
        }
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Serialising a string into a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}

impl Encode for JsonEncoder {
    fn header(&self, _schema: &Schema, _out: &mut Vec<u8>) {}

    fn encode(&self, batch: &Batch, sensors: &Sensors, out: &mut Vec<u8>) {
        for row in 0..batch.len() {
            out.push(b'{');
            for (at, (key, column)) in self.keys.iter().zip(batch.columns()).enumerate() {
                out.extend((at > 0).then_some(b','));
                out.extend_from_slice(key);
                self.value(batch, column, row, sensors, out);
            }
            out.extend_from_slice(b"}\n");
        }
    }
}
