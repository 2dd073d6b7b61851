//! The fields of an Arrow schema, as the columns of a source: those that are flat (one plain value per record).

use std::sync::Arc;

use arrow_cast::can_cast_types;
use arrow_schema::{DataType, FieldRef, Schema as ArrowSchema};

use super::convert::{can_be_numbers, clock};
use super::{description, field_type};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::format::columns::{Columns, Role};
use crate::time::TimeFormat;

/// The fields of one schema.
pub(crate) struct Fields {
    /// The name of the source or file, for messages.
    name: Arc<str>,
    /// The flat fields, which can be read.
    flat: Vec<FlatField>,
    /// The names and types of the other fields.
    left_out: Vec<(String, DataType)>,
}

/// A field with one plain value per record.
struct FlatField {
    /// Its index among all fields of the schema.
    index: usize,
    field: FieldRef,
}

impl Fields {
    /// The fields of `schema`, which belongs to `name`.
    pub(crate) fn of(name: &Arc<str>, schema: &ArrowSchema) -> Self {
        let (mut flat, mut left_out) = (Vec::new(), Vec::new());
        for (index, field) in schema.fields().iter().enumerate() {
            if is_flat(field.data_type()) {
                flat.push(FlatField { index, field: unfolded(field) });
            } else {
                left_out.push((field.name().clone(), field.data_type().clone()));
            }
        }
        Self { name: Arc::clone(name), flat, left_out }
    }

    /// The names of the flat fields.
    pub(crate) fn names(&self, columns: &Columns) -> Vec<String> {
        let names: Vec<String> = self.flat.iter().map(|flat| flat.field.name().clone()).collect();
        columns.distinct(&names)
    }

    /// The flat field `at`, an index into [`Fields::names`].
    pub(crate) fn field(&self, at: usize) -> &FieldRef {
        &self.flat[at].field
    }

    /// The index of the flat field `at` in the schema.
    pub(crate) fn index(&self, at: usize) -> usize {
        self.flat[at].index
    }

    /// The type of the flat field `at`.
    pub(crate) fn kind(&self, at: usize) -> &DataType {
        self.field(at).data_type()
    }

    /// The columns of an input with these fields.
    ///
    /// # Errors
    /// A configuration error for an option that names a field which is nested, has no numbers where they are required, or does not exist.
    pub(crate) fn schema(&self, columns: &Columns) -> Result<Schema> {
        self.check_left_out(columns)?;
        let (names, kind) = (self.names(columns), |at: usize| self.kind(at));
        let schema = columns.schema_of(&self.name, &names, |at| field_type(kind(at)))?;
        let roles = columns.roles(&self.name, &names, &schema)?;
        for (at, role) in roles.fields.iter().enumerate() {
            if let (Role::Measurement(_), false) = (role, can_be_numbers(kind(at))) {
                let (name, kind) = (&names[at], kind(at));
                return Err(Error::config(format!(
                    "column `{name}` of `{}` has no numbers: {kind}",
                    self.name
                ))
                .with_help("leave it out of `measurements`: then it is carried as text"));
            }
        }
        let time = roles.fields.iter().position(|role| matches!(role, Role::Time(_)));
        let clock = time.and_then(|at| clock(kind(at)));
        if clock.is_some() && *columns.times.format() != TimeFormat::Rfc3339 {
            columns.remark(
                "`time_format` has no effect: the time column has timestamps, not texts or numbers".into(),
            );
        }
        let is_local = clock.map_or(schema.has_local_times(), |clock| clock.is_local);
        let of = |column: usize| roles.fields.iter().position(|role| role.column() == Some(column));
        let said = |field: &Field| Some(description(self.field(of(schema.index_of(&field.name)?)?)));
        Ok(columns.described(schema.clone(), said).with_local_times(is_local))
    }

    fn check_left_out(&self, columns: &Columns) -> Result<()> {
        let asked = columns.named_fields().unwrap_or_default();
        for (name, kind) in &self.left_out {
            if columns.own_columns().contains(&name.as_str()) || asked.contains(name) {
                return Err(Error::config(format!("column `{name}` of `{}` is nested: {kind}", self.name))
                    .with_help("flatten it first"));
            }
            if !columns.leaves_out(name) {
                columns.remark(format!(
                    "column `{name}` is left out: it does not have one plain value per record ({kind})"
                ));
            }
        }
        Ok(())
    }

    /// `schema`, that of the fields before these, with the units that only these say; `of` has the names of the first of those and of this one.
    ///
    /// # Errors
    /// If the units contradict each other.
    pub(crate) fn with_units(&self, schema: Schema, of: (&str, &str), columns: &Columns) -> Result<Schema> {
        // Whoever reads the records says what is wrong with their names.
        let Ok(names) = columns.own_names(&self.name, &self.names(columns)) else { return Ok(schema) };
        let said = |field: &Field| {
            let at = names.iter().position(|name| **name == *field.name)?;
            Some(description(self.field(at)))
        };
        schema.clone().with_units_of(&columns.described(schema, said), of)
    }
}

/// A field whose values are run-end encoded, as a field of the values.
fn unfolded(field: &FieldRef) -> FieldRef {
    match field.data_type() {
        DataType::RunEndEncoded(_, values) => {
            Arc::new(field.as_ref().clone().with_data_type(values.data_type().clone()))
        }
        _ => Arc::clone(field),
    }
}

/// Whether a type has at most one value per record that can be written as text.
fn is_flat(kind: &DataType) -> bool {
    !kind.is_nested()
        && (matches!(kind, DataType::FixedSizeBinary(_)) || can_cast_types(kind, &DataType::Utf8))
}
