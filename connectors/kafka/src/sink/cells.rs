//! The text of one cell of a record, for keys and topics.

use std::io::Write;

use tidemill_engine::batch::{Batch, Column};
use tidemill_engine::sensor::Sensors;

/// Appends the text of a cell to `out`; returns whether there is a value.
pub(super) fn write_cell(
    batch: &Batch,
    column: usize,
    row: usize,
    sensors: &Sensors,
    out: &mut Vec<u8>,
) -> bool {
    match &batch.columns()[column] {
        Column::Sensor(ids) => out.extend_from_slice(sensors.name(ids[row]).as_bytes()),
        Column::Time(times) => times.values[row].write_rfc3339(out),
        Column::Text(spans) => match batch.text.get(spans[row]) {
            Some(text) => out.extend_from_slice(text),
            None => return false,
        },
        Column::Bool(values) => match values.get(row) {
            Some(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            None => return false,
        },
        numbers => match numbers.number(row) {
            // Writing to a vector cannot fail.
            Some(number) => drop(write!(out, "{number}")),
            None => return false,
        },
    }
    true
}
