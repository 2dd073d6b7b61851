//! Polls as records: one for each device and poll, with a column for each register.

use std::sync::Arc;

use tidemill_engine::batch::{Batch, Column, Field, Origins, Schema, Span, Text, TimeColumn};
use tidemill_engine::error::Result;
use tidemill_engine::sensor::SensorLookup;
use tidemill_engine::time::Timestamp;

use crate::device::Map;
use crate::task::Polled;

/// Makes batches of polls.
pub(crate) struct Records {
    pub(crate) schema: Arc<Schema>,
    /// Whether batches say where records come from.
    origins: bool,
    /// The records so far.
    pub(crate) made: u64,
}

impl Records {
    /// Records with the columns `time`, `sensor`, and one for each register, with its unit.
    ///
    /// # Errors
    /// A configuration error if two registers have the same name, or that of another column.
    pub(crate) fn new(map: &Map, units: &[Option<String>], origins: bool) -> Result<Self> {
        let mut fields = vec![Field::time("time"), Field::sensor("sensor")];
        for ((name, register), unit) in map.names.iter().zip(&map.registers).zip(units) {
            let field = Field::measurement(Arc::clone(name)).with_type(register.field_type());
            fields.push(match unit {
                Some(unit) => field.with_unit(unit.as_str()),
                None => field,
            });
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)?), origins, made: 0 })
    }

    /// The records of `polls`, in their order.
    ///
    /// # Errors
    /// If there are too many sensors.
    pub(crate) fn batch(&mut self, polls: &[Polled], sensors: &mut dyn SensorLookup) -> Result<Batch> {
        let times: Vec<Timestamp> = polls.iter().map(|poll| poll.time).collect();
        let ids = polls.iter().map(|poll| sensors.id(&poll.device)).collect::<Result<Vec<_>>>()?;
        let times = TimeColumn { values: times.into(), text: Vec::new() };
        let mut columns = vec![Column::Time(times), Column::Sensor(ids)];
        for (at, field) in self.schema.fields()[2..].iter().enumerate() {
            let mut column = Column::empty(field);
            polls.iter().for_each(|poll| column.push_number(poll.values[at]));
            columns.push(column);
        }
        let mut batch = Batch::new(Arc::clone(&self.schema), columns, Text::default());
        batch.received = polls.last().map(|poll| poll.received);
        batch.origins = self.origins(polls.len() as u64);
        self.made += polls.len() as u64;
        Ok(batch)
    }

    /// No records, only the time: a tick for stages that go by the clock.
    pub(crate) fn tick(&self, now: Timestamp) -> Batch {
        let mut batch = Batch::empty(Arc::clone(&self.schema));
        batch.received = Some(now);
        batch.origins = self.origins(0);
        batch
    }

    /// The origins of the next records: they are numbered.
    fn origins(&self, count: u64) -> Option<Origins> {
        self.origins.then(|| {
            let mut origins = Origins::of_file("modbus".into());
            (self.made..self.made + count).for_each(|at| origins.push(at + 1, at, Span::NULL));
            origins
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::{Kind, ValueType};
    use crate::scaling::Scaling;
    use crate::testing::register;
    use tidemill_engine::batch::{FieldType, Number};
    use tidemill_engine::sensor::Sensors;

    fn map() -> Map {
        let scaled = crate::register::Register {
            scaling: Some(Scaling::new(0.1, 0.0)),
            ..register(Kind::Holding, 0, ValueType::I16)
        };
        let counter = register(Kind::Input, 0, ValueType::U64);
        let names = ["temp".into(), "energy".into(), "on".into()].into();
        Map { names, registers: vec![scaled, counter, register(Kind::Coil, 0, ValueType::Bool)] }
    }

    #[test]
    fn a_poll_is_a_record_with_a_column_for_each_register() {
        let mut records = Records::new(&map(), &[Some("degC".into()), None, None], true).expect("a schema");
        let types: Vec<_> = records.schema.fields()[2..].iter().map(|field| field.ty).collect();
        assert_eq!(types, [FieldType::F64, FieldType::U64, FieldType::Bool]);
        assert_eq!(records.schema.fields()[2].unit.as_deref(), Some("degC"));
        let at = Timestamp::from_nanos;
        let poll = |device: &str, nanos, values: [Option<Number>; 3]| Polled {
            device: device.into(),
            time: at(nanos),
            received: at(nanos + 1),
            values: values.into(),
        };
        let polls = [
            poll("a", 10, [Some(Number::F64(20.5)), Some(Number::U64(u64::MAX)), Some(Number::Bool(true))]),
            poll("b", 20, [None, Some(Number::U64(1)), None]),
        ];
        let mut sensors = Sensors::default();
        let batch = records.batch(&polls, &mut sensors).expect("a batch");
        let names: Vec<_> = batch.sensors().iter().map(|&id| sensors.name(id)).collect();
        assert_eq!((names, batch.times()), (vec!["a", "b"], Some(&[at(10), at(20)][..])));
        assert_eq!(batch.columns()[3].number(0), Some(Number::U64(u64::MAX)), "exact");
        assert_eq!((batch.columns()[2].number(1), batch.columns()[4].number(1)), (None, None));
        assert_eq!(batch.received, Some(at(21)));
        let next = records.batch(&polls[1..], &mut sensors).expect("a batch");
        assert_eq!(next.origins.map(|origins| origins.position(0).line), Some(3), "records are numbered");
        assert_eq!(records.tick(at(30)).received, Some(at(30)));
    }

    #[test]
    fn names_that_are_taken_are_refused() {
        for name in ["time", "temp"] {
            let mut map = map();
            map.names[1] = name.into();
            let error = Records::new(&map, &[None, None, None], false).err().map(|error| error.to_string());
            assert!(error.is_some_and(|error| error.contains(&format!("two columns are called `{name}`"))));
        }
    }
}
