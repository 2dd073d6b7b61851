//! The order of finite floats, in which −0 is less than +0 (clause 16).

/// The value's bits, transformed so that keys compare like values.
#[inline]
pub(super) fn key_of(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The value of a key.
#[inline]
pub(super) fn value_of(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

/// The minimum of two numbers, neither of which is NaN.
#[inline]
pub fn lesser(a: f64, b: f64) -> f64 {
    // Equal numbers have equal bits, except zeros: −0 wins.
    f64::from_bits((if a < b { a } else { b }).to_bits() | (if b < a { b } else { a }).to_bits())
}

/// The maximum of two numbers, neither of which is NaN.
#[inline]
pub fn greater(a: f64, b: f64) -> f64 {
    f64::from_bits((if a > b { a } else { b }).to_bits() & (if b > a { b } else { a }).to_bits())
}
