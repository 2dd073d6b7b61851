//! Marks beside part files that a run could resume: they show whether the state folder of that run still exists.
//!
//! A mark is a file with two hard links, one beside the part file and one in the state folder. As long as the folder exists, even if it was moved, the mark has
//! both; when the folder is removed, one is left. If the state folder is on another file system, there is no mark.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::hidden::PART;
use crate::files::{FileSystem, kind_if_there};

/// Stands in the name of a mark where the part file has [`PART`].
pub(super) const MARK: &str = ".state-";

/// The beginning of a mark's name in the state folder.
pub(super) const TWIN: &str = "made-";

/// Marks the part file at `part` as one of the state folder `state`, unless it is marked already.
pub(super) fn add(files: &dyn FileSystem, part: &Path, state: Option<&Path>) {
    let (Some(state), Some((mark, distinct))) = (state, of(part)) else { return };
    if lost(files, &mark).is_some() {
        // Output and state folder were copied separately: the copies are no longer hard links.
        let _gone = files.remove(&mark);
    }
    if matches!(kind_if_there(files, &mark), Ok(None)) {
        // Without a mark, no other run removes the part file, even if the state folder no longer exists.
        let _impossible = files.create_twin([&twin(state, &distinct), &mark], distinct.as_bytes());
    }
}

/// Removes the mark of the part file at `part`, which is about to be renamed or removed.
pub(crate) fn remove(files: &dyn FileSystem, part: &Path, state: &Path) {
    if let Some((mark, distinct)) = of(part) {
        // Some have no mark. What cannot be removed from the state folder goes with the folder.
        let _gone = (files.remove(&mark), files.remove(&twin(state, &distinct)));
    }
}

/// Removes the marks in the state folder `state` whose other link is gone.
pub(crate) fn tidy(files: &dyn FileSystem, state: &Path) {
    let names = files.names(state).unwrap_or_default();
    for name in names.iter().filter(|name| name.as_bytes().starts_with(TWIN.as_bytes())) {
        let path = state.join(name);
        if has_one_name(files, &path) {
            let _gone = files.remove(&path);
        }
    }
}

/// The part file of the mark at `mark`, if the mark shows that its state folder no longer exists.
pub(super) fn lost(files: &dyn FileSystem, mark: &Path) -> Option<PathBuf> {
    let (part, distinct) = named_like(mark, MARK, PART)?;
    let is_mark =
        has_one_name(files, mark) && files.read(mark).is_ok_and(|bytes| bytes == distinct.as_bytes());
    is_mark.then_some(part)
}

/// The path of a part file's mark, and what distinguishes the two from others.
fn of(part: &Path) -> Option<(PathBuf, OsString)> {
    named_like(part, PART, MARK)
}

/// The path of a mark in the state folder.
fn twin(state: &Path, distinct: &OsStr) -> PathBuf {
    let mut name = OsString::from(TWIN);
    name.push(distinct);
    state.join(name)
}

/// Whether the file at `path` belongs to this user and has no other hard link.
fn has_one_name(files: &dyn FileSystem, path: &Path) -> bool {
    files.open_own(path).is_ok()
}

/// `path` with the last `from` in its name replaced by `to`, and what follows it in the name.
fn named_like(path: &Path, from: &str, to: &str) -> Option<(PathBuf, OsString)> {
    let name = path.file_name()?.as_bytes();
    let at = name.windows(from.len()).rposition(|bytes| bytes == from.as_bytes())?;
    let distinct = OsStr::from_bytes(&name[at + from.len()..]);
    let mut like = OsStr::from_bytes(&name[..at]).to_owned();
    like.push(to);
    like.push(distinct);
    Some((path.with_file_name(like), distinct.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::AtomicFile;
    use super::*;
    use crate::context::SinkContext;

    /// A folder with a state folder in it, and the names of what is there.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().expect("a folder"));
            place.make_state("state");
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn make_state(&self, name: &str) {
            std::fs::create_dir(self.at(name)).expect("made");
        }

        fn context(&self, run: &str, state: &str) -> SinkContext {
            SinkContext { run: Some(run.into()), state: Some(self.at(state)), ..SinkContext::default() }
        }

        fn begin(&self, context: &SinkContext) -> AtomicFile {
            let mut file = AtomicFile::begin(self.at("out.csv"), context).expect("begun").0;
            file.write_all(b"some").and_then(|()| file.flush()).expect("written");
            file
        }

        /// What lies beside the output that the run `run` has made.
        fn left(&self, run: &str) -> usize {
            let names = crate::files::Disk.names(self.0.path()).expect("names");
            let is_its = |name: &&OsString| name.to_string_lossy().contains(&format!("-{run}-"));
            names.iter().filter(is_its).count()
        }
    }

    #[test]
    fn what_a_run_has_left_goes_with_the_next_one_once_its_state_folder_is_gone() {
        for next in [SinkContext::default(), Place::new().context("b", "state")] {
            let place = Place::new();
            drop(place.begin(&place.context("a", "state")));
            assert_eq!(place.left("a"), 2);
            // It may go on, from wherever its folder is.
            drop(place.begin(&next));
            std::fs::rename(place.at("state"), place.at("moved")).expect("moved");
            place.make_state("state");
            drop(place.begin(&next));
            assert_eq!(place.left("a"), 2);
            std::fs::remove_dir_all(place.at("moved")).expect("removed");
            drop(place.begin(&next));
            assert_eq!(place.left("a"), 0);
        }
    }

    #[test]
    fn what_a_living_run_works_on_stays_though_its_state_folder_is_gone_and_so_does_what_is_no_mark() {
        let place = Place::new();
        let at_work = place.begin(&place.context("a", "state"));
        std::fs::remove_dir_all(place.at("state")).expect("removed");
        let others = [".out.csv.state-b-1", ".out.csv.state-", ".out.csv.statement", ".out.csv.part-b-1"];
        others.iter().for_each(|name| std::fs::write(place.at(name), "b-2").expect("written"));
        drop(place.begin(&SinkContext::default()));
        assert_eq!(place.left("a"), 2);
        assert!(others.iter().all(|name| place.at(name).exists()));
        drop(at_work);
        drop(place.begin(&SinkContext::default()));
        assert_eq!(place.left("a"), 0);
    }

    #[test]
    fn nothing_is_left_of_a_mark_when_its_file_is_complete() {
        let place = Place::new();
        let context = place.context("a", "state");
        let mut file = place.begin(&context);
        let state = file.save().expect("saved").expect("a file").state;
        drop(file);
        let context = SinkContext { resume: Some(state), ..context };
        // Whoever copies both folders, each by itself, takes the names from one another.
        let mark =
            std::fs::read_dir(place.0.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mark = mark.filter(|path| path.to_string_lossy().contains(MARK)).last().expect("a mark");
        let bytes = std::fs::read(&mark).expect("read");
        std::fs::remove_file(&mark).and_then(|()| std::fs::write(&mark, bytes)).expect("written");
        tidy(&crate::files::Disk, &place.at("state"));
        let mut file = place.begin(&context);
        drop(place.begin(&SinkContext::default()));
        assert_eq!(
            (place.left("a"), std::fs::read_dir(place.at("state")).expect("a folder").count()),
            (2, 1)
        );
        file.commit().expect("complete");
        assert_eq!(
            (place.left("a"), std::fs::read_dir(place.at("state")).expect("a folder").count()),
            (0, 0)
        );
    }

    #[test]
    fn what_is_left_of_a_mark_is_removed_from_its_state_folder() {
        let place = Place::new();
        let twins = || std::fs::read_dir(place.at("state")).expect("a folder").count();
        drop(place.begin(&place.context("a", "state")));
        // A run that begins again removes what its earlier try has left.
        drop(place.begin(&place.context("a", "state")));
        assert_eq!((place.left("a"), twins()), (2, 1));
        std::fs::write(place.at("state/made-a-1"), "a-1").expect("written");
        tidy(&crate::files::Disk, &place.at("state"));
        assert_eq!((place.left("a"), twins()), (2, 1));
    }
}
