//! `numeric` in the binary format: digits in base 10,000.
//!
//! ```text
//! i16 number of groups · i16 weight of the first group · u16 sign · u16 digits after the point · i16 per group
//! ```

/// Signs, and values without digits.
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITE: u16 = 0xD000;
const MINUS_INFINITE: u16 = 0xF000;

/// Integers up to here are exact as `f64`.
const EXACT: u64 = 1 << 53;

/// A number between 0 and 10,000, exclusive.
const BASE: u64 = 10_000;

/// Appends an integer.
pub(crate) fn write_integer(value: i128, out: &mut Vec<u8>) {
    let mut groups = Vec::with_capacity(6);
    let mut rest = value.unsigned_abs();
    while rest > 0 {
        groups.push((rest % u128::from(BASE)) as u16);
        rest /= u128::from(BASE);
    }
    groups.reverse();
    let weight = groups.len().saturating_sub(1) as i16;
    write(weight, value < 0, 0, &groups, out);
}

/// Appends the shortest decimal number that reads back to the bits of `value`.
pub(crate) fn write_float(value: f64, out: &mut Vec<u8>) {
    let special = match value {
        value if value.is_nan() => Some(NAN),
        f64::INFINITY => Some(INFINITE),
        f64::NEG_INFINITY => Some(MINUS_INFINITE),
        _ => None,
    };
    if let Some(sign) = special {
        return write_head(0, 0, sign, 0, out);
    }
    // "1.234e-5": the digits, and the power of ten of the first one.
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    if digits.iter().all(|digit| *digit == 0) {
        return write(0, false, 0, &[], out);
    }
    let weight = exponent.div_euclid(4);
    // Zeros before the first digit, so that groups begin at multiples of four digits from the point.
    let lead = 3 - exponent.rem_euclid(4) as usize;
    let mut groups = vec![0u16; (lead + digits.len()).div_ceil(4)];
    for (at, digit) in digits.iter().enumerate() {
        let place = lead + at;
        groups[place / 4] += u16::from(*digit) * [1000, 100, 10, 1][place % 4];
    }
    let after = (digits.len() as i32 - 1 - exponent).max(0);
    write(weight as i16, value < 0.0, after as u16, &groups, out);
}

fn write(weight: i16, is_negative: bool, after: u16, groups: &[u16], out: &mut Vec<u8>) {
    let kept = groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1);
    write_head(kept as u16, weight, if is_negative { NEGATIVE } else { 0 }, after, out);
    groups[..kept].iter().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
}

fn write_head(groups: u16, weight: i16, sign: u16, after: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&groups.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&after.to_be_bytes());
}

/// The nearest `f64`; `None` if the bytes are not a `numeric`.
pub(crate) fn read_float(bytes: &[u8]) -> Option<f64> {
    let (head, groups) = bytes.split_at_checked(8)?;
    let [count, weight, sign, _] = [0, 2, 4, 6].map(|at| u16::from_be_bytes([head[at], head[at + 1]]));
    let weight = i32::from(weight.cast_signed());
    let groups: Vec<u64> =
        groups.chunks_exact(2).map(|group| u64::from(u16::from_be_bytes([group[0], group[1]]))).collect();
    if groups.len() != usize::from(count) || groups.iter().any(|group| *group >= BASE) {
        return None;
    }
    match sign {
        0 => Some(magnitude(&groups, weight)),
        NEGATIVE => Some(-magnitude(&groups, weight)),
        NAN => Some(f64::NAN),
        INFINITE => Some(f64::INFINITY),
        MINUS_INFINITE => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn magnitude(groups: &[u64], weight: i32) -> f64 {
    // Few digits: both parts are exact, so one division rounds once.
    if groups.len() <= 4 {
        let digits = groups.iter().fold(0, |digits, group| digits * BASE + group);
        let power = 4 * (weight + 1 - groups.len() as i32);
        if digits <= EXACT && (-22..=0).contains(&power) {
            return digits as f64 / 10f64.powi(-power);
        }
    }
    let mut text = String::with_capacity(4 * groups.len() + 8);
    groups.iter().for_each(|group| text.push_str(&format!("{group:04}")));
    text.push_str(&format!("e{}", 4 * (weight + 1 - groups.len() as i32)));
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float(value: f64) -> Vec<u8> {
        let mut out = Vec::new();
        write_float(value, &mut out);
        out
    }

    fn integer(value: i128) -> Vec<u8> {
        let mut out = Vec::new();
        write_integer(value, &mut out);
        out
    }

    #[test]
    fn known_numbers_have_the_bytes_of_the_server() {
        // As `COPY … TO … (FORMAT binary)` of PostgreSQL writes 12345.678, 0.00005 and -10000.
        assert_eq!(float(12345.678), [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 9, 41, 26, 124]);
        assert_eq!(float(0.00005), [0, 1, 255, 254, 0, 0, 0, 5, 19, 136]);
        assert_eq!(integer(-10_000), [0, 1, 0, 1, 64, 0, 0, 0, 0, 1]);
        assert_eq!(float(-0.0), [0; 8]);
        assert_eq!(integer(0), [0; 8]);
    }

    #[test]
    fn other_bytes_are_no_number() {
        for bytes in [&[0; 7][..], &[0, 1, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 0, 0, 0]] {
            assert_eq!(read_float(bytes), None, "{bytes:?}");
        }
        assert_eq!(read_float(&[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]), None, "a group of 10,000");
        // A weight at the ends of its range is a number all the same.
        assert_eq!(read_float(&[0, 1, 0x7f, 0xff, 0, 0, 0, 0, 0, 1]), Some(f64::INFINITY));
        assert_eq!(read_float(&[0, 1, 0x80, 0, 0, 0, 0, 0, 0, 1]), Some(0.0));
    }

    proptest! {
        #[test]
        fn every_float_reads_back_to_its_bits(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let back = read_float(&float(value)).expect("a number");
            prop_assert!(back == value || back.is_nan() && value.is_nan(), "{} {}", value, back);
        }

        #[test]
        fn every_integer_reads_back_to_the_nearest_float(value in any::<i64>(), more in any::<u64>()) {
            prop_assert_eq!(read_float(&integer(value.into())), Some(value as f64));
            prop_assert_eq!(read_float(&integer(more.into())), Some(more as f64));
        }

        #[test]
        fn short_decimals_are_the_nearest_float(digits in 0u64..10_000_000_000, places in 0usize..9) {
            let text = format!("{}.{:0places$}", digits / 10u64.pow(places as u32), digits % 10u64.pow(places as u32));
            let value: f64 = text.parse().expect("a number");
            prop_assert_eq!(read_float(&float(value)), Some(value));
        }

        #[test]
        fn any_bytes_are_a_number_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _either = read_float(&bytes);
        }
    }
}
