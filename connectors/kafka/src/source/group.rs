//! The membership in a consumer group: what librdkafka reports while it is polled.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::failure::Words;

/// A partition of a topic.
pub(super) type Partition = (Arc<str>, i32);

/// A change of the assignment, which takes effect when [`Member`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Assigned(Vec<Partition>),
    /// To be given up once what was read of them is durable.
    Revoked(Vec<Partition>),
    /// Already given to others: this process was not heard of for too long.
    Lost(Vec<Partition>),
}

/// What the group has decided and not been answered yet.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) words: Words,
    changes: Mutex<VecDeque<Change>>,
    /// Whether revocations are accepted at once.
    is_closing: AtomicBool,
    failed_commits: AtomicU64,
}

/// A member of the group.
pub(super) type Member = BaseConsumer<Group>;

impl Group {
    /// Notes a change, to be answered.
    pub(super) fn change(&self, change: Change) {
        self.changes().push_back(change);
    }

    /// The first change that was not answered.
    pub(super) fn first(&self) -> Option<Change> {
        self.changes().front().cloned()
    }

    /// The first change was answered.
    pub(super) fn answered(&self) {
        self.changes().pop_front();
    }

    /// How often offsets could not be committed.
    pub(super) fn failed_commits(&self) -> u64 {
        self.failed_commits.load(Ordering::Relaxed)
    }

    pub(super) fn note_failed_commit(&self) {
        self.failed_commits.fetch_add(1, Ordering::Relaxed);
    }

    fn changes(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.words.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.words.error(error, reason);
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, member: &Member, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<Partition> =
            list.elements().iter().map(|each| (each.topic().into(), each.partition())).collect();
        let is_assigned = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.is_closing.load(Ordering::Relaxed) {
            if !is_assigned {
                let _closing = member.incremental_unassign(list);
            }
            return;
        }
        self.change(match is_assigned {
            true => Change::Assigned(partitions),
            false if member.assignment_lost() => Change::Lost(partitions),
            false => Change::Revoked(partitions),
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            // Nothing was new.
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(_) => self.note_failed_commit(),
        }
    }
}

/// A list of partitions as librdkafka takes them.
pub(super) fn list<'p>(partitions: impl IntoIterator<Item = &'p Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

/// Leaves the group: answers what is open, so that the member can be dropped without waiting for answers.
pub(super) fn leave(member: &Member) {
    let group = member.context();
    group.is_closing.store(true, Ordering::Relaxed);
    while let Some(change) = group.first() {
        if let Change::Revoked(partitions) | Change::Lost(partitions) = &change {
            let _closing = member.incremental_unassign(&list(partitions));
        }
        group.answered();
    }
}
