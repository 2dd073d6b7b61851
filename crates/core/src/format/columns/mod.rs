//! Which field of a file is which column, and what its text means (clauses 1 to 3), the same for every format.

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
use values::Values;
pub use values::may_be_rounded;

use crate::batch::Pattern;
use crate::error::{Error, Result};
use crate::time::TimeParser;

/// How many records are looked at to tell measurements from text.
pub const SAMPLE: usize = 1000;

/// The options, checked and ready to read fields.
#[derive(Clone, Debug)]
pub struct Columns {
    options: ColumnOptions,
    /// Reads times.
    pub times: TimeParser,
    /// How the time is put together, where it is.
    made_time: Option<Composite>,
    /// How the sensor's name is put together, where it is.
    made_sensor: Option<Composite>,
    selection: Selection,
    values: Values,
    suffixes: Suffixes,
    types: Types,
    remarks: Remarks,
}

impl Columns {
    /// Checks the options.
    ///
    /// # Errors
    /// A configuration error: a time format or zone that is none, options that exclude one another.
    pub fn new(options: &ColumnOptions) -> Result<Self> {
        if options.sensor.is_some() && options.sensor_name.is_some() {
            return Err(Error::config("`sensor` and `sensor_name` exclude one another")
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
            values: Values::new(options)?,
            suffixes: Suffixes::new(options)?,
            types: Types::new(options)?,
            remarks: Remarks::default(),
            options: options.clone(),
        };
        let mark = char::from(columns.decimal_mark());
        columns.values.odd_nulls(options).for_each(|null| {
            columns.remark(format!(
                "{null:?} in `null_values` is no number with decimal = \"{mark}\", and stands for nothing but that text"
            ));
        });
        Ok(columns)
    }

    /// Whether the options say which columns are measurements, so that no records have to be looked at.
    pub fn are_named(&self) -> bool {
        self.options.measurements.is_some()
    }

    /// Whether the options name every measurement, none of them by a glob.
    pub fn names_every_measurement(&self) -> bool {
        let measurements = self.selection.measurements.as_ref();
        measurements.is_some_and(|names| !names.iter().chain(self.types.patterns()).any(Pattern::is_glob))
    }

    /// Whether times may be those of the clocks of a place.
    pub fn may_be_local(&self) -> bool {
        self.times.may_be_local()
    }

    /// The columns that time and sensor come from.
    pub fn own_columns(&self) -> Vec<&str> {
        own_columns(&self.options, self.made_sensor.as_ref())
    }

    /// The fields that records have for sure, where the options name the measurements; as records call them.
    pub fn named_fields(&self) -> Option<Vec<String>> {
        self.selection.measurements.as_ref()?;
        Some(self.fields_of(self.own_columns()))
    }

    /// All fields that the options speak of by name; as records call them.
    pub fn asked_fields(&self) -> Vec<String> {
        let renamed = self.options.rename.values().map(String::as_str);
        self.fields_of(self.own_columns().into_iter().chain(renamed))
    }

    /// The fields that records must have been seen to have before all columns are known, where the options name each one, none of them by a
    /// glob: what else records have is left out. As records call them.
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

    /// `own` and the fields that `measurements`, `types` and `columns` name; as records call them.
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

    /// How measurements become sensors, where they do.
    pub fn unpivot(&self) -> Option<&Unpivot> {
        self.options.unpivot.as_ref()
    }

    /// How the time is put together, where it is.
    pub fn made_time(&self) -> Option<&Composite> {
        self.made_time.as_ref()
    }

    /// How the sensor's name is put together, where it is.
    pub fn made_sensor(&self) -> Option<&Composite> {
        self.made_sensor.as_ref()
    }

    /// The column that is the time.
    fn single_time(&self) -> Option<&str> {
        let is_made = self.made_time.is_some();
        self.options.time.as_ref().filter(|_| !is_made)?.as_slice().first().map(String::as_str)
    }

    /// The column that is the sensor.
    fn single_sensor(&self) -> Option<&str> {
        self.options.sensor.as_deref().filter(|_| self.made_sensor.is_none())
    }

    /// Whether the sensor of a file's records is what the file is called.
    pub fn are_sensors_files(&self) -> bool {
        self.options.sensor.is_none() && self.options.sensor_name.is_none()
    }

    /// The sensor of a whole file with this stem; `None` where a column has it.
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
            Err(Error::config("`time` names no column").with_help("leave it out where there is no time"))
        }
        Some(names @ [_, _, ..]) => Ok(Some(Composite::joined(names))),
        _ => Ok(None),
    }
}

fn made_sensor(options: &ColumnOptions) -> Result<Option<Composite>> {
    let Some(sensor) = &options.sensor else { return Ok(None) };
    Composite::template(sensor).map_err(|why| {
        Error::config(format!("`sensor`: {why}"))
            .with_help("column names stand in braces, such as \"{model}-{id}\"")
    })
}

/// The columns that time and sensor come from.
fn own_columns<'o>(options: &'o ColumnOptions, made_sensor: Option<&'o Composite>) -> Vec<&'o str> {
    let time = options.time.iter().flat_map(|time| time.as_slice()).map(String::as_str);
    match made_sensor {
        Some(made) => time.chain(made.names().iter().map(String::as_str)).collect(),
        None => time.chain(options.sensor.as_deref()).collect(),
    }
}
