//! An incomplete record at the end of a growing file, as a checkpoint has it.

use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};

use super::StreamLayout;
use super::fingerprint::Fingerprint;
use super::rejected::{APPENDED, reject};
use crate::format::LineFormat;
use crate::offset::Offset;
use crate::source::Input;

/// An incomplete record, which may never be completed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::source) struct PartialRecord {
    pub(super) name: String,
    pub(in crate::source) offset: Offset,
    /// Its first bytes as text, for display.
    pub(super) text: Vec<u8>,
    /// The fingerprint of the same bytes in the file.
    pub(super) first: Fingerprint,
    /// Whether it belongs to a record that was accepted without its line end.
    pub(super) is_appended: bool,
}

impl PartialRecord {
    /// Whether it is still at its offset in `file`.
    pub(in crate::source) fn is_in(&self, file: &File) -> io::Result<bool> {
        self.first.stands_at(file, self.offset.at)
    }

    /// Rejects it; `reason` says why it will not be completed.
    pub(in crate::source) fn reject(&self, reason: &str, layout: &StreamLayout) -> Input {
        let reason = if self.is_appended { APPENDED } else { reason };
        reject(&self.name.as_str().into(), self.offset, &self.text, LineFormat::LINE_FEEDS, reason, layout)
    }
}
