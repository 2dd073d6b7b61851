//! Followed files: appended data is read as it arrives; new files are read from their beginning.
//!
//! A file is identified by device, inode, creation time and a [`fingerprint`](crate::source::stream::fingerprint) of what was read of it, not by its name.
//! So a renamed file is read to its end and not again under its new name, and a truncated file starts anew. Nothing is mapped, since the
//! writer may truncate a file at any time.
//!
//! Files found together are begun in the order of their modification times, each when those before it have been read up to their length at
//! that moment: so logs that were rotated several times in the meantime are read in the order of their records. Files that have been begun
//! are read [in turns](crate::source::stream::turns), so that a busy file does not starve the others.

mod awaited;
mod gone;
mod input;
mod left;
mod notes;
mod order;
mod place;
mod scan;
mod turn;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use self::awaited::Awaited;
use self::left::Leftovers;
#[cfg(test)]
pub(super) use self::scan::{MEANWHILE, ScanStep};
use self::turn::TurnResult;
use super::looks::{Looks, PAUSE, REST};
use super::naming::Naming;
use super::options::FileOptions;
use super::tail::{Identity, SeenTail, Tail};
use crate::atomic::Outputs;
use crate::error::Result;
use crate::files::Base;
use crate::offset::Sequence;
use crate::source::Input;
use crate::source::stream::fingerprint::Fingerprint;
use crate::source::stream::partial::PartialRecord;
use crate::source::stream::turns::Turns;
use crate::source::stream::{StreamLayout, descriptors};

/// Bounds of the pause between checks for growth. Tests do not wait.
const SHORTEST_PAUSE: Duration = if cfg!(test) { Duration::ZERO } else { PAUSE };
const LONGEST_PAUSE: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(100) };

/// Bytes read from one file per turn.
const TURN: usize = 256 << 10;

/// Maximum bytes read per call without a complete record, so that a stop is noticed.
const SILENT: u64 = 16 * TURN as u64;

#[cfg(test)]
thread_local! {
    /// Counts turns, for tests.
    pub(super) static TURNS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// All files that match some patterns, now and later.
pub(super) struct Follower {
    base: Base,
    patterns: Vec<String>,
    extensions: Vec<String>,
    outputs: Arc<Outputs>,
    naming: Naming,
    layout: StreamLayout,
    /// The first `begun` files are being read; the others wait for their turn to begin.
    tails: Vec<Tail>,
    begun: usize,
    /// The number of begun files that have been read as far as necessary before others may begin.
    done: usize,
    /// The begun files that may have something to read, by ordinal.
    turns: Turns<usize>,
    /// The file that was read last.
    last: usize,
    /// Schedules checks for growth while some files have something to read.
    looks: Looks,
    next_look: Instant,
    /// The number of scans for new files, and the scan after which the lengths of the begun files were last recorded.
    scans: u64,
    noted: u64,
    /// The files to release.
    over: Vec<usize>,
    /// Bytes of incomplete records.
    waiting: usize,
    /// Time of the next scan.
    next_scan: Instant,
    scratch: Vec<u8>,
    bytes: u64,
    /// Released files with the offset up to which each was read, oldest first.
    gone: HashMap<Identity, SeenTail>,
    gone_order: VecDeque<Identity>,
    /// Files that cannot be followed: compressed ones, whose content was read before they were compressed, and ones that cannot be opened.
    packed: BTreeSet<PathBuf>,
    closed: BTreeSet<PathBuf>,
    /// Matching files that this run writes; and matching files without a sensor in their path.
    own: BTreeSet<PathBuf>,
    unnamed: BTreeSet<PathBuf>,
    /// Events for the summary.
    notes: Vec<String>,
    more_notes: u64,
    /// Truncated files, each with the fingerprint of its former beginning.
    cut: Vec<(Fingerprint, PathBuf)>,
    /// What remains when following ends.
    left: Leftovers,
    /// Incomplete records from before a restart that no longer exist in any file.
    missed: VecDeque<PartialRecord>,
    /// The folder of each sensor that is named after files; `None` if sensors are named otherwise or `sensor_from` is given.
    homes: Option<HashMap<Arc<str>, PathBuf>>,
}

impl Follower {
    /// Follows the files that match the paths of `options`, except `outputs`.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub(super) fn open(
        options: &FileOptions,
        extensions: &[&str],
        outputs: Arc<Outputs>,
        layout: StreamLayout,
    ) -> Result<Self> {
        let are_named = layout.format.names_sensors_after_files() && options.sensor_from.is_none();
        let homes = are_named.then(HashMap::new);
        // Every followed file takes a descriptor.
        descriptors::raise_limit();
        let mut follower = Self {
            base: options.base.clone(),
            patterns: options.patterns().to_vec(),
            extensions: extensions.iter().map(|&extension| extension.to_owned()).collect(),
            outputs,
            naming: Naming::parse(options.sensor_from.as_deref())?,
            layout,
            tails: Vec::new(),
            begun: 0,
            done: 0,
            turns: Turns::of(TURN),
            last: 0,
            looks: Looks::every(SHORTEST_PAUSE),
            next_look: Instant::now(),
            scans: 0,
            noted: 0,
            over: Vec::new(),
            waiting: 0,
            next_scan: Instant::now(),
            scratch: vec![0; TURN],
            bytes: 0,
            gone: HashMap::new(),
            gone_order: VecDeque::new(),
            packed: BTreeSet::new(),
            closed: BTreeSet::new(),
            own: BTreeSet::new(),
            unnamed: BTreeSet::new(),
            notes: Vec::new(),
            more_notes: 0,
            cut: Vec::new(),
            left: Leftovers::default(),
            missed: VecDeque::new(),
            homes,
        };
        follower.scan()?;
        Ok(follower)
    }

    /// The next appended data, or [`Input::Nothing`] after a short wait.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn poll(&mut self, sequence: Sequence) -> Result<Input> {
        if let Some(missed) = self.next_missed() {
            return Ok(missed);
        }
        self.release();
        let start = Instant::now();
        if start >= self.next_scan {
            self.scan()?;
        }
        let start = Instant::now();
        if self.turns.is_empty() || start >= self.next_look {
            self.looks.due(self.begun, start).into_iter().for_each(|at| self.turns.queue(at));
            self.next_look = start + PAUSE;
        }
        let before = self.bytes;
        loop {
            self.begin_files()?;
            if self.bytes - before >= SILENT {
                return Ok(Input::Nothing);
            }
            let Some((at, most)) = self.turns.begin() else { break };
            let TurnResult { input, read, has_more } = self.turn(at, most, sequence)?;
            if read > 0 {
                self.bytes += read as u64;
                self.looks.has_grown(at, start);
            }
            self.turns.end(at, most, read, has_more);
            if let Some(input) = input {
                self.last = at;
                return Ok(input);
            }
            let tail = &self.tails[at];
            if !has_more && tail.is_left() && !tail.is_unfinished() {
                self.over.push(at);
            }
        }
        std::thread::sleep((start.elapsed() * REST).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        Ok(Input::Nothing)
    }

    /// Bytes read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of incomplete records in memory.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }
}
