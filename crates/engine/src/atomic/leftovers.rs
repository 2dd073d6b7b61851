//! What earlier runs have left of a file in the making, and who may remove it.
//!
//! A file in the making is held as long as its process lives, also where that is killed. So one that nobody holds is nobody's, unless it
//! belongs to a run that goes on after a restart: those have other names, and only the same run removes them.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use super::part_of;
use crate::files::{FileHandle, FileSystem, folder};

/// What the name of a file begins with that no run will go on with, behind `.part-`; names of runs are hexadecimal.
pub(super) const ONCE: &str = "p";

/// Removes what an earlier try of `run` has begun of the file at `path`, but for what it goes `on` with. No checkpoint speaks of it.
pub(super) fn remove_of_run(files: &dyn FileSystem, path: &Path, run: &str, on: Option<&Path>) {
    remove(files, path, &format!("{run}-"), |part| on != Some(part));
}

/// Removes what killed runs have left of the file at `path`.
pub(super) fn remove_of_killed(files: &dyn FileSystem, path: &Path) {
    remove(files, path, ONCE, |part| files.open_own(part).and_then(|file| file.hold()).is_ok());
}

/// Holds a file that has just been made; whether it is still there: somebody may have taken it for a leftover before it was held.
pub(super) fn hold(file: &dyn FileHandle, part: &Path) -> bool {
    match file.hold() {
        Ok(()) => file.has_name(part).unwrap_or(true),
        // Where files cannot be held, none is removed.
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

fn remove(files: &dyn FileSystem, path: &Path, distinct: &str, may: impl Fn(&Path) -> bool) {
    let begun = part_of(path, distinct);
    let begun = begun.file_name().map_or(&[][..], OsStr::as_encoded_bytes);
    let names = files.names(folder(path)).unwrap_or_default();
    for name in names.iter().filter(|name| name.as_encoded_bytes().starts_with(begun)) {
        let part = folder(path).join(name);
        if may(&part) {
            // What cannot be removed is in nobody's way: the new one has another name.
            let _left = files.remove(&part);
        }
    }
}
