//! Decoded records in columns: the input and output of stages and sinks.

mod booleans;
mod buffer;
mod column;
mod extent;
mod field;
mod mask;
mod number;
mod numbers;
mod origins;
mod pattern;
mod rows;
mod saved;
mod schema;
mod spread;
mod text;

use std::borrow::Cow;
use std::sync::Arc;

use crate::offset::Sequence;
use crate::sensor::SensorId;
use crate::time::Timestamp;

pub use booleans::Booleans;
pub use buffer::Buffer;
pub use column::{Column, TimeColumn};
pub use extent::{Extent, Range};
pub use field::{Field, FieldRole, FieldType};
pub use mask::Mask;
pub use number::Number;
pub use numbers::Numbers;
pub use origins::{Origin, Origins};
pub use pattern::Pattern;
pub(crate) use saved::SavedBatch;
pub use schema::Schema;
#[cfg(test)]
pub(crate) use text::copies;
pub use text::{Bytes, Span, Text};

/// Records in columns. Every column has [`Batch::len`] values; their order is that of the schema, which is also the column order of the
/// output.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The ordinal of the chunk that the records were decoded from.
    pub sequence: Sequence,
    schema: Arc<Schema>,
    columns: Vec<Column>,
    rows: usize,
    /// The bytes of carried text, original timestamps and raw records.
    pub text: Text,
    /// The origin of each record; `None` unless a stage may reject records.
    pub origins: Option<Origins>,
    /// When its piece of live input came in, by the clock of the machine that received it. One without records is a tick of that clock.
    pub received: Option<Timestamp>,
}

impl Batch {
    /// A batch without records.
    pub fn empty(schema: Arc<Schema>) -> Self {
        let columns = schema.fields().iter().map(Column::empty).collect();
        Self { sequence: 0, schema, columns, rows: 0, text: Text::default(), origins: None, received: None }
    }

    /// A batch of complete columns, in the order of the schema's fields.
    ///
    /// # Panics
    /// If a column's type or length does not match: a bug in the caller.
    pub fn new(schema: Arc<Schema>, columns: Vec<Column>, text: Text) -> Self {
        let rows = columns.first().map_or(0, Column::len);
        assert_eq!(schema.fields().len(), columns.len(), "as many columns as fields");
        for (field, column) in schema.fields().iter().zip(&columns) {
            assert!(column.fits(field), "type of column `{}`", field.name);
            assert_eq!(rows, column.len(), "length of column `{}`", field.name);
        }
        Self { sequence: 0, schema, columns, rows, text, origins: None, received: None }
    }

    /// The schema of the columns.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// All columns, in the schema's order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The event times, unless the input has no time column.
    pub fn times(&self) -> Option<&[Timestamp]> {
        match &self.columns[self.schema.time()?] {
            Column::Time(time) => Some(&time.values[..]),
            _ => None,
        }
    }

    /// The sensor of each record.
    pub fn sensors(&self) -> &[SensorId] {
        match &self.columns[self.schema.sensor()] {
            Column::Sensor(ids) => ids,
            _ => unreachable!("the schema says that this is the sensor column"),
        }
    }

    /// The numbers in column `index` as floats: integers as the nearest float, booleans as 1 and 0.
    ///
    /// # Panics
    /// If the column has no numbers.
    pub fn measurement(&self, index: usize) -> Cow<'_, Numbers<f64>> {
        let column = &self.columns[index];
        column.to_f64().unwrap_or_else(|| panic!("column {index} is {}", column.value_type().as_str()))
    }

    /// Column `index`, mutable: the type and the number of values must not change.
    pub fn column_mut(&mut self, index: usize) -> &mut Column {
        &mut self.columns[index]
    }

    /// The same records with a wider schema: `schema` begins with this batch's fields or replaces some of them; `columns` are set by index,
    /// in the order of `schema`.
    ///
    /// # Panics
    /// If a column is missing, or has the wrong type or length.
    pub fn with_columns(mut self, schema: Arc<Schema>, columns: Vec<(usize, Column)>) -> Self {
        for (index, column) in columns {
            assert_eq!(self.rows, column.len(), "length of column {index}");
            match self.columns.get_mut(index) {
                Some(old) => *old = column,
                None => {
                    assert_eq!(index, self.columns.len(), "columns are added in order");
                    self.columns.push(column);
                }
            }
        }
        assert_eq!(self.columns.len(), schema.fields().len(), "as many columns as fields");
        self.schema = schema;
        self
    }

    /// From now on clones of this batch, and Arrow arrays made of it, refer to the same memory; values are copied before they are changed.
    pub fn share(&mut self) {
        self.columns.iter_mut().for_each(Column::share);
    }

    /// Keeps the records whose bit in `keep` is set, in order.
    pub fn retain(&mut self, keep: &Mask) {
        assert_eq!(keep.len(), self.rows, "one bit a record");
        let kept = keep.count();
        if kept == self.rows {
            return;
        }
        self.columns.iter_mut().for_each(|column| column.retain(keep));
        if let Some(origins) = &mut self.origins {
            origins.retain(|row| keep.get(row));
        }
        self.rows = kept;
    }

    /// The records at `rows`, in this order. Text is shared, not copied.
    pub fn take(&self, rows: &[u32]) -> Self {
        Self {
            sequence: self.sequence,
            schema: Arc::clone(&self.schema),
            columns: self.columns.iter().map(|column| column.take(rows)).collect(),
            rows: rows.len(),
            text: self.text.clone(),
            origins: self.origins.as_ref().map(|origins| origins.take(rows)),
            received: self.received,
        }
    }

    /// Appends the records of `other`, which has the same schema. Their text is copied, so that their chunk can be freed.
    pub fn append(&mut self, other: &Self) {
        debug_assert!(self.schema.is_like(&other.schema), "the same columns");
        let Self { columns, text, .. } = self;
        let mut carry = |span: Span| text.push_from(&other.text, span);
        for (column, more) in columns.iter_mut().zip(&other.columns) {
            column.append(more, &mut carry);
        }
        if let Some(more) = &other.origins {
            let origins = self.origins.get_or_insert_default();
            origins.fill(self.rows);
            origins.append(more, &mut carry);
        }
        self.rows += other.rows;
        self.origins.iter_mut().for_each(|origins| origins.fill(self.rows));
    }
}
