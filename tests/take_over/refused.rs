//! On a file system that has forgotten the lock of a run which stood still, such as one of another machine: when the run goes on, another has taken its
//! state folder. It is paused just before it writes a manifest, gives a file its name, and delivers.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::batch::{Batch, Schema};
use tidemill::files::{Access, FileHandle, FileSystem, FileType};
use tidemill::runtime::StateOptions;
use tidemill::sensor::Sensors;
use tidemill::sink::{Block, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use tidemill::{Error, Pipeline, Result, RunOptions};
use tidemill_engine::files::Disk;
use tidemill_engine::pipeline::SinkEntry;

use super::LIMIT;
use super::of_disk::of_disk;

/// Where a run is paused: the call, a part of the path, and how many such calls go before.
#[derive(Clone, Copy, Debug)]
struct Pause(&'static str, &'static str, usize);

/// A disk that forgets who holds a lock, on which a run is paused once.
#[derive(Debug)]
struct Forgetful {
    pause: Mutex<Option<Pause>>,
    paused: Sender<()>,
    resume: Mutex<Receiver<()>>,
    /// How often the names in the state folder were made durable.
    synced: AtomicUsize,
}

/// Such a disk; what says that a run is paused on it; what resumes it.
fn forgetful(pause: Option<Pause>) -> (Forgetful, Receiver<()>, Sender<()>) {
    let ((paused, is_paused), (resume, resumed)) = (channel(), channel());
    let (pause, resumed, synced) = (Mutex::new(pause), Mutex::new(resumed), AtomicUsize::new(0));
    (Forgetful { pause, paused, resume: resumed, synced }, is_paused, resume)
}

impl Forgetful {
    fn call(&self, call: &str, path: &Path) {
        let mut pause = self.pause.lock().expect("no panic");
        let Some(Pause(name, part, before)) = *pause else { return };
        if name != call || !path.to_string_lossy().contains(part) {
            return;
        }
        *pause = before.checked_sub(1).map(|before| Pause(name, part, before));
        if pause.is_none() {
            drop(pause);
            self.paused.send(()).expect("somebody waits");
            self.resume.lock().expect("no panic").recv_timeout(LIMIT).expect("it is resumed");
        }
    }
}

impl FileSystem for Forgetful {
    of_disk! { kind make_folder open open_own check_own_folder read rename rename_new remove names }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        self.call("create", path);
        Disk.create(path, access)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        match Disk.create(path, Access::Private) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Disk.open(path),
            made => made,
        }
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.sync_folder(folder)?;
        self.synced.fetch_add(usize::from(folder.ends_with("state")), Ordering::Relaxed);
        self.call("synced", folder);
        Ok(())
    }
}

/// A sink that notes who delivers.
#[derive(Clone)]
struct Noting {
    run: &'static str,
    delivered: Arc<Mutex<Vec<(&'static str, u64)>>>,
}

struct Rows;

impl SinkSpec for Noting {
    fn name(&self) -> &str {
        "noting"
    }
    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }
    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }
    fn delivers(&self) -> bool {
        true
    }
    fn open(&self, _schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(self.clone()))
    }
}

impl Prepare for Rows {
    fn prepare(&self, batch: &Batch, _sensors: &Sensors) -> Result<Block> {
        Ok(Box::new(vec![b'x'; batch.len()]))
    }
}

impl Sink for Noting {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Rows))
    }
    fn deliver(&mut self, epoch: u64, _rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        self.delivered.lock().expect("no panic").push((self.run, epoch));
        Ok(())
    }
}

/// What two runs leave, the first of which is paused and replaced.
struct Story {
    folder: tempfile::TempDir,
    delivered: Arc<Mutex<Vec<(&'static str, u64)>>>,
}

impl Story {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let lines: String = (0..200).map(|at| format!("s{},{at}\n", at % 7)).collect();
        std::fs::write(folder.path().join("in.csv"), format!("s,v\n{lines}")).expect("written");
        Self { folder, delivered: Arc::default() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pipeline(&self, run: &'static str) -> Pipeline {
        let toml = "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor = 's'\nmeasurements = ['v']\n\
            [[sink]]\ntype = 'csv'\npath = 'whole.csv'\n\
            [[sink]]\ntype = 'csv'\npath = 'rolled/{epoch}.csv'\nroll = { size = '1B' }\n";
        let pipeline = Pipeline::from_toml(toml).expect("a pipeline");
        let mut pipeline = pipeline.with_base(self.folder.path());
        let delivered = Arc::clone(&self.delivered);
        pipeline.sinks.push(SinkEntry::new(Noting { run, delivered }));
        pipeline
    }

    fn run(&self, run: &'static str, files: Arc<dyn FileSystem>) -> Result<()> {
        let state =
            StateOptions { every: Duration::ZERO, waits: true, files, ..StateOptions::new(self.at("state")) };
        let mut options = RunOptions { threads: Some(1), state: Some(state), ..RunOptions::default() };
        options.open.chunk_size = 128;
        self.pipeline(run).run_with(&options, &mut ()).map(drop)
    }

    /// Pauses a run, lets another take its place and come to the end, and resumes it; returns its error.
    fn replace(&self, pause: Pause) -> Error {
        let (first, is_paused, resume) = forgetful(Some(pause));
        let (first, second) = (Arc::new(first), Arc::new(forgetful(None).0));
        std::thread::scope(|scope| {
            let replaced = scope.spawn(|| self.run("first", first));
            is_paused.recv_timeout(LIMIT).expect("it is paused");
            let before = self.delivered.lock().expect("no panic").len();
            self.run("second", second).expect("goes on in its place");
            let visible = self.visible();
            resume.send(()).expect("it waits");
            let refused = replaced.join().expect("no panic").expect_err("it is another's folder");
            let delivered = self.delivered.lock().expect("no panic");
            assert!(delivered[before..].iter().all(|(run, _)| *run == "second"), "{pause:?}: {delivered:?}");
            assert!(self.visible() == visible, "{pause:?}: it writes nothing more");
            refused
        })
    }

    /// The checkpoints, and all output under its name.
    fn visible(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for folder in ["", "rolled", "state"] {
            let entries = std::fs::read_dir(self.at(folder)).expect("a folder");
            let paths = entries.map(|entry| entry.expect("an entry").path());
            let is_hidden =
                |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let is_one = |path: &PathBuf| path.is_file() && !is_hidden(path);
            found.extend(paths.filter(is_one).map(|path| {
                let bytes = std::fs::read(&path).expect("read");
                (path, bytes)
            }));
        }
        found.sort();
        found
    }

    /// That each record is in the output once.
    fn check(&self, told: &str) {
        let visible = self.visible();
        let in_folder = |folder: &str| -> Vec<String> {
            let is_one = |path: &Path| path.parent() == Some(&self.at(folder)) && !path.ends_with("in.csv");
            let texts = visible.iter().filter(|(path, _)| is_one(path));
            let texts = texts.map(|(_, bytes)| String::from_utf8(bytes.clone()).expect("UTF-8"));
            texts.flat_map(|text| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()).collect()
        };
        let expected: Vec<_> = (0..200).map(|at| format!("s{},{at}", at % 7)).collect();
        assert_eq!(in_folder("rolled"), expected, "{told}");
        let whole = std::fs::read_to_string(self.at("whole.csv")).expect("a file");
        assert!(whole.lines().skip(1).eq(&expected), "{told}: {whole}");
        let delivered = self.delivered.lock().expect("no panic");
        assert!(delivered.is_sorted_by_key(|(_, epoch)| *epoch), "{told}: {delivered:?}");
    }
}

#[test]
fn a_run_whose_folder_another_has_taken_neither_writes_a_manifest_nor_renames_nor_delivers() {
    for (pause, told) in [
        (Pause("create", ".checkpoint-", 3), "before a manifest"),
        // The manifest has its name: next are the deliveries, a rename and that of the rows.
        (Pause("synced", "/state", 6), "before a rename and a delivery"),
        (Pause("synced", "/state", 7), "before a rename and a delivery"),
        (Pause("synced", "/state", 8), "before the file of the next epoch, which the other run has removed"),
    ] {
        let story = Story::new();
        let refused = story.replace(pause);
        let said = refused.to_string();
        assert!(
            said.contains("run 2 has taken the state folder") && said.contains("this one, run 1"),
            "{pause:?}, {told}: {said}"
        );
        story.check(told);
    }
}

#[test]
fn nor_does_it_give_its_output_its_name_at_its_end() {
    let whole = Story::new();
    let counted = Arc::new(forgetful(None).0);
    whole.run("only", Arc::clone(&counted) as _).expect("a run");
    let synced = counted.synced.load(Ordering::Relaxed);
    let story = Story::new();
    // Behind the manifest that says that all is complete: the last one says that it is over.
    let refused = story.replace(Pause("synced", "/state", synced - 2));
    assert!(refused.to_string().contains("run 2 has taken the state folder"), "{refused}");
    story.check("at the end");
}
