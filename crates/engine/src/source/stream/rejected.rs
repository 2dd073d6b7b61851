//! Bytes of a stream that are not a record.

use std::sync::Arc;

use super::StreamLayout;
use crate::batch::Batch;
use crate::error::{Rejection, RejectionKind};
use crate::format::{Decoded, LineFormat, SHOWN};
use crate::offset::{Offset, Position};
use crate::source::Input;

/// Reason for rejecting an incomplete record when reading ends.
pub(in crate::source) const STOPPED: &str = "the run was stopped before the record was complete";

/// Reason for rejecting what follows a last record that was accepted without a line end.
pub(super) const APPENDED: &str = "it was appended to a record that had been read without its line end";

/// A rejection of bytes that are not a record, and their position.
pub(in crate::source) fn reject(
    name: &Arc<str>,
    offset: Offset,
    bytes: &[u8],
    lines: LineFormat,
    reason: &str,
    layout: &StreamLayout,
) -> Input {
    let rejection = Rejection {
        kind: RejectionKind::Malformed,
        position: Position { file: Arc::clone(name), line: offset.line, offset: offset.at },
        record: 1,
        decided: None,
        column: None,
        reason: reason.to_owned(),
        raw: lines.text(&bytes[..bytes.len().min(SHOWN)]),
    };
    let batch = Batch::empty(Arc::clone(&layout.schema));
    Input::Records(Decoded { batch, rejections: vec![rejection], lines: 0 })
}
