//! JSON Lines: one object a record. Numbers go through the same parser as those of CSV.

mod decode;
mod encode;
mod lines;
mod object;

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{ColumnOptions, Columns, Decimal, Roles, SAMPLE, UnknownColumns};
use super::rows::Layout;
use super::{Bound, Format, Head, MAX_FIELDS};
use crate::batch::Schema;
use crate::error::{Error, Result};

use decode::JsonDecoder;
pub use encode::JsonEncoder;
use object::{Entry, Object, field, line, parse};

/// Options of JSON Lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JsonOptions {
    /// What happens to a record with a field that the first 1,000 records, as far as they lie in
    /// the first MiB, did not have: `reject` it, or `ignore` the field.
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
    /// The columns that the options name, where they name the measurements.
    named: Option<Vec<String>>,
    origins: bool,
}

impl JsonLines {
    /// Checks the options.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn new(options: &JsonOptions, columns: &ColumnOptions) -> Result<Self> {
        if columns.decimal != Decimal::Point {
            return Err(Error::config("`decimal` has no meaning for JSON: its numbers have a point")
                .with_help("leave `decimal` out"));
        }
        if columns.unknown_columns == UnknownColumns::Ignore {
            return Err(Error::config(
                "unknown_columns = \"ignore\" has no meaning for JSON: records name their own fields",
            )
            .with_help("set unknown_fields = \"ignore\" to leave out what the first records did not have"));
        }
        let columns = Columns::new(columns)?;
        let named = columns.named_fields();
        Ok(Self { options: options.clone(), columns, named, origins: false })
    }

    /// Whether batches say where their records came from.
    pub fn with_origins(mut self, origins: bool) -> Self {
        self.origins = origins;
        self
    }

    fn decoder(&self, head: Head<'_>, schema: &Arc<Schema>) -> JsonDecoder {
        let (names, fields) = self.columns.keys(schema).into_iter().unzip();
        let roles = Roles { fields, missing: Vec::new() };
        let layout = Layout::new(&self.columns, schema, roles, head.stem, self.origins);
        let ignore_unknown = self.options.unknown_fields == UnknownFields::Ignore;
        JsonDecoder { names, ignore_unknown, layout }
    }
}

impl Format for JsonLines {
    fn knows_columns(&self, head: Head<'_>) -> bool {
        memchr::memchr2_iter(b'\n', b'\r', head.bytes).nth(2 * SAMPLE).is_some()
    }

    fn can_bind(&self, head: Head<'_>) -> bool {
        // A byte order mark may be on its way.
        head.bytes.len() >= 3
    }

    fn names_sensors_after_files(&self) -> bool {
        self.columns.are_sensors_files()
    }

    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        if let Some(names) = self.named.as_ref().filter(|_| head.bytes.is_empty()) {
            // Nothing has come yet: the columns are those that the options name.
            return self.columns.schema_of(head.name, names, |_| false);
        }
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
        let decoder = Arc::new(self.decoder(head, schema));
        Ok(Bound { decoder, skip_bytes: skip_bom(head.bytes), skip_lines: 0 })
    }

    fn columns(&self) -> &Columns {
        &self.columns
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clause_1_the_columns_may_be_known_before_there_is_a_record() {
        let columns = ColumnOptions {
            time: Some("t".into()),
            sensor: Some("s".into()),
            measurements: Some(vec!["v".into()]),
            ..ColumnOptions::default()
        };
        let head = Head { name: "socket", stem: "socket", bytes: b"", is_whole: false };
        let schema = |columns: &ColumnOptions| {
            JsonLines::new(&JsonOptions::default(), columns).expect("good options").schema(head)
        };
        let shown = |schema: Schema| {
            schema.fields().iter().map(|field| format!("{}: {}", field.name, field.kind)).collect::<Vec<_>>()
        };
        let named = shown(schema(&columns).expect("columns"));
        assert_eq!(named, ["t: time", "s: sensor", "v: measurement"]);
        let whole = ColumnOptions { sensor: None, ..columns.clone() };
        assert_eq!(shown(schema(&whole).expect("columns")), ["t: time", "sensor: sensor", "v: measurement"]);
        let unknown = schema(&ColumnOptions { measurements: None, ..columns }).expect_err("nothing known");
        assert!(unknown.to_string().contains("no JSON objects"), "{unknown}");
    }
}
