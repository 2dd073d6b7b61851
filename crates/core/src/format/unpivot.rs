//! Wide to long: every measurement of a record becomes a record of a sensor of its own (clause 1). A decoder around another one.

use std::sync::Arc;

use super::columns::{Columns, SAMPLE, Unpivot};
use super::unpivot_known::Known;
use super::{BoundFormat, Decode, Format, Head, LineFormat};
use crate::batch::{Batch, Column, Field, FieldRole, FieldType, Schema};
use crate::error::{Error, Rejection, Result};
use crate::format::{Chunk, Decoded};
use crate::sensor::{MAX_NAME, SensorId, SensorLimits, SensorLookup, Sensors, Surplus};

/// The format with what its options say about unpivoting.
pub fn unpivoted(format: Arc<dyn Format>) -> Arc<dyn Format> {
    match format.columns().unpivot().cloned() {
        Some(options) => Arc::new(Unpivoted { format, options }),
        None => format,
    }
}

/// A format whose measurements become sensors.
struct Unpivoted {
    format: Arc<dyn Format>,
    options: Unpivot,
}

impl Unpivoted {
    /// The columns of input called `name` where its records name their fields and the options name every measurement. What the beginning
    /// of the input has makes no difference to them: live input begins with its first record, and is read as a file is.
    fn named(&self, name: &str) -> Result<Option<Schema>> {
        let is_named = self.format.columns().names_every_measurement();
        if is_named { self.format.declared(name) } else { Ok(None) }
    }

    /// The columns of a file as it is: those that all files have in common, and its own measurements.
    fn wide(&self, head: Head<'_>, long: &Schema) -> Result<Schema> {
        let is_common = |field: &&Field| field.role != FieldRole::Measurement;
        let own = self.own(head)?;
        let value = long.fields().last().map_or(FieldType::F64, |value| value.ty);
        let measurements = own.fields().iter().filter(|field| field.role == FieldRole::Measurement);
        let measurements = measurements.map(|field| field.clone().with_type(value));
        Schema::new(long.fields().iter().filter(is_common).cloned().chain(measurements).collect())
    }

    /// The columns of an input as they are.
    fn own(&self, head: Head<'_>) -> Result<Schema> {
        self.named(head.name)?.map_or_else(|| self.format.schema(head), Ok)
    }

    /// The columns that come of these.
    fn long(&self, wide: &Schema) -> Result<Schema> {
        let others = wide.fields().iter().filter(|field| field.role != FieldRole::Measurement).cloned();
        let types = wide.measurements().into_iter().map(|at| wide.fields()[at].ty);
        let ty = self.columns().common_type(types);
        let value = Field::measurement(self.options.value.as_str()).with_type(ty);
        Schema::new(others.chain([value]).collect()).map_err(|error| {
            Error::config(error.message()).with_help("give the values another name: unpivot.value = \"…\"")
        })
    }
}

impl Format for Unpivoted {
    fn knows_columns(&self, head: Head<'_>, records: usize) -> bool {
        self.format.knows_columns(head, records)
    }

    fn declared(&self, name: &str) -> Result<Option<Schema>> {
        self.format.declared(name)?.map(|wide| self.long(&wide)).transpose()
    }

    fn can_bind(&self, head: Head<'_>) -> bool {
        let are_known = match self.named(head.name) {
            Ok(None) => self.format.knows_columns(head, SAMPLE),
            // What is wrong with the options will not be right when more has come.
            Ok(Some(_)) | Err(_) => true,
        };
        are_known && self.format.can_bind(head)
    }

    fn records_name_fields(&self) -> bool {
        self.format.records_name_fields()
    }

    fn naming_options(&self) -> &'static str {
        self.format.naming_options()
    }

    fn check_streams(&self) -> Result<()> {
        if self.format.records_name_fields() && !self.format.columns().names_every_measurement() {
            let what = "`unpivot` needs the names of all `measurements` of live input whose records name their own fields: a glob is not enough";
            return Err(Error::config(what).with_help("name each one: measurements = [\"TI101\", \"TI102\"]"));
        }
        Ok(())
    }

    fn line_format(&self, head: Head<'_>) -> LineFormat {
        self.format.line_format(head)
    }

    fn names_sensors_after_files(&self) -> bool {
        self.options.sensor.contains("{sensor}") && self.format.names_sensors_after_files()
    }

    fn schema(&self, head: Head<'_>) -> Result<Schema> {
        let wide = self.format.schema(head)?;
        self.long(&self.named(head.name)?.unwrap_or(wide))
    }

    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<BoundFormat> {
        let wide = Arc::new(self.wide(head, schema)?);
        let bound = self.format.bind(head, &wide)?;
        let decoder = Unpivoting::new(bound.decoder, &self.options, &wide, schema)?;
        Ok(BoundFormat { decoder: Arc::new(decoder), ..bound })
    }

    fn columns(&self) -> &Columns {
        self.format.columns()
    }
}

/// Reads the chunks of one file.
struct Unpivoting {
    wide: Arc<dyn Decode>,
    long: Arc<Schema>,
    /// By column of the long records: where it is in the wide ones; `None` for the sensor and the value, which are made.
    from: Vec<Option<usize>>,
    measurements: Vec<Tag>,
    keeps_nulls: bool,
}

/// A measurement that becomes a sensor.
struct Tag {
    at: usize,
    /// What stands before the record's sensor in the name, and what behind it; without a sensor in it, the whole name is the first.
    name: (String, Option<String>),
}

impl Unpivoting {
    fn new(wide: Arc<dyn Decode>, options: &Unpivot, columns: &Schema, long: &Arc<Schema>) -> Result<Self> {
        let is_made = |field: &Field| matches!(field.role, FieldRole::Sensor | FieldRole::Measurement);
        let from = long.fields().iter().map(|field| match is_made(field) {
            true => None,
            false => columns.index_of(&field.name),
        });
        let tag = |at: usize| {
            let column = &columns.fields()[at].name;
            let of = |template: &str| template.replace("{column}", column);
            let name = match options.sensor.split_once("{sensor}") {
                None => (of(&options.sensor), None),
                Some((before, behind)) => (of(before), Some(of(behind))),
            };
            let bytes = name.0.len() + name.1.as_ref().map_or(0, String::len);
            if bytes > MAX_NAME {
                return Err(Error::data(format!(
                    "a column's name makes a sensor's name of {bytes} bytes; at most {MAX_NAME} are taken"
                ))
                .with_help("give the column a shorter name with `rename`"));
            }
            Ok(Tag { at, name })
        };
        Ok(Self {
            wide,
            from: from.collect(),
            measurements: columns.measurements().into_iter().map(tag).collect::<Result<_>>()?,
            long: Arc::clone(long),
            keeps_nulls: options.nulls == super::columns::UnpivotNulls::Keep,
        })
    }

    /// One record for every measurement of every record of `decoded`, whose sensors `own` knows, and which was read from `bytes` bytes.
    fn long(
        &self,
        decoded: Decoded,
        bytes: usize,
        own: &Sensors,
        sensors: &mut dyn SensorLookup,
    ) -> Result<Decoded> {
        let wide = &decoded.batch;
        let most = (wide.len() * self.measurements.len()).min(bytes);
        let (mut rows, mut ids) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let mut values =
            self.long.fields().last().map_or_else(|| Column::F64(Default::default()), Column::empty);
        let mut known = Known::new(own.len(), self.measurements.len(), bytes);
        for (row, sensor) in wide.sensors().iter().enumerate() {
            for (place, tag) in self.measurements.iter().enumerate() {
                let value = wide.columns()[tag.at].number(row);
                if value.is_none() && !self.keeps_nulls {
                    continue;
                }
                let ask = || sensors.id(&tag.sensor(own.name(*sensor)));
                ids.push(known.id(sensor.index(), place, ask)?);
                rows.push(row as u32);
                values.push_number(value);
            }
        }
        let batch = self.spread(wide, &rows, ids, values);
        let mut rejections = decoded.rejections;
        renumber(&mut rejections, &rows);
        Ok(Decoded { batch, rejections, lines: decoded.lines })
    }

    fn spread(&self, wide: &Batch, rows: &[u32], ids: Vec<SensorId>, values: Column) -> Batch {
        // The value is the last column.
        wide.spread(&self.long, rows, &self.from, [Column::Sensor(ids), values])
    }
}

impl Tag {
    fn sensor(&self, of_record: &str) -> String {
        match &self.name {
            (name, None) => name.clone(),
            (before, Some(behind)) => [before, of_record, behind].concat(),
        }
    }
}

/// Counts the records before those of `rejections`, which ascend, as long ones, each of which comes from the wide one in `rows`.
fn renumber(rejections: &mut [Rejection], rows: &[u32]) {
    for (before, rejection) in (0..).zip(rejections) {
        let wide = rejection.record - 1 - before;
        rejection.record = rows.partition_point(|&row| u64::from(row) < wide) as u64 + before + 1;
    }
}

/// The sensors of wide records: they are none of the run's, and no reason to end it.
fn own_sensors() -> Sensors {
    Sensors::new(SensorLimits { surplus: Surplus::Aside, ..SensorLimits::default() })
}

impl Decode for Unpivoting {
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize {
        self.wide.complete(bytes, at_end)
    }

    fn line_format(&self) -> LineFormat {
        self.wide.line_format()
    }

    fn other_header(&self, bytes: &[u8]) -> Option<(usize, String)> {
        self.wide.other_header(bytes)
    }

    fn lines(&self, bytes: &[u8]) -> u64 {
        self.wide.lines(bytes)
    }

    fn beginning(&self) -> &[u8] {
        self.wide.beginning()
    }

    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let mut own = own_sensors();
        let decoded = self.wide.decode(chunk, &mut own)?;
        self.long(decoded, chunk.bytes.len(), &own, sensors)
    }

    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let mut own = own_sensors();
        let decoded = self.wide.decode_by_reference(chunk, &mut own)?;
        self.long(decoded, chunk.bytes.len(), &own, sensors)
    }
}
