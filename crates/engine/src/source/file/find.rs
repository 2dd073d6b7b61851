//! Locating the position of a checkpoint among the current files, and checking that they have not changed.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::ahead::Ahead;
use super::changes::FileChange;
use super::input_file::InputFile;
use super::open_file::head;
use super::position::InFiles;
use super::seen::{Seen, changed};
use crate::error::{Error, Result};
use crate::format::Format;
use crate::offset::Offset;
use crate::source::Changes;

/// Where to resume in a list of files.
pub(in crate::source) struct Continuation {
    /// The current files in the order of reading: those that were read, the one being read, the others.
    pub(in crate::source) files: Vec<InputFile>,
    /// The file to resume in, as an index into `files`, and the offset in it.
    pub(in crate::source) offset: Offset,
    /// The files that were read, for the next checkpoint.
    pub(in crate::source) read: Vec<Seen>,
    /// The files ahead from there on, if they were inspected.
    pub(in crate::source) ahead: Option<Ahead>,
    pub(in crate::source) remarks: Vec<String>,
}

/// Searches for the files of a checkpoint among the current files.
struct ResumeSearch<'a> {
    files: &'a [InputFile],
    /// The format of their lines; `None` for files that are complete when they are begun.
    format: Option<&'a dyn Format>,
    changes: Changes,
    /// Ordinals of files not matched yet, by name; for a file that is listed several times, the first ordinal is last.
    left: HashMap<&'a str, Vec<usize>>,
    /// Ordinals of matched files, in the order of the checkpoint.
    order: Vec<usize>,
    /// The matched file whose name sorts last.
    passed: Option<usize>,
    read: Vec<Seen>,
    remarks: Vec<String>,
}

impl InFiles {
    /// Locates the position in `files`, checking that they are the same. If `changes` are accepted, the run resumes with the current files,
    /// but never within a replaced file; a new file whose name sorts before the position is read next. If the last input is live, new files
    /// before it are skipped unless accepted; once the live input has begun, the files before it are not needed.
    pub(in crate::source) fn find(
        &self,
        files: &[InputFile],
        format: Option<&dyn Format>,
        changes: Changes,
    ) -> Result<Continuation> {
        let is_feed = files.last().is_some_and(|last| !last.is_at_rest());
        if let (true, Some(feed)) = (is_feed, self.current().filter(|current| current.file.is_none())) {
            return self.find_feed(files, feed);
        }
        let mut search = ResumeSearch::among(files, format, changes);
        self.files[..self.done()].iter().try_for_each(|was| search.take_read(was))?;
        let at = search.order.len();
        let is_begun = self.current().map_or(Ok(false), |was| search.take_open(was, self.offset.at))?;
        let mut files = search.take_others();
        let look = |files: &[InputFile]| Ahead::look(files, Ahead::start(files, at, is_begun));
        let mut ahead = None;
        if let Some(before) = &self.ahead {
            let now = look(&files)?;
            let left_out = search.compare(before, &now, is_feed)?;
            let mut ordinals = 0..;
            files.retain(|_| ordinals.next().is_none_or(|at| !left_out.contains(&at)));
            ahead = Some(if left_out.is_empty() { now } else { look(&files)? });
        }
        let (place, line) = if is_begun { (self.offset.at, self.offset.line) } else { (0, 1) };
        let offset = Offset { file: at as u64, at: place, line };
        Ok(Continuation { files, offset, read: search.read, ahead, remarks: search.remarks })
    }

    /// Resumes a live input that has begun.
    fn find_feed(&self, files: &[InputFile], feed: &Seen) -> Result<Continuation> {
        let at = files.iter().position(|file| *file.name == *feed.name);
        let at = at.ok_or_else(|| changed(&feed.name, "is no longer part of the input"))?;
        let read = self.files[..self.done()].to_vec();
        let known: HashSet<&str> = read.iter().map(Seen::name).collect();
        let late = files[..at].iter().filter(|file| !known.contains(&*file.name));
        let remarks = late.map(|file| is_late(&file.name)).collect();
        let offset = Offset { file: at as u64, ..self.offset };
        Ok(Continuation { files: files.to_vec(), offset, read, ahead: None, remarks })
    }

    /// The number of files that are done.
    fn done(&self) -> usize {
        (self.offset.file as usize).min(self.files.len())
    }

    /// The file that was being read.
    fn current(&self) -> Option<&Seen> {
        self.files.get(self.done())
    }
}

impl<'a> ResumeSearch<'a> {
    fn among(files: &'a [InputFile], format: Option<&'a dyn Format>, changes: Changes) -> Self {
        let mut left: HashMap<&str, Vec<usize>> = HashMap::new();
        for (ordinal, file) in files.iter().enumerate().rev() {
            left.entry(&file.name).or_default().push(ordinal);
        }
        let (order, read, remarks) = (Vec::new(), Vec::new(), Vec::new());
        Self { files, format, changes, left, order, passed: None, read, remarks }
    }

    /// Matches a file that was read.
    fn take_read(&mut self, was: &Seen) -> Result<()> {
        let seen = match self.take(&was.name) {
            Some(file) if difference(was, file, false, self.format)?.is_none() => was.clone(),
            Some(file) => {
                self.note(&FileChange::ReadOther(was.name.clone()))?;
                Seen::of(file)?
            }
            // A pipe that was read is not needed any more; nor is a file that was missing before.
            None if was.file.is_none() => was.clone(),
            None => {
                self.note(&FileChange::ReadGone(was.name.clone()))?;
                Seen::stream(&was.name)
            }
        };
        self.read.push(seen);
        Ok(())
    }

    /// Matches the file that was read up to byte `at`; returns whether it exists.
    fn take_open(&mut self, was: &Seen, at: u64) -> Result<bool> {
        let Some(file) = self.take(&was.name) else {
            let is_read = was.file.is_some_and(|file| file.length == at);
            self.note(&if is_read {
                FileChange::ReadGone(was.name.clone())
            } else {
                FileChange::OpenGone(was.name.clone(), at)
            })?;
            self.read.push(Seen::stream(&was.name));
            return Ok(false);
        };
        let Some(what) = difference(was, file, true, self.format)? else { return Ok(true) };
        Err(changed(&was.name, what).with_help(
            "its position is lost: restore the original; or move it away and give `--accept changes` to skip the rest of it, or start a new run with another --state",
        ))
    }

    fn take(&mut self, name: &str) -> Option<&'a InputFile> {
        let ordinal = self.left.get_mut(name)?.pop()?;
        self.order.push(ordinal);
        Some(&self.files[ordinal])
    }

    /// All files in the order of reading: the matched ones, the rest of the archive of the last one, the others.
    fn take_others(&mut self) -> Vec<InputFile> {
        self.passed = self.order.iter().copied().max();
        let found: HashSet<_> = self.order.iter().copied().collect();
        let others = (0..self.files.len()).filter(|ordinal| !found.contains(ordinal));
        let last = self.order.last().map(|&last| &self.files[last]);
        let (beside, others): (Vec<_>, Vec<_>) =
            others.partition(|&other| last.is_some_and(|last| last.is_beside(&self.files[other])));
        self.order.extend(beside.into_iter().chain(others));
        self.order.iter().map(|&ordinal| self.files[ordinal].clone()).collect()
    }

    /// Compares what is ahead `now` with what was ahead `before`; returns the files to skip, because they are new and come before a live
    /// input.
    fn compare(&mut self, before: &Ahead, now: &Ahead, is_feed: bool) -> Result<HashSet<usize>> {
        let mut left_out = HashSet::new();
        for change in before.changes(now) {
            let FileChange::New(name, which) = change else {
                self.note(&change)?;
                continue;
            };
            let is_behind = self.order.get(which.start).copied() < self.passed;
            match (is_feed && self.changes == Changes::Refused, is_behind) {
                (true, _) => {
                    self.remarks.push(if is_behind { is_late(&name) } else { is_new(&name) });
                    left_out.extend(which);
                }
                (false, true) => self.note(&FileChange::Behind(name))?,
                (false, false) => self.note(&FileChange::New(name, which))?,
            }
        }
        Ok(left_out)
    }

    /// Records a change.
    fn note(&mut self, change: &FileChange) -> Result<()> {
        if self.changes != Changes::Accepted {
            return Err(change.error(self.changes));
        }
        self.remarks.push(change.remark());
        Ok(())
    }
}

fn is_late(name: &str) -> String {
    format!("{name}: is not read, because it is new and its turn is over")
}

fn is_new(name: &str) -> String {
    format!("{name}: is not read, because it did not exist when the run began")
}

/// How `input` differs from `seen`, if it does; it may have grown if it `is_open`.
fn difference(
    seen: &Seen,
    input: &InputFile,
    is_open: bool,
    format: Option<&dyn Format>,
) -> Result<Option<&'static str>> {
    const ANOTHER: Option<&str> = Some("is a different file than at the checkpoint");
    if let (Some(remote), Some(was)) = (&input.remote, seen.file) {
        let is_same = Seen::remote(&seen.name, remote, Some(was.end)).file == Some(was);
        return Ok(if is_same { None } else { ANOTHER });
    }
    let path = input.regular();
    // A pipe starts anew, a file resumes: one cannot replace the other.
    if path.is_some() != seen.file.is_some() {
        return Ok(ANOTHER);
    }
    let (Some(path), Some(was)) = (path, seen.file) else { return Ok(None) };
    let failed = |error| Error::io("read", &seen.name, &error);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let has_grown = length > was.length;
    let is_same = length >= was.length
        && was.beginning.begins(&file).map_err(failed)?
        && was.before.ends(&file, was.end).map_err(failed)?;
    if !is_same || has_grown && !is_open {
        return Ok(ANOTHER);
    }
    let Some(format) = format else { return Ok(if has_grown { ANOTHER } else { None }) };
    if has_grown && !is_behind_a_line(&file, was.end, input, format).map_err(failed)? {
        return Ok(Some("has grown in the middle of a record that was read"));
    }
    Ok(None)
}

/// Whether a file that has grown has a complete line before `place`: its last line may not have ended at the checkpoint. Compressed files
/// do not grow.
fn is_behind_a_line(
    file: &File,
    place: u64,
    input: &InputFile,
    format: &dyn Format,
) -> std::io::Result<bool> {
    // A byte order mark gives the width of characters.
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

    use super::super::{FileOptions, OneOrMany};
    use super::*;
    use crate::atomic::Outputs;
    use crate::source::stream::testing::layout_in;

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
        let find = || place.find(&there(), Some(&*format), Changes::Refused);
        assert!(find().expect("as it was").remarks.is_empty());
        write("b.csv");
        let found = find().expect("one more");
        let names = |found: &Continuation| -> Vec<_> {
            let files = found.files.iter().filter_map(|file| file.path.as_ref()?.file_name());
            files.map(|name| name.to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(&found), ["a.csv", "c.csv"]);
        assert!(found.remarks[0].contains("b.csv: is not read"), "{:?}", found.remarks);
        std::fs::remove_file(path("c.csv")).expect("removed");
        let error = find().err().expect("one less");
        assert!(error.message().ends_with("c.csv` is no longer part of the input"), "{error}");
        let found = place.find(&there(), Some(&*format), Changes::Accepted).expect("accepted");
        assert_eq!(
            (names(&found), found.remarks.len()),
            (vec!["a.csv".into(), "b.csv".into()], 2),
            "{:?}",
            found.remarks
        );
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
