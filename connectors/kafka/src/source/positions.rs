//! The positions of partitions, as checkpoints have them.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};

/// The offset of the next message of each partition, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Positions {
    /// Identifies the state that they belong to. It is committed with each offset: an offset that this state has committed never overrules its
    /// checkpoint, one of another process may.
    pub(super) owner: Arc<str>,
    next: BTreeMap<Arc<str>, BTreeMap<i32, i64>>,
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) next: i64,
    /// What was committed with it.
    pub(super) metadata: String,
}

impl Positions {
    /// No positions yet, of a new state.
    pub(super) fn new() -> Self {
        // Seeded by the system, and new each time.
        let random = RandomState::new().build_hasher().finish();
        Self { owner: format!("tidemill-{random:016x}").into(), next: BTreeMap::new() }
    }

    /// Those in a checkpoint.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn read(position: &[u8]) -> Result<Self> {
        serde_json::from_slice(position)
            .map_err(|error| Error::data(format!("the saved positions of a topic cannot be read: {error}")))
    }

    /// As a checkpoint has them.
    pub(super) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<i64> {
        self.next.get(topic)?.get(&partition).copied()
    }

    pub(super) fn set(&mut self, topic: &Arc<str>, partition: i32, next: i64) {
        match self.next.get_mut(topic) {
            Some(partitions) => drop(partitions.insert(partition, next)),
            None => drop(self.next.insert(Arc::clone(topic), BTreeMap::from([(partition, next)]))),
        }
    }

    pub(super) fn remove(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.next.get_mut(topic) {
            partitions.remove(&partition);
        }
    }

    /// Where to read a partition from; `None` if nobody has read it.
    ///
    /// The checkpoint is the truth about what this state contains. While another process had the partition, it may have read further: then its messages are in that
    /// process's state.
    pub(super) fn begin(&self, topic: &str, partition: i32, committed: Option<&Committed>) -> Option<i64> {
        match (self.get(topic, partition), committed) {
            (Some(own), Some(committed)) if committed.metadata != *self.owner => {
                Some(own.max(committed.next))
            }
            (Some(own), _) => Some(own),
            (None, committed) => committed.map(|committed| committed.next),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn committed(next: i64, metadata: &str) -> Committed {
        Committed { next, metadata: metadata.to_owned() }
    }

    #[test]
    fn the_own_checkpoint_is_the_truth_until_another_process_had_the_partition() {
        let mut own = Positions::new();
        own.set(&"t".into(), 0, 100);
        let mine = own.owner.to_string();
        for (committed, next) in [
            (None, 100),
            (Some(committed(90, &mine)), 100),
            // An older checkpoint was resumed from: the newest was damaged.
            (Some(committed(120, &mine)), 100),
            (Some(committed(500, "tidemill-0")), 500),
            // Assigned, but it has made no checkpoint.
            (Some(committed(40, "")), 100),
        ] {
            assert_eq!(own.begin("t", 0, committed.as_ref()), Some(next), "{committed:?}");
        }
        assert_eq!(own.begin("t", 1, Some(&committed(7, &mine))), Some(7));
        assert_eq!(own.begin("t", 1, None), None);
    }

    proptest! {
        #[test]
        fn positions_are_read_as_they_were_written(
            all in prop::collection::vec((prop::sample::select(vec!["a", "b", "ü\"\n"]), 0..20_i32, 0..i64::MAX), 0..20),
        ) {
            let mut positions = Positions::new();
            for (topic, partition, next) in &all {
                positions.set(&(*topic).into(), *partition, *next);
            }
            prop_assert_eq!(Positions::read(&positions.write()).expect("read"), positions);
        }

        #[test]
        fn any_bytes_are_positions_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            drop(Positions::read(&bytes));
        }
    }
}
