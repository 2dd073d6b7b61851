//! Predicting from statistics which records a stage filters, so that a source need not read them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::{Batch, Extent, Schema};

/// The ordinal of the stage that filters all records of an extent.
type FilteredBy = dyn Fn(&Schema, &Extent) -> Option<usize> + Send + Sync;

/// Predicts which records will be filtered.
#[derive(Clone)]
pub struct Foresee(Arc<Inner>);

struct Inner {
    filtered_by: Box<FilteredBy>,
    answers: Mutex<Answers>,
}

/// The answers given so far.
#[derive(Clone, Copy, PartialEq)]
enum Answers {
    /// No records are filtered, or no question was asked.
    Kept,
    /// Some records are filtered.
    Filtered,
    /// Nothing is known any more: options of stages have changed.
    Unknown,
}

impl Foresee {
    /// `filtered_by` returns the ordinal of the stage that certainly filters all records of an extent; `None` if no stage does.
    pub fn new(filtered_by: impl Fn(&Schema, &Extent) -> Option<usize> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { filtered_by: Box::new(filtered_by), answers: Mutex::new(Answers::Kept) }))
    }

    /// The ordinal of the stage that filters all records of `extent`.
    pub fn filtered_by(&self, schema: &Schema, extent: &Extent) -> Option<usize> {
        let mut answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if *answers == Answers::Unknown {
            return None;
        }
        let filtered_by = (self.0.filtered_by)(schema, extent);
        if filtered_by.is_some() {
            *answers = Answers::Filtered;
        }
        filtered_by
    }

    /// Answers that nothing is known from now on. `false` if some records were filtered already: the source may have skipped records that follow this point.
    pub(crate) fn forget(&self) -> bool {
        let mut answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if *answers == Answers::Kept {
            *answers = Answers::Unknown;
        }
        *answers == Answers::Unknown
    }
}

impl fmt::Debug for Foresee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Foresee")
    }
}

/// Records that were not read. Their sensors have ids, none of them would be rejected, and the stage `stage` filters all of them.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// The number of records.
    pub records: u64,
    /// The ordinal of the stage.
    pub stage: usize,
    /// An empty batch with their columns, for the stages.
    pub none: Batch,
}
