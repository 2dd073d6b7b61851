//! What a stage will do with records that nobody has read yet, so that a source that has statistics can leave them unread.

/// What becomes of all of some records in a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Foresight {
    /// Nobody knows without reading them.
    #[default]
    Unknown,
    /// They go on as they are, and leave nothing behind.
    Kept,
    /// They are filtered, and leave nothing behind: later records fare as if these had never come.
    Filtered,
}
