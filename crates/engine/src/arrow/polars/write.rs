//! Columns to those of a frame.

use std::sync::Arc;

use polars::chunked_array::builder::CategoricalChunkedBuilder;
use polars::prelude::{
    BooleanChunkedBuilder, Categorical32Type, CategoricalMapping, Categories, ChunkedArray, ChunkedBuilder,
    Column as PolarsColumn, CompatLevel, DataType, Float64Type, Int64Type, IntoColumn, PlSmallStr,
    PolarsDataType, PolarsError, PolarsNumericType, StringChunkedBuilder, TimeUnit, TimeZone, UInt64Type,
};
use polars_buffer::Buffer as PolarsBuffer;
use zerocopy::{FromBytes, IntoBytes};

use crate::batch::{Buffer, Column, Field, FieldRole, FieldType, Mask, Numbers, Text};
use crate::error::{Error, Result};
use crate::sensor::{PerSensor, SensorId, Sensors};
use crate::time::Timestamp;

/// Rows that a piece of a column should have: of fewer, all are put into one.
const PIECE: usize = 8192;

/// A column of the frame while records come in. Values of numbers and times stay where they are where they are shared
/// ([`Batch::share`](crate::batch::Batch::share)): the column has a piece for each batch.
pub(crate) enum ColumnBuilder {
    Time(Pieces<Int64Type>),
    Sensor(SensorColumn),
    F64(Pieces<Float64Type>),
    I64(Pieces<Int64Type>),
    U64(Pieces<UInt64Type>),
    Bool(BooleanChunkedBuilder),
    Text(StringChunkedBuilder),
}

impl ColumnBuilder {
    /// The column that `field` becomes.
    pub(crate) fn new(field: &Field) -> Self {
        let name = PlSmallStr::from_str(&field.name);
        match (field.role, field.ty) {
            (FieldRole::Time, _) => Self::Time(Pieces::new(name)),
            (FieldRole::Sensor, _) => Self::Sensor(SensorColumn::new(name)),
            (_, FieldType::F64) => Self::F64(Pieces::new(name)),
            (_, FieldType::I64) => Self::I64(Pieces::new(name)),
            (_, FieldType::U64) => Self::U64(Pieces::new(name)),
            (_, FieldType::Bool) => Self::Bool(BooleanChunkedBuilder::new(name, 0)),
            _ => Self::Text(StringChunkedBuilder::new(name, 0)),
        }
    }

    /// Appends the values of a batch, whose text is `text`.
    ///
    /// # Errors
    /// An internal error where they are of another type.
    pub(crate) fn append(&mut self, column: &Column, text: &Text, sensors: &Sensors) -> Result<()> {
        match (self, column) {
            (Self::Time(pieces), Column::Time(times)) => {
                pieces.add(PolarsBuffer::from_owner(Nanos(times.values.clone())), None);
            }
            (Self::Sensor(builder), Column::Sensor(ids)) => builder.append(ids, sensors)?,
            (Self::F64(pieces), Column::F64(numbers)) => pieces.add_numbers(numbers),
            (Self::I64(pieces), Column::I64(numbers)) => pieces.add_numbers(numbers),
            (Self::U64(pieces), Column::U64(numbers)) => pieces.add_numbers(numbers),
            (Self::Bool(builder), Column::Bool(booleans)) => {
                booleans.iter().for_each(|value| builder.append_option(value));
            }
            (Self::Text(builder), Column::Text(spans)) => {
                let texts = spans.iter().map(|&span| text.get(span).map(String::from_utf8_lossy));
                texts.for_each(|text| builder.append_option(text.as_deref()));
            }
            (_, column) => {
                return Err(Error::internal(format!(
                    "a column of type {} that was not declared",
                    column.value_type().as_str()
                )));
            }
        }
        Ok(())
    }

    /// Forgets sensors whose ids may be given to others.
    pub(crate) fn give_up(&mut self, gone: &[SensorId]) {
        if let Self::Sensor(column) = self {
            for &id in gone {
                column.known.remove(id);
            }
        }
    }

    /// The column.
    pub(crate) fn finish(self) -> PolarsColumn {
        match self {
            Self::Time(pieces) => {
                pieces.finish().into_datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC)).into_column()
            }
            Self::Sensor(column) => column.builder.finish().into_column(),
            Self::F64(pieces) => pieces.finish().into_column(),
            Self::I64(pieces) => pieces.finish().into_column(),
            Self::U64(pieces) => pieces.finish().into_column(),
            Self::Bool(builder) => builder.finish().into_column(),
            Self::Text(builder) => builder.finish().into_column(),
        }
    }
}

/// A column of numbers, one piece a batch.
pub(crate) struct Pieces<T: PolarsNumericType> {
    name: PlSmallStr,
    pieces: Vec<<T as PolarsDataType>::Array>,
    rows: usize,
}

impl<T: PolarsNumericType> Pieces<T> {
    fn new(name: PlSmallStr) -> Self {
        Self { name, pieces: Vec::new(), rows: 0 }
    }

    fn add_numbers(&mut self, numbers: &Numbers<T::Native>)
    where
        T::Native: Copy + Default + Send + Sync,
    {
        let valid = (!numbers.valid.is_all_set()).then_some(&numbers.valid);
        self.add(PolarsBuffer::from_owner(numbers.values.clone()), valid);
    }

    fn add(&mut self, values: PolarsBuffer<T::Native>, valid: Option<&Mask>) {
        self.rows += values.len();
        let kind = T::get_static_dtype().to_arrow(CompatLevel::newest());
        let valid = valid.map(|valid| valid.iter().collect());
        self.pieces.push(<T as PolarsDataType>::Array::new(kind, values, valid));
    }

    fn finish(self) -> ChunkedArray<T> {
        let Self { name, pieces, rows } = self;
        if pieces.is_empty() {
            return ChunkedArray::from_vec(name, Vec::new());
        }
        let is_small = rows / pieces.len() < PIECE;
        let column = ChunkedArray::from_chunk_iter(name, pieces);
        if is_small { column.rechunk().into_owned() } else { column }
    }
}

/// Times as the nanoseconds that they are.
struct Nanos(Buffer<Timestamp>);

impl AsRef<[i64]> for Nanos {
    fn as_ref(&self) -> &[i64] {
        // A time is laid out as an integer is, so this never fails.
        <[i64]>::ref_from_bytes(<[Timestamp]>::as_bytes(&self.0)).unwrap_or_default()
    }
}

/// The sensor column: each name is looked up once.
pub(crate) struct SensorColumn {
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

pub(crate) fn broken(error: PolarsError) -> Error {
    Error::internal(format!("cannot build a DataFrame: {error}"))
}
