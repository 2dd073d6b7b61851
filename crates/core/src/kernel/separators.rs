//! Where separators stand in delimited text: 64 bytes at a time, by the widest instructions that the processor has.
//!
//! The idea of bit masks of 64 bytes, and of the parity of quotes by a running exclusive or, is that of Langdale and Lemire,
//! "Parsing Gigabytes of JSON per Second" (2019).

#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(unsafe_code, reason = "vector instructions are called here and nowhere else")
)]

/// The bytes that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Separators {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: Option<u8>,
}

/// What a text has, beside where its separators stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Line feeds outside quotes: those among the places.
    pub line_feeds: usize,
    /// Whether there are line feeds between quotes.
    pub has_quoted_line_feeds: bool,
    /// Whether there are carriage returns, between quotes or not.
    pub has_returns: bool,
    /// Quotes.
    pub quotes: usize,
    /// Whether a quote that closes is followed at once by one that opens: two that mean one.
    pub has_doubled: bool,
    /// Whether all bytes are ASCII.
    pub is_ascii: bool,
    /// Whether every quote that opens stands at the start of a field, and every one that closes at the end of one (or
    /// is doubled), given that the text begins at the start of a record; the text may end anywhere. True without quotes.
    pub is_regular: bool,
}

impl Survey {
    /// Whether every line feed ends a record, and quotes stand only where they mean something.
    pub fn has_plain_lines(&self) -> bool {
        self.quotes == 0 || self.is_regular && !self.has_quoted_line_feeds
    }
}

/// Puts the places of all delimiters and line feeds of `text` that are not between quotes into `places`, ascending,
/// each plus `base`. The text begins at the start of a record.
pub fn find(text: &[u8], base: u32, separators: Separators, places: &mut Vec<u32>) -> Survey {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_avx512() {
            // SAFETY: the processor has all that is needed, as was just asked.
            return unsafe { x86::find_avx512(text, base, separators, places) };
        }
        if x86::has_avx2() {
            // SAFETY: the processor has all that is needed, as was just asked.
            return unsafe { x86::find_avx2(text, base, separators, places) };
        }
    }
    find_by::<Widest, true>(text, base, separators, places)
}

/// The same without the places.
pub fn survey(text: &[u8], separators: Separators) -> Survey {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_avx512() {
            // SAFETY: the processor has all that is needed, as was just asked.
            return unsafe { x86::survey_avx512(text, separators) };
        }
        if x86::has_avx2() {
            // SAFETY: the processor has all that is needed, as was just asked.
            return unsafe { x86::survey_avx2(text, separators) };
        }
    }
    find_by::<Widest, false>(text, 0, separators, &mut Vec::new())
}

/// The best of what every processor of this kind has.
#[cfg(target_arch = "aarch64")]
type Widest = neon::Neon;
#[cfg(not(target_arch = "aarch64"))]
type Widest = Portable;

/// 64 bytes, to be compared with one.
trait Block: Copy {
    fn load(bytes: &[u8; 64]) -> Self;

    /// A bit a byte: whether it is `byte`.
    fn equal(self, byte: u8) -> u64;

    /// The bits of both.
    fn or(self, other: Self) -> Self;

    /// Whether a byte has its highest bit set.
    fn has_high_bit(self) -> bool;

    /// Appends the places of the set bits of `mask`, each plus `base`.
    #[inline(always)]
    fn push(mask: u64, base: u32, places: &mut Vec<u32>) {
        push(mask, base, places);
    }
}

/// How far a scan has come. Of what is not counted, the bits of all blocks are put together.
#[derive(Default)]
struct ScanState {
    line_feeds: usize,
    quotes: usize,
    /// All ones where the next block begins between quotes.
    inside: u64,
    /// Bit 0: the byte before the next block ends a field, so that a quote may open.
    may_open: u64,
    /// Bit 0: that byte is a quote that closes, so that a field has to end.
    has_closed: u64,
    irregular: u64,
    doubled: u64,
    quoted_line_feeds: u64,
    returns: u64,
}

/// Without `PLACES`, the list stays empty.
#[inline(always)]
fn find_by<B: Block, const PLACES: bool>(
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
        // The bytes behind the end are separators of no kind: they must not count as anything.
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

    /// The separators of a block, of which the bytes in `valid` exist.
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

    /// The same where quotes have a say. Set bits of `inside` are an opening quote and what follows it, up to before the closing one.
    #[inline]
    fn quoted(&mut self, ends: u64, line_feeds: u64, returns: u64, quotes: u64, valid: u64) -> u64 {
        let inside = running_parity(quotes) ^ self.inside;
        let (opening, closing) = (quotes & inside, quotes & !inside);
        let outside_ends = ends & !inside;
        self.line_feeds += (line_feeds & !inside).count_ones() as usize;
        self.quoted_line_feeds |= line_feeds & inside;
        // A quote may open behind a separator, or behind one that has just closed: it is doubled then.
        let may_open = (outside_ends | closing) << 1 | self.may_open;
        // Behind a quote that closes, a field ends, or the quote is doubled.
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

/// Appends the places of the set bits, four at a time: most blocks have few, and a branch for each costs more than a bit too many.
#[inline(always)]
fn push(mut mask: u64, base: u32, places: &mut Vec<u32>) {
    let (count, start) = (mask.count_ones() as usize, places.len());
    let mut written = 0;
    while written < count {
        let mut four = [0; 4];
        for place in &mut four {
            *place = base.wrapping_add(mask.trailing_zeros());
            mask &= mask.wrapping_sub(1);
        }
        places.extend_from_slice(&four);
        written += 4;
    }
    places.truncate(start + count);
}

/// For processors without anything better, and to judge the others; compilers make vector instructions of it where they can.
#[cfg(any(test, not(target_arch = "aarch64")))]
#[derive(Clone, Copy)]
struct Portable([u8; 64]);

#[cfg(any(test, not(target_arch = "aarch64")))]
impl Block for Portable {
    #[inline(always)]
    fn load(bytes: &[u8; 64]) -> Self {
        Self(*bytes)
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        let bit = |mask, (at, &found): (usize, &u8)| mask | u64::from(found == byte) << at;
        self.0.iter().enumerate().fold(0, bit)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    #[inline(always)]
    fn has_high_bit(self) -> bool {
        !self.0.is_ascii()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Block, Separators, Survey, find_by};

    /// Whether [`find_avx512`] may be called.
    pub(super) fn has_avx512() -> bool {
        is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt")
    }

    /// Whether [`find_avx2`] may be called.
    pub(super) fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt")
    }

    /// Needs what [`has_avx512`] asks for.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,popcnt,lzcnt")]
    pub(super) fn find_avx512(text: &[u8], base: u32, by: Separators, places: &mut Vec<u32>) -> Survey {
        find_by::<Avx512, true>(text, base, by, places)
    }

    /// Needs what [`has_avx512`] asks for.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,popcnt,lzcnt")]
    pub(super) fn survey_avx512(text: &[u8], by: Separators) -> Survey {
        find_by::<Avx512, false>(text, 0, by, &mut Vec::new())
    }

    /// Needs what [`has_avx2`] asks for.
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
    pub(super) fn find_avx2(text: &[u8], base: u32, by: Separators, places: &mut Vec<u32>) -> Survey {
        find_by::<Avx2, true>(text, base, by, places)
    }

    /// Needs what [`has_avx2`] asks for.
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
    pub(super) fn survey_avx2(text: &[u8], by: Separators) -> Survey {
        find_by::<Avx2, false>(text, 0, by, &mut Vec::new())
    }

    /// Made only below `find_avx512` and `survey_avx512`.
    #[derive(Clone, Copy)]
    struct Avx512(__m512i);

    impl Block for Avx512 {
        #[inline(always)]
        fn load(bytes: &[u8; 64]) -> Self {
            // SAFETY: the pointer is to 64 bytes and need not be aligned; the instructions are there, see `has_avx512`.
            Self(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) })
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            // SAFETY: the instructions are there, see `has_avx512`.
            unsafe { _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte as i8)) }
        }

        #[inline(always)]
        fn or(self, other: Self) -> Self {
            // SAFETY: the instructions are there, see `has_avx512`.
            Self(unsafe { _mm512_or_si512(self.0, other.0) })
        }

        #[inline(always)]
        fn has_high_bit(self) -> bool {
            // SAFETY: the instructions are there, see `has_avx512`.
            unsafe { _mm512_movepi8_mask(self.0) != 0 }
        }

        /// The numbers 0 to 63, of which those at set bits are moved together, sixteen at a time widened and written. Into a
        /// register: writing to memory so is slow on some processors.
        #[inline(always)]
        fn push(mask: u64, base: u32, places: &mut Vec<u32>) {
            /// What one block may append.
            const MOST: usize = 64;
            static NUMBERS: [u8; MOST] = {
                let (mut numbers, mut at) = ([0; MOST], 0);
                while at < MOST {
                    numbers[at] = at as u8;
                    at += 1;
                }
                numbers
            };
            let (count, start) = (mask.count_ones() as usize, places.len());
            places.reserve(MOST);
            // SAFETY: there is room for 64 more places, and no more than that are written: sixteen at a time, at least `count` of them,
            // none beyond the 64th. As many as there are set bits are counted in. The instructions are there, see `has_avx512`.
            unsafe {
                let numbers = _mm512_loadu_si512(NUMBERS.as_ptr().cast());
                let found = _mm512_maskz_compress_epi8(mask, numbers);
                let base = _mm512_set1_epi32(base as i32);
                let room = places.as_mut_ptr().add(start);
                let write = |part: __m128i, at: usize| {
                    let wide = _mm512_add_epi32(_mm512_cvtepu8_epi32(part), base);
                    _mm512_storeu_si512(room.add(at).cast(), wide);
                };
                write(_mm512_castsi512_si128(found), 0);
                if count > 16 {
                    write(_mm512_extracti32x4_epi32::<1>(found), 16);
                    if count > 32 {
                        write(_mm512_extracti32x4_epi32::<2>(found), 32);
                        write(_mm512_extracti32x4_epi32::<3>(found), 48);
                    }
                }
                places.set_len(start + count);
            }
        }
    }

    /// Made only below `find_avx2` and `survey_avx2`.
    #[derive(Clone, Copy)]
    struct Avx2([__m256i; 2]);

    impl Block for Avx2 {
        #[inline(always)]
        fn load(bytes: &[u8; 64]) -> Self {
            let halves: *const __m256i = bytes.as_ptr().cast();
            // SAFETY: both loads lie within the 64 bytes and need not be aligned; the instructions are there, see `has_avx2`.
            Self(unsafe { [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))] })
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            // SAFETY: the instructions are there, see `has_avx2`.
            let half = |half| unsafe {
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8))) as u32
            };
            u64::from(half(self.0[0])) | u64::from(half(self.0[1])) << 32
        }

        #[inline(always)]
        fn or(self, other: Self) -> Self {
            // SAFETY: the instructions are there, see `has_avx2`.
            Self(unsafe { [_mm256_or_si256(self.0[0], other.0[0]), _mm256_or_si256(self.0[1], other.0[1])] })
        }

        #[inline(always)]
        fn has_high_bit(self) -> bool {
            // SAFETY: the instructions are there, see `has_avx2`.
            unsafe { _mm256_movemask_epi8(_mm256_or_si256(self.0[0], self.0[1])) != 0 }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::Block;

    /// Every 64-bit Arm processor has what is called here.
    #[derive(Clone, Copy)]
    pub(super) struct Neon([uint8x16_t; 4]);

    impl Block for Neon {
        #[inline(always)]
        fn load(bytes: &[u8; 64]) -> Self {
            let (quarters, _) = bytes.as_chunks::<16>();
            // SAFETY: each load is of the 16 bytes that the pointer is to, and need not be aligned.
            Self(std::array::from_fn(|at| unsafe { vld1q_u8(quarters[at].as_ptr()) }))
        }

        /// A bit of its own is kept of each byte that is equal; neighbours are added until eight bytes are one.
        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            static BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
            // SAFETY: the load is of the 16 bytes of the table; the other instructions touch no memory, and are always there.
            unsafe {
                let (bits, byte) = (vld1q_u8(BITS.as_ptr()), vdupq_n_u8(byte));
                let [a, b, c, d] = self.0.map(|quarter| vandq_u8(vceqq_u8(quarter, byte), bits));
                let eighths = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
                vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(eighths, eighths)))
            }
        }

        #[inline(always)]
        fn or(self, other: Self) -> Self {
            // SAFETY: the instruction touches no memory, and is always there.
            Self(std::array::from_fn(|at| unsafe { vorrq_u8(self.0[at], other.0[at]) }))
        }

        #[inline(always)]
        fn has_high_bit(self) -> bool {
            let [a, b, c, d] = self.0;
            // SAFETY: the instructions touch no memory, and are always there.
            unsafe { vmaxvq_u8(vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d))) >= 0x80 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, byte by byte.
    fn plain(text: &[u8], base: u32, by: Separators, places: &mut Vec<u32>) -> Survey {
        let mut found = Survey { is_ascii: text.is_ascii(), is_regular: true, ..Survey::default() };
        let (mut inside, mut before) = (false, None);
        places.clear();
        for (at, &byte) in text.iter().enumerate() {
            let is_quote = Some(byte) == by.quote;
            found.has_returns |= byte == b'\r';
            found.quotes += usize::from(is_quote);
            let is_end = byte == by.delimiter || byte == b'\n';
            if let Some((before_byte, was_inside)) = before {
                let closed = Some(before_byte) == by.quote && was_inside && !inside;
                found.is_regular &= !closed || is_end || is_quote || byte == b'\r';
                let may_open = closed || before_byte == by.delimiter || before_byte == b'\n';
                found.is_regular &= !is_quote || inside || may_open;
                found.has_doubled |= closed && is_quote;
            }
            let was_inside = inside;
            inside ^= is_quote;
            before = Some((byte, was_inside));
            found.has_quoted_line_feeds |= inside && byte == b'\n';
            if is_end && !inside {
                found.line_feeds += usize::from(byte == b'\n');
                places.push(base + at as u32);
            }
        }
        found
    }

    type Finder = fn(&[u8], u32, Separators, &mut Vec<u32>) -> Survey;

    fn all() -> Vec<Finder> {
        let mut all: Vec<Finder> =
            vec![find, |text, base, by, places| find_by::<Portable, true>(text, base, by, places)];
        #[cfg(target_arch = "x86_64")]
        if x86::has_avx2() {
            // SAFETY: the processor has all that is needed, as was just asked.
            all.push(|text, base, by, places| unsafe { x86::find_avx2(text, base, by, places) });
        }
        all
    }

    proptest! {
        #[test]
        fn every_way_finds_what_a_plain_loop_finds(
            text in proptest::collection::vec(proptest::sample::select(&b"ab1,\n\"\r;'\xc3"[..]), 0..300),
            long in proptest::collection::vec(proptest::sample::select(&b"aaaaaaaaaaaa,,\n\""[..]), 0..300),
            quote in proptest::sample::select(&[None, Some(b'"'), Some(b'\'')][..]), delimiter in proptest::sample::select(&b",;"[..]),
        ) {
            let by = Separators { delimiter, quote };
            for text in [text, long] {
                let (mut expected, mut places) = (Vec::new(), Vec::new());
                let found = plain(&text, 7, by, &mut expected);
                prop_assert_eq!(survey(&text, by), found);
                for finder in all() {
                    prop_assert_eq!(finder(&text, 7, by, &mut places), found, "{}", text.escape_ascii());
                    prop_assert_eq!(&places, &expected, "{}", text.escape_ascii());
                }
            }
        }
    }
}
