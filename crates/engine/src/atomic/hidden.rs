//! The hidden names of part files, and of the marks beside them.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};

use crate::files::folder;

/// Follows the final name in the name of a part file; what [distinguishes](distinct) it from others comes next.
pub(super) const PART: &str = ".part-";

/// Follows [`PART`] in the name of a part file that no run will resume. It cannot be the beginning of a run's id, which is hexadecimal.
pub(super) const ONCE: &str = "p";

/// The path of the hidden file of this `kind` (such as [`PART`]) beside the file at `path`.
pub(super) fn beside(path: &Path, kind: &str, distinct: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!("{kind}{distinct}"));
    folder(path).join(name)
}

/// What distinguishes the name of a part file from others: the id of the run, or of the process, and a random number.
pub(super) fn distinct(run: Option<&str>) -> String {
    // Seeded with random numbers from the system, and different each time.
    let unknown = RandomState::new().build_hasher().finish();
    match run {
        Some(run) => format!("{run}-{unknown:016x}"),
        None => format!("{}{}-{unknown:016x}", ONCE, std::process::id()),
    }
}
