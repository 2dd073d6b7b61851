//! Steps common to all ways of running: counting lines, entering ledgers, ordering rejections, splitting.

use std::sync::atomic::{AtomicBool, Ordering};

use super::drain::Drain;
use crate::batch::{Batch, Mask};
use crate::chain::Route;
use crate::error::{Error, ErrorKind, Rejection, RejectionKind, Result};
use crate::format::{Chunk, Decoded};
use crate::metrics::Entry;
use crate::offset::Trigger;
use crate::source::{Foreseen, Input};
use crate::stage::Flow;
use crate::time::{Timestamp, format_duration};

/// The error of a run that was asked to stop.
pub(crate) fn check_stop(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) {
        return Err(Error::new(ErrorKind::Interrupted, "stopped before the end of the input")
            .with_help("no output file was completed"));
    }
    Ok(())
}

/// How the lines of a chunk are numbered.
#[derive(Clone, Copy)]
pub(crate) enum LineCount {
    /// Final: numbered by the source.
    Final,
    /// The chunk has `lines` lines. Its first line is `first`; if that is 0, it is `skipped` lines after the last line of the previous
    /// chunk, and lines in the chunk are numbered from 0.
    Counted { first: u64, lines: u64, skipped: u64 },
}

impl LineCount {
    pub(crate) fn of(chunk: &Chunk, decoded: &Decoded) -> Self {
        Self::Counted { first: chunk.offset.line, lines: decoded.lines, skipped: 0 }
    }

    /// The same, after `dropped` lines that were not decoded.
    pub(crate) fn after_dropped(self, dropped: u64) -> Self {
        match self {
            Self::Final => self,
            Self::Counted { first, lines, skipped } => {
                Self::Counted { first, lines, skipped: skipped + dropped }
            }
        }
    }

    /// The same for lines that were shifted by `base`, the result of [`LineCount::pass`].
    pub(crate) fn moved_by(self, base: u64) -> Self {
        match self {
            Self::Final => self,
            Self::Counted { first, lines, .. } => Self::Counted { first: base + first, lines, skipped: 0 },
        }
    }

    /// Advances `line`, the line after the previous chunk, to the one after this chunk; returns the number to add to the lines in the
    /// chunk.
    pub(crate) fn pass(self, line: &mut u64) -> u64 {
        let Self::Counted { first, lines, skipped } = self else { return 0 };
        let base = if first == 0 { *line + skipped } else { 0 };
        *line = base + first + lines;
        base
    }
}

/// Passes the rejections of a chunk on, ordered by the record that decided them, then by stage, so that the order does not depend on
/// chunks.
pub(crate) fn drain_rejections<D: Drain>(mut rejections: Vec<Rejection>, drain: &mut D) -> Result<()> {
    if rejections.is_empty() {
        return Ok(());
    }
    rejections.sort_by_key(Rejection::trigger);
    drain.rejections(rejections)
}

/// Removes and returns those `rejections` that were decided by the record `last` or earlier.
pub(crate) fn take_until(rejections: &mut Vec<Rejection>, last: Trigger) -> Vec<Rejection> {
    let (before, behind) = std::mem::take(rejections).into_iter().partition(|it| it.trigger() <= last);
    *rejections = behind;
    before
}

/// What the sources have refused of a piece of the input.
#[derive(Default)]
pub(crate) struct Refused {
    /// How many records the piece has.
    pub(crate) records: u64,
    /// In the order of the input, as soon as all shares are added.
    pub(crate) rejections: Vec<Rejection>,
    /// Which record of the piece each is, from 1.
    pub(crate) ordinals: Vec<u64>,
}

impl Refused {
    /// Adds the share of a source that has given `before` records until then: `records`, of which it has refused these, numbered from the beginning of
    /// the share.
    pub(crate) fn add(&mut self, records: u64, rejections: Vec<Rejection>, before: u64) {
        let is_first = self.records == 0;
        self.records += records;
        self.ordinals.extend(rejections.iter().map(|rejection| rejection.record));
        let numbered = rejections.into_iter().map(|mut rejection| {
            rejection.record += before;
            rejection
        });
        self.rejections.extend(numbered);
        if !is_first && !self.rejections.is_empty() {
            // Of several sources: by their places among the records of all.
            self.rejections.sort_by_key(Rejection::trigger);
            let ordinals =
                self.rejections.iter().zip(1..).map(|(rejection, at)| rejection.trigger().line + at);
            self.ordinals = ordinals.collect();
        }
    }
}

/// Sets the records aside whose time is behind `latest`: a clock that is so far ahead is wrong.
pub(crate) fn reject_ahead(batch: &mut Batch, latest: Timestamp) -> Vec<Rejection> {
    let is_ahead = |time: &Timestamp| *time > latest;
    let Some(times) = batch.times().filter(|times| times.iter().any(is_ahead)) else { return Vec::new() };
    let (mut flow, mut keep) = (Flow::default(), Mask::filled(batch.len(), true));
    for (row, time) in times.iter().enumerate().filter(|(_, time)| is_ahead(time)) {
        let why = too_far_ahead(time.as_nanos().saturating_sub(latest.as_nanos()));
        flow.reject(batch, row, RejectionKind::Ahead, why);
        keep.set(row, false);
    }
    batch.retain(&keep);
    flow.rejections
}

/// The reason for rejecting a record that is `nanos` after the latest accepted time; long durations in whole seconds.
fn too_far_ahead(nanos: i64) -> String {
    const SECOND: i64 = 1_000_000_000;
    let shown = if nanos < SECOND { nanos } else { nanos - nanos % SECOND };
    format!("ahead: its time is {} beyond what `max_ahead` allows", format_duration(shown))
}

/// How many of the records released at the end of the input are passed on together: about as many as a chunk has.
pub(crate) fn rows_of(chunk_size: usize) -> usize {
    (chunk_size / 32).max(1)
}

/// Enters records that were not read, because one of the stages filters them: the stages before that one pass them.
pub(crate) fn enter_foreseen<'e>(
    foreseen: Option<(u64, usize)>,
    route: &Route,
    entries: impl IntoIterator<Item = &'e mut Entry>,
) {
    let Some((records, stage)) = foreseen else { return };
    let path = route.path_to(stage);
    for (at, entry) in entries.into_iter().enumerate().filter(|(at, _)| path.contains(at)) {
        entry.ledger.input += records;
        match at < stage {
            true => entry.ledger.output += records,
            false => entry.ledger.filtered += records,
        }
    }
}

/// The number of records that were not read, and the ordinal of the stage that filters them.
pub(crate) fn foreseen(input: &Input) -> Option<(u64, usize)> {
    match input {
        Input::Foreseen(Foreseen { records, stage, .. }) => Some((*records, *stage)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_clock_is_ahead_can_be_read() {
        let why = |nanos| too_far_ahead(nanos);
        assert_eq!(why(5_000_000), "ahead: its time is 5ms beyond what `max_ahead` allows");
        assert_eq!(why(90_000_000_123), "ahead: its time is 1m30s beyond what `max_ahead` allows");
    }
}
