//! The state of a decoder bound to its file: the keys with columns, and the options.

use super::MissingTime;
use crate::format::columns::Role;
use crate::format::file_columns::FileColumns;

/// Decodes the chunks of one file.
pub(super) struct InfluxDecoder {
    /// The tags and fields that have a column.
    pub(super) keys: Vec<Box<[u8]>>,
    pub(super) ignore_unknown: bool,
    pub(super) missing_time: MissingTime,
    /// Nanoseconds per unit of the timestamps.
    pub(super) unit: i64,
    /// The index of the time's role in the layout, after those of the keys.
    pub(super) time: usize,
    /// The index of the sensor's role in the layout, after that of the time, if the whole series is the sensor.
    pub(super) series: Option<usize>,
    /// The role of the table's name, if it is used: the last one of the layout.
    pub(super) table: Option<Role>,
    pub(super) layout: FileColumns,
}

impl InfluxDecoder {
    /// Whether a text that is not empty means a missing value; rarely true.
    #[inline]
    pub(super) fn is_null(&self, text: &[u8]) -> bool {
        self.layout.columns.has_null_values() && self.layout.columns.is_null(text)
    }

    /// Whether a tag or field without a column is ignored instead of rejecting its record.
    pub(super) fn leaves_out(&self, key: &[u8]) -> bool {
        self.ignore_unknown || std::str::from_utf8(key).is_ok_and(|key| self.layout.columns.leaves_out(key))
    }
}
