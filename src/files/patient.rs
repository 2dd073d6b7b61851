//! A file system that waits while it is full: a run whose input does not end goes on by itself when there is room again.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Access, FileHandle, FileSystem, Kind};
use crate::error::say;

/// How often it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Another file system, whose calls are made again while there is no room, until the run is to stop. A `sync` is not: what one that failed
/// has written cannot be relied on.
#[derive(Debug)]
pub(crate) struct Patient {
    inner: Arc<dyn FileSystem>,
    wait: Wait,
}

#[derive(Debug)]
struct PatientFile {
    inner: Arc<dyn FileHandle>,
    wait: Wait,
}

/// What all that wait have in common.
#[derive(Clone, Debug)]
struct Wait {
    stop: Arc<AtomicBool>,
    /// Whether somebody waits, and has said so.
    is_said: Arc<AtomicBool>,
}

impl Patient {
    /// `inner`, with patience until `stop` is set.
    pub(crate) fn new(inner: Arc<dyn FileSystem>, stop: &Arc<AtomicBool>) -> Self {
        Self { inner, wait: Wait { stop: Arc::clone(stop), is_said: Arc::default() } }
    }

    fn file(&self, inner: Arc<dyn FileHandle>) -> Arc<dyn FileHandle> {
        Arc::new(PatientFile { inner, wait: self.wait.clone() })
    }
}

impl Wait {
    fn until_there_is_room<T>(&self, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match act() {
                Err(error) if is_full(&error) && !self.stop.load(Ordering::Relaxed) => {
                    if !self.is_said.swap(true, Ordering::Relaxed) {
                        say(
                            "no space is left to write to: the run waits until there is some, and then goes on",
                        );
                    }
                    std::thread::sleep(PAUSE);
                }
                done => {
                    if done.is_ok() && self.is_said.swap(false, Ordering::Relaxed) {
                        say("there is space again: the run goes on");
                    }
                    return done;
                }
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl FileSystem for Patient {
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.inner.kind(path)
    }

    fn make_folder(&self, path: &Path, is_private: bool) -> io::Result<()> {
        self.wait.until_there_is_room(|| self.inner.make_folder(path, is_private))
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        self.wait.until_there_is_room(|| self.inner.create(path, access)).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        self.inner.open(path).map(|file| self.file(file))
    }

    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        self.inner.open_own(path).map(|file| self.file(file))
    }

    fn check_own_folder(&self, path: &Path) -> io::Result<()> {
        self.inner.check_own_folder(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait.until_there_is_room(|| self.inner.rename(from, to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait.until_there_is_room(|| self.inner.rename_new(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.inner.names(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        self.wait.until_there_is_room(|| self.inner.lock(path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.inner.sync_folder(folder)
    }
}

impl FileHandle for PatientFile {
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        self.wait.until_there_is_room(|| self.inner.write_at(bytes, place))
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, place)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.wait.until_there_is_room(|| self.inner.truncate(size))
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn hold(&self) -> io::Result<()> {
        self.inner.hold()
    }

    fn has_name(&self, name: &Path) -> io::Result<bool> {
        self.inner.has_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;
    use crate::runtime::StateOptions;
    use crate::source::Recorder;
    use crate::{Pipeline, RunOptions, executor, streaming};
    use std::sync::atomic::AtomicU32;

    /// A disk that is full for so many more writes.
    #[derive(Clone, Debug)]
    struct Filled(Arc<AtomicU32>);

    #[derive(Debug)]
    struct FilledFile(Filled, Arc<dyn FileHandle>);

    impl Filled {
        fn is_full(&self) -> bool {
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        }

        fn file(&self, file: io::Result<Arc<dyn FileHandle>>) -> io::Result<Arc<dyn FileHandle>> {
            Ok(Arc::new(FilledFile(self.clone(), file?)))
        }
    }

    impl FileSystem for Filled {
        fn kind(&self, path: &Path) -> io::Result<Kind> {
            Disk.kind(path)
        }
        fn make_folder(&self, path: &Path, is_private: bool) -> io::Result<()> {
            Disk.make_folder(path, is_private)
        }
        fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
            self.file(Disk.create(path, access))
        }
        fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
            self.file(Disk.open(path))
        }
        fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
            self.file(Disk.open_own(path))
        }
        fn check_own_folder(&self, path: &Path) -> io::Result<()> {
            Disk.check_own_folder(path)
        }
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            Disk.read(path)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            Disk.rename(from, to)
        }
        fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
            Disk.rename_new(from, to)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            Disk.remove(path)
        }
        fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
            Disk.names(folder)
        }
        fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
            Disk.lock(path)
        }
        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            Disk.sync_folder(folder)
        }
    }

    impl FileHandle for FilledFile {
        fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
            match self.0.is_full() {
                true => Err(io::ErrorKind::StorageFull.into()),
                // Some of it fits in.
                false => self.1.write_at(&bytes[..bytes.len().min(10)], place),
            }
        }
        fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
            self.1.read_at(buffer, place)
        }
        fn size(&self) -> io::Result<u64> {
            self.1.size()
        }
        fn truncate(&self, size: u64) -> io::Result<()> {
            self.1.truncate(size)
        }
        fn sync(&self) -> io::Result<()> {
            self.1.sync()
        }
        fn hold(&self) -> io::Result<()> {
            self.1.hold()
        }
        fn has_name(&self, name: &Path) -> io::Result<bool> {
            self.1.has_name(name)
        }
    }

    #[test]
    fn a_full_disk_ends_a_bounded_run_and_is_waited_for_by_a_live_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
        std::fs::write(path("in.csv"), "s,v\na,1\nb,2\n").expect("written");
        let toml = format!(
            "[source]\ntype = 'csv'\npath = {:?}\nsensor = 's'\n[[sink]]\ntype = 'csv'\npath = {:?}",
            path("in.csv"),
            path("out.csv")
        );
        let pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
        let run = |name: &str, is_live: bool, is_stopped: bool| {
            let files = Arc::new(Filled(Arc::new(3.into())));
            let state = Some(StateOptions { files, ..StateOptions::new(path(name)) });
            let options = RunOptions { state, stop: Arc::new(is_stopped.into()), ..RunOptions::default() };
            match is_live {
                true => streaming::run(&pipeline, &options, &mut ()),
                false => executor::run(&pipeline, &options, &mut ()),
            }
        };
        for (name, is_live, is_stopped) in [("bounded", false, false), ("stopped", true, true)] {
            let error = run(name, is_live, is_stopped).expect_err("a full disk");
            assert!(error.message().contains("no storage space"), "{error}");
        }
        assert!(!folder.path().join("out.csv").exists());
        run("live", true, false).expect("there is room in the end");
        assert_eq!(std::fs::read_to_string(path("out.csv")).expect("an output"), "s,v\na,1\nb,2\n");
    }

    #[test]
    fn a_full_disk_under_a_recording_ends_a_bounded_run_and_is_waited_for_by_a_live_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("in.csv"), "s,v\na,1\nb,2\n").expect("written");
        let toml = format!(
            "[source]\ntype = 'csv'\npath = {:?}\nsensor = 's'\n[[sink]]\ntype = 'null'",
            path("in.csv")
        );
        let pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
        let recorded = |name: &str| {
            let recorder = Recorder::create(&path(name)).expect("a recording");
            let recorder = recorder.on(|_| Arc::new(Filled(Arc::new(3.into()))));
            let mut options = RunOptions::default();
            options.open.record = Some(recorder.clone());
            (recorder, options)
        };
        let (_, options) = recorded("bounded.rec");
        let error = executor::run(&pipeline, &options, &mut ()).expect_err("a full disk");
        assert!(error.message().contains("no storage space"), "{error}");
        let (recorder, options) = recorded("live.rec");
        streaming::run(&pipeline, &options, &mut ()).expect("there is room in the end");
        recorder.finish().expect("complete");
        let again = Pipeline::from_toml(&toml.replace("in.csv", "live.rec")).expect("a pipeline");
        let report = executor::run(&again, &RunOptions::default(), &mut ()).expect("played");
        assert_eq!((report.source.ledger.output, report.missing), (2, None));
    }
}
