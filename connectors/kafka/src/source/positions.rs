//! The positions of partitions, as checkpoints have them.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};

use super::mark::Mark;

/// By topic and partition.
type ByPartition<T> = BTreeMap<Arc<str>, BTreeMap<i32, T>>;

/// The offset of the next message of each partition, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Positions {
    /// Identifies the state that they belong to. It is committed with each offset: an offset that this state has committed never overrules its
    /// checkpoint, one of another process may.
    pub(super) owner: Arc<str>,
    next: ByPartition<i64>,
    /// The last message that was read of each partition. Checkpoints of earlier releases have none.
    #[serde(default)]
    last: ByPartition<Mark>,
    /// The topics that were there when the state began, with their number of partitions: others are new. `None` if that is not known.
    #[serde(default)]
    first: Option<BTreeMap<Arc<str>, i32>>,
}

/// How far a partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The offset of the next message.
    pub(super) next: i64,
    /// The last message that was read.
    pub(super) last: Option<Mark>,
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) next: i64,
    /// What was committed with it.
    pub(super) metadata: String,
}

/// What is known about topics when a run begins: by name, the number of partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Those that the pipeline names.
    pub(super) named: BTreeMap<Arc<str>, i32>,
    /// Those that its patterns may mean.
    pub(super) others: BTreeMap<Arc<str>, i32>,
}

impl Found {
    /// Whether the brokers have not said anything.
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.others.is_empty()
    }
}

impl Positions {
    /// No positions yet, of a new state.
    pub(super) fn new() -> Self {
        // Seeded by the system, and new each time.
        let random = RandomState::new().build_hasher().finish();
        let owner = format!("tidemill-{random:016x}").into();
        Self { owner, next: BTreeMap::new(), last: BTreeMap::new(), first: None }
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

    /// Notes the topics that are there now, unless the state began earlier: then only those that the pipeline did not name before.
    pub(super) fn note(&mut self, found: &Found) {
        let first = match &mut self.first {
            Some(first) => first,
            none => none.insert(found.others.clone()),
        };
        for (topic, count) in &found.named {
            first.entry(Arc::clone(topic)).or_insert(*count);
        }
    }

    /// Whether a partition did not exist when the state began.
    pub(super) fn is_new(&self, topic: &str, partition: i32) -> bool {
        self.first.as_ref().is_some_and(|first| first.get(topic).is_none_or(|count| partition >= *count))
    }

    /// The number of partitions of a topic, as far as it can be told without the brokers.
    pub(super) fn count(&self, topic: &str) -> i32 {
        let first = self.first.as_ref().and_then(|first| first.get(topic)).copied().unwrap_or(0);
        let read = self.next.get(topic).and_then(|partitions| partitions.keys().next_back());
        first.max(read.map_or(0, |last| last + 1))
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<i64> {
        self.next.get(topic)?.get(&partition).copied()
    }

    pub(super) fn set(&mut self, topic: &Arc<str>, partition: i32, place: Place) {
        put(&mut self.next, topic, partition, Some(place.next));
        put(&mut self.last, topic, partition, place.last);
    }

    pub(super) fn remove(&mut self, topic: &Arc<str>, partition: i32) {
        put(&mut self.next, topic, partition, None);
        put(&mut self.last, topic, partition, None);
    }

    /// Where to read a partition from; `None` if nobody has read it.
    ///
    /// The checkpoint is the truth about what this state contains. While another process had the partition, it may have read further: then its messages are in that
    /// process's state.
    pub(super) fn begin(&self, topic: &str, partition: i32, committed: Option<&Committed>) -> Option<Place> {
        let theirs = |committed: &Committed| Place { next: committed.next, last: None };
        let Some(next) = self.get(topic, partition) else { return committed.map(theirs) };
        match committed {
            Some(committed) if committed.metadata != *self.owner && committed.next > next => {
                Some(theirs(committed))
            }
            _ => {
                let last = self.last.get(topic).and_then(|partitions| partitions.get(&partition)).copied();
                Some(Place { next, last })
            }
        }
    }
}

fn put<T>(all: &mut ByPartition<T>, topic: &Arc<str>, partition: i32, value: Option<T>) {
    match (all.get_mut(topic), value) {
        (Some(partitions), Some(value)) => drop(partitions.insert(partition, value)),
        (Some(partitions), None) => drop(partitions.remove(&partition)),
        (None, Some(value)) => drop(all.insert(Arc::clone(topic), BTreeMap::from([(partition, value)]))),
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn committed(next: i64, metadata: &str) -> Committed {
        Committed { next, metadata: metadata.to_owned() }
    }

    fn place(next: i64) -> Place {
        Place { next, last: Some(Mark { at: next - 1, time: 7, hash: u64::MAX }) }
    }

    #[test]
    fn the_own_checkpoint_is_the_truth_until_another_process_had_the_partition() {
        let mut own = Positions::new();
        own.set(&"t".into(), 0, place(100));
        let mine = own.owner.to_string();
        let theirs = Place { next: 500, last: None };
        for (committed, begin) in [
            (None, place(100)),
            (Some(committed(90, &mine)), place(100)),
            // An older checkpoint was resumed from: the newest was damaged.
            (Some(committed(120, &mine)), place(100)),
            (Some(committed(500, "tidemill-0")), theirs),
            // Assigned, but it has made no checkpoint.
            (Some(committed(40, "")), place(100)),
        ] {
            assert_eq!(own.begin("t", 0, committed.as_ref()), Some(begin), "{committed:?}");
        }
        assert_eq!(own.begin("t", 1, Some(&committed(7, &mine))).map(|place| place.next), Some(7));
        assert_eq!(own.begin("t", 1, None), None);
    }

    fn found(named: &[(&str, i32)], others: &[(&str, i32)]) -> Found {
        let map = |all: &[(&str, i32)]| all.iter().map(|(topic, count)| ((*topic).into(), *count)).collect();
        Found { named: map(named), others: map(others) }
    }

    #[test]
    fn what_was_not_there_when_the_state_began_is_new_however_often_it_resumes() {
        let mut first = Positions::new();
        assert!(!first.is_new("a", 9), "nothing is known");
        first.note(&found(&[("a", 2)], &[("p-1", 1)]));
        // More partitions, another topic of the pattern, and one that the pipeline names only now.
        let mut later = Positions::read(&first.write()).expect("positions");
        later.note(&found(&[("a", 4), ("b", 1)], &[("p-1", 2), ("p-2", 1)]));
        for (topic, partition, is_new) in [
            ("a", 1, false),
            ("a", 2, true),
            ("p-1", 0, false),
            ("p-1", 1, true),
            ("p-2", 0, true),
            ("b", 0, false),
        ] {
            assert_eq!(later.is_new(topic, partition), is_new, "{topic} {partition}");
        }
        assert_eq!(later.count("a"), 2);
        later.set(&"a".into(), 3, place(5));
        assert_eq!((later.count("a"), later.count("c")), (4, 0));
    }

    #[test]
    fn positions_of_earlier_checkpoints_are_read() {
        let old = br#"{"owner":"tidemill-1","next":{"t":{"0":100}}}"#;
        let mut positions = Positions::read(old).expect("positions");
        assert_eq!(positions.begin("t", 0, None), Some(Place { next: 100, last: None }));
        assert!(!positions.is_new("t", 5));
        positions.note(&found(&[("t", 2)], &[]));
        assert!(positions.is_new("t", 2) && !positions.is_new("t", 1));
    }

    proptest! {
        #[test]
        fn positions_are_read_as_they_were_written(
            all in prop::collection::vec((prop::sample::select(vec!["a", "b", "ü\"\n"]), 0..20_i32, 1..i64::MAX), 0..20),
        ) {
            let mut positions = Positions::new();
            for (topic, partition, next) in &all {
                positions.set(&(*topic).into(), *partition, place(*next));
            }
            prop_assert_eq!(Positions::read(&positions.write()).expect("read"), positions);
        }

        #[test]
        fn any_bytes_are_positions_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            drop(Positions::read(&bytes));
        }
    }
}
