//! InfluxDB line protocol: `table,tag=value field=value time`, one record per line.
//!
//! The time is always the timestamp; the sensor comes from tags or from the options, or is the whole series. Numeric fields are
//! measurements; all other fields, the tags and the table's name are text.

mod columns;
mod decode;
mod decoder;
mod first_records;
mod line;
mod options;
#[cfg(test)]
mod published_tests;
mod reference;
mod sample;
mod shapes;
mod stamp;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::columns::{ColumnOptions, Columns, Role, Roles, SAMPLE};
use super::file_columns::FileColumns;
use super::jsonl::UnknownFields;
use super::keys::byte_order_mark;
use super::{BoundFormat, Format, Head};
use crate::batch::Schema;
use crate::error::{Error, Result};

use columns::check_named_once;
use decoder::InfluxDecoder;
pub use first_records::{FirstRecords, first_records};
pub use options::{InfluxOptions, MissingTime, Precision};
use sample::KeySample;

/// The line protocol format.
#[derive(Clone, Debug)]
pub struct Influx {
    options: InfluxOptions,
    columns: Columns,
    sensors: SensorsAre,
    origins: bool,
}

/// The source of a record's sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SensorsAre {
    /// The table and the tags, as written.
    Series,
    /// One or several tags.
    Tags,
    /// The single sensor that the options name.
    Named,
    /// The name of the file.
    Files,
}

impl Influx {
    /// Validates the options.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn new(options: &InfluxOptions) -> Result<Self> {
        if options.columns.is_some() && options.texts.is_some() {
            return Err(Error::config("`columns` and `texts` are mutually exclusive")
                .with_help("list the text columns in `columns`, too"));
        }
        let columns = ColumnOptions {
            time: Some(options.time.as_str().into()),
            time_format: options.precision.name().into(),
            sensor: options.sensor.clone(),
            sensor_name: options.sensor_name.clone(),
            measurements: options.measurements.clone(),
            types: options.types.clone(),
            units: options.units.clone(),
            columns: options.columns.clone(),
            rename: options.rename.clone(),
            unknown_columns: options.unknown_columns,
            unpivot: options.unpivot.clone(),
            null_values: options.null_values.clone(),
            true_words: options.true_words.clone(),
            false_words: options.false_words.clone(),
            ..ColumnOptions::default()
        };
        columns.check_named_fields("line protocol")?;
        let sensors = match (&options.sensor, &options.sensor_name) {
            (Some(_), _) => SensorsAre::Tags,
            (None, Some(_)) => SensorsAre::Named,
            (None, None) => SensorsAre::Series,
        };
        let columns = Columns::new(&columns)?;
        check_named_once(options, &columns)?;
        Ok(Self { options: options.clone(), columns, sensors, origins: false })
    }

    /// The same format with sensors named after the input's files, unless the options define them.
    pub fn with_sensors_of_files(mut self) -> Self {
        if self.sensors == SensorsAre::Series {
            self.sensors = SensorsAre::Files;
        }
        self
    }

    /// Checks that `unpivot` keeps the sensors of different records distinct.
    ///
    /// # Errors
    /// A configuration error if it does not.
    pub fn check_unpivot(&self) -> Result<()> {
        match (&self.options.unpivot, self.sensors) {
            (Some(unpivot), SensorsAre::Series) => unpivot.check_sensors(),
            _ => Ok(()),
        }
    }

    /// Whether batches carry the origin of their records.
    pub fn with_origins(mut self, origins: bool) -> Self {
        self.origins = origins;
        self
    }

    fn decoder(&self, stem: &str, schema: &Arc<Schema>) -> InfluxDecoder {
        let is_series = self.sensors == SensorsAre::Series;
        let series = is_series.then(|| schema.sensor());
        let (mut keys, mut roles, mut table) = (Vec::<Box<[u8]>>::new(), Vec::new(), None);
        let table_name = Some(&self.options.table).filter(|table| !table.is_empty());
        let table_name = table_name.map(|table| self.columns.written_name(table));
        for (key, role) in self.columns.keys(schema) {
            match role {
                // Its index is not among those of the keys.
                Role::Time(_) => {}
                role if table_name.as_ref() == Some(&key) => table = Some(role),
                role => {
                    keys.push(key.into_bytes().into());
                    roles.push(role);
                }
            }
        }
        let time = schema.time().unwrap_or_default();
        roles.push(Role::Time(time));
        roles.extend(series.map(Role::Sensor));
        roles.extend(table);
        let roles = Roles { fields: roles, missing: Vec::new() };
        let mut layout = FileColumns::new(&self.columns, schema, roles, stem, self.origins);
        if is_series {
            layout.sensor = None;
        }
        let ignore_unknown = self.options.unknown_fields == UnknownFields::Ignore;
        let unit = self.options.precision.nanos();
        let missing_time = self.options.missing_time;
        InfluxDecoder { keys, ignore_unknown, missing_time, unit, time, series, table, layout }
    }
}

impl Format for Influx {
    fn knows_columns(&self, head: Head<'_>, records: usize) -> bool {
        self.knows_names() || KeySample::has(head, records.max(1), &self.columns, &self.sought())
    }

    fn declared(&self, name: &str) -> Result<Option<Schema>> {
        let is_said = self.knows_names() || self.options.measurements.is_some();
        is_said.then(|| self.schema_of_options(Head::unseen(name))).transpose()
    }

    fn can_bind(&self, head: Head<'_>) -> bool {
        // A byte order mark may be incomplete.
        head.bytes.len() >= 3
    }

    fn records_name_fields(&self) -> bool {
        true
    }

    fn naming_options(&self) -> &'static str {
        "`measurements`, and `texts` or `columns`"
    }

    fn names_sensors_after_files(&self) -> bool {
        self.sensors == SensorsAre::Files
    }

    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        if head.bytes.is_empty()
            && let Some(schema) = self.declared(head.name)?
        {
            return Ok(schema);
        }
        let found = KeySample::of(head, &self.columns, &self.sought());
        if self.knows_names() {
            // Live input may have had few records so far.
            let is_enough = head.is_whole || KeySample::has(head, SAMPLE, &self.columns, &None);
            found.iter().filter(|_| is_enough).for_each(|found| self.check_there(found));
            return self.schema_of_options(head);
        }
        let found = found?;
        self.without_globs(&found)?.schema_of_sample(head, &found)
    }

    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<BoundFormat> {
        let decoder = Arc::new(self.decoder(head.stem, schema));
        Ok(BoundFormat { decoder, skip_bytes: byte_order_mark(head.bytes), skip_lines: 0 })
    }

    fn columns(&self) -> &Columns {
        &self.columns
    }
}
