//! The scan of a text, block by block; the same for every kind of block.
//!
//! Bit masks of 64 bytes, and the parity of quotes by a running exclusive or, follow Langdale and Lemire, "Parsing Gigabytes of JSON per
//! Second" (2019).

use super::block::Block;
use super::{Separators, Survey};

/// The state of a scan between blocks. Properties that are not counted accumulate bits of all blocks.
#[derive(Default)]
struct ScanState {
    line_feeds: usize,
    quotes: usize,
    /// All ones if the next block begins inside quotes.
    inside: u64,
    /// Bit 0: the byte before the next block ends a field, so that a quote may open.
    may_open: u64,
    /// Bit 0: that byte is a closing quote, so that a field must end.
    has_closed: u64,
    irregular: u64,
    doubled: u64,
    quoted_line_feeds: u64,
    returns: u64,
}

/// Surveys `text` block by block and appends the positions of its separators to `places`; without `PLACES`, the list remains empty.
#[inline(always)]
pub(super) fn scan<B: Block, const PLACES: bool>(
    text: &[u8],
    base: u32,
    separators: Separators,
    places: &mut Vec<u32>,
) -> Survey {
    let mut state = ScanState { may_open: 1, ..ScanState::default() };
    let mut all = B::load(&[0; 64]);
    places.clear();
    let (blocks, rest) = text.as_chunks::<64>();
    for (at, block) in blocks.iter().enumerate() {
        let block = B::load(block);
        all = all.or(block);
        let mask = state.step(block, u64::MAX, separators);
        if PLACES {
            B::push(mask, base + 64 * at as u32, places);
        }
    }
    if !rest.is_empty() {
        // The bytes after the end match no separator: they must not count.
        let mut last = [0; 64];
        last[..rest.len()].copy_from_slice(rest);
        let block = B::load(&last);
        all = all.or(block);
        let mask = state.step(block, (1 << rest.len()) - 1, separators);
        if PLACES {
            B::push(mask, base + 64 * blocks.len() as u32, places);
        }
    }
    Survey { is_ascii: !all.has_high_bit(), ..state.found() }
}

impl ScanState {
    fn found(self) -> Survey {
        Survey {
            line_feeds: self.line_feeds,
            has_quoted_line_feeds: self.quoted_line_feeds != 0,
            has_returns: self.returns != 0,
            quotes: self.quotes,
            has_doubled: self.doubled != 0,
            is_ascii: true,
            is_regular: self.irregular == 0,
        }
    }

    /// The separators of a block; only the bytes in `valid` exist.
    #[inline(always)]
    fn step<B: Block>(&mut self, block: B, valid: u64, separators: Separators) -> u64 {
        let line_feeds = block.equal(b'\n') & valid;
        let returns = block.equal(b'\r') & valid;
        let ends = (block.equal(separators.delimiter) & valid) | line_feeds;
        self.returns |= returns;
        let quotes = separators.quote.map_or(0, |quote| block.equal(quote) & valid);
        if quotes | self.inside | self.has_closed == 0 {
            self.line_feeds += line_feeds.count_ones() as usize;
            self.may_open = ends >> 63;
            return ends;
        }
        self.quoted(ends, line_feeds, returns, quotes, valid)
    }

    /// The same with quotes. The set bits of `inside` are an opening quote and the bytes up to the closing one.
    #[inline]
    fn quoted(&mut self, ends: u64, line_feeds: u64, returns: u64, quotes: u64, valid: u64) -> u64 {
        let inside = running_parity(quotes) ^ self.inside;
        let (opening, closing) = (quotes & inside, quotes & !inside);
        let outside_ends = ends & !inside;
        self.line_feeds += (line_feeds & !inside).count_ones() as usize;
        self.quoted_line_feeds |= line_feeds & inside;
        // A quote may open after a separator, or directly after a closing one: then it is a doubled quote.
        let may_open = (outside_ends | closing) << 1 | self.may_open;
        // After a closing quote, a field ends or the quote is doubled.
        let must_end = closing << 1 | self.has_closed;
        self.irregular |= opening & !may_open | must_end & valid & !(ends | returns | quotes);
        self.doubled |= opening & must_end;
        self.quotes += quotes.count_ones() as usize;
        self.inside = ((inside as i64) >> 63) as u64;
        self.may_open = (outside_ends | closing) >> 63;
        self.has_closed = closing >> 63;
        outside_ends
    }
}

/// Bit `i` of the result is the exclusive or of bits 0 to `i`.
#[inline(always)]
fn running_parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}
