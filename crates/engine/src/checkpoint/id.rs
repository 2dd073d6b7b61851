//! The id of a state folder: it distinguishes the part files of its run from those of other runs, wherever the folder is moved.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::small_file;
use crate::files::FileSystem;

/// The file that has the id.
const ID: &str = "id";

/// Its temporary name.
const ID_ASIDE: &str = ".id.new";

/// Hexadecimal digits of an id.
const DIGITS: usize = 16;

/// The id of `folder`. A new one if it has none, or only a part of one from a run that was killed.
pub(super) fn known_or_new(files: &dyn FileSystem, folder: &Path) -> io::Result<Arc<str>> {
    let is_id = |id: &String| id.len() == DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match files.read(&folder.join(ID)) {
        Ok(bytes) => {
            if let Some(id) = String::from_utf8(bytes).ok().filter(is_id) {
                return Ok(id.into());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Seeded with random numbers from the system, and different each time.
    let id = format!("{:0DIGITS$x}", RandomState::new().build_hasher().finish());
    small_file::replace(files, &folder.join(ID), &folder.join(ID_ASIDE), id.as_bytes())?;
    Ok(id.into())
}
