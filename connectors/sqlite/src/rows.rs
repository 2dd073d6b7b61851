//! Records as bytes, which are kept until their epoch is delivered.
//!
//! ```text
//! u8 version · u16 columns · per column: u16 length, name in the records · per row and column: u8 type, value
//! ```
//! Little-endian. Types: 0 null; 1 integer (8 bytes); 2 real (8 bytes); 3 text (u32 length, bytes); 4 time (nanoseconds since 1970, 8 bytes).

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Statement, ToSql};
use tidemill_engine::batch::{Batch, Column};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;
use tidemill_engine::sink::{Block, Prepare};
use tidemill_engine::time::Timestamp;

use crate::table::{Known, Written};

/// Rows of a statement: with so many, SQLite spends half as long on each as with one.
const ROWS: usize = 32;

/// Parameters of a statement at most (`SQLITE_MAX_VARIABLE_NUMBER`).
const PARAMETERS: usize = 32_766;

/// How many rows of so many columns a statement inserts.
pub(crate) fn at_once(columns: usize) -> usize {
    (PARAMETERS / columns.max(1)).clamp(1, ROWS)
}

const VERSION: u8 = 1;
const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const TIME: u8 = 4;

/// What was changed so that values fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    nan: u64,
    large: u64,
    texts: u64,
}

impl Losses {
    /// Remarks for the end of a run.
    pub(crate) fn remarks(self) -> Vec<String> {
        let nan = (self.nan > 0)
            .then(|| format!("{} values were NaN, which SQLite does not have: they are null", self.nan));
        let large = (self.large > 0).then(|| {
            format!(
                "{} integers were beyond the range of SQLite: they are the nearest real number",
                self.large
            )
        });
        let texts = (self.texts > 0).then(|| {
            format!("{} texts had bytes that are not UTF-8: these were replaced by U+FFFD", self.texts)
        });
        nan.into_iter().chain(large).chain(texts).collect()
    }
}

/// Encodes batches: on any thread, in any order.
pub(crate) struct Encoder {
    pub(crate) columns: Vec<Written>,
    pub(crate) losses: Arc<Mutex<Losses>>,
}

impl Prepare for Encoder {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        let mut out = Vec::new();
        if !batch.is_empty() {
            out.reserve(batch.len() * self.columns.len() * 12);
            write_head(&self.columns, &mut out);
            let mut losses = Losses::default();
            for row in 0..batch.len() {
                for written in &self.columns {
                    write(&batch.columns()[written.at], row, batch, sensors, &mut losses, &mut out);
                }
            }
            let mut all = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
            all.nan += losses.nan;
            all.large += losses.large;
            all.texts += losses.texts;
        }
        Ok(Box::new(out))
    }
}

fn write_head(columns: &[Written], out: &mut Vec<u8>) {
    out.push(VERSION);
    out.extend_from_slice(&(columns.len() as u16).to_le_bytes());
    for written in columns {
        out.extend_from_slice(&(written.field.len() as u16).to_le_bytes());
        out.extend_from_slice(written.field.as_bytes());
    }
}

fn write(
    column: &Column,
    row: usize,
    batch: &Batch,
    sensors: &Sensors,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) {
    let text = |bytes: &[u8], out: &mut Vec<u8>| {
        out.push(TEXT);
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    let mut word = |ty: u8, bytes: [u8; 8]| {
        out.push(ty);
        out.extend_from_slice(&bytes);
    };
    match column {
        Column::Time(times) => word(TIME, times.values[row].as_nanos().to_le_bytes()),
        Column::Sensor(ids) => text(sensors.name(ids[row]).as_bytes(), out),
        Column::F64(numbers) => match numbers.get(row) {
            None => out.push(NULL),
            Some(number) => {
                losses.nan += u64::from(number.is_nan());
                word(REAL, number.to_le_bytes());
            }
        },
        Column::I64(numbers) => match numbers.get(row) {
            None => out.push(NULL),
            Some(number) => word(INTEGER, number.to_le_bytes()),
        },
        Column::U64(numbers) => match numbers.get(row).map(|number| (number, i64::try_from(number))) {
            None => out.push(NULL),
            Some((_, Ok(number))) => word(INTEGER, number.to_le_bytes()),
            Some((number, Err(_))) => {
                losses.large += 1;
                word(REAL, (number as f64).to_le_bytes());
            }
        },
        Column::Bool(booleans) => match booleans.get(row) {
            None => out.push(NULL),
            Some(is_true) => word(INTEGER, i64::from(is_true).to_le_bytes()),
        },
        Column::Text(spans) => match batch.text.get(spans[row]) {
            None => out.push(NULL),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(_) => text(bytes, out),
                Err(_) => {
                    losses.texts += 1;
                    text(String::from_utf8_lossy(bytes).as_bytes(), out);
                }
            },
        },
    }
}

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Time(i64),
}

impl<'a> Cell<'a> {
    /// The value for a column, which may take times as integers; `text` gets a time as text.
    fn bound<'b>(&'b self, counts: bool, text: &'b mut Vec<u8>) -> Bound<'b> {
        Bound(match *self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Real(number) => ValueRef::Real(number),
            Self::Text(bytes) => ValueRef::Text(bytes),
            Self::Time(nanos) if counts => ValueRef::Integer(nanos),
            Self::Time(nanos) => {
                fixed(nanos, text);
                ValueRef::Text(text)
            }
        })
    }
}

/// A value that is bound once.
struct Bound<'a>(ValueRef<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

/// RFC 3339 with nine digits after the point: of one length, so that texts are in the order of the times.
fn fixed(nanos: i64, text: &mut Vec<u8>) {
    const SECONDS: usize = "1970-01-01T00:00:00".len();
    text.clear();
    Timestamp::from_nanos(nanos).write_rfc3339(text);
    text.pop();
    if text.len() == SECONDS {
        text.push(b'.');
    }
    text.resize(SECONDS + 10, b'0');
    text.push(b'Z');
}

/// The statements that insert rows: many at a time, and one.
pub(crate) struct Inserts<'c> {
    /// How many.
    pub(crate) rows: usize,
    pub(crate) many: CachedStatement<'c>,
    pub(crate) one: CachedStatement<'c>,
    pub(crate) failed: &'c dyn Fn(rusqlite::Error) -> Error,
}

impl Inserts<'_> {
    /// Inserts the rows of a block that was kept.
    ///
    /// # Errors
    /// A data error if it is of other columns; the errors of SQLite.
    pub(crate) fn insert(&mut self, bytes: &[u8], written: &[Written], known: &Known) -> Result<()> {
        let mut reader = Reader { rest: bytes };
        let names = reader.head().ok_or_else(damaged)?;
        if !names.iter().copied().eq(written.iter().map(|written| written.field.as_str())) {
            return Err(Error::data(format!(
                "rows that were kept have the columns {}, and those of the records are different now",
                names.join(", ")
            ))
            .with_help(
                "deliver them with the pipeline that made them, or begin a new run with another --state",
            ));
        }
        let mut text = Vec::new();
        let mut bind = |statement: &mut Statement<'_>, row: usize, reader: &mut Reader<'_>| {
            for (at, counts) in known.counts.iter().enumerate() {
                let cell = reader.cell().ok_or_else(damaged)?;
                let parameter = row * known.counts.len() + at + 1;
                statement
                    .raw_bind_parameter(parameter, cell.bound(*counts, &mut text))
                    .map_err(self.failed)?;
            }
            Ok::<_, Error>(())
        };
        while !reader.rest.is_empty() {
            let begin = reader.rest;
            let mut rows = 0;
            while rows < self.rows && !reader.rest.is_empty() {
                bind(&mut self.many, rows, &mut reader)?;
                rows += 1;
            }
            if rows == self.rows {
                self.many.raw_execute().map_err(self.failed)?;
                continue;
            }
            reader.rest = begin;
            while !reader.rest.is_empty() {
                bind(&mut self.one, 0, &mut reader)?;
                self.one.raw_execute().map_err(self.failed)?;
            }
        }
        Ok(())
    }
}

fn damaged() -> Error {
    Error::data("rows that were kept cannot be read").with_help("restore an intact copy of the state folder")
}

/// Reads bytes from their beginning.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn head(&mut self) -> Option<Vec<&'a str>> {
        let [version] = self.take()?;
        let columns = u16::from_le_bytes(self.take()?);
        let mut names = Vec::new();
        for _ in 0..columns {
            let length = u16::from_le_bytes(self.take()?);
            names.push(std::str::from_utf8(self.bytes(length.into())?).ok()?);
        }
        (version == VERSION && !names.is_empty()).then_some(names)
    }

    fn cell(&mut self) -> Option<Cell<'a>> {
        let [ty] = self.take()?;
        Some(match ty {
            NULL => Cell::Null,
            INTEGER => Cell::Integer(i64::from_le_bytes(self.take()?)),
            REAL => Cell::Real(f64::from_le_bytes(self.take()?)),
            TEXT => {
                let length = u32::from_le_bytes(self.take()?);
                Cell::Text(self.bytes(usize::try_from(length).ok()?)?)
            }
            TIME => Cell::Time(i64::from_le_bytes(self.take()?)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(nanos: i64) -> String {
        // What was there before does not matter.
        let mut text = b"before".to_vec();
        fixed(nanos, &mut text);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn times_are_of_one_length_and_in_order() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(text(1_500_000_000), "1970-01-01T00:00:01.500000000Z");
        assert_eq!(text(i64::MIN), "1677-09-21T00:12:43.145224192Z");
    }

    #[test]
    fn wide_rows_are_inserted_with_fewer_at_once() {
        assert_eq!([1, 3, 1023, 1024, 2000, 40_000].map(at_once), [32, 32, 32, 31, 16, 1]);
    }

    proptest! {
        #[test]
        fn texts_of_times_are_in_the_order_of_the_times(one: i64, other: i64) {
            prop_assert_eq!(one.cmp(&other), text(one).cmp(&text(other)));
        }

        #[test]
        fn any_bytes_are_rows_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut reader = Reader { rest: &bytes };
            let _either = reader.head();
            while reader.cell().is_some() {}
        }
    }
}
