//! Records as rows, which are stored until an epoch is delivered.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value};
use serde::{Deserialize, Serialize};
use tidemill::batch::{Batch, Column};
use tidemill::sensor::Sensors;

/// One record.
pub(crate) type Row = Vec<Cell>;

/// One value of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(value) => (*value).into(),
            Self::Real(value) => (*value).into(),
            Self::Text(text) => text.as_str().into(),
        })
    }
}

/// The records of `batch`, in order. Times are RFC 3339, and integers beyond SQLite's range are text.
pub(crate) fn rows_of(batch: &Batch, sensors: &Sensors) -> Vec<Row> {
    let row = |row: usize| batch.columns().iter().map(|column| cell(batch, column, row, sensors)).collect();
    (0..batch.len()).map(row).collect()
}

fn cell(batch: &Batch, column: &Column, row: usize, sensors: &Sensors) -> Cell {
    match column {
        Column::Time(times) => Cell::Text(times.values[row].to_string()),
        Column::Sensor(ids) => Cell::Text(sensors.name(ids[row]).to_owned()),
        Column::F64(values) => values.get(row).map_or(Cell::Null, Cell::Real),
        Column::I64(values) => values.get(row).map_or(Cell::Null, Cell::Integer),
        Column::U64(values) => values.get(row).map_or(Cell::Null, |value| {
            i64::try_from(value).map_or_else(|_| Cell::Text(value.to_string()), Cell::Integer)
        }),
        Column::Bool(values) => values.get(row).map_or(Cell::Null, |value| Cell::Integer(i64::from(value))),
        Column::Text(spans) => {
            let text = batch.text.get(spans[row]);
            text.map_or(Cell::Null, |text| Cell::Text(String::from_utf8_lossy(text).into_owned()))
        }
    }
}
