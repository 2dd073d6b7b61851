//! Where the parts of a time are in its text.

use super::LONGEST;
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Where minutes, seconds and the digits of the fraction begin in a text. Minutes and seconds have two digits, from 00 to 59.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// `None` without minutes.
    pub(super) minute: Option<usize>,
    /// `None` without seconds.
    pub(super) second: Option<usize>,
    pub(super) fraction: usize,
    /// The number of digits of the fraction; 0 without one.
    pub(super) digits: usize,
}

impl Places {
    /// Those of RFC 3339, if `text` is written in the usual way.
    pub(crate) fn rfc3339(text: &[u8]) -> Self {
        const FRACTION: usize = 20;
        let digits = match text.get(FRACTION - 1) {
            Some(b'.') => count_digits(&text[FRACTION..]),
            _ => 0,
        };
        Self { minute: Some(14), second: Some(17), fraction: FRACTION, digits }
    }

    /// Finds them by trial: `parse` says what it makes of a text with other digits. `None` if there are neither minutes nor seconds.
    pub(super) fn find(text: &[u8], parse: impl Fn(&[u8]) -> Option<Timestamp>) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        // By how much the time grows from one number at `at` to the next.
        let step = |at: usize, [number, next]: [&[u8]; 2]| {
            let with = |digits: &[u8]| parse(&replaced(text, &[(at, digits)])).map(Timestamp::as_nanos);
            Some(with(next)?.wrapping_sub(with(number)?))
        };
        let are_digits = |at: usize, count: usize| {
            text.get(at..at + count).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
        };
        let find = |numbers: [&[u8]; 2], nanos: i64| {
            let places = (0..text.len()).filter(|&at| are_digits(at, numbers[0].len()));
            places.into_iter().find(|&at| step(at, numbers) == Some(nanos))
        };
        let minute = find([b"07", b"08"], 60 * NANOS_PER_SECOND);
        let second = find([b"07", b"08"], NANOS_PER_SECOND);
        let fraction = find([b"7", b"8"], NANOS_PER_SECOND / 10);
        minute.or(second)?;
        let digits = fraction.map_or(0, |fraction| count_digits(&text[fraction..]));
        Some(Self { minute, second, fraction: fraction.unwrap_or(0), digits })
    }

    /// Whether the byte at `at` is one of theirs.
    pub(super) fn contains(self, at: usize) -> bool {
        let is_of_pair = |place: Option<usize>| place.is_some_and(|place| (place..place + 2).contains(&at));
        is_of_pair(self.minute)
            || is_of_pair(self.second)
            || (self.fraction..self.fraction + self.digits).contains(&at)
    }

    /// The first and the last moment of the hour of `text`, and one between, all of whose parts differ.
    pub(super) fn moments(self, text: &[u8]) -> [Vec<u8>; 3] {
        let moment = |minute: &[u8], second: &[u8], fraction: &[u8; 9]| {
            let fraction = fraction.get(..self.digits).unwrap_or(fraction);
            let pairs = [(self.minute, minute), (self.second, second)];
            let pairs = pairs.into_iter().filter_map(|(at, digits)| Some((at?, digits)));
            replaced(text, &pairs.chain([(self.fraction, fraction)]).collect::<Vec<_>>())
        };
        [
            moment(b"00", b"00", b"000000000"),
            moment(b"59", b"59", b"999999999"),
            moment(b"07", b"41", b"123456789"),
        ]
    }
}

/// `text` with other bytes at some places.
fn replaced(text: &[u8], parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut text = text.to_vec();
    for (at, bytes) in parts {
        if let Some(place) = text.get_mut(*at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
    text
}

/// The number of digits that `text` begins with.
fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}
