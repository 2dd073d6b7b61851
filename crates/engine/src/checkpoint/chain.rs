//! Checkpoints that have what has changed since the one before, and stand on that; now and then one has everything, and stands alone.
//!
//! Each names the file on which it stands, with its length and checksum: as that has named the one before it, a checkpoint is intact only if all files on which it
//! stands are those on which it was written.

use crate::sensor::SensorNames;

/// Up to so many bytes, a checkpoint has everything.
pub(super) const SMALL: u64 = 64 << 10;

/// How many checkpoints in a row have only changes, at most: a run that resumes reads all of them.
const LONGEST: u32 = 64;

/// What tells the file of a checkpoint from any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) ordinal: u64,
    pub(super) length: u64,
    /// The CRC-32C at its end.
    pub(super) crc: u32,
}

impl Link {
    /// How many bytes it has.
    pub(super) const SIZE: usize = 8 + 8 + 4;

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.ordinal.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [ordinal, length] = [0, 8].map(|at| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        });
        let mut crc = [0; 4];
        crc.copy_from_slice(&bytes[16..]);
        Self { ordinal, length, crc: u32::from_le_bytes(crc) }
    }
}

/// The newest checkpoint, on which the next one may stand.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) last: Link,
    /// The sensors that it has, those on which it stands included.
    pub(super) names: SensorNames,
    /// The length of the one that stands alone.
    complete: u64,
    /// Those of the others together.
    changes: u64,
    count: u32,
}

impl Chain {
    /// With the checkpoint `last`, which stands on `before` or alone.
    pub(super) fn new(before: Option<Self>, last: Link, names: SensorNames) -> Self {
        match before {
            None => Self { last, names, complete: last.length, changes: 0, count: 0 },
            Some(Self { complete, changes, count, .. }) => {
                Self { last, names, complete, changes: changes + last.length, count: count + 1 }
            }
        }
    }

    /// Whether the next checkpoint should have everything: up to `small` bytes it always has, and when the changes would have filled one. So a checkpoint and all on which
    /// it stands are never much more than twice as long as one that has everything, and at most half of what is written is not a change.
    pub(super) fn is_long(&self, small: u64) -> bool {
        self.complete <= small || self.changes >= self.complete || self.count >= LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_written_until_they_would_have_filled_a_complete_checkpoint() {
        let link = |length| Link { ordinal: 3, length, crc: 7 };
        let begun = |length| Chain::new(None, link(length), SensorNames::default());
        let more = |chain, length| Chain::new(Some(chain), link(length), SensorNames::default());
        assert!(begun(SMALL).is_long(SMALL) && !begun(SMALL + 1).is_long(SMALL));
        let mut chain = begun(1000);
        let mut written = 0;
        while !chain.is_long(0) {
            chain = more(chain, 300);
            written += 300;
        }
        assert_eq!(written, 1200);
        let short = (0..LONGEST).fold(begun(1 << 20), |chain, _| {
            assert!(!chain.is_long(0));
            more(chain, 1)
        });
        assert!(short.is_long(0), "it is not long, but there are many");
        let link = Link { ordinal: 1 << 40, length: 1 << 50, crc: 9 };
        assert_eq!(Link::from_bytes(link.to_bytes()), link);
    }
}
