//! Parses many short numbers at once (clause 3). The fields of a column are first gathered as words of eight bytes; then eight of them go
//! through the same branch-free steps in parallel, so that compilers generate vector instructions.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "instructions that not every processor has are chosen at run time")
)]

use super::digits::ZEROS;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// The relevant bytes of a field.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numeral {
    /// The eight bytes before the field's end, the first one lowest; bytes before the text are arbitrary.
    word: u64,
    /// The length of the field, which may exceed eight.
    len: u64,
}

impl Numeral {
    /// The greatest length of a field that [`read`] parses, in bytes.
    pub const LONGEST: usize = 8;

    /// The field at `start..end` of `text`.
    #[inline]
    pub fn new(text: &[u8], start: usize, end: usize) -> Self {
        let before = text.get(..end).and_then(<[u8]>::last_chunk::<8>);
        let word =
            before.map_or_else(|| Self::at_the_beginning(&text[..end]), |word| u64::from_le_bytes(*word));
        Self { word, len: end.wrapping_sub(start) as u64 }
    }

    #[cold]
    fn at_the_beginning(text: &[u8]) -> u64 {
        let mut word = [0; 8];
        word[8 - text.len()..].copy_from_slice(text);
        u64::from_le_bytes(word)
    }

    /// Its value and 0 if it is `-?[0-9]*mark?[0-9]*` of at most eight bytes with at least one digit; otherwise an arbitrary value and not
    /// 0. `marks` is the decimal mark repeated eight times.
    ///
    /// Eight digits in eight bytes are combined to pairs, then fours, then eight, by one multiplication each (Lemire, "Number parsing at a
    /// gigabyte per second", 2021). The division of two integers below 2^53 is correctly rounded (Clinger, "How to read floating point
    /// numbers accurately", 1990).
    #[inline(always)]
    fn value(self, marks: u64) -> (f64, u64) {
        const PAIRS: u64 = 0x0000_00ff_0000_00ff;
        /// 2^52: adding an integer to its bits puts it in the lowest bits of the mantissa.
        const INTEGERS: f64 = 4_503_599_627_370_496.0;
        let Self { word, len } = self;
        // Clears the sign and the bytes before the field.
        let front = 64_u64.wrapping_sub(8 * len) & 63;
        let own = u64::MAX << front;
        let minus = u64::from((word >> front) as u8 == b'-');
        let word = (word & own | ZEROS & !own) ^ (minus * u64::from(b'-' ^ b'0')) << front;
        // The lowest high bit marks the first decimal mark.
        let found = word ^ marks;
        let found = found.wrapping_sub(ONES) & !found & HIGH;
        let mark = found & found.wrapping_neg();
        // Shifts the bytes before the mark up by one, over the mark.
        let whole = word & (mark >> 7).wrapping_sub(1);
        let decimals = word & !(mark << 1).wrapping_sub(1);
        let digits = if mark == 0 { word } else { whole << 8 | decimals | u64::from(b'0') } ^ ZEROS;
        let no_digits = (digits.wrapping_add(ONES * 0x76) | digits) & HIGH;
        let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
        let mantissa = (pairs & PAIRS)
            .wrapping_mul(100 + (1_000_000 << 32))
            .wrapping_add(((pairs >> 16) & PAIRS).wrapping_mul(1 + (10_000 << 32)))
            >> 32;
        let mantissa = f64::from_bits(mantissa | INTEGERS.to_bits()) - INTEGERS;
        let signs = minus + u64::from(mark != 0);
        let other =
            no_digits | u64::from(len.wrapping_sub(1) >= Self::LONGEST as u64) | u64::from(len == signs);
        let quotient = mantissa / power(mark);
        (f64::from_bits(quotient.to_bits() ^ minus << 63), other)
    }
}

/// 10 to the power of the number of bytes above the mark, whose highest bit is set. Computed from the binary digits of that number: a table
/// would need one lookup per lane.
#[inline(always)]
fn power(mark: u64) -> f64 {
    /// The highest bits of the bytes with this many bytes above them.
    const fn places(above: [u32; 4]) -> u64 {
        (1 << (63 - 8 * above[0]))
            | (1 << (63 - 8 * above[1]))
            | (1 << (63 - 8 * above[2]))
            | (1 << (63 - 8 * above[3]))
    }
    let factor = |above, factor| if mark & places(above) != 0 { factor } else { 1.0 };
    factor([1, 3, 5, 7], 1e1) * factor([2, 3, 6, 7], 1e2) * factor([4, 5, 6, 7], 1e4)
}

/// Parses `numerals` into `values`, of the same length, with `mark` as decimal mark: bit for bit as `str::parse`. Those that are not
/// `-?[0-9]*mark?[0-9]*` of at most eight bytes with at least one digit are added to `others`, by index, and get an arbitrary value.
pub fn read(numerals: &[Numeral], mark: u8, values: &mut [f64], others: &mut Vec<u32>) {
    #[cfg(target_arch = "x86_64")]
    {
        if super::vectors::has_avx512() {
            // SAFETY: the processor has all that is needed, as was just asked.
            return unsafe { x86::read_avx512(numerals, mark, values, others) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, as was just asked.
            return unsafe { x86::read_avx2(numerals, mark, values, others) };
        }
    }
    read_by::<1>(numerals, mark, values, others);
}

/// The same with this many lanes.
#[inline(always)]
fn read_by<const LANES: usize>(numerals: &[Numeral], mark: u8, values: &mut [f64], others: &mut Vec<u32>) {
    let marks = ONES * u64::from(mark);
    let (groups, rest) = numerals.as_chunks::<LANES>();
    let (groups_of_values, rest_of_values) = values.as_chunks_mut::<LANES>();
    for (at, (group, values)) in groups.iter().zip(groups_of_values).enumerate() {
        read_group(group, marks, values, at * LANES, others);
    }
    for (at, (&numeral, value)) in rest.iter().zip(rest_of_values).enumerate() {
        let mut one = [0.0];
        read_group(&[numeral], marks, &mut one, groups.len() * LANES + at, others);
        [*value] = one;
    }
}

/// Parses one group; `first` is the index of its first number.
#[inline(always)]
fn read_group<const LANES: usize>(
    group: &[Numeral; LANES],
    marks: u64,
    values: &mut [f64; LANES],
    first: usize,
    others: &mut Vec<u32>,
) {
    let mut other = [0; LANES];
    for lane in 0..LANES {
        (values[lane], other[lane]) = group[lane].value(marks);
    }
    if other.iter().fold(0, |any, other| any | other) != 0 {
        let lanes = (0..LANES).filter(|&lane| other[lane] != 0);
        others.extend(lanes.map(|lane| (first + lane) as u32));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Numeral, read_by};

    /// Requires [`has_avx512`](crate::kernel::vectors::has_avx512).
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
    pub(super) fn read_avx512(numerals: &[Numeral], mark: u8, values: &mut [f64], others: &mut Vec<u32>) {
        read_by::<8>(numerals, mark, values, others);
    }

    /// Requires AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) fn read_avx2(numerals: &[Numeral], mark: u8, values: &mut [f64], others: &mut Vec<u32>) {
        read_by::<8>(numerals, mark, values, others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read = fn(&[Numeral], u8, &mut [f64], &mut Vec<u32>);

    fn ways() -> Vec<Read> {
        let mut ways: Vec<Read> = vec![read, read_by::<1>, read_by::<8>];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, as was just asked.
            ways.push(|numerals, mark, values, others| unsafe {
                x86::read_avx2(numerals, mark, values, others);
            });
        }
        ways
    }

    /// The result of `str::parse` for texts that this kernel handles.
    fn expected(text: &str) -> Option<f64> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_plain = digits.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_plain && text.len() <= 8)
    }

    proptest! {
        #[test]
        fn clause_3_short_numerals_parse_as_the_language_does(texts in proptest::collection::vec(
            "-?[0-9]{0,6}[.]?[0-9]{0,5}|[-.0-9+e/:,]{0,9}|[0-9]{0,300}", 0..40,
        ), comma in any::<bool>()) {
            let mark = if comma { b',' } else { b'.' };
            let texts: Vec<String> = texts.into_iter().filter(|text| !comma || !text.contains(',')).collect();
            let all = texts.concat().replace('.', if comma { "," } else { "." });
            let mut end = 0;
            let fields = texts.iter().map(|text| {
                end += text.len();
                Numeral::new(all.as_bytes(), end - text.len(), end)
            });
            let numerals: Vec<_> = fields.collect();
            for read in ways() {
                let (mut values, mut others) = (vec![0.0; texts.len()], Vec::new());
                read(&numerals, mark, &mut values, &mut others);
                for (at, text) in texts.iter().enumerate() {
                    let got = (!others.contains(&(at as u32))).then(|| values[at].to_bits());
                    prop_assert_eq!(got, expected(text).map(f64::to_bits), "{:?}", text);
                }
                prop_assert!(others.is_sorted());
            }
        }
    }
}
