//! Bounds on records that are known before the records are read, such as the statistics of a Parquet row group.

use crate::time::Timestamp;

/// Bounds of some records, as statistics have them. Whatever is said holds for all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extent {
    /// Times between which all of theirs lie; `None` where they have none.
    pub times: Option<(Timestamp, Timestamp)>,
    /// By column of the schema, what is known of measurements.
    pub measurements: Vec<Option<Range>>,
}

/// Bounds of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Between which all lie that are numbers; NaN may be among the others. `None` where all are null.
    pub numbers: Option<(f64, f64)>,
    /// Whether some of them may be null.
    pub has_nulls: bool,
}
