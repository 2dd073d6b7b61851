//! Records that a source need not read, because it is known from statistics what becomes of them.

use std::fmt;
use std::sync::Arc;

use crate::batch::{Batch, Extent, Schema};

/// Which stage filters all records of which an extent is known.
type FilteredBy = dyn Fn(&Schema, &Extent) -> Option<usize> + Send + Sync;

/// Knows which records are going to be filtered.
#[derive(Clone)]
pub struct Foresee(Arc<FilteredBy>);

impl Foresee {
    /// `filtered_by` gives the ordinal of the stage that filters all records of which that is known; `None` where none does for sure.
    pub fn new(filtered_by: impl Fn(&Schema, &Extent) -> Option<usize> + Send + Sync + 'static) -> Self {
        Self(Arc::new(filtered_by))
    }

    /// Which stage filters all records of which `extent` is known.
    pub fn filtered_by(&self, schema: &Schema, extent: &Extent) -> Option<usize> {
        (self.0)(schema, extent)
    }
}

impl fmt::Debug for Foresee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Foresee")
    }
}

/// Records that were left unread. Their sensors have ids; all of them are good, and the stage `stage` filters them all.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// How many.
    pub records: u64,
    /// The ordinal of the stage.
    pub stage: usize,
    /// None of them, in their columns: what the stages see.
    pub none: Batch,
}
