//! Records that any worker decodes.

use std::fmt;

use crate::error::guard::caught;
use crate::error::{Error, Result};
use crate::format::Decoded;
use crate::sensor::SensorLookup;

/// Decodes records; called once, or dropped.
type Decode = dyn FnOnce(&mut dyn SensorLookup) -> Result<Decoded> + Send;

/// Records that their source has counted but not decoded yet: the worker that has them does so, outside of [`Source::next`](super::Source::next), which one worker at a
/// time calls. So a source whose decoding takes long does not keep the other workers waiting.
pub struct Deferred {
    records: u64,
    decode: Box<Decode>,
}

impl Deferred {
    /// As many records as `records` says, rejected ones included, from `decode`. It is called once, by any thread; or never, if the run ends early. It may wait until earlier
    /// records of the same source are decoded or dropped, and for nothing else: so the earliest ones never wait.
    pub fn new(
        records: u64,
        decode: impl FnOnce(&mut dyn SensorLookup) -> Result<Decoded> + Send + 'static,
    ) -> Self {
        Self { records, decode: Box::new(decode) }
    }

    /// The number of records, rejected ones included.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Decodes them; a sensor that is new gets an id from `sensors`. The line numbers of rejections are final.
    ///
    /// # Errors
    /// Any error ends the run; an internal one if the source panics, or gives another number of records.
    pub fn decode(self, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let decoded = caught("source", || (self.decode)(sensors))?;
        let found = (decoded.batch.len() + decoded.rejections.len()) as u64;
        if found == self.records {
            return Ok(decoded);
        }
        Err(Error::internal(format!("a source gave {found} records instead of {}", self.records)))
    }
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deferred({} records)", self.records)
    }
}
