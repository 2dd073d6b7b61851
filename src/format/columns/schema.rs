//! The columns of an input, from the names of its first file's fields and what is in its first records.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Columns, listed};
use crate::batch::{Field, FieldKind, Schema};
use crate::error::{Error, Result, nearest};

impl Columns {
    /// The columns of an input whose first file has fields called `names` and begins with the records `sample`.
    ///
    /// # Errors
    /// When a column that the options name is not there, or two have one name.
    pub fn schema(&self, file: &str, names: &[String], sample: &[Vec<Cow<'_, [u8]>>]) -> Result<Schema> {
        self.schema_of(file, names, |at| self.is_number(at, sample))
    }

    /// The columns of an input that says itself which of its fields called `names` are numbers: `is_number` tells by index.
    ///
    /// # Errors
    /// As for [`Columns::schema`].
    pub fn schema_of(
        &self,
        file: &str,
        names: &[String],
        is_number: impl Fn(usize) -> bool,
    ) -> Result<Schema> {
        check_distinct(file, names)?;
        self.check_named(file, names)?;
        let measurements = self.options.measurements.as_ref();
        let mut fields = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let kind = if self.options.time.as_ref() == Some(name) {
                FieldKind::Time
            } else if self.options.sensor.as_ref() == Some(name) {
                FieldKind::Sensor
            } else if measurements.map_or_else(|| is_number(at), |chosen| chosen.contains(name)) {
                FieldKind::Measurement
            } else {
                FieldKind::Text
            };
            fields.push(Field::new(name.as_str(), kind));
        }
        if self.options.sensor.is_none() {
            check_no_sensor(file, names)?;
            let place = fields.iter().position(|field| field.kind == FieldKind::Time).map_or(0, |at| at + 1);
            fields.insert(place, Field::new("sensor", FieldKind::Sensor));
        }
        Schema::new(fields).map_err(|error| error.with_context(file))
    }

    /// Whether there is something in field `at` of the records, and nothing but numbers.
    fn is_number(&self, at: usize, sample: &[Vec<Cow<'_, [u8]>>]) -> bool {
        let fields = || sample.iter().filter_map(|record| record.get(at)).map(|field| Self::trim(field));
        let mut present = fields().filter(|field| !self.is_null(field)).peekable();
        present.peek().is_some() && present.all(|field| self.number(field).is_some())
    }

    fn check_named(&self, file: &str, names: &[String]) -> Result<()> {
        let options = &self.options;
        let wanted = [("time", &options.time), ("sensor", &options.sensor)];
        let wanted = wanted.iter().filter_map(|(option, name)| Some((*option, name.as_ref()?)));
        let measurements = options.measurements.iter().flatten().map(|name| ("measurements", name));
        for (option, name) in wanted.chain(measurements) {
            if !names.contains(name) {
                let help = match nearest(name, names.iter().map(String::as_str)) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("its columns are {}", listed(names)),
                };
                return Err(Error::config(format!("`{file}` has no column `{name}` (option `{option}`)"))
                    .with_help(help));
            }
        }
        Ok(())
    }
}

/// A column called `sensor` that is not said to be one would clash with the column that is put in.
fn check_no_sensor(file: &str, names: &[String]) -> Result<()> {
    if !names.iter().any(|name| name == "sensor") {
        return Ok(());
    }
    Err(Error::config(format!("`{file}` has a column `sensor`, but the option `sensor` is not set"))
        .with_help("set sensor = \"sensor\""))
}

pub(super) fn check_distinct(file: &str, names: &[String]) -> Result<()> {
    let mut seen = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        if let Some(earlier) = seen.insert(name, at) {
            return Err(Error::data(format!(
                "`{file}` has two columns called `{name}`: numbers {} and {}",
                earlier + 1,
                at + 1
            ))
            .with_help("rename one, or give all names with `header` and `names`"));
        }
    }
    Ok(())
}
