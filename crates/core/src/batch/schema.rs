//! The columns of a batch, by name.

use std::sync::Arc;

use super::{Field, FieldRole, FieldType, Pattern};
use crate::error::{Error, Result};

/// The columns of a batch, in output order.
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

    /// The same schema, whose times without text are marked as local times.
    #[must_use]
    pub fn with_local_times(self, has_local_times: bool) -> Self {
        Self { has_local_times, ..self }
    }

    /// Whether times without text are local times of a zone.
    pub fn has_local_times(&self) -> bool {
        self.has_local_times
    }

    /// The index of the sensor column.
    pub fn sensor(&self) -> usize {
        self.sensor
    }

    /// The same columns with the units and metadata that `describe` sets, given each field's index. It must change nothing else.
    #[must_use]
    pub fn described(mut self, describe: impl Fn(usize, Field) -> Field) -> Self {
        let fields = std::mem::take(&mut self.fields).into_iter().enumerate();
        self.fields = fields.map(|(at, field)| describe(at, field)).collect();
        self
    }

    /// Whether `other` has columns of the same names, roles and types, in the same order, with times read likewise.
    pub fn is_like(&self, other: &Self) -> bool {
        let (own, others) = (&self.fields, &other.fields);
        self.has_local_times == other.has_local_times
            && own.len() == others.len()
            && own.iter().zip(others).all(|(own, other)| own.is_like(other))
    }

    /// The same columns; one without a unit gets the unit of the column of that name in `other`. `of` names the owners of both schemas for the error.
    ///
    /// # Errors
    /// A configuration error if a column has two different units: it names the column, both units and both owners.
    pub fn with_units_of(mut self, other: &Self, of: (&str, &str)) -> Result<Self> {
        for field in &mut self.fields {
            let theirs = other.named(&field.name).and_then(|theirs| theirs.unit.as_ref());
            match (&field.unit, theirs) {
                (Some(own), Some(theirs)) if own != theirs => {
                    let (name, (ours, others)) = (&field.name, of);
                    let what =
                        format!("column `{name}` is in `{own}` in {ours}, and in `{theirs}` in {others}");
                    return Err(Error::config(what).with_help(
                        "values are not converted: convert one of them before; if the units are the same, set `units` in [source]",
                    ));
                }
                (None, Some(theirs)) => field.unit = Some(Arc::clone(theirs)),
                _ => {}
            }
        }
        Ok(self)
    }

    fn named(&self, name: &str) -> Option<&Field> {
        self.index_of(name).map(|at| &self.fields[at])
    }

    /// The index of the column `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| &*field.name == name)
    }

    /// The indices of the measurements, ascending.
    pub fn measurements(&self) -> Vec<usize> {
        (0..self.fields.len()).filter(|&at| self.fields[at].role == FieldRole::Measurement).collect()
    }

    /// The indices of the measurements selected by `columns`, by name or glob; all of them if it is `None` (clause 12). Each occurs once,
    /// in the order of the patterns; those of one glob in schema order.
    ///
    /// # Errors
    /// A configuration error for a name that is not a measurement or is listed twice, for a glob without a match, or if there is no
    /// measurement.
    pub fn select(&self, columns: Option<&[String]>) -> Result<Vec<usize>> {
        let all = self.measurements();
        let Some(names) = columns else {
            let none = || {
                Error::config("there are no measurements").with_help("list some in [source] `measurements`")
            };
            return if all.is_empty() { Err(none()) } else { Ok(all) };
        };
        if names.is_empty() {
            return Err(
                Error::config("`columns` is empty").with_help("leave it out to work on all measurements")
            );
        }
        if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(Error::config(format!("column `{twice}` is listed twice in `columns`"))
                .with_help("list it once"));
        }
        let mut selected = Vec::new();
        for name in names {
            let fitting = self.select_fitting(&Pattern::new(name.as_str()), &all)?;
            let new: Vec<_> = fitting.into_iter().filter(|at| !selected.contains(at)).collect();
            selected.extend(new);
        }
        Ok(selected)
    }

    /// The measurements that `pattern` matches among those with the indices `all`: exactly one for a name, at least one for a glob.
    ///
    /// # Errors
    /// A configuration error if there is none.
    pub fn select_fitting(&self, pattern: &Pattern, all: &[usize]) -> Result<Vec<usize>> {
        if !pattern.is_glob() || self.index_of(pattern.as_str()).is_some() {
            return Ok(vec![self.select_one(pattern.as_str(), all)?]);
        }
        let fitting: Vec<_> = all.iter().copied().filter(|&at| pattern.fits(&self.fields[at].name)).collect();
        if fitting.is_empty() {
            return Err(Error::config(format!("`{}` matches no measurement", pattern.as_str()))
                .with_help(self.measurement_names(all)));
        }
        Ok(fitting)
    }

    /// The index of the measurement `name`, which is not a glob.
    ///
    /// # Errors
    /// A configuration error if there is none.
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
            // Other columns are checked only if they are named.
            Some(at) if self.is_number(at) => Ok(at),
            Some(at) => Err(Error::config(format!(
                "column `{name}` is a {}, not a measurement",
                self.fields[at].description()
            ))
            .with_help(self.other_measurements(at, all))),
            None => Err(Error::config(format!("no column `{name}`")).with_help(self.measurement_names(all))),
        }
    }

    /// Help for a column that is not a measurement: text can be declared as one.
    fn other_measurements(&self, at: usize, all: &[usize]) -> String {
        match self.fields[at].ty {
            FieldType::Text => format!(
                "list it in [source] `measurements` if it contains numbers; {}",
                self.measurement_names(all)
            ),
            _ => self.measurement_names(all),
        }
    }

    fn measurement_names(&self, all: &[usize]) -> String {
        if all.is_empty() {
            return "there are no measurements".into();
        }
        let names: Vec<_> = all.iter().map(|&at| format!("`{}`", self.fields[at].name)).collect();
        format!("the measurements are {}", names.join(", "))
    }

    /// This schema with `field` added, or replacing a measurement of the same name, even if its type or unit differs. Also returns the
    /// field's index.
    ///
    /// # Errors
    /// A configuration error if the name is empty, or taken by a column of another role.
    pub fn with(mut self, field: Field) -> Result<(Self, usize)> {
        match self.index_of(&field.name) {
            Some(at) if self.fields[at].is_like(&field) && field.role != FieldRole::Measurement => {
                Ok((self, at))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(unit: Option<&str>) -> Schema {
        let measurement = Field { unit: unit.map(Into::into), ..Field::measurement("v") };
        Schema::new(vec![Field::sensor("s"), measurement]).expect("a schema")
    }

    #[test]
    fn what_has_no_unit_has_that_of_another_and_two_are_an_error() {
        let joined = |own, other| {
            let schema = schema(own).with_units_of(&schema(other), ("one", "two"));
            schema.map(|schema| schema.fields()[1].unit.clone()).map_err(|error| error.to_string())
        };
        assert_eq!(joined(None, None), Ok(None));
        for (own, other) in [(Some("V"), None), (None, Some("V")), (Some("V"), Some("V"))] {
            assert_eq!(joined(own, other), Ok(Some("V".into())));
        }
        let error = joined(Some("V"), Some("A")).expect_err("two units");
        assert!(error.contains("column `v` is in `V` in one, and in `A` in two"), "{error}");
    }

    #[test]
    fn a_new_measurement_takes_the_place_of_one_with_its_name_and_unit() {
        let (wider, at) = schema(Some("V")).with(Field::measurement("v")).expect("in its place");
        assert_eq!((wider.fields().len(), at, &wider.fields()[1].unit), (2, 1, &None));
        assert!(schema(None).is_like(&schema(Some("V"))) && schema(None) != schema(Some("V")));
    }
}
