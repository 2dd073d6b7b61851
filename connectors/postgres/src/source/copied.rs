//! Rows in the binary format of `COPY`, as record batches.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};

use crate::kind::Kind;
use crate::value::{EPOCH, float, integer};

/// What is before the rows: a signature, flags, and the length of an extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEAD: usize = SIGNATURE.len() + 8;

/// 2000-01-01 in days since 1970.
const EPOCH_DAY: i32 = 10_957;

/// A column of the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InputColumn {
    pub(super) name: String,
    /// The number of its type; it is read as text if it has none.
    pub(super) kind: Option<u8>,
}

impl InputColumn {
    fn kind(&self) -> Kind {
        self.kind.and_then(Kind::of_code).unwrap_or(Kind::Text)
    }

    /// Its type in words.
    pub(super) fn as_sql(&self) -> &'static str {
        self.kind().as_sql()
    }

    fn field(&self) -> Field {
        let ty = match self.kind() {
            Kind::Bool => DataType::Boolean,
            Kind::Int2 | Kind::Int4 | Kind::Int8 => DataType::Int64,
            Kind::Float4 => DataType::Float32,
            Kind::Float8 | Kind::Numeric => DataType::Float64,
            Kind::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Date => DataType::Date32,
            Kind::Text | Kind::Json | Kind::Jsonb => DataType::Utf8,
        };
        Field::new(&self.name, ty, true)
    }
}

/// The columns as a schema of Arrow.
pub(super) fn schema(columns: &[InputColumn]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(InputColumn::field).collect::<Vec<_>>()))
}

/// Cuts what arrives into rows.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// What has arrived and is no whole row yet.
    rest: BytesMut,
    has_begun: bool,
    has_ended: bool,
}

impl Cutter {
    /// Calls `take` with each row in `bytes` and what was left before: its fields, without their number.
    ///
    /// # Errors
    /// A data error if they are not rows of `fields` fields; the errors of `take`.
    pub(super) fn cut(
        &mut self,
        bytes: Bytes,
        fields: usize,
        mut take: impl FnMut(Bytes) -> Result<()>,
    ) -> Result<()> {
        let mut bytes = if self.rest.is_empty() {
            bytes
        } else {
            self.rest.extend_from_slice(&bytes);
            self.rest.split().freeze()
        };
        if !self.has_begun && bytes.len() >= HEAD {
            self.has_begun = true;
            let head = bytes.split_to(HEAD);
            if !head.starts_with(SIGNATURE) || head[SIGNATURE.len()..].iter().any(|byte| *byte != 0) {
                return Err(broken());
            }
        }
        while self.has_begun && !self.has_ended {
            match length(&bytes, fields)? {
                None => break,
                Some(0) => self.has_ended = true,
                Some(length) => {
                    let row = bytes.split_to(length);
                    take(row.slice(2..))?;
                }
            }
        }
        if !self.has_ended {
            self.rest.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// Whether the rows have ended, as they must in the end.
    ///
    /// # Errors
    /// A data error if they have not.
    pub(super) fn finish(&self) -> Result<()> {
        if self.has_ended { Ok(()) } else { Err(broken()) }
    }
}

/// The length of the first row; 0 at the end of the rows; `None` if it is not whole.
fn length(bytes: &[u8], fields: usize) -> Result<Option<usize>> {
    let Some(count) = bytes.first_chunk::<2>() else { return Ok(None) };
    match i16::from_be_bytes(*count) {
        -1 => return Ok(Some(0)),
        count if usize::try_from(count) != Ok(fields) => return Err(broken()),
        _ => {}
    }
    let mut at = 2;
    for _ in 0..fields {
        let Some(length) = bytes[at..].first_chunk::<4>() else { return Ok(None) };
        at += 4;
        match i32::from_be_bytes(*length) {
            -1 => {}
            length => at += usize::try_from(length).map_err(|_| broken())?,
        }
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

fn broken() -> Error {
    Error::data("the server sends rows that cannot be read")
        .with_help("check that it is PostgreSQL, not a proxy that changes what passes")
}

/// The fields of a row.
fn fields(row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = row;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        let (field, after) = after.split_at_checked(usize::try_from(length).unwrap_or(0))?;
        rest = after;
        Some((length >= 0).then_some(field))
    })
}

/// The last field of a row, as text.
pub(super) fn last(row: &[u8]) -> Option<&str> {
    fields(row).last().flatten().and_then(|field| std::str::from_utf8(field).ok())
}

/// Rows in the making of a record batch.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<(Kind, Builder)>,
    count: usize,
    bytes: usize,
}

enum Builder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Single(Float32Builder),
    Double(Float64Builder),
    Micros(TimestampMicrosecondBuilder),
    Days(Date32Builder),
    Text(StringBuilder),
}

impl Builder {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Int2 | Kind::Int4 | Kind::Int8 => Self::Int(Int64Builder::new()),
            Kind::Float4 => Self::Single(Float32Builder::new()),
            Kind::Float8 | Kind::Numeric => Self::Double(Float64Builder::new()),
            Kind::Timestamptz => Self::Micros(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Kind::Timestamp => Self::Micros(TimestampMicrosecondBuilder::new()),
            Kind::Date => Self::Days(Date32Builder::new()),
            Kind::Text | Kind::Json | Kind::Jsonb => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends a value; `None` if it cannot be read.
    fn push(&mut self, kind: Kind, field: Option<&[u8]>) -> Option<()> {
        match (self, field) {
            (Self::Text(texts), None) => texts.append_null(),
            // A database without an encoding may send any bytes.
            (Self::Text(texts), Some(bytes)) => texts.append_value(String::from_utf8_lossy(bytes)),
            (Self::Bool(values), field) => values.append_option(field.map(|bytes| bytes != [0])),
            (Self::Int(values), field) => {
                values.append_option(read(field, |bytes| integer(kind, bytes)?.try_into().ok())?)
            }
            (Self::Single(values), field) => {
                values.append_option(read(field, |bytes| bytes.try_into().ok().map(f32::from_be_bytes))?);
            }
            (Self::Double(values), field) => values.append_option(read(field, |bytes| float(kind, bytes))?),
            // Infinity stays out of the range of times: such a record is rejected.
            (Self::Micros(values), field) => values.append_option(read(field, |bytes| {
                bytes.try_into().ok().map(|bytes| i64::from_be_bytes(bytes).saturating_add(EPOCH))
            })?),
            (Self::Days(values), field) => values.append_option(read(field, |bytes| {
                bytes.try_into().ok().map(|bytes| i32::from_be_bytes(bytes).saturating_add(EPOCH_DAY))
            })?),
        }
        Some(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(values) => ArrayBuilder::finish(values),
            Self::Int(values) => ArrayBuilder::finish(values),
            Self::Single(values) => ArrayBuilder::finish(values),
            Self::Double(values) => ArrayBuilder::finish(values),
            Self::Micros(values) => ArrayBuilder::finish(values),
            Self::Days(values) => ArrayBuilder::finish(values),
            Self::Text(values) => ArrayBuilder::finish(values),
        }
    }
}

/// The value of a field; `None` if there is one that cannot be read.
fn read<T>(field: Option<&[u8]>, read: impl Fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(bytes) => read(bytes).map(Some),
    }
}

impl Rows {
    /// No rows yet.
    pub(super) fn new(columns: &[InputColumn]) -> Self {
        let builder = |column: &InputColumn| (column.kind(), Builder::of(column.kind()));
        Self { schema: schema(columns), columns: columns.iter().map(builder).collect(), count: 0, bytes: 0 }
    }

    /// The number of rows.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The number of their bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a row; its fields behind those of the columns are ignored.
    ///
    /// # Errors
    /// A data error if it cannot be read.
    pub(super) fn push(&mut self, row: &[u8]) -> Result<()> {
        let mut fields = fields(row);
        for (kind, builder) in &mut self.columns {
            let field = fields.next().ok_or_else(broken)?;
            builder.push(*kind, field).ok_or_else(broken)?;
        }
        self.count += 1;
        self.bytes += row.len();
        Ok(())
    }

    /// The rows so far, which leave.
    ///
    /// # Errors
    /// An internal error.
    pub(super) fn take(&mut self) -> Result<RecordBatch> {
        let columns = self.columns.iter_mut().map(|(_, builder)| builder.finish()).collect();
        (self.count, self.bytes) = (0, 0);
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal(format!("rows are no record batch: {error}")))
    }
}

#[cfg(test)]
#[path = "copied_tests.rs"]
mod tests;
