//! Files that appear under their name only when they are complete (clause 19): whatever this crate writes, it writes here.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Masks, Result};
use crate::files::{
    Access, Disk, FileHandle, FileSystem, Kind, folder, kind_if_there, make_lasting_folder, path_bytes,
    where_link_leads, write_all_at,
};
use crate::time::Clock;

mod checksum;
mod leftovers;
pub(crate) mod marks;
mod named;
mod outputs;
mod rolling;
mod template;
mod tickets;

use checksum::Checksum;
pub(crate) use named::{cannot_write, check_named};
pub use outputs::Outputs;
pub(crate) use rolling::{Policy, RollingFiles};
pub(crate) use template::ROWS;
pub use template::Template;
use tickets::Tickets;

/// What stands behind the name of a file in the making, before what tells it from others.
const PART: &str = ".part-";

/// What stands behind the name of a file that is kept beside, before the number of its records.
pub(crate) const UNTIL: &str = ".until-";

/// Bytes that are gathered before they are handed to the system.
const BUFFER: usize = 256 << 10;

/// Writing that is left to be done, by anybody at any time before [`AtomicFile::finish`].
pub type Job = Box<dyn FnOnce() -> Result<()> + Send>;

/// What a run gives whatever writes for it to begin with.
#[derive(Clone, Debug)]
pub struct Outset {
    /// Where files are.
    pub files: Arc<dyn FileSystem>,
    /// The id of a run that goes on after a restart: files in the making stay when it ends early, under names with this in them. What
    /// has such a name when the run begins a file is of an earlier try, and is removed.
    pub run: Option<Arc<str>>,
    /// That run's state folder: where it is gone, nobody goes on with its files in the making, and the next run removes them.
    pub state: Option<PathBuf>,
    /// What [`Sink::save`](crate::sink::Sink::save) gave at the checkpoint from which the run goes on.
    pub resume: Option<Vec<u8>>,
    /// The number of the epoch that is open when the run begins: the next checkpoint closes it. 0 for a run without checkpoints.
    pub epoch: u64,
    /// The number of the epoch that the checkpoint closed from which the run goes on; 0 where it begins with its first record.
    pub resumed: u64,
    /// What tells the epochs of this sink from those of other sinks and runs, for one that delivers by epochs: the same as long as the run goes on
    /// after restarts. It has letters, digits and `-`.
    pub writer: Option<Arc<str>>,
    /// The clock by which files are due to be rolled.
    pub clock: Clock,
    /// Set when the run is to stop: whoever waits for somebody looks at it.
    pub stop: Arc<AtomicBool>,
    /// What whoever says something by itself, past the errors and the report, must not say.
    pub masks: Arc<Masks>,
}

impl Default for Outset {
    fn default() -> Self {
        Self {
            files: Arc::new(Disk),
            run: None,
            state: None,
            resume: None,
            epoch: 0,
            resumed: 0,
            writer: None,
            clock: Clock::default(),
            stop: Arc::default(),
            masks: Arc::default(),
        }
    }
}

/// What has been made so far, for a checkpoint.
pub struct Saved {
    /// For [`Outset::resume`].
    pub state: Vec<u8>,
    /// The files in the making of which `state` speaks.
    pub outputs: Vec<Output>,
    /// Makes durable what `state` speaks of; may wait for jobs that were handed out before.
    pub settle: Job,
    /// Makes the epoch visible where it belongs. It is run once the checkpoint is durable, behind those of all earlier epochs, on another
    /// thread than the sink's. A run that is killed before has `state` say what is still to be delivered: the next run does that first, when
    /// it opens the sink, though it may have happened already; so it must be harmless when repeated.
    pub deliver: Option<Job>,
}

/// A file in the making: `.<name>.part-…` in the folder of the final one, under a name that nobody can know beforehand; or a stream: standard output (`-`), a named
/// pipe or a device, which take bytes as they come and must never be replaced by a file.
pub struct AtomicFile {
    path: PathBuf,
    destination: Destination,
    /// What has been gathered.
    buffer: Vec<u8>,
    /// Bytes written or promised so far, without those in the buffer.
    length: u64,
}

enum Destination {
    Part(Part),
    Stream(Box<dyn Write + Send + Sync>),
}

/// The file under its temporary name.
struct Part {
    files: Arc<dyn FileSystem>,
    handle: Arc<dyn FileHandle>,
    path: PathBuf,
    stage: Stage,
    /// Of a run that goes on after a restart: what else has to be known then.
    lasting: Option<Lasting>,
}

/// What is kept of a file that outlives its run.
#[derive(Default)]
struct Lasting {
    /// That of all bytes so far.
    checksum: Checksum,
    tickets: Tickets,
    /// The state folder.
    state: Option<PathBuf>,
    /// Whether its temporary name is durable: no checkpoint may speak of it before.
    is_named: Arc<AtomicBool>,
}

/// A file in the making, as a checkpoint has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its final name.
    #[serde(with = "path_bytes")]
    pub path: PathBuf,
    /// Its temporary name.
    #[serde(with = "path_bytes")]
    pub part: PathBuf,
    /// Bytes that belong to the checkpoint; what is behind them is cut off.
    pub length: u64,
    /// CRC-32C of those.
    pub crc: u32,
    /// CRC-32C of the last 4 KiB of those.
    pub end: u32,
}

/// Under which of its names a file of a checkpoint is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its temporary one.
    InTheMaking,
    /// Its final one.
    Published,
}

/// Whether what is written to a path is handed over as it comes: to standard output, a named pipe or a device. A file that is not there
/// yet will be one.
pub fn is_stream(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    is_stdout(path) || path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Whether a path means standard output.
pub fn is_stdout(path: impl AsRef<Path>) -> bool {
    path.as_ref() == Path::new("-")
}

/// The file that a sink's path means; `None` for a stream, which keeps nothing.
pub fn file(path: impl AsRef<Path>) -> Option<PathBuf> {
    let path = path.as_ref();
    (!is_stream(path)).then(|| path.to_owned())
}

/// The named pipe or device that a sink's path means; `None` for a file and for standard output.
pub fn stream(path: impl AsRef<Path>) -> Option<PathBuf> {
    let path = path.as_ref();
    (is_stream(path) && !is_stdout(path)).then(|| path.to_owned())
}

/// Checks that a path can be a file's.
///
/// # Errors
/// A configuration error.
pub fn check(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let text = path.as_os_str().as_encoded_bytes();
    if text.is_empty() || text.ends_with(b"/") || path.is_dir() {
        return Err(Error::config(format!("`path` {path:?} is a folder"))
            .with_help("name a file in it, or \"-\" for standard output"));
    }
    Ok(())
}

impl AtomicFile {
    /// Begins the file at `path`; folders on the way are made.
    ///
    /// # Errors
    /// A configuration error where a folder is there; otherwise what the system says.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::begin(path, &Outset::default()).map(|(file, _)| file)
    }

    /// The same, for what may hold data that not everybody should see: nobody else can read it.
    ///
    /// # Errors
    /// As [`AtomicFile::create`].
    pub fn create_private(path: impl AsRef<Path>) -> Result<Self> {
        Self::begin_with(path, &Outset::default(), Access::Private).map(|(file, _)| file)
    }

    /// Begins the file at `path`, or goes on with it where `outset` says so; and whether it goes on.
    ///
    /// # Errors
    /// As [`AtomicFile::create`]; a data error where the file to go on with is not what it was.
    pub fn begin(path: impl AsRef<Path>, outset: &Outset) -> Result<(Self, bool)> {
        Self::begin_with(path, outset, Access::Shared)
    }

    fn begin_with(path: impl AsRef<Path>, outset: &Outset, access: Access) -> Result<(Self, bool)> {
        let written = path.as_ref();
        check(written)?;
        if is_stdout(written) {
            return Ok((Self::stream(written.to_owned(), Box::new(io::stdout())), false));
        }
        let path = where_link_leads(written);
        let failed = |error: io::Error| Error::io("write", path.display(), &error);
        let there = kind_if_there(&*outset.files, &path).map_err(failed)?;
        if there.is_some_and(|kind| kind != Kind::File) {
            let stream = std::fs::File::options().write(true).open(&path).map_err(failed)?;
            return Ok((Self::stream(path, Box::new(stream)), false));
        }
        if let Some(state) = &outset.resume {
            return Self::resume(written, path, outset, state).map(|file| (file, true));
        }
        let folder = folder(&path);
        make_lasting_folder(&*outset.files, folder, false).map_err(|error| failed(not_a_folder(error)))?;
        let part = Part::create(&path, outset, access).map_err(failed)?;
        let destination = Destination::Part(part);
        Ok((Self { path, destination, buffer: Vec::new(), length: 0 }, false))
    }

    /// Goes on with what `state` says was made before, for the file `written` so, which leads to `path`.
    fn resume(written: &Path, path: PathBuf, outset: &Outset, state: &[u8]) -> Result<Self> {
        let made: Output = postcard::from_bytes(state).map_err(|error| {
            Error::data(format!("the checkpoint of {} is damaged: {error}", path.display()))
        })?;
        check_link(&*outset.files, written, &path, &made)?;
        let (part, length) = Part::resume(&path, outset, made)?;
        Ok(Self { path, destination: Destination::Part(part), buffer: Vec::new(), length })
    }

    fn stream(path: PathBuf, stream: Box<dyn Write + Send + Sync>) -> Self {
        Self { path, destination: Destination::Stream(stream), buffer: Vec::new(), length: 0 }
    }

    /// Whether it takes bytes as they come.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.destination, Destination::Stream(_))
    }

    /// Appends `bytes`. In a file their place is known now, so that writing them can be left to a job; a stream is
    /// written at once.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&mut self, bytes: Vec<u8>) -> Result<Option<Job>> {
        self.finish()?;
        let place = self.length;
        self.length += bytes.len() as u64;
        match &mut self.destination {
            Destination::Stream(stream) => {
                let written = stream.write_all(&bytes);
                written.map(|()| None).map_err(|error| self.failed(&error))
            }
            Destination::Part(part) => {
                part.check_there().map_err(|error| cannot_write(&self.path, &error))?;
                let ticket = part.lasting.as_mut().map(|lasting| lasting.promise(&bytes));
                let (handle, path) = (Arc::clone(&part.handle), self.path.clone());
                Ok(Some(Box::new(move || {
                    write_all_at(&*handle, &bytes, place)
                        .map_err(|error| Error::io("write", path.display(), &error))?;
                    if let Some(ticket) = ticket {
                        ticket.done();
                    }
                    Ok(())
                })))
            }
        }
    }

    /// Nothing of what has been gathered, or comes, is handed over any more.
    pub(crate) fn discard(&mut self) {
        self.buffer.clear();
        if self.is_stream() {
            self.destination = Destination::Stream(Box::new(io::sink()));
        }
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(&mut self) -> Result<()> {
        self.hand_over().map_err(|error| self.failed(&error))
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let written = match &mut self.destination {
            Destination::Stream(stream) => stream.write_all(&self.buffer).and_then(|()| stream.flush()),
            Destination::Part(part) => part.write(&self.buffer, self.length),
        };
        written?;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Whether it begins with these bytes, which have been written.
    ///
    /// # Errors
    /// What the system says.
    pub fn begins_with(&self, bytes: &[u8]) -> Result<bool> {
        let Destination::Part(part) = &self.destination else { return Ok(true) };
        let mut found = vec![0; bytes.len()];
        let mut at = 0;
        while at < found.len() {
            match part.handle.read_at(&mut found[at..], at as u64).map_err(|error| self.failed(&error))? {
                0 => return Ok(false),
                read => at += read,
            }
        }
        Ok(found == bytes)
    }

    /// What has been made so far, for [`Outset::resume`]; nothing for streams, and for runs that do not go on.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(&mut self) -> Result<Option<Saved>> {
        self.finish()?;
        let Destination::Part(Part { files, handle, path, lasting: Some(lasting), stage }) =
            &self.destination
        else {
            return Ok(None);
        };
        let (crc, end) = (lasting.checksum.of_all(), lasting.checksum.of_end());
        // The run may go on from another folder.
        let lasting_path = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let (final_path, part) = (lasting_path(&self.path), lasting_path(path));
        let output = Output { path: final_path, part, length: self.length, crc, end };
        let state = postcard::to_stdvec(&output)
            .map_err(|error| Error::internal(format!("the state of a file cannot be saved: {error}")))?;
        let (files, handle, path) = (Arc::clone(files), Arc::clone(handle), self.path.clone());
        let name = (*stage == Stage::InTheMaking).then(|| output.part.clone());
        let (promised, is_named) = (lasting.tickets.promised(), Arc::clone(&lasting.is_named));
        let settle = Box::new(move || {
            promised.wait().map_err(|()| Error::internal("a part of a file was never written"))?;
            let failed = |error: io::Error| Error::io("make durable", path.display(), &error);
            handle.sync().map_err(failed)?;
            // A checkpoint must not speak of what is gone.
            name.map_or(Ok(()), |name| check_named(&*handle, &name))
                .map_err(|error| cannot_write(&path, &error))?;
            if !is_named.load(Ordering::Acquire) {
                files.sync_folder(folder(&path)).map_err(failed)?;
                is_named.store(true, Ordering::Release);
            }
            Ok(())
        });
        Ok(Some(Saved { state, outputs: vec![output], settle, deliver: None }))
    }

    /// Makes the file durable and gives it its name, in place of an older one.
    ///
    /// # Errors
    /// What the system says.
    pub fn commit(&mut self) -> Result<()> {
        self.publish(|files, part, path| files.rename(part, path))
    }

    /// The same, unless a file of that name is there.
    ///
    /// # Errors
    /// A usage error where one is; otherwise what the system says.
    pub fn commit_new(&mut self) -> Result<()> {
        self.publish(|files, part, path| files.rename_new(part, path))
    }

    /// The same, where the system may know no links.
    ///
    /// # Errors
    /// As [`AtomicFile::commit_new`].
    pub(crate) fn commit_beside(&mut self) -> Result<()> {
        self.publish(|files, part, path| match kind_if_there(files, path)? {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => files.rename(part, path),
        })
    }

    /// Its temporary name; `None` for a stream.
    pub(crate) fn part_name(&self) -> Option<&OsStr> {
        match &self.destination {
            Destination::Part(part) => part.path.file_name(),
            Destination::Stream(_) => None,
        }
    }

    /// The file as it lies there; `None` for a stream.
    pub(crate) fn handle(&self) -> Option<Arc<dyn FileHandle>> {
        match &self.destination {
            Destination::Part(part) => Some(Arc::clone(&part.handle)),
            Destination::Stream(_) => None,
        }
    }

    /// Nobody goes on with it: it is removed, also where its run goes on after a restart.
    pub(crate) fn abandon(mut self) {
        self.discard();
        if let Destination::Part(Part { files, path, stage: Stage::InTheMaking, lasting, .. }) =
            &self.destination
        {
            if let Some(Lasting { state: Some(state), .. }) = lasting {
                marks::remove(&**files, path, state);
            }
            // What cannot be removed is when the run goes on, or by whoever finds its state folder gone.
            let _gone = files.remove(path);
        }
    }

    /// Bytes that it has so far.
    pub(crate) fn length(&self) -> u64 {
        self.length + self.buffer.len() as u64
    }

    fn publish(
        &mut self,
        rename: impl FnOnce(&dyn FileSystem, &Path, &Path) -> io::Result<()>,
    ) -> Result<()> {
        self.finish()?;
        let published = match &mut self.destination {
            Destination::Part(part) => part.publish(&self.path, rename),
            Destination::Stream(_) => Ok(()),
        };
        published.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::usage(format!("{} is there already", self.path.display())),
            _ => self.failed(&error),
        })
    }

    /// An error of writing here. A closed standard output is somebody's choice: `head` has seen enough.
    pub fn failed(&self, error: &io::Error) -> Error {
        match (is_stdout(&self.path), error.kind()) {
            (true, io::ErrorKind::BrokenPipe) => Error::broken_pipe(),
            (true, _) => Error::io("write to", "standard output", error),
            (false, _) => cannot_write(&self.path, error),
        }
    }
}

impl Output {
    /// Looks whether the file is there, every byte as the checkpoint has it, and under which name.
    ///
    /// # Errors
    /// When it is not there; a data error where it is not what it was.
    pub fn check(&self, files: &dyn FileSystem) -> Result<Stage> {
        let (handle, stage) = self.open(files)?;
        self.check_all(&*handle, stage).map(|()| stage)
    }

    /// Looks whether the file is there under its name, with as many bytes as it had; what they are is not looked at, for there may be many.
    ///
    /// # Errors
    /// When it is not; what the system says.
    pub fn check_published(&self, files: &dyn FileSystem) -> Result<()> {
        let (path, length) = (self.path.display(), self.length);
        let wrong = |what: &str| {
            Error::unavailable(format!("the run is over, and {path}, which it wrote, {what}"))
                .with_help("bring it back, or start anew with another --state")
        };
        match files.open(&self.path).and_then(|file| file.size()) {
            Ok(size) if size == length => Ok(()),
            Ok(size) => Err(wrong(&format!("has {size} bytes where {length} were written"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(wrong("is not there")),
            Err(error) => Err(Error::io("look at", path, &error)),
        }
    }

    /// The file to go on with, and its last bytes. One in the making is this run's own, and may be long: of it only the end is looked at.
    fn find(&self, files: &dyn FileSystem) -> Result<(Arc<dyn FileHandle>, Stage, Vec<u8>)> {
        let (handle, stage) = self.open(files)?;
        let failed = |error: io::Error| Error::io("read", self.name(stage).display(), &error);
        let end = checksum::end(&*handle, self.length).map_err(failed)?;
        match stage {
            Stage::Published => self.check_all(&*handle, stage)?,
            Stage::InTheMaking => {
                let size = handle.size().map_err(failed)?;
                let found = crc32c::crc32c(&end);
                if size < self.length || found != self.end {
                    return Err(self.changed(stage, "its end has", self.end, size, found));
                }
            }
        }
        Ok((handle, stage, end))
    }

    /// Looks whether the file behind `handle`, which is complete and in the making, is as long as it was, and ends as it did.
    fn check_closed(&self, handle: &dyn FileHandle) -> Result<()> {
        let look = || Ok((handle.size()?, crc32c::crc32c(&checksum::end(handle, self.length)?)));
        let looked: io::Result<(u64, u32)> = look();
        let (size, found) = looked.map_err(|error| Error::io("read", self.part.display(), &error))?;
        match size == self.length && found == self.end {
            true => Ok(()),
            false => Err(self.changed(Stage::InTheMaking, "its end has", self.end, size, found)),
        }
    }

    fn check_all(&self, handle: &dyn FileHandle, stage: Stage) -> Result<()> {
        let look = || Ok((handle.size()?, checksum::all(handle, self.length)?));
        let looked: io::Result<(u64, u32)> = look();
        let (size, found) = looked.map_err(|error| Error::io("read", self.name(stage).display(), &error))?;
        let is_longer = stage == Stage::Published && size != self.length;
        if size < self.length || found != self.crc || is_longer {
            return Err(self.changed(stage, "it has", self.crc, size, found));
        }
        Ok(())
    }

    fn name(&self, stage: Stage) -> &Path {
        if stage == Stage::Published { &self.path } else { &self.part }
    }

    fn changed(&self, stage: Stage, what: &str, crc: u32, size: u64, found: u32) -> Error {
        let (name, length) = (self.name(stage).display(), self.length);
        let message = format!(
            "{name} is not what it was at the checkpoint: of {length} bytes {what} CRC-32C {crc:08x}, and now of {size} {found:08x}"
        );
        Error::data(message).with_help("something else has written to it; start anew with another --state")
    }

    fn open(&self, files: &dyn FileSystem) -> Result<(Arc<dyn FileHandle>, Stage)> {
        let failed = |path: &Path, error: &io::Error| Error::io("go on with", path.display(), error);
        match files.open_own(&self.part) {
            Ok(handle) => return Ok((handle, Stage::InTheMaking)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&self.part, &error)),
        }
        match files.open(&self.path) {
            Ok(handle) => Ok((handle, Stage::Published)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (part, path) = (self.part.display(), self.path.display());
                Err(Error::unavailable(format!("{part} is gone, and {path} is not there")).with_help(
                    "the checkpoint goes on with that file: bring it back, or start anew with another --state",
                ))
            }
            Err(error) => Err(failed(&self.path, &error)),
        }
    }
}

impl Part {
    fn create(path: &Path, outset: &Outset, access: Access) -> io::Result<Self> {
        let files = Arc::clone(&outset.files);
        match &outset.run {
            Some(run) => leftovers::remove_of_run(outset, run, path, |_| false),
            None => leftovers::remove_of_killed(&*files, path),
        }
        leftovers::say_of_lost(outset, path);
        let (handle, part) = loop {
            let part = beside(path, PART, &distinct(outset.run.as_deref()));
            let handle = match files.create(&part, access) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created?,
            };
            if leftovers::hold(&*handle, &part) {
                break (handle, part);
            }
        };
        marks::add(&*files, &part, outset.state.as_deref());
        let state = outset.state.clone();
        let lasting = outset.run.is_some().then(|| Lasting { state, ..Lasting::default() });
        Ok(Self { files, handle, path: part, stage: Stage::InTheMaking, lasting })
    }

    /// Goes on with `made`, whose final name is `path` by now.
    fn resume(path: &Path, outset: &Outset, made: Output) -> Result<(Self, u64)> {
        let files = Arc::clone(&outset.files);
        // Its folder may have been moved with all that is in it.
        let part = folder(path).join(made.part.file_name().unwrap_or_default());
        let made = Output { path: path.to_owned(), part, ..made };
        if let Some(run) = &outset.run {
            leftovers::remove_of_run(outset, run, path, |part| part == made.part);
        }
        let (handle, stage, end) = made.find(&*files)?;
        if stage == Stage::InTheMaking {
            marks::add(&*files, &made.part, outset.state.as_deref());
            // The state folder is held by this run: nobody else works on it.
            let _held = leftovers::hold(&*handle, &made.part);
            handle.truncate(made.length).map_err(|error| Error::io("cut", made.part.display(), &error))?;
        }
        let lasting = Some(Lasting {
            checksum: Checksum::behind(made.crc, end),
            state: outset.state.clone(),
            is_named: Arc::new(true.into()),
            ..Lasting::default()
        });
        Ok((Self { files, handle, path: made.part, stage, lasting }, made.length))
    }

    fn write(&mut self, bytes: &[u8], place: u64) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check_there()?;
        write_all_at(&*self.handle, bytes, place)?;
        if let Some(lasting) = &mut self.lasting {
            lasting.checksum.add(bytes);
        }
        Ok(())
    }

    /// Checks that what is written now would not be gone at the end.
    fn check_there(&self) -> io::Result<()> {
        match self.stage {
            Stage::Published => Err(io::Error::other("it is complete already")),
            Stage::InTheMaking => check_named(&*self.handle, &self.path),
        }
    }

    fn publish(
        &mut self,
        path: &Path,
        rename: impl FnOnce(&dyn FileSystem, &Path, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.stage == Stage::InTheMaking {
            self.handle.sync()?;
            check_named(&*self.handle, &self.path)?;
            if let Some(Lasting { state: Some(state), .. }) = &self.lasting {
                marks::remove(&*self.files, &self.path, state);
            }
            rename(&*self.files, &self.path, path)?;
            self.stage = Stage::Published;
        }
        // The name is durable once the folder is, whoever gave it: a run that was cut off may have come no further.
        self.files.sync_folder(folder(path))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Destination::Stream(_) = &self.destination {
            // What was given out stays given out, also when the run then fails.
            let _reader_gone = self.hand_over();
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.stage == Stage::InTheMaking && self.lasting.is_none() {
            // Somebody else may have removed it, with its folder for one.
            let _gone = self.files.remove(&self.path);
        }
    }
}

impl Lasting {
    /// Bytes that a job will write.
    fn promise(&mut self, bytes: &[u8]) -> tickets::Ticket {
        self.checksum.add(bytes);
        self.tickets.take()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.hand_over()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_over()
    }
}

/// A hidden name of this kind beside a file: [`PART`] is its temporary one.
fn beside(path: &Path, kind: &str, distinct: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!("{kind}{distinct}"));
    folder(path).join(name)
}

/// What tells a temporary name from others: the run, or the process, and something that cannot be known beforehand.
fn distinct(run: Option<&str>) -> String {
    // Seeded by the system, and new each time.
    let unknown = RandomState::new().build_hasher().finish();
    match run {
        Some(run) => format!("{run}-{unknown:016x}"),
        None => format!("{}{}-{unknown:016x}", leftovers::ONCE, std::process::id()),
    }
}

/// Checks that a link, if `written` is one by now, leads to `path` where what was `made` is: it was another one or none when the run began.
fn check_link(files: &dyn FileSystem, written: &Path, path: &Path, made: &Output) -> Result<()> {
    let beside = folder(path).join(made.part.file_name().unwrap_or_default());
    let is_same = std::path::absolute(path).is_ok_and(|path| path == made.path);
    if !written.is_symlink() || is_same || matches!(kind_if_there(files, &beside), Ok(Some(_))) {
        return Ok(());
    }
    let (written, path, part) = (written.display(), path.display(), made.part.display());
    Err(Error::unavailable(format!(
        "{written} is a link to {path} now: the checkpoint goes on with {part}, which is not there"
    ))
    .with_help(
        "remove the link, or put back what was there when the run began; or start anew with another --state",
    ))
}

/// A file that stands where a folder should be made is there already, says the system, whatever it is.
fn not_a_folder(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::AlreadyExists { io::ErrorKind::NotADirectory.into() } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("folder");
        entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn clause_19_a_file_appears_only_when_it_is_complete() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("deep/out.csv");
        let mut file = AtomicFile::create(path.to_str().expect("UTF-8")).expect("begun");
        file.write_all(b"new").expect("written");
        file.finish().expect("flushed");
        assert!(!path.exists());
        file.commit().expect("committed");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        assert_eq!(names(path.parent().expect("folder")), ["out.csv"]);
    }

    #[test]
    fn clause_19_an_interrupted_file_leaves_the_older_one_and_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("out.csv");
        std::fs::write(&path, b"old").expect("written");
        let mut file = AtomicFile::create(path.to_str().expect("UTF-8")).expect("begun");
        file.write_all(b"new").expect("written");
        drop(file);
        assert_eq!(std::fs::read(&path).expect("there"), b"old");
        assert_eq!(names(folder.path()), ["out.csv"]);
    }

    #[test]
    fn what_killed_runs_have_left_of_a_file_goes_and_what_others_work_on_stays() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("out.csv");
        let at_work = AtomicFile::create(&path).expect("begun");
        let left = [".out.csv.part-p4000000-0123456789abcdef", ".out.csv.part-p1-fedcba9876543210"];
        // Of other files, of runs that go on after a restart, of somebody else.
        let others = [
            ".out.csvx.part-p1-0123456789abcdef",
            ".out.csv.part-01234567-0123456789abcdef",
            ".out.csv.part-old",
            "out.csv",
        ];
        left.iter()
            .chain(&others)
            .for_each(|name| std::fs::write(folder.path().join(name), "x").expect("written"));
        let next = AtomicFile::create(&path).expect("begun");
        let found = names(folder.path());
        left.iter().for_each(|name| assert!(!found.contains(&(*name).to_owned()), "{name}"));
        others.iter().for_each(|name| assert!(found.contains(&(*name).to_owned()), "{name}"));
        assert_eq!(found.len(), others.len() + 2, "{found:?}");
        drop((at_work, next));
        assert_eq!(names(folder.path()).len(), others.len());
    }

    #[test]
    fn a_folder_that_is_removed_is_noticed_with_the_next_bytes() {
        let folder = tempfile::tempdir().expect("folder");
        let deep = folder.path().join("deep");
        let mut file = AtomicFile::create(deep.join("out.csv")).expect("begun");
        drop(file.append(b"first".to_vec()).expect("written"));
        std::fs::remove_dir_all(&deep).expect("removed");
        let error = file.append(b"second".to_vec()).err().expect("nowhere to write");
        assert!(error.to_string().contains("the folder that it is in"), "{error}");
        file.write_all(b"third").expect("gathered");
        assert!(file.finish().is_err());
    }

    #[test]
    fn a_folder_in_place_of_the_file_is_said_so() {
        let folder = tempfile::tempdir().expect("folder");
        let error = AtomicFile::create(folder.path().to_str().expect("UTF-8")).err().expect("a folder");
        assert_eq!(error.kind(), ErrorKind::Config);
        let blocked = folder.path().join("file");
        std::fs::write(&blocked, b"").expect("written");
        let error =
            AtomicFile::create(blocked.join("out.csv").to_str().expect("UTF-8")).err().expect("not a folder");
        assert!(error.to_string().contains("out.csv"), "{error}");
    }

    #[test]
    fn a_file_is_gone_on_with_without_reading_all_of_it_and_a_change_of_its_end_is_noticed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("out.csv");
        let outset = Outset { run: Some("run".into()), ..Outset::default() };
        let mut file = AtomicFile::begin(&path, &outset).expect("begun").0;
        (0..100_000).for_each(|at| writeln!(file, "{at}").expect("written"));
        let saved = file.save().expect("saved").expect("a file");
        (saved.settle)().expect("durable");
        let output = saved.outputs.first().expect("a file").clone();
        drop(file);
        let outset = Outset { resume: Some(saved.state), ..outset };
        let change = |at: u64| {
            let part = std::fs::File::options().write(true).open(&output.part).expect("open");
            std::os::unix::fs::FileExt::write_at(&part, b"x", at).expect("written");
        };
        // Its beginning is not looked at; whoever wants to know asks for all of it.
        assert!(output.check(&Disk).is_ok());
        change(0);
        AtomicFile::begin(&path, &outset).expect("gone on with");
        let error = output.check(&Disk).expect_err("another beginning");
        assert!(error.message().contains("is not what it was at the checkpoint"), "{error}");
        change(output.length - 1);
        let error = AtomicFile::begin(&path, &outset).err().expect("another end");
        assert!(error.message().contains("its end has CRC-32C"), "{error}");
    }
}
