//! What cannot be decoded, told before the records are in the pipeline.

use tidemill_engine::error::{Rejection, Result};
use tidemill_engine::sensor::Sensors;

use super::lines::Lines;
use super::options::Line;

/// Bytes that are decoded at once.
const PIECE: usize = 64 << 10;

impl Lines {
    /// Decodes what was gathered, and forgets it: the number of records, and what cannot be decoded, so that a sender can be told at once. Ends early
    /// when more than `most` records cannot: each takes many times the memory of its text. Limits of sensors are those of a pipeline without options.
    ///
    /// # Errors
    /// As [`Decode::decode`](tidemill_engine::format::Decode::decode).
    pub fn check(&mut self, most: usize) -> Result<(usize, Vec<Rejection>)> {
        let is_csv = self.decoding().payload.line() == Line::Csv;
        let (chunk, mut rejections) = self.take();
        let Some(mut chunk) = chunk else { return Ok((0, rejections)) };
        let (text, mut sensors) = (chunk.bytes.clone(), Sensors::default());
        let (mut accepted, mut start) = (0, 0);
        while start < text.len() && rejections.len() <= most {
            let piece = &text.as_slice()[start..];
            let end = start + end_of_record(piece, PIECE, is_csv);
            chunk.bytes = text.slice(start..end);
            let decoded = chunk.decode(&mut sensors)?;
            accepted += decoded.batch.len();
            rejections.extend(decoded.rejections);
            chunk.offset.at += (end - start) as u64;
            chunk.offset.line += memchr::memchr_iter(b'\n', &text.as_slice()[start..end]).count() as u64;
            start = end;
        }
        rejections.sort_by_key(Rejection::trigger);
        Ok((accepted, rejections))
    }
}

/// Where the first record behind `least` bytes of lines ends. Line ends within quotes are part of a record of CSV.
fn end_of_record(lines: &[u8], least: usize, is_csv: bool) -> usize {
    let mut is_quoted = false;
    for at in memchr::memchr2_iter(b'\n', b'"', lines) {
        match lines[at] {
            b'"' => is_quoted ^= is_csv,
            _ if at >= least && !is_quoted => return at + 1,
            _ => {}
        }
    }
    lines.len()
}
