//! Dictionary encoding of columns with few distinct values: each value once, and an index per record. The indices are computed here,
//! because `arrow-rs` hashes every value of every record.

use std::collections::HashMap;
use std::ops::Range;

use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, Float64Array, StringArray};
use parquet::basic::{Encoding, ZstdLevel};
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::pages::{
    ColumnChunk, Extremes, Values, each_number, encode, extremes_of_numbers, statistics_of_numbers, validity,
    write_hybrid,
};
use crate::kernel::distinct::Distinct;

/// Texts up to this length appear in the statistics untruncated.
pub(super) const LONGEST: usize = 64;
/// Maximum size of a dictionary of numbers in bytes.
pub(super) const LARGEST: usize = 2 << 20;

/// Values as indices of entries.
struct Indexed<E> {
    /// The entries as they are in the dictionary page.
    plain: Vec<u8>,
    entries: E,
    indices: Vec<u32>,
}

/// Distinct comparable values.
trait Entries {
    fn len(&self) -> usize;

    /// The extremes of the entries at `indices`.
    fn extremes(&self, indices: &[u32]) -> Extremes;

    fn statistics(extremes: Extremes, nulls: u64) -> Statistics;
}

impl<E: Entries> Values for Indexed<E> {
    const ENCODING: Encoding = Encoding::RLE_DICTIONARY;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn dictionary(&self) -> Option<(&[u8], usize)> {
        Some((&self.plain, self.entries.len()))
    }

    /// The width of an index in bits, then the indices.
    fn write(&self, values: Range<usize>, out: &mut Vec<u8>) {
        let width = usize::BITS - self.entries.len().saturating_sub(1).leading_zeros();
        out.push(width as u8);
        write_hybrid(&self.indices[values], width, out);
    }

    fn extremes(&self, values: Range<usize>) -> Extremes {
        self.entries.extremes(&self.indices[values])
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        let all: Vec<u32> = (0..self.entries.len()).map(|index| index as u32).collect();
        E::statistics(self.entries.extremes(&all), nulls)
    }
}

/// Doubles.
impl Entries for Distinct {
    fn len(&self) -> usize {
        self.numbers().len()
    }

    fn extremes(&self, indices: &[u32]) -> Extremes {
        extremes_of_numbers(indices, |&at| f64::from_bits(self.numbers()[at as usize]))
    }

    fn statistics(extremes: Extremes, nulls: u64) -> Statistics {
        statistics_of_numbers(extremes, nulls)
    }
}

/// Texts, compared byte by byte.
impl Entries for Vec<&str> {
    fn len(&self) -> usize {
        self.len()
    }

    fn extremes(&self, indices: &[u32]) -> Extremes {
        let mut is_there = vec![false; self.len()];
        indices.iter().for_each(|&at| is_there[at as usize] = true);
        let texts = || self.iter().zip(&is_there).filter(|(_, is_there)| **is_there).map(|(text, _)| text);
        Some([texts().min()?, texts().max()?].map(|text| text.as_bytes().to_vec()))
    }

    fn statistics(extremes: Extremes, nulls: u64) -> Statistics {
        let [min, max] =
            extremes.map_or([None, None], |extremes| extremes.map(|text| Some(ByteArray::from(text))));
        Statistics::new(min, max, None, Some(nulls), false)
    }
}

/// Encodes a column of numbers; `None` if too many of them are distinct.
pub(super) fn numbers(
    column: &ColumnDescPtr,
    level: ZstdLevel,
    parts: &[&Float64Array],
) -> Result<Option<ColumnChunk>> {
    let (mut entries, mut indices) = (Distinct::default(), Vec::new());
    for part in parts {
        indices.reserve(part.len());
        each_number(part, |value| indices.push(entries.index(value.to_bits())));
        if entries.numbers().len() * size_of::<f64>() > LARGEST {
            return Ok(None);
        }
    }
    let plain = entries.numbers().iter().flat_map(|bits| bits.to_le_bytes()).collect();
    encode(column, level, &Indexed { plain, entries, indices }, &validity(parts)).map(Some)
}

/// Encodes a column of sensor names, whose parts are dictionary arrays already; `None` if a name is too long.
pub(super) fn names(
    column: &ColumnDescPtr,
    level: ZstdLevel,
    parts: &[&DictionaryArray<Int32Type>],
) -> Result<Option<ColumnChunk>> {
    let (mut known, mut entries, mut indices) = (HashMap::new(), Vec::new(), Vec::new());
    for part in parts {
        let Some(names) = part.values().as_any().downcast_ref::<StringArray>() else { return Ok(None) };
        // By key of the part. A name gets its index at its first use: a part may be sliced from one with more names.
        let mut places = vec![None; names.len()];
        indices.reserve(part.len());
        for &key in part.keys().values() {
            let index = *places[key as usize].get_or_insert_with(|| {
                let name = names.value(key as usize);
                *known.entry(name).or_insert_with(|| {
                    entries.push(name);
                    entries.len() as u32 - 1
                })
            });
            indices.push(index);
        }
    }
    if entries.iter().any(|name| name.len() > LONGEST) {
        return Ok(None);
    }
    let plain = entries.iter().flat_map(|name| {
        let length = (name.len() as u32).to_le_bytes();
        length.into_iter().chain(name.bytes())
    });
    encode(column, level, &Indexed { plain: plain.collect(), entries, indices }, &[]).map(Some)
}
