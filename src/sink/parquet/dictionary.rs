//! Columns with few distinct values: each value once, and for every record its index there (Parquet's dictionary encoding).
//! What is general about a page, its header and the file's metadata, is the `parquet` crate's; only the way to the indices
//! is ours, since that hashes every value of every record.

use std::collections::HashMap;
use std::ops::Range;

use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, Float64Array, StringArray};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::kernel::distinct::Distinct;

/// Records a page: what a reader can skip. Tests are small, and should have several.
const PAGE: usize = if cfg!(test) { 100 } else { 20_000 };
/// The longest text of which the smallest and the largest are told whole.
const LONGEST: usize = 64;
/// Bytes of a dictionary of numbers.
const LARGEST: usize = 2 << 20;

/// An encoded column of one row group.
pub(super) struct DictionaryChunk {
    bytes: Bytes,
    close: ColumnCloseResult,
}

/// A column as indices of distinct values.
struct Indexed<V> {
    /// The distinct values as the dictionary page has them.
    plain: Vec<u8>,
    values: V,
    /// Of every record that has a value.
    indices: Vec<u32>,
    /// Of every record, whether it has one; empty where all have.
    valid: Vec<bool>,
}

/// Distinct values that can be compared.
trait Values {
    fn len(&self) -> usize;

    /// The smallest and the largest of those at `indices`, as bytes; `None` where none can be compared.
    fn extremes(&self, indices: &[u32]) -> Option<[Vec<u8>; 2]>;

    fn statistics(extremes: Option<[Vec<u8>; 2]>, nulls: u64) -> Statistics;
}

/// Doubles, by their bits. NaN is compared with nothing; zeros have no sign.
struct Numbers(Vec<u64>);

impl Values for Numbers {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn extremes(&self, indices: &[u32]) -> Option<[Vec<u8>; 2]> {
        let numbers = indices.iter().map(|&at| f64::from_bits(self.0[at as usize]));
        let [min, max] = numbers.fold([f64::INFINITY, f64::NEG_INFINITY], |[min, max], number| {
            // The comparison is false for NaN.
            [if number < min { number } else { min }, if number > max { number } else { max }]
        });
        // As the format wants it: a reader cannot know which zero it was.
        let min = if min == 0.0 { -0.0 } else { min };
        let max = if max == 0.0 { 0.0 } else { max };
        (min <= max).then(|| [min, max].map(|number: f64| number.to_le_bytes().to_vec()))
    }

    fn statistics(extremes: Option<[Vec<u8>; 2]>, nulls: u64) -> Statistics {
        let number = |bytes: Vec<u8>| bytes.try_into().map(f64::from_le_bytes).ok();
        let [min, max] = extremes.map_or([None, None], |extremes| extremes.map(number));
        Statistics::new(min, max, None, Some(nulls), false)
    }
}

/// Texts, compared byte by byte.
struct Texts(Vec<Box<str>>);

impl Values for Texts {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn extremes(&self, indices: &[u32]) -> Option<[Vec<u8>; 2]> {
        let mut is_there = vec![false; self.0.len()];
        indices.iter().for_each(|&at| is_there[at as usize] = true);
        let texts = || self.0.iter().zip(&is_there).filter(|(_, is_there)| **is_there).map(|(text, _)| text);
        Some([texts().min()?, texts().max()?].map(|text| text.as_bytes().to_vec()))
    }

    fn statistics(extremes: Option<[Vec<u8>; 2]>, nulls: u64) -> Statistics {
        let [min, max] =
            extremes.map_or([None, None], |extremes| extremes.map(|text| Some(ByteArray::from(text))));
        Statistics::new(min, max, None, Some(nulls), false)
    }
}

/// Encodes a column of numbers; `None` where too many of them are distinct.
pub(super) fn numbers(
    column: &ColumnDescPtr,
    level: ZstdLevel,
    parts: &[&Float64Array],
) -> Result<Option<DictionaryChunk>> {
    let mut distinct = Distinct::default();
    let mut indexed =
        Indexed { plain: Vec::new(), values: Numbers(Vec::new()), indices: Vec::new(), valid: Vec::new() };
    let has_nulls = parts.iter().any(|part| part.null_count() > 0);
    for part in parts {
        if has_nulls {
            indexed.valid.extend((0..part.len()).map(|row| part.is_valid(row)));
        }
        let values = part.values().iter().map(|value| value.to_bits());
        match part.nulls() {
            None => indexed.indices.extend(values.map(|bits| distinct.index(bits))),
            Some(valid) => {
                let values = values.zip(valid).filter_map(|(bits, is_valid)| is_valid.then_some(bits));
                indexed.indices.extend(values.map(|bits| distinct.index(bits)));
            }
        }
        if distinct.numbers().len() * size_of::<f64>() > LARGEST {
            return Ok(None);
        }
    }
    indexed.plain = distinct.numbers().iter().flat_map(|bits| bits.to_le_bytes()).collect();
    indexed.values = Numbers(distinct.numbers().to_vec());
    encode(column, level, indexed).map(Some)
}

/// Encodes a column of sensors' names, whose parts have dictionaries already; `None` where a name is long.
pub(super) fn names(
    column: &ColumnDescPtr,
    level: ZstdLevel,
    parts: &[&DictionaryArray<Int32Type>],
) -> Result<Option<DictionaryChunk>> {
    let mut known = HashMap::new();
    let mut indexed =
        Indexed { plain: Vec::new(), values: Texts(Vec::new()), indices: Vec::new(), valid: Vec::new() };
    for part in parts {
        let Some(names) = part.values().as_any().downcast_ref::<StringArray>() else { return Ok(None) };
        if names.iter().flatten().any(|name| name.len() > LONGEST) {
            return Ok(None);
        }
        // By key of the part. A name gets its index where it is first used: a part may be cut from one with more names.
        let mut places = vec![None; names.len()];
        indexed.indices.reserve(part.len());
        for &key in part.keys().values() {
            let place = &mut places[key as usize];
            let index = *place.get_or_insert_with(|| {
                let name = names.value(key as usize);
                *known.entry(name).or_insert_with(|| {
                    indexed.plain.extend((name.len() as u32).to_le_bytes());
                    indexed.plain.extend(name.as_bytes());
                    indexed.values.0.push(name.into());
                    indexed.values.len() as u32 - 1
                })
            });
            indexed.indices.push(index);
        }
    }
    encode(column, level, indexed).map(Some)
}

/// What is known of a chunk while its pages are written.
struct Pages<'a, W: std::io::Write> {
    writer: SerializedPageWriter<'a, W>,
    compressor: zstd::bulk::Compressor<'static>,
    uncompressed: usize,
    compressed: usize,
}

impl<W: std::io::Write + Send> Pages<'_, W> {
    /// Writes a page, of whose bytes `page` makes one; gives where it begins, and its length.
    fn write(&mut self, bytes: &[u8], page: impl FnOnce(Bytes) -> Page) -> Result<(i64, i32)> {
        let packed =
            self.compressor.compress(bytes).map_err(|error| ParquetError::External(Box::new(error)))?;
        let spec = self.writer.write_page(CompressedPage::new(page(packed.into()), bytes.len()))?;
        self.uncompressed += spec.uncompressed_size;
        self.compressed += spec.compressed_size;
        Ok((spec.offset as i64, spec.compressed_size as i32))
    }
}

fn encode<V: Values>(
    column: &ColumnDescPtr,
    level: ZstdLevel,
    indexed: Indexed<V>,
) -> Result<DictionaryChunk> {
    let Indexed { plain, values, indices, valid } = indexed;
    let rows = if valid.is_empty() { indices.len() } else { valid.len() };
    let mut bytes = TrackedWrite::new(Vec::new());
    let compressor = zstd::bulk::Compressor::new(level.compression_level());
    let compressor = compressor.map_err(|error| ParquetError::External(Box::new(error)))?;
    let mut pages =
        Pages { writer: SerializedPageWriter::new(&mut bytes), compressor, uncompressed: 0, compressed: 0 };
    pages.write(&plain, |buf| Page::DictionaryPage {
        buf,
        num_values: values.len() as u32,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    })?;
    let data_page = pages.compressed as i64;
    let (mut offsets, mut extremes) =
        (OffsetIndexBuilder::new(), ColumnIndexBuilder::new(column.physical_type()));
    let (mut from, mut page, mut count) = (0, Vec::new(), 0);
    for first in (0..rows).step_by(PAGE) {
        let records = first..rows.min(first + PAGE);
        let valid = valid.get(records.clone()).unwrap_or_default();
        let nulls = valid.iter().filter(|&&is_valid| !is_valid).count();
        let own = &indices[from..from + records.len() - nulls];
        from += own.len();
        page.clear();
        if column.max_def_level() > 0 {
            levels(valid, records.len(), &mut page);
        }
        write_indices(own, values.len(), &mut page);
        let (offset, length) = pages.write(&page, |buf| Page::DataPage {
            buf,
            num_values: records.len() as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })?;
        offsets.append_offset_and_size(offset, length);
        offsets.append_row_count(records.len() as i64);
        append_extremes(&mut extremes, values.extremes(own), own.is_empty(), nulls);
        count += 1;
    }
    let Pages { uncompressed, compressed, .. } = pages;
    let nulls = rows - indices.len();
    let metadata = ColumnChunkMetaData::builder(column.clone())
        .set_compression(Compression::ZSTD(level))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_page_encoding_stats(encoding_stats(count))
        .set_total_compressed_size(compressed as i64)
        .set_total_uncompressed_size(uncompressed as i64)
        .set_num_values(rows as i64)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(data_page)
        .set_statistics(V::statistics(values.extremes(&all(0..values.len())), nulls as u64))
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: compressed as u64,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: if extremes.valid() { Some(extremes.build()?) } else { None },
        offset_index: Some(offsets.build()),
    };
    Ok(DictionaryChunk { bytes: bytes.into_inner()?.into(), close })
}

fn all(indices: Range<usize>) -> Vec<u32> {
    indices.map(|index| index as u32).collect()
}

fn encoding_stats(data_pages: i32) -> Vec<PageEncodingStats> {
    vec![
        PageEncodingStats { page_type: PageType::DICTIONARY_PAGE, encoding: Encoding::PLAIN, count: 1 },
        PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding: Encoding::RLE_DICTIONARY,
            count: data_pages,
        },
    ]
}

/// Notes the smallest and the largest value of the next page. A page of which nothing is known makes the whole index useless.
fn append_extremes(
    index: &mut ColumnIndexBuilder,
    extremes: Option<[Vec<u8>; 2]>,
    is_null: bool,
    nulls: usize,
) {
    match extremes {
        Some([min, max]) => index.append(false, min, max, nulls as i64),
        None if is_null => index.append(true, Vec::new(), Vec::new(), nulls as i64),
        None => index.to_invalid(),
    }
}

/// Appends which of `records` records have a value, their length in front. All have one where `valid` is empty.
fn levels(valid: &[bool], records: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; 4]);
    let bits: Vec<u32> = valid.iter().map(|&is_valid| u32::from(is_valid)).collect();
    match bits.is_empty() {
        true => write_repeated(1, records, 1, out),
        false => write_hybrid(&bits, 1, out),
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Appends the width of an index in bits, and the indices, of so many distinct values.
fn write_indices(indices: &[u32], distinct: usize, out: &mut Vec<u8>) {
    let width = usize::BITS - distinct.saturating_sub(1).leading_zeros();
    out.push(width as u8);
    write_hybrid(indices, width, out);
}

/// Appends numbers of `width` bits in Parquet's hybrid of repeated and packed runs: one run, repeated where they are all the same.
fn write_hybrid(numbers: &[u32], width: u32, out: &mut Vec<u8>) {
    match numbers {
        [] => {}
        [first, rest @ ..] if rest.iter().all(|number| number == first) => {
            write_repeated(*first, numbers.len(), width, out);
        }
        _ => write_packed(numbers, width, out),
    }
}

fn write_repeated(number: u32, times: usize, width: u32, out: &mut Vec<u8>) {
    write_varint((times as u64) << 1, out);
    out.extend_from_slice(&number.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Packed in groups of eight, the first number in the lowest bits.
fn write_packed(numbers: &[u32], width: u32, out: &mut Vec<u8>) {
    let groups = numbers.len().div_ceil(8);
    write_varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    let (mut bits, mut held) = (0_u64, 0);
    for &number in numbers {
        bits |= u64::from(number) << held;
        held += width;
        if held >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            held -= 32;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes());
    out.resize(end, 0);
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

impl DictionaryChunk {
    /// Appends it to the row group.
    pub(super) fn append_to_row_group<W: std::io::Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        group.append_column(&self.bytes, self.close)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
    use parquet::file::page_index::column_index::ColumnIndexMetaData;
    use parquet::file::properties::WriterProperties;
    use proptest::prelude::*;

    use super::*;

    /// A column of numbers or names, in parts; whole, as what reads it again makes it.
    enum Parts {
        Numbers(Vec<Float64Array>),
        Names(Vec<DictionaryArray<Int32Type>>),
    }

    impl Parts {
        fn whole(&self) -> ArrayRef {
            let parts: Vec<&dyn Array> = match self {
                Self::Numbers(parts) => parts.iter().map(|part| part as _).collect(),
                Self::Names(parts) => parts.iter().map(|part| part as _).collect(),
            };
            arrow_select::concat::concat(&parts).expect("one column")
        }

        fn chunk(&self, column: &ColumnDescPtr) -> Result<Option<DictionaryChunk>> {
            let level = ZstdLevel::default();
            match self {
                Self::Numbers(parts) => numbers(column, level, &parts.iter().collect::<Vec<_>>()),
                Self::Names(parts) => names(column, level, &parts.iter().collect::<Vec<_>>()),
            }
        }
    }

    /// A file of one column, with our chunk in it or by `arrow-rs` alone: its metadata, and the column as text.
    fn read_back(parts: &Parts, is_ours: bool) -> (Arc<ParquetMetaData>, Vec<String>) {
        let batch = RecordBatch::try_from_iter([("v", parts.whole())]).expect("a batch");
        let properties =
            WriterProperties::builder().set_data_page_row_count_limit(PAGE).set_write_batch_size(PAGE);
        let properties = properties.set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
        let bytes = if is_ours {
            let (mut writer, _) = writer.into_serialized_writer().expect("a writer");
            let chunk =
                parts.chunk(&writer.schema_descr().column(0)).expect("encoded").expect("a dictionary");
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

    /// Of every page: where it begins, its extremes, and how many nulls it has.
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
            check(&Parts::Numbers(parts))?;
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
            names in proptest::collection::vec("[a-c]{0,2}|temp-[0-9]{2}", 2..300), part in part(), cut in any::<proptest::sample::Index>(),
        ) {
            let bytes = |parts: Parts| {
                let batch = RecordBatch::try_from_iter([("v", parts.whole())]).expect("a batch");
                let writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
                let (writer, _) = writer.into_serialized_writer().expect("a writer");
                let chunk = parts.chunk(&writer.schema_descr().column(0)).expect("no error").expect("few values");
                (chunk.bytes, format!("{:?}", chunk.close.metadata))
            };
            let at = cut.index(names.len());
            let array = |names: &[String]| names.iter().map(|name| &**name).collect::<DictionaryArray<Int32Type>>();
            let whole = array(&names);
            let (front, back) = (whole.slice(0, at), whole.slice(at, names.len() - at));
            // The back is as if nobody had seen the front.
            prop_assert_eq!(bytes(Parts::Names(vec![back.clone()])), bytes(Parts::Names(vec![array(&names[at..])])));
            prop_assert_eq!(bytes(Parts::Names(vec![front, back])), bytes(Parts::Names(vec![whole])));
            let at = cut.index(part.len());
            let cut_part = vec![part.slice(0, at), part.slice(at, part.len() - at)];
            prop_assert_eq!(bytes(Parts::Numbers(cut_part)), bytes(Parts::Numbers(vec![part])));
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
}
