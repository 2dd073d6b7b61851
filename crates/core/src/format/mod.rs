//! Bytes to records and back, one encoding a file. Nothing here does I/O.
//!
//! A [`Format`] looks at the head of a file and gives a [`Decode`] bound to that file's columns;
//! an [`Encode`] turns batches into bytes. Call order: [`Format::schema`] on the first file,
//! then [`Format::bind`] on every file, then [`Decode::complete`] and [`Decode::decode`] on its chunks.

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
mod glue;
pub mod influx;
pub mod jsonl;
mod keys;
mod last_time;
mod line_format;
mod pieces;
mod refused;
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

/// A record of text may have this many bytes; a quote that is not closed within them never is.
pub const MAX_RECORD: usize = 1 << 20;

/// Why one with more is set aside.
pub const TOO_LONG: &str = "a record is longer than 1 MiB";

/// Bytes that are kept of one with more, and of others that are set aside before they have ended.
pub const SHOWN: usize = 1 << 10;

/// A record of text may have this many fields, and a file as many columns.
pub const MAX_FIELDS: usize = 4096;

/// A field of text may have this many bytes.
pub const MAX_FIELD: usize = 256 << 10;

/// The beginning of a file, enough to see its header and some records.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The file as the pipeline names it.
    pub name: &'a str,
    /// The sensor that the whole file is of where it has no sensor column: its stem.
    pub stem: &'a str,
    /// The first bytes.
    pub bytes: &'a [u8],
    /// Whether they are the whole file.
    pub is_whole: bool,
}

impl<'a> Head<'a> {
    /// Of input called `name` of which nothing has come yet.
    fn unseen(name: &'a str) -> Self {
        Self { name, stem: "", bytes: &[], is_whole: true }
    }
}

/// A file's decoder and where its records begin.
#[derive(Clone)]
pub struct BoundFormat {
    /// Reads the file's chunks.
    pub decoder: Arc<dyn Decode>,
    /// Bytes before the first record: byte order mark, header.
    pub skip_bytes: usize,
    /// Lines before the first record.
    pub skip_lines: u64,
}

/// An encoding of records in files.
pub trait Format: Send + Sync {
    /// Whether `head`, more of which may come, is enough for [`Format::schema`] to say what the columns are: what stands before the first
    /// record and, where they are known by what records have, so many `records` ([`columns::SAMPLE`] say what all of it would say).
    fn knows_columns(&self, head: Head<'_>, records: usize) -> bool;

    /// The columns of input called `name` of which nothing has come yet, where the options say all of them.
    ///
    /// # Errors
    /// When the options contradict one another.
    fn declared(&self, name: &str) -> Result<Option<Schema>>;

    /// Whether `head`, more of which may come, is enough for [`Format::bind`].
    fn can_bind(&self, head: Head<'_>) -> bool;

    /// Whether each record says what its fields are called, so that no beginning of an input says all of them.
    fn records_name_fields(&self) -> bool {
        false
    }

    /// The options with which few records have to be seen, or none, to know the columns: as people are told of them.
    fn naming_options(&self) -> &'static str {
        "`measurements`"
    }

    /// Input may be many streams, each of which is read from its first record on, as it comes.
    ///
    /// # Errors
    /// A configuration error where that takes more than the options and the beginning of a stream say.
    fn check_streams(&self) -> Result<()> {
        Ok(())
    }

    /// How the lines of a file are written that begins with `head`, as far as that shows.
    fn line_format(&self, head: Head<'_>) -> LineFormat {
        let _ = head;
        LineFormat::LINE_FEEDS
    }

    /// Whether the sensor of a file's records is what the file is called ([`Head::stem`]).
    fn names_sensors_after_files(&self) -> bool {
        false
    }

    /// The columns of a file that begins with `head`.
    ///
    /// # Errors
    /// What makes the file unusable: no header, a named column that is not there.
    fn schema(&self, head: Head<'_>) -> Result<Schema>;

    /// A decoder for the file that begins with `head`, whose batches have the columns of `schema`
    /// (which may be those of another file of the same input).
    ///
    /// # Errors
    /// As for [`Format::schema`], and when the file's columns are not those of `schema`.
    fn bind(&self, head: Head<'_>, schema: &Arc<Schema>) -> Result<BoundFormat>;

    /// What the options say about columns: whether those of all files are joined, and what is remarkable about them.
    fn columns(&self) -> &Columns;
}

/// Reads the chunks of one file.
pub trait Decode: Send + Sync {
    /// The length of a long prefix of `bytes` that ends at a record end, given that `bytes`
    /// begins at one; 0 where no record is complete. With `at_end`, nothing follows: what is left is complete.
    fn complete(&self, bytes: &[u8], at_end: bool) -> usize;

    /// How the lines of the file are written, for whoever cuts it or leaves a part of it out.
    fn line_format(&self) -> LineFormat {
        LineFormat::LINE_FEEDS
    }

    /// Where in `bytes`, which [`Decode::complete`] cut, a header other than the file's stands, and what it is: what is behind it cannot be
    /// understood. Asked by whoever can read the rest of the input without it; to decode it is a rejection that ends the run.
    fn other_header(&self, _bytes: &[u8]) -> Option<(usize, String)> {
        None
    }

    /// How many lines `bytes` have, which [`Decode::complete`] cut: for what is dropped unread.
    fn lines(&self, bytes: &[u8]) -> u64 {
        let lines = self.line_format();
        lines.line_ends(bytes) + u64::from(!bytes.is_empty() && !lines.ends_line(bytes))
    }

    /// Decodes a chunk that [`Decode::complete`] cut.
    ///
    /// # Errors
    /// Only what ends the run; bad records are rejections.
    fn decode(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded>;

    /// The same, record by record in a way that is plainly right: what judges [`Decode::decode`] where that is quicker.
    ///
    /// # Errors
    /// As [`Decode::decode`].
    fn decode_by_reference(&self, chunk: &Chunk, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        self.decode(chunk, sensors)
    }

    /// What has to be seen, as if it were the whole file, to bind a decoder like this again: its beginning before the first record, or what
    /// stands for it; empty where the options say it all.
    fn beginning(&self) -> &[u8] {
        &[]
    }
}

/// Writes records as bytes.
pub trait Encode: Send + Sync {
    /// Appends what comes before the first record to `out`.
    fn header(&self, schema: &Schema, out: &mut Vec<u8>);

    /// Appends the records of `batch` to `out`.
    fn encode(&self, batch: &Batch, sensors: &Sensors, out: &mut Vec<u8>);
}
