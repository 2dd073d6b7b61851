//! What the fields of a file are in the schema of the input: files may have their columns in any order.

use super::Columns;
use super::schema::check_distinct;
use crate::batch::{FieldKind, Schema};
use crate::error::{Error, Result};

/// What a field of the input becomes: the index of its column in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The event time.
    Time(usize),
    /// The sensor's name.
    Sensor(usize),
    /// A measurement.
    Measurement(usize),
    /// Carried text.
    Text(usize),
}

impl Role {
    /// The column's index in the schema.
    pub fn column(self) -> usize {
        match self {
            Self::Time(at) | Self::Sensor(at) | Self::Measurement(at) | Self::Text(at) => at,
        }
    }
}

impl Columns {
    /// What the fields called `names` of a file are in `schema`.
    ///
    /// # Errors
    /// A data error when the file has other columns than the schema.
    pub fn roles(&self, file: &str, names: &[String], schema: &Schema) -> Result<Vec<Role>> {
        check_distinct(file, names)?;
        let own_sensor = self.options.sensor.is_none();
        // The sensor column that was put in is no column of any file.
        let is_made = |at| own_sensor && at == schema.sensor();
        for (at, field) in schema.fields().iter().enumerate() {
            if !is_made(at) && !names.iter().any(|name| **name == *field.name) {
                return Err(Error::data(format!("`{file}` has no column `{}`", field.name))
                    .with_help("all files of one input have the same columns, in any order"));
            }
        }
        let column = |name: &String| schema.index_of(name).filter(|&at| !is_made(at));
        names.iter().map(|name| role(file, name, schema, column(name))).collect()
    }
}

fn role(file: &str, name: &str, schema: &Schema, column: Option<usize>) -> Result<Role> {
    let Some(at) = column else {
        return Err(Error::data(format!(
            "`{file}` has a column `{name}` that the first file of the input has not"
        ))
        .with_help("all files of one input have the same columns, in any order"));
    };
    Ok(match schema.fields()[at].kind {
        FieldKind::Time => Role::Time(at),
        FieldKind::Sensor => Role::Sensor(at),
        FieldKind::Measurement => Role::Measurement(at),
        _ => Role::Text(at),
    })
}
