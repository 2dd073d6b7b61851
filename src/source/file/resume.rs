//! Where a reading of files goes on after a restart, and whether they are still those files.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::follow::Following;
use super::open_file::head;
use super::paths::InputFile;
use super::recording::{Played, Reached};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::format::Format;
use crate::offset::Offset;

/// The place in an input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    /// Its columns, for one that is not there when the run goes on.
    fields: Vec<Field>,
    pub(super) reading: Reading,
    /// How far the recording reached that was made of it.
    pub(super) recorded: Option<Reached>,
}

/// The place by how the input is read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reading {
    /// Files, one after the other.
    Files(InFiles),
    /// Files that grow.
    Growing(Following),
    /// A recording, and where in it.
    Played(InFiles, Played),
}

/// A place in a list of files, and what they looked like.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InFiles {
    /// Its file is an ordinal among `files`.
    pub(super) offset: Offset,
    /// Those that were read, wholly or, the last one, in part.
    pub(super) files: Vec<Seen>,
}

/// A file that has been read, and how far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    name: String,
    /// `None` for what is no regular file.
    file: Option<SeenFile>,
}

/// A regular file that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeenFile {
    length: u64,
    beginning: Fingerprint,
    /// Where what was read of it ends: of a packed file, always at its end.
    end: u64,
    /// Of the bytes before that.
    before: Fingerprint,
}

/// Where to go on in a list of files.
pub(super) struct Continuation {
    pub(super) offset: Offset,
    pub(super) remarks: Vec<String>,
}

impl Place {
    pub(super) fn new(schema: &Schema, reading: Reading) -> Self {
        Self { fields: schema.fields().to_vec(), reading, recorded: None }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self)
            .map_err(|error| Error::internal(format!("the place in the input cannot be saved: {error}")))
    }

    pub(super) fn from_bytes(state: &[u8]) -> Result<Self> {
        postcard::from_bytes(state)
            .map_err(|error| Error::data(format!("the place in the input cannot be read: {error}")))
    }

    /// The columns of the input.
    pub(super) fn schema(&self) -> Result<Schema> {
        Schema::new(self.fields.clone())
    }
}

/// The place that `state` says, for people.
pub(in crate::source) fn place(state: &[u8]) -> Option<String> {
    let (Reading::Files(InFiles { offset, files }) | Reading::Played(InFiles { offset, files }, _)) =
        Place::from_bytes(state).ok()?.reading
    else {
        return None;
    };
    Some(match files.get(offset.file as usize) {
        Some(file) => format!("{}, byte {}", file.name, offset.at),
        None => format!("behind {}, the last one", files.last()?.name),
    })
}

impl Seen {
    /// What is no regular file.
    pub(super) fn stream(name: &str) -> Self {
        Self { name: name.to_owned(), file: None }
    }

    /// The regular file `name`, of which everything before `end` was read; of all of it where `None`.
    pub(super) fn file(name: &str, file: &File, end: Option<u64>) -> Result<Self> {
        let failed = |error| Error::io("look at", name, &error);
        let length = file.metadata().map_err(failed)?.len();
        let end = end.unwrap_or(length).min(length);
        let beginning = Fingerprint::of_beginning(file).map_err(failed)?;
        let before = Fingerprint::before(file, end).map_err(failed)?;
        Ok(Self { name: name.to_owned(), file: Some(SeenFile { length, beginning, end, before }) })
    }

    /// Whether `input` is what this was; it may have grown where it `is_open`.
    fn check(&self, input: &InputFile, is_open: bool, format: &dyn Format) -> Result<()> {
        let path = input.regular();
        // A pipe begins anew, a file goes on: one cannot stand for the other.
        if path.is_some() != self.file.is_some() {
            return Err(changed(&self.name, "is another file than it was"));
        }
        let (Some(path), Some(was)) = (path, self.file) else { return Ok(()) };
        let failed = |error| Error::io("read", &self.name, &error);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let has_grown = length > was.length;
        let is_same = length >= was.length
            && was.beginning.begins(&file).map_err(failed)?
            && was.before.ends(&file, was.end).map_err(failed)?;
        if !is_same || has_grown && !is_open {
            return Err(changed(&self.name, "is another file than it was"));
        }
        if has_grown && !is_behind_a_line(&file, was.end, input, format).map_err(failed)? {
            return Err(changed(&self.name, "has grown in the middle of a record that was read"));
        }
        Ok(())
    }
}

impl InFiles {
    /// Where it is in `files`, if they are still those. Where what comes last is live, files in front of it that came too late for their
    /// turn are left out; once it has begun, those in front of it are not needed any more.
    pub(super) fn find(&self, files: &[InputFile], format: &dyn Format) -> Result<Continuation> {
        let done = (self.offset.file as usize).min(self.files.len());
        let (read, current) = self.files.split_at(done);
        let is_feed = files.last().is_some_and(|last| last.regular().is_none());
        let mut remarks = Vec::new();
        let mut late = |file: &InputFile| {
            remarks.push(format!("{}: is not read, because it came when its turn was over", file.name));
        };
        // Live input that has begun.
        if let (true, Some(feed)) = (is_feed, current.first().filter(|current| current.file.is_none())) {
            let at = files.iter().position(|file| *file.name == *feed.name);
            let at = at.ok_or_else(|| changed(&feed.name, "is no longer part of the input"))?;
            let known: HashSet<&str> = read.iter().map(|seen| &*seen.name).collect();
            files[..at].iter().filter(|file| !known.contains(&*file.name)).for_each(late);
            return Ok(Continuation { offset: Offset { file: at as u64, ..self.offset }, remarks });
        }
        let mut at = 0;
        for (ordinal, was) in self.files.iter().enumerate() {
            while is_feed && files.get(at).is_some_and(|file| *file.name != *was.name) {
                late(&files[at]);
                at += 1;
            }
            let file = files.get(at).ok_or_else(|| changed(&was.name, "is no longer part of the input"))?;
            if *file.name != *was.name {
                let what = format!("was file {ordinal} of the input, and now `{}` is", file.name);
                return Err(changed(&was.name, &what));
            }
            was.check(file, ordinal >= done, format)?;
            at += usize::from(ordinal < done);
        }
        Ok(Continuation { offset: Offset { file: at as u64, ..self.offset }, remarks })
    }
}

/// Whether a file that has grown has a whole line before `place`: its last one may have had no end yet. Packed files do not grow.
fn is_behind_a_line(
    file: &File,
    place: u64,
    input: &InputFile,
    format: &dyn Format,
) -> std::io::Result<bool> {
    // A byte order mark says how wide characters are.
    let mut mark = [0; 4];
    let mark = &mut mark[..place.min(4) as usize];
    file.read_exact_at(mark, 0)?;
    let lines = format.line_format(head(input, mark, true));
    let mut end = vec![0; place.min(lines.unit() as u64) as usize];
    let start = place - end.len() as u64;
    file.read_exact_at(&mut end, start)?;
    Ok(place == 0 || lines.ends_line(&end))
}

fn changed(name: &str, what: &str) -> Error {
    Error::data(format!("the input is not what it was at the checkpoint: `{name}` {what}"))
        .with_help("bring back the files as they were, or start anew with another --state")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::super::testing::layout_in;
    use super::*;

    #[test]
    fn a_line_ends_where_its_encoding_says_so() {
        let is_line_end = |encoding: &str, bytes: &[u8]| {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(bytes).expect("written");
            let format = layout_in(encoding, serde_json::json!({})).format;
            is_behind_a_line(&file, bytes.len() as u64, &InputFile::new(Path::new("a")), &*format)
                .expect("readable")
        };
        let ends: [&[u8]; 5] = [b"", b"a\n", b"a\r", b"\xff\xfea\0\n\0", b"\xfe\xff\0a\0\n"];
        assert!(ends.into_iter().all(|bytes| is_line_end("utf-8", bytes)));
        let opens: [&[u8]; 4] = [b"a", b"a\n\0", b"\xff\xfea\0\n", b"\xff\xfe\n\x01"];
        assert!(!opens.into_iter().any(|bytes| is_line_end("utf-8", bytes)));
        assert!(is_line_end("utf-16le", b"a\0\r\0") && is_line_end("utf-16be", b"\0a\0\n"));
        assert!(!is_line_end("utf-16le", b"a\0\x0a\x0a") && !is_line_end("utf-16be", b"\0a\x0a\x0a"));
    }
}
