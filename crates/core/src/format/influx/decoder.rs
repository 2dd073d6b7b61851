//! What a decoder knows of its file: the keys that have columns, and what the options say.

use super::MissingTime;
use crate::format::columns::Role;
use crate::format::rows::FileColumns;

/// Reads the chunks of one file.
pub(super) struct InfluxDecoder {
    /// The tags and fields that have a column.
    pub(super) keys: Vec<Box<[u8]>>,
    pub(super) ignore_unknown: bool,
    pub(super) missing_time: MissingTime,
    /// Nanoseconds a unit of the timestamps.
    pub(super) unit: i64,
    /// The time's column, which is the layout's role behind those of the keys.
    pub(super) time: usize,
    /// The sensor's column, if the whole series is the sensor: the layout's role behind that of the time.
    pub(super) series: Option<usize>,
    /// What the table is, if it is anything: the layout's last role.
    pub(super) table: Option<Role>,
    pub(super) layout: FileColumns,
}

impl InfluxDecoder {
    /// Whether a text, which is not empty, stands for a missing value: seldom does any.
    #[inline]
    pub(super) fn is_null(&self, text: &[u8]) -> bool {
        self.layout.columns.has_null_values() && self.layout.columns.is_null(text)
    }

    /// Whether a tag or field that has no column is no fault of its record.
    pub(super) fn leaves_out(&self, key: &[u8]) -> bool {
        self.ignore_unknown || std::str::from_utf8(key).is_ok_and(|key| self.layout.columns.leaves_out(key))
    }
}
