//! Maps the fields of a file to columns and parses their texts (clauses 1 to 3), the same for every format.

mod composite;
mod names;
mod options;
mod remarks;
mod roles;
mod schema;
mod selection;
mod shown;
mod suffixes;
mod times;
mod types;
mod units;
mod unpivot;
mod values;

pub use composite::Composite;
pub use options::{ColumnOptions, Decimal, Names, UnknownColumns};
pub use roles::{Role, Roles};
pub use shown::shown;
pub use suffixes::Suffix;
pub use unpivot::{Unpivot, UnpivotNulls};

use remarks::Remarks;
use selection::Selection;
pub(in crate::format) use shown::listed;
use suffixes::Suffixes;
use types::Types;
pub use types::not_of_type;
use units::Units;
use values::ValueRules;
pub use values::may_be_rounded;

use crate::batch::Pattern;
use crate::error::{Error, Result};
use crate::time::TimeParser;

/// The number of records sampled to tell measurements from text.
pub const SAMPLE: usize = 1000;

/// The options, validated and compiled for decoding.
#[derive(Clone, Debug)]
pub struct Columns {
    options: ColumnOptions,
    /// Parses times.
    pub times: TimeParser,
    /// The composition of the time, if it is composed of several columns.
    made_time: Option<Composite>,
    /// The composition of the sensor name, if it is composed of several columns.
    made_sensor: Option<Composite>,
    selection: Selection,
    values: ValueRules,
    suffixes: Suffixes,
    types: Types,
    units: Units,
    remarks: Remarks,
}

impl Columns {
    /// Validates the options.
    ///
    /// # Errors
    /// A configuration error: an invalid time format or time zone, or options that are mutually exclusive.
    pub fn new(options: &ColumnOptions) -> Result<Self> {
        if options.sensor.is_some() && options.sensor_name.is_some() {
            return Err(Error::config("`sensor` and `sensor_name` are mutually exclusive")
                .with_help("`sensor` names a column, `sensor_name` is the name of the one sensor"));
        }
        let (made_time, made_sensor) = (made_time(options)?, made_sensor(options)?);
        options::check_named_once(options, &own_columns(options, made_sensor.as_ref()))?;
        names::check_renames(options)?;
        unpivot::check(options)?;
        let times = options.times()?;
        let columns = Self {
            times,
            made_time,
            made_sensor,
            selection: Selection::new(options),
            values: ValueRules::new(options)?,
            suffixes: Suffixes::new(options)?,
            types: Types::new(options)?,
            units: Units::new(options)?,
            remarks: Remarks::default(),
            options: options.clone(),
        };
        let mark = char::from(columns.decimal_mark());
        columns.values.odd_nulls(options).for_each(|null| {
            columns.remark(format!(
                "{null:?} in `null_values` is not a number with decimal = \"{mark}\", so it matches only that exact text"
            ));
        });
        Ok(columns)
    }

    /// Whether the options name the measurements, so that no records have to be sampled.
    pub fn are_named(&self) -> bool {
        self.options.measurements.is_some()
    }

    /// Whether the options name every measurement, without globs.
    pub fn names_every_measurement(&self) -> bool {
        let measurements = self.selection.measurements.as_ref();
        measurements.is_some_and(|names| !names.iter().chain(self.types.patterns()).any(Pattern::is_glob))
    }

    /// Whether times may be local times of a time zone.
    pub fn may_be_local(&self) -> bool {
        self.times.may_be_local()
    }

    /// The columns that the time and the sensor are read from.
    pub fn own_columns(&self) -> Vec<&str> {
        own_columns(&self.options, self.made_sensor.as_ref())
    }

    /// The fields that every record must have if the options name the measurements, under their names in the file.
    pub fn named_fields(&self) -> Option<Vec<String>> {
        self.selection.measurements.as_ref()?;
        Some(self.fields_of(self.own_columns()))
    }

    /// All fields that the options name, under their names in the file.
    pub fn asked_fields(&self) -> Vec<String> {
        let renamed = self.options.rename.values().map(String::as_str);
        self.fields_of(self.own_columns().into_iter().chain(renamed))
    }

    /// The fields that have to be seen before all columns are known, under their names in the file; `None` unless the options name each
    /// column without globs. All other fields are left out.
    pub fn sought_fields(&self) -> Option<Vec<String>> {
        let is_plain = |patterns: &Option<Vec<Pattern>>| {
            patterns.as_ref().is_some_and(|patterns| !patterns.iter().any(Pattern::is_glob))
        };
        let Selection { measurements, columns } = &self.selection;
        let has_suffixes = self.suffixes.patterns().next().is_some();
        let has_globs = self.types.patterns().any(Pattern::is_glob);
        (is_plain(measurements) && is_plain(columns) && !has_suffixes && !has_globs)
            .then(|| self.asked_fields())
    }

    /// `own` and the fields named by `measurements`, `types` and `columns`, under their names in the file.
    fn fields_of<'o>(&'o self, own: impl IntoIterator<Item = &'o str>) -> Vec<String> {
        let Selection { measurements, columns } = &self.selection;
        let selected =
            measurements.iter().flatten().chain(self.types.patterns()).chain(columns.iter().flatten());
        let plain = selected.filter(|pattern| !pattern.is_glob()).map(Pattern::as_str);
        let mut names: Vec<String> = Vec::new();
        for name in own.into_iter().chain(plain) {
            let name = self.written_name(name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The unpivot options, if measurements become sensors.
    pub fn unpivot(&self) -> Option<&Unpivot> {
        self.options.unpivot.as_ref()
    }

    /// The composition of the time, if it is composed.
    pub fn made_time(&self) -> Option<&Composite> {
        self.made_time.as_ref()
    }

    /// The composition of the sensor name, if it is composed.
    pub fn made_sensor(&self) -> Option<&Composite> {
        self.made_sensor.as_ref()
    }

    /// The column with the time, if it is a single one.
    fn single_time(&self) -> Option<&str> {
        let is_made = self.made_time.is_some();
        self.options.time.as_ref().filter(|_| !is_made)?.as_slice().first().map(String::as_str)
    }

    /// The column with the sensor, if it is a single one.
    fn single_sensor(&self) -> Option<&str> {
        self.options.sensor.as_deref().filter(|_| self.made_sensor.is_none())
    }

    /// Whether each file is one sensor, named after the file.
    pub fn are_sensors_files(&self) -> bool {
        self.options.sensor.is_none() && self.options.sensor_name.is_none()
    }

    /// The sensor of a whole file with this stem; `None` if a column has the sensor.
    pub fn file_sensor<'a>(&'a self, stem: &'a str) -> Option<&'a str> {
        match &self.options.sensor {
            Some(_) => None,
            None => Some(self.options.sensor_name.as_deref().unwrap_or(stem)),
        }
    }
}

fn made_time(options: &ColumnOptions) -> Result<Option<Composite>> {
    match options.time.as_ref().map(Names::as_slice) {
        Some([]) => {
            Err(Error::config("`time` names no column").with_help("leave it out if there is no time column"))
        }
        Some(names @ [_, _, ..]) => Ok(Some(Composite::joined(names))),
        _ => Ok(None),
    }
}

fn made_sensor(options: &ColumnOptions) -> Result<Option<Composite>> {
    let Some(sensor) = &options.sensor else { return Ok(None) };
    Composite::template(sensor).map_err(|why| {
        Error::config(format!("`sensor`: {why}"))
            .with_help("write column names in braces, such as \"{model}-{id}\"")
    })
}

/// The columns that the time and the sensor are read from.
fn own_columns<'o>(options: &'o ColumnOptions, made_sensor: Option<&'o Composite>) -> Vec<&'o str> {
    let time = options.time.iter().flat_map(|time| time.as_slice()).map(String::as_str);
    match made_sensor {
        Some(made) => time.chain(made.names().iter().map(String::as_str)).collect(),
        None => time.chain(options.sensor.as_deref()).collect(),
    }
}
