//! Files that appear under their name only when they are complete (clause 19): whatever this crate writes, it writes here.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::{NamedTempFile, PathPersistError, TempPath};

use crate::error::{Error, Result};

/// Bytes that are gathered before they are handed to the system.
const BUFFER: usize = 256 << 10;

/// Writing that is left to be done, by anybody at any time before [`AtomicFile::finish`].
pub type Job = Box<dyn FnOnce() -> Result<()> + Send>;

/// A file in the making: `.<name>.part-…` in the folder of the final one; or a stream: standard output (`-`), a named
/// pipe or a device, which take bytes as they come and must never be replaced by a file.
pub struct AtomicFile {
    path: PathBuf,
    writer: BufWriter<Destination>,
    /// Bytes written or promised so far.
    length: u64,
    temporary: Option<TempPath>,
}

enum Destination {
    File(Arc<File>),
    Stream(Box<dyn Write + Send + Sync>),
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => (&**file).write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => (&**file).flush(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

/// Whether a path means standard output.
pub fn is_stdout(path: impl AsRef<Path>) -> bool {
    path.as_ref() == Path::new("-")
}

/// The file that a sink's path means; `None` for standard output.
pub fn file(path: &str) -> Option<PathBuf> {
    (!is_stdout(path)).then(|| PathBuf::from(path))
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
        let path = path.as_ref();
        check(path)?;
        if is_stdout(path) {
            return Ok(Self::stream(path.to_owned(), Box::new(io::stdout())));
        }
        let path = behind_link(path);
        let failed = |error: io::Error| Error::io("write", path.display(), &error);
        if path.metadata().is_ok_and(|meta| !meta.is_file()) {
            let stream = File::options().write(true).open(&path).map_err(failed)?;
            return Ok(Self::stream(path, Box::new(stream)));
        }
        let folder = folder(&path);
        std::fs::create_dir_all(folder).map_err(|error| failed(not_a_folder(error)))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = begin(folder, &name).map_err(failed)?;
        let (file, temporary) = temporary.into_parts();
        let writer = BufWriter::with_capacity(BUFFER, Destination::File(Arc::new(file)));
        Ok(Self { path, writer, length: 0, temporary: Some(temporary) })
    }

    fn stream(path: PathBuf, stream: Box<dyn Write + Send + Sync>) -> Self {
        let writer = BufWriter::with_capacity(BUFFER, Destination::Stream(stream));
        Self { path, writer, length: 0, temporary: None }
    }

    /// Appends `bytes`. In a file their place is known now, so that writing them can be left to a job; a stream is
    /// written at once.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&mut self, bytes: Vec<u8>) -> Result<Option<Job>> {
        self.finish()?;
        let Destination::File(file) = self.writer.get_mut() else {
            return self.write_all(&bytes).map(|()| None).map_err(|error| self.failed(&error));
        };
        let (file, path, place) = (Arc::clone(file), self.path.clone(), self.length);
        self.length += bytes.len() as u64;
        // What is written here later goes behind it.
        (&*file).seek(SeekFrom::Start(self.length)).map_err(|error| self.failed(&error))?;
        Ok(Some(Box::new(move || {
            file.write_all_at(&bytes, place).map_err(|error| Error::io("write", path.display(), &error))
        })))
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// What the system says: a full disk, for one.
    pub fn finish(&mut self) -> Result<()> {
        self.writer.flush().map_err(|error| self.failed(&error))
    }

    /// Makes the file durable and gives it its name, in place of an older one.
    ///
    /// # Errors
    /// What the system says.
    pub fn commit(&mut self) -> Result<()> {
        self.publish(|part, path| part.persist(path))
    }

    /// The same, unless a file of that name is there.
    ///
    /// # Errors
    /// A usage error where one is; otherwise what the system says.
    pub fn commit_new(&mut self) -> Result<()> {
        self.publish(|part, path| part.persist_noclobber(path))
    }

    fn publish(
        &mut self,
        persist: impl FnOnce(TempPath, &Path) -> Result<(), PathPersistError>,
    ) -> Result<()> {
        self.finish()?;
        let (Destination::File(file), Some(temporary)) = (self.writer.get_ref(), self.temporary.take())
        else {
            return Ok(());
        };
        file.sync_all().map_err(|error| self.failed(&error))?;
        persist(temporary, &self.path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => Error::usage(format!("{} is there already", self.path.display())),
            _ => self.failed(&error.error),
        })?;
        // The name is durable once the folder is.
        File::open(folder(&self.path))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| self.failed(&error))
    }

    /// An error of writing here. A closed standard output is somebody's choice: `head` has seen enough.
    pub fn failed(&self, error: &io::Error) -> Error {
        match (is_stdout(&self.path), error.kind()) {
            (true, io::ErrorKind::BrokenPipe) => Error::broken_pipe(),
            (true, _) => Error::io("write to", "standard output", error),
            (false, _) => Error::io("write", self.path.display(), error),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Where a path leads: what a link points to is written, and the link stays.
fn behind_link(path: &Path) -> PathBuf {
    let target = if path.is_symlink() { path.canonicalize().ok() } else { None };
    target.unwrap_or_else(|| path.to_owned())
}

/// A file that stands where a folder should be made is there already, says the system, whatever it is.
fn not_a_folder(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::AlreadyExists { io::ErrorKind::NotADirectory.into() } else { error }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A temporary file that will have the access rights of an ordinary new one.
fn begin(folder: &Path, name: &str) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix(&format!(".{name}.part-"))
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
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
}
