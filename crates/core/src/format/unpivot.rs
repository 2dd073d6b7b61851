//! Wide to long: every measurement of a record becomes a record with its own sensor (clause 1). A decoder around another one.

use std::sync::Arc;

use super::columns::{Columns, SAMPLE, Unpivot};
use super::unpivot_known::KnownSensors;
use super::{BoundFormat, Decode, Format, Head, LineFormat};
use crate::batch::{Batch, Column, Field, FieldRole, FieldType, Schema};
use crate::error::{Error, Rejection, Result};
use crate::format::{Chunk, Decoded};
use crate::sensor::{MAX_NAME, SensorId, SensorLimits, SensorLookup, Sensors, Surplus};

/// The format, with unpivoting if its options ask for it.
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
    /// The columns of an input `name` whose records name their fields, if the options name every measurement. They do not depend on the
    /// beginning of the input, so live input decodes like a file.
    fn named(&self, name: &str) -> Result<Option<Schema>> {
        let is_named = self.format.columns().names_every_measurement();
        if is_named { self.format.declared(name) } else { Ok(None) }
    }

    /// The wide columns of a file: the common columns of all files, and its own measurements.
    fn wide(&self, head: Head<'_>, long: &Schema) -> Result<Schema> {
        let is_common = |field: &&Field| field.role != FieldRole::Measurement;
        let own = self.own(head)?;
        let value = long.fields().last().map_or(FieldType::F64, |value| value.ty);
        let measurements = own.fields().iter().filter(|field| field.role == FieldRole::Measurement);
        let measurements = measurements.map(|field| field.clone().with_type(value));
        Schema::new(long.fields().iter().filter(is_common).cloned().chain(measurements).collect())
    }

    /// The wide columns of an input.
    fn own(&self, head: Head<'_>) -> Result<Schema> {
        self.named(head.name)?.map_or_else(|| self.format.schema(head), Ok)
    }

    /// The long columns made of these.
    fn long(&self, wide: &Schema) -> Result<Schema> {
        let others = wide.fields().iter().filter(|field| field.role != FieldRole::Measurement).cloned();
        let types = wide.measurements().into_iter().map(|at| wide.fields()[at].ty);
        let ty = self.columns().common_type(types);
        let value = Field { unit: common_unit(wide), ..Field::measurement(self.options.value.as_str()) };
        let value = value.with_type(ty);
        Schema::new(others.chain([value]).collect()).map_err(|error| {
            Error::config(error.message()).with_help("give the values another name: unpivot.value = \"…\"")
        })
    }
}

/// The one unit that all measurements have, if they do.
fn common_unit(wide: &Schema) -> Option<Arc<str>> {
    let mut units = wide.measurements().into_iter().map(|at| wide.fields()[at].unit.clone());
    let first = units.next()??;
    units.all(|unit| unit.as_ref() == Some(&first)).then_some(first)
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
            // More input cannot correct invalid options.
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
            let what = "for live input whose records name their own fields, `unpivot` needs the name of each column in `measurements`: a glob is not enough";
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

/// Decodes the chunks of one file.
struct Unpivoting {
    wide: Arc<dyn Decode>,
    long: Arc<Schema>,
    /// By long column: the index of the wide column; `None` for the sensor and the value, which are generated.
    from: Vec<Option<usize>>,
    measurements: Vec<UnpivotedColumn>,
    keeps_nulls: bool,
}

/// A measurement that becomes a sensor.
struct UnpivotedColumn {
    at: usize,
    /// The name's text before and after the record's sensor; the whole name if it does not contain the sensor.
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
                    "a column name makes a sensor name of {bytes} bytes; at most {MAX_NAME} are allowed"
                ))
                .with_help("rename the column to a shorter name with `rename`"));
            }
            Ok(UnpivotedColumn { at, name })
        };
        Ok(Self {
            wide,
            from: from.collect(),
            measurements: columns.measurements().into_iter().map(tag).collect::<Result<_>>()?,
            long: Arc::clone(long),
            keeps_nulls: options.nulls == super::columns::UnpivotNulls::Keep,
        })
    }

    /// One record for every measurement of every record of `decoded`, whose sensors `own` knows, and which was decoded from `bytes` bytes.
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
        let mut known = KnownSensors::new(own.len(), self.measurements.len(), bytes);
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

impl UnpivotedColumn {
    fn sensor(&self, of_record: &str) -> String {
        match &self.name {
            (name, None) => name.clone(),
            (before, Some(behind)) => [before, of_record, behind].concat(),
        }
    }
}

/// Renumbers the records of `rejections`, ascending, to count long records; `rows` maps those to wide ones.
fn renumber(rejections: &mut [Rejection], rows: &[u32]) {
    for (before, rejection) in (0..).zip(rejections) {
        let wide = rejection.record - 1 - before;
        rejection.record = rows.partition_point(|&row| u64::from(row) < wide) as u64 + before + 1;
    }
}

/// The sensors of wide records: they are not sensors of the run, so their number is not limited.
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
