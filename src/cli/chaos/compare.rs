//! The records of two runs, as lines of text in any order.

use std::collections::HashMap;

/// How the records of one run differ from those of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Records that should have arrived.
    pub(super) expected: u64,
    /// Records that have arrived.
    pub(super) arrived: u64,
    /// Those that have not arrived.
    pub(super) lost: u64,
    /// Those that have arrived once more than they should.
    pub(super) repeated: u64,
    /// Those that should not have arrived at all.
    pub(super) unexpected: u64,
}

/// Compares lines.
pub(super) fn compare<'t>(
    expected: impl Iterator<Item = &'t [u8]>,
    arrived: impl Iterator<Item = &'t [u8]>,
) -> Difference {
    let mut counts: HashMap<&[u8], (u64, u64)> = HashMap::new();
    expected.for_each(|line| counts.entry(line).or_default().0 += 1);
    arrived.for_each(|line| counts.entry(line).or_default().1 += 1);
    let mut difference = Difference::default();
    for (expected, arrived) in counts.into_values() {
        difference.expected += expected;
        difference.arrived += arrived;
        difference.lost += expected.saturating_sub(arrived);
        match expected {
            0 => difference.unexpected += arrived,
            _ => difference.repeated += arrived.saturating_sub(expected),
        }
    }
    difference
}

/// The lines of a text, the last of which may have no end.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_line_counts_as_often_as_it_is_there() {
        let of = |expected: &'static str, arrived: &'static str| {
            compare(lines(expected.as_bytes()), lines(arrived.as_bytes()))
        };
        assert_eq!(
            of("a\nb\na\n", "a\na\nb"),
            Difference { expected: 3, arrived: 3, ..Difference::default() }
        );
        assert_eq!(
            of("a\na\nb\n", "a\nb\nb\nb\nc\n"),
            Difference { expected: 3, arrived: 5, lost: 1, repeated: 2, unexpected: 1 }
        );
        assert_eq!(of("", ""), Difference::default());
    }

    proptest! {
        #[test]
        fn the_figures_add_up(expected in proptest::collection::vec(0_u8..5, 0..40), arrived in proptest::collection::vec(0_u8..6, 0..40)) {
            let text = |lines: &[u8]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let (expected, arrived) = (text(&expected), text(&arrived));
            let found = compare(lines(expected.as_bytes()), lines(arrived.as_bytes()));
            prop_assert_eq!(found.expected - found.lost + found.repeated + found.unexpected, found.arrived);
        }
    }
}
