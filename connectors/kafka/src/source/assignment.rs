//! The answers to what the group decides.
//!
//! A partition that the group takes away is given up once everything that was read of it is in a durable checkpoint and committed: until then it is paused. So its
//! next reader begins exactly behind it. One that the group gives is read from where [`Positions::begin`](super::positions::Positions::begin) says, if it is still the one that was read:
//! its last message is fetched once more ([`Slot::meet`]).

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use tidemill_engine::error::{Error, Result};

use super::begin::Brokers;
use super::group::{Change, Member, Partition, list};
use super::positions::{Committed, Place};
use super::reader::Reader;
use super::slots::{Slot, offsets};
use super::start::From;

/// How long a question to the brokers may take while the source is read; it is asked again.
pub(super) const STEP: Duration = Duration::from_millis(500);

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
            Err(error) if error.is_transient() => return Ok(false),
            Err(error) => return Err(error),
        };
        let begun: Vec<_> =
            starts.into_iter().map(|(partition, place)| Slot::new(partition, place)).collect();
        let new = offsets(&begun);
        for slot in begun {
            self.positions.remove(&slot.topic, slot.partition);
            self.slots.add(slot);
        }
        let assigned = match self.setup.fixed {
            None => new.and_then(|new| member.incremental_assign(&new)),
            // Those that were added, and the others from where they are.
            Some(_) => {
                self.slots.iter_mut().for_each(|slot| slot.is_paused = false);
                offsets(self.slots.iter()).and_then(|all| member.assign(&all))
            }
        };
        assigned.map_err(|error| self.failed(member, "beginning to read", &error)).map(|()| true)
    }

    fn starts(&self, member: &Member, partitions: &[Partition]) -> Result<Vec<(Partition, Place)>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let brokers = Brokers { member, step: STEP };
        let committed = brokers.committed(partitions).map_err(|error| self.not_found(member, &error))?;
        let start = |partition: &Partition| {
            let place = self.start(&brokers, partition, committed.get(partition))?;
            Ok((partition.clone(), place))
        };
        partitions.iter().map(start).collect()
    }

    fn start(
        &self,
        brokers: &Brokers<'_>,
        partition: &Partition,
        committed: Option<&Committed>,
    ) -> Result<Place> {
        let not_found = |error| self.not_found(brokers.member, &error);
        let from = match self.positions.begin(&partition.0, partition.1, committed) {
            None => self.setup.from.of(self.positions.is_new(&partition.0, partition.1)),
            Some(place) => {
                let (first, end) = brokers.range(partition).map_err(not_found)?;
                match place.next <= end {
                    // A message that was deleted cannot be looked at.
                    true => return Ok(Place { last: place.last.filter(|last| last.at >= first), ..place }),
                    // Shorter than what was read of it.
                    false if self.setup.accepts_gaps => From::Earliest,
                    false => return Err(self.made_anew(partition, place.next)),
                }
            }
        };
        Ok(Place { next: brokers.offset(from, partition).map_err(not_found)?, last: None })
    }

    /// At the offset of the last message that was read, there is another one. It ends the run, or the partition is read from its beginning.
    #[cold]
    pub(super) fn begin_anew(&mut self, member: &Member, partition: &Partition) -> Result<()> {
        let Some(slot) = self.slots.find(&partition.0, partition.1) else { return Ok(()) };
        if !self.setup.accepts_gaps {
            let next = slot.next;
            return Err(self.made_anew(partition, next));
        }
        match (Brokers { member, step: STEP }).offset(From::Earliest, partition) {
            Ok(first) => {
                slot.begin_anew(first);
                self.made_anew += 1;
                self.setup.meter.count("made_anew", 1);
                self.halt(Instant::now());
            }
            Err(error) => {
                let error = self.not_found(member, &error);
                if !error.is_transient() {
                    return Err(error);
                }
                // The message comes again.
                self.halt(Instant::now() + STEP);
            }
        }
        Ok(())
    }

    fn made_anew(&self, (topic, partition): &Partition, next: i64) -> Error {
        let brokers = &self.setup.brokers;
        Error::data(format!(
            "Kafka at {brokers}: partition {partition} of `{topic}` is not the one that was read up to offset {next}: the topic was deleted and made anew, or brokers have lost messages"
        ))
        .with_help("set `gaps = \"accept\"` to read it from its beginning; or start a new run with another --state")
    }

    fn not_found(&self, member: &Member, error: &KafkaError) -> Error {
        self.failed(member, "finding where to begin", error)
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
            self.positions.set(&slot.topic, slot.partition, slot.place());
            self.lost += 1;
            self.setup.meter.count("lost_partitions", 1);
        }
        self.unassign(member, partitions)?;
        Ok(true)
    }

    pub(super) fn pause(&self, member: &Member, partitions: &[Partition]) -> Result<()> {
        let paused = member.pause(&list(partitions));
        paused.map_err(|error| self.failed(member, "pausing partitions", &error))
    }

    fn unassign(&self, member: &Member, partitions: &[Partition]) -> Result<()> {
        // Commits that are on their way are waited for by librdkafka.
        let given = member.incremental_unassign(&list(partitions));
        given.map_err(|error| self.failed(member, "giving up partitions", &error))
    }
}
