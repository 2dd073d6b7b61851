//! Part files that earlier runs left, and who may remove them.
//!
//! A process holds a lock on each of its part files until it ends, even if it is killed. So a part file without a lock is a leftover, unless it belongs to a run
//! that can resume: the names of those are different. Only the run itself removes them, or any other run if their [mark](marks) shows that the state
//! folder no longer exists.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::hidden::{ONCE, PART, beside};
use super::marks::{self, MARK};
use crate::context::SinkContext;
use crate::files::{FileHandle, FileSystem, folder};
use crate::notes::Event;

/// Removes the part files of the file at `path` that the run `run` began before it was restarted, except those that are kept according to `is_kept`: no
/// checkpoint refers to them.
pub(crate) fn remove_of_run(context: &SinkContext, run: &str, path: &Path, is_kept: impl Fn(&Path) -> bool) {
    let files = &*context.files;
    remove(files, path, PART, &format!("{run}-"), |part| {
        let is_other = !is_kept(part);
        if let Some(state) = context.state.as_ref().filter(|_| is_other) {
            marks::remove(files, part, state);
        }
        is_other
    });
}

/// Removes the part files of the file at `path` that were left by killed runs which cannot resume.
pub(crate) fn remove_of_killed(files: &dyn FileSystem, path: &Path) {
    remove(files, path, PART, ONCE, |part| may_be_held(files, part).is_ok());
}

/// Removes the part files of the file at `path` whose run has lost its state folder; returns their paths.
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

/// The same; reports what was removed.
pub(crate) fn say_of_lost(context: &SinkContext, path: &Path) {
    for part in remove_of_lost(&*context.files, path) {
        let part = part.display();
        let said = format!("removed {part}: no run can resume it, because its state folder no longer exists");
        Event::info("part_file_removed").part(&context.label).say(&context.masks, &said);
    }
}

/// The final name of the part file, or of the mark, at `path`.
pub(crate) fn base(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.as_bytes().strip_prefix(b".")?;
    let end = [PART, MARK]
        .iter()
        .filter_map(|kind| name.windows(kind.len()).rposition(|bytes| bytes == kind.as_bytes()));
    Some(path.with_file_name(OsStr::from_bytes(&name[..end.max()?])))
}

/// Acquires the lock of the part file at `part`, for as long as the call lasts: an error if a process holds it, or if it cannot be known.
fn may_be_held(files: &dyn FileSystem, part: &Path) -> io::Result<()> {
    files.open_own(part)?.hold()
}

/// Locks a part file that was just created; returns whether it still exists: before it was locked, another process may have taken it for a leftover.
pub(super) fn hold(file: &dyn FileHandle, part: &Path) -> bool {
    match file.hold() {
        Ok(()) => file.has_name(part).unwrap_or(true),
        // If the file system has no locks, no other process removes it.
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Removes the hidden files of this `kind` beside the file at `path` for which `may` is true; `distinct` is the beginning of what distinguishes them.
fn remove(
    files: &dyn FileSystem,
    path: &Path,
    kind: &str,
    distinct: &str,
    mut may: impl FnMut(&Path) -> bool,
) {
    let begun = beside(path, kind, distinct);
    let begun = begun.file_name().map_or(&[][..], OsStr::as_encoded_bytes);
    let names = files.unfinished(folder(path)).unwrap_or_default();
    for name in names.iter().filter(|name| name.as_encoded_bytes().starts_with(begun)) {
        let left = folder(path).join(name);
        if may(&left) {
            // One that cannot be removed does no harm: the new part file has another name.
            let _left = files.remove(&left);
        }
    }
}
