//! Finds separators in delimited text: 64 bytes at a time, with the widest vector instructions of the processor.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod block;
#[cfg(any(test, not(target_arch = "aarch64")))]
mod portable;
mod scan;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use self::scan::scan;

/// The special bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Separators {
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields.
    pub quote: Option<u8>,
}

/// Properties of a text besides the positions of its separators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The number of line feeds outside quotes, which are among the positions.
    pub line_feeds: usize,
    /// Whether there are line feeds inside quotes.
    pub has_quoted_line_feeds: bool,
    /// Whether there are carriage returns, inside quotes or not.
    pub has_returns: bool,
    /// The number of quotes.
    pub quotes: usize,
    /// Whether a closing quote is followed directly by an opening one: an escaped quote.
    pub has_doubled: bool,
    /// Whether all bytes are ASCII.
    pub is_ascii: bool,
    /// Whether every opening quote is at the start of a field, and every closing one at the end of one (or doubled), given that the text
    /// begins at the start of a record; the text may end anywhere. True without quotes.
    pub is_regular: bool,
}

impl Survey {
    /// Whether every line feed ends a record, and quotes occur only around fields.
    pub fn has_plain_lines(&self) -> bool {
        self.quotes == 0 || self.is_regular && !self.has_quoted_line_feeds
    }
}

/// Appends the positions of all delimiters and line feeds of `text` outside quotes to `places`, ascending, each plus `base`. The text
/// begins at the start of a record.
pub fn find(text: &[u8], base: u32, separators: Separators, places: &mut Vec<u32>) -> Survey {
    #[cfg(target_arch = "x86_64")]
    if let Some(found) = x86_64::find(text, base, separators, places) {
        return found;
    }
    scan::<Widest, true>(text, base, separators, places)
}

/// The same without the positions.
pub fn survey(text: &[u8], separators: Separators) -> Survey {
    #[cfg(target_arch = "x86_64")]
    if let Some(found) = x86_64::survey(text, separators) {
        return found;
    }
    scan::<Widest, false>(text, 0, separators, &mut Vec::new())
}

/// The best implementation that every processor of this architecture supports.
#[cfg(target_arch = "aarch64")]
type Widest = aarch64::Neon;
#[cfg(not(target_arch = "aarch64"))]
type Widest = portable::Portable;
