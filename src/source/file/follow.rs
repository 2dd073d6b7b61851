//! Files that grow: what is appended is read as it comes; files that appear are read from their beginning.
//!
//! A file is known by device, inode and first bytes, not by its name. So one that was renamed is read to its end and not again under
//! its new name, and one that was cut off and written anew begins anew. Nothing is mapped: whoever writes may cut it off at any time.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::framing::{Framing, Layout};
use super::paths::{self, InputFile};
use crate::error::{Error, Result};
use crate::offset::{Offset, Sequence};
use crate::source::Input;

/// How long to wait before looking again whether a file has grown.
const PAUSE: Duration = Duration::from_millis(5);

/// How often to look for new files, and for files that have another name.
const SCAN: Duration = Duration::from_millis(200);

/// A file that has lost its name is read on for this long: its writer may not have noticed yet.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes at the beginning of a file that tell it from another with its inode.
const BEGINNING: usize = 1 << 10;

/// Bytes that are read at once.
const READ: usize = 256 << 10;

/// All files that fit some patterns, now and later.
pub(super) struct Follower {
    patterns: Vec<String>,
    extensions: Vec<String>,
    layout: Layout,
    tails: Vec<Tail>,
    /// Whose turn it is.
    turn: usize,
    scanned: Instant,
    scratch: Vec<u8>,
    bytes: u64,
    /// What happened, for the summary.
    notes: Vec<String>,
}

/// One file.
struct Tail {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    /// CRC-32C of the first bytes, and how many those are.
    beginning: (u32, usize),
    framing: Framing,
    /// Where the next read begins.
    at: u64,
    /// When it was seen to have lost its name.
    nameless: Option<Instant>,
}

/// A file as a checkpoint has it.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    path: PathBuf,
    identity: (u64, u64),
    beginning: (u32, usize),
    offset: Offset,
}

impl Follower {
    /// Follows what fits `patterns`.
    ///
    /// # Errors
    /// When a folder cannot be looked into.
    pub(super) fn open(patterns: &[String], extensions: &[&str], layout: Layout) -> Result<Self> {
        let mut follower = Self {
            patterns: patterns.to_vec(),
            extensions: extensions.iter().map(|&extension| extension.to_owned()).collect(),
            layout,
            tails: Vec::new(),
            turn: 0,
            scanned: Instant::now(),
            scratch: vec![0; READ],
            bytes: 0,
            notes: Vec::new(),
        };
        follower.scan()?;
        Ok(follower)
    }

    /// What was appended, or nothing after a while.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn next(&mut self, sequence: Sequence) -> Result<Input> {
        if self.scanned.elapsed() >= SCAN {
            self.scan()?;
        }
        for step in 0..self.tails.len() {
            let at = (self.turn + step) % self.tails.len();
            if let Some(input) = self.read(at, sequence)? {
                // The same one again, so that what was there at the start is read file by file.
                self.turn = at;
                return Ok(input);
            }
        }
        self.turn = 0;
        std::thread::sleep(PAUSE);
        Ok(Input::Nothing)
    }

    /// The stem of the file that was read last, and what stands before its first record.
    pub(super) fn stream(&self) -> (&str, &[u8]) {
        self.tails.get(self.turn).map_or(("", &[]), |tail| tail.framing.stream())
    }

    /// Bytes that have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is worth knowing at the end.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Where it is in all files.
    pub(super) fn save(&self) -> Result<Vec<u8>> {
        let seen = |tail: &Tail| Seen {
            path: tail.path.clone(),
            identity: tail.identity,
            beginning: tail.beginning,
            offset: tail.framing.offset(),
        };
        postcard::to_stdvec(&self.tails.iter().map(seen).collect::<Vec<_>>())
            .map_err(|error| Error::internal(format!("the place in the input cannot be saved: {error}")))
    }

    /// Goes on in all files, under whatever names they have now.
    pub(super) fn restore(&mut self, state: &[u8]) -> Result<()> {
        let seen: Vec<Seen> = postcard::from_bytes(state)
            .map_err(|error| Error::data(format!("the place in the input cannot be read: {error}")))?;
        let mut tails = Vec::new();
        for seen in seen {
            match self.find(&seen)? {
                Some(tail) => tails.push(tail),
                None => self.notes.push(format!(
                    "{}: the file that was read to byte {} is gone; what was appended to it since is missing",
                    seen.path.display(),
                    seen.offset.at
                )),
            }
        }
        // Those that came since are read from their beginning.
        let is_known = |tail: &Tail| tails.iter().any(|known| known.identity == tail.identity);
        self.tails.retain(|tail| !is_known(tail));
        tails.append(&mut self.tails);
        self.tails = tails;
        Ok(())
    }

    /// A file of before, wherever it is in its folder now, at its place.
    fn find(&mut self, seen: &Seen) -> Result<Option<Tail>> {
        let folder = crate::files::folder(&seen.path);
        let others =
            std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        for path in std::iter::once(seen.path.clone()).chain(others) {
            let Ok(file) = File::open(&path) else { continue };
            let Ok(meta) = file.metadata() else { continue };
            if identity(&meta) != seen.identity || meta.len() < seen.offset.at {
                continue;
            }
            let mut tail = self.tail(&path, file, &meta)?;
            if checksum(&tail.file, seen.beginning.1).map_err(|error| tail.failed(&error))? != seen.beginning
            {
                continue;
            }
            tail.go_to(seen.offset, &self.layout)?;
            return Ok(Some(tail));
        }
        Ok(None)
    }

    /// Looks for new files, and for files that have lost their name.
    fn scan(&mut self) -> Result<()> {
        self.scanned = Instant::now();
        let extensions: Vec<&str> = self.extensions.iter().map(String::as_str).collect();
        let mut named = Vec::new();
        for pattern in &self.patterns {
            // A file that is not there may be the next time: it is being renamed, for one.
            for InputFile { path, .. } in
                paths::expand(std::slice::from_ref(pattern), &extensions).unwrap_or_default()
            {
                let Some(path) = path else { continue };
                let Ok(file) = File::open(&path) else { continue };
                let Ok(meta) = file.metadata() else { continue };
                named.push(identity(&meta));
                match self.tails.iter_mut().find(|tail| tail.identity == identity(&meta)) {
                    Some(known) => known.path = path,
                    None if meta.is_file() => {
                        let tail = self.tail(&path, file, &meta)?;
                        self.tails.push(tail);
                    }
                    None => {}
                }
            }
        }
        for tail in &mut self.tails {
            match named.contains(&tail.identity) {
                true => tail.nameless = None,
                false => _ = tail.nameless.get_or_insert_with(Instant::now),
            }
        }
        Ok(())
    }

    fn tail(&self, path: &Path, file: File, meta: &Metadata) -> Result<Tail> {
        let InputFile { name, stem, .. } = InputFile::new(path);
        let framing = Framing::new(name, stem, 0);
        let (path, identity) = (path.to_owned(), identity(meta));
        Ok(Tail { path, file, identity, beginning: (0, 0), framing, at: 0, nameless: None })
    }

    /// Reads on in file `at`; `None` where nothing was appended.
    fn read(&mut self, at: usize, sequence: Sequence) -> Result<Option<Input>> {
        let Self { tails, layout, scratch, bytes, notes, .. } = self;
        let tail = &mut tails[at];
        if let Some(input) = tail.framing.take(layout, false, sequence)? {
            return Ok(Some(input));
        }
        if tail.was_cut_off()? {
            notes.push(format!("{}: was cut off, and is read from its beginning", tail.path.display()));
            let unfinished = tail.framing.waiting() > 0;
            let rest = unfinished
                .then(|| tail.framing.refuse("the file was cut off before the record ended", layout));
            tail.begin_anew();
            if rest.is_some() {
                return Ok(rest);
            }
        }
        loop {
            let read = tail.file.read_at(scratch, tail.at).map_err(|error| tail.failed(&error))?;
            if read == 0 {
                break;
            }
            (tail.at, *bytes) = (tail.at + read as u64, *bytes + read as u64);
            tail.framing.push(&scratch[..read]);
            tail.know()?;
            if let Some(input) = tail.framing.take(layout, false, sequence)? {
                return Ok(Some(input));
            }
        }
        if tail.nameless.is_some_and(|since| since.elapsed() >= GRACE) {
            // Nobody will end its last record any more; the next time there is nothing left, and it goes.
            if tail.framing.waiting() > 0 {
                return tail.framing.take(layout, true, sequence);
            }
            tails.remove(at);
            return Ok(Some(Input::Nothing));
        }
        Ok(None)
    }
}

impl Tail {
    /// Whether it is shorter than what was read, or begins otherwise.
    fn was_cut_off(&self) -> Result<bool> {
        let size = self.file.metadata().map_err(|error| self.failed(&error))?.len();
        if size < self.at {
            return Ok(true);
        }
        // Where nothing was appended, nothing was written anew beyond what is known.
        Ok(size > self.at && self.begins_otherwise()?)
    }

    fn begins_otherwise(&self) -> Result<bool> {
        let found = checksum(&self.file, self.beginning.1).map_err(|error| self.failed(&error))?;
        Ok(found != self.beginning)
    }

    /// Remembers the first bytes, as long as more of them come.
    fn know(&mut self) -> Result<()> {
        if self.beginning.1 < BEGINNING {
            let length = BEGINNING.min(self.at as usize);
            self.beginning = checksum(&self.file, length).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        let InputFile { name, stem, .. } = InputFile::new(&self.path);
        self.framing = Framing::new(name, stem, 0);
        (self.at, self.beginning) = (0, (0, 0));
    }

    /// Goes to where a checkpoint has left it.
    fn go_to(&mut self, offset: Offset, layout: &Layout) -> Result<()> {
        if offset.at > 0 {
            let mut head = vec![0; super::HEAD.min(offset.at as usize)];
            self.file.read_exact_at(&mut head, 0).map_err(|error| self.failed(&error))?;
            self.framing.begin_at(offset, &head, layout)?;
        }
        self.at = offset.at;
        self.know()
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::io("read", self.path.display(), error)
    }
}

fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// CRC-32C of the first `length` bytes of a file, and how many there are.
fn checksum(file: &File, length: usize) -> io::Result<(u32, usize)> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok((crc32c::crc32c(&bytes[..filled]), filled))
}
