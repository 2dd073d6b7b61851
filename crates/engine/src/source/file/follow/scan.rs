//! Looking for new files, and for files that have another name, or none any more.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::Follower;
use crate::error::{Error, ErrorKind, Result};
use crate::source::file::descriptors;
use crate::source::file::input_file::InputFile;
use crate::source::file::looks::REST;
use crate::source::file::packing::is_packed;
use crate::source::file::paths::Search;
use crate::source::file::tail::{Identity, Tail, identity};

/// How often to look for new files, and for files that have another name.
const SCAN: Duration = Duration::from_millis(200);

/// Looks at files that get other names all the time, at most.
const LOOKS: usize = 10;

/// The steps between which a file may get another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::file) enum Step {
    /// From the names of a folder to what the system says of each.
    Look,
    /// From that to opening them.
    Open,
    /// From where a file of before may be to opening it there.
    Reopen,
}

/// What a test does before a step.
#[cfg(test)]
type Meanwhile = Box<dyn FnMut(Step)>;

#[cfg(test)]
thread_local! {
    /// What happens before each step.
    pub(in crate::source::file) static MEANWHILE: std::cell::RefCell<Option<Meanwhile>> = const { std::cell::RefCell::new(None) };
}

/// A step begins: a test may have something happen before.
pub(super) fn meanwhile(step: Step) {
    #[cfg(test)]
    MEANWHILE.with_borrow_mut(|act| act.iter_mut().for_each(|act| act(step)));
    #[cfg(not(test))]
    let _ = step;
}

/// A file that fits, where it is, and what the system says of it.
type Fitting = (InputFile, PathBuf, Metadata);

/// A file that is not known yet.
struct New {
    /// When it was written to last, when it was made: the order in which those found together are read.
    written: [Option<SystemTime>; 2],
    identity: Identity,
    file: InputFile,
    path: PathBuf,
}

impl Follower {
    /// Looks for new files, and for files that have lost their name.
    pub(super) fn scan(&mut self) -> Result<()> {
        let start = Instant::now();
        self.scans += 1;
        // A file that gets another name between a look and its opening may be missed, and the one made under its old name be found in its place.
        let mut attempts = 0..LOOKS;
        while attempts.next().is_some() && !self.look(attempts.is_empty())? {}
        self.next_scan = Instant::now() + (start.elapsed() * REST).max(SCAN);
        Ok(())
    }

    /// Looks once, and takes up what is new; whether what was opened is what was seen, which does not matter where it `is_last`.
    fn look(&mut self, is_last: bool) -> Result<bool> {
        let known: HashMap<Identity, usize> =
            self.tails.iter().enumerate().map(|(at, tail)| (tail.identity, at)).collect();
        let (files, is_all) = self.settled(&known);
        let (mut named, mut found) = (HashSet::new(), Vec::new());
        for (file, path, meta) in files {
            // One file may have several names that fit: the first one counts.
            let is_first = named.insert(identity(&meta));
            match known.get(&identity(&meta)) {
                _ if !is_first => {}
                Some(&at) => (self.tails[at].path, self.tails[at].written) = (path, file.written),
                None => {
                    let written = [meta.modified().ok(), meta.created().ok()];
                    found.push(New { written, identity: identity(&meta), file, path });
                }
            }
        }
        // What cannot be looked at now has not lost its name.
        let has_lost = |tail: &Tail| is_all && !named.contains(&tail.identity);
        self.tails.iter_mut().for_each(|tail| tail.is_named = !has_lost(tail));
        self.take_up(found, is_last)
    }

    /// The files that fit, as two looks in turn have shown them where there are new ones. A file that gets another name during a look may be
    /// missed by it, and the one that is made under its old name be found: that would begin before the records that come first.
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

    /// The files that fit, and whether those are all: a folder may not be readable now.
    fn fitting(&mut self) -> (Vec<Fitting>, bool) {
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
        meanwhile(Step::Look);
        // Pipes and whatever else is no file must not be opened.
        let regular = |(file, path): (InputFile, PathBuf)| {
            let meta = path.metadata().ok().filter(Metadata::is_file)?;
            Some((file, path, meta))
        };
        (plain.into_iter().filter_map(regular).collect(), is_all)
    }

    /// Begins to follow new files, those first that were written to first; none, where one of them is another by now, unless it `is_last`.
    fn take_up(&mut self, mut found: Vec<New>, is_last: bool) -> Result<bool> {
        found.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
        let mut opened = Vec::with_capacity(found.len());
        meanwhile(Step::Open);
        for New { file, path, identity, .. } in found {
            match self.open_tail(&file, &path)? {
                Some(tail) if is_last || tail.identity == identity => opened.push(tail),
                None if is_last || self.closed.contains(&path) => {}
                _ => return Ok(false),
            }
        }
        for mut tail in opened {
            // One that was let go may have come back.
            if let Some(seen) = self.gone.remove(&tail.identity) {
                self.gone_order.retain(|gone| *gone != tail.identity);
                tail.go_to(&seen, &self.layout)?;
            }
            tail.scan = self.scans;
            self.tails.push(tail);
        }
        Ok(true)
    }

    /// The file of `input` at `path`, to be read from its beginning; `None` where it cannot be opened, or is gone again.
    pub(super) fn open_tail(&mut self, input: &InputFile, path: &Path) -> Result<Option<Tail>> {
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
}
