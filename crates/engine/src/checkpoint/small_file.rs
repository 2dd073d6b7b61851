//! Small files of a state folder, which are replaced atomically: a reader gets the old or the new content.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::files::{Access, FileHandle, FileSystem, folder, write_all_at};

/// Replaces the content of the file at `path` by `bytes`, via the temporary name `aside`; it is durable when this returns.
pub(super) fn replace(files: &dyn FileSystem, path: &Path, aside: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = create_anew(files, aside)?;
    write_all_at(&*file, bytes, 0)?;
    file.sync()?;
    files.rename(aside, path)?;
    files.sync_folder(folder(path))
}

/// Creates an empty file, and replaces one that a killed run has left.
pub(super) fn create_anew(files: &dyn FileSystem, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
    match files.create(path, Access::Private) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            files.remove(path)?;
            files.create(path, Access::Private)
        }
        created => created,
    }
}
