//! Which column of the table, as it is now, takes which column of the records.

use std::collections::HashMap;
use std::sync::Arc;

use delta_kernel::arrow::array::types::{Date32Type, Int8Type, Int16Type, Int32Type, Int64Type};
use delta_kernel::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use delta_kernel::arrow::compute::{CastOptions, cast_with_options};
use delta_kernel::arrow::datatypes::{DataType as ArrowType, Schema as ArrowSchema, SchemaRef};
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::expressions::Scalar;
use delta_kernel::schema::{DataType, PrimitiveType, StructField};
use delta_kernel::snapshot::Snapshot;
use tidemill_engine::error::{Error, Result};

use crate::target::{Target, Written};

/// The columns of the table, and what is written to them.
#[derive(Debug)]
pub(crate) struct Fit {
    /// Those in the files.
    files: Vec<Column>,
    schema: SchemaRef,
    /// Those by which the table is partitioned.
    pub(crate) partitions: Vec<Column>,
}

/// A column of the table.
#[derive(Debug)]
pub(crate) struct Column {
    name: String,
    ty: DataType,
    arrow: ArrowType,
    is_nullable: bool,
    /// The index in the rows that were kept; `None` if it is null.
    at: Option<usize>,
}

impl Fit {
    /// # Errors
    /// A configuration error if the table does not fit the records.
    pub(crate) fn new(target: &Target, snapshot: &Snapshot) -> Result<Self> {
        let columns = snapshot.schema();
        let partition_by = snapshot.table_configuration().logical_partition_columns();
        check_partitions(target, partition_by)?;
        let table = Known { target, fields: columns.fields().collect() };
        target.columns.iter().try_for_each(|written| table.check(written))?;
        let arrow: ArrowSchema = columns.as_ref().try_into_arrow().map_err(|error| {
            Error::config(format!("{}: its columns are not those of Arrow: {error}", target.path))
        })?;
        let (mut files, mut fields, mut partitions) = (Vec::new(), Vec::new(), Vec::new());
        for (field, arrow) in columns.fields().zip(arrow.fields()) {
            let is_partition = partition_by.contains(field.name());
            let column = table.column(field, arrow.data_type(), is_partition)?;
            if is_partition {
                partitions.push(column);
            } else {
                files.push(column);
                fields.push(Arc::clone(arrow));
            }
        }
        Ok(Self { files, schema: Arc::new(ArrowSchema::new(fields)), partitions })
    }

    /// The columns of files.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns of files, made of rows that were kept.
    ///
    /// # Errors
    /// A data error if a value does not fit the type of its column.
    pub(crate) fn records(&self, kept: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.files.iter().map(|column| column.of(kept)).collect::<Result<_>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal(format!("cannot build a record batch: {error}")))
    }

    /// The columns by which the table is partitioned, made of rows that were kept.
    ///
    /// # Errors
    /// As for [`Fit::records`].
    pub(crate) fn partition_columns(&self, kept: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.partitions.iter().map(|column| column.of(kept)).collect()
    }

    /// The values by which the table is partitioned, of one row.
    pub(crate) fn partition(&self, columns: &[ArrayRef], row: usize) -> HashMap<String, Scalar> {
        let values = self.partitions.iter().zip(columns);
        values.map(|(column, array)| (column.name.clone(), column.scalar(array, row))).collect()
    }
}

impl Column {
    fn of(&self, kept: &RecordBatch) -> Result<ArrayRef> {
        let Some(at) = self.at else { return Ok(new_null_array(&self.arrow, kept.num_rows())) };
        let column = kept.column(at);
        if column.null_count() > 0 && !self.is_nullable {
            return Err(self.unfit("a value is missing", "must not be null"));
        }
        let options = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(column, &self.arrow, &options)
            .map_err(|error| self.unfit(&error.to_string(), &format!("is of type {}", self.ty)))
    }

    fn unfit(&self, what: &str, is: &str) -> Error {
        Error::data(format!("a value does not fit column `{}` of the table, which {is}: {what}", self.name))
            .with_help("leave out such records before, or change the column")
    }

    fn scalar(&self, array: &ArrayRef, row: usize) -> Scalar {
        if array.is_null(row) {
            return Scalar::Null(self.ty.clone());
        }
        match &self.arrow {
            ArrowType::Boolean => Scalar::Boolean(array.as_boolean().value(row)),
            ArrowType::Int64 => Scalar::Long(array.as_primitive::<Int64Type>().value(row)),
            ArrowType::Int32 => Scalar::Integer(array.as_primitive::<Int32Type>().value(row)),
            ArrowType::Int16 => Scalar::Short(array.as_primitive::<Int16Type>().value(row)),
            ArrowType::Int8 => Scalar::Byte(array.as_primitive::<Int8Type>().value(row)),
            ArrowType::Date32 => Scalar::Date(array.as_primitive::<Date32Type>().value(row)),
            _ => Scalar::String(array.as_string::<i32>().value(row).to_owned()),
        }
    }
}

/// The table, as far as it is known.
struct Known<'a> {
    target: &'a Target,
    fields: Vec<&'a StructField>,
}

impl Known<'_> {
    /// Whether the table has the column, of a type that fits.
    fn check(&self, written: &Written) -> Result<()> {
        let (path, column, field) = (&self.target.path, &written.column, &written.field);
        let Some(found) = self.fields.iter().find(|field| written.is(field.name())) else {
            let all: Vec<_> = self.fields.iter().map(|field| field.name().as_str()).collect();
            return Err(Error::config(format!(
                "the table in {path} has no column `{column}`, which the records have"
            ))
            .with_help(format!(
                "add it to the table (type {}), say in `columns` which one it is ({}), or set omit = [\"{field}\"]",
                written.own.new_type(),
                all.join(", ")
            )));
        };
        match found.data_type() {
            DataType::Primitive(ty) if written.own.fits(ty) => Ok(()),
            ty => Err(Error::config(format!(
                "column `{column}` of the table in {path} is of type {ty}, and the records have {}",
                written.own.says()
            ))
            .with_help(format!(
                "such a column can be of type {}; or set omit = [\"{field}\"]",
                written.own.needs()
            ))),
        }
    }

    fn column(&self, field: &StructField, arrow: &ArrowType, is_partition: bool) -> Result<Column> {
        let at = self.target.columns.iter().position(|written| written.is(field.name()));
        let (path, name) = (&self.target.path, field.name());
        match at.map(|at| &self.target.columns[at]) {
            None if is_partition => Err(Error::config(format!(
                "the table in {path} is partitioned by `{name}`, which the records do not have"
            ))
            .with_help(match field.data_type() {
                DataType::Primitive(PrimitiveType::Date) => {
                    "partition_by = [\"day\"] makes a column `day` of the time"
                }
                _ => "name the column of the records in `columns`",
            })),
            None if !field.is_nullable() => Err(Error::config(format!(
                "column `{name}` of the table in {path} must not be null, but the records do not have it"
            ))
            .with_help("allow null in that column, or name the column of the records in `columns`")),
            Some(written) if is_partition && !written.own.can_partition() => Err(Error::config(format!(
                "the table in {path} is partitioned by `{name}`, of which the records have {}",
                written.own.says()
            ))
            .with_help("partition the table by text, integers (i64), booleans or a day")),
            _ => Ok(Column {
                name: name.clone(),
                ty: field.data_type().clone(),
                arrow: arrow.clone(),
                is_nullable: field.is_nullable(),
                at,
            }),
        }
    }
}

/// Whether the table is partitioned as the options say, if they do.
fn check_partitions(target: &Target, found: &[String]) -> Result<()> {
    let lower = |names: &[String]| {
        let mut names: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
        names.sort();
        names
    };
    if target.partition_by.is_empty() || lower(&target.partition_by) == lower(found) {
        return Ok(());
    }
    let is = match found {
        [] => "not partitioned".to_owned(),
        names => format!("partitioned by {}", names.join(", ")),
    };
    Err(Error::config(format!(
        "the table in {} is {is}, and `partition_by` says {}",
        target.path,
        target.partition_by.join(", ")
    ))
    .with_help("a table is partitioned when it is created: set `partition_by` to its columns, or write to another table"))
}
