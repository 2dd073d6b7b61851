//! Incremental checkpoints: most contain what has changed since the one before, their base; now and then one is complete.
//!
//! Each has the ordinal, length and checksum of its base, which has those of its own base: a checkpoint is intact only if all these files are the ones that it was
//! written for.

use crate::sensor::SensorNames;

/// The size in bytes up to which a checkpoint is always complete.
pub(super) const SMALL: u64 = 64 << 10;

/// Maximum number of incremental checkpoints in a row: a run that resumes reads all of them.
const LONGEST: u32 = 64;

/// Identifies the file of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) ordinal: u64,
    pub(super) length: u64,
    /// The CRC-32C at its end.
    pub(super) crc: u32,
}

impl Link {
    /// Its length in bytes.
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

/// The newest checkpoint, the possible base of the next one.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) last: Link,
    /// Its sensors.
    pub(super) names: SensorNames,
    /// The length of the complete checkpoint that the chain begins with.
    complete: u64,
    /// The length of all others.
    changes: u64,
    count: u32,
}

impl Chain {
    /// Ends with the checkpoint `last`, which follows `before` or is complete.
    pub(super) fn new(before: Option<Self>, last: Link, names: SensorNames) -> Self {
        match before {
            None => Self { last, names, complete: last.length, changes: 0, count: 0 },
            Some(Self { complete, changes, count, .. }) => {
                Self { last, names, complete, changes: changes + last.length, count: count + 1 }
            }
        }
    }

    /// Whether the next checkpoint should be complete: if the last complete one has at most `small` bytes, or the changes since are as long. So a checkpoint and its bases
    /// together are never much more than twice as long as a complete one, and at most half of all bytes written are not changes.
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
