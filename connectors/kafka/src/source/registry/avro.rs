//! Avro as JSON.

use std::io::Write as _;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use tidemill_engine::time::Timestamp;

type Outcome<T> = Result<T, String>;

/// Parses a schema. A recursive one is refused: data of it could be nested as deeply as its sender likes.
pub(super) fn parse(text: &str) -> Outcome<Schema> {
    let schema = Schema::parse_str(text).map_err(|error| error.to_string())?;
    match is_recursive(&schema, &mut Vec::new()) {
        true => Err("it is recursive, which is not read".to_owned()),
        false => Ok(schema),
    }
}

fn is_recursive(schema: &Schema, outer: &mut Vec<String>) -> bool {
    match schema {
        Schema::Ref { name } => outer.contains(&name.fullname(None).to_string()),
        Schema::Array(array) => is_recursive(&array.items, outer),
        Schema::Map(map) => is_recursive(&map.types, outer),
        Schema::Union(union) => union.variants().iter().any(|variant| is_recursive(variant, outer)),
        Schema::Record(record) => {
            outer.push(record.name.fullname(None).to_string());
            let found = record.fields.iter().any(|field| is_recursive(&field.schema, outer));
            outer.pop();
            found
        }
        _ => false,
    }
}

/// The JSON of a datum.
pub(super) fn to_json(schema: &Schema, mut data: &[u8]) -> Outcome<Vec<u8>> {
    let reader = GenericDatumReader::builder(schema).build().map_err(|error| error.to_string())?;
    let value = reader.read_value(&mut data).map_err(|error| error.to_string())?;
    if !data.is_empty() {
        return Err(format!("{} bytes follow it", data.len()));
    }
    let mut out = Vec::new();
    write(&value, Some(schema), &mut out)?;
    Ok(out)
}

/// Appends the JSON of `value`. `schema` is `None` where a name stands for it.
fn write(value: &Value, schema: Option<&Schema>, out: &mut Vec<u8>) -> Outcome<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(value) => show(value, out),
        Value::Int(value) | Value::TimeMillis(value) => show(value, out),
        Value::Long(value) | Value::TimeMicros(value) => show(value, out),
        Value::Float(value) => number(value.is_finite(), f64::from(*value), value, out),
        Value::Double(value) => number(value.is_finite(), *value, value, out),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => {
            text(&bytes.iter().map(|byte| char::from(*byte)).collect::<String>(), out);
        }
        Value::String(value) | Value::Enum(_, value) => text(value, out),
        Value::Uuid(value) => text(&value.to_string(), out),
        Value::BigDecimal(value) => text(&value.to_string(), out),
        Value::Decimal(value) => {
            let bytes = Vec::<u8>::try_from(value).map_err(|error| error.to_string())?;
            text(&decimal(&bytes, schema)?, out);
        }
        Value::Date(days) => time(i64::from(*days), 86_400_000_000_000, true, out),
        Value::TimestampMillis(at) => time(*at, 1_000_000, true, out),
        Value::TimestampMicros(at) => time(*at, 1000, true, out),
        Value::TimestampNanos(at) => time(*at, 1, true, out),
        Value::LocalTimestampMillis(at) => time(*at, 1_000_000, false, out),
        Value::LocalTimestampMicros(at) => time(*at, 1000, false, out),
        Value::LocalTimestampNanos(at) => time(*at, 1, false, out),
        Value::Duration(_) => return Err("it contains a duration, which is not read".to_owned()),
        Value::Union(at, value) => {
            let variant = match schema {
                Some(Schema::Union(union)) => union.variants().get(*at as usize),
                _ => None,
            };
            return write(value, variant, out);
        }
        Value::Array(values) => return array(values, schema, out),
        Value::Map(values) => {
            let types = match schema {
                Some(Schema::Map(map)) => Some(&*map.types),
                _ => None,
            };
            return object(values.iter().map(|(name, value)| (name, value, types)), out);
        }
        Value::Record(values) => {
            let fields = match schema {
                Some(Schema::Record(record)) => &record.fields[..],
                _ => &[],
            };
            let types = (0..).map(|at| fields.get(at).map(|field| &field.schema));
            return object(values.iter().zip(types).map(|((name, value), of)| (name, value, of)), out);
        }
    }
    Ok(())
}

fn array(values: &[Value], schema: Option<&Schema>, out: &mut Vec<u8>) -> Outcome<()> {
    let items = match schema {
        Some(Schema::Array(array)) => Some(&*array.items),
        _ => None,
    };
    out.push(b'[');
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(value, items, out)?;
    }
    out.push(b']');
    Ok(())
}

fn object<'v>(
    fields: impl Iterator<Item = (&'v String, &'v Value, Option<&'v Schema>)>,
    out: &mut Vec<u8>,
) -> Outcome<()> {
    out.push(b'{');
    for (at, (name, value, schema)) in fields.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(name, out);
        out.push(b':');
        write(value, schema, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn show(value: &impl std::fmt::Display, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    drop(write!(out, "{value}"));
}

/// A float: with its shortest text, or as the text that JSON Lines have for it.
fn number(is_finite: bool, value: f64, shown: &impl std::fmt::Display, out: &mut Vec<u8>) {
    match is_finite {
        true => show(shown, out),
        false if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        false => out.extend_from_slice(if value > 0.0 { b"\"inf\"" } else { b"\"-inf\"" }),
    }
}

fn text(value: &str, out: &mut Vec<u8>) {
    // Nor can this.
    drop(serde_json::to_writer(out, value));
}

fn time(at: i64, nanos: i64, is_utc: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    Timestamp::from_nanos(at.saturating_mul(nanos)).write_rfc3339(out);
    if !is_utc && out.last() == Some(&b'Z') {
        out.pop();
    }
    out.push(b'"');
}

/// The text of a decimal: an integer, big-endian, and the number of its digits behind the point.
fn decimal(bytes: &[u8], schema: Option<&Schema>) -> Outcome<String> {
    let Some(Schema::Decimal(decimal)) = schema else {
        return Err("it contains a decimal of a named type, which is not read".to_owned());
    };
    if bytes.len() > 16 {
        return Err("it contains a decimal of more than 16 bytes".to_owned());
    }
    let is_negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let start = if is_negative { -1_i128 } else { 0 };
    let unscaled = bytes.iter().fold(start, |sum, byte| (sum << 8) | i128::from(*byte));
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = decimal.scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - decimal.scale);
    let sign = if is_negative { "-" } else { "" };
    Ok(if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") })
}

#[cfg(test)]
mod tests {
    use apache_avro::writer::datum::GenericDatumWriter;
    use proptest::prelude::*;

    use super::*;

    const SCHEMA: &str = r#"{"type":"record","name":"r","fields":[
        {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"v","type":["null","double"]},
        {"name":"note","type":"string"},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
        {"name":"more","type":{"type":"map","values":{"type":"array","items":"int"}}}]}"#;

    fn datum(v: Value) -> Vec<u8> {
        let schema = parse(SCHEMA).expect("a schema");
        let fields = [
            ("t", Value::TimestampMillis(1_000)),
            ("v", v),
            ("note", Value::String("a\"b".to_owned())),
            ("price", Value::Decimal(vec![0xff, 0x85].into())),
            ("more", Value::Map([("k".to_owned(), Value::Array(vec![Value::Int(1), Value::Int(2)]))].into())),
        ];
        let record =
            Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
        writer.write_value_to_vec(record).expect("it fits")
    }

    #[test]
    fn a_record_becomes_an_object() {
        let schema = parse(SCHEMA).expect("a schema");
        let json = |v: Value| String::from_utf8(to_json(&schema, &datum(v)).expect("JSON")).expect("UTF-8");
        let with = |v: &str| {
            format!(
                r#"{{"t":"1970-01-01T00:00:01Z","v":{v},"note":"a\"b","price":"-1.23","more":{{"k":[1,2]}}}}"#
            )
        };
        assert_eq!(json(Value::Union(1, Value::Double(0.1).into())), with("0.1"));
        assert_eq!(json(Value::Union(0, Value::Null.into())), with("null"));
        assert_eq!(json(Value::Union(1, Value::Double(f64::NAN).into())), with("\"NaN\""));
    }

    #[test]
    fn recursive_schemas_are_refused() {
        let list = r#"{"type":"record","name":"a.list","fields":[{"name":"next","type":["null","a.list"]}]}"#;
        assert!(parse(list).expect_err("recursive").contains("recursive"));
        let twice = r#"{"type":"record","name":"a","fields":[
            {"name":"x","type":{"type":"record","name":"b","fields":[{"name":"v","type":"int"}]}},{"name":"y","type":"b"}]}"#;
        assert!(parse(twice).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_object_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let schema = parse(SCHEMA).expect("a schema");
            if let Ok(json) = to_json(&schema, &bytes) {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
            }
        }

        #[test]
        fn a_datum_with_other_bytes_is_an_object_or_an_error(at in 0..40_usize, byte in any::<u8>()) {
            let schema = parse(SCHEMA).expect("a schema");
            let mut bytes = datum(Value::Union(1, Value::Double(0.1).into()));
            let at = at % bytes.len();
            bytes[at] = byte;
            drop(to_json(&schema, &bytes));
        }
    }
}
