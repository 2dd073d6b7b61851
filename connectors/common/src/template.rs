//! Texts with fields of a record in braces: `{sensor} is {value}`.
//!
//! A placeholder is the name of a column in braces; `{*}` is the whole record as a JSON object, and `\{` a brace. What else stands between braces, or
//! contains quotes, is no placeholder: `{"a": {"b": 1}}` is a text without any. In a template of JSON, a placeholder in quotes gives text, escaped for
//! JSON; outside of quotes it gives a JSON value: a number, a string in quotes, `null`.

use std::sync::Arc;

use serde_json::Value;
use tidemill_engine::batch::{Batch, Column, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;

/// What a template is made of, checked against the columns.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    names: Vec<Arc<str>>,
}

/// What the text of a template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Values are inserted as they are; a null is empty.
    Plain,
    /// Values are inserted as the rules of JSON ask.
    Json,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    /// A value as it is.
    Plain(usize),
    /// A value within quotes of JSON.
    Quoted(usize),
    /// A JSON value.
    Value(usize),
    /// The record as a JSON object; within quotes, as text.
    Record {
        is_quoted: bool,
    },
}

/// The name of the whole record.
const RECORD: &str = "*";

impl Template {
    /// Reads `text`, whose placeholders are columns of `schema`. `option` is the name of the option, for messages.
    ///
    /// # Errors
    /// A configuration error if a placeholder is not a column.
    pub fn new(option: &str, text: &str, language: Language, schema: &Schema) -> Result<Self> {
        let mut parts = Vec::new();
        let (mut rest, mut literal, mut is_quoted) = (text, String::new(), false);
        while let Some(letter) = rest.chars().next() {
            if let Some(name) = placeholder(rest) {
                rest = &rest[name.len() + 2..];
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(part(option, name, language, is_quoted, schema)?);
                continue;
            }
            // An escape: of a brace, which is ours, or of JSON, which stays.
            let escaped = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
            let taken = match (letter, escaped) {
                ('\\', Some('{')) => {
                    literal.push('{');
                    2
                }
                ('\\', Some(next)) if language == Language::Json => {
                    literal.extend(['\\', next]);
                    1 + next.len_utf8()
                }
                _ => {
                    is_quoted ^= letter == '"' && language == Language::Json;
                    literal.push(letter);
                    letter.len_utf8()
                }
            };
            rest = &rest[taken..];
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let names = schema.fields().iter().map(|field| Arc::clone(&field.name)).collect();
        Ok(Self { parts, names })
    }

    /// Appends the text for record `row` of `batch` to `out`.
    pub fn write(&self, batch: &Batch, row: usize, sensors: &Sensors, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Plain(at) => out.push_str(&text_of(&value_of(batch, *at, row, sensors))),
                Part::Quoted(at) => push_inside(&text_of(&value_of(batch, *at, row, sensors)), out),
                Part::Value(at) => out.push_str(&value_of(batch, *at, row, sensors).to_string()),
                Part::Record { is_quoted } => {
                    let record = self.record(batch, row, sensors);
                    match is_quoted {
                        true => push_inside(&record, out),
                        false => out.push_str(&record),
                    }
                }
            }
        }
    }

    /// The text for record `row` of `batch`.
    pub fn text(&self, batch: &Batch, row: usize, sensors: &Sensors) -> String {
        let mut text = String::new();
        self.write(batch, row, sensors, &mut text);
        text
    }

    fn record(&self, batch: &Batch, row: usize, sensors: &Sensors) -> String {
        let value = |(at, name): (usize, &Arc<str>)| (name.to_string(), value_of(batch, at, row, sensors));
        Value::Object(self.names.iter().enumerate().map(value).collect()).to_string()
    }
}

/// The name in the placeholder that `text` begins with, if it begins with one.
fn placeholder(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?;
    let end = inner.find(['}', '{', '"', '\n'])?;
    let name = &inner[..end];
    (inner[end..].starts_with('}') && !name.trim().is_empty()).then_some(name)
}

fn part(option: &str, name: &str, language: Language, is_quoted: bool, schema: &Schema) -> Result<Part> {
    if name == RECORD {
        return Ok(Part::Record { is_quoted });
    }
    let Some(at) = schema.index_of(name) else {
        let has = schema.fields().iter().map(|field| &*field.name).collect::<Vec<_>>().join("`, `");
        return Err(Error::config(format!("`{option}`: there is no column `{name}`"))
            .with_help(format!("the columns are `{has}`; a brace that begins no column is written \\{{")));
    };
    Ok(match (language, is_quoted) {
        (Language::Plain, _) => Part::Plain(at),
        (Language::Json, true) => Part::Quoted(at),
        (Language::Json, false) => Part::Value(at),
    })
}

/// The value of column `at` in record `row`, as JSON. NaN and infinities are text, as in JSON Lines.
#[must_use]
pub fn value_of(batch: &Batch, at: usize, row: usize, sensors: &Sensors) -> Value {
    let text = |bytes: &[u8]| Value::String(String::from_utf8_lossy(bytes).into_owned());
    match &batch.columns()[at] {
        Column::Time(times) => {
            let written = times.text.get(row).and_then(|&span| batch.text.get(span));
            written.map_or_else(|| Value::String(times.values[row].to_string()), text)
        }
        Column::Sensor(ids) => Value::String(sensors.name(ids[row]).to_owned()),
        Column::F64(values) => values.get(row).map_or(Value::Null, float),
        Column::I64(values) => values.get(row).map_or(Value::Null, Value::from),
        Column::U64(values) => values.get(row).map_or(Value::Null, Value::from),
        Column::Bool(values) => values.get(row).map_or(Value::Null, Value::from),
        Column::Text(spans) => batch.text.get(spans[row]).map_or(Value::Null, text),
    }
}

/// Whole numbers have no decimals.
fn float(value: f64) -> Value {
    // Every integer below this is a float.
    const EXACT: f64 = (1_u64 << 53) as f64;
    match value {
        _ if value.is_nan() => "NaN".into(),
        _ if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.into(),
        _ if value.fract() == 0.0 && value.abs() < EXACT => (value as i64).into(),
        _ => value.into(),
    }
}

/// The text of a value; a null has none.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Appends `text` as it stands within the quotes of a JSON string.
fn push_inside(text: &str, out: &mut String) {
    let quoted = Value::from(text).to_string();
    out.push_str(&quoted[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_engine::batch::{Field, FieldRole, FieldType, Numbers, Span, Text, TimeColumn};
    use tidemill_engine::time::Timestamp;

    use super::*;

    fn schema() -> Schema {
        let tag = Field::new("line", FieldRole::Tag, FieldType::Text);
        let fields = vec![Field::time("time"), Field::sensor("sensor"), Field::measurement("v (°C)"), tag];
        Schema::new(fields).expect("a schema")
    }

    /// One record.
    fn record(sensor: &str, value: Option<f64>, line: Option<&str>) -> (Batch, Sensors) {
        let mut sensors = Sensors::with_limit(9);
        let id = sensors.id(sensor).expect("an id");
        let mut text = Text::default();
        let line = line.map_or(Span::NULL, |line| text.push(line.as_bytes()));
        let times = TimeColumn { values: vec![Timestamp::from_nanos(1)].into(), text: Vec::new() };
        let columns = vec![
            Column::Time(times),
            Column::Sensor(vec![id]),
            Column::F64(std::iter::once(value).collect::<Numbers<f64>>()),
            Column::Text(vec![line]),
        ];
        (Batch::new(Arc::new(schema()), columns, text), sensors)
    }

    fn made(text: &str, language: Language, sensor: &str, value: Option<f64>, line: Option<&str>) -> String {
        let template = Template::new("body", text, language, &schema()).expect("a template");
        let (batch, sensors) = record(sensor, value, line);
        template.text(&batch, 0, &sensors)
    }

    #[test]
    fn fields_stand_in_plain_text_and_a_null_is_empty() {
        let text = "{sensor} is {v (°C)} at {time} in [{line}], \\{sensor}, { }, {}";
        let made = made(text, Language::Plain, "a\"b", Some(19.0), None);
        assert_eq!(made, "a\"b is 19 at 1970-01-01T00:00:00.000000001Z in [], {sensor}, { }, {}");
    }

    #[test]
    fn in_json_a_field_is_text_in_quotes_and_a_value_outside() {
        let text =
            r#"{"a": {"s": "<{sensor}>\"{line}"}, "v": {v (°C)}, "l": {line}, "all": {*}, "t": "{*}"}"#;
        let made = made(text, Language::Json, "a\"\n", Some(1.5), None);
        let value: Value = serde_json::from_str(&made).expect(&made);
        assert_eq!(value["a"]["s"], "<a\"\n>\"");
        assert_eq!((&value["v"], &value["l"]), (&1.5.into(), &Value::Null));
        assert_eq!(value["all"]["sensor"], "a\"\n");
        let inner: Value = serde_json::from_str(value["t"].as_str().expect("text")).expect("JSON");
        assert_eq!(inner, value["all"]);
    }

    #[test]
    fn a_placeholder_that_is_no_column_is_a_mistake_that_names_the_columns() {
        let error = Template::new("body", "{sensr}", Language::Plain, &schema()).expect_err("none");
        let error = error.to_string();
        assert!(
            error.contains("`body`: there is no column `sensr`") && error.contains("`v (°C)`"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn what_strangers_send_makes_no_other_json(sensor in ".{1,20}", value in any::<f64>(), line in proptest::option::of(".*")) {
            let text = r#"{"s": "{sensor}", "v": {v (°C)}, "l": {line}, "w": "{v (°C)} {line}"}"#;
            let made = made(text, Language::Json, &sensor, Some(value), line.as_deref());
            let read: Value = serde_json::from_str(&made).expect("JSON");
            prop_assert_eq!(read.as_object().expect("an object").len(), 4);
            prop_assert_eq!(&read["s"], &Value::from(sensor));
            prop_assert_eq!(read["l"].as_str(), line.as_deref());
            if value.is_finite() {
                prop_assert_eq!(read["v"].as_f64(), Some(value + 0.0));
            }
        }

        #[test]
        fn no_text_is_a_template_that_fails_otherwise(text in r#"[{}"\\a-c*\n]{0,30}"#) {
            for language in [Language::Plain, Language::Json] {
                if let Ok(template) = Template::new("body", &text, language, &schema()) {
                    let (batch, sensors) = record("s", None, None);
                    template.text(&batch, 0, &sensors);
                }
            }
        }
    }
}
