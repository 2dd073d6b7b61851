//! What a message is known by besides its offset: a topic that was deleted and made anew has other messages at the same offsets.

use rdkafka::Message;
use serde::{Deserialize, Serialize};

/// A message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Its offset.
    pub(super) at: i64,
    /// Its time.
    pub(super) time: i64,
    /// Of its key and its payload.
    pub(super) hash: u64,
}

impl Mark {
    pub(super) fn of(message: &impl Message) -> Self {
        let hash = add(add(SEED, message.key()), message.payload());
        Self { at: message.offset(), time: message.timestamp().to_millis().unwrap_or(-1), hash }
    }
}

/// Where a hash begins, and an odd number with bits everywhere: both are in checkpoints.
const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Adds some bytes to a hash, of which nobody tries to find another one: every message is hashed, so it is done by words.
fn add(hash: u64, bytes: Option<&[u8]>) -> u64 {
    let bytes = bytes.unwrap_or_default();
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    words
        .chain([bytes.len() as u64])
        .fold(hash, |hash, word| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR))
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    use super::*;

    fn mark(payload: &str, key: &str, time: i64) -> Mark {
        let (payload, key) = (Some(payload.into()), Some(key.into()));
        Mark::of(&OwnedMessage::new(payload, key, "t".to_owned(), Timestamp::CreateTime(time), 0, 5, None))
    }

    #[test]
    fn another_message_has_another_mark() {
        let all = [
            mark("", "", 1),
            mark("\0", "", 1),
            mark("", "\0", 1),
            mark("12345678", "", 1),
            mark("", "12345678", 1),
            mark("12345679", "", 1),
            mark("123456780", "", 1),
            mark("12345678", "", 2),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other != one), "{at}");
        }
        assert_eq!(mark("12345678", "a", 1), mark("12345678", "a", 1));
    }

    #[test]
    fn a_mark_is_the_same_in_later_releases() {
        assert_eq!(mark("{\"v\":1.5}", "s1", 1).hash, GOLDEN);
    }

    /// Checkpoints have it.
    const GOLDEN: u64 = 0xa924_e27d_4549_8232;
}
