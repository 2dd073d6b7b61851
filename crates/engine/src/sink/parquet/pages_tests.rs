//! Pages written here are read by `arrow-rs` and have the statistics and page indexes that `arrow-rs` itself writes.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::*;
use crate::sink::parquet::dictionary::{self, LARGEST, LONGEST};
use crate::sink::parquet::split;

/// A column of numbers or names, in parts.
enum Parts {
    Numbers(Vec<Float64Array>),
    Split(Vec<Float64Array>),
    Names(Vec<DictionaryArray<Int32Type>>),
}

impl Parts {
    fn whole(&self) -> ArrayRef {
        let parts: Vec<&dyn Array> = match self {
            Self::Numbers(parts) | Self::Split(parts) => parts.iter().map(|part| part as _).collect(),
            Self::Names(parts) => parts.iter().map(|part| part as _).collect(),
        };
        arrow_select::concat::concat(&parts).expect("one column")
    }

    fn chunk(&self, column: &ColumnDescPtr) -> Result<Option<ColumnChunk>> {
        let level = ZstdLevel::default();
        match self {
            Self::Numbers(parts) => dictionary::numbers(column, level, &parts.iter().collect::<Vec<_>>()),
            Self::Split(parts) => split::numbers(column, level, &parts.iter().collect::<Vec<_>>()).map(Some),
            Self::Names(parts) => dictionary::names(column, level, &parts.iter().collect::<Vec<_>>()),
        }
    }
}

/// Writes a file of one column, with our encoder or `arrow-rs` alone; returns its metadata and the column as text.
fn read_back(parts: &Parts, is_ours: bool) -> (Arc<ParquetMetaData>, Vec<String>) {
    let batch = RecordBatch::try_from_iter([("v", parts.whole())]).expect("a batch");
    let properties =
        WriterProperties::builder().set_data_page_row_count_limit(PAGE).set_write_batch_size(PAGE);
    let properties = properties.set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
    let bytes = if is_ours {
        let (mut writer, _) = writer.into_serialized_writer().expect("a writer");
        let chunk = parts.chunk(&writer.schema_descr().column(0)).expect("encoded").expect("a dictionary");
        let mut group = writer.next_row_group().expect("a group");
        chunk.append_to_row_group(&mut group).expect("appended");
        group.close().expect("closed");
        writer.into_inner().expect("a file")
    } else {
        writer.write(&batch).expect("written");
        writer.into_inner().expect("a file")
    };
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(Bytes::from(bytes), options);
    let reader = reader.expect("Parquet");
    let metadata = Arc::clone(reader.metadata());
    let batches = reader.build().expect("a reader").map(|batch| batch.expect("records"));
    let values = batches.flat_map(|batch| {
        let array = Arc::clone(batch.column(0));
        (0..array.len()).map(move |row| shown(&array, row)).collect::<Vec<_>>()
    });
    (metadata, values.collect())
}

fn shown(array: &ArrayRef, row: usize) -> String {
    match array.as_any().downcast_ref::<Float64Array>() {
        Some(numbers) if numbers.is_null(row) => "null".into(),
        Some(numbers) => format!("{:x}", numbers.value(row).to_bits()),
        None => arrow_cast::display::array_value_to_string(array, row).expect("text"),
    }
}

/// For each page: its offset, extremes and number of nulls.
fn pages(metadata: &ParquetMetaData) -> Vec<String> {
    let rows = metadata.offset_index().expect("an index")[0][0].page_locations().iter();
    let rows: Vec<_> = rows.map(|page| page.first_row_index).collect();
    let index = &metadata.column_index().expect("an index")[0][0];
    let page = |at: usize| match index {
        ColumnIndexMetaData::DOUBLE(pages) => {
            format!("{:?} {:?} {:?}", pages.min_value(at), pages.max_value(at), index.null_count(at))
        }
        ColumnIndexMetaData::BYTE_ARRAY(pages) => {
            format!("{:?} {:?} {:?}", pages.min_value(at), pages.max_value(at), index.null_count(at))
        }
        _ => "nothing".to_owned(),
    };
    rows.iter().enumerate().map(|(at, row)| format!("{row} {}", page(at))).collect()
}

fn check(parts: &Parts) -> std::result::Result<(), TestCaseError> {
    let (ours, values) = read_back(parts, true);
    let (theirs, expected) = read_back(parts, false);
    prop_assert_eq!(values, expected);
    let statistics =
        |metadata: &ParquetMetaData| format!("{:?}", metadata.row_group(0).column(0).statistics());
    prop_assert_eq!(statistics(&ours), statistics(&theirs));
    prop_assert_eq!(pages(&ours), pages(&theirs));
    Ok(())
}

fn number() -> impl Strategy<Value = Option<f64>> {
    let special = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5];
    prop_oneof![
        4 => (0..40_i32).prop_map(|at| Some(f64::from(at) / 8.0)),
        1 => any::<f64>().prop_map(Some),
        1 => proptest::sample::select(special.to_vec()).prop_map(Some),
        1 => Just(None),
    ]
}

/// Numbers of one kind a part, so that there are pages of nulls, of NaN and of one value.
fn part() -> impl Strategy<Value = Float64Array> {
    let alike = (number(), 1..300_usize).prop_map(|(number, count)| vec![number; count]);
    prop_oneof![alike, proptest::collection::vec(number(), 1..300)].prop_map(Float64Array::from)
}

proptest! {
    #[test]
    fn numbers_read_back_with_the_statistics_of_arrow(parts in proptest::collection::vec(part(), 1..5)) {
        check(&Parts::Numbers(parts.clone()))?;
        check(&Parts::Split(parts))?;
    }

    #[test]
    fn names_read_back_with_the_statistics_of_arrow(
        parts in proptest::collection::vec(proptest::collection::vec("[a-c]{0,2}|temp-[0-9]{2}|é{1,32}", 1..300), 1..4),
    ) {
        check(&Parts::Names(parts.iter().map(|names| names.iter().map(|name| &**name).collect()).collect()))?;
    }
}

proptest! {
    #[test]
    fn parts_cut_anywhere_give_the_same_bytes(
        names in proptest::collection::vec("[a-c]{0,2}|temp-[0-9]{2}", 2..300), has_long in any::<bool>(), part in part(), cut in any::<proptest::sample::Index>(),
    ) {
        let bytes = |parts: Parts| {
            let batch = RecordBatch::try_from_iter([("v", parts.whole())]).expect("a batch");
            let writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
            let (writer, _) = writer.into_serialized_writer().expect("a writer");
            let chunk = parts.chunk(&writer.schema_descr().column(0)).expect("no error");
            chunk.map(|chunk| (chunk.bytes, format!("{:?}", chunk.close.metadata)))
        };
        let at = cut.index(names.len());
        let long = has_long.then(|| "x".repeat(LONGEST + 1));
        let names: Vec<String> = names.into_iter().chain(long).collect();
        let array = |names: &[String]| names.iter().map(|name| &**name).collect::<DictionaryArray<Int32Type>>();
        let whole = array(&names);
        let (front, back) = (whole.slice(0, at), whole.slice(at, names.len() - at));
        // Neither depends on the other.
        prop_assert_eq!(bytes(Parts::Names(vec![front.clone()])), bytes(Parts::Names(vec![array(&names[..at])])));
        prop_assert_eq!(bytes(Parts::Names(vec![back.clone()])), bytes(Parts::Names(vec![array(&names[at..])])));
        prop_assert_eq!(bytes(Parts::Names(vec![front, back])), bytes(Parts::Names(vec![whole])));
        let at = cut.index(part.len());
        let cut_part = vec![part.slice(0, at), part.slice(at, part.len() - at)];
        prop_assert_eq!(bytes(Parts::Numbers(cut_part.clone())), bytes(Parts::Numbers(vec![part.clone()])));
        prop_assert_eq!(bytes(Parts::Split(cut_part)), bytes(Parts::Split(vec![part])));
    }
}

#[test]
fn what_a_dictionary_does_not_suit_is_left_to_others() {
    let column = |parts: &Parts| {
        let batch = RecordBatch::try_from_iter([("v", parts.whole())]).expect("a batch");
        let writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
        let (writer, _) = writer.into_serialized_writer().expect("a writer");
        parts.chunk(&writer.schema_descr().column(0)).expect("no error")
    };
    let long = "x".repeat(LONGEST + 1);
    assert!(column(&Parts::Names(vec![[&*long].into_iter().collect()])).is_none());
    let many = (0..=LARGEST / 8).map(|at| at as f64);
    assert!(column(&Parts::Numbers(vec![Float64Array::from_iter_values(many)])).is_none());
}
