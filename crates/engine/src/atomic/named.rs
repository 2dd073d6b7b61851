//! Whether a file that is being written still has its name: one that was removed accepts bytes all the same, which are lost when it is closed.

use std::path::Path;
use std::{fmt, io};

use crate::error::Error;
use crate::files::FileHandle;

/// The cause of an I/O error: an open file no longer has its name.
#[derive(Debug)]
struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it, or its folder, was removed or moved while it was being written")
    }
}

impl std::error::Error for Gone {}

/// Checks that `file`, which is being written, is still the file at `name`.
///
/// # Errors
/// If it was removed or moved, by itself or with its folder.
pub(crate) fn check_named(file: &dyn FileHandle, name: &Path) -> io::Result<()> {
    if file.has_name(name)? { Ok(()) } else { Err(io::Error::other(Gone)) }
}

/// The error to report when writing the file at `path` failed.
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Error {
    let failed = Error::io("write", path.display(), error);
    match error.get_ref() {
        Some(why) if why.is::<Gone>() => {
            failed.with_help("run again, and leave it where it is until the run has ended")
        }
        _ => failed,
    }
}
