//! Arrow arrays and polars columns from and to columns. Nothing else converts between them.
//!
//! | | |
//! |---|---|
//! | `read` | arrays of the same type as the column, whose memory the column shares |
//! | `convert`, `typed` | all other arrays: narrower numbers, decimals, dates, dictionaries, numbers in text |
//! | `fields`, `records` | record batches as the columns of a source |
//! | `write`, `dictionary` | columns to arrays |
//! | `decode`, `encode` | the same for users of the library |
//! | `shared` | the shared memory |
//! | `polars` | the same for polars |
//!
//! The memory layout of values and validity is Arrow's. `docs/decisions/buffers.md` says what is copied all the same.

pub(crate) mod convert;
mod decode;
mod dictionary;
mod encode;
pub(crate) mod fields;
#[cfg(feature = "polars")]
pub(crate) mod polars;
mod read;
pub(crate) mod records;
mod shared;
pub(crate) mod typed;
mod write;

use std::collections::BTreeMap;

use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema, TimeUnit};

pub use decode::Decoder;
pub use encode::Encoder;
pub(crate) use write::records;

use crate::batch::{Field, FieldRole, FieldType, Schema};

/// The key of the unit in the metadata of Arrow fields.
const UNIT: &str = "unit";
/// The key that others use.
const UNITS: &str = "units";
/// Prefixes of keys that libraries use among themselves.
const LIBRARIES: [&str; 2] = ["ARROW:", "PARQUET:"];

/// The type that values of Arrow's type have as they are: narrower ones widen.
pub(crate) fn field_type(kind: &DataType) -> FieldType {
    match kind {
        DataType::Dictionary(_, values) => field_type(values),
        DataType::RunEndEncoded(_, values) => field_type(values.data_type()),
        DataType::Boolean => FieldType::Bool,
        kind if kind.is_signed_integer() => FieldType::I64,
        kind if kind.is_unsigned_integer() => FieldType::U64,
        kind if kind.is_numeric() => FieldType::F64,
        _ => FieldType::Text,
    }
}

/// The columns of `schema` as Arrow has them.
pub(crate) fn schema(schema: &Schema) -> ArrowSchema {
    ArrowSchema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

fn field(field: &Field) -> ArrowField {
    let ty = match (field.role, field.ty) {
        (FieldRole::Time, _) => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        (FieldRole::Sensor, _) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        (_, FieldType::F64) => DataType::Float64,
        (_, FieldType::I64) => DataType::Int64,
        (_, FieldType::U64) => DataType::UInt64,
        (_, FieldType::Bool) => DataType::Boolean,
        _ => DataType::Utf8,
    };
    // A record that a stage makes, such as one of `silence`, has a time and a sensor.
    let is_nullable = !matches!(field.role, FieldRole::Time | FieldRole::Sensor);
    let unit = field.unit.iter().map(|unit| (UNIT.to_owned(), unit.to_string()));
    let metadata = field.metadata.iter().map(|(key, value)| (key.clone(), value.clone())).chain(unit);
    ArrowField::new(&*field.name, ty, is_nullable).with_metadata(metadata.collect())
}

/// Unit and metadata of an Arrow field, as a measurement of that name.
pub(crate) fn description(field: &ArrowField) -> Field {
    let mut metadata: BTreeMap<String, String> = field.metadata().clone().into_iter().collect();
    let unit = [UNIT, UNITS].iter().find_map(|&key| Some((key, metadata.get(key)?.trim().to_owned())));
    let unit = unit.filter(|(_, unit)| !unit.is_empty());
    unit.iter().for_each(|(key, _)| drop(metadata.remove(*key)));
    // Those are about the file, not about the values.
    metadata.retain(|key, _| !LIBRARIES.iter().any(|prefix| key.starts_with(prefix)));
    Field { unit: unit.map(|(_, unit)| unit.into()), metadata, ..Field::measurement(field.name().as_str()) }
}

#[cfg(test)]
mod sensors_tests;
#[cfg(test)]
mod shared_tests;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::read::column;
    use super::write::array;
    use super::*;
    use crate::batch::{Batch, Column, Numbers, Text};
    use crate::sensor::{SensorId, Sensors};

    /// Everything that a column of numbers says.
    fn said(column: &Column) -> Vec<String> {
        (0..column.len()).map(|row| format!("{:?}", column.number(row))).collect()
    }

    proptest! {
        #[test]
        fn columns_become_arrays_and_arrays_the_same_columns(
            rows in proptest::collection::vec((any::<Option<f64>>(), any::<Option<i64>>(), any::<Option<u64>>(), any::<Option<bool>>()), 0..200),
            cut in any::<proptest::sample::Index>(),
        ) {
            let columns = vec![
                Column::Sensor(vec![SensorId(0); rows.len()]),
                Column::F64(rows.iter().map(|row| row.0).collect()),
                Column::I64(rows.iter().map(|row| row.1).collect()),
                Column::U64(rows.iter().map(|row| row.2).collect()),
                Column::Bool(rows.iter().map(|row| row.3).collect()),
            ];
            let measured = |name: &str, ty| Field::measurement(name).with_type(ty);
            let types = [FieldType::F64, FieldType::I64, FieldType::U64, FieldType::Bool];
            let fields = types.into_iter().map(|ty| measured(ty.as_str(), ty));
            let own = std::iter::once(Field::sensor("s"));
            let all = Arc::new(Schema::new(own.chain(fields).collect()).expect("a schema"));
            let mut sensors = Sensors::default();
            sensors.id("a").expect("room");
            let batch = Batch::new(Arc::clone(&all), columns, Text::default());
            let arrow = schema(&all);
            for (at, ty) in types.into_iter().enumerate() {
                let own = &batch.columns()[at + 1];
                let array = array(&batch, own, &sensors).expect("an array");
                prop_assert_eq!(array.data_type(), arrow.field(at + 1).data_type());
                prop_assert_eq!(said(&column(&array, ty).expect("of its type")), said(own));
                // From the middle of its buffers.
                let from = cut.index(rows.len() + 1);
                let rest = array.slice(from, rows.len() - from);
                prop_assert_eq!(&said(&column(&rest, ty).expect("of its type")), &said(own)[from..]);
            }
        }
    }

    #[test]
    fn a_column_of_another_type_is_none() {
        let numbers = Column::F64(Numbers::all(vec![1.0]));
        let all = Arc::new(Schema::new(vec![Field::sensor("s"), Field::measurement("v")]).expect("a schema"));
        let mut sensors = Sensors::default();
        sensors.id("a").expect("room");
        let batch = Batch::new(all, vec![Column::Sensor(vec![SensorId(0)]), numbers], Text::default());
        let array = array(&batch, &batch.columns()[1], &sensors).expect("an array");
        assert!(column(&array, FieldType::I64).is_none() && column(&array, FieldType::Text).is_none());
    }
}
