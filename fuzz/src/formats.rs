//! Formats of text with any of their options, by the choices of an input.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidemill::Result;
use tidemill_core::format::csv::Csv;
use tidemill_core::format::encoding::Encoded;
use tidemill_core::format::influx::Influx;
use tidemill_core::format::jsonl::JsonLines;
use tidemill_core::format::{Format, unpivoted};

use super::choices::Choices;

/// How many bytes choose a format, and what else there is to choose.
pub(crate) const CHOICES: usize = 12;

/// A format, and how a file of it may begin.
pub(crate) struct Chosen {
    pub(crate) format: Arc<dyn Format>,
    /// Its first bytes, from which its columns are known.
    pub(crate) beginning: Vec<u8>,
}

/// The format that is chosen; an error where its options exclude one another.
pub(crate) fn chosen(choices: &Choices<CHOICES>) -> Result<Chosen> {
    let labels = ["utf-8", "utf-8", "windows-1252", "utf-16le", "utf-16be", "shift_jis", "gb18030", "koi8-r"];
    let label = choices.of(8, &labels);
    let encoding = options(json!({ "encoding": label }));
    let (format, beginning): (Arc<dyn Format>, String) = match choices.number(0) % 4 {
        2 => {
            let columns = options(columns(choices, "m.x"));
            let format = JsonLines::new(&options(json(choices)), &columns)?.with_origins(true);
            let line = "{\"t\":\"\",\"s\":\"\",\"v\":1,\"m\":{\"x\":1},\"w\":[{\"v\":1}]}\n";
            (Arc::new(Encoded::new(format, &encoding)?), line.to_owned())
        }
        3 => {
            let format = Influx::new(&options(influx(choices)))?.with_origins(true);
            format.check_unpivot()?;
            let format = Encoded::new(format, &options(json!({})))?;
            return Ok(Chosen { format: unpivoted(Arc::new(format)), beginning: Vec::new() });
        }
        _ => {
            let (dialect, beginning) = csv(choices);
            let columns = options(columns(choices, "x"));
            let format = Csv::new(&options(dialect), &columns)?.with_origins(true);
            (Arc::new(Encoded::new(format, &encoding)?), beginning)
        }
    };
    let beginning = match label {
        "utf-16le" => beginning.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => beginning.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        _ => beginning.into_bytes(),
    };
    Ok(Chosen { format: unpivoted(format), beginning })
}

fn options<T: serde::de::DeserializeOwned>(values: Value) -> T {
    serde_json::from_value(values).expect("options as they are called")
}

/// An object of those `values` that are chosen.
fn object<const N: usize>(values: [(bool, &str, Value); N]) -> Value {
    let chosen = values.into_iter().filter(|(is_chosen, ..)| *is_chosen);
    Value::Object(chosen.map(|(_, name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn columns(choices: &Choices<CHOICES>, other: &str) -> Value {
    let formats = [
        "rfc3339",
        "s",
        "ms",
        "ns",
        "us",
        "excel",
        "julian",
        "mjd",
        "%Y-%m-%d %H:%M:%S",
        "%H:%M:%S",
        "%Y%m%d %H%M",
        "%d.%m.%Y %I:%M %p %Z",
        "%Y %j %H%M",
    ];
    let has_time = choices.bit(1, 0);
    let has_sensor = choices.bit(1, 2);
    let is_template = choices.bit(5, 5);
    object([
        (has_time, "time", if choices.bit(5, 4) { json!(["t", "w"]) } else { json!("t") }),
        (has_time, "time_format", json!(choices.of(2, &formats))),
        (has_time && choices.bit(1, 1), "timezone", json!("Europe/Berlin")),
        (has_time && choices.bit(5, 6), "zones", json!({ "CET": "+01:00", "CEST": "+02:00" })),
        (has_time && choices.bit(5, 7), "start", json!("2026-10-25T00:30:00Z")),
        (has_sensor, "sensor", if is_template { json!("{s}/{w}") } else { json!("s") }),
        (!has_sensor && choices.bit(1, 5), "sensor_name", json!("one")),
        (true, "measurements", json!(["v", other])),
        (
            choices.bit(11, 3),
            "types",
            json!({ "w": "i64", other: if choices.bit(11, 2) { "u64" } else { "bool" } }),
        ),
        (choices.bit(5, 2), "columns", json!(["s*"])),
        (choices.bit(5, 3), "rename", json!({ "w": "note" })),
        (
            choices.bit(1, 7),
            "unpivot",
            json!({ "sensor": "{sensor}.{column}", "nulls": if choices.bit(11, 1) { "keep" } else { "drop" } }),
        ),
        (choices.bit(1, 3), "null_values", json!(["-999", "b", "N/A"])),
        (choices.bit(1, 4), "decimal", json!(",")),
        (choices.bit(1, 6), "thousands", json!(if choices.bit(1, 4) { "." } else { " " })),
        (choices.bit(5, 0), "unit_suffixes", json!({ "v": "°C", other: "%" })),
        (choices.bit(5, 1), "true_words", json!(["on", "yes"])),
        (choices.bit(5, 1), "false_words", json!(["off"])),
    ])
}

/// The options, and how a file begins: with as many lines as they say.
fn csv(choices: &Choices<CHOICES>) -> (Value, String) {
    let (delimiter, between) =
        choices.of(6, &[(",", ","), (";", ";"), ("\t", "\t"), ("blanks", " "), (",", "")]);
    let (is_fixed, has_header, has_units) = (between.is_empty(), choices.bit(6, 5), choices.bit(6, 6));
    let preamble = choices.number(7) >> 4 & 3;
    let ragged = choices.of(7, &["reject", "trim", "fill", "cut", "fit"]);
    let row = preamble + 1;
    let dialect = object([
        (!is_fixed, "delimiter", json!(delimiter)),
        (is_fixed, "widths", json!([20, 3, 6, 4, 4])),
        (is_fixed || !choices.bit(6, 3), "quote", json!("")),
        (choices.bit(6, 4), "comment", json!("#")),
        (!has_header, "header", json!(false)),
        (!has_header || choices.bit(7, 7), "names", json!(["t", "s", "v", "x", "w"])),
        (!has_header && preamble > 0, "skip_lines", json!(preamble)),
        (has_header && preamble > 0, "header_row", json!(row)),
        (has_header && has_units, "units_row", json!(row + 1)),
        (has_header && choices.bit(6, 7), "data_row", json!(row + 3)),
        (true, "ragged", json!(ragged)),
    ]);
    let record = |fields: [&str; 5]| match is_fixed {
        true => format!("{:20}{:3}{:6}{:4}{:4}\n", fields[0], fields[1], fields[2], fields[3], fields[4]),
        false => fields.join(between) + "\n",
    };
    let mut beginning = "made by x\n".repeat(preamble);
    if has_header {
        beginning += &record(["t", "s", "v", "x", "w"]);
        beginning += &if has_units { record(["-", "-", "C", "C", "-"]) } else { String::new() };
    }
    (dialect, beginning)
}

fn json(choices: &Choices<CHOICES>) -> Value {
    object([
        (true, "layout", json!(choices.of(9, &["auto", "lines", "values"]))),
        (choices.bit(9, 2), "unfold", json!("w")),
        (choices.bit(9, 3), "unknown_fields", json!("ignore")),
    ])
}

fn influx(choices: &Choices<CHOICES>) -> Value {
    object([
        (choices.bit(9, 6), "null_values", json!(["-999", "b", "x"])),
        (choices.bit(9, 1), "unpivot", json!({ "sensor": "{sensor}.{column}" })),
        (choices.bit(9, 7), "true_words", json!(["on", "y"])),
        (!choices.bit(1, 2) && choices.bit(9, 2), "sensor", json!("{s}.{table}")),
        (true, "precision", json!(choices.of(2, &["ns", "us", "ms", "s"]))),
        (choices.bit(9, 4), "missing_time", json!("arrival")),
        (choices.bit(9, 5), "time", json!("when")),
        (choices.bit(1, 2), "sensor", json!("s")),
        (true, "measurements", json!(["v"])),
        (choices.bit(11, 3), "types", json!({ "v": if choices.bit(11, 2) { "u64" } else { "i64" } })),
        (true, "texts", json!(["w"])),
        (choices.bit(1, 3), "table", json!("")),
        (choices.bit(9, 3), "unknown_fields", json!("ignore")),
    ])
}
