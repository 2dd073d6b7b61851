//! Pages of a column of one row group: levels, sizes, statistics and indexes, for any value encoding. Headers and the file's metadata are
//! written by the `parquet` crate.

use std::ops::Range;

use arrow_array::{Array, Float64Array};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Records per page, the smallest unit that readers can skip. Small in tests, so that they have several pages.
pub(super) const PAGE: usize = if cfg!(test) { 100 } else { 20_000 };

/// The smallest and the largest value, as bytes; `None` if no values are comparable.
pub(super) type Extremes = Option<[Vec<u8>; 2]>;

/// The non-null values of a column, in order.
pub(super) trait Values {
    /// The encoding in data pages.
    const ENCODING: Encoding;

    /// The number of values.
    fn len(&self) -> usize;

    /// The dictionary page and its number of entries.
    fn dictionary(&self) -> Option<(&[u8], usize)> {
        None
    }

    /// Appends a range of encoded values.
    fn write(&self, values: Range<usize>, out: &mut Vec<u8>);

    /// The extremes of a range of values.
    fn extremes(&self, values: Range<usize>) -> Extremes;

    /// The statistics of the whole column.
    fn statistics(&self, nulls: u64) -> Statistics;
}

/// The extremes of the numbers that `number` makes of `values`. NaN is ignored; the sign of zero too.
pub(super) fn extremes_of_numbers<T>(values: &[T], number: impl Fn(&T) -> f64) -> Extremes {
    // Of each of eight lanes by itself, so that the processor does not wait for one comparison to begin the next.
    let mut lanes = [[f64::INFINITY, f64::NEG_INFINITY]; 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        lanes.iter_mut().zip(eight).for_each(|(lane, value)| *lane = wider(*lane, [number(value); 2]));
    }
    let rest = rest.iter().map(|value| [number(value); 2]);
    let [min, max] = lanes.into_iter().chain(rest).fold([f64::INFINITY, f64::NEG_INFINITY], wider);
    // Required by the format: a reader cannot know the sign of the zero.
    let min = if min == 0.0 { -0.0 } else { min };
    let max = if max == 0.0 { 0.0 } else { max };
    (min <= max).then(|| [min, max].map(|number: f64| number.to_le_bytes().to_vec()))
}

/// The extremes of two ranges; each comparison is false for NaN.
#[inline]
fn wider([min, max]: [f64; 2], [low, high]: [f64; 2]) -> [f64; 2] {
    [if low < min { low } else { min }, if high > max { high } else { max }]
}

/// The statistics of a column of numbers.
pub(super) fn statistics_of_numbers(extremes: Extremes, nulls: u64) -> Statistics {
    let number = |bytes: Vec<u8>| bytes.try_into().map(f64::from_le_bytes).ok();
    let [min, max] = extremes.map_or([None, None], |extremes| extremes.map(number));
    Statistics::new(min, max, None, Some(nulls), false)
}

/// Whether each record of the parts has a value; empty if all do.
pub(super) fn validity(parts: &[&Float64Array]) -> Vec<bool> {
    match parts.iter().all(|part| part.null_count() == 0) {
        true => Vec::new(),
        false => parts.iter().flat_map(|part| (0..part.len()).map(|row| part.is_valid(row))).collect(),
    }
}

/// Calls `each` with the non-null numbers of a part.
pub(super) fn each_number(part: &Float64Array, mut each: impl FnMut(f64)) {
    let values = part.values().iter().copied();
    match part.nulls() {
        None => values.for_each(each),
        Some(valid) => values.zip(valid).filter(|(_, is_valid)| *is_valid).for_each(|(value, _)| each(value)),
    }
}

/// An encoded column of one row group.
pub(super) struct ColumnChunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

impl ColumnChunk {
    /// Appends the column to the row group.
    pub(super) fn append_to_row_group<W: std::io::Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        group.append_column(&self.bytes, self.close)
    }
}

/// What is accumulated while the pages of a column are written.
struct Pages<'a, W: std::io::Write> {
    writer: SerializedPageWriter<'a, W>,
    compressor: zstd::bulk::Compressor<'static>,
    uncompressed: usize,
    compressed: usize,
}

impl<W: std::io::Write + Send> Pages<'_, W> {
    /// Writes a page built by `page` from `bytes`; returns its offset and length.
    fn write(&mut self, bytes: &[u8], page: impl FnOnce(Bytes) -> Page) -> Result<(i64, i32)> {
        let packed =
            self.compressor.compress(bytes).map_err(|error| ParquetError::External(Box::new(error)))?;
        let spec = self.writer.write_page(CompressedPage::new(page(packed.into()), bytes.len()))?;
        self.uncompressed += spec.uncompressed_size;
        self.compressed += spec.compressed_size;
        Ok((spec.offset as i64, spec.compressed_size as i32))
    }
}

/// Encodes a column. `valid` says for each record whether it has a value; it is empty if all do.
pub(super) fn encode<V: Values>(
    column: &ColumnDescPtr,
    level: ZstdLevel,
    values: &V,
    valid: &[bool],
) -> Result<ColumnChunk> {
    let rows = if valid.is_empty() { values.len() } else { valid.len() };
    let mut bytes = TrackedWrite::new(Vec::new());
    let compressor = zstd::bulk::Compressor::new(level.compression_level());
    let compressor = compressor.map_err(|error| ParquetError::External(Box::new(error)))?;
    let mut pages =
        Pages { writer: SerializedPageWriter::new(&mut bytes), compressor, uncompressed: 0, compressed: 0 };
    if let Some((plain, count)) = values.dictionary() {
        let num_values = count as u32;
        pages.write(plain, |buf| Page::DictionaryPage {
            buf,
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        })?;
    }
    let data_page = pages.compressed as i64;
    let (mut offsets, mut index) =
        (OffsetIndexBuilder::new(), ColumnIndexBuilder::new(column.physical_type()));
    let (mut from, mut page, mut count) = (0, Vec::new(), 0);
    for first in (0..rows).step_by(PAGE) {
        let records = first..rows.min(first + PAGE);
        let valid = valid.get(records.clone()).unwrap_or_default();
        let nulls = valid.iter().filter(|&&is_valid| !is_valid).count();
        let own = from..from + records.len() - nulls;
        from = own.end;
        page.clear();
        if column.max_def_level() > 0 {
            levels(valid, records.len(), &mut page);
        }
        values.write(own.clone(), &mut page);
        let (offset, length) = pages.write(&page, |buf| Page::DataPage {
            buf,
            num_values: records.len() as u32,
            encoding: V::ENCODING,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })?;
        offsets.append_offset_and_size(offset, length);
        offsets.append_row_count(records.len() as i64);
        append_extremes(&mut index, values.extremes(own.clone()), own.is_empty(), nulls);
        count += 1;
    }
    let Pages { uncompressed, compressed, .. } = pages;
    let has_dictionary = values.dictionary().is_some();
    let mut encodings = vec![Encoding::RLE, V::ENCODING];
    encodings.extend(has_dictionary.then_some(Encoding::PLAIN));
    let metadata = ColumnChunkMetaData::builder(column.clone())
        .set_compression(Compression::ZSTD(level))
        .set_encodings(encodings)
        .set_page_encoding_stats(encoding_stats::<V>(has_dictionary, count))
        .set_total_compressed_size(compressed as i64)
        .set_total_uncompressed_size(uncompressed as i64)
        .set_num_values(rows as i64)
        .set_dictionary_page_offset(has_dictionary.then_some(0))
        .set_data_page_offset(data_page)
        .set_statistics(values.statistics((rows - values.len()) as u64))
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: compressed as u64,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: if index.valid() { Some(index.build()?) } else { None },
        offset_index: Some(offsets.build()),
    };
    Ok(ColumnChunk { bytes: bytes.into_inner()?.into(), close })
}

fn encoding_stats<V: Values>(has_dictionary: bool, data_pages: i32) -> Vec<PageEncodingStats> {
    let stats = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
    let dictionary = has_dictionary.then(|| stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
    dictionary.into_iter().chain([stats(PageType::DATA_PAGE, V::ENCODING, data_pages)]).collect()
}

/// Appends the extremes of a page to the index. One page without extremes invalidates the whole index.
fn append_extremes(index: &mut ColumnIndexBuilder, extremes: Extremes, is_null: bool, nulls: usize) {
    match extremes {
        Some([min, max]) => index.append(false, min, max, nulls as i64),
        None if is_null => index.append(true, Vec::new(), Vec::new(), nulls as i64),
        None => index.to_invalid(),
    }
}

/// Appends the definition levels of `records` records, preceded by their length. `valid` is empty if all have a value.
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

/// Appends numbers of `width` bits in Parquet's hybrid of run-length and bit-packing encoding: one run, run-length if all are the same.
pub(super) fn write_hybrid(numbers: &[u32], width: u32, out: &mut Vec<u8>) {
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

/// Bit-packed in groups of eight, the first number in the lowest bits.
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

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
