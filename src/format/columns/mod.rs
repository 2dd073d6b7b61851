//! Which field of a file is which column, and what its text means (clauses 1 to 3), the same for every format.

mod options;
mod roles;
mod schema;
mod shown;
mod times;
mod values;

pub use options::{ColumnOptions, Decimal};
pub use roles::Role;
pub use shown::shown;

use shown::listed;

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
        options::check_named_once(options)?;
        let times = options.times()?;
        Ok(Self { options: options.clone(), times })
    }

    /// Whether the options say which columns are measurements, so that no records have to be looked at.
    pub fn are_named(&self) -> bool {
        self.options.measurements.is_some()
    }

    /// The sensor of a whole file with this stem; `None` where a column has it.
    pub fn file_sensor<'a>(&'a self, stem: &'a str) -> Option<&'a str> {
        match &self.options.sensor {
            Some(_) => None,
            None => Some(self.options.sensor_name.as_deref().unwrap_or(stem)),
        }
    }
}
