//! That columns and arrays are the same memory, and where they cannot be.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, StringArray, TimestampNanosecondArray,
};
use arrow_buffer::{BooleanBuffer, Buffer as ArrowBuffer, NullBuffer, ScalarBuffer};

use super::convert::carried;
use super::read::{column, times};
use super::typed::Typed;
use super::write::array;
use crate::batch::{
    Batch, Bytes, Column, Field, FieldRole, FieldType, Mask, Number, Numbers, Schema, Span, Text, TimeColumn,
};
use crate::format::columns::{ColumnOptions, Columns};
use crate::sensor::{SensorId, Sensors};
use crate::time::Timestamp;

const ROWS: usize = 1024;

/// Bits of which every fifth is clear.
fn bits() -> BooleanBuffer {
    let word =
        |word: usize| (0..64).fold(0, |bits, at| bits | u64::from(!(64 * word + at).is_multiple_of(5)) << at);
    BooleanBuffer::new(ArrowBuffer::from_vec((0..ROWS / 64).map(word).collect::<Vec<u64>>()), 0, ROWS)
}

/// Numbers that are null where those bits are clear, and 0 there.
fn numbers<T: ArrowPrimitiveType>(number: fn(usize) -> T::Native) -> PrimitiveArray<T> {
    let values = (0..ROWS).map(|row| if row % 5 == 0 { T::Native::default() } else { number(row) });
    PrimitiveArray::new(ScalarBuffer::from(values.collect::<Vec<_>>()), Some(NullBuffer::new(bits())))
}

/// One column of each type of numbers that is an array, and the array.
fn arrays() -> [(FieldType, ArrayRef); 4] {
    [
        (FieldType::F64, Arc::new(numbers::<Float64Type>(|row| row as f64 / 3.0))),
        (FieldType::I64, Arc::new(numbers::<Int64Type>(|row| row as i64 - 500))),
        (FieldType::U64, Arc::new(numbers::<UInt64Type>(|row| u64::MAX - row as u64))),
        (FieldType::Bool, Arc::new(BooleanArray::new(bits(), Some(NullBuffer::new(bits()))))),
    ]
}

/// Where the values and the validity of a column are.
fn places(column: &Column) -> (usize, usize) {
    let of = |values: usize, valid: &Mask| (values, valid.words().as_ptr().addr());
    match column {
        Column::Time(times) => (times.values.as_ptr().addr(), 0),
        Column::F64(Numbers { values, valid }) => of(values.as_ptr().addr(), valid),
        Column::I64(Numbers { values, valid }) => of(values.as_ptr().addr(), valid),
        Column::U64(Numbers { values, valid }) => of(values.as_ptr().addr(), valid),
        Column::Bool(booleans) => of(booleans.values.words().as_ptr().addr(), &booleans.valid),
        Column::Sensor(_) | Column::Text(_) => panic!("no values and validity"),
    }
}

/// Where those of an array are.
fn places_of(array: &dyn Array) -> (usize, usize) {
    let of_bits = |bits: &BooleanBuffer| bits.values().as_ptr().addr() + bits.offset() / 8;
    let valid = array.nulls().map_or(0, |nulls| of_bits(nulls.inner()));
    let values = match array.as_boolean_opt() {
        Some(booleans) => of_bits(booleans.values()),
        None => array.to_data().buffers()[0].as_ptr().addr() + 8 * array.to_data().offset(),
    };
    (values, valid)
}

/// What a column of numbers says.
fn said(column: &Column) -> Vec<Option<Number>> {
    (0..column.len()).map(|row| column.number(row)).collect()
}

/// A batch of that column.
fn batch(column: Column) -> Batch {
    let (rows, ty) = (column.len(), column.value_type());
    let field = match &column {
        Column::Time(_) => Field::time("v"),
        _ => Field::new("v", FieldRole::Measurement, ty),
    };
    let schema = Schema::new(vec![Field::sensor("s"), field]).expect("a schema");
    Batch::new(Arc::new(schema), vec![Column::Sensor(vec![SensorId(0); rows]), column], Text::default())
}

fn sensors() -> Sensors {
    let mut sensors = Sensors::default();
    sensors.id("a").expect("room");
    sensors
}

#[test]
fn columns_refer_to_the_memory_of_arrays() {
    for (ty, array) in arrays() {
        for (from, rows) in [(0, ROWS), (64, ROWS - 64), (128, 640)] {
            let part = array.slice(from, rows);
            let column = column(&part, ty).expect("of its type");
            assert_eq!(places(&column), places_of(&part), "{ty:?} from {from}");
        }
    }
    let nanos = TimestampNanosecondArray::from_iter_values(0..1000).with_timezone("UTC");
    for (from, rows) in [(0, 1000), (3, 500)] {
        let part: ArrayRef = Arc::new(nanos.slice(from, rows));
        let column = times(&part).expect("times");
        assert_eq!(places(&column).0, places_of(&part).0);
        let Column::Time(times) = column else { panic!("times") };
        assert_eq!(times.values[0], Timestamp::from_nanos(from as i64));
    }
}

#[test]
fn arrays_refer_to_the_memory_of_shared_columns() {
    let valid = Mask::from_fn(999, |row| row % 7 != 0);
    let numbers = |of: fn(u64) -> u64| (0..999).map(of);
    let columns = [
        Column::F64(Numbers {
            values: numbers(|row| row).map(|row| row as f64).collect(),
            valid: valid.clone(),
        }),
        Column::I64(Numbers {
            values: numbers(|row| row).map(|row| row as i64).collect(),
            valid: valid.clone(),
        }),
        Column::U64(Numbers { values: numbers(|row| row).collect(), valid: valid.clone() }),
        Column::Bool((0..999).map(|row| (row % 7 != 0).then_some(row % 2 == 0)).collect()),
        Column::Time(TimeColumn {
            values: numbers(|row| row).map(|row| Timestamp::from_nanos(row as i64)).collect(),
            text: Vec::new(),
        }),
    ];
    for column in columns {
        let (before, mut batch) = (places(&column), batch(column));
        batch.share();
        let column = &batch.columns()[1];
        assert_eq!(places(column), before, "sharing moves nothing");
        let made = array(&batch, column, &sensors()).expect("an array");
        assert_eq!(places_of(&made), before, "{:?}", column.value_type());
        // What stays of the batch may be changed then; the array is what it was.
        let before = format!("{made:?}");
        let mut changed = batch.clone();
        drop(batch);
        changed.retain(&Mask::from_fn(999, |row| row % 2 == 0));
        assert_eq!((format!("{made:?}"), changed.len()), (before, 500));
    }
}

#[test]
fn an_array_that_goes_through_a_batch_is_the_same_memory() {
    for (ty, given) in arrays() {
        let batch = batch(column(&given, ty).expect("of its type"));
        let made = array(&batch, &batch.columns()[1], &sensors()).expect("an array");
        assert_eq!(places_of(&made), places_of(&given), "{ty:?}");
        assert_eq!(&made, &given);
    }
    let given: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values(0..1000).with_timezone("UTC"));
    let batch = batch(times(&given).expect("times"));
    let made = array(&batch, &batch.columns()[1], &sensors()).expect("an array");
    assert_eq!(places_of(&made), places_of(&given));
    assert_eq!(
        made.as_primitive::<TimestampNanosecondType>(),
        given.as_primitive::<TimestampNanosecondType>()
    );
}

#[test]
fn what_cannot_be_shared_is_copied_and_says_the_same() {
    for (ty, array) in arrays() {
        let whole = said(&column(&array, ty).expect("of its type"));
        // Bits within a byte, bytes within a word, and bits behind the last.
        for (from, rows) in [(3, 100), (8, 640), (64, 100), (ROWS - 1, 1)] {
            let part = array.slice(from, rows);
            let column = column(&part, ty).expect("of its type");
            assert_eq!(said(&column), whole[from..from + rows], "{ty:?} from {from}");
            assert_ne!(places(&column).1, places_of(&part).1);
            if ty != FieldType::Bool {
                assert_eq!(places(&column).0, places_of(&part).0, "its values are shared all the same");
            }
        }
    }
}

#[test]
fn nothing_but_0_stands_in_place_of_a_null() {
    let values = ScalarBuffer::from((0..ROWS).map(|row| row as f64).collect::<Vec<_>>());
    let array: ArrayRef = Arc::new(PrimitiveArray::<Float64Type>::new(values, Some(NullBuffer::new(bits()))));
    let Some(Column::F64(numbers)) = column(&array, FieldType::F64) else { panic!("floats") };
    assert_ne!(numbers.values.as_ptr().addr(), places_of(&array).0);
    let expected = (0..ROWS).map(|row| if row % 5 == 0 { 0.0 } else { row as f64 });
    assert_eq!(&*numbers.values, &*expected.collect::<Vec<_>>());
    assert_eq!(array.as_primitive::<Float64Type>().value(5), 5.0, "the array is what it was");
}

/// The text columns that arrays become, as a source makes them.
fn texts(arrays: &[ArrayRef]) -> Batch {
    let columns = Columns::new(&ColumnOptions::default()).expect("good options");
    let fields = (0..arrays.len()).map(|at| Field::text(format!("t{at}")));
    let schema = Schema::new(std::iter::once(Field::sensor("s")).chain(fields).collect());
    let schema = Arc::new(schema.expect("a schema"));
    let mut typed = Typed::new(&columns, &schema, arrays[0].len());
    for (at, array) in arrays.iter().enumerate() {
        carried(&mut typed, at + 1, array, "test").expect("text");
    }
    typed.one_sensor("a", &mut Sensors::default()).expect("room");
    typed.finish(&"test".into(), 0, false).batch
}

#[test]
fn text_stays_where_it_is_both_ways() {
    let text = |of: &str| -> StringArray {
        (0..100).map(|row| (row % 3 != 0).then(|| format!("{of} {row}{}", "é".repeat(row % 4)))).collect()
    };
    for (from, rows) in [(0, 100), (7, 50), (3, 1)] {
        let given = ["first", "", "third"].map(|of| text(of).slice(from, rows));
        let arrays = given.each_ref().map(|array| Arc::new(array.clone()) as ArrayRef);
        let mut batch = texts(&arrays);
        for (at, given) in given.iter().enumerate() {
            let Column::Text(spans) = &batch.columns()[at + 1] else { panic!("text") };
            for (row, &span) in spans.iter().enumerate() {
                let own = batch.text.get(span).map(|text| (text.as_ptr(), text));
                let theirs = given.is_valid(row).then(|| given.value(row).as_bytes());
                assert_eq!(own, theirs.map(|text| (text.as_ptr(), text)));
            }
            let made = array(&batch, &batch.columns()[at + 1], &sensors()).expect("an array");
            assert_eq!(made.as_string::<i32>(), given);
            let first = (0..rows).find(|&row| given.is_valid(row) && !given.value(row).is_empty());
            if let Some(first) = first {
                assert_eq!(made.as_string::<i32>().value(first).as_ptr(), given.value(first).as_ptr());
            }
        }
        // Where records have gone it is not one piece any more.
        batch.retain(&Mask::from_fn(rows, |row| row % 2 == 0));
        let made = array(&batch, &batch.columns()[1], &sensors()).expect("an array");
        let expected = (0..rows).step_by(2).map(|row| given[0].is_valid(row).then(|| given[0].value(row)));
        assert_eq!(made.as_string::<i32>(), &expected.collect::<StringArray>());
    }
}

#[test]
fn text_that_is_no_utf_8_is_replaced_and_not_shared() {
    let mut batch = texts(&[Arc::new(StringArray::from(vec!["a", "b"]))]);
    batch.text = Text::new(Bytes::new(b"x\xff".to_vec()));
    *batch.column_mut(1) = Column::Text(vec![Span::new(0, 1), Span::new(1, 1)]);
    let made = array(&batch, &batch.columns()[1], &sensors()).expect("an array");
    assert_eq!(made.as_string::<i32>(), &StringArray::from(vec!["x", "\u{fffd}"]));
}
