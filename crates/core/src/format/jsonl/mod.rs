//! JSON: one object per record, delimited by lines or by structure. Numbers use the same parser as those of CSV.

mod decode;
mod decoder;
mod encode;
mod first;
mod first_values;
mod layout;
mod object;
mod objects;
mod paths;
mod reference;
mod sample;
mod shapes;
mod structure;
mod unfolded;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{ColumnOptions, Columns, Roles};
use super::file_columns::FileColumns;
use super::keys::byte_order_mark;
use super::{BoundFormat, Format, Head, LineFormat, MAX_FIELDS};
use crate::batch::{FieldType, Schema};
use crate::error::{Error, Result};

use decoder::JsonDecoder;
pub use encode::JsonEncoder;
use first::JsonBeginning;
pub use first_values::{FirstValues, first_values};
pub use layout::JsonLayout;
use objects::Objects;
use paths::Paths;

/// Options of JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JsonOptions {
    /// What to do with a record with a field that does not occur in the first 1,000 records, within the first MiB: `reject` it, or `ignore`
    /// the field.
    pub unknown_fields: UnknownFields,
    /// How objects are delimited: `auto` detects it at the beginning of a file, `lines` (one object, or one array of objects, per line), or
    /// `values` (by their structure: over several lines, many on one line, in an array over the whole file).
    pub layout: JsonLayout,
    /// The array whose elements become one record each, by its name or path; the fields around the array are repeated in each record. The
    /// fields of an element are named as if it replaced the array: with "readings", they are `readings.time`, `readings.temp` and so on.
    pub unfold: Option<String>,
}

/// What to do with a record with an unknown field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnknownFields {
    /// The record is rejected.
    #[default]
    Reject,
    /// The field is ignored.
    Ignore,
}

/// The JSON format.
#[derive(Clone, Debug)]
pub struct JsonLines {
    options: JsonOptions,
    columns: Columns,
    /// The columns that the options define, if they name the measurements.
    named: Option<Vec<String>>,
    /// The fields that have to be seen before all columns are known.
    sought: Option<Vec<String>>,
    origins: bool,
}

impl JsonLines {
    /// Validates the options.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn new(options: &JsonOptions, columns: &ColumnOptions) -> Result<Self> {
        columns.check_named_fields("JSON")?;
        let columns = Columns::new(columns)?;
        let (named, sought) = (columns.named_fields(), columns.sought_fields());
        Ok(Self { options: options.clone(), columns, named, sought, origins: false })
    }

    /// Whether batches carry the origin of their records.
    pub fn with_origins(mut self, origins: bool) -> Self {
        self.origins = origins;
        self
    }

    /// How objects are read before the columns are known.
    fn asked(&self) -> Objects {
        let paths = Paths::new(self.columns.asked_fields());
        Objects { paths, unfold: self.options.unfold.clone() }
    }

    fn decoder(&self, head: Head<'_>, schema: &Arc<Schema>) -> JsonDecoder {
        let (names, fields) = self.columns.keys(schema).into_iter().unzip();
        let roles = Roles { fields, missing: Vec::new() };
        let layout = FileColumns::new(&self.columns, schema, roles, head.stem, self.origins);
        let ignore_unknown = self.options.unknown_fields == UnknownFields::Ignore;
        let names: Vec<String> = names;
        let paths = Paths::new(names.iter().cloned());
        let objects = Objects { paths, unfold: self.options.unfold.clone() };
        let is_values = beginning(self.options.layout, head).is_some_and(|beginning| beginning.is_values);
        JsonDecoder { names, ignore_unknown, layout, objects, is_values }
    }
}

impl Format for JsonLines {
    fn knows_columns(&self, head: Head<'_>, records: usize) -> bool {
        let beginning = beginning(self.options.layout, head);
        beginning
            .is_some_and(|beginning| beginning.has(records.max(1), &self.asked(), self.sought.as_deref()))
    }

    fn declared(&self, name: &str) -> Result<Option<Schema>> {
        let named = self.named.as_ref();
        named.map(|names| self.columns.schema_of(name, names, |_| FieldType::Text)).transpose()
    }

    fn can_bind(&self, head: Head<'_>) -> bool {
        // A byte order mark may be incomplete.
        head.bytes.len() >= 3 && beginning(self.options.layout, head).is_some()
    }

    fn line_format(&self, _head: Head<'_>) -> LineFormat {
        LineFormat::ANY_END
    }

    fn records_name_fields(&self) -> bool {
        true
    }

    fn naming_options(&self) -> &'static str {
        "`measurements` and `columns`"
    }

    fn names_sensors_after_files(&self) -> bool {
        self.columns.are_sensors_files()
    }

    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        if head.bytes.is_empty()
            && let Some(schema) = self.declared(head.name)?
        {
            return Ok(schema);
        }
        let objects = self.asked();
        // Questions that need more input are answered from the input so far.
        let beginning = beginning(self.options.layout, head)
            .or_else(|| beginning(self.options.layout, Head { is_whole: true, ..head }));
        let sample =
            beginning.map(|beginning| beginning.sample(&objects, self.sought.as_deref())).unwrap_or_default();
        if sample.names.len() > MAX_FIELDS {
            let what = format!("the records of `{}` have more than {MAX_FIELDS} different fields", head.name);
            return Err(Error::data(what).with_help("JSON Lines have the same few fields in every record"));
        }
        if sample.names.is_empty() {
            let (what, help) = match &self.options.unfold {
                Some(path) => (format!(" with an array `{path}`"), "check the path in `unfold`"),
                None => (
                    String::new(),
                    "records are objects: one object, or one array of objects, per line, or consecutive objects (see `layout`)",
                ),
            };
            let what = format!("`{}` has no JSON objects{what} among its first lines", head.name);
            return Err(Error::data(what).with_help(help));
        }
        self.columns.schema(head.name, &sample.names, &sample.texts(&self.columns))
    }

    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<BoundFormat> {
        let decoder = Arc::new(self.decoder(head, schema));
        Ok(BoundFormat { decoder, skip_bytes: byte_order_mark(head.bytes), skip_lines: 0 })
    }

    fn columns(&self) -> &Columns {
        &self.columns
    }
}

/// The beginning of a file after its byte order mark; `None` if more input is needed.
fn beginning(layout: JsonLayout, head: Head<'_>) -> Option<JsonBeginning<'_>> {
    let bytes = &head.bytes[byte_order_mark(head.bytes)..];
    let is_values = layout.is_values(bytes, head.is_whole)?;
    Some(JsonBeginning { bytes, is_whole: head.is_whole, is_values })
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
            schema
                .fields()
                .iter()
                .map(|field| format!("{}: {}", field.name, field.description()))
                .collect::<Vec<_>>()
        };
        let named = shown(schema(&columns).expect("columns"));
        assert_eq!(named, ["t: time", "s: sensor", "v: measurement"]);
        let whole = ColumnOptions { sensor: None, ..columns.clone() };
        assert_eq!(shown(schema(&whole).expect("columns")), ["t: time", "sensor: sensor", "v: measurement"]);
        let unknown = schema(&ColumnOptions { measurements: None, ..columns }).expect_err("nothing known");
        assert!(unknown.to_string().contains("no JSON objects"), "{unknown}");
    }
}
