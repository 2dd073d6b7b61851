//! Files that grow: what is appended is read as it comes; files that appear are read from their beginning.
//!
//! A file is known by device, inode, when it was made and what was read of it ([`fingerprint`](super::fingerprint)), not by its name. So one that was renamed
//! is read to its end and not again under its new name, and one that was cut off and written anew begins anew. Nothing is mapped: whoever
//! writes may cut it off at any time.
//!
//! Files that are found together begin in the order in which they were written to last, each when those before it have been read as far
//! as they were then: so logs which were rotated several times meanwhile come in the order of their records. Those that have begun are
//! read [by turns](super::turns), so that one to which much is written keeps no other waiting.

mod awaited;
mod gone;
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
use self::left::Left;
pub(super) use self::place::Following;
#[cfg(test)]
pub(super) use self::scan::{MEANWHILE, Step};
use self::turn::Turn;
use super::descriptors;
use super::fingerprint::Fingerprint;
use super::framing::{Half, Layout};
use super::looks::{Looks, PAUSE, REST};
use super::naming::Naming;
use super::options::FileOptions;
use super::tail::{Identity, Seen, Tail};
use super::turns::Turns;
use crate::atomic::Outputs;
use crate::error::Result;
use crate::files::Base;
use crate::offset::Sequence;
use crate::source::Input;

/// How long to wait at least, and at most, before it is seen who has grown. Tests do not wait.
const SHORTEST_PAUSE: Duration = if cfg!(test) { Duration::ZERO } else { PAUSE };
const LONGEST_PAUSE: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(100) };

/// Bytes that are read of one file before the next one has its turn.
const TURN: usize = 256 << 10;

/// So many bytes may be read at a time without a whole record among them: whoever asks for one may have to stop.
const SILENT: u64 = 16 * TURN as u64;

#[cfg(test)]
thread_local! {
    /// How many turns there were.
    pub(super) static TURNS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// All files that fit some patterns, now and later.
pub(super) struct Follower {
    base: Base,
    patterns: Vec<String>,
    extensions: Vec<String>,
    outputs: Arc<Outputs>,
    naming: Naming,
    layout: Layout,
    /// The first `begun` are being read; the others wait until they may begin, one after the other.
    tails: Vec<Tail>,
    begun: usize,
    /// Of those that have begun, so many have been read as far as they must be before others begin.
    done: usize,
    /// Of those that have begun, by their ordinal: who may have something to read.
    turns: Turns<usize>,
    /// Which one was read last.
    last: usize,
    /// Whom to look at next, and when, while some have something to read.
    looks: Looks,
    next_look: Instant,
    /// How often new files have been looked for, and at which of these times it was noted how far the begun ones were.
    scans: u64,
    noted: u64,
    /// Those that are to be let go.
    over: Vec<usize>,
    /// Bytes of unfinished records.
    waiting: usize,
    /// When to look for new files again.
    next_scan: Instant,
    scratch: Vec<u8>,
    bytes: u64,
    /// Files that were let go, where each was read to; the oldest first.
    gone: HashMap<Identity, Seen>,
    gone_order: VecDeque<Identity>,
    /// Files that cannot be followed: they are packed, and hold what was read before they were; or they may not be opened.
    packed: BTreeSet<PathBuf>,
    closed: BTreeSet<PathBuf>,
    /// Files that fit and are written by this run; and those in whose path there is no sensor.
    own: BTreeSet<PathBuf>,
    unnamed: BTreeSet<PathBuf>,
    /// What happened, for the summary.
    notes: Vec<String>,
    more_notes: u64,
    /// Files that were cut off, each with what it began with.
    cut: Vec<(Fingerprint, PathBuf)>,
    /// What is left where following ends.
    left: Left,
    /// What had come of records that had not ended before a restart, and that are not there any more.
    missed: VecDeque<Half>,
    /// The folders of the sensors that are named after files; none where they are not, or where an option says how.
    homes: Option<HashMap<Arc<str>, PathBuf>>,
}

impl Follower {
    /// Follows what the paths of `options` fit, but for `outputs`.
    ///
    /// # Errors
    /// When a folder cannot be looked into.
    pub(super) fn open(
        options: &FileOptions,
        extensions: &[&str],
        outputs: Arc<Outputs>,
        layout: Layout,
    ) -> Result<Self> {
        let are_named = layout.format.names_sensors_after_files() && options.sensor_from.is_none();
        let homes = are_named.then(HashMap::new);
        // Every file takes a descriptor.
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
            left: Left::default(),
            missed: VecDeque::new(),
            homes,
        };
        follower.scan()?;
        Ok(follower)
    }

    /// What was appended, or nothing after a while.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn next(&mut self, sequence: Sequence) -> Result<Input> {
        if let Some(missed) = self.next_missed() {
            return Ok(missed);
        }
        self.let_go();
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
            let Turn { input, read, has_more } = self.turn(at, most, sequence)?;
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

    /// The stem of the file that was read last, and what stands before its first record.
    pub(super) fn stream(&self) -> (&str, &[u8]) {
        self.tails.get(self.last).map_or(("", &[]), |tail| tail.framing.stream())
    }

    /// Whether no file is there.
    pub(super) fn is_empty(&self) -> bool {
        self.tails.is_empty()
    }

    /// Bytes that have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of unfinished records that are kept.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Looks for new files with the next piece.
    #[cfg(test)]
    pub(super) fn look_for_files_now(&mut self) {
        self.next_scan = Instant::now();
    }
}
