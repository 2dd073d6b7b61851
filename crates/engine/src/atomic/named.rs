//! Whether what is being written still has its name: a file that was removed takes bytes all the same, and they are gone at its end.

use std::path::Path;
use std::{fmt, io};

use crate::error::Error;
use crate::files::FileHandle;

/// Why an open file has its name no more.
#[derive(Debug)]
struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was removed or moved while it was written, or the folder that it is in")
    }
}

impl std::error::Error for Gone {}

/// Checks that `file`, which is being written, is still there under `name`.
///
/// # Errors
/// When it is not: somebody may have removed or moved it, with its folder for one.
pub(crate) fn check_named(file: &dyn FileHandle, name: &Path) -> io::Result<()> {
    if file.has_name(name)? { Ok(()) } else { Err(io::Error::other(Gone)) }
}

/// An error of writing the file at `path`.
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Error {
    let failed = Error::io("write", path.display(), error);
    match error.get_ref() {
        Some(why) if why.is::<Gone>() => {
            failed.with_help("leave it where it is while the run goes on, and run again")
        }
        _ => failed,
    }
}
