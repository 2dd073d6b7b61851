//! What of the first lines of a text is no record of its format: for whoever wants to guess what is in a file.

/// Lines, or values over several lines, that a source would refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many there are.
    pub count: usize,
    /// The line of the first one, counted from 1, and why it is refused.
    pub first: Option<(usize, String)>,
}

impl Refused {
    /// Adds what begins in `line`.
    pub(super) fn add(&mut self, line: usize, why: String) {
        self.count += 1;
        self.first.get_or_insert((line, why));
    }
}
