//! Decodes bytes to records and encodes records to bytes, one encoding per file. Nothing here does I/O.
//!
//! A [`Format`] reads the head of a file and makes a [`Decode`] bound to that file's columns; an [`Encode`] turns batches into bytes. Call
//! order: [`Format::schema`] on the first file, then [`Format::bind`] on every file, then [`Decode::complete`] and [`Decode::decode`] on
//! its chunks.

mod blank;
mod chunk;
pub mod columns;
#[cfg(test)]
mod columns_tests;
pub mod csv;
#[cfg(test)]
mod encode_tests;
pub mod encoding;
#[cfg(test)]
mod encoding_tests;
mod file_columns;
mod glue;
pub mod influx;
#[cfg(test)]
mod json_tests;
pub mod jsonl;
mod keys;
mod last_time;
mod line_format;
mod lines;
mod pieces;
mod refusal;
mod refused;
mod rounded;
mod rows;
mod run;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod text;
mod unpivot;
mod unpivot_known;

use std::sync::Arc;

pub use self::chunk::{Chunk, Decoded, Witness};
pub use self::line_format::LineFormat;
pub use self::refused::Refused;
pub use self::unpivot::unpivoted;

use self::columns::Columns;
use crate::batch::{Batch, Schema};
use crate::error::Result;
use crate::sensor::{SensorLookup, Sensors};

/// The maximum length of a record of text, in bytes; a quote has to be closed within them.
pub const MAX_RECORD: usize = 1 << 20;

/// The rejection reason of a longer record.
pub const TOO_LONG: &str = "a record is longer than 1 MiB";

/// The number of bytes kept of a record that is too long, and of others rejected before their end.
pub const SHOWN: usize = 1 << 10;

/// The maximum number of fields of a record of text, and of columns of a file.
pub const MAX_FIELDS: usize = 4096;

/// The maximum length of a field of text, in bytes.
pub const MAX_FIELD: usize = 256 << 10;

/// The beginning of a file, long enough for its header and some records.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The file's name in the pipeline.
    pub name: &'a str,
    /// The file's stem, which is the sensor of the whole file if it has no sensor column.
    pub stem: &'a str,
    /// The first bytes.
    pub bytes: &'a [u8],
    /// Whether they are the whole file.
    pub is_whole: bool,
}

impl<'a> Head<'a> {
    /// Of an input `name` without data yet.
    fn unseen(name: &'a str) -> Self {
        Self { name, stem: "", bytes: &[], is_whole: true }
    }
}

/// A file's decoder and the position of its first record.
#[derive(Clone)]
pub struct BoundFormat {
    /// Decodes the file's chunks.
    pub decoder: Arc<dyn Decode>,
    /// Bytes before the first record: byte order mark, header and skipped lines.
    pub skip_bytes: usize,
    /// Lines before the first record.
    pub skip_lines: u64,
}

/// An encoding of records in files. Its methods may be called from any thread, in the order given above; none does I/O.
pub trait Format: Send + Sync {
    /// Whether `head`, which may be incomplete, is enough for [`Format::schema`]: all lines before the first record and, if the columns are
    /// derived from records, this many `records` ([`columns::SAMPLE`] gives the same columns as the whole file).
    fn knows_columns(&self, head: Head<'_>, records: usize) -> bool;

    /// The columns of an input `name` without data yet; `None` unless the options define all of them.
    ///
    /// # Errors
    /// If options contradict each other.
    fn declared(&self, name: &str) -> Result<Option<Schema>>;

    /// Whether `head`, which may be incomplete, is enough for [`Format::bind`].
    fn can_bind(&self, head: Head<'_>) -> bool;

    /// Whether each record names its fields, so that no header declares all of them.
    fn records_name_fields(&self) -> bool {
        false
    }

    /// The options that reduce the records needed to derive the columns, for messages.
    fn naming_options(&self) -> &'static str {
        "`measurements`"
    }

    /// Checks that the input may consist of many streams, each of which is decoded from its first record on, as it arrives.
    ///
    /// # Errors
    /// A configuration error if that needs more than the options and the beginning of a stream.
    fn check_streams(&self) -> Result<()> {
        Ok(())
    }

    /// The line structure of a file that begins with `head`, as far as `head` shows it.
    fn line_format(&self, head: Head<'_>) -> LineFormat {
        let _ = head;
        LineFormat::LINE_FEEDS
    }

    /// Whether each file is one sensor, named after the file ([`Head::stem`]).
    fn names_sensors_after_files(&self) -> bool {
        false
    }

    /// The columns of a file that begins with `head`.
    ///
    /// # Errors
    /// What makes the file unusable: a missing header, a named column that does not exist.
    fn schema(&self, head: Head<'_>) -> Result<Schema>;

    /// A decoder for the file that begins with `head`, whose batches have the columns of `schema` (which may come from another file of the
    /// same input).
    ///
    /// # Errors
    /// As for [`Format::schema`], and if the file's columns do not match `schema`.
    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<BoundFormat>;

    /// The column options: whether the columns of all files are merged, and the remarks about them.
    fn columns(&self) -> &Columns;
}

/// Decodes the chunks of one file. Shared by all workers, which call it concurrently.
pub trait Decode: Send + Sync {
    /// The length of a prefix of `bytes` that ends at a record end, given that `bytes` begins at a record start; 0 if no record is
    /// complete. The prefix need not be the longest. With `at_end`, nothing follows: the remaining bytes are complete.
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize;

    /// The line structure of the file, to cut it or to skip a part of it.
    fn line_format(&self) -> LineFormat {
        LineFormat::LINE_FEEDS
    }

    /// The position in `bytes`, which [`Decode::complete`] cut, of a header other than the file's, and a message about it: the records
    /// after it have other columns. Called by sources that can continue with the rest of the input; decoding such a header is a rejection
    /// that ends the run.
    fn other_header(&self, _bytes: &[u8]) -> Option<(usize, String)> {
        None
    }

    /// The number of lines in `bytes`, which [`Decode::complete`] cut: for bytes that are dropped without decoding.
    fn lines(&self, bytes: &[u8]) -> u64 {
        let lines = self.line_format();
        lines.line_ends(bytes) + u64::from(!bytes.is_empty() && !lines.ends_line(bytes))
    }

    /// Decodes a chunk that [`Decode::complete`] cut.
    ///
    /// # Errors
    /// Only errors that end the run; invalid records become rejections.
    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded>;

    /// Decodes record by record, simple enough to be obviously right: the oracle of [`Decode::decode`].
    ///
    /// # Errors
    /// As [`Decode::decode`].
    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.decode(chunk, sensors)
    }

    /// The bytes from which [`Format::bind`] makes an equal decoder if they are taken for a whole file: those before the first record, or a
    /// replacement for them; empty if the options define everything.
    fn beginning(&self) -> &[u8] {
        &[]
    }
}

/// Encodes records as bytes. Shared by all workers, which call it concurrently.
pub trait Encode: Send + Sync {
    /// Appends the text before the first record to `out`.
    fn header(&self, schema: &Schema, out: &mut Vec<u8>);

    /// Appends the records of `batch` to `out`.
    fn encode(&self, batch: &Batch, sensors: &Sensors, out: &mut Vec<u8>);
}
