//! The state of a decoder bound to its file: the fields with columns, and the options.

use super::objects::Objects;
use crate::format::file_columns::FileColumns;

/// Decodes the chunks of one file.
pub(super) struct JsonDecoder {
    /// By field, in the order of the layout's roles.
    pub(super) names: Vec<String>,
    pub(super) ignore_unknown: bool,
    pub(super) layout: FileColumns,
    pub(super) objects: Objects,
    /// Whether objects are delimited by their structure, not by lines.
    pub(super) is_values: bool,
}

impl JsonDecoder {
    /// Whether a field without a column is ignored instead of rejecting its record.
    pub(super) fn leaves_out(&self, name: &str) -> bool {
        self.ignore_unknown || self.layout.columns.leaves_out(name)
    }
}
