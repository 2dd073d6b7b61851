//! What the fields of a file are in the schema of the input: files may have their columns in any order.

use super::selection::Use;
use super::{Columns, UnknownColumns};
use crate::batch::{Field, FieldRole, Schema};
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
    /// One part of a time, or of a sensor's name, that is put together.
    Part {
        /// The column.
        at: usize,
        /// Which part it is.
        part: usize,
    },
    /// The field is not read.
    Skip,
}

impl Role {
    /// The column's index in the schema; `None` where there is no column.
    pub fn column(self) -> Option<usize> {
        match self {
            Self::Time(at) | Self::Sensor(at) | Self::Measurement(at) | Self::Text(at) => Some(at),
            Self::Part { at, .. } => Some(at),
            Self::Skip => None,
        }
    }

    /// The role of a field that has column `at` to itself.
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
    /// The columns that the file does not have: null in all its records.
    pub missing: Vec<Role>,
}

impl Roles {
    /// The fields that column `at` comes from, in order: none where the file does not have it, several where it is put together.
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
    /// What the fields called `names` of a file are in `schema`.
    ///
    /// # Errors
    /// A data error when the file has other columns than the schema, and the options do not say what to do then.
    pub fn roles(&self, file: &str, names: &[String], schema: &Schema) -> Result<Roles> {
        let own = self.own_names(file, names)?;
        let fields: Vec<Role> =
            own.iter().map(|name| self.role(file, name, schema)).collect::<Result<_>>()?;
        let is_met = |at| fields.iter().any(|role| role.column() == Some(at));
        // The sensor column that was put in is no column of any file.
        let is_made = |at| self.options.sensor.is_none() && at == schema.sensor();
        let absent = schema.fields().iter().enumerate().filter(|&(at, _)| !is_met(at) && !is_made(at));
        let missing = absent.map(|(at, field)| self.missing(file, at, field)).collect::<Result<_>>()?;
        let roles = Roles { fields, missing };
        self.check_parts(file, &own, schema, &roles)?;
        Ok(roles)
    }

    /// By what names records that name their own fields know the columns of `schema`, and what these are.
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
                let what = format!("`{file}` has a column `{name}` that the first file of the input has not");
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
                .with_help("a file without it has no records: time and sensor are never missing")),
        }
    }

    /// A column that is put together has all its parts.
    fn check_parts(&self, file: &str, names: &[String], schema: &Schema, roles: &Roles) -> Result<()> {
        let made =
            [(self.made_time.as_ref(), schema.time()), (self.made_sensor.as_ref(), Some(schema.sensor()))];
        for (made, at) in made {
            let (Some(made), Some(at)) = (made, at) else { continue };
            if roles.sources(at).len() < made.names().len() {
                let lost = made.names().iter().find(|name| !names.contains(name));
                let name = lost.map_or("", String::as_str);
                return Err(Error::data(format!("`{file}` has no column `{name}`")).with_help(format!(
                    "`{}` is put together from {}",
                    schema.fields()[at].name,
                    super::listed(made.names())
                )));
            }
        }
        Ok(())
    }
}

/// What to do where the files of an input differ.
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
