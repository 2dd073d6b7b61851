//! What the path of an output stands for: a file, a stream, standard output.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

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
/// A configuration error if it is empty or a folder.
pub fn check(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let text = path.as_os_str().as_encoded_bytes();
    if text.is_empty() || text.ends_with(b"/") || path.is_dir() {
        return Err(Error::config(format!("`path` {path:?} is a folder"))
            .with_help("name a file in it, or \"-\" for standard output"));
    }
    Ok(())
}
