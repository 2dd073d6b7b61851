//! Bounds on unread records, such as the statistics of a Parquet row group.

use crate::time::Timestamp;

/// Bounds that hold for all records of a group, from statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extent {
    /// The inclusive range of their times; `None` without times.
    pub times: Option<(Timestamp, Timestamp)>,
    /// By column of the schema: the bounds of a measurement, if known.
    pub measurements: Vec<Option<Range>>,
}

/// Bounds of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The inclusive range of all values that are neither null nor NaN. `None` if all are null.
    pub numbers: Option<(f64, f64)>,
    /// Whether any of them may be null.
    pub has_nulls: bool,
}
