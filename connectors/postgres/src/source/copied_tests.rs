//! Rows as the server sends them, in any pieces.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;

use super::*;
use crate::value::{Losses, Value, write, write_null};

fn column(name: &str, kind: Option<Kind>) -> InputColumn {
    InputColumn { name: name.into(), kind: kind.map(Kind::code) }
}

fn columns() -> Vec<InputColumn> {
    let kinds = [
        Some(Kind::Bool),
        Some(Kind::Int2),
        Some(Kind::Float4),
        Some(Kind::Numeric),
        Some(Kind::Timestamptz),
        None,
    ];
    kinds.into_iter().enumerate().map(|(at, kind)| column(&format!("c{at}"), kind)).collect()
}

/// `count` rows with all values, or with nulls alone.
fn stream(count: usize, is_null: bool) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.extend_from_slice(&[0; 8]);
    let texts: Vec<_> = (0..count).map(|row| format!("row {row}")).collect();
    for (row, text) in texts.iter().enumerate() {
        out.extend_from_slice(&[0, 6]);
        let values = [
            Value::Bool(row % 2 == 0),
            Value::I64(row as i64 - 2),
            Value::F64(row as f64 / 2.0),
            Value::F64(row as f64 / 10.0),
            Value::Time(row as i64 * 1000),
            Value::Text(text.as_bytes()),
        ];
        for (value, column) in values.into_iter().zip(columns()) {
            if is_null {
                write_null(&mut out);
            } else {
                write(value, column.kind(), &mut Losses::default(), &mut out).expect("fits");
            }
        }
    }
    out.extend_from_slice(&[255, 255]);
    out
}

fn read(stream: &[u8], cuts: &[usize]) -> Result<RecordBatch> {
    let (mut cutter, mut rows) = (Cutter::default(), Rows::new(&columns()));
    let mut begin = 0;
    for end in cuts.iter().copied().chain([stream.len()]) {
        let piece = Bytes::copy_from_slice(&stream[begin..end]);
        cutter.cut(piece, 6, |row| rows.push(&row))?;
        begin = end;
    }
    cutter.finish()?;
    rows.take()
}

#[test]
fn values_have_their_types() {
    let batch = read(&stream(3, false), &[]).expect("rows");
    assert_eq!(batch.num_rows(), 3);
    let column = |at: usize| batch.column(at);
    assert_eq!(column(0).as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(true)]);
    assert_eq!(column(1).as_primitive::<Int64Type>().values()[..], [-2, -1, 0]);
    assert_eq!(column(2).as_primitive::<Float32Type>().values()[..], [0.0, 0.5, 1.0]);
    assert_eq!(column(3).as_primitive::<Float64Type>().values()[..], [0.0, 0.1, 0.2]);
    assert_eq!(column(4).as_primitive::<TimestampMicrosecondType>().values()[..], [0, 1, 2]);
    assert_eq!(column(5).as_string::<i32>().value(2), "row 2");
    let nulls = read(&stream(2, true), &[]).expect("rows");
    assert!(nulls.columns().iter().all(|column| column.null_count() == 2));
}

#[test]
fn infinite_times_and_dates_stay_out_of_range() {
    let mut rows = Rows::new(&[column("t", Some(Kind::Timestamptz)), column("d", Some(Kind::Date))]);
    let mut row = vec![0, 0, 0, 8];
    row.extend_from_slice(&i64::MAX.to_be_bytes());
    row.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 1]);
    rows.push(&row).expect("a row");
    let batch = rows.take().expect("a batch");
    assert_eq!(batch.column(0).as_primitive::<TimestampMicrosecondType>().value(0), i64::MAX);
    assert_eq!(batch.column(1).as_primitive::<Date32Type>().value(0), EPOCH_DAY + 1);
}

#[test]
fn the_text_of_the_cursor_is_the_last_field() {
    assert_eq!(last(&[0, 0, 0, 1, 9, 0, 0, 0, 2, b'4', b'2']), Some("42"));
    assert_eq!(last(&[0, 0, 0, 1, 9, 255, 255, 255, 255]), None);
    assert_eq!(last(&[]), None);
}

#[test]
fn what_is_cut_off_or_of_other_columns_is_an_error() {
    let whole = stream(2, false);
    for end in 0..whole.len() - 1 {
        assert!(read(&whole[..end], &[]).is_err(), "{end}");
    }
    let mut other = whole.clone();
    other[HEAD + 1] = 5;
    assert!(read(&other, &[]).is_err());
    let mut flags = whole;
    flags[SIGNATURE.len()] = 1;
    assert!(read(&flags, &[]).is_err());
}

proptest! {
    #[test]
    fn pieces_do_not_matter(count in 0usize..6, cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let stream = stream(count, false);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(read(&stream, &cuts).expect("rows"), read(&stream, &[]).expect("rows"));
    }

    #[test]
    fn any_bytes_are_rows_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, byte: u8) {
        let _either = read(&bytes, &[]);
        let mut stream = stream(3, false);
        let at = at.index(stream.len());
        stream[at] = byte;
        let _either = read(&stream, &[]);
        let mut rows = Rows::new(&columns());
        let _either = rows.push(&bytes);
    }
}
