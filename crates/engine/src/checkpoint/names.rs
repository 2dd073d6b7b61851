//! The names of checkpoints: `checkpoint-<ordinal>`.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::FileSystem;

const PREFIX: &str = "checkpoint-";

/// The name of checkpoint `ordinal`.
pub(super) fn name(ordinal: u64) -> String {
    format!("{PREFIX}{ordinal:010}")
}

/// The ordinal of the checkpoint at `path`; `None` if it has another name.
pub(super) fn ordinal(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

/// The checkpoints in the folder at `path`, with their ordinals, in any order.
pub fn ordinals(files: &dyn FileSystem, path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let paths = files.names(path)?.into_iter().map(|name| path.join(name));
    Ok(paths.filter_map(|path| Some((ordinal(&path)?, path))).collect())
}

/// The same, the oldest first.
///
/// # Errors
/// An I/O error.
pub(super) fn in_order(files: &dyn FileSystem, path: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut all =
        ordinals(files, path).map_err(|error| Error::io("list the state folder", path.display(), &error))?;
    all.sort_unstable();
    Ok(all)
}
