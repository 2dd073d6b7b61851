//! Maps the fields of a file to the columns of the input's schema: files may have their columns in any order.

use super::selection::Use;
use super::{Columns, UnknownColumns};
use crate::batch::{Field, FieldRole, Schema};
use crate::error::{Error, Result};

/// What a field of the input becomes, with the index of its column in the schema.
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
    /// One part of a composite time or sensor name.
    Part {
        /// The index of the composite column.
        at: usize,
        /// The index of the part.
        part: usize,
    },
    /// The field is not read.
    Skip,
}

impl Role {
    /// The index of the column in the schema; `None` for a skipped field.
    pub fn column(self) -> Option<usize> {
        match self {
            Self::Time(at) | Self::Sensor(at) | Self::Measurement(at) | Self::Text(at) => Some(at),
            Self::Part { at, .. } => Some(at),
            Self::Skip => None,
        }
    }

    /// The role of a field that is column `at` by itself.
    fn whole(at: usize, role: FieldRole) -> Self {
        match role {
            FieldRole::Time => Self::Time(at),
            FieldRole::Sensor => Self::Sensor(at),
            FieldRole::Measurement => Self::Measurement(at),
            FieldRole::Quality | FieldRole::Tag => Self::Text(at),
        }
    }
}

/// How the fields of a file become the columns of the input.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// By field.
    pub fields: Vec<Role>,
    /// The columns that the file does not have: null in all of its records.
    pub missing: Vec<Role>,
}

impl Roles {
    /// The fields that column `at` is read from, in order: none if the file does not have it, several if it is composite.
    pub fn sources(&self, at: usize) -> Vec<usize> {
        let parts = self.fields.iter().enumerate().filter_map(|(field, role)| match *role {
            Role::Part { at: column, part } if column == at => Some((part, field)),
            role if role.column() == Some(at) => Some((0, field)),
            _ => None,
        });
        let mut parts: Vec<_> = parts.collect();
        parts.sort_unstable();
        parts.into_iter().map(|(_, field)| field).collect()
    }
}

impl Columns {
    /// The roles of the fields `names` of a file, in `schema`.
    ///
    /// # Errors
    /// A data error if the file's columns differ from the schema and `unknown_columns` does not allow it.
    pub fn roles(&self, file: &str, names: &[String], schema: &Schema) -> Result<Roles> {
        let own = self.own_names(file, names)?;
        let fields: Vec<Role> =
            own.iter().map(|name| self.role(file, name, schema)).collect::<Result<_>>()?;
        let is_met = |at| fields.iter().any(|role| role.column() == Some(at));
        // The generated sensor column is not a column of any file.
        let is_made = |at| self.options.sensor.is_none() && at == schema.sensor();
        let absent = schema.fields().iter().enumerate().filter(|&(at, _)| !is_met(at) && !is_made(at));
        let missing = absent.map(|(at, field)| self.missing(file, at, field)).collect::<Result<_>>()?;
        let roles = Roles { fields, missing };
        self.check_parts(file, &own, schema, &roles)?;
        Ok(roles)
    }

    /// The names that self-describing records use for the columns of `schema`, with their roles.
    pub fn keys(&self, schema: &Schema) -> Vec<(String, Role)> {
        let mut keys = Vec::new();
        for (at, field) in schema.fields().iter().enumerate() {
            let made = match field.role {
                FieldRole::Time => self.made_time.as_ref(),
                FieldRole::Sensor if self.options.sensor.is_none() => continue,
                FieldRole::Sensor => self.made_sensor.as_ref(),
                _ => None,
            };
            match made {
                None => keys.push((self.written_name(&field.name), Role::whole(at, field.role))),
                Some(made) => {
                    let parts = made.names().iter().enumerate();
                    keys.extend(parts.map(|(part, name)| (self.written_name(name), Role::Part { at, part })));
                }
            }
        }
        keys
    }

    fn role(&self, file: &str, name: &str, schema: &Schema) -> Result<Role> {
        let known = |role: FieldRole| {
            schema
                .index_of(name)
                .filter(|&at| schema.fields()[at].role == role)
                .map(|at| Role::whole(at, role))
        };
        let known = match self.use_of(name) {
            Use::Skip => Some(Role::Skip),
            Use::TimePart(part) => schema.time().map(|at| Role::Part { at, part }),
            Use::SensorPart(part) => Some(Role::Part { at: schema.sensor(), part }),
            Use::Time => known(FieldRole::Time),
            Use::Sensor => known(FieldRole::Sensor),
            Use::Measurement | Use::Text | Use::Value => {
                known(FieldRole::Measurement).or_else(|| known(FieldRole::Tag))
            }
        };
        match (known, self.options.unknown_columns) {
            (Some(role), _) => Ok(role),
            (None, UnknownColumns::Ignore) => {
                self.remark(format!("column `{name}` is left out: the first file does not have it"));
                Ok(Role::Skip)
            }
            (None, unknown) => {
                let what =
                    format!("`{file}` has a column `{name}` that the first file of the input does not have");
                Err(Error::data(what).with_help(different(unknown)))
            }
        }
    }

    /// The role of a column that a file does not have.
    fn missing(&self, file: &str, at: usize, field: &Field) -> Result<Role> {
        let unknown = self.options.unknown_columns;
        match field.role {
            FieldRole::Measurement | FieldRole::Tag if unknown != UnknownColumns::Error => {
                Ok(Role::whole(at, field.role))
            }
            FieldRole::Measurement | FieldRole::Tag => {
                Err(Error::data(format!("`{file}` has no column `{}`", field.name))
                    .with_help(different(unknown)))
            }
            _ => Err(Error::data(format!("`{file}` has no column `{}`", field.name))
                .with_help("every record needs a time and a sensor")),
        }
    }

    /// Checks that the file has all parts of each composite column.
    fn check_parts(&self, file: &str, names: &[String], schema: &Schema, roles: &Roles) -> Result<()> {
        let made =
            [(self.made_time.as_ref(), schema.time()), (self.made_sensor.as_ref(), Some(schema.sensor()))];
        for (made, at) in made {
            let (Some(made), Some(at)) = (made, at) else { continue };
            if roles.sources(at).len() < made.names().len() {
                let lost = made.names().iter().find(|name| !names.contains(name));
                let name = lost.map_or("", String::as_str);
                return Err(Error::data(format!("`{file}` has no column `{name}`")).with_help(format!(
                    "`{}` is composed of {}",
                    schema.fields()[at].name,
                    super::listed(made.names())
                )));
            }
        }
        Ok(())
    }
}

/// Help text for files with different columns.
fn different(unknown: UnknownColumns) -> &'static str {
    match unknown {
        UnknownColumns::Null => {
            "name it in `columns` or `measurements`, so that it is known before its first file, or set unknown_columns = \"ignore\""
        }
        _ => {
            "all files of one input have the same columns, in any order; set unknown_columns = \"null\" to take the columns of all \
                files, with null in those that do not have them, or \"ignore\" to take those of the first"
        }
    }
}
