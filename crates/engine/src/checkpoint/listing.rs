//! All checkpoints of a folder, for people. A run may be using the folder meanwhile: then it removes old checkpoints while they are read.

use std::path::{Path, PathBuf};

use super::names::in_order;
use super::{Checkpoints, Manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{FileSystem, kind_if_there};

/// How often a folder is listed, at most, to find an intact checkpoint that stays until it is read.
pub(super) const TRIES: usize = 10;

/// A checkpoint file.
#[derive(Debug)]
pub struct Listed {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its content without the pieces of the stages' states, or what is wrong with it.
    pub content: Result<Manifest>,
}

/// All checkpoints in `folder`, the oldest first, except those that a run removes meanwhile. If no other is intact, the folder is listed again: the run has written
/// newer ones before it removed any.
///
/// # Errors
/// What the system says; an error that may pass if all are removed each time before they are read.
pub fn list(files: &dyn FileSystem, folder: &Path) -> Result<Vec<Listed>> {
    for _ in 0..TRIES {
        let mut checkpoints = Checkpoints::closing(files);
        let all = in_order(files, folder)?.into_iter().map(|(_, path)| listed(files, path, &mut checkpoints));
        let all = all.collect::<Result<Vec<_>>>()?;
        let are_removed = all.iter().any(Option::is_none);
        let all: Vec<_> = all.into_iter().flatten().collect();
        if !are_removed || all.iter().any(|checkpoint| checkpoint.content.is_ok()) {
            return Ok(all);
        }
    }
    let what = format!("the run that uses {} removes its checkpoints before they are read", folder.display());
    Err(Error::unavailable(what).with_help("try again").transient())
}

/// The checkpoint at `path`; `None` if it was removed meanwhile.
fn listed(
    files: &dyn FileSystem,
    path: PathBuf,
    checkpoints: &mut Checkpoints<'_>,
) -> Result<Option<Listed>> {
    let size = files.open(&path).and_then(|file| file.size());
    match (size, checkpoints.read(&path)) {
        (Ok(bytes), Ok(manifest)) => Ok(Some(Listed { path, bytes, content: Ok(manifest) })),
        // Its base is removed after it: then nothing is wrong with either.
        _ if matches!(kind_if_there(files, &path), Ok(None)) => Ok(None),
        (Ok(bytes), Err(error)) if error.kind() == ErrorKind::Data => {
            Ok(Some(Listed { path, bytes, content: Err(error) }))
        }
        (Ok(_), Err(error)) => Err(error),
        (Err(error), _) => Err(Error::io("read", path.display(), &error)),
    }
}
