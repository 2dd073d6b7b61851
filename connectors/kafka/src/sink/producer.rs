//! A session with the brokers: a producer, and the number of the last epoch of its writer.

use std::collections::HashSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;
use tidemill_engine::error::{Error, Result};

use super::Compression;
use super::frames::{Frame, Frames};
use crate::connection::wrong;
use crate::failure::{Words, failed, listen};
use crate::patience::Patience;
use crate::topic::find;

/// Bytes of messages that wait in librdkafka.
const QUEUE_KIB: &str = "16384";

/// How long messages are gathered; the end of an epoch does not wait for it.
const LINGER_MS: &str = "20";

/// How long a call waits for room in the queue before it looks at the clock.
const ROOM: Duration = Duration::from_millis(50);

/// How long the end of an abandoned session may take.
const ABORT: Duration = Duration::from_secs(1);

/// Brokers do not answer while a transaction with the epoch is open. They end it, unless a coordinator that was killed has lost its end.
const READING_THE_EPOCH: &str = "reading the last epoch (if this lasts, Kafka's tool `kafka-transactions find-hanging` shows whether the brokers have lost the end of a transaction)";

/// What a session is made of.
pub(super) struct Writer {
    pub(super) config: ClientConfig,
    pub(super) brokers: String,
    pub(super) compression: Compression,
    /// The topic of all messages that name none.
    pub(super) topic: Option<String>,
    /// Identifies the writer in transactions; `None` without them.
    pub(super) id: Option<String>,
    /// How long brokers may take to accept messages.
    pub(super) acceptance: Patience,
}

/// A session.
pub(super) struct Session {
    producer: BaseProducer<Words>,
    brokers: String,
    topic: String,
    /// Topics that exist.
    found: HashSet<Box<[u8]>>,
    marker: Option<Marker>,
    /// How long brokers may take to answer.
    patience: Patience,
    /// How long they may take to accept messages.
    acceptance: Patience,
}

/// Where the number of the last epoch is: with an offset of partition 0 of the topic of the epoch's first record, which is the same record whenever
/// the epoch is delivered.
struct Marker {
    consumer: BaseConsumer<Words>,
    /// Whether the producer may begin transactions.
    is_ready: bool,
    /// Whether all further epochs are new.
    is_settled: bool,
    /// The topic of the current epoch.
    topic: String,
}

impl Writer {
    /// A session, which contacts nobody yet.
    pub(super) fn session(&self, patience: &Patience) -> Result<Session> {
        let mut config = self.config.clone();
        config.set("enable.idempotence", "true").set("partitioner", "murmur2_random");
        config.set("compression.type", self.compression.name());
        config.set("delivery.report.only.error", "true").set("allow.auto.create.topics", "false");
        for (name, value) in [("queue.buffering.max.kbytes", QUEUE_KIB), ("linger.ms", LINGER_MS)] {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        if let Some(id) = &self.id {
            config.set("transactional.id", id);
        }
        let producer = config.create_with_context(Words::default()).map_err(|error| wrong(&error))?;
        Ok(Session {
            producer,
            brokers: self.brokers.clone(),
            topic: self.topic.clone().unwrap_or_default(),
            found: HashSet::new(),
            marker: self.id.as_deref().map(|id| self.marker(id)).transpose()?,
            patience: patience.clone(),
            acceptance: self.acceptance.clone(),
        })
    }

    fn marker(&self, id: &str) -> Result<Marker> {
        let mut config = self.config.clone();
        config.set("group.id", id).set("isolation.level", "read_committed");
        config.set("enable.auto.commit", "false");
        let consumer = config.create_with_context(Words::default()).map_err(|error| wrong(&error))?;
        Ok(Marker { consumer, is_ready: false, is_settled: false, topic: String::new() })
    }
}

impl Session {
    /// Checks that `topic` exists.
    ///
    /// # Errors
    /// An error that names it if it does not.
    pub(super) fn check_topic(&self, topic: &str) -> Result<()> {
        let (client, words) = (self.producer.client(), self.producer.context());
        find(client, words, (&self.brokers, topic), &self.patience, || self.listen()).map(drop)
    }

    /// Begins an epoch whose first record goes to `topic`; returns whether it is to be delivered.
    pub(super) fn begin(&mut self, epoch: u64, topic: &[u8]) -> Result<bool> {
        let topic = self.name(topic)?.to_owned();
        self.find(topic.as_bytes())?;
        let Some(mut marker) = self.marker.take() else { return Ok(true) };
        marker.topic = topic;
        let began = self.begin_transaction(&mut marker, epoch);
        self.marker = Some(marker);
        began
    }

    fn begin_transaction(&self, marker: &mut Marker, epoch: u64) -> Result<bool> {
        if !marker.is_ready {
            // Waits until what an earlier session has begun is committed or aborted.
            let settled = self.patience.wait(|step| self.producer.init_transactions(step));
            settled.map_err(|error| self.failed("preparing transactions", &error))?;
            marker.is_ready = true;
        }
        // Several epochs may be delivered again; behind the first that was not delivered, none was.
        if !marker.is_settled {
            let last = self.patience.wait(|step| marker.last_epoch(step));
            let last = last.map_err(|error| {
                listen(|| drop(marker.consumer.poll(Duration::ZERO)));
                failed(&self.brokers, READING_THE_EPOCH, &error, marker.consumer.context())
            })?;
            if last.is_some_and(|last| last >= epoch) {
                return Ok(false);
            }
            marker.is_settled = true;
        }
        let began = self.producer.begin_transaction();
        began.map_err(|error| self.failed("beginning a transaction", &error)).map(|()| true)
    }

    /// Sends the messages of a block, waiting for room.
    pub(super) fn send(&mut self, block: &[u8]) -> Result<()> {
        for frame in Frames(block) {
            let frame = frame?;
            self.find(frame.topic)?;
            self.send_one(&frame)?;
        }
        // Reports of failures, words about connections.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn send_one(&self, frame: &Frame<'_>) -> Result<()> {
        let record = BaseRecord {
            topic: self.name(frame.topic)?,
            partition: None,
            payload: Some(frame.value),
            key: frame.key,
            timestamp: frame.time,
            headers: None,
            delivery_opaque: (),
        };
        match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((error, record)) if is_full(&error) => self.send_when_there_is_room(record),
            Err((error, _)) => Err(self.failed("sending", &error)),
        }
    }

    #[cold]
    fn send_when_there_is_room(&self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<()> {
        let mut wait = self.acceptance.begin();
        loop {
            self.producer.poll(ROOM);
            record = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) if is_full(&error) && wait.may_go_on() => back,
                Err((error, _)) => return Err(self.failed("sending", &error)),
            };
        }
    }

    /// Waits until all messages of the epoch are durable at the brokers, as one transaction if there is one.
    pub(super) fn finish(&self, epoch: u64) -> Result<()> {
        match &self.marker {
            None => self.flush()?,
            Some(marker) => self.commit(marker, epoch)?,
        }
        self.producer.context().clear();
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let flushed = self.acceptance.wait(|step| self.producer.flush(step));
        flushed.map_err(|error| self.failed("sending", &error))?;
        match self.producer.context().take_refused() {
            Some(error) => Err(self.failed("sending", &error)),
            None => Ok(()),
        }
    }

    fn commit(&self, marker: &Marker, epoch: u64) -> Result<()> {
        let failed = |doing: &str, error: KafkaError| {
            // What a broker said about a message says more than that the transaction failed.
            self.listen();
            let error = self.producer.context().take_refused().unwrap_or(error);
            self.failed(doing, &error)
        };
        let (offsets, group) = (marker.offsets(Some(epoch)), marker.consumer.group_metadata());
        let offsets = offsets.map_err(|error| failed("noting the epoch", error))?;
        let group = group.ok_or_else(|| Error::internal("a consumer with a group has no group"))?;
        let send = |step| self.producer.send_offsets_to_transaction(&offsets, &group, step);
        self.acceptance.wait(send).map_err(|error| failed("noting the epoch", error))?;
        let committed = self.acceptance.wait(|step| self.producer.commit_transaction(step));
        committed.map_err(|error| failed("committing a transaction", error))
    }

    /// Ends a session in which something has failed, as far as that is possible in a short time. Consumers that read committed messages wait for open transactions.
    pub(super) fn abandon(self) {
        if self.marker.is_some() {
            let _transaction_times_out = self.producer.abort_transaction(ABORT);
        }
    }

    /// The topic of a message.
    fn name<'a>(&'a self, topic: &'a [u8]) -> Result<&'a str> {
        match topic {
            [] => Ok(&self.topic),
            topic => str::from_utf8(topic).map_err(|_| Error::internal("a topic is not text")),
        }
    }

    /// Checks that a topic exists, once.
    fn find(&mut self, topic: &[u8]) -> Result<()> {
        if self.found.contains(topic) {
            return Ok(());
        }
        self.check_topic(self.name(topic)?)?;
        self.found.insert(topic.into());
        Ok(())
    }

    fn listen(&self) {
        listen(|| self.producer.poll(Duration::ZERO));
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> Error {
        self.listen();
        failed(&self.brokers, doing, error, self.producer.context())
    }
}

impl Marker {
    /// The offset that notes `epoch`, or asks for it.
    fn offsets(&self, epoch: Option<u64>) -> KafkaResult<TopicPartitionList> {
        let mut offsets = TopicPartitionList::new();
        let mut noted = offsets.add_partition(&self.topic, 0);
        if let Some(epoch) = epoch {
            noted.set_offset(rdkafka::Offset::Offset(0))?;
            noted.set_metadata(epoch.to_string());
        }
        Ok(offsets)
    }

    /// The number of the last epoch whose first record went to this topic.
    fn last_epoch(&self, step: Duration) -> KafkaResult<Option<u64>> {
        let noted = self.consumer.committed_offsets(self.offsets(None)?, step)?;
        let Some(noted) = noted.elements().into_iter().next() else { return Ok(None) };
        noted.error()?;
        Ok(noted.metadata().parse().ok())
    }
}

/// Whether there is no room for another message.
fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}
