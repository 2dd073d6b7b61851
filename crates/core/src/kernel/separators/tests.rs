//! Every implementation against a loop over the bytes.

use proptest::prelude::*;

use super::portable::Portable;
use super::*;

/// The oracle: the same byte by byte.
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

/// Every implementation; where the processor lacks one, another takes its place.
fn all() -> Vec<Finder> {
    let mut all: Vec<Finder> = vec![find, scan::<Portable, true>];
    #[cfg(target_arch = "x86_64")]
    all.push(|text, base, by, places| {
        x86_64::find_with_avx2(text, base, by, places).unwrap_or_else(|| find(text, base, by, places))
    });
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
