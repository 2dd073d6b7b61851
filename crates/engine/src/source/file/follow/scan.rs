//! Scanning for new files, and for files that were renamed or removed.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Follower;
use crate::error::{Error, ErrorKind, Result};
use crate::source::file::input_file::InputFile;
use crate::source::file::looks::REST;
use crate::source::file::packing::is_packed;
use crate::source::file::paths::PathSearch;
use crate::source::file::tail::{Identity, Tail, identity};
use crate::source::stream::descriptors;

/// Interval between scans.
const SCAN: Duration = Duration::from_millis(200);

/// Maximum number of scans in a row while files keep being renamed.
const LOOKS: usize = 10;

/// Points between which a file may be renamed, for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::file) enum ScanStep {
    /// Between listing a folder and reading each file's metadata.
    Look,
    /// Between that and opening the files.
    Open,
    /// Between locating a file of the checkpoint and opening it.
    Reopen,
}

/// A test's action before a step.
#[cfg(test)]
type Meanwhile = Box<dyn FnMut(ScanStep)>;

#[cfg(test)]
thread_local! {
    /// Runs before each step.
    pub(in crate::source::file) static MEANWHILE: std::cell::RefCell<Option<Meanwhile>> = const { std::cell::RefCell::new(None) };
}

/// Runs the action of a test before a step.
pub(super) fn meanwhile(step: ScanStep) {
    #[cfg(test)]
    MEANWHILE.with_borrow_mut(|act| act.iter_mut().for_each(|act| act(step)));
    #[cfg(not(test))]
    let _ = step;
}

/// A matching file, its path and its metadata.
type Fitting = (InputFile, PathBuf, Metadata);

/// A file that is not known yet.
struct NewFile {
    /// Times of modification and creation: the order in which files found together are read.
    written: [Option<SystemTime>; 2],
    identity: Identity,
    file: InputFile,
    path: PathBuf,
}

impl Follower {
    /// Scans for new files, and for files that lost their name.
    pub(super) fn scan(&mut self) -> Result<()> {
        let start = Instant::now();
        self.scans += 1;
        // A file that is renamed between listing and opening may be missed, and its replacement found instead.
        let mut attempts = 0..LOOKS;
        while attempts.next().is_some() && !self.look(attempts.is_empty())? {}
        self.next_scan = Instant::now() + (start.elapsed() * REST).max(SCAN);
        Ok(())
    }

    /// Scans once and starts to follow new files. Returns whether the opened files are those that were listed, which is ignored if it
    /// `is_last`.
    fn look(&mut self, is_last: bool) -> Result<bool> {
        let known: HashMap<Identity, usize> =
            self.tails.iter().enumerate().map(|(at, tail)| (tail.identity, at)).collect();
        let (files, is_all) = self.settled(&known);
        let (mut named, mut found) = (HashSet::new(), Vec::new());
        for (file, path, meta) in files {
            // A file may match under several names: the first one counts.
            let is_first = named.insert(identity(&meta));
            match known.get(&identity(&meta)) {
                _ if !is_first => {}
                Some(&at) => (self.tails[at].path, self.tails[at].written) = (path, file.written),
                None => {
                    let written = [meta.modified().ok(), meta.created().ok()];
                    found.push(NewFile { written, identity: identity(&meta), file, path });
                }
            }
        }
        // A file that cannot be inspected now has not lost its name.
        let has_lost = |tail: &Tail| is_all && !named.contains(&tail.identity);
        self.tails.iter_mut().for_each(|tail| tail.is_named = !has_lost(tail));
        self.open_found(found, is_last)
    }

    /// The matching files, listed twice if there are new ones. A single listing may miss a file that is being renamed and find its
    /// replacement, which would then begin before records that precede it.
    fn settled(&mut self, known: &HashMap<Identity, usize>) -> (Vec<Fitting>, bool) {
        let seen = |files: &[Fitting]| -> Vec<(PathBuf, Identity)> {
            files.iter().map(|(_, path, meta)| (path.clone(), identity(meta))).collect()
        };
        let mut look = self.fitting();
        for _ in 0..LOOKS {
            if look.0.iter().all(|(_, _, meta)| known.contains_key(&identity(meta))) {
                break;
            }
            let before = std::mem::replace(&mut look, self.fitting());
            if seen(&before.0) == seen(&look.0) {
                break;
            }
        }
        look
    }

    /// The matching files, and whether the list is complete: a folder may be unreadable at the moment.
    fn fitting(&mut self) -> (Vec<Fitting>, bool) {
        let extensions: Vec<&str> = self.extensions.iter().map(String::as_str).collect();
        let (mut all, mut is_all) = (Vec::new(), true);
        for pattern in &self.patterns {
            let search = PathSearch {
                base: &self.base,
                extensions: &extensions,
                outputs: &self.outputs,
                naming: &self.naming,
                archives: false,
                // Addresses are not followed.
                stop: &Arc::default(),
            };
            match search.expand(std::slice::from_ref(pattern)) {
                Ok(found) => {
                    all.extend(found.files.into_iter().filter_map(|file| Some((file.clone(), file.path?))));
                    self.own.extend(found.own);
                    self.unnamed.extend(found.unnamed.into_iter().map(|(path, _)| path));
                }
                // There is nothing yet, but there may be next time.
                Err(error) => is_all &= error.kind() == ErrorKind::Unavailable,
            }
        }
        let (packed, plain): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, path)| is_packed(path));
        self.packed.extend(packed.into_iter().map(|(_, path)| path));
        meanwhile(ScanStep::Look);
        // Pipes and other special files must not be opened.
        let regular = |(file, path): (InputFile, PathBuf)| {
            let meta = path.metadata().ok().filter(Metadata::is_file)?;
            Some((file, path, meta))
        };
        (plain.into_iter().filter_map(regular).collect(), is_all)
    }

    /// Starts to follow new files, least recently modified first; none if one of them has been replaced, unless it `is_last`.
    fn open_found(&mut self, mut found: Vec<NewFile>, is_last: bool) -> Result<bool> {
        found.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
        let mut opened = Vec::with_capacity(found.len());
        meanwhile(ScanStep::Open);
        for NewFile { file, path, identity, .. } in found {
            match self.open_tail(&file, &path)? {
                Some(tail) if is_last || tail.identity == identity => opened.push(tail),
                None if is_last || self.closed.contains(&path) => {}
                _ => return Ok(false),
            }
        }
        for mut tail in opened {
            // A released file may have come back.
            if let Some(seen) = self.gone.remove(&tail.identity) {
                self.gone_order.retain(|gone| *gone != tail.identity);
                tail.seek(&seen, &self.layout)?;
            }
            tail.scan = self.scans;
            self.tails.push(tail);
        }
        Ok(true)
    }

    /// The file of `input` at `path`, to be read from its beginning; `None` if it cannot be opened or was removed.
    pub(super) fn open_tail(&mut self, input: &InputFile, path: &Path) -> Result<Option<Tail>> {
        // The file may have been replaced by a pipe since it was listed.
        let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if descriptors::are_used_up(&error) => {
                return Err(Error::io("follow", path.display(), &error)
                    .with_help("every followed file needs a descriptor: raise the limit with `ulimit -n`"));
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
}
