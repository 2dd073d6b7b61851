//! The running source: polls librdkafka, whose threads fetch messages ahead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Message};
use tidemill_connect::message::{Lines, Received, Subscription};
use tidemill_engine::cuts::CutRequest;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::meter::SourceMeter;
use tidemill_engine::resilience::Backoff;
use tidemill_engine::time::{Clock, Timestamp};

use super::fields::Field;
use super::group::{Change, Group, Member, leave};
use super::mark::Mark;
use super::partitions::Fixed;
use super::positions::{Found, Positions};
use super::registry::{Content, Registry};
use super::slots::{Met, Slot, Slots};
use super::start::From;
use crate::connection::wrong;
use crate::failure::failed;
use crate::parting::let_go;
use crate::patience::Patience;

/// How often positions are committed in a run without checkpoints.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// How often in a row messages may be damaged before a broker has them like that.
const MOST_DAMAGED: u32 = 20;

/// The setting by which a group knows a member again.
const INSTANCE: &str = "group.instance.id";

/// Reads messages of topics.
pub(super) struct Reader {
    pub(super) setup: Setup,
    /// `None` before the first message is asked for.
    member: Option<Arc<Member>>,
    /// The topics that were there when the run began.
    found: Found,
    /// When partitions were last looked for.
    pub(super) looked: Option<Instant>,
    /// Those of partitions that are not assigned now.
    pub(super) positions: Positions,
    pub(super) slots: Slots,
    committed: Option<Instant>,
    is_closed: bool,
    registry: Option<Registry>,
    /// Until when nothing is read.
    pub(super) halted: Option<Instant>,
    /// Of damaged messages.
    backoff: Backoff,
    /// How often in a row messages were damaged.
    damaged: u32,
    /// Errors that have passed.
    interruptions: u64,
    /// Partitions that were given to others while this process was not heard of.
    pub(super) lost: u64,
    /// Partitions of topics that were made anew.
    pub(super) made_anew: u64,
}

/// What a source is made of.
pub(super) struct Setup {
    pub(super) config: ClientConfig,
    pub(super) brokers: String,
    /// Names and, beginning with `^`, patterns.
    pub(super) topics: Vec<String>,
    /// The partitions of each topic, if they are not left to the group.
    pub(super) fixed: Option<Fixed>,
    pub(super) from: From,
    pub(super) fields: Vec<Field>,
    pub(super) clock: Clock,
    pub(super) cuts: CutRequest,
    pub(super) patience: Patience,
    /// Whether the run has checkpoints.
    pub(super) keeps_place: bool,
    /// Whether it resumes from one.
    pub(super) resumes: bool,
    /// Whether it goes on if messages were deleted, or a topic was made anew.
    pub(super) accepts_gaps: bool,
    pub(super) reads_committed: bool,
    pub(super) meter: SourceMeter,
}

impl Reader {
    /// Contacts nobody yet.
    pub(super) fn new(setup: Setup, registry: Option<Registry>) -> Self {
        Self {
            setup,
            member: None,
            found: Found::default(),
            looked: None,
            positions: Positions::new(),
            slots: Slots::default(),
            committed: None,
            is_closed: false,
            registry,
            halted: None,
            backoff: Backoff::default(),
            damaged: 0,
            interruptions: 0,
            lost: 0,
            made_anew: 0,
        }
    }

    /// Adds messages to `lines` until they are full or nothing more is there.
    fn read(&mut self, member: &Member, lines: &mut Lines, mut wait: Duration) -> Result<()> {
        let now = self.setup.clock.read();
        while self.halted.is_none() && self.member.is_some() && !lines.is_full() {
            match member.poll(std::mem::take(&mut wait)) {
                None => break,
                Some(Ok(message)) => self.push(member, &message, lines, now)?,
                Some(Err(error)) => self.note(member, &error)?,
            }
        }
        Ok(())
    }

    /// Adds a message to `lines`.
    fn push(
        &mut self,
        member: &Member,
        message: &impl Message,
        lines: &mut Lines,
        now: Timestamp,
    ) -> Result<()> {
        // One that librdkafka had fetched before its partition was paused or given up belongs to the next reader.
        let slot = self.slots.find(message.topic(), message.partition());
        let Some(slot) = slot.filter(|slot| !slot.is_leaving) else { return Ok(()) };
        match slot.meet(message.offset(), || Mark::of(message)) {
            Met::New => {}
            Met::Old => return Ok(()),
            Met::Other => {
                let partition = slot.name();
                return self.begin_anew(member, &partition);
            }
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
            Content::Later(again) => {
                self.interruptions += 1;
                self.setup.meter.failed(None);
                self.halt(again);
                return Ok(());
            }
        }
        slot.read(Mark::of(message));
        Ok(())
    }

    /// An error between two messages: most pass by themselves.
    pub(super) fn note(&mut self, member: &Member, error: &KafkaError) -> Result<()> {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::PartitionEOF) => return Ok(()),
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                return Err(self.failed_reading(member, error).with_help(
                    "messages were deleted before they were read, or the topic was made anew: set `gaps = \"accept\"` to go on with the first one that is there",
                ));
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                return Err(self
                    .failed_reading(member, error)
                    .with_help("the topic was deleted: make it anew, and resume with `gaps = \"accept\"`"));
            }
            Some(Code::BadMessage | Code::BadCompression) if self.damaged < MOST_DAMAGED => {
                self.damaged += 1;
                self.interruptions += 1;
                self.setup.meter.count("damaged", 1);
                // They are fetched again: what librdkafka has skipped is behind no position.
                let delay = self.backoff.delay(None);
                self.halt(Instant::now() + delay);
                return Ok(());
            }
            Some(Code::FencedInstanceId) if self.has_own_instance() => {
                self.rejoin(member);
                return Ok(());
            }
            _ => {}
        }
        let is_fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let error = self.failed_reading(member, error);
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
        let partitions: Vec<_> = self.slots.iter().map(Slot::name).collect();
        for slot in self.slots.remove(&partitions) {
            self.positions.set(&slot.topic, slot.partition, slot.place());
        }
        leave(member);
        self.member = None;
        self.interruptions += 1;
    }

    pub(super) fn failed(&self, member: &Member, doing: &str, error: &KafkaError) -> Error {
        failed(&self.setup.brokers, doing, error, &member.context().words)
    }

    fn failed_reading(&self, member: &Member, error: &KafkaError) -> Error {
        self.failed(member, &format!("reading {}", self.setup.topics.join(", ")), error)
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
        let created = config.create_with_context(Group::new(self.setup.meter.clone()));
        let member: Member = created.map_err(|error| wrong(&error))?;
        self.join(&member)?;
        Ok(Arc::clone(self.member.insert(Arc::new(member))))
    }

    fn join(&self, member: &Member) -> Result<()> {
        if let Some(fixed) = &self.setup.fixed {
            member.context().change(Change::Assigned(self.fixed_partitions(fixed)));
            return Ok(());
        }
        let topics: Vec<&str> = self.setup.topics.iter().map(String::as_str).collect();
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
        match self.find_topics() {
            // They were there when the run began: it goes on when the brokers answer.
            Err(error) if error.is_transient() && self.setup.resumes => self.setup.meter.failed(Some(&error)),
            found => {
                self.found = found?;
                self.positions.note(&self.found);
                self.setup.meter.connected();
            }
        }
        Ok(())
    }

    fn receive(&mut self, lines: &mut Lines, wait: Duration) -> Result<Received> {
        if self.is_closed {
            return Ok(Received::End);
        }
        let member = self.member()?;
        self.look_for_partitions(&member);
        self.answer(&member)?;
        match self.is_halted(&member)? {
            true => self.listen(&member, wait)?,
            false => self.read(&member, lines, wait)?,
        }
        if !lines.is_empty() {
            member.context().words.clear();
            self.backoff.reset();
            self.damaged = 0;
        }
        if !self.setup.keeps_place {
            self.commit_read(&member);
        }
        if self.member.is_none() {
            let_go(member);
        }
        Ok(Received::More)
    }

    fn position(&self) -> Result<Option<Vec<u8>>> {
        let mut positions = self.positions.clone();
        self.slots.iter().for_each(|slot| positions.set(&slot.topic, slot.partition, slot.place()));
        Ok(Some(positions.write()))
    }

    fn resume(&mut self, position: &[u8]) -> Result<()> {
        self.positions = Positions::read(position)?;
        if !self.found.is_empty() {
            self.positions.note(&self.found);
        }
        Ok(())
    }

    fn durable(&mut self, _epoch: u64, position: &[u8]) -> Result<()> {
        let positions = Positions::read(position)?;
        for slot in self.slots.iter_mut() {
            if let Some(next) = positions.get(&slot.topic, slot.partition) {
                // Of a topic that was made anew, a position may be further than the reader.
                slot.durable = slot.durable.max(next.min(slot.next));
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

    fn waiting(&self) -> Option<u64> {
        let group = self.member.as_ref()?.context();
        let waiting = |slot: &Slot| {
            let end = group.end(&slot.topic, slot.partition)?;
            let end = if self.setup.reads_committed { end.committed } else { end.all };
            Some(u64::try_from(end - slot.next).unwrap_or(0))
        };
        // Known of all, or of none.
        self.slots.iter().map(waiting).sum()
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
                self.made_anew,
                "# partitions were made anew, and were read from their beginning: their topic was deleted, or brokers have lost messages",
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
        if let Some(member) = self.member.take() {
            leave(&member);
            let_go(member);
        }
    }
}
