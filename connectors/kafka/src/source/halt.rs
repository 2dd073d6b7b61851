//! Reading stops for a while, because the registry does not answer, or because what was fetched is damaged. Then every partition is fetched again from where it is read to.
//!
//! Meanwhile the member is polled, so that the group does not take it for dead, and its partitions are paused: what comes nevertheless is fetched again.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use tidemill_engine::error::Result;

use super::assignment::STEP;
use super::group::{Member, Partition, list};
use super::reader::Reader;
use super::slots::{Slot, offsets};

impl Reader {
    /// Reads nothing until then.
    pub(super) fn halt(&mut self, until: Instant) {
        self.halted = Some(until);
    }

    /// Whether nothing is read for now. When it is time, reading goes on.
    pub(super) fn is_halted(&mut self, member: &Member) -> Result<bool> {
        let Some(until) = self.halted else { return Ok(false) };
        if Instant::now() < until || !self.fetch_anew(member)? {
            self.pause_all(member)?;
            return Ok(true);
        }
        self.halted = None;
        Ok(false)
    }

    /// Handles what librdkafka has to say while nothing is read.
    pub(super) fn listen(&mut self, member: &Member, wait: Duration) -> Result<()> {
        match member.poll(wait) {
            Some(Err(error)) => self.note(member, &error),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Lets messages come from where each partition is read to; `false` if librdkafka is busy.
    fn fetch_anew(&mut self, member: &Member) -> Result<bool> {
        let failed = |error| self.failed(member, "reading on", &error);
        let offsets = offsets(self.slots.iter()).map_err(failed)?;
        // A partition whose fetching has not begun yet is not sought: it begins there.
        if offsets.count() > 0 && member.seek_partitions(offsets, STEP).is_err() {
            return Ok(false);
        }
        let paused = self.change_paused(false);
        if !paused.is_empty() {
            member.resume(&list(&paused)).map_err(|error| self.failed(member, "reading on", &error))?;
        }
        Ok(true)
    }

    fn pause_all(&mut self, member: &Member) -> Result<()> {
        match &*self.change_paused(true) {
            [] => Ok(()),
            partitions => self.pause(member, partitions),
        }
    }

    /// Notes that partitions that stay are paused or not, and returns those of which that is new.
    fn change_paused(&mut self, is_paused: bool) -> Vec<Partition> {
        let changed = self.slots.iter_mut().filter(|slot| !slot.is_leaving && slot.is_paused != is_paused);
        let note = |slot: &mut Slot| {
            slot.is_paused = is_paused;
            slot.name()
        };
        changed.map(note).collect()
    }
}
