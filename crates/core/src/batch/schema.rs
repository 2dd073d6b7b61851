//! The columns of a batch, by name.

use super::{Field, FieldRole, FieldType, Pattern};
use crate::error::{Error, Result};

/// The columns of a batch, in the order of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    fields: Vec<Field>,
    time: Option<usize>,
    sensor: usize,
    has_local_times: bool,
}

impl Schema {
    /// A schema of these fields.
    ///
    /// # Errors
    /// A configuration error unless names are unique, at most one field is the time and exactly one the sensor.
    pub fn new(fields: Vec<Field>) -> Result<Self> {
        for (at, field) in fields.iter().enumerate() {
            if fields[..at].iter().any(|earlier| earlier.name == field.name) {
                return Err(Error::config(format!("two columns are called `{}`", field.name))
                    .with_help("rename one of them"));
            }
        }
        let of = |role| fields.iter().enumerate().filter(move |(_, f)| f.role == role).map(|(at, _)| at);
        let (time, sensor) =
            (of(FieldRole::Time).collect::<Vec<_>>(), of(FieldRole::Sensor).collect::<Vec<_>>());
        match (time.len(), sensor.as_slice()) {
            (0 | 1, &[sensor]) => {
                Ok(Self { time: time.first().copied(), sensor, fields, has_local_times: false })
            }
            _ => Err(Error::config("a schema has one sensor column and at most one time column")),
        }
    }

    /// All fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The index of the time column, if there is one.
    pub fn time(&self) -> Option<usize> {
        self.time
    }

    /// The same columns, whose times were read from what the clocks of a zone showed, where their texts do not say otherwise.
    #[must_use]
    pub fn with_local_times(self, has_local_times: bool) -> Self {
        Self { has_local_times, ..self }
    }

    /// Whether times that have no text were read from what the clocks of a zone showed.
    pub fn has_local_times(&self) -> bool {
        self.has_local_times
    }

    /// The index of the sensor column.
    pub fn sensor(&self) -> usize {
        self.sensor
    }

    /// The index of the column called `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| &*field.name == name)
    }

    /// The indices of the measurements, ascending.
    pub fn measurements(&self) -> Vec<usize> {
        (0..self.fields.len()).filter(|&at| self.fields[at].role == FieldRole::Measurement).collect()
    }

    /// The indices of the measurements that `columns` names, or that fit its globs; all of them where it is `None` (clause 12). Each comes once,
    /// where it is met first; those of one glob in their order here.
    ///
    /// # Errors
    /// A configuration error for a name that is no measurement or stands there twice, for a glob that fits none, or when there is nothing to
    /// select.
    pub fn select(&self, columns: Option<&[String]>) -> Result<Vec<usize>> {
        let all = self.measurements();
        let Some(names) = columns else {
            let none = || {
                Error::config("there is no measurement to work on")
                    .with_help("name some in [source] `measurements`")
            };
            return if all.is_empty() { Err(none()) } else { Ok(all) };
        };
        if names.is_empty() {
            return Err(
                Error::config("`columns` is empty").with_help("leave it out to work on all measurements")
            );
        }
        if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(Error::config(format!("column `{twice}` is named twice in `columns`"))
                .with_help("name it once"));
        }
        let mut selected = Vec::new();
        for name in names {
            let fitting = self.select_fitting(&Pattern::new(name.as_str()), &all)?;
            let new: Vec<_> = fitting.into_iter().filter(|at| !selected.contains(at)).collect();
            selected.extend(new);
        }
        Ok(selected)
    }

    /// The measurements, of which `all` has the indices, that `pattern` means: one for a name, any but none for a glob.
    ///
    /// # Errors
    /// A configuration error where there is none.
    pub fn select_fitting(&self, pattern: &Pattern, all: &[usize]) -> Result<Vec<usize>> {
        if !pattern.is_glob() || self.index_of(pattern.as_str()).is_some() {
            return Ok(vec![self.select_one(pattern.as_str(), all)?]);
        }
        let fitting: Vec<_> = all.iter().copied().filter(|&at| pattern.fits(&self.fields[at].name)).collect();
        if fitting.is_empty() {
            return Err(Error::config(format!("`{}` fits no measurement", pattern.as_str()))
                .with_help(self.measurement_names(all)));
        }
        Ok(fitting)
    }

    /// The index of the one measurement called `name`, which is no glob.
    ///
    /// # Errors
    /// A configuration error where there is none.
    pub fn measurement(&self, name: &str) -> Result<usize> {
        self.select_one(name, &self.measurements())
    }

    fn is_number(&self, at: usize) -> bool {
        let Field { role, ty, .. } = &self.fields[at];
        !matches!(role, FieldRole::Time | FieldRole::Sensor) && ty.is_number()
    }

    fn select_one(&self, name: &str, all: &[usize]) -> Result<usize> {
        match self.index_of(name) {
            Some(at) if all.contains(&at) => Ok(at),
            // What is no measurement is looked at where it is asked for by its name.
            Some(at) if self.is_number(at) => Ok(at),
            Some(at) => Err(Error::config(format!(
                "column `{name}` is a {}, not a measurement",
                self.fields[at].description()
            ))
            .with_help(self.other_measurements(at, all))),
            None => Err(Error::config(format!("there is no column `{name}` here"))
                .with_help(self.measurement_names(all))),
        }
    }

    /// What to do about a column that is no measurement: text may be one, once it is named.
    fn other_measurements(&self, at: usize, all: &[usize]) -> String {
        match self.fields[at].ty {
            FieldType::Text => format!(
                "name it in [source] `measurements` if it should be read as numbers; {}",
                self.measurement_names(all)
            ),
            _ => self.measurement_names(all),
        }
    }

    fn measurement_names(&self, all: &[usize]) -> String {
        if all.is_empty() {
            return "there are no measurements here".into();
        }
        let names: Vec<_> = all.iter().map(|&at| format!("`{}`", self.fields[at].name)).collect();
        format!("the measurements here are {}", names.join(", "))
    }

    /// This schema with `field` added, or in place of one of the same name and role; that a measurement has had another type does
    /// not matter. Gives the field's index too.
    ///
    /// # Errors
    /// A configuration error where the name is taken by another column, or is none.
    pub fn with(mut self, field: Field) -> Result<(Self, usize)> {
        match self.index_of(&field.name) {
            Some(at) if self.fields[at] == field => Ok((self, at)),
            Some(at) if self.fields[at].role == field.role && field.role == FieldRole::Measurement => {
                self.fields[at] = field;
                Ok((self, at))
            }
            Some(at) => Err(Error::config(format!(
                "cannot add the {} `{}`: there is a {} column of that name",
                field.description(),
                field.name,
                self.fields[at].description()
            ))
            .with_help("choose another name with `into`")),
            None if field.name.is_empty() => {
                Err(Error::config("the new column has no name").with_help("give it one with `into`"))
            }
            None => {
                self.fields.push(field);
                let at = self.fields.len() - 1;
                Ok((self, at))
            }
        }
    }
}
