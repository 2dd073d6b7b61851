//! Writes values as text (clause 18).

use crate::batch::{Batch, TimeColumn};
use crate::kernel::shortest::with_shortest;

/// Writes a float: the shortest text that reads back to the same bits, or a fixed number of decimals; `NaN`, `inf`, `-inf`.
pub fn write_float(value: f64, decimals: Option<u8>, out: &mut Vec<u8>) {
    match decimals {
        _ if value.is_nan() => out.extend_from_slice(b"NaN"),
        _ if value.is_infinite() => out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" }),
        Some(decimals) => {
            use std::io::Write;
            // Writing to a vector cannot fail.
            let _ = write!(out, "{value:.*}", usize::from(decimals));
        }
        None => with_shortest(value, |part| out.extend_from_slice(part)),
    }
}

/// Writes an integer with all its digits.
pub fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes `true` or `false`.
pub fn write_boolean(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// The original text of a time, if it has one.
pub fn time_text<'a>(batch: &'a Batch, times: &TimeColumn, row: usize) -> Option<&'a [u8]> {
    times.text.get(row).and_then(|&span| batch.text.get(span))
}

/// Writes a time as its original text; without one, as RFC 3339 in UTC.
pub fn write_time(batch: &Batch, times: &TimeColumn, row: usize, out: &mut Vec<u8>) {
    match time_text(batch, times, row) {
        Some(text) => push_short(text, out),
        None => times.values[row].write_rfc3339(out),
    }
}

/// Appends a text that is likely to have 8 to 32 bytes, as times, names and numbers: as two overlapping halves, without a call.
#[inline]
pub fn push_short(text: &[u8], out: &mut Vec<u8>) {
    fn halves<const N: usize>(text: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        text.first_chunk().zip(text.last_chunk()).filter(|_| text.len() <= 2 * N)
    }
    fn push<const N: usize>((first, last): (&[u8; N], &[u8; N]), len: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(first);
        out.truncate(start + len - N);
        out.extend_from_slice(last);
    }
    if let Some(halves) = halves::<16>(text) {
        push(halves, text.len(), out);
    } else if let Some(halves) = halves::<8>(text) {
        push(halves, text.len(), out);
    } else {
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: f64, decimals: Option<u8>) -> String {
        let mut out = Vec::new();
        write_float(value, decimals, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn clause_18_floats_are_short() {
        let shown: Vec<_> = [19.0, 0.1, -0.0, 1e300, 5e-324, f64::NAN].map(|v| written(v, None)).into();
        assert_eq!(shown, ["19", "0.1", "-0", "1e300", "5e-324", "NaN"]);
        assert_eq!(written(2.0 / 3.0, Some(3)), "0.667");
    }

    #[test]
    fn texts_of_any_length_are_appended() {
        let text: Vec<u8> = (0..70).collect();
        for len in 0..=text.len() {
            let mut out = b"before".to_vec();
            push_short(&text[..len], &mut out);
            assert_eq!(out, [b"before", &text[..len]].concat());
        }
    }

    proptest! {
        #[test]
        fn clause_18_floats_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let back: f64 = written(value, None).parse().expect("a number");
            prop_assert!(back.to_bits() == bits || value.is_nan() && back.is_nan());
        }
    }
}
