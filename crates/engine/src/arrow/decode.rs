//! Record batches to batches, outside of files.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema as ArrowSchema, SchemaRef};

use super::fields::Fields;
use super::records::RecordArrays;
use super::typed::Typed;
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::format::Decoded;
use crate::format::columns::{ColumnOptions, Columns, Names};
use crate::sensor::SensorLookup;

/// Decodes Arrow record batches of one schema. Values and text of the same type as the column share memory with the record batch; others are
/// converted: narrower numbers, decimals, dates, dictionaries, numbers in text.
///
/// Nested columns (lists or structs) are left out. A record without time or sensor is rejected; its line is its row, from 1.
pub struct Decoder {
    name: Arc<str>,
    columns: Columns,
    input: SchemaRef,
    schema: Arc<Schema>,
    /// For each column of the schema, the arrays that it is made of.
    sources: Vec<Vec<usize>>,
}

impl Decoder {
    /// A decoder of record batches with the columns `input`; `name` is the source's name in messages and the sensor of records without a sensor column.
    ///
    /// # Errors
    /// A configuration error if the options do not fit the columns.
    pub fn new(name: impl Into<Arc<str>>, options: &ColumnOptions, input: &SchemaRef) -> Result<Self> {
        let (name, columns) = (name.into(), Columns::new(options)?);
        let columns = columns.without_unpivot(&name)?;
        let fields = Fields::of(&name, input);
        let schema = columns.declared(&fields.schema(&columns)?)?;
        let roles = columns.roles(&name, &fields.names(&columns), &schema)?;
        let of = |at| roles.sources(at).into_iter().map(|flat| fields.index(flat)).collect();
        let sources = (0..schema.fields().len()).map(of).collect();
        Ok(Self { name, columns, input: Arc::clone(input), schema: Arc::new(schema), sources })
    }

    /// A decoder of record batches whose columns are those of `schema`, by name, in any order.
    ///
    /// # Errors
    /// A data error if `input` lacks a column, or has others.
    pub fn of(name: impl Into<Arc<str>>, schema: &Arc<Schema>, input: &SchemaRef) -> Result<Self> {
        let name = name.into();
        let own = |field: &Field| input.fields().iter().position(|other| **other.name() == *field.name);
        let sources: Vec<Vec<usize>> =
            schema.fields().iter().map(|field| own(field).into_iter().collect()).collect();
        let missing = schema.fields().iter().zip(&sources).find(|(_, sources)| sources.is_empty());
        if let Some((field, _)) = missing {
            return Err(Error::data(format!("`{name}` gives no column `{}`", field.name))
                .with_help("keep all columns of the records"));
        }
        let other = input.fields().iter().find(|field| schema.index_of(field.name()).is_none());
        if let Some(other) = other {
            return Err(Error::data(format!(
                "`{name}` gives a column `{}`, which was not declared",
                other.name()
            ))
            .with_help("declare it, or leave it out"));
        }
        let named = |at: usize| schema.fields()[at].name.to_string();
        let options = ColumnOptions {
            time: schema.time().map(|at| Names::One(named(at))),
            sensor: Some(named(schema.sensor())),
            ..ColumnOptions::default()
        };
        let columns = Columns::new(&options)?;
        Ok(Self { name, columns, input: Arc::clone(input), schema: Arc::clone(schema), sources })
    }

    /// The columns of its batches.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Decodes `records`, of which `before` others came earlier; `origins`: whether the batch carries the origin of each record.
    ///
    /// # Errors
    /// A data error if the record batch has other columns than the decoder; the errors of `sensors`.
    pub fn decode(
        &self,
        records: &RecordBatch,
        before: u64,
        origins: bool,
        sensors: &mut dyn SensorLookup,
    ) -> Result<Decoded> {
        self.check(&records.schema())?;
        let mut typed = Typed::new(&self.columns, &self.schema, records.num_rows());
        let arrays = RecordArrays { columns: records.columns(), sources: &self.sources, name: &self.name };
        typed.fill(&arrays, &self.name, sensors)?;
        Ok(typed.finish(&self.name, before, origins))
    }

    /// Remarks for the end of a run, such as columns that were left out.
    pub fn remarks(&self) -> Vec<String> {
        self.columns.remarks()
    }

    fn check(&self, schema: &ArrowSchema) -> Result<()> {
        let said = |schema: &ArrowSchema| {
            let fields = schema.fields().iter();
            fields.map(|field| format!("{}: {}", field.name(), field.data_type())).collect::<Vec<_>>()
        };
        if schema.fields().len() == self.input.fields().len()
            && schema
                .fields()
                .iter()
                .zip(self.input.fields())
                .all(|(now, first)| now.name() == first.name() && now.data_type() == first.data_type())
        {
            return Ok(());
        }
        Err(Error::data(format!(
            "`{}` has record batches with different columns: {} after {}",
            self.name,
            said(schema).join(", "),
            said(&self.input).join(", ")
        ))
        .with_help("give all record batches the same columns and types"))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};

    use super::*;
    use crate::arrow::Encoder;
    use crate::sensor::Sensors;

    fn records(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).expect("record batch")
    }

    fn readings() -> RecordBatch {
        records(vec![
            ("sensor", Arc::new(StringArray::from(vec![Some("a"), None, Some("b")])) as ArrayRef),
            ("value", Arc::new(Float64Array::from(vec![Some(1.5), Some(2.5), None]))),
            ("note", Arc::new(StringArray::from(vec!["x", "y", "z"]))),
        ])
    }

    fn options() -> ColumnOptions {
        ColumnOptions { sensor: Some("sensor".into()), ..ColumnOptions::default() }
    }

    #[test]
    fn record_batches_become_batches_and_the_same_record_batches_again() {
        let (readings, mut sensors) = (readings(), Sensors::default());
        let decoder = Decoder::new("readings", &options(), &readings.schema()).expect("fits");
        let decoded = decoder.decode(&readings, 10, true, &mut sensors).expect("decoded");
        assert_eq!((decoded.batch.len(), decoded.rejections.len()), (2, 1));
        assert_eq!(decoded.rejections[0].position.line, 12);
        let encoder = Encoder::new(decoder.schema());
        let written = encoder.encode(decoded.batch.clone(), &sensors).expect("encoded");
        assert_eq!(written.schema(), *encoder.schema());
        let again = Decoder::of("readings", decoder.schema(), encoder.schema()).expect("the same columns");
        let decoded = again.decode(&written, 0, false, &mut sensors).expect("decoded");
        assert_eq!(encoder.encode(decoded.batch, &sensors).expect("encoded"), written);
    }

    #[test]
    fn other_columns_are_refused_by_name() {
        let (readings, mut sensors) = (readings(), Sensors::default());
        let decoder = Decoder::new("readings", &options(), &readings.schema()).expect("fits");
        let integers = records(vec![
            ("sensor", Arc::clone(readings.column(0))),
            ("value", Arc::new(Int64Array::from(vec![1, 2, 3]))),
            ("note", Arc::clone(readings.column(2))),
        ]);
        let error = decoder.decode(&integers, 0, false, &mut sensors).map(|_| ()).expect_err("integers");
        assert!(error.message().contains("value: Int64"), "{error}");
        let without = readings.project(&[0, 1]).expect("two columns");
        let error = Decoder::of("stage", decoder.schema(), &without.schema()).map(|_| ()).expect_err("lacks");
        assert_eq!(error.message(), "`stage` gives no column `note`");
        let few = Decoder::new("readings", &options(), &without.schema()).expect("fits");
        let error = Decoder::of("stage", few.schema(), &readings.schema()).map(|_| ()).expect_err("more");
        assert_eq!(error.message(), "`stage` gives a column `note`, which was not declared");
    }
}
