//! Where a reading of files goes on after a restart, and whether they are still those files.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::ahead::{Ahead, Change};
use super::follow::Following;
use super::input_file::InputFile;
use super::open_file::head;
use super::recording::{Played, Reached, Recorder};
use super::seen::{Seen, changed};
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
    /// Those that had not been begun; `None` where nobody looked.
    pub(super) ahead: Option<Ahead>,
}

/// Where to go on in a list of files.
pub(super) struct Continuation {
    pub(super) offset: Offset,
    /// What lies ahead from there on, where it was looked at.
    pub(super) ahead: Option<Ahead>,
    /// Those that are not to be read: ordinals behind the place.
    pub(super) left_out: HashSet<usize>,
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
    let (Reading::Files(InFiles { offset, files, .. }) | Reading::Played(InFiles { offset, files, .. }, _)) =
        Place::from_bytes(state).ok()?.reading
    else {
        return None;
    };
    Some(match files.get(offset.file as usize) {
        Some(file) => format!("{}, byte {}", file.name, offset.at),
        None => format!("behind {}, the last one", files.last()?.name),
    })
}

impl InFiles {
    /// Where it is in `files`, if they are still those; what has not been begun may be another where the run `accepts` that. Where what comes
    /// last is live, files in front of it that were not there at the start are left out; once it has begun, those in front of it are not needed
    /// any more.
    pub(super) fn find(
        &self,
        files: &[InputFile],
        format: &dyn Format,
        accepts: bool,
    ) -> Result<Continuation> {
        let is_feed = files.last().is_some_and(|last| last.regular().is_none());
        if let (true, Some(feed)) = (is_feed, self.current().filter(|current| current.file.is_none())) {
            return self.find_feed(files, feed);
        }
        let done = self.done();
        let (mut at, mut remarks) = (0, Vec::new());
        for (ordinal, was) in self.files.iter().enumerate() {
            while is_feed && files.get(at).is_some_and(|file| *file.name != *was.name) {
                remarks.push(is_late(&files[at].name));
                at += 1;
            }
            let file = files.get(at).ok_or_else(|| changed(&was.name, "is no longer part of the input"))?;
            if *file.name != *was.name {
                return Err(self.displaced(ordinal, file, files));
            }
            check(was, file, ordinal >= done, format)?;
            at += usize::from(ordinal < done);
        }
        let mut found = self.look_ahead(files, at, is_feed, accepts)?;
        remarks.append(&mut found.remarks);
        Ok(Continuation { remarks, ..found })
    }

    /// Goes on with live input that has begun.
    fn find_feed(&self, files: &[InputFile], feed: &Seen) -> Result<Continuation> {
        let at = files.iter().position(|file| *file.name == *feed.name);
        let at = at.ok_or_else(|| changed(&feed.name, "is no longer part of the input"))?;
        let known: HashSet<&str> = self.files[..self.done()].iter().map(|seen| &*seen.name).collect();
        let late = files[..at].iter().filter(|file| !known.contains(&*file.name));
        Ok(Continuation {
            offset: Offset { file: at as u64, ..self.offset },
            ahead: None,
            left_out: HashSet::new(),
            remarks: late.map(|file| is_late(&file.name)).collect(),
        })
    }

    /// Compares what lies ahead of the file `at` of `files` with what lay there.
    fn look_ahead(
        &self,
        files: &[InputFile],
        at: usize,
        is_feed: bool,
        accepts: bool,
    ) -> Result<Continuation> {
        let mut found = Continuation {
            offset: Offset { file: at as u64, ..self.offset },
            ahead: None,
            left_out: HashSet::new(),
            remarks: Vec::new(),
        };
        let Some(before) = &self.ahead else { return Ok(found) };
        let now = Ahead::look(files, Ahead::start(files, at))?;
        for change in before.changes(&now) {
            match change {
                _ if accepts => found.remarks.push(change.remark()),
                Change::New(name, ordinals) if is_feed => {
                    found
                        .remarks
                        .push(format!("{name}: is not read, because it was not there when the run began"));
                    found.left_out.extend(ordinals);
                }
                change => return Err(change.error()),
            }
        }
        found.ahead = Some(now);
        Ok(found)
    }

    /// How many files are done.
    fn done(&self) -> usize {
        (self.offset.file as usize).min(self.files.len())
    }

    /// The one that was being read.
    fn current(&self) -> Option<&Seen> {
        self.files.get(self.done())
    }

    /// That `file` is where the file `ordinal` was.
    fn displaced(&self, ordinal: usize, file: &InputFile, files: &[InputFile]) -> Error {
        let was = &self.files[ordinal].name;
        if files.iter().all(|file| *file.name != **was) {
            return changed(was, "is no longer part of the input");
        }
        if self.files.iter().all(|seen| *seen.name != *file.name) {
            return changed(&file.name, "has come since");
        }
        changed(was, &format!("was file {ordinal} of the input, and now `{}` is", file.name))
    }
}

fn is_late(name: &str) -> String {
    format!("{name}: is not read, because it came when its turn was over")
}

/// Whether `input` is what `seen` was; it may have grown where it `is_open`.
fn check(seen: &Seen, input: &InputFile, is_open: bool, format: &dyn Format) -> Result<()> {
    let path = input.regular();
    // A pipe begins anew, a file goes on: one cannot stand for the other.
    if path.is_some() != seen.file.is_some() {
        return Err(changed(&seen.name, "is another file than it was"));
    }
    let (Some(path), Some(was)) = (path, seen.file) else { return Ok(()) };
    let failed = |error| Error::io("read", &seen.name, &error);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let has_grown = length > was.length;
    let is_same = length >= was.length
        && was.beginning.begins(&file).map_err(failed)?
        && was.before.ends(&file, was.end).map_err(failed)?;
    if !is_same || has_grown && !is_open {
        return Err(changed(&seen.name, "is another file than it was"));
    }
    if has_grown && !is_behind_a_line(&file, was.end, input, format).map_err(failed)? {
        return Err(changed(&seen.name, "has grown in the middle of a record that was read"));
    }
    Ok(())
}

impl Recorder {
    /// Goes on as a run that is over has left it, whose `place` in the input a checkpoint has: it may have been killed before it said that the
    /// recording is complete.
    ///
    /// # Errors
    /// When the place cannot be read, or the recording is another one.
    pub(crate) fn go_on(&self, place: &[u8]) -> Result<()> {
        Place::from_bytes(place)?.recorded.map_or(Ok(()), |reached| self.resume(&reached))
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::super::testing::layout_in;
    use super::super::{FileOptions, OneOrMany};
    use super::*;
    use crate::atomic::Outputs;

    #[test]
    fn files_in_front_of_a_feed_that_were_not_there_are_left_out_and_those_that_were_are_missed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str| std::fs::write(path(name), "t,s,v\n").expect("written");
        let glob = path("*.csv").to_str().expect("UTF-8").to_owned();
        let there = || {
            let path = OneOrMany::Many(vec![glob.clone(), "tcp-listen://127.0.0.1:1".into()]);
            let options = FileOptions { path, ..FileOptions::from("") };
            options.files(&["csv"], &Outputs::default()).expect("files")
        };
        ["a.csv", "c.csv"].into_iter().for_each(write);
        let files = there();
        let first = File::open(path("a.csv")).expect("a file");
        let place = InFiles {
            offset: Offset { file: 0, at: 6, line: 2 },
            files: vec![Seen::file(&files[0].name, &first, Some(6)).expect("seen")],
            ahead: Some(Ahead::look(&files, 0).expect("files").behind(0)),
        };
        let format = layout_in("utf-8", serde_json::json!({})).format;
        let find = || place.find(&there(), &*format, false);
        assert!(find().expect("as it was").remarks.is_empty());
        write("b.csv");
        let found = find().expect("one more");
        assert_eq!(found.left_out.into_iter().collect::<Vec<_>>(), [1]);
        assert!(found.remarks[0].contains("b.csv: is not read"), "{:?}", found.remarks);
        std::fs::remove_file(path("c.csv")).expect("removed");
        let error = find().err().expect("one less");
        assert!(error.message().ends_with("c.csv` is no longer part of the input"), "{error}");
        let found = place.find(&there(), &*format, true).expect("accepted");
        assert_eq!((found.left_out.len(), found.remarks.len()), (0, 2), "{:?}", found.remarks);
    }

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
