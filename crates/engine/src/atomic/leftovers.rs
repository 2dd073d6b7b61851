//! What earlier runs have left of a file in the making, and who may remove it.
//!
//! A file in the making is held as long as its process lives, also where that is killed. So one that nobody holds is nobody's, unless it
//! belongs to a run that goes on after a restart: those have other names, and only the same run removes them, or, where their [mark](marks)
//! says that its state folder is gone, any other.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::marks::{self, MARK};
use super::{Outset, PART, beside};
use crate::files::{FileHandle, FileSystem, folder};
use crate::notes::say;

/// What the name of a file begins with that no run will go on with, behind `.part-`; names of runs are hexadecimal.
pub(super) const ONCE: &str = "p";

/// Removes what an earlier try of the run of `outset` has begun of the file at `path`, but for what `is_kept`. No checkpoint speaks of it.
pub(super) fn remove_of_run(outset: &Outset, run: &str, path: &Path, is_kept: impl Fn(&Path) -> bool) {
    let files = &*outset.files;
    remove(files, path, PART, &format!("{run}-"), |part| {
        let is_other = !is_kept(part);
        if let Some(state) = outset.state.as_ref().filter(|_| is_other) {
            marks::remove(files, part, state);
        }
        is_other
    });
}

/// Removes what killed runs have left of the file at `path`.
pub(super) fn remove_of_killed(files: &dyn FileSystem, path: &Path) {
    remove(files, path, PART, ONCE, |part| may_be_held(files, part).is_ok());
}

/// Removes what runs have left of the file at `path` whose state folder is gone, and gives its names.
fn remove_of_lost(files: &dyn FileSystem, path: &Path) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    let is_free = |mark: &Path| {
        let Some(part) = marks::lost(files, mark) else { return false };
        match may_be_held(files, &part).and_then(|()| files.remove(&part)) {
            Ok(()) => removed.push(part),
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
        }
        true
    };
    remove(files, path, MARK, "", is_free);
    removed
}

/// The same, and says what was removed.
pub(super) fn say_of_lost(outset: &Outset, path: &Path) {
    for part in remove_of_lost(&*outset.files, path) {
        let part = part.display();
        let said = format!("{part} is removed: the state folder is gone from which a run went on with it");
        say(&outset.masks.hide(&said));
    }
}

/// The file beside which the hidden file at `path` lies.
pub(super) fn base(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.as_bytes().strip_prefix(b".")?;
    let end = [PART, MARK]
        .iter()
        .filter_map(|kind| name.windows(kind.len()).rposition(|bytes| bytes == kind.as_bytes()));
    Some(path.with_file_name(OsStr::from_bytes(&name[..end.max()?])))
}

/// Whether nobody works on the file at `part`.
fn may_be_held(files: &dyn FileSystem, part: &Path) -> io::Result<()> {
    files.open_own(part)?.hold()
}

/// Holds a file that has just been made; whether it is still there: somebody may have taken it for a leftover before it was held.
pub(super) fn hold(file: &dyn FileHandle, part: &Path) -> bool {
    match file.hold() {
        Ok(()) => file.has_name(part).unwrap_or(true),
        // Where files cannot be held, none is removed.
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Removes what lies beside the file at `path` under a name of this kind that begins so, where it may.
fn remove(
    files: &dyn FileSystem,
    path: &Path,
    kind: &str,
    distinct: &str,
    mut may: impl FnMut(&Path) -> bool,
) {
    let begun = beside(path, kind, distinct);
    let begun = begun.file_name().map_or(&[][..], OsStr::as_encoded_bytes);
    let names = files.names(folder(path)).unwrap_or_default();
    for name in names.iter().filter(|name| name.as_encoded_bytes().starts_with(begun)) {
        let left = folder(path).join(name);
        if may(&left) {
            // What cannot be removed is in nobody's way: the new one has another name.
            let _left = files.remove(&left);
        }
    }
}
