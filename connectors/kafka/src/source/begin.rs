//! Where partitions begin: what the brokers know about them.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::group::{Member, Partition, list};
use super::positions::Committed;
use super::start::From;

/// Asks the brokers, and waits at most so long for each answer.
pub(super) struct Brokers<'m> {
    pub(super) member: &'m Member,
    pub(super) step: Duration,
}

impl Brokers<'_> {
    /// What the group has committed.
    pub(super) fn committed(&self, partitions: &[Partition]) -> KafkaResult<HashMap<Partition, Committed>> {
        let found = self.member.committed_offsets(list(partitions), self.step)?;
        let mut committed = HashMap::new();
        for each in found.elements() {
            each.error()?;
            if let Offset::Offset(next) = each.offset() {
                let metadata = each.metadata().to_owned();
                committed.insert((each.topic().into(), each.partition()), Committed { next, metadata });
            }
        }
        Ok(committed)
    }

    /// The offset of `from` in a partition.
    pub(super) fn offset(&self, from: From, (topic, partition): &Partition) -> KafkaResult<i64> {
        if let From::Since(millis) = from
            && let Some(at) = self.since(millis, topic, *partition)?
        {
            return Ok(at);
        }
        let (low, high) = self.member.fetch_watermarks(topic, *partition, self.step)?;
        Ok(match from {
            From::Earliest => low,
            // Not all partitions have as many messages.
            From::At(at) => at.max(low).min(high),
            From::Latest | From::Since(_) => high,
        })
    }

    /// The offset of the first message that is not older; `None` if there is none.
    fn since(&self, millis: i64, topic: &str, partition: i32) -> KafkaResult<Option<i64>> {
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(topic, partition, Offset::Offset(millis))?;
        let found = self.member.offsets_for_times(times, self.step)?;
        let Some(each) = found.elements().into_iter().next() else { return Ok(None) };
        each.error()?;
        Ok(match each.offset() {
            Offset::Offset(at) => Some(at),
            _ => None,
        })
    }
}
