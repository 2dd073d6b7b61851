//! Predicts what a stage does with unread records, so that a source with statistics can skip them.

/// What a stage does with all records of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
// Exhaustive: yes, no and unknown.
pub enum Foresight {
    /// Unknown without reading them.
    #[default]
    Unknown,
    /// They are emitted unchanged, and do not affect state.
    Kept,
    /// They are filtered, and do not affect state: later records are processed as if these did not exist.
    Filtered,
}
