//! Where the place of a checkpoint is among the files that are there now, and whether they are still those files.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::ahead::Ahead;
use super::changes::Change;
use super::input_file::InputFile;
use super::open_file::head;
use super::resume::InFiles;
use super::seen::{Seen, changed};
use crate::error::{Error, Result};
use crate::format::Format;
use crate::offset::Offset;
use crate::source::Changes;

/// Where to go on in a list of files.
pub(in crate::source) struct Continuation {
    /// Those that are there, in the order in which they are read: those that were, the one that was being read, the others.
    pub(in crate::source) files: Vec<InputFile>,
    /// Which of them to go on in.
    pub(in crate::source) at: usize,
    /// The place in that.
    pub(in crate::source) offset: Offset,
    /// Those that were read, as the next checkpoint has them.
    pub(in crate::source) read: Vec<Seen>,
    /// What lies ahead from there on, where it was looked at.
    pub(in crate::source) ahead: Option<Ahead>,
    pub(in crate::source) remarks: Vec<String>,
}

/// Looks for the files of a checkpoint among those that are there.
struct Search<'a> {
    files: &'a [InputFile],
    /// That of the lines in them; `None` for files that are complete when they are begun.
    format: Option<&'a dyn Format>,
    changes: Changes,
    /// Ordinals of those that were not found yet, by their names: of one that is named several times, the first is the last.
    left: HashMap<&'a str, Vec<usize>>,
    /// Ordinals of those that were found, in the order of the checkpoint.
    order: Vec<usize>,
    /// The last of them in the order of the names.
    passed: Option<usize>,
    read: Vec<Seen>,
    remarks: Vec<String>,
}

impl InFiles {
    /// Where it is in `files`, if they are still those. Where `changes` are accepted, the run goes on with what is there, but not within a file
    /// that is another by now; what has come with a name that sorts before the place is read next. Where what comes last is live, files in
    /// front of it that were not there at the start are left out, unless they are accepted; once it has begun, those in front of it are not
    /// needed any more.
    pub(in crate::source) fn find(
        &self,
        files: &[InputFile],
        format: Option<&dyn Format>,
        changes: Changes,
    ) -> Result<Continuation> {
        let is_feed = files.last().is_some_and(|last| last.regular().is_none());
        if let (true, Some(feed)) = (is_feed, self.current().filter(|current| current.file.is_none())) {
            return self.find_feed(files, feed);
        }
        let mut search = Search::among(files, format, changes);
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
        Ok(Continuation { files, at, offset, read: search.read, ahead, remarks: search.remarks })
    }

    /// Goes on with live input that has begun.
    fn find_feed(&self, files: &[InputFile], feed: &Seen) -> Result<Continuation> {
        let at = files.iter().position(|file| *file.name == *feed.name);
        let at = at.ok_or_else(|| changed(&feed.name, "is no longer part of the input"))?;
        let read = self.files[..self.done()].to_vec();
        let known: HashSet<&str> = read.iter().map(Seen::name).collect();
        let late = files[..at].iter().filter(|file| !known.contains(&*file.name));
        let remarks = late.map(|file| is_late(&file.name)).collect();
        let offset = Offset { file: at as u64, ..self.offset };
        Ok(Continuation { files: files.to_vec(), at, offset, read, ahead: None, remarks })
    }

    /// How many files are done.
    fn done(&self) -> usize {
        (self.offset.file as usize).min(self.files.len())
    }

    /// The one that was being read.
    fn current(&self) -> Option<&Seen> {
        self.files.get(self.done())
    }
}

impl<'a> Search<'a> {
    fn among(files: &'a [InputFile], format: Option<&'a dyn Format>, changes: Changes) -> Self {
        let mut left: HashMap<&str, Vec<usize>> = HashMap::new();
        for (ordinal, file) in files.iter().enumerate().rev() {
            left.entry(&file.name).or_default().push(ordinal);
        }
        let (order, read, remarks) = (Vec::new(), Vec::new(), Vec::new());
        Self { files, format, changes, left, order, passed: None, read, remarks }
    }

    /// Finds one that was read.
    fn take_read(&mut self, was: &Seen) -> Result<()> {
        let seen = match self.take(&was.name) {
            Some(file) if difference(was, file, false, self.format)?.is_none() => was.clone(),
            Some(file) => {
                self.note(&Change::ReadOther(was.name.clone()))?;
                Seen::of(file)?
            }
            // A pipe that was read is needed no more; nor is a file that was missed already.
            None if was.file.is_none() => was.clone(),
            None => {
                self.note(&Change::ReadGone(was.name.clone()))?;
                Seen::stream(&was.name)
            }
        };
        self.read.push(seen);
        Ok(())
    }

    /// Finds the one that was read up to byte `at`; whether it is there.
    fn take_open(&mut self, was: &Seen, at: u64) -> Result<bool> {
        let Some(file) = self.take(&was.name) else {
            let is_read = was.file.is_some_and(|file| file.length == at);
            self.note(&if is_read {
                Change::ReadGone(was.name.clone())
            } else {
                Change::OpenGone(was.name.clone(), at)
            })?;
            self.read.push(Seen::stream(&was.name));
            return Ok(false);
        };
        let Some(what) = difference(was, file, true, self.format)? else { return Ok(true) };
        Err(changed(&was.name, what).with_help(
            "its place is lost: bring it back as it was; or move it away and give `--accept changes` to leave out the rest of it, or start anew with another --state",
        ))
    }

    fn take(&mut self, name: &str) -> Option<&'a InputFile> {
        let ordinal = self.left.get_mut(name)?.pop()?;
        self.order.push(ordinal);
        Some(&self.files[ordinal])
    }

    /// All files in the order in which they are read: those that were found, what is left of the archive that the last of them is in, the others.
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

    /// Compares what lies ahead `now` with what lay there `before`; gives which of all files are to be left out, because they have come in
    /// front of a feed.
    fn compare(&mut self, before: &Ahead, now: &Ahead, is_feed: bool) -> Result<HashSet<usize>> {
        let mut left_out = HashSet::new();
        for change in before.changes(now) {
            let Change::New(name, which) = change else {
                self.note(&change)?;
                continue;
            };
            let is_behind = self.order.get(which.start).copied() < self.passed;
            match (is_feed && self.changes == Changes::Refused, is_behind) {
                (true, _) => {
                    self.remarks.push(if is_behind { is_late(&name) } else { is_new(&name) });
                    left_out.extend(which);
                }
                (false, true) => self.note(&Change::Behind(name))?,
                (false, false) => self.note(&Change::New(name, which))?,
            }
        }
        Ok(left_out)
    }

    /// Takes note of what has changed.
    fn note(&mut self, change: &Change) -> Result<()> {
        if self.changes != Changes::Accepted {
            return Err(change.error(self.changes));
        }
        self.remarks.push(change.remark());
        Ok(())
    }
}

fn is_late(name: &str) -> String {
    format!("{name}: is not read, because it came when its turn was over")
}

fn is_new(name: &str) -> String {
    format!("{name}: is not read, because it was not there when the run began")
}

/// What makes `input` another file than `seen` was, if anything does; it may have grown where it `is_open`.
fn difference(
    seen: &Seen,
    input: &InputFile,
    is_open: bool,
    format: Option<&dyn Format>,
) -> Result<Option<&'static str>> {
    const ANOTHER: Option<&str> = Some("is another file than it was");
    let path = input.regular();
    // A pipe begins anew, a file goes on: one cannot stand for the other.
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
