//! Processes, one after the other, until one has come to the end of the input: what a service manager would do.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::child::{self, Ended};
use super::setup::{CHAOS, Setup};
use tidemill_core::error::Result;
use tidemill_core::time::Clock;
use tidemill_engine::chaos::{Event, Line, Plan};

/// The pause before a process that has failed is started again.
const PAUSE: Duration = Duration::from_millis(100);

/// How many processes may fail without a new fault in between.
const FAILURES: u32 = 3;

/// All processes of the run.
pub(super) struct Supervised {
    pub(super) lines: Vec<Line>,
    /// How many were killed by the schedule.
    pub(super) kills: u64,
    /// How many have ended with an error, such as a full disk.
    pub(super) failures: u64,
    /// The report of the last one, if it came to its end.
    pub(super) report: Option<Value>,
    /// Why the run was given up.
    pub(super) error: Option<Vec<String>>,
    /// The most bytes that the state folder had at the end of a process.
    pub(super) state_bytes: u64,
    pub(super) elapsed: Duration,
    /// When the last process ended, in nanoseconds since 1970.
    pub(super) end: i64,
}

pub(super) fn supervise(setup: &Setup, plan: &Plan) -> Result<Supervised> {
    let (begun, state) = (Instant::now(), setup.of(CHAOS).join("state"));
    let (mut kills, mut failures, mut state_bytes) = (0, 0, 0);
    let (mut in_a_row, mut struck) = (0, 0);
    let (ended, error) = loop {
        let ended = child::run(setup, plan, CHAOS)?;
        state_bytes = state_bytes.max(size(&state));
        if ended.is_success() {
            break (ended, None);
        }
        let now = faults_struck(&ended);
        let is_news = now > struck;
        struck = now;
        if ended.is_killed() && is_news {
            kills += 1;
            continue;
        }
        failures += 1;
        in_a_row = if is_news { 1 } else { in_a_row + 1 };
        if in_a_row >= FAILURES || ended.has_hung() {
            let said = ended.said.clone();
            break (ended, Some(said));
        }
        std::thread::sleep(PAUSE);
    };
    let end = Clock::default().read().as_nanos();
    let Ended { lines, report, .. } = ended;
    Ok(Supervised { lines, kills, failures, report, error, state_bytes, elapsed: begun.elapsed(), end })
}

fn faults_struck(ended: &Ended) -> usize {
    ended.lines.iter().filter(|line| matches!(line.event, Event::Struck { .. })).count()
}

/// The bytes of all files below `folder`.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        // It was removed meanwhile.
        Err(_) => 0,
    });
    sizes.sum()
}
