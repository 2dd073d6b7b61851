//! The answers to what the group decides.
//!
//! A partition that the group takes away is given up once everything that was read of it is in a durable checkpoint and committed: until then it is paused. So its
//! next reader begins exactly behind it. One that the group gives is read from where [`Positions::begin`](super::positions::Positions::begin) says.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tidemill_engine::error::Result;

use super::begin::Brokers;
use super::group::{Change, Member, Partition, list};
use super::reader::Reader;
use super::slots::Slot;

/// How long a question to the brokers may take while the source is read; it is asked again.
const STEP: Duration = Duration::from_millis(500);

impl Reader {
    /// Answers changes of the assignment, as far as they can be answered now.
    ///
    /// # Errors
    /// If the brokers refuse, or a position cannot be found.
    pub(super) fn answer(&mut self, member: &Member) -> Result<()> {
        while let Some(change) = member.context().first() {
            let is_answered = match &change {
                Change::Assigned(partitions) => self.take(member, partitions)?,
                Change::Revoked(partitions) => self.give(member, partitions)?,
                Change::Lost(partitions) => self.lose(member, partitions)?,
            };
            if !is_answered {
                break;
            }
            member.context().answered();
        }
        Ok(())
    }

    /// Begins to read partitions; `false` if the brokers do not answer yet.
    fn take(&mut self, member: &Member, partitions: &[Partition]) -> Result<bool> {
        let starts = match self.starts(member, partitions) {
            Ok(starts) => starts,
            Err(error) => {
                let error = self.failed(member, "finding where to begin", &error);
                return if error.is_transient() { Ok(false) } else { Err(error) };
            }
        };
        let assigned = assign(member, &starts, self.setup.fixed.is_some());
        assigned.map_err(|error| self.failed(member, "reading partitions", &error))?;
        for (partition, next) in starts {
            self.positions.remove(&partition.0, partition.1);
            self.slots.add(Slot::new(partition, next));
        }
        Ok(true)
    }

    fn starts(&self, member: &Member, partitions: &[Partition]) -> KafkaResult<Vec<(Partition, i64)>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let brokers = Brokers { member, step: STEP };
        let committed = brokers.committed(partitions)?;
        let start = |partition: &Partition| {
            let (topic, at) = partition;
            let next = match self.positions.begin(topic, *at, committed.get(partition)) {
                Some(next) => next,
                None => brokers.offset(self.setup.from.of(self.is_new(partition)), partition)?,
            };
            Ok((partition.clone(), next))
        };
        partitions.iter().map(start).collect()
    }

    /// Whether the partition was added during the run.
    fn is_new(&self, (topic, partition): &Partition) -> bool {
        self.known.iter().any(|(name, count)| **name == **topic && partition >= count)
    }

    /// Gives partitions up; `false` while something that was read of them is not durable.
    fn give(&mut self, member: &Member, partitions: &[Partition]) -> Result<bool> {
        let keeps_place = self.setup.keeps_place;
        let (mut is_open, mut is_new) = (false, false);
        for slot in self.slots.among(partitions) {
            is_open |= keeps_place && slot.durable < slot.next;
            is_new |= !std::mem::replace(&mut slot.is_leaving, true);
        }
        if is_open {
            if is_new {
                self.pause(member, partitions)?;
                // A checkpoint now, not at the next second.
                self.setup.cuts.ask();
            }
            return Ok(false);
        }
        self.slots.commit(
            member,
            &self.positions.owner,
            |slot| if keeps_place { slot.durable } else { slot.next },
        );
        self.slots.remove(partitions);
        self.unassign(member, partitions)?;
        Ok(true)
    }

    /// Partitions have gone to others already. If they come back before others have read of them, they are read on from here.
    fn lose(&mut self, member: &Member, partitions: &[Partition]) -> Result<bool> {
        for slot in self.slots.remove(partitions) {
            self.positions.set(&slot.topic, slot.partition, slot.next);
            self.lost += 1;
        }
        self.unassign(member, partitions)?;
        Ok(true)
    }

    fn pause(&self, member: &Member, partitions: &[Partition]) -> Result<()> {
        let paused = member.pause(&list(partitions));
        paused.map_err(|error| self.failed(member, "giving up partitions", &error))
    }

    fn unassign(&self, member: &Member, partitions: &[Partition]) -> Result<()> {
        // Commits that are on their way are waited for by librdkafka.
        let given = member.incremental_unassign(&list(partitions));
        given.map_err(|error| self.failed(member, "giving up partitions", &error))
    }
}

fn assign(member: &Member, starts: &[(Partition, i64)], is_fixed: bool) -> KafkaResult<()> {
    let mut offsets = TopicPartitionList::new();
    for ((topic, partition), next) in starts {
        offsets.add_partition_offset(topic, *partition, Offset::Offset(*next))?;
    }
    match is_fixed {
        true => member.assign(&offsets),
        false => member.incremental_assign(&offsets),
    }
}
