//! Formats eight numbers at a time with AVX-512.
//!
//! The search is that of Giulietti, "The Schubfach way to render doubles" (2020), in the variant that tests the shorter text first: a
//! number c·2^q with 2^52 ≤ c < 2^53 is scaled by the power of ten 10^n that brings the distance to its neighbours, 2^q, to between a tenth
//! and one. At most one integer is then within half of that distance: if there is one, it is the shortest text, once its trailing zeros are
//! removed. Otherwise one more digit is needed, and the nearest one is correct.
//!
//! Only zeros and numbers from 1e-5 to below 2^52 are formatted here: those without an exponent in their text, except for the largest. For
//! these, n is 0 to 20, and an integer of 52 bits times a power of two represents 10^n exactly. So nothing is rounded: the scaled number
//! has 105 bits, of which at most 49 after the binary point are not zero, and every comparison is exact. Powers of two, whose lower
//! neighbour is nearer, are no special case: in this range they are integers when scaled.

#![expect(
    unsafe_code,
    reason = "vector instructions are called here, and loads and stores of theirs have no safe form"
)]

use std::arch::x86_64::*;

use super::{Slot, write_one};

/// Whether [`write_all`] may be called.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("avx512vbmi")
}

/// As [`super::write_all`], with as many slots as values.
///
/// # Panics
/// If the processor does not support what [`is_there`] checks.
pub(super) fn write_all(values: &[f64], slots: &mut [Slot]) {
    assert!(is_there(), "AVX-512");
    // SAFETY: the processor has all that is needed, as was just asked.
    unsafe { write_eights(values, slots) }
}

/// # Safety
/// The processor must have what [`is_there`] asks for.
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512ifma,avx512vbmi")]
unsafe fn write_eights(values: &[f64], slots: &mut [Slot]) {
    let (eights, rest) = values.as_chunks::<8>();
    let (eight_slots, rest_slots) = slots.as_chunks_mut::<8>();
    for (values, slots) in eights.iter().zip(eight_slots) {
        write_others(write_eight(values, slots), values, slots);
    }
    if !rest.is_empty() {
        let (mut values, mut slots) = ([0.0; 8], [Slot::EMPTY; 8]);
        values[..rest.len()].copy_from_slice(rest);
        write_others(write_eight(&values, &mut slots), &values, &mut slots);
        rest_slots.copy_from_slice(&slots[..rest.len()]);
    }
}

/// Formats the numbers whose bit is set one by one: they are out of range here.
#[inline]
fn write_others(mut others: u8, values: &[f64; 8], slots: &mut [Slot; 8]) {
    while others != 0 {
        let at = others.trailing_zeros() as usize;
        slots[at] = write_one(values[at]);
        others &= others - 1;
    }
}

/// The bits of an `f64` below its exponent.
const MANTISSA: u64 = (1 << 52) - 1;

/// Numbers below 1e-5 have an exponent in their text.
const LEAST: u64 = 1e-5_f64.to_bits();

/// From here on, numbers are scaled by a tenth or less, which no integer represents.
const BOUND: u64 = ((1_u64 << 52) as f64).to_bits();

/// The number of powers of ten used: 10^0 to 10^20.
const POWERS: usize = 21;

/// 10^n = p·2^-t with 2^51 ≤ p < 2^52: p, and above its 52 bits t plus the bias of an `f64`'s exponent.
static SCALES: [u64; 24] = {
    let (mut scales, mut power, mut n) = ([0; 24], 1_u128, 0);
    while n < POWERS {
        let bits = 128 - power.leading_zeros();
        let scaled = if bits < 52 { power << (52 - bits) } else { power >> (bits - 52) };
        assert!(bits < 52 || scaled << (bits - 52) == power, "nothing is lost");
        scales[n] = scaled as u64 | ((1023 + 52 - bits) as u64) << 52;
        power *= 10;
        n += 1;
    }
    scales
};

/// The source of the bytes of a text: 0 to 15 are the digits except the first, followed by the first and the other characters.
const FIRST: u8 = 16;
const POINT: u8 = 17;
const ZERO: u8 = 18;
const MINUS: u8 = 19;
const LENGTH: u8 = 20;

/// The offset of the rows of [`PLACES`] with a sign.
const SIGNED: usize = 32;

/// The row of [`PLACES`] for numbers with the point after the first digit.
const UNITS: usize = 5;

/// By power of ten of the first digit, from 10^-5 on, without and with a sign: the source of each byte of the slot.
static PLACES: [[u8; Slot::SIZE]; 2 * SIGNED] = {
    let mut places = [[LENGTH; Slot::SIZE]; 2 * SIGNED];
    let mut row = 0;
    while row < POWERS {
        places[row] = text_places(row, false);
        places[SIGNED + row] = text_places(row, true);
        row += 1;
    }
    places
};

/// One row: all 17 digits, with a point and zeros where needed.
const fn text_places(row: usize, is_negative: bool) -> [u8; Slot::SIZE] {
    let mut places = [LENGTH; Slot::SIZE];
    let mut end = 0;
    if is_negative {
        places[end] = MINUS;
        end += 1;
    }
    // Digits before the point; leading zeros if the first digit is after it.
    let mut zeros = UNITS.saturating_sub(row);
    let mut point = if zeros > 0 { end + 1 } else { end + row - UNITS + 1 };
    let mut digit = 0;
    while digit < 17 {
        places[end] = if end == point {
            point = usize::MAX;
            POINT
        } else if zeros > 0 {
            zeros -= 1;
            ZERO
        } else {
            digit += 1;
            if digit == 1 { FIRST } else { digit - 2 }
        };
        end += 1;
    }
    places
}

/// Formats the numbers in range. Returns a mask of the others, whose slots have an arbitrary content.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512ifma,avx512vbmi")]
fn write_eight(values: &[f64; 8], slots: &mut [Slot; 8]) -> u8 {
    // SAFETY: the pointer is to 64 bytes and need not be aligned.
    let bits = unsafe { _mm512_loadu_si512(values.as_ptr().cast()) };
    let magnitude = _mm512_and_si512(bits, all(i64::MAX as u64));
    let nonzero = _mm512_test_epi64_mask(magnitude, magnitude);
    let above = _mm512_sub_epi64(magnitude, all(LEAST));
    let regular = _mm512_cmplt_epu64_mask(above, all(BOUND - LEAST));
    let digits = shortest(bits, magnitude, regular);
    write_digits(digits, _mm512_movepi64_mask(bits), slots);
    nonzero & !regular
}

/// Seventeen decimal digits each, including trailing zeros.
struct Digits {
    /// As an integer.
    all: __m512i,
    /// The power of ten of the first digit, as a row of [`PLACES`].
    row: __m512i,
}

/// The shortest digits of numbers in range; zeros for others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512ifma,avx512vbmi")]
fn shortest(bits: __m512i, magnitude: __m512i, regular: __mmask8) -> Digits {
    let exponent = _mm512_srli_epi64::<52>(magnitude);
    let q = _mm512_sub_epi64(exponent, all(1075));
    // n = -1 - k with k = ⌊q·log10(2)⌋: the bitwise complement of k.
    let k = _mm512_srai_epi64::<20>(_mm512_mul_epi32(q, all(315_653)));
    let n = _mm512_xor_si512(k, all(u64::MAX));
    let scale = scales(n, regular);
    let p = _mm512_and_si512(scale, all(MANTISSA));
    // The product c·p in two parts of 52 bits; the multiplication uses only the lowest 52 bits, so c is given without its highest one.
    let high = _mm512_madd52hi_epu64(p, magnitude, p);
    let low = _mm512_madd52lo_epu64(all(0), magnitude, p);
    // The point is 0 to 3 bits above the boundary of the parts.
    let shift = _mm512_sub_epi64(_mm512_srli_epi64::<52>(scale), exponent);
    let integer = _mm512_srlv_epi64(high, shift);
    let spill = _mm512_sllv_epi64(high, _mm512_sub_epi64(all(52), shift));
    let fraction = _mm512_or_si512(_mm512_and_si512(spill, all(MANTISSA)), _mm512_srlv_epi64(low, shift));
    // Half of the distance to the neighbours. A number at exactly that distance reads back to the even one.
    let half = _mm512_srlv_epi64(p, _mm512_add_epi64(shift, all(1)));
    let odd = _mm512_and_si512(bits, all(1));
    let up = _mm512_cmpgt_epu64_mask(_mm512_add_epi64(fraction, half), _mm512_add_epi64(all(MANTISSA), odd));
    let down = _mm512_cmple_epu64_mask(_mm512_add_epi64(fraction, odd), half);
    let integer = _mm512_mask_add_epi64(integer, up, integer, all(1));
    // The nearest tenth. Two are equally near only at one and three quarters: the even ones are 2 and 8.
    let tenth = _mm512_srli_epi64::<52>(_mm512_add_epi64(times_ten(fraction), all(1 << 51)));
    let quarter = _mm512_cmpeq_epi64_mask(fraction, all(1 << 50));
    let tenth = _mm512_mask_mov_epi64(tenth, quarter, all(2));
    let tens = times_ten(integer);
    let digits = _mm512_mask_add_epi64(tens, !(up | down), tens, tenth);
    // Sixteen digits or seventeen.
    let sixteen = _mm512_cmplt_epu64_mask(digits, all(10_u64.pow(16)));
    let row = _mm512_sub_epi64(all(20), n);
    let row = _mm512_mask_sub_epi64(row, sixteen, row, all(1));
    Digits {
        all: _mm512_mask_mov_epi64(digits, sixteen, times_ten(digits)),
        row: _mm512_mask_mov_epi64(all(UNITS as u64), regular, row),
    }
}

/// The entries `n` of [`SCALES`]; 0 where the bit of `regular` is clear.
#[inline]
#[target_feature(enable = "avx512f")]
fn scales(n: __m512i, regular: __mmask8) -> __m512i {
    let (parts, _) = SCALES.as_chunks::<8>();
    let (low, middle, high) = (load(&parts[0]), load(&parts[1]), load(&parts[2]));
    let scale = _mm512_maskz_permutex2var_epi64(regular, low, n, middle);
    let above = _mm512_mask_test_epi64_mask(regular, n, all(16));
    _mm512_mask_permutexvar_epi64(scale, above, n, high)
}

/// Writes digits, sign and point to their positions.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512ifma,avx512vbmi")]
fn write_digits(digits: Digits, negative: __mmask8, slots: &mut [Slot; 8]) {
    const EIGHT: u64 = 100_000_000;
    // A quotient by 10^8, that is 2^8·5^8: exact for numbers below 2^57, since 2^70 / 5^8 is off by less than 2^-21 in 2^49.
    let quotient = _mm512_madd52hi_epu64(
        all(0),
        _mm512_srli_epi64::<8>(digits.all),
        all(((1_u128 << 70) / 390_625) as u64 + 1),
    );
    let upper = _mm512_srli_epi64::<18>(quotient);
    let last = _mm512_sub_epi64(digits.all, _mm512_mul_epu32(upper, all(EIGHT)));
    // The same for numbers below 2^32.
    let first = _mm512_srli_epi64::<57>(_mm512_mul_epu32(upper, all((1 << 57) / EIGHT + 1)));
    let middle = _mm512_sub_epi64(upper, _mm512_mul_epu32(first, all(EIGHT)));
    let (middle, last) = (eight_digits(middle), eight_digits(last));
    // Trailing zeros: the last digits are the highest bytes.
    let more = _mm512_testn_epi64_mask(last, last);
    let zeros = _mm512_lzcnt_epi64(last);
    let zeros = _mm512_mask_add_epi64(zeros, more, zeros, _mm512_lzcnt_epi64(middle));
    let count = _mm512_sub_epi64(all(17), _mm512_srli_epi64::<3>(zeros));
    let length = length(count, digits.row, negative);
    let row = _mm512_mask_add_epi64(digits.row, negative, digits.row, all(SIGNED as u64));
    let ascii = all(u64::from_ne_bytes([b'0'; 8]));
    let others = u64::from_le_bytes([b'0', b'.', b'0', b'-', 0, 0, 0, 0]);
    let others = _mm512_add_epi64(_mm512_add_epi64(first, all(others)), _mm512_slli_epi64::<32>(length));
    place([_mm512_or_si512(middle, ascii), _mm512_or_si512(last, ascii), others], row, slots);
}

/// The length of the text of `count` digits, with the point at `row`.
#[inline]
#[target_feature(enable = "avx512f")]
fn length(count: __m512i, row: __m512i, negative: __mmask8) -> __m512i {
    // Digits before the point, if the first digit is before it.
    let front = _mm512_sub_epi64(row, all(UNITS as u64 - 1));
    let has_point = _mm512_cmpgt_epi64_mask(count, front);
    let length = _mm512_mask_add_epi64(front, has_point, count, all(1));
    let zeros = _mm512_max_epi64(_mm512_sub_epi64(all(1), front), all(0));
    let length = _mm512_add_epi64(length, zeros);
    _mm512_mask_add_epi64(length, negative, length, all(1))
}

/// Each number below 10^8 as eight bytes, the first digit lowest: halves, then pairs, then single digits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn eight_digits(numbers: __m512i) -> __m512i {
    let each = |number: u16| all(u64::from(number) * 0x0001_0001_0001_0001);
    // ⌊x / 10^4⌋ for x < 10^8.
    let upper = _mm512_srli_epi64::<40>(_mm512_mul_epu32(numbers, all((1 << 40) / 10_000 + 1)));
    let lower = _mm512_sub_epi64(numbers, _mm512_mul_epu32(upper, all(10_000)));
    let fours = _mm512_or_si512(upper, _mm512_slli_epi64::<32>(lower));
    // ⌊x / 100⌋ for x < 10^4.
    let upper = _mm512_srli_epi16::<3>(_mm512_mulhi_epu16(fours, each(5243)));
    let lower = _mm512_sub_epi16(fours, _mm512_mullo_epi16(upper, each(100)));
    let pairs = _mm512_or_si512(upper, _mm512_slli_epi32::<16>(lower));
    // ⌊x / 10⌋ for x < 100.
    let upper = _mm512_mulhi_epu16(pairs, each(6554));
    let lower = _mm512_sub_epi16(pairs, _mm512_mullo_epi16(upper, each(10)));
    _mm512_or_si512(upper, _mm512_slli_epi16::<8>(lower))
}

/// Gathers the bytes of each number, two numbers at a time, and moves each to its position.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn place([middle, last, others]: [__m512i; 3], row: __m512i, slots: &mut [Slot; 8]) {
    let mut rows = [0_u64; 8];
    // SAFETY: the pointer is to 64 bytes and need not be aligned.
    unsafe { _mm512_storeu_si512(rows.as_mut_ptr().cast(), row) };
    let places = |at: usize| &PLACES[rows[at] as usize % PLACES.len()];
    let (pairs, _) = slots.as_chunks_mut::<2>();
    for (at, pair) in pairs.iter_mut().enumerate() {
        let (a, b) = (2 * at as i64, 2 * at as i64 + 1);
        let source =
            _mm512_permutex2var_epi64(middle, _mm512_setr_epi64(a, 8 + a, 0, 0, b, 8 + b, 0, 0), last);
        let source = _mm512_mask_permutexvar_epi64(
            source,
            0b0100_0100,
            _mm512_setr_epi64(0, 0, a, 0, 0, 0, b, 0),
            others,
        );
        // SAFETY: the pointers are to 32 bytes each, and need not be aligned.
        let (first, second) = unsafe {
            (
                _mm256_loadu_si256(places(2 * at).as_ptr().cast()),
                _mm256_loadu_si256(places(2 * at + 1).as_ptr().cast()),
            )
        };
        let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second);
        // The second number is in the upper half.
        let both = _mm512_or_si512(both, _mm512_setr_epi64(0, 0, 0, 0, UPPER, UPPER, UPPER, UPPER));
        let texts = _mm512_permutexvar_epi8(both, source);
        // SAFETY: the pointer is to two slots, which are 64 bytes and of which any are valid; it need not be aligned.
        unsafe { _mm512_storeu_si512(pair.as_mut_ptr().cast(), texts) };
    }
}

/// 32 in every byte.
const UPPER: i64 = i64::from_ne_bytes([32; 8]);

#[inline]
#[target_feature(enable = "avx512f")]
fn times_ten(numbers: __m512i) -> __m512i {
    _mm512_add_epi64(_mm512_slli_epi64::<3>(numbers), _mm512_slli_epi64::<1>(numbers))
}

/// The same number eight times.
#[inline]
#[target_feature(enable = "avx512f")]
fn all(number: u64) -> __m512i {
    _mm512_set1_epi64(number as i64)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(numbers: &[u64; 8]) -> __m512i {
    // SAFETY: the pointer is to 64 bytes and need not be aligned.
    unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
}
