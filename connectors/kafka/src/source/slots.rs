//! The partitions that this process reads.

use std::sync::Arc;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::group::{Member, Partition};
use super::mark::Mark;
use super::positions::Place;

/// A partition and how far it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// The offset behind the last message that was read.
    pub(super) next: i64,
    /// The last message that was read.
    pub(super) last: Option<Mark>,
    /// Whether that message is still to be met: it is read once more when the partition is taken.
    is_unmet: bool,
    /// The offset behind the last message that is in a durable checkpoint.
    pub(super) durable: i64,
    /// The offset that was committed last.
    committed: i64,
    /// Whether it is about to be given up: no message of it is read any more.
    pub(super) is_leaving: bool,
    /// Whether nothing of it is fetched for now.
    pub(super) is_paused: bool,
}

/// What a message is for the reader of its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// One that was not read yet.
    New,
    /// One that was read.
    Old,
    /// Another one than was read at this offset.
    Other,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Slots {
    all: Vec<Slot>,
    /// That of the last message: most follow one of the same partition.
    last: usize,
}

impl Slot {
    /// A partition that is read from `place` on.
    pub(super) fn new((topic, partition): Partition, place: Place) -> Self {
        let Place { next, last } = place;
        Self {
            topic,
            partition,
            next,
            last,
            is_unmet: last.is_some(),
            durable: next,
            // Committed with the first checkpoint, even if nothing was read: then the group knows where it begins.
            committed: -1,
            is_leaving: false,
            is_paused: false,
        }
    }

    /// How far it is read.
    pub(super) fn place(&self) -> Place {
        Place { next: self.next, last: self.last }
    }

    /// The offset to fetch from.
    pub(super) fn fetches_from(&self) -> i64 {
        self.last.filter(|_| self.is_unmet).map_or(self.next, |last| last.at)
    }

    /// What the message at `offset` is, of which `mark` is asked only if that decides.
    #[inline]
    pub(super) fn meet(&mut self, offset: i64, mark: impl FnOnce() -> Mark) -> Met {
        if self.is_unmet {
            // If the last message was deleted since, nothing can be compared.
            if let Some(last) = self.last.filter(|last| last.at == offset)
                && last != mark()
            {
                return Met::Other;
            }
            self.is_unmet = false;
        }
        if offset < self.next { Met::Old } else { Met::New }
    }

    /// A message was read.
    #[inline]
    pub(super) fn read(&mut self, mark: Mark) {
        self.next = mark.at + 1;
        self.last = Some(mark);
    }

    /// Which partition it is.
    pub(super) fn name(&self) -> Partition {
        (Arc::clone(&self.topic), self.partition)
    }

    /// Begins anew at `next`: the topic was made anew.
    pub(super) fn begin_anew(&mut self, next: i64) {
        *self = Self { is_paused: self.is_paused, ..Self::new(self.name(), Place { next, last: None }) };
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

/// The offsets to fetch from.
pub(super) fn offsets<'s>(slots: impl IntoIterator<Item = &'s Slot>) -> KafkaResult<TopicPartitionList> {
    let mut offsets = TopicPartitionList::new();
    for slot in slots {
        offsets.add_partition_offset(&slot.topic, slot.partition, Offset::Offset(slot.fetches_from()))?;
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_of_a_message_is_found_and_removed() {
        let mut slots = Slots::default();
        for (topic, partition) in [("a", 0), ("a", 1), ("b", 0)] {
            slots.add(Slot::new((topic.into(), partition), Place { next: 5, last: None }));
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

    #[test]
    fn the_last_message_is_met_again_or_is_another_one() {
        let mark = |at: i64, hash: u64| Mark { at, time: 1, hash };
        let slot = || Slot::new(("t".into(), 0), Place { next: 8, last: Some(mark(5, 1)) });
        assert_eq!(slot().fetches_from(), 5);
        let mut same = slot();
        assert_eq!(same.meet(5, || mark(5, 1)), Met::Old);
        assert_eq!((same.fetches_from(), same.place()), (8, slot().place()));
        assert_eq!(same.meet(8, || mark(8, 2)), Met::New);
        let mut other = slot();
        assert_eq!(other.meet(5, || mark(5, 2)), Met::Other);
        // Asked again, it is still another one.
        assert_eq!(other.meet(5, || mark(5, 2)), Met::Other);
        // It was deleted, or compacted away.
        assert_eq!(slot().meet(9, || mark(9, 2)), Met::New);
    }
}
