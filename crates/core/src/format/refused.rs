//! The invalid lines at the beginning of a text, to guess the content of a file.

/// Lines, or values over several lines, that a source would reject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Their number.
    pub count: usize,
    /// The line of the first one, counted from 1, and why it is rejected.
    pub first: Option<(usize, String)>,
}

impl Refused {
    /// Counts one that begins in `line`.
    pub(super) fn add(&mut self, line: usize, why: String) {
        self.count += 1;
        self.first.get_or_insert((line, why));
    }
}
