//! `frame`: a polars `DataFrame`, in code only.

use std::sync::{Arc, Mutex, PoisonError};

use polars::chunked_array::builder::CategoricalChunkedBuilder;
use polars::prelude::{
    BooleanChunkedBuilder, Categorical32Type, CategoricalMapping, Categories, ChunkedBuilder,
    Column as PolarsColumn, DataFrame, DataType, Float64Type, Int64Type, IntoColumn, PlSmallStr, PolarsError,
    PrimitiveChunkedBuilder, StringChunkedBuilder, TimeUnit, TimeZone, UInt64Type,
};

use super::{Outset, Repeat, Sink, SinkSpec};
use crate::batch::{Batch, Column, Field, FieldRole, FieldType, Schema, Text};
use crate::error::{Error, Result};
use crate::sensor::{PerSensor, SensorId, Sensors};

/// A polars `DataFrame` in memory, there once the run has ended well; until then, and after a run that failed, what
/// [`FrameHandle::take`] gives is what an earlier run left.
///
/// | column | becomes |
/// |---|---|
/// | [`FieldRole::Time`] | `Datetime` in nanoseconds, UTC |
/// | [`FieldRole::Sensor`] | `Categorical` of polars' global categories |
/// | any other of [`FieldType::F64`], `I64`, `U64` | `Float64`, `Int64`, `UInt64`, null where missing |
/// | [`FieldType::Bool`] | `Boolean`, null where missing |
/// | [`FieldType::Text`] | `String`, null where missing |
///
/// All records are kept in memory: this sink is for results that fit there.
#[derive(Clone, Default)]
pub struct Frame {
    result: FrameHandle,
}

/// Where a [`Frame`] puts its result.
#[derive(Clone, Default)]
pub struct FrameHandle(Arc<Mutex<Option<DataFrame>>>);

impl Frame {
    /// A frame to be.
    pub fn new() -> Self {
        Self::default()
    }

    /// The way to the result, to be kept while the pipeline has the sink.
    pub fn handle(&self) -> FrameHandle {
        self.result.clone()
    }
}

impl FrameHandle {
    /// The frame of the last run that ended well; `None` where there was none, or where it has been taken.
    pub fn take(&self) -> Option<DataFrame> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, frame: DataFrame) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(frame);
    }
}

impl SinkSpec for Frame {
    fn name(&self) -> &str {
        "frame"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn open(&self, schema: &Arc<Schema>, _outset: &Outset) -> Result<Box<dyn Sink>> {
        let columns = schema.fields().iter().map(Growing::new).collect();
        Ok(Box::new(Open { columns, rows: 0, finished: None, result: self.handle() }))
    }
}

/// The sink in use.
struct Open {
    columns: Vec<Growing>,
    rows: usize,
    /// From the flush to the commit.
    finished: Option<DataFrame>,
    result: FrameHandle,
}

impl Sink for Open {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        for (growing, column) in self.columns.iter_mut().zip(batch.columns()) {
            growing.append(column, &batch.text, sensors)?;
        }
        self.rows += batch.len();
        Ok(())
    }

    fn give_up(&mut self, gone: &[SensorId]) -> Result<()> {
        for column in &mut self.columns {
            if let Growing::Sensor(column) = column {
                for &id in gone {
                    column.known.remove(id);
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.finished.is_none() {
            let columns = self.columns.drain(..).map(Growing::finish).collect();
            self.finished = Some(DataFrame::new(self.rows, columns).map_err(broken)?);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.flush()?;
        self.finished.take().into_iter().for_each(|frame| self.result.put(frame));
        Ok(Vec::new())
    }
}

/// A column of the frame while records come in.
enum Growing {
    Time(PrimitiveChunkedBuilder<Int64Type>),
    Sensor(SensorColumn),
    F64(PrimitiveChunkedBuilder<Float64Type>),
    I64(PrimitiveChunkedBuilder<Int64Type>),
    U64(PrimitiveChunkedBuilder<UInt64Type>),
    Bool(BooleanChunkedBuilder),
    Text(StringChunkedBuilder),
}

impl Growing {
    fn new(field: &Field) -> Self {
        let name = PlSmallStr::from_str(&field.name);
        match (field.role, field.ty) {
            (FieldRole::Time, _) => Self::Time(PrimitiveChunkedBuilder::new(name, 0)),
            (FieldRole::Sensor, _) => Self::Sensor(SensorColumn::new(name)),
            (_, FieldType::F64) => Self::F64(PrimitiveChunkedBuilder::new(name, 0)),
            (_, FieldType::I64) => Self::I64(PrimitiveChunkedBuilder::new(name, 0)),
            (_, FieldType::U64) => Self::U64(PrimitiveChunkedBuilder::new(name, 0)),
            (_, FieldType::Bool) => Self::Bool(BooleanChunkedBuilder::new(name, 0)),
            _ => Self::Text(StringChunkedBuilder::new(name, 0)),
        }
    }

    fn append(&mut self, column: &Column, text: &Text, sensors: &Sensors) -> Result<()> {
        match (self, column) {
            (Self::Time(builder), Column::Time(times)) => {
                times.values.iter().for_each(|time| builder.append_value(time.as_nanos()));
            }
            (Self::Sensor(builder), Column::Sensor(ids)) => builder.append(ids, sensors)?,
            (Self::F64(builder), Column::F64(numbers)) => {
                numbers.iter().for_each(|value| builder.append_option(value));
            }
            (Self::I64(builder), Column::I64(numbers)) => {
                numbers.iter().for_each(|value| builder.append_option(value));
            }
            (Self::U64(builder), Column::U64(numbers)) => {
                numbers.iter().for_each(|value| builder.append_option(value));
            }
            (Self::Bool(builder), Column::Bool(booleans)) => {
                booleans.iter().for_each(|value| builder.append_option(value));
            }
            (Self::Text(builder), Column::Text(spans)) => {
                let texts = spans.iter().map(|&span| text.get(span).map(String::from_utf8_lossy));
                texts.for_each(|text| builder.append_option(text.as_deref()));
            }
            (_, column) => {
                return Err(Error::internal(format!(
                    "a {} column that was not announced",
                    column.value_type().as_str()
                )));
            }
        }
        Ok(())
    }

    fn finish(self) -> PolarsColumn {
        match self {
            Self::Time(builder) => {
                builder.finish().into_datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC)).into_column()
            }
            Self::Sensor(column) => column.builder.finish().into_column(),
            Self::F64(builder) => builder.finish().into_column(),
            Self::I64(builder) => builder.finish().into_column(),
            Self::U64(builder) => builder.finish().into_column(),
            Self::Bool(builder) => builder.finish().into_column(),
            Self::Text(builder) => builder.finish().into_column(),
        }
    }
}

/// The sensor column: each name is looked up once.
struct SensorColumn {
    builder: CategoricalChunkedBuilder<Categorical32Type>,
    categories: Arc<CategoricalMapping>,
    /// Category by sensor.
    known: PerSensor<u32>,
}

impl SensorColumn {
    fn new(name: PlSmallStr) -> Self {
        let global = Categories::global();
        // The builder has the same table, which lives as long as somebody holds it.
        let categories = global.mapping();
        let builder = CategoricalChunkedBuilder::new(name, DataType::from_categories(global));
        Self { builder, categories, known: PerSensor::default() }
    }

    fn append(&mut self, ids: &[SensorId], sensors: &Sensors) -> Result<()> {
        for &id in ids {
            let category = match self.known.get(id) {
                Some(&category) => category,
                None => {
                    let category = self.categories.insert_cat(sensors.name(id)).map_err(broken)?;
                    *self.known.get_or_insert_with(id, || category)
                }
            };
            self.builder.append_cat(category, &self.categories).map_err(broken)?;
        }
        Ok(())
    }
}

fn broken(error: PolarsError) -> Error {
    Error::internal(format!("the frame cannot be made: {error}"))
}
