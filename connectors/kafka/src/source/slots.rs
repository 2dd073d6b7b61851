//! The partitions that this process reads.

use std::sync::Arc;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::group::{Member, Partition};

/// A partition and how far it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// The offset behind the last message that was read.
    pub(super) next: i64,
    /// The offset behind the last message that is in a durable checkpoint.
    pub(super) durable: i64,
    /// The offset that was committed last.
    committed: i64,
    /// Whether it is about to be given up: no message of it is read any more.
    pub(super) is_leaving: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Slots {
    all: Vec<Slot>,
    /// That of the last message: most follow one of the same partition.
    last: usize,
}

impl Slot {
    /// A partition that is read from `next` on.
    pub(super) fn new((topic, partition): Partition, next: i64) -> Self {
        // Committed with the first checkpoint, even if nothing was read: then the group knows where it begins.
        Self { topic, partition, next, durable: next, committed: -1, is_leaving: false }
    }

    fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && *self.topic == *topic
    }
}

impl Slots {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.all.iter_mut()
    }

    pub(super) fn add(&mut self, slot: Slot) {
        self.all.push(slot);
    }

    /// The partition of a message, if it is read.
    #[inline]
    pub(super) fn find(&mut self, topic: &str, partition: i32) -> Option<&mut Slot> {
        if !self.all.get(self.last).is_some_and(|slot| slot.is(topic, partition)) {
            self.last = self.all.iter().position(|slot| slot.is(topic, partition))?;
        }
        self.all.get_mut(self.last)
    }

    /// Those of `partitions`.
    pub(super) fn among<'s>(&'s mut self, partitions: &'s [Partition]) -> impl Iterator<Item = &'s mut Slot> {
        let is_one = |slot: &Slot| partitions.iter().any(|(topic, at)| slot.is(topic, *at));
        self.all.iter_mut().filter(move |slot| is_one(slot))
    }

    /// Takes out those of `partitions`.
    pub(super) fn remove(&mut self, partitions: &[Partition]) -> Vec<Slot> {
        let is_one = |slot: &mut Slot| partitions.iter().any(|(topic, at)| slot.is(topic, *at));
        self.all.extract_if(.., is_one).collect()
    }

    /// Commits `position` of each to the group, if it is new. The answer comes later; checkpoints do not depend on it.
    pub(super) fn commit(&mut self, member: &Member, owner: &str, position: impl Fn(&Slot) -> i64) {
        let mut offsets = TopicPartitionList::new();
        for slot in self.all.iter_mut().filter(|slot| position(slot) > slot.committed) {
            slot.committed = position(slot);
            let mut offset = offsets.add_partition(&slot.topic, slot.partition);
            // An offset that is none cannot be, and would only not be committed.
            drop(offset.set_offset(Offset::Offset(slot.committed)));
            offset.set_metadata(owner);
        }
        if offsets.count() > 0 && member.commit(&offsets, CommitMode::Async).is_err() {
            member.context().note_failed_commit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_of_a_message_is_found_and_removed() {
        let mut slots = Slots::default();
        for (topic, partition) in [("a", 0), ("a", 1), ("b", 0)] {
            slots.add(Slot::new((topic.into(), partition), 5));
        }
        slots.find("b", 0).expect("it is there").next = 7;
        assert_eq!(slots.find("a", 1).map(|slot| slot.next), Some(5));
        assert_eq!(slots.find("b", 0).map(|slot| slot.next), Some(7));
        assert!(slots.find("b", 1).is_none());
        let removed = slots.remove(&[("a".into(), 0), ("b".into(), 0)]);
        assert_eq!(removed.iter().map(|slot| slot.next).collect::<Vec<_>>(), [5, 7]);
        assert!(slots.find("b", 0).is_none());
        assert!(slots.find("a", 1).is_some());
    }
}
