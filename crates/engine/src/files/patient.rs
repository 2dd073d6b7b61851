//! A file system that waits while the disk is full, so that a run continues when there is space again. Used in a run with unbounded input,
//! and for any sink with `on_failure = "wait"`; never with `"stop"`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Access, FileHandle, FileSystem, FileType};
use crate::error::{Masks, plain};
use crate::notes::Event;
use crate::resilience::{Backoff, pause};
use crate::time::{Timestamp, format_duration};

/// The first pause between two attempts; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// Wraps a file system; calls are retried while there is no space, until the run is to stop. `sync` is not: after a failed one, what was
/// written is undefined.
#[derive(Debug)]
pub(crate) struct Patient {
    inner: Arc<dyn FileSystem>,
    wait: Wait,
}

#[derive(Debug)]
struct PatientFile {
    inner: Arc<dyn FileHandle>,
    path: PathBuf,
    wait: Wait,
}

/// The wait for space, shared by all files of one writer.
#[derive(Clone, Debug)]
struct Wait {
    stop: Arc<AtomicBool>,
    /// Who writes, as messages name it.
    writer: Arc<str>,
    masks: Arc<Masks>,
    outage: Arc<Outage>,
}

/// Whether there is space, as far as is known.
#[derive(Debug, Default)]
struct Outage {
    state: Mutex<Waiting>,
    /// Whether the last note said that there was none.
    is_said: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The number of calls that wait: a smaller write may succeed while a larger one still waits.
    count: usize,
    /// The begin of the wait that the note is about.
    since: Option<Instant>,
}

impl Outage {
    /// A call starts to wait; returns whether to note it.
    fn waits(&self) -> bool {
        let mut state = self.state();
        state.count += 1;
        let is_news = !self.is_said.swap(true, Ordering::Relaxed);
        if is_news {
            state.since = Some(Instant::now());
        }
        is_news
    }

    /// A call stops waiting.
    fn stops_waiting(&self) {
        self.state().count -= 1;
    }

    /// A call found space without waiting: returns how long there was none, if that is to be noted. It is not while other calls still wait, nor for a call
    /// that has waited, because it may have got the last bytes of the disk.
    fn is_over(&self) -> Option<Duration> {
        // Nearly always there is space: that must cost nothing.
        if !self.is_said.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.state();
        let is_news = state.count == 0 && self.is_said.swap(false, Ordering::Relaxed);
        is_news.then(|| state.since.take().map_or(Duration::ZERO, |since| since.elapsed()))
    }

    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Patient {
    /// `inner`, with waiting until `stop` is set; messages name the `writer`.
    pub(crate) fn new(
        inner: Arc<dyn FileSystem>,
        stop: &Arc<AtomicBool>,
        writer: impl Into<Arc<str>>,
        masks: &Arc<Masks>,
    ) -> Self {
        let (stop, masks) = (Arc::clone(stop), Arc::clone(masks));
        Self { inner, wait: Wait { stop, writer: writer.into(), masks, outage: Arc::default() } }
    }

    fn file(&self, path: &Path, inner: Arc<dyn FileHandle>) -> Arc<dyn FileHandle> {
        Arc::new(PatientFile { inner, path: path.to_owned(), wait: self.wait.clone() })
    }
}

impl Wait {
    /// Calls `act`, which writes at `path`, until there is space or the run is to stop.
    fn until_there_is_space<T>(&self, path: &Path, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let must_wait =
            |done: &io::Result<T>| done.as_ref().is_err_and(is_full) && !self.stop.load(Ordering::Relaxed);
        let mut done = act();
        if !must_wait(&done) {
            if done.is_ok()
                && let Some(waited) = self.outage.is_over()
            {
                let (waited, path) = (waited_for(waited), path.display());
                let what =
                    format!("{} continues after {waited}: there is space again at {path}", self.writer);
                self.say(Event::info("disk_has_space"), &what);
            }
            return done;
        }
        if let Err(error) = &done
            && self.outage.waits()
        {
            let (path, why) = (path.display(), plain(error));
            let writer = &self.writer;
            let what = format!(
                "{writer} is waiting for space: cannot write {path}: {why}; the run continues when there is space"
            );
            self.say(Event::warn("disk_full"), &what);
        }
        let mut backoff = Backoff::without_jitter(FIRST, LONGEST);
        while must_wait(&done) {
            pause(backoff.delay(None), || !self.stop.load(Ordering::Relaxed));
            done = act();
        }
        self.outage.stops_waiting();
        done
    }

    fn say(&self, event: Event<'_>, what: &str) {
        event.part(&self.writer).say(&self.masks, what);
    }
}

/// How long was waited, for people: in whole seconds.
pub(crate) fn waited_for(time: Duration) -> String {
    format_duration(i64::try_from(time.as_secs().max(1)).unwrap_or(i64::MAX).saturating_mul(1_000_000_000))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl FileSystem for Patient {
    fn kind(&self, path: &Path) -> io::Result<FileType> {
        self.inner.kind(path)
    }

    fn make_folder(&self, path: &Path, is_private: bool) -> io::Result<()> {
        self.wait.until_there_is_space(path, || self.inner.make_folder(path, is_private))
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        self.wait
            .until_there_is_space(path, || self.inner.create(path, access))
            .map(|file| self.file(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        self.inner.open(path).map(|file| self.file(path, file))
    }

    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        self.inner.open_own(path).map(|file| self.file(path, file))
    }

    fn check_own_folder(&self, path: &Path) -> io::Result<()> {
        self.inner.check_own_folder(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait.until_there_is_space(to, || self.inner.rename(from, to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait.until_there_is_space(to, || self.inner.rename_new(from, to))
    }

    fn create_twin(&self, names: [&Path; 2], bytes: &[u8]) -> io::Result<()> {
        self.inner.create_twin(names, bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        self.inner.modified(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.inner.names(folder)
    }

    fn unfinished(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.inner.unfinished(folder)
    }

    fn files_below(
        &self,
        folder: &Path,
        is_wanted: &dyn Fn(&Path) -> bool,
    ) -> io::Result<Vec<(PathBuf, Arc<dyn FileHandle>)>> {
        self.inner.files_below(folder, is_wanted)
    }

    fn upload(&self, from: &dyn FileHandle, to: &Path, must_be_new: bool) -> io::Result<()> {
        self.inner.upload(from, to, must_be_new)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        self.wait.until_there_is_space(path, || self.inner.lock(path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.inner.sync_folder(folder)
    }

    fn impatient(&self) -> Option<Arc<dyn FileSystem>> {
        Some(Arc::clone(&self.inner))
    }
}

impl FileHandle for PatientFile {
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        self.wait.until_there_is_space(&self.path, || self.inner.write_at(bytes, place))
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, place)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.wait.until_there_is_space(&self.path, || self.inner.truncate(size))
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

    fn version(&self) -> Option<String> {
        self.inner.version()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;
    use crate::files::of_disk::of_disk;
    use crate::runtime::StateOptions;
    use crate::source::Recorder;
    use crate::{Pipeline, RunOptions, executor, streaming};
    use std::sync::atomic::AtomicU32;

    /// A disk that is full for a number of writes, of all files or of those with a name.
    #[derive(Clone, Debug)]
    struct Filled {
        left: Arc<AtomicU32>,
        name: String,
    }

    #[derive(Debug)]
    struct FilledFile(Filled, Arc<dyn FileHandle>);

    impl Filled {
        fn new(name: &str) -> Self {
            Self { left: Arc::new(3.into()), name: name.to_owned() }
        }

        fn is_full(&self) -> bool {
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        }

        fn file(
            &self,
            path: &Path,
            file: io::Result<Arc<dyn FileHandle>>,
        ) -> io::Result<Arc<dyn FileHandle>> {
            let is_its = path.file_name().is_some_and(|name| name.to_string_lossy().contains(&self.name));
            Ok(if is_its { Arc::new(FilledFile(self.clone(), file?)) } else { file? })
        }
    }

    impl FileSystem for Filled {
        of_disk! { kind make_folder check_own_folder read rename rename_new remove names lock sync_folder }

        fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
            self.file(path, Disk.create(path, access))
        }
        fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
            self.file(path, Disk.open(path))
        }
        fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
            self.file(path, Disk.open_own(path))
        }
    }

    impl FileHandle for FilledFile {
        of_disk! { 1: read_at size truncate sync hold has_name }

        fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
            match self.0.is_full() {
                true => Err(io::ErrorKind::StorageFull.into()),
                // Some of it fits.
                false => self.1.write_at(&bytes[..bytes.len().min(10)], place),
            }
        }
    }

    #[test]
    fn an_outage_is_said_once_whoever_finds_room_meanwhile() {
        let outage = Outage::default();
        assert!(outage.is_over().is_none(), "there was none");
        assert!(outage.waits(), "the first one says it");
        assert!(!outage.waits());
        // Others write less, and those who wait go on and wait again.
        assert!(outage.is_over().is_none());
        outage.stops_waiting();
        assert!(outage.is_over().is_none());
        outage.stops_waiting();
        assert!(!outage.waits(), "it is the same one");
        outage.stops_waiting();
        assert!(outage.is_over().is_some() && outage.is_over().is_none(), "the end is said once");
        assert!(outage.waits(), "another one is news");
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
            let files = Arc::new(Filled::new(""));
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
    fn a_sink_waits_for_a_full_disk_or_not_as_it_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
        std::fs::write(path("in.csv"), "s,v\na,1\nb,2\n").expect("written");
        let run = |name: &str, on_failure: &str, is_live: bool| {
            let toml = format!(
                "[source]\ntype = 'csv'\npath = {:?}\nsensor = 's'\n[[sink]]\ntype = 'csv'\npath = {:?}\non_failure = '{on_failure}'",
                path("in.csv"),
                path(name)
            );
            let pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
            let files = Arc::new(Filled::new(name));
            let state = Some(StateOptions { files, ..StateOptions::new(path(&format!("{name}.state"))) });
            let options = RunOptions { state, ..RunOptions::default() };
            match is_live {
                true => streaming::run(&pipeline, &options, &mut ()),
                false => executor::run(&pipeline, &options, &mut ()),
            }
        };
        for is_live in [false, true] {
            let name = format!("waits{is_live}.csv");
            run(&name, "wait", is_live).expect("there is room in the end");
            assert_eq!(std::fs::read_to_string(path(&name)).expect("an output"), "s,v\na,1\nb,2\n");
            let name = format!("stops{is_live}.csv");
            let error = run(&name, "stop", is_live).expect_err("a full disk");
            assert!(error.message().contains("no storage space") && error.is_transient(), "{error}");
        }
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
            let recorder = recorder.on(|_| Arc::new(Filled::new("")));
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
        assert_eq!((report.sources[0].ledger.output, report.missing), (2, None));
    }
}
