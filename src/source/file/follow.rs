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
mod left;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

pub(super) use self::awaited::Awaited;
use self::left::Left;
use super::descriptors;
use super::fingerprint::Fingerprint;
use super::framing::{Half, Layout, MAX_WAITING};
use super::looks::{Looks, PAUSE, REST};
use super::naming::Naming;
use super::options::FileOptions;
use super::packing::is_packed;
use super::paths::{Found, InputFile, Search};
use super::rejoin::Candidates;
use super::tail::{Identity, Look, Seen, Tail, identity};
use super::turns::Turns;
use crate::atomic::Outputs;
use crate::error::{Error, ErrorKind, Result};
use crate::files::Base;
use crate::offset::Sequence;
use crate::source::Input;

/// How long to wait at least, and at most, before it is seen who has grown. Tests do not wait.
const SHORTEST_PAUSE: Duration = if cfg!(test) { Duration::ZERO } else { PAUSE };
const LONGEST_PAUSE: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(100) };

/// How often to look for new files, and for files that have another name.
const SCAN: Duration = Duration::from_millis(200);

/// Files that are let go are remembered, so that they are known if they come back: so many.
const REMEMBERED: usize = 1000;

/// What happened is told at the end, so many times; the rest is counted.
const TOLD: usize = 20;

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

/// Where a follower is, for a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Following {
    open: Vec<Seen>,
    /// Those that were let go.
    gone: Vec<Seen>,
    /// What is still to be set aside of files that are gone.
    missed: Vec<Half>,
}

/// What became of a turn.
struct Turn {
    input: Option<Input>,
    /// Bytes that were read.
    read: usize,
    /// Whether there may be more.
    has_more: bool,
}

/// A file that is not known yet.
struct New {
    /// When it was written to last, when it was made: the order in which those found together are read.
    written: [Option<SystemTime>; 2],
    file: InputFile,
    path: PathBuf,
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

    /// Lets those begin whose time has come: when all that have begun have been read as far as they were when it was found.
    fn begin_files(&mut self) -> Result<()> {
        while let Some(next) = self.tails.get(self.begun) {
            if next.scan > self.noted {
                self.noted = next.scan;
                self.tails[..self.begun].iter_mut().try_for_each(Tail::set_due)?;
                self.done = 0;
            }
            // Whoever is done stays so, and is not asked again.
            while self.tails[..self.begun].get(self.done).is_some_and(Tail::is_done_with_due) {
                self.done += 1;
            }
            if self.done < self.begun {
                break;
            }
            self.tails[self.begun].set_due()?;
            self.turns.queue(self.begun);
            self.begun += 1;
        }
        Ok(())
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

    /// What is worth knowing at the end.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.notes.clone();
        let listed = |paths: &BTreeSet<PathBuf>| {
            let first = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
            let more = paths.len().saturating_sub(1);
            if more == 0 { first } else { format!("{first} and {more} more") }
        };
        if self.more_notes > 0 {
            remarks.push(format!("and {} more of that kind", self.more_notes));
        }
        if !self.packed.is_empty() {
            let packed = listed(&self.packed);
            remarks.push(format!("not followed, because packed files do not grow: {packed}"));
        }
        remarks.extend(Found::remark(&self.own));
        if !self.unnamed.is_empty() {
            let unnamed = listed(&self.unnamed);
            remarks.push(format!("not read, because `sensor_from` does not fit: {unnamed}"));
        }
        if !self.closed.is_empty() {
            remarks.push(format!("not read, because it cannot be opened: {}", listed(&self.closed)));
        }
        remarks.extend(self.remark_of_rest());
        remarks.extend(self.remarks_of_copies());
        remarks
    }

    /// What was copied before it was cut off is read twice where the copy fits too: one file cannot be told from the other by what is in it.
    fn remarks_of_copies(&self) -> Vec<String> {
        let open = self.tails.iter().filter_map(|tail| Some((tail.fingerprint()?, tail.path.clone())));
        let gone = self.gone.values().filter_map(|seen| Some((seen.fingerprint()?, seen.written())));
        let there: Vec<_> = open.chain(gone).collect();
        let copies = self.cut.iter().filter_map(|(beginning, path)| {
            let (_, copy) = there.iter().find(|(other, copy)| other == beginning && copy != path)?;
            Some((copy.display(), path.display()))
        });
        copies
            .map(|(copy, path)| {
                format!("{copy} begins as {path} did before it was cut off: the records of a copy come once more; let `path` fit no copies")
            })
            .collect()
    }

    fn note(&mut self, note: String) {
        match self.notes.len() < TOLD {
            true => self.notes.push(note),
            false => self.more_notes += 1,
        }
    }

    /// Where it is in all files.
    pub(super) fn save(&self) -> Following {
        let gone = self.gone_order.iter().filter_map(|gone| self.gone.get(gone));
        Following {
            open: self.tails.iter().map(Tail::seen).collect(),
            gone: gone.cloned().collect(),
            missed: self.missed.iter().cloned().collect(),
        }
    }

    /// Goes on in all files, under whatever names they have now.
    pub(super) fn restore(&mut self, place: Following) -> Result<()> {
        let there = std::mem::take(&mut self.tails);
        let order: Vec<Identity> = there.iter().map(|tail| tail.identity).collect();
        let mut there: HashMap<Identity, Tail> =
            there.into_iter().map(|tail| (tail.identity, tail)).collect();
        let mut candidates = Candidates::default();
        if let Some(homes) = &mut self.homes {
            let known = place.open.iter().chain(&place.gone).filter_map(Seen::home);
            homes.extend(known);
        }
        self.missed.extend(place.missed);
        for seen in place.open {
            match self.find(&seen, &mut there, &mut candidates)? {
                Some(tail) => {
                    if let Some(half) = seen.half
                        && !tail.has(&half)?
                    {
                        self.missed.push_back(half);
                    }
                    self.tails.push(tail);
                }
                None => {
                    self.missed.extend(seen.half.clone());
                    let path = seen.written();
                    self.note(format!(
                        "{}: the file that was read to byte {} is gone; what was appended to it since is missing",
                        path.display(),
                        seen.offset.at
                    ));
                    self.remember(seen.without_half());
                }
            }
        }
        for seen in place.gone {
            // One that was let go may have come back.
            let back = there.get_mut(&seen.identity);
            if !back.map_or(Ok(false), |tail| tail.go_to(&seen, &self.layout))? {
                self.remember(seen);
            }
        }
        // Those that came since are read from their beginning.
        self.tails.extend(order.iter().filter_map(|identity| there.remove(identity)));
        // All begin again, in their order.
        (self.begun, self.done, self.waiting) = (0, 0, 0);
        self.over.clear();
        self.turns.clear();
        self.looks.clear();
        Ok(())
    }

    /// A file of before, wherever it is now, at its place.
    fn find(
        &mut self,
        seen: &Seen,
        there: &mut HashMap<Identity, Tail>,
        candidates: &mut Candidates,
    ) -> Result<Option<Tail>> {
        if let Some(tail) = there.get_mut(&seen.identity) {
            return Ok(match tail.go_to(seen, &self.layout)? {
                true => there.remove(&seen.identity),
                false => None,
            });
        }
        for path in candidates.of(seen, &self.base) {
            if let Some(mut tail) = self.open_tail(&seen.at(&path), &path)?
                && tail.go_to(seen, &self.layout)?
            {
                return Ok(Some(tail));
            }
        }
        Ok(None)
    }

    /// Looks for new files, and for files that have lost their name.
    fn scan(&mut self) -> Result<()> {
        let start = Instant::now();
        self.scans += 1;
        let (files, is_all) = self.fitting();
        let known: HashMap<Identity, usize> =
            self.tails.iter().enumerate().map(|(at, tail)| (tail.identity, at)).collect();
        let (mut named, mut found) = (HashSet::new(), Vec::new());
        for (file, path) in files {
            // Pipes and whatever else is no file must not be opened.
            let Ok(meta) = path.metadata() else { continue };
            if !meta.is_file() {
                continue;
            }
            // One file may have several names that fit: the first one counts.
            let is_first = named.insert(identity(&meta));
            match known.get(&identity(&meta)) {
                _ if !is_first => {}
                Some(&at) => (self.tails[at].path, self.tails[at].written) = (path, file.written),
                None => {
                    found.push(New { written: [meta.modified().ok(), meta.created().ok()], file, path });
                }
            }
        }
        // What cannot be looked at now has not lost its name.
        let has_lost = |tail: &Tail| is_all && !named.contains(&tail.identity);
        self.tails.iter_mut().for_each(|tail| tail.is_named = !has_lost(tail));
        self.take_up(found)?;
        self.next_scan = Instant::now() + (start.elapsed() * REST).max(SCAN);
        Ok(())
    }

    /// The files that fit, and whether those are all: a folder may not be readable now.
    fn fitting(&mut self) -> (Vec<(InputFile, PathBuf)>, bool) {
        let extensions: Vec<&str> = self.extensions.iter().map(String::as_str).collect();
        let (mut all, mut is_all) = (Vec::new(), true);
        for pattern in &self.patterns {
            let search = Search {
                base: &self.base,
                extensions: &extensions,
                outputs: &self.outputs,
                naming: &self.naming,
                archives: false,
            };
            match search.expand(std::slice::from_ref(pattern)) {
                Ok(found) => {
                    all.extend(found.files.into_iter().filter_map(|file| Some((file.clone(), file.path?))));
                    self.own.extend(found.own);
                    self.unnamed.extend(found.unnamed.into_iter().map(|(path, _)| path));
                }
                // Nothing is there: it may be the next time.
                Err(error) => is_all &= error.kind() == ErrorKind::Unavailable,
            }
        }
        let (packed, plain): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, path)| is_packed(path));
        self.packed.extend(packed.into_iter().map(|(_, path)| path));
        (plain, is_all)
    }

    /// Begins to follow new files, those first that were written to first.
    fn take_up(&mut self, mut found: Vec<New>) -> Result<()> {
        found.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
        for New { file, path, .. } in found {
            let Some(mut tail) = self.open_tail(&file, &path)? else { continue };
            // One that was let go may have come back.
            if let Some(seen) = self.gone.remove(&tail.identity) {
                self.gone_order.retain(|gone| *gone != tail.identity);
                tail.go_to(&seen, &self.layout)?;
            }
            tail.scan = self.scans;
            self.tails.push(tail);
        }
        Ok(())
    }

    /// The file of `input` at `path`, to be read from its beginning; `None` where it cannot be opened, or is gone again.
    fn open_tail(&mut self, input: &InputFile, path: &Path) -> Result<Option<Tail>> {
        // What has taken its place since it was looked at may be a pipe.
        let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if descriptors::are_used_up(&error) => {
                return Err(Error::io("follow", path.display(), &error).with_help(
                    "every file that is followed takes a descriptor: raise the limit with `ulimit -n`",
                ));
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.closed.insert(path.to_owned());
                }
                return Ok(None);
            }
        };
        self.closed.remove(path);
        let meta = file.metadata().map_err(|error| Error::io("look at", path.display(), &error))?;
        if !meta.is_file() {
            return Ok(None);
        }
        Ok(Some(Tail::new(input, path, file, &meta)))
    }

    /// The turn of file `at`, of which `most` bytes may be read.
    fn turn(&mut self, at: usize, most: usize, sequence: Sequence) -> Result<Turn> {
        #[cfg(test)]
        TURNS.set(TURNS.get() + 1);
        if let Some(input) = self.take(at, false, sequence)? {
            return Ok(Turn { input: Some(input), read: 0, has_more: true });
        }
        match self.tails[at].look()? {
            Look::Anew => {
                return Ok(Turn { input: Some(self.begin_anew(at)?), read: 0, has_more: true });
            }
            Look::Grown if !self.tails[at].is_refused => return self.read_on(at, most, sequence),
            Look::Grown | Look::Same => {}
        }
        // Nobody will end its last record any more.
        let tail = &self.tails[at];
        let input = match tail.is_left() && tail.framing.waiting() > 0 {
            true => self.take(at, true, sequence)?,
            false => None,
        };
        Ok(Turn { has_more: input.is_some(), read: 0, input })
    }

    /// Reads what was appended to file `at`, and takes whole records.
    fn read_on(&mut self, at: usize, most: usize, sequence: Sequence) -> Result<Turn> {
        let most = most.min(self.scratch.len());
        let tail = &mut self.tails[at];
        self.waiting -= tail.framing.waiting();
        let read = tail.read_on(&mut self.scratch, most)?;
        self.waiting += tail.framing.waiting();
        let Some(read) = read else {
            return Ok(Turn { input: Some(self.begin_anew(at)?), read: 0, has_more: true });
        };
        let input = self.take(at, false, sequence)?;
        self.make_room(at);
        // A look at the file will say that there is no more.
        Ok(Turn { has_more: read > 0, read, input })
    }

    /// Forgets the longest unfinished records where all together are too much, but not that of file `at`, which is being read.
    fn make_room(&mut self, at: usize) {
        while self.waiting > MAX_WAITING {
            let others = self.tails[..self.begun].iter_mut().enumerate().filter(|(other, _)| *other != at);
            let Some((_, longest)) = others.max_by_key(|(_, tail)| tail.framing.waiting()) else { return };
            if longest.framing.waiting() == 0 {
                return;
            }
            self.waiting -= longest.framing.waiting();
            longest.forget();
        }
    }

    /// Begins file `at` anew, which was cut off or written anew; what had come of a record that never ended is set aside.
    fn begin_anew(&mut self, at: usize) -> Result<Input> {
        let tail = &mut self.tails[at];
        self.waiting -= tail.framing.waiting();
        let rest = tail
            .is_unfinished()
            .then(|| tail.framing.refuse_last("the file was cut off before the record ended", &self.layout));
        self.cut.extend(tail.fingerprint().map(|beginning| (beginning, tail.path.clone())));
        self.cut.truncate(TOLD);
        tail.begin_anew();
        let note = format!("{}: was cut off, and is read from its beginning", tail.path.display());
        self.note(note);
        Ok(rest.unwrap_or(Input::Nothing))
    }

    /// The whole records of file `at` that have been read. One with other columns is set aside, and not read any more.
    fn take(&mut self, at: usize, at_end: bool, sequence: Sequence) -> Result<Option<Input>> {
        let tail = &mut self.tails[at];
        if tail.is_refused {
            return Ok(None);
        }
        let is_new = !tail.framing.has_begun() && tail.framing.waiting() > 0;
        let home = self.homes.as_mut().filter(|_| is_new).map_or(Ok(()), |homes| tail.take_home(homes));
        self.waiting -= tail.framing.waiting();
        let taken = home.and_then(|()| tail.framing.take(&self.layout, at_end, sequence));
        self.waiting += tail.framing.waiting();
        match taken {
            Err(error) if matches!(error.kind(), ErrorKind::Data | ErrorKind::Config) => {
                tail.is_refused = true;
                self.waiting -= tail.framing.waiting();
                let aside = tail.framing.refuse_last(error.message(), &self.layout);
                let note = format!("{}: is not read: {}", tail.path.display(), error.message());
                self.note(note);
                Ok(Some(aside))
            }
            taken => taken,
        }
    }

    /// Lets files go that have been read to their end, and to which nobody writes any more: all at once, for the others have other ordinals
    /// then, and who has something to read is looked for anew.
    fn let_go(&mut self) {
        let over: HashSet<usize> = std::mem::take(&mut self.over).into_iter().collect();
        if over.is_empty() {
            return;
        }
        for (at, tail) in std::mem::take(&mut self.tails).into_iter().enumerate() {
            if over.contains(&at) {
                self.remember(tail.seen());
            } else {
                self.tails.push(tail);
            }
        }
        self.begun -= over.len();
        self.done = 0;
        self.turns.clear();
        self.looks.clear();
    }

    fn remember(&mut self, seen: Seen) {
        self.gone_order.retain(|gone| *gone != seen.identity);
        self.gone_order.push_back(seen.identity);
        self.gone.insert(seen.identity, seen);
        if self.gone_order.len() > REMEMBERED
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }
}
