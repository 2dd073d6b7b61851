//! The timestamp of a record.

use std::fmt;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{NANOS_PER_SECOND, TimeError, rfc3339};

/// Event time: nanoseconds since 1970-01-01T00:00:00 UTC, without leap seconds.
///
/// Covers 1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z. Displays as RFC 3339 in UTC and serialises as the plain number
/// of nanoseconds, which is also its representation in memory.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest timestamp, 1677-09-21T00:12:43.145224192Z.
    pub const MIN: Timestamp = Timestamp(i64::MIN);

    /// The latest timestamp, 2262-04-11T23:47:16.854775807Z.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The timestamp this many nanoseconds after 1970-01-01 UTC (before it, if negative).
    #[inline]
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Timestamp {
        Timestamp(nanos)
    }

    /// Nanoseconds since 1970-01-01 UTC.
    #[inline]
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This timestamp plus `nanos` nanoseconds; `None` on overflow.
    #[inline]
    #[must_use]
    pub const fn checked_add(self, nanos: i64) -> Option<Timestamp> {
        match self.0.checked_add(nanos) {
            Some(sum) => Some(Timestamp(sum)),
            None => None,
        }
    }

    /// This timestamp minus `nanos` nanoseconds; `None` on overflow.
    #[inline]
    #[must_use]
    pub const fn checked_sub(self, nanos: i64) -> Option<Timestamp> {
        match self.0.checked_sub(nanos) {
            Some(difference) => Some(Timestamp(difference)),
            None => None,
        }
    }

    /// As [`checked_add`](Self::checked_add), saturating at [`MIN`](Self::MIN) or [`MAX`](Self::MAX).
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, nanos: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(nanos))
    }

    /// As [`checked_sub`](Self::checked_sub), saturating at [`MIN`](Self::MIN) or [`MAX`](Self::MAX).
    #[inline]
    #[must_use]
    pub const fn saturating_sub(self, nanos: i64) -> Timestamp {
        Timestamp(self.0.saturating_sub(nanos))
    }

    /// Nanoseconds from `earlier` to `self`, negative if `self` is earlier; `None` if they don't fit an `i64`.
    #[inline]
    #[must_use]
    pub const fn checked_since(self, earlier: Timestamp) -> Option<i64> {
        self.0.checked_sub(earlier.0)
    }

    /// Appends the shortest RFC 3339 form in UTC: `2024-02-29T12:00:00Z`, with 3, 6 or 9 fractional digits only if needed.
    #[inline]
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let mut buffer = [0; rfc3339::MAX_LEN];
        let length = rfc3339::encode(self.0, &mut buffer);
        out.extend_from_slice(&buffer[..length]);
    }

    /// The timestamp `seconds` and `nanos` (below one second) after 1970-01-01 UTC.
    ///
    /// # Errors
    ///
    /// [`TimeError::OutOfRange`] if that is before [`MIN`](Self::MIN) or after [`MAX`](Self::MAX).
    #[inline]
    pub(super) fn from_parts(seconds: i64, nanos: u32) -> Result<Timestamp, TimeError> {
        // 128 bits, since the whole seconds of `MIN` alone would overflow.
        let total = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
        Timestamp::from_wide_nanos(total)
    }

    /// The timestamp `nanos` after 1970-01-01 UTC, or [`TimeError::OutOfRange`].
    #[inline]
    pub(super) fn from_wide_nanos(nanos: i128) -> Result<Timestamp, TimeError> {
        i64::try_from(nanos).map(Timestamp).map_err(|_| TimeError::OutOfRange)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; rfc3339::MAX_LEN];
        let length = rfc3339::encode(self.0, &mut buffer);
        f.pad(std::str::from_utf8(&buffer[..length]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
