//! Fingerprints of the input files not begun yet, taken when the run starts. A resumed run must find the same files, or its output would
//! differ from that of an uninterrupted run.

use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::changes::FileChange;
use super::input_file::InputFile;
use super::seen::Seen;
use crate::error::{Error, Result};

/// The files ahead, in order. They are inspected once: a checkpoint opens none of them, and only serializes this.
#[derive(Clone, Debug)]
pub(in crate::source) struct Ahead {
    all: Arc<[FileAhead]>,
    from: usize,
}

/// A file, or an archive with its selected members.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FileAhead {
    seen: Seen,
    members: Option<MembersAhead>,
    /// The ordinals of its files in the input.
    #[serde(skip)]
    ordinals: Range<usize>,
}

/// The selected members of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MembersAhead {
    count: u64,
    /// CRC-32C over their entries in the archive's directory: names, lengths, checksums.
    directory: u32,
}

impl Ahead {
    /// Inspects `files` from ordinal `from` on.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub(in crate::source) fn look(files: &[InputFile], from: usize) -> Result<Self> {
        let mut start = from.min(files.len());
        let mut all = Vec::new();
        for several in files[start..].chunk_by(InputFile::is_beside) {
            all.push(FileAhead::look(several, start)?);
            start += several.len();
        }
        Ok(all.into())
    }

    /// What is ahead while file `at` is being read: a plain file that is being read is no longer ahead, but the rest of an archive is.
    pub(in crate::source) fn behind(&self, at: usize) -> Self {
        let is_passed = |file: &FileAhead| match file.members {
            Some(_) => file.ordinals.end <= at,
            None => file.ordinals.start <= at,
        };
        let from = self.from + self.all[self.from..].partition_point(is_passed);
        Self { all: Arc::clone(&self.all), from }
    }

    /// The ordinal at which the files ahead begin, for a position in file `at` of `files`, which may have been begun: see
    /// [`Ahead::behind`].
    pub(super) fn start(files: &[InputFile], at: usize, is_begun: bool) -> usize {
        match files.get(at) {
            Some(current) if current.member.is_some() => {
                let before = files[..at].iter().rev();
                at - before.take_while(|file| file.is_beside(current)).count()
            }
            Some(_) if is_begun => at + 1,
            _ => at,
        }
    }

    /// The differences between these files and the files that are there `now`.
    pub(super) fn changes(&self, now: &Self) -> Vec<FileChange> {
        let (known, there) = (self.names(), now.names());
        let (mut before, mut now) = (self.left().iter().peekable(), now.left().iter().peekable());
        let mut changes = Vec::new();
        loop {
            match (before.peek(), now.peek()) {
                (None, None) => return changes,
                (Some(was), Some(is)) if was.name() == is.name() => {
                    if (&was.seen, was.members) != (&is.seen, is.members) {
                        changes.push(FileChange::Other(was.name().to_owned()));
                    }
                    before.next();
                    now.next();
                }
                (Some(was), _) if !there.contains(was.name()) => {
                    changes.push(FileChange::Gone(was.name().to_owned()));
                    before.next();
                }
                (_, Some(is)) if !known.contains(is.name()) => {
                    changes.push(FileChange::New(is.name().to_owned(), is.ordinals.clone()));
                    now.next();
                }
                (Some(file), _) | (None, Some(file)) => {
                    changes.push(FileChange::Moved(file.name().to_owned()));
                    return changes;
                }
            }
        }
    }

    fn left(&self) -> &[FileAhead] {
        &self.all[self.from..]
    }

    fn names(&self) -> HashSet<&str> {
        self.left().iter().map(FileAhead::name).collect()
    }
}

impl FileAhead {
    /// One file, or several members of one archive; the first is file `start` of the input.
    fn look(files: &[InputFile], start: usize) -> Result<Self> {
        let (name, path) = (files[0].container(), files[0].regular());
        let seen = match path {
            _ if files[0].remote.is_some() => Seen::of(&files[0])?,
            None => Seen::stream(&name),
            Some(path) => {
                let file = File::open(path).map_err(|error| Error::io("read", &name, &error))?;
                Seen::file(&name, &file, None)?
            }
        };
        Ok(Self { seen, members: MembersAhead::of(files), ordinals: start..start + files.len() })
    }

    fn name(&self) -> &str {
        self.seen.name()
    }
}

impl MembersAhead {
    /// The members among `files`, if they are in an archive.
    fn of(files: &[InputFile]) -> Option<Self> {
        let mut members = files.iter().filter_map(|file| file.member.as_ref()).peekable();
        members.peek()?;
        let (count, directory) =
            members.fold((0, 0), |(count, crc), member| (count + 1, member.add_to_checksum(crc)));
        Some(Self { count, directory })
    }
}

impl From<Vec<FileAhead>> for Ahead {
    fn from(all: Vec<FileAhead>) -> Self {
        Self { all: all.into(), from: 0 }
    }
}

impl Serialize for Ahead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.left().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ahead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<FileAhead>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, names: &[&str]) -> Vec<InputFile> {
        names.iter().map(|name| InputFile::written(&folder.join(name), Path::new(name))).collect()
    }

    #[test]
    fn what_has_changed_is_named_whatever_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        ["a", "b", "c", "d"].iter().for_each(|name| write(name, name));
        let look = |names: &[&str]| Ahead::look(&files(folder.path(), names), 0).expect("there");
        let before = look(&["a", "b", "c"]);
        let bytes = postcard::to_stdvec(&before).expect("bytes");
        let before: Ahead = postcard::from_bytes(&bytes).expect("as it was");
        let changes = |names: &[&str]| before.changes(&look(names));
        assert_eq!(changes(&["a", "b", "c"]), []);
        assert_eq!(changes(&["a", "c"]), [FileChange::Gone("b".into())]);
        assert_eq!(changes(&["a", "b"]), [FileChange::Gone("c".into())]);
        assert_eq!(changes(&["d", "a", "b", "c"]), [FileChange::New("d".into(), 0..1)]);
        assert_eq!(changes(&["a", "b", "c", "d"]), [FileChange::New("d".into(), 3..4)]);
        assert_eq!(
            changes(&["a", "d", "c"]),
            [FileChange::Gone("b".into()), FileChange::New("d".into(), 1..2)]
        );
        assert_eq!(changes(&["b", "a", "c"]), [FileChange::Moved("a".into())]);
        assert_eq!(changes(&["a", "b", "c", "a"]), [FileChange::Moved("a".into())]);
        write("b", "B");
        assert_eq!(changes(&["a", "b", "c"]), [FileChange::Other("b".into())]);
        write("b", "bb");
        assert_eq!(changes(&["a", "b", "c"]), [FileChange::Other("b".into())]);
    }

    #[test]
    fn a_plain_file_that_is_begun_lies_ahead_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["a", "b", "c"];
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), name).expect("written"));
        let files = files(folder.path(), &names);
        let all = Ahead::look(&files, 0).expect("there");
        for at in 0..4 {
            let left: Vec<_> = all.behind(at).left().iter().map(|file| file.name().to_owned()).collect();
            assert_eq!(left, names[names.len().min(at + 1)..]);
            let now = Ahead::look(&files, Ahead::start(&files, at, true)).expect("there");
            assert_eq!(all.behind(at).changes(&now), []);
        }
    }

    #[test]
    fn many_files_take_little_of_a_checkpoint() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a"), "text").expect("written");
        let file = InputFile::written(&folder.path().join("a"), Path::new("a"));
        let all = Ahead::look(&vec![file; 5000], 0).expect("there");
        let bytes = postcard::to_stdvec(&all.behind(0)).expect("bytes");
        assert!(bytes.len() < 5000 * 30, "{} bytes", bytes.len());
    }
}
