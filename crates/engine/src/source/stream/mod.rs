//! Streams of bytes, from a connection, a pipe or a growing file: cut into complete records, read in turns, waited for briefly.

pub(super) mod descriptors;
pub(super) mod fingerprint;
pub(super) mod framing;
#[cfg(test)]
mod framing_tests;
#[cfg(test)]
pub(super) mod odd_text;
pub(super) mod partial;
pub(super) mod rejected;
#[cfg(test)]
pub(super) mod testing;
pub(super) mod turns;
pub(super) mod wait;

use std::sync::Arc;

use crate::batch::Schema;
use crate::format::Format;

/// Maximum bytes of a stream that its format may inspect before the first record is read.
pub(super) const HEAD: usize = 1 << 20;

/// What all streams of one input share.
#[derive(Clone)]
pub(super) struct StreamLayout {
    pub(super) format: Arc<dyn Format>,
    pub(super) schema: Arc<Schema>,
    pub(super) chunk_size: usize,
}
