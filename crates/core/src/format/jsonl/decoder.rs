//! What a decoder knows of its file: the fields that have columns, and what the options say.

use super::objects::Objects;
use crate::format::rows::FileColumns;

/// Reads the chunks of one file.
pub(super) struct JsonDecoder {
    /// By field, as the layout's roles.
    pub(super) names: Vec<String>,
    pub(super) ignore_unknown: bool,
    pub(super) layout: FileColumns,
    pub(super) objects: Objects,
    /// Whether objects are told apart by their structure, not by lines.
    pub(super) is_values: bool,
}

impl JsonDecoder {
    /// Whether a field without a column is no reason to refuse its record.
    pub(super) fn leaves_out(&self, name: &str) -> bool {
        self.ignore_unknown || self.layout.columns.leaves_out(name)
    }
}
