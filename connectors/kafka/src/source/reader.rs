//! The running source: polls librdkafka, whose threads fetch messages ahead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::{ClientConfig, Message};
use tidemill_connect::message::{Lines, Received, Subscription};
use tidemill_engine::cuts::CutRequest;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::time::{Clock, Timestamp};

use super::fields::Field;
use super::group::{Change, Group, Member, leave};
use super::positions::Positions;
use super::registry::{Content, Registry};
use super::slots::Slots;
use super::start::From;
use crate::connection::wrong;
use crate::failure::{Words, failed, listen};
use crate::patience::Patience;
use crate::topic::find;

/// How often positions are committed in a run without checkpoints.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// The setting by which a group knows a member again.
const INSTANCE: &str = "group.instance.id";

/// Reads messages of topics.
pub(super) struct Reader {
    pub(super) setup: Setup,
    /// `None` before the first message is asked for.
    member: Option<Arc<Member>>,
    /// By topic: its number of partitions when the run began.
    pub(super) known: Vec<(String, i32)>,
    /// Those of partitions that are not assigned now.
    pub(super) positions: Positions,
    pub(super) slots: Slots,
    committed: Option<Instant>,
    is_closed: bool,
    registry: Option<Registry>,
    /// A message that waits for the registry, and until when.
    held: Option<(OwnedMessage, Instant)>,
    backoff: Backoff,
    /// Errors that have passed.
    interruptions: u64,
    /// Partitions that were given to others while this process was not heard of.
    pub(super) lost: u64,
}

/// What a source is made of.
pub(super) struct Setup {
    pub(super) config: ClientConfig,
    pub(super) brokers: String,
    /// Names and, beginning with `^`, patterns.
    pub(super) topics: Vec<String>,
    /// The partitions of each topic, if they are not left to the group.
    pub(super) fixed: Option<Vec<i32>>,
    pub(super) from: From,
    pub(super) fields: Vec<Field>,
    pub(super) clock: Clock,
    pub(super) cuts: CutRequest,
    pub(super) patience: Patience,
    /// Whether it goes on where offsets begin if messages were deleted before they were read.
    pub(super) accepts_gaps: bool,
    /// Whether the run has checkpoints.
    pub(super) keeps_place: bool,
    /// Whether it resumes from one.
    pub(super) resumes: bool,
}

impl Reader {
    /// Contacts nobody yet.
    pub(super) fn new(setup: Setup, registry: Option<Registry>) -> Self {
        Self {
            setup,
            member: None,
            known: Vec::new(),
            positions: Positions::new(),
            slots: Slots::default(),
            committed: None,
            is_closed: false,
            registry,
            held: None,
            backoff: Backoff::default(),
            interruptions: 0,
            lost: 0,
        }
    }

    /// Adds a message to `lines`; `false` if the registry does not answer what it means.
    fn push(&mut self, message: &impl Message, lines: &mut Lines, now: Timestamp) -> Result<bool> {
        // One that librdkafka had fetched before its partition was paused or given up belongs to the next reader.
        let slot = self.slots.find(message.topic(), message.partition());
        let Some(slot) = slot.filter(|slot| !slot.is_leaving) else { return Ok(true) };
        // One that was read before is never read again, whatever librdkafka fetches after an error. Only if offsets may begin anew, nobody knows which those are.
        if message.offset() < slot.next && !self.setup.accepts_gaps {
            return Ok(true);
        }
        let payload = message.payload().unwrap_or_default();
        let content = match &mut self.registry {
            Some(registry) if !payload.is_empty() => registry.read(payload)?,
            _ => Content::Text(payload.into()),
        };
        let fields = &self.setup.fields;
        match content {
            Content::Text(text) => lines.push(&text, now, |at| fields.get(at)?.value(message)),
            Content::Rejected(why) => lines.reject(why, payload),
            Content::Later => return Ok(false),
        }
        slot.next = message.offset() + 1;
        Ok(true)
    }

    /// Adds the message that waits for the registry, if there is one; `false` if it waits still.
    fn push_held(&mut self, lines: &mut Lines, wait: Duration, now: Timestamp) -> Result<bool> {
        let Some((message, until)) = self.held.take() else { return Ok(true) };
        if Instant::now() < until {
            std::thread::sleep(wait);
            self.held = Some((message, until));
            return Ok(false);
        }
        if self.push(&message, lines, now)? {
            self.backoff.reset();
            return Ok(true);
        }
        self.hold(message);
        Ok(false)
    }

    /// Keeps a message until the registry may answer.
    fn hold(&mut self, message: OwnedMessage) {
        self.interruptions += 1;
        self.held = Some((message, Instant::now() + self.backoff.delay(None)));
    }

    /// An error between two messages: most pass by themselves.
    fn note(&mut self, member: &Member, error: &KafkaError) -> Result<()> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PartitionEOF) => return Ok(()),
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                return Err(self.failed(member, "reading", error).with_help(
                    "messages were deleted before they were read: set `gaps = \"accept\"` to go on with the first one that is there",
                ));
            }
            Some(RDKafkaErrorCode::FencedInstanceId) if self.has_own_instance() => {
                self.rejoin(member);
                return Ok(());
            }
            _ => {}
        }
        let is_fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let error = self.failed(member, "reading", error);
        if is_fatal || !error.is_transient() {
            return Err(error);
        }
        self.interruptions += 1;
        Ok(())
    }

    /// Whether the group knows this member by its state folder, which no other process can have at the same time.
    fn has_own_instance(&self) -> bool {
        self.setup.keeps_place && self.setup.fixed.is_none() && self.setup.config.get(INSTANCE).is_none()
    }

    /// A coordinator that was restarted has taken this member for another one of the same instance: it joins again, and reads on where it was. (A process that was
    /// replaced ends with its next checkpoint, since it does not hold the state folder.)
    fn rejoin(&mut self, member: &Member) {
        let partitions: Vec<_> =
            self.slots.iter().map(|slot| (Arc::clone(&slot.topic), slot.partition)).collect();
        for slot in self.slots.remove(&partitions) {
            self.positions.set(&slot.topic, slot.partition, slot.next);
        }
        leave(member);
        self.member = None;
        self.interruptions += 1;
    }

    /// Finds the topics before the run begins.
    fn find_topics(&self) -> Result<Vec<(String, i32)>> {
        let mut config = self.setup.config.clone();
        // Not as a member: the run may resume as another one.
        config.remove("group.id");
        let client: BaseConsumer<Words> =
            config.create_with_context(Words::default()).map_err(|error| wrong(&error))?;
        let names = self.setup.topics.iter().filter(|topic| !topic.starts_with('^'));
        names.map(|topic| Ok((topic.clone(), self.find_topic(&client, topic)?))).collect()
    }

    fn find_topic(&self, client: &BaseConsumer<Words>, topic: &str) -> Result<i32> {
        let Setup { brokers, fixed, patience, .. } = &self.setup;
        let said = || listen(|| drop(client.poll(Duration::ZERO)));
        let count = find(client.client(), client.context(), (brokers, topic), patience, said)?;
        match fixed.iter().flatten().find(|partition| **partition >= count) {
            None => Ok(count),
            Some(partition) => Err(Error::config(format!(
                "Kafka at {brokers}: the topic `{topic}` has no partition {partition}: it has {count}"
            ))
            .with_help("correct `partitions`; they are numbered from 0")),
        }
    }

    pub(super) fn failed(&self, member: &Member, doing: &str, error: &KafkaError) -> Error {
        failed(&self.setup.brokers, doing, error, &member.context().words)
    }

    /// The member of the group, which joins it at the first call.
    fn member(&mut self) -> Result<Arc<Member>> {
        if let Some(member) = &self.member {
            return Ok(Arc::clone(member));
        }
        let mut config = self.setup.config.clone();
        if self.has_own_instance() {
            // A run that resumes takes the place of the one before it at once, with the same partitions.
            config.set(INSTANCE, &*self.positions.owner);
        }
        let created = config.create_with_context(Group::default());
        let member: Member = created.map_err(|error| wrong(&error))?;
        self.join(&member)?;
        Ok(Arc::clone(self.member.insert(Arc::new(member))))
    }

    fn join(&self, member: &Member) -> Result<()> {
        let topics = &self.setup.topics;
        if let Some(fixed) = &self.setup.fixed {
            let of = |topic: &String| {
                let topic: Arc<str> = topic.as_str().into();
                fixed.iter().map(|at| (Arc::clone(&topic), *at)).collect::<Vec<_>>()
            };
            member.context().change(Change::Assigned(topics.iter().flat_map(of).collect()));
            return Ok(());
        }
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        member.subscribe(&topics).map_err(|error| self.failed(member, "subscribing", &error))
    }

    /// Commits what was read, without waiting for checkpoints.
    fn commit_read(&mut self, member: &Member) {
        if self.committed.is_none_or(|committed| committed.elapsed() >= COMMIT_EVERY) {
            self.committed = Some(Instant::now());
            self.slots.commit(member, &self.positions.owner, |slot| slot.next);
        }
    }
}

impl Subscription for Reader {
    fn begin(&mut self) -> Result<()> {
        self.known = match self.find_topics() {
            // They were there when the run began: it goes on when the brokers answer.
            Err(error) if error.is_transient() && self.setup.resumes => Vec::new(),
            found => found?,
        };
        Ok(())
    }

    fn receive(&mut self, lines: &mut Lines, mut wait: Duration) -> Result<Received> {
        if self.is_closed {
            return Ok(Received::End);
        }
        let member = self.member()?;
        self.answer(&member)?;
        let now = self.setup.clock.read();
        let mut may_read = self.push_held(lines, wait, now)?;
        while may_read && !lines.is_full() {
            match member.poll(std::mem::take(&mut wait)) {
                None => break,
                Some(Ok(message)) => {
                    may_read = self.push(&message, lines, now)?;
                    if !may_read {
                        self.hold(message.detach());
                    }
                }
                Some(Err(error)) => {
                    self.note(&member, &error)?;
                    may_read = self.member.is_some();
                }
            }
        }
        if !lines.is_empty() {
            member.context().words.clear();
        }
        if !self.setup.keeps_place {
            self.commit_read(&member);
        }
        Ok(Received::More)
    }

    fn position(&self) -> Result<Option<Vec<u8>>> {
        let mut positions = self.positions.clone();
        self.slots.iter().for_each(|slot| positions.set(&slot.topic, slot.partition, slot.next));
        Ok(Some(positions.write()))
    }

    fn resume(&mut self, position: &[u8]) -> Result<()> {
        self.positions = Positions::read(position)?;
        Ok(())
    }

    fn durable(&mut self, _epoch: u64, position: &[u8]) -> Result<()> {
        let positions = Positions::read(position)?;
        for slot in self.slots.iter_mut() {
            if let Some(next) = positions.get(&slot.topic, slot.partition) {
                slot.durable = slot.durable.max(next);
            }
        }
        if let Some(member) = &self.member {
            self.slots.commit(member, &self.positions.owner, |slot| slot.durable);
        }
        Ok(())
    }

    fn close(&mut self, _can_resume: bool) -> Result<()> {
        // What librdkafka has fetched ahead is read by the next one: no position is behind it.
        self.is_closed = true;
        if let Some(member) = self.member.as_ref().filter(|_| !self.setup.keeps_place) {
            self.slots.commit(member, &self.positions.owner, |slot| slot.next);
        }
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        let failed = self.member.as_ref().map_or(0, |member| member.context().failed_commits());
        let remark = |count: u64, text: &str| (count > 0).then(|| text.replace('#', &count.to_string()));
        [
            remark(self.interruptions, "errors of the connection to the brokers or the registry that have passed: #"),
            remark(
                self.lost,
                "# partitions went to other processes while this one was not heard of: they read some messages again",
            ),
            remark(
                failed,
                "positions could not be committed to the group # times (with --state, the checkpoints have them)",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(member) = &self.member {
            leave(member);
        }
    }
}
