//! Byte-stream split encoding for columns of computed numbers: the first bytes of all values, then the second bytes, and so on, since signs
//! and exponents are similar and digits are not.

use std::ops::Range;

use arrow_array::Float64Array;
use parquet::basic::{Encoding, ZstdLevel};
use parquet::errors::Result;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::pages::{
    ColumnChunk, Extremes, Values, each_number, encode, extremes_of_numbers, statistics_of_numbers, validity,
};

struct Numbers(Vec<f64>);

impl Values for Numbers {
    const ENCODING: Encoding = Encoding::BYTE_STREAM_SPLIT;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn write(&self, values: Range<usize>, out: &mut Vec<u8>) {
        split(&self.0[values], out);
    }

    fn extremes(&self, values: Range<usize>) -> Extremes {
        extremes_of_numbers(&self.0[values], |number| *number)
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        statistics_of_numbers(self.extremes(0..self.0.len()), nulls)
    }
}

/// Encodes a column of numbers.
pub(super) fn numbers(
    column: &ColumnDescPtr,
    level: ZstdLevel,
    parts: &[&Float64Array],
) -> Result<ColumnChunk> {
    let mut numbers = Vec::new();
    for part in parts {
        numbers.reserve(part.len());
        each_number(part, |value| numbers.push(value));
    }
    encode(column, level, &Numbers(numbers), &validity(parts))
}

/// Appends the eight byte streams.
fn split(numbers: &[f64], out: &mut Vec<u8>) {
    let (start, count) = (out.len(), numbers.len());
    out.resize(start + 8 * count, 0);
    let streams = &mut out[start..];
    let (eights, rest) = numbers.as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        for (stream, bytes) in transposed(eight.map(f64::to_bits)).iter().enumerate() {
            let place = stream * count + 8 * at;
            streams[place..place + 8].copy_from_slice(&bytes.to_le_bytes());
        }
    }
    for (at, number) in rest.iter().enumerate() {
        for (stream, byte) in number.to_le_bytes().into_iter().enumerate() {
            streams[stream * count + 8 * eights.len() + at] = byte;
        }
    }
}

/// Transposes eight rows of eight bytes: swaps blocks of four by four bytes, then two by two, then single bytes (Warren, "Hacker's
/// Delight", 7.3, for bytes).
fn transposed(mut rows: [u64; 8]) -> [u64; 8] {
    for (distance, mask) in
        [(4, 0x0000_0000_ffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff)]
    {
        let shift = 8 * distance as u32;
        for row in (0..8).filter(|row| row & distance == 0) {
            let (upper, lower) = (rows[row], rows[row + distance]);
            let change = (upper >> shift ^ lower) & mask;
            rows[row] = upper ^ change << shift;
            rows[row + distance] = lower ^ change;
        }
    }
    rows
}
