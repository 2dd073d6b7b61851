//! Records as blocks of rows, which are kept until their epoch is delivered.
//!
//! ```text
//! u8 version · u8 whether rows have ordinals · u16 columns · u32 rows
//! per column: u8 type in the records · u8 type in the table, or 255 · u16 length, name in the records
//! per row, as in the binary format of COPY: i16 fields · per field: i32 length, bytes
//! ```
//! All in the order of networks. A row with an ordinal has its number in the block as its first field. Type 255: the table was not known when the rows were made,
//! so values are as in the records.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tidemill_engine::batch::{Batch, Column};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::sink::{Block, Prepare};

use super::table::Written;
use crate::kind::{Kind, Own};
use crate::value::{self, Losses, Value};

const VERSION: u8 = 1;
const UNKNOWN: u8 = 255;

/// Encodes batches: on any thread, in any order.
pub(super) struct Encoder {
    pub(super) columns: Vec<Written>,
    /// The types in the table, once it is known.
    pub(super) kinds: Arc<OnceLock<Vec<Kind>>>,
    pub(super) has_ordinals: bool,
    pub(super) losses: Arc<Mutex<Losses>>,
}

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let mut out = Vec::new();
        if !batch.is_empty() {
            self.encode(batch, sensors, &mut out)?;
        }
        Ok(Box::new(out))
    }
}

impl Encoder {
    fn encode(&self, batch: &Batch, sensors: &Sensors, out: &mut Vec<u8>) -> Result<()> {
        let kinds = self.kinds.get();
        let kind = |at: usize| kinds.map(|kinds| kinds[at]);
        out.reserve(batch.len() * (8 + 14 * self.columns.len()));
        write_head(&self.columns, kind, self.has_ordinals, batch.len(), out);
        let cells: Vec<_> =
            self.columns.iter().enumerate().map(|(at, written)| (written, kind(at))).collect();
        let fields = (self.columns.len() + usize::from(self.has_ordinals)) as u16;
        let mut losses = Losses::default();
        for row in 0..batch.len() {
            out.extend_from_slice(&fields.to_be_bytes());
            if self.has_ordinals {
                value::write_own(Value::I64(row as i64), out);
            }
            for (written, kind) in &cells {
                let value = of(&batch.columns()[written.at], row, batch, sensors);
                write(value, written, *kind, &mut losses, out)?;
            }
        }
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).add(losses);
        Ok(())
    }
}

/// The value at `row`; `None` if it is null.
fn of<'a>(column: &Column, row: usize, batch: &'a Batch, sensors: &'a Sensors) -> Option<Value<'a>> {
    match column {
        Column::Time(times) => Some(Value::Time(times.values[row].as_nanos())),
        Column::Sensor(ids) => Some(Value::Text(sensors.name(ids[row]).as_bytes())),
        Column::F64(numbers) => numbers.get(row).map(Value::F64),
        Column::I64(numbers) => numbers.get(row).map(Value::I64),
        Column::U64(numbers) => numbers.get(row).map(Value::U64),
        Column::Bool(booleans) => booleans.get(row).map(Value::Bool),
        Column::Text(spans) => batch.text.get(spans[row]).map(Value::Text),
    }
}

fn write(
    value: Option<Value<'_>>,
    written: &Written,
    kind: Option<Kind>,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<()> {
    match (value, kind) {
        (None, _) => value::write_null(out),
        (Some(value), None) => value::write_own(value, out),
        (Some(value), Some(kind)) => value::write(value, kind, losses, out).map_err(|_| {
            Error::data(format!("column `{}`: {value:?} does not fit type {}", written.column, kind.as_sql()))
                .with_help("make the column of the table wider, such as bigint or numeric, or leave out such records before")
        })?,
    }
    Ok(())
}

fn write_head(
    columns: &[Written],
    kind: impl Fn(usize) -> Option<Kind>,
    has_ordinals: bool,
    rows: usize,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(&[VERSION, u8::from(has_ordinals)]);
    out.extend_from_slice(&(columns.len() as u16).to_be_bytes());
    out.extend_from_slice(&(rows as u32).to_be_bytes());
    for (at, written) in columns.iter().enumerate() {
        out.extend_from_slice(&[written.own.code(), kind(at).map_or(UNKNOWN, Kind::code)]);
        out.extend_from_slice(&(written.field.len() as u16).to_be_bytes());
        out.extend_from_slice(written.field.as_bytes());
    }
}

/// A block that was kept.
#[derive(Debug)]
pub(super) struct Rows {
    bytes: Bytes,
    /// Where the rows begin.
    start: usize,
    has_ordinals: bool,
    count: u64,
    columns: Vec<(Own, Option<Kind>)>,
}

impl Rows {
    /// Reads the head of a block of rows with these columns.
    ///
    /// # Errors
    /// A data error if it is of other columns.
    pub(super) fn read(bytes: Vec<u8>, written: &[Written], has_ordinals: bool) -> Result<Self> {
        let mut reader = Reader { bytes: &bytes, at: 0 };
        let head = head(&mut reader).ok_or_else(damaged)?;
        let (own, names): (Vec<_>, Vec<_>) = head.columns.into_iter().unzip();
        let expected = written.iter().map(|written| (written.field.as_str(), written.own));
        let is_same = own.iter().zip(&names).map(|((own, _), name)| (*name, *own)).eq(expected);
        if !is_same || head.has_ordinals != has_ordinals {
            return Err(Error::data(format!(
                "rows that were kept have the columns {}, and those of the records are different now",
                names.join(", ")
            ))
            .with_help(
                "deliver them with the pipeline that made them, or begin a new run with another --state",
            ));
        }
        let start = reader.at;
        Ok(Self { start, has_ordinals, count: head.rows, columns: own, bytes: bytes.into() })
    }

    /// The number of rows.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The rows for columns of the types `kinds`; ordinals count from `before`.
    ///
    /// # Errors
    /// A data error for a value that does not fit; it has the columns' place among `written`.
    pub(super) fn tuples(
        &self,
        kinds: &[Kind],
        before: u64,
        written: &[Written],
        losses: &mut Losses,
    ) -> Result<Bytes> {
        let is_ready = self.columns.iter().map(|(_, kind)| *kind).eq(kinds.iter().copied().map(Some));
        if is_ready && !self.has_ordinals {
            return Ok(self.bytes.slice(self.start..));
        }
        let mut out = Vec::with_capacity(self.bytes.len() - self.start);
        let mut reader = Reader { bytes: &self.bytes, at: self.start };
        for row in 0..self.count {
            let begin = reader.at;
            let fields = reader.word().ok_or_else(damaged)?;
            if usize::from(fields) != self.columns.len() + usize::from(self.has_ordinals) {
                return Err(damaged());
            }
            out.extend_from_slice(&self.bytes[begin..reader.at]);
            if self.has_ordinals {
                reader.field().ok_or_else(damaged)?;
                value::write_own(Value::I64((before + row) as i64), &mut out);
            }
            for (at, written) in written.iter().enumerate() {
                let ((own, made), field) = (self.columns[at], reader.field().ok_or_else(damaged)?);
                let value = field
                    .map(|field| revived(own, made, field).ok_or_else(|| changed(written)))
                    .transpose()?;
                write(value, written, Some(kinds[at]), losses, &mut out)?;
            }
        }
        Ok(out.into())
    }
}

fn revived(own: Own, made: Option<Kind>, field: &[u8]) -> Option<Value<'_>> {
    match made {
        None => value::read_own(own, field),
        Some(kind) => value::read(own, kind, field),
    }
}

fn damaged() -> Error {
    Error::data("rows that were kept cannot be read").with_help("restore an intact copy of the state folder")
}

fn changed(written: &Written) -> Error {
    Error::data(format!(
        "the type of column `{}` was changed, and rows of the former type cannot be converted",
        written.column
    ))
    .with_help("change it back, then run again")
}

struct Head<'a> {
    has_ordinals: bool,
    rows: u64,
    columns: Vec<((Own, Option<Kind>), &'a str)>,
}

fn head<'a>(reader: &mut Reader<'a>) -> Option<Head<'a>> {
    let [version, ordinals] = *reader.take(2)? else { return None };
    let columns = reader.word()?;
    let rows = u64::from(reader.long()?);
    let mut all = Vec::new();
    for _ in 0..columns {
        let [own, kind] = *reader.take(2)? else { return None };
        let length = reader.word()?;
        let name = std::str::from_utf8(reader.take(length.into())?).ok()?;
        let kind = if kind == UNKNOWN { None } else { Some(Kind::of_code(kind)?) };
        all.push(((Own::of_code(own)?, kind), name));
    }
    (version == VERSION).then_some(Head { has_ordinals: ordinals == 1, rows, columns: all })
}

/// Reads bytes from their beginning.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn long(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A field; `Some(None)` is null.
    fn field(&mut self) -> Option<Option<&'a [u8]>> {
        match self.long()?.cast_signed() {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
