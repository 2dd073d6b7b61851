//! The columns of an input, derived from the field names and the first records of its first file.

use std::borrow::Cow;

use super::names::no_column;
use super::selection::Use;
use super::{Columns, UnknownColumns};
use crate::batch::{Field, FieldRole, FieldType, Pattern, Schema};
use crate::error::{Error, Result};

/// The name of a composite time column.
const TIME: &str = "time";
const SENSOR: &str = "sensor";

impl Columns {
    /// The columns of an input whose first file has the fields `names` and begins with the records `sample`.
    ///
    /// # Errors
    /// If a column that the options name is missing, or two columns have the same name.
    pub fn schema(&self, file: &str, names: &[String], sample: &[Vec<Cow<'_, [u8]>>]) -> Result<Schema> {
        let own = self.own_names(file, names)?;
        self.schema_of(file, names, |at| match self.is_number(at, &own[at], sample) {
            true => FieldType::F64,
            false => FieldType::Text,
        })
    }

    /// The columns of an input that declares the types of its fields `names`; `ty` gives them by index.
    ///
    /// # Errors
    /// As for [`Columns::schema`].
    pub fn schema_of(&self, file: &str, names: &[String], ty: impl Fn(usize) -> FieldType) -> Result<Schema> {
        self.check_renamed(file, names)?;
        let names = &self.own_names(file, names)?;
        self.check_named(file, names)?;
        let mut fields: Vec<Field> = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let is_there = |role| fields.iter().any(|field| field.role == role);
            fields.push(match self.use_of(name) {
                Use::Time => Field::time(name.as_str()),
                Use::TimePart(_) if !is_there(FieldRole::Time) => Field::time(TIME),
                Use::Sensor => Field::sensor(name.as_str()),
                Use::SensorPart(_) if !is_there(FieldRole::Sensor) => Field::sensor(SENSOR),
                Use::TimePart(_) | Use::SensorPart(_) | Use::Skip => continue,
                Use::Measurement => self.measurement_of(name, ty(at)),
                Use::Value if self.selection.measurements.is_none() && is_measured(ty(at)) => {
                    self.measurement_of(name, ty(at))
                }
                // Carried columns are text, except booleans, which keep their type.
                Use::Value if ty(at) == FieldType::Bool => {
                    Field::text(name.as_str()).with_type(FieldType::Bool)
                }
                Use::Text | Use::Value => Field::text(name.as_str()),
            });
        }
        self.check_made(file, &fields)?;
        self.remark_idle(names, &fields);
        if self.options.sensor.is_none() {
            let place = fields.iter().position(|field| field.role == FieldRole::Time).map_or(0, |at| at + 1);
            fields.insert(place, Field::sensor(SENSOR));
        }
        let schema = Schema::new(fields).map_err(|error| error.with_context(file))?;
        Ok(schema.with_local_times(self.times.may_be_local()))
    }

    fn measurement_of(&self, name: &str, ty: FieldType) -> Field {
        self.in_unit(Field::measurement(name).with_type(self.measured_type(name, ty)))
    }

    /// Whether the files of an input may have other columns than its first.
    pub fn may_differ(&self) -> bool {
        self.options.unknown_columns != UnknownColumns::Error
    }

    /// Whether the columns of an input are the union of those of all files.
    pub fn are_joined(&self) -> bool {
        self.options.unknown_columns == UnknownColumns::Null
    }

    /// The union of `first` and `second`, the schemas of an earlier and a later file; the first one that has a column defines it.
    pub fn joined(first: &Schema, second: &Schema) -> Result<Schema> {
        let is_new = |field: &&Field| first.index_of(&field.name).is_none();
        let more = second.fields().iter().filter(is_new).cloned();
        let schema = Schema::new(first.fields().iter().cloned().chain(more).collect())?;
        Ok(schema.with_local_times(first.has_local_times()))
    }

    /// `schema` with the columns that the options name in addition: later files may have them.
    pub fn declared(&self, schema: &Schema) -> Result<Schema> {
        if self.options.unknown_columns == UnknownColumns::Error {
            return Ok(schema.clone());
        }
        let measurements = match self.options.unpivot {
            // Unpivoted measurements become sensors, which need no declaration.
            Some(_) => Vec::new(),
            None => self.selection.measurements.iter().flatten().chain(self.types.patterns()).collect(),
        };
        let named = measurements.into_iter().chain(self.selection.columns.iter().flatten());
        let plain = named.filter(|pattern| !pattern.is_glob()).map(Pattern::as_str);
        let declared = plain.map(|name| match self.use_of(name) {
            Use::Measurement => self.measurement_of(name, FieldType::F64),
            _ => Field::text(name),
        });
        let mut fields = schema.fields().to_vec();
        for field in declared {
            let is_part = matches!(self.use_of(&field.name), Use::TimePart(_) | Use::SensorPart(_));
            if !is_part && !fields.iter().any(|known| known.name == field.name) {
                fields.push(field);
            }
        }
        Ok(Schema::new(fields)?.with_local_times(schema.has_local_times()))
    }

    /// Whether field `at`, called `name`, has values in the sample, and all of them are numbers.
    fn is_number(&self, at: usize, name: &str, sample: &[Vec<Cow<'_, [u8]>>]) -> bool {
        let suffix = self.suffix(name);
        let fields = || sample.iter().filter_map(|record| record.get(at)).map(|field| Self::trim(field));
        let mut present = fields().filter(|field| !self.is_null(field)).peekable();
        let is_number = |field| self.shows_number(Self::without_suffix(field, suffix.as_ref()));
        present.peek().is_some() && present.all(is_number)
    }

    /// Checks that every column that the options name exists. A glob without a match is remarked.
    fn check_named(&self, file: &str, names: &[String]) -> Result<()> {
        let options = &self.options;
        let time = options.time.iter().flat_map(|time| time.as_slice()).map(|name| ("time", name.as_str()));
        let made = self.made_sensor.iter().flat_map(|made| made.names()).map(String::as_str);
        let sensor = made.chain(self.single_sensor()).map(|name| ("sensor", name));
        if let Some((option, name)) = time.chain(sensor).find(|(_, name)| !has(names, name)) {
            return Err(no_column(file, name, option, names));
        }
        let selected = [("measurements", &self.selection.measurements), ("columns", &self.selection.columns)];
        let selected = selected
            .into_iter()
            .flat_map(|(option, patterns)| patterns.iter().flatten().map(move |pattern| (option, pattern)));
        let suffixes = self.suffixes.patterns().map(|pattern| ("unit_suffixes", pattern));
        let types = self.types.patterns().map(|pattern| ("types", pattern));
        let units = self.units.patterns().map(|pattern| ("units", pattern));
        for (option, pattern) in selected.chain(suffixes).chain(types).chain(units) {
            if names.iter().any(|name| pattern.fits(name)) {
                continue;
            }
            if pattern.is_glob() {
                self.remark(format!("`{}` in `{option}` matches no column", pattern.as_str()));
            } else if options.unknown_columns == UnknownColumns::Error {
                return Err(no_column(file, pattern.as_str(), option, names));
            }
        }
        Ok(())
    }

    /// Remarks numeric options without effect; unless files may differ, since later files may have such columns.
    fn remark_idle(&self, names: &[String], fields: &[Field]) {
        if self.may_differ() {
            return;
        }
        let numbers = || fields.iter().filter(|field| field.role == FieldRole::Measurement);
        let is_idle = |pattern: &&Pattern| {
            names.iter().any(|name| pattern.fits(name)) && !numbers().any(|field| pattern.fits(&field.name))
        };
        let suffixes = self.suffixes.patterns().map(|pattern| ("unit_suffixes", pattern));
        let units = self.units.patterns().map(|pattern| ("units", pattern));
        for (option, pattern) in suffixes.chain(units).filter(|(_, pattern)| is_idle(pattern)) {
            self.remark(format!(
                "`{option}` has no effect on `{}`: it is not a measurement",
                pattern.as_str()
            ));
        }
        let words = [("true_words", &self.options.true_words), ("false_words", &self.options.false_words)];
        for (option, _) in words.iter().filter(|(_, words)| words.is_some() && numbers().next().is_none()) {
            self.remark(format!("`{option}` has no effect: no column is a measurement"));
        }
    }

    /// Checks that no column has the name of a composite or generated one.
    fn check_made(&self, file: &str, fields: &[Field]) -> Result<()> {
        let clashes = |name: &str| {
            fields.iter().any(|field| {
                &*field.name == name && !matches!(field.role, FieldRole::Time | FieldRole::Sensor)
            })
        };
        let rename = |name: &str| format!("choose another name: rename = {{ {name} = \"…\" }}");
        if self.made_time.is_some() && clashes(TIME) {
            let what = format!("`{file}` has a column `{TIME}`, the name of the composite time column");
            return Err(Error::config(what).with_help(rename(TIME)));
        }
        if self.made_sensor.is_some() && clashes(SENSOR) {
            let what = format!("`{file}` has a column `{SENSOR}`, the name of the composite sensor column");
            return Err(Error::config(what).with_help(rename(SENSOR)));
        }
        if self.options.sensor.is_none() && clashes(SENSOR) {
            return Err(Error::config(format!(
                "`{file}` has a column `sensor`, but the option `sensor` is not set"
            ))
            .with_help("set sensor = \"sensor\""));
        }
        Ok(())
    }
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known == name)
}

/// Whether a column of this type is a measurement by default. Booleans are excluded: they mostly describe measurements.
fn is_measured(ty: FieldType) -> bool {
    ty == FieldType::F64 || ty.is_integer()
}
