//! Folders that are listed while a run uses them.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::listing::TRIES;
use super::names::name;
use super::*;
use crate::error::{Error, ErrorKind};
use crate::files::of_disk::of_disk;
use crate::files::{Access, Disk, FileHandle, FileSystem, FileType};
use crate::stage::in_one_piece;

/// The disk, where a run does something in the folder just after it was listed.
#[derive(Debug)]
struct Busy {
    /// What it does in a folder that was listed so many times.
    run: fn(&Path, usize) -> io::Result<()>,
    listed: AtomicUsize,
}

impl Busy {
    fn new(run: fn(&Path, usize) -> io::Result<()>) -> Self {
        Self { run, listed: AtomicUsize::new(0) }
    }
}

/// Replaces all checkpoints by newer ones.
fn replace(folder: &Path) -> io::Result<()> {
    let all = ordinals(&Disk, folder)?;
    all.into_iter().try_for_each(|(ordinal, path)| Disk.rename(&path, &folder.join(name(ordinal + 3))))
}

impl FileSystem for Busy {
    of_disk! { kind make_folder open open_own check_own_folder read rename rename_new remove lock sync_folder }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        Disk.create(path, access)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let names = Disk.names(folder)?;
        (self.run)(folder, self.listed.fetch_add(1, Ordering::Relaxed) + 1)?;
        Ok(names)
    }
}

/// The disk, which counts the files that are open.
#[derive(Debug, Default)]
struct Counted {
    open: Arc<AtomicUsize>,
    most: AtomicUsize,
}

/// A file that is open.
#[derive(Debug)]
struct OpenFile {
    file: Arc<dyn FileHandle>,
    open: Arc<AtomicUsize>,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FileHandle for OpenFile {
    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        self.file.read_at(buffer, place)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn write_at(&self, _bytes: &[u8], _place: u64) -> io::Result<usize> {
        unreachable!("it is only read")
    }

    fn truncate(&self, _size: u64) -> io::Result<()> {
        unreachable!("it is only read")
    }

    fn sync(&self) -> io::Result<()> {
        unreachable!("it is only read")
    }

    fn hold(&self) -> io::Result<()> {
        unreachable!("it is only read")
    }

    fn has_name(&self, _name: &Path) -> io::Result<bool> {
        unreachable!("it is only read")
    }
}

impl FileSystem for Counted {
    of_disk! { kind make_folder open_own check_own_folder read rename rename_new remove names lock sync_folder }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        Disk.create(path, access)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let file = Disk.open(path)?;
        self.most.fetch_max(self.open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Ok(Arc::new(OpenFile { file, open: Arc::clone(&self.open) }))
    }
}

/// A folder with three checkpoints that stand alone.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for ordinal in 1..=3 {
        let file = std::fs::File::create(folder.path().join(name(ordinal))).expect("a file");
        let manifest = folder_tests::manifest();
        manifest.write(file, vec![in_one_piece(vec![7; 9])]).expect("written");
    }
    folder
}

fn paths(all: &[Listed]) -> Vec<PathBuf> {
    all.iter().map(|listed| listed.path.clone()).collect()
}

#[test]
fn a_folder_whose_checkpoints_were_all_replaced_is_listed_again() {
    let folder = folder();
    let files = Busy::new(|folder, times| if times < TRIES { replace(folder) } else { Ok(()) });
    let all = list(&files, folder.path()).expect("listed");
    let expected: Vec<_> = (1..=3).map(|at| folder.path().join(name(at + 3 * (TRIES as u64 - 1)))).collect();
    assert_eq!(paths(&all), expected);
    assert!(all.iter().all(|listed| listed.content.is_ok()));
    assert_eq!(files.listed.into_inner(), TRIES);
}

#[test]
fn it_is_not_listed_for_ever() {
    let folder = folder();
    let error = list(&Busy::new(|folder, _| replace(folder)), folder.path()).expect_err("always replaced");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient() && error.message().contains("before they are read"), "{error}");
}

#[test]
fn what_a_run_removes_meanwhile_is_left_out() {
    let folder = folder();
    let files = Busy::new(|folder, _| Disk.remove(&folder.join(name(1))));
    let all = list(&files, folder.path()).expect("listed");
    assert_eq!(paths(&all), [2, 3].map(|at| folder.path().join(name(at))));
    assert_eq!(files.listed.into_inner(), 1, "others are intact");
}

#[test]
fn what_is_damaged_stays_in_the_list_and_the_folder_is_listed_once() {
    let folder = folder();
    let damaged = folder.path().join(name(2));
    std::fs::write(&damaged, "tide").expect("written");
    let files = Busy::new(|_, _| Ok(()));
    let all = list(&files, folder.path()).expect("listed");
    assert_eq!(all.iter().map(|listed| listed.content.is_ok()).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!((&all[1].path, all[1].bytes), (&damaged, 4));
    assert_eq!(files.listed.into_inner(), 1);
}

#[test]
fn the_help_is_that_of_a_checkpoint_that_has_one() {
    let errors = [Error::data("old").with_help("use the other"), Error::data("damaged")];
    let paths = [Path::new("a"), Path::new("b")];
    let error = none_intact(Path::new("state"), paths.into_iter().zip(&errors));
    assert_eq!(error.to_string(), "a: old: no checkpoint in state is intact; use the other");
    let error = none_intact(Path::new("state"), paths.into_iter().zip(&errors).skip(1));
    assert!(
        error.to_string().contains("b: damaged: no") && error.to_string().contains("a backup"),
        "{error}"
    );
}

#[test]
fn one_file_is_open_at_a_time_however_long_the_chains_are() {
    let mut bench = folder_tests::Bench::new(0);
    bench.cut((0..300).collect(), 9, Vec::new(), false);
    (0..40).for_each(|round| bench.cut(vec![round], 0, Vec::new(), false));
    let files = Counted::default();
    let all = list(&files, &bench.path()).expect("listed");
    let longest = all.iter().filter(|listed| listed.content.as_ref().expect("intact").base.is_some()).count();
    assert!(longest > 10, "{longest} stand on others");
    assert_eq!((files.open.load(Ordering::Relaxed), files.most.into_inner()), (0, 1));
    // What a run would read is known all the same.
    let read = Checkpoints::new(&Disk).read(&all[all.len() - 1].path).expect("read");
    let bytes = |manifest: &Manifest| manifest.stages.iter().map(StageState::bytes).collect::<Vec<_>>();
    assert_eq!(bytes(all[all.len() - 1].content.as_ref().expect("intact")), bytes(&read));
    let mut pieces = all[0].content.as_ref().expect("intact").stages[0].cuts().into_iter().flatten();
    assert!(pieces.next().is_some_and(|piece| piece.is_err()), "closed, and not empty");
}
