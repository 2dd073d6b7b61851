//! Small files of a state folder, which are replaced as a whole: whoever reads one has what it was or what it is.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::files::{Access, FileHandle, FileSystem, folder, write_all_at};

/// Gives the file at `path` the content `bytes`, by way of `aside`; when this returns, it is durable.
pub(super) fn replace(files: &dyn FileSystem, path: &Path, aside: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = create_anew(files, aside)?;
    write_all_at(&*file, bytes, 0)?;
    file.sync()?;
    files.rename(aside, path)?;
    files.sync_folder(folder(path))
}

/// Makes an empty file in place of one that a run which was killed has left.
pub(super) fn create_anew(files: &dyn FileSystem, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
    match files.create(path, Access::Private) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            files.remove(path)?;
            files.create(path, Access::Private)
        }
        created => created,
    }
}
