//! What has been received over the sockets of an address, and the events that the summary counts.

use std::collections::VecDeque;

use super::counts::SocketCounts;
use crate::error::{Error, Result};
use crate::offset::Sequence;
use crate::source::Input;
use crate::source::stream::StreamLayout;
use crate::source::stream::framing::Framing;

/// Reason for rejecting a stream with other columns than the input.
pub(super) const OTHER_COLUMNS: &str = "its header is not that of the input";

/// Items received and not returned yet.
pub(super) struct Received {
    pub(super) layout: StreamLayout,
    ready: VecDeque<Input>,
    pub(super) counts: SocketCounts,
}

impl Received {
    pub(super) fn new(layout: StreamLayout) -> Self {
        Self { layout, ready: VecDeque::new(), counts: SocketCounts::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// The next item, as number `sequence` of the input.
    pub(super) fn pop(&mut self, sequence: Sequence) -> Option<Input> {
        let mut input = self.ready.pop_front()?;
        if let Input::Chunk(chunk) = &mut input {
            chunk.sequence = sequence;
        }
        Some(input)
    }

    /// Takes all complete records of a stream.
    ///
    /// # Errors
    /// If the stream begins with other columns.
    pub(super) fn take_whole(&mut self, framing: &mut Framing) -> Result<()> {
        while let Some(input) = framing.take(&self.layout, false, 0)? {
            self.counts.refused += u64::from(matches!(input, Input::Records(_)));
            self.ready.push_back(input);
        }
        Ok(())
    }

    /// Rejects the incomplete record of a stream with the reason `why`.
    pub(super) fn reject(&mut self, framing: &mut Framing, why: &str) {
        self.ready.push_back(framing.reject(why, &self.layout));
    }

    /// Rejects the incomplete record of a stream that sends nothing more.
    pub(super) fn reject_last(&mut self, framing: &mut Framing, why: &str) {
        self.ready.push_back(framing.reject_last(why, &self.layout));
    }

    /// Rejects what arrived with other columns: nothing that follows can be decoded.
    pub(super) fn reject_columns(&mut self, framing: &mut Framing, error: &Error) {
        self.counts.other_columns += 1;
        self.reject_last(framing, &format!("{OTHER_COLUMNS}: {}", error.message()));
    }
}
