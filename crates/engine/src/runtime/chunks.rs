//! What is done with a chunk and its records however it is run: counted, entered, set aside, cut.

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

/// How the lines of a chunk are counted.
#[derive(Clone, Copy)]
pub(crate) enum LineCount {
    /// They are final: the source counts them itself.
    Final,
    /// The chunk has `lines` lines. Its first is `first`, or, where that is 0, the one `skipped` lines after the previous chunk's last:
    /// then lines were counted from 0.
    Counted { first: u64, lines: u64, skipped: u64 },
}

impl LineCount {
    pub(crate) fn of(chunk: &Chunk, decoded: &Decoded) -> Self {
        Self::Counted { first: chunk.offset.line, lines: decoded.lines, skipped: 0 }
    }

    /// The same, where `dropped` lines before it never came here.
    pub(crate) fn behind(self, dropped: u64) -> Self {
        match self {
            Self::Final => self,
            Self::Counted { first, lines, skipped } => {
                Self::Counted { first, lines, skipped: skipped + dropped }
            }
        }
    }

    /// The same for lines that have been moved by `base`, as [`LineCount::pass`] said.
    pub(crate) fn moved_by(self, base: u64) -> Self {
        match self {
            Self::Final => self,
            Self::Counted { first, lines, .. } => Self::Counted { first: base + first, lines, skipped: 0 },
        }
    }

    /// Goes on from `line`, the line after the previous chunk's last, to the one after this chunk's; gives what has to be added
    /// to the lines in the chunk.
    pub(crate) fn pass(self, line: &mut u64) -> u64 {
        let Self::Counted { first, lines, skipped } = self else { return 0 };
        let base = if first == 0 { *line + skipped } else { 0 };
        *line = base + first + lines;
        base
    }
}

/// Hands over the rejections of a chunk in the order of the records that decided them, then of the stages: so no cut between chunks can
/// change it.
pub(crate) fn set_aside<D: Drain>(mut rejections: Vec<Rejection>, drain: &mut D) -> Result<()> {
    if rejections.is_empty() {
        return Ok(());
    }
    rejections.sort_by_key(Rejection::trigger);
    drain.rejections(rejections)
}

/// Those of `rejections` that were decided with the record `last`, or before it, out of there.
pub(crate) fn until(rejections: &mut Vec<Rejection>, last: Trigger) -> Vec<Rejection> {
    let (before, behind) = std::mem::take(rejections).into_iter().partition(|it| it.trigger() <= last);
    *rejections = behind;
    before
}

/// Sets the records aside whose time is behind `latest`: a clock that is so far ahead is wrong.
pub(crate) fn set_ahead_aside(batch: &mut Batch, latest: Timestamp) -> Vec<Rejection> {
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

/// Why a record is set aside whose time is so many nanoseconds behind the latest that is believed; of a long time, in whole seconds.
fn too_far_ahead(nanos: i64) -> String {
    const SECOND: i64 = 1_000_000_000;
    let shown = if nanos < SECOND { nanos } else { nanos - nanos % SECOND };
    format!("ahead: its time is {} beyond what `max_ahead` allows", format_duration(shown))
}

/// How many records go on together of those that the end of the input has let go: about as many as a chunk has.
pub(crate) fn rows_of(chunk_size: usize) -> usize {
    (chunk_size / 32).max(1)
}

/// Enters records that were left unread, because one of the stages filters them: those between the source and that one let them pass.
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

/// How many records were left unread, and the ordinal of the stage that filters them.
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
