//! Finding the newest intact checkpoint, without acquiring the folder.

use std::path::{Path, PathBuf};

use super::names::in_order;
use super::{Checkpoints, Manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::files::FileSystem;

/// The checkpoints found in a folder.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest intact checkpoint, and its file.
    pub manifest: Option<(Manifest, PathBuf)>,
    /// Newer files that are not intact, and what is wrong with each.
    pub damaged: Vec<(PathBuf, Error)>,
}

/// Finds the newest intact checkpoint in the folder at `path`.
///
/// # Errors
/// An I/O error.
pub fn look(files: &dyn FileSystem, path: &Path) -> Result<Found> {
    let mut found = Found::default();
    let mut checkpoints = Checkpoints::new(files);
    for (_, path) in in_order(files, path)?.into_iter().rev() {
        match checkpoints.read(&path) {
            Ok(manifest) => {
                found.manifest = Some((manifest, path));
                break;
            }
            Err(error) if error.kind() == ErrorKind::Data => found.damaged.push((path, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The checkpoint at `path`.
///
/// # Errors
/// An I/O error; a data error if it or its base is not intact.
pub fn read(files: &dyn FileSystem, path: &Path) -> Result<Manifest> {
    Checkpoints::new(files).read(path)
}

/// The error if no checkpoint in `folder` is intact: what is wrong with one of the `damaged` ones, and what to do.
pub fn none_intact<'a>(folder: &Path, damaged: impl Iterator<Item = (&'a Path, &'a Error)>) -> Error {
    let none = Error::data(format!("no checkpoint in {} is intact", folder.display()));
    // An error with help, such as that of another version, says more than one about damage.
    let Some((path, why)) = damaged.max_by_key(|(_, why)| why.help().is_some()) else { return none };
    none.with_context(format!("{}: {}", path.display(), why.message())).with_help(
        why.help().unwrap_or("start a new run with another --state, or restore this folder from a backup"),
    )
}
