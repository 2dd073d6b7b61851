//! What the path of an output stands for: a file, a stream, standard output.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::scheme;

/// Whether `path` is a stream: standard output, a named pipe or a device, which takes bytes as they come. A path at which nothing exists stands for a file.
pub fn is_stream(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    is_stdout(path) || path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Whether `path` is `-`, which stands for standard output.
pub fn is_stdout(path: impl AsRef<Path>) -> bool {
    path.as_ref() == Path::new("-")
}

/// The file that a sink's path stands for; `None` for a stream.
pub fn file(path: impl AsRef<Path>) -> Option<PathBuf> {
    let path = path.as_ref();
    (!is_stream(path)).then(|| path.to_owned())
}

/// The named pipe or device that a sink's path stands for; `None` for a file and for standard output.
pub fn stream(path: impl AsRef<Path>) -> Option<PathBuf> {
    let path = path.as_ref();
    (is_stream(path) && !is_stdout(path)).then(|| path.to_owned())
}

/// Checks that `path` can be the path of a file.
///
/// # Errors
/// A configuration error if it is empty or a folder, or an address where no file can be.
pub fn check(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    check_address(path)?;
    let text = path.as_os_str().as_encoded_bytes();
    if text.is_empty() || text.ends_with(b"/") || path.is_dir() {
        return Err(Error::config(format!("`path` {path:?} is a folder"))
            .with_help("name a file in it, or \"-\" for standard output"));
    }
    Ok(())
}

/// Checks that `path`, if it is an address, can be the address of a file, or of files with placeholders in their names.
///
/// # Errors
/// A configuration error.
pub(super) fn check_address(path: &Path) -> Result<()> {
    if !scheme::check_writable(path)? {
        return Ok(());
    }
    // The scheme, the host or bucket, and what follows.
    let mut names = path.iter().skip(2).peekable();
    if names.peek().is_none() {
        return Err(Error::config(format!("`path` {path:?} names no file"))
            .with_help("add a name to it, such as `s3://bucket/out.csv`"));
    }
    if names.any(|name| name.as_encoded_bytes().starts_with(b".")) {
        return Err(Error::config(format!("`path` {path:?} has a name that begins with a dot"))
            .with_help("give it another name: such names are those of unfinished files"));
    }
    Ok(())
}
