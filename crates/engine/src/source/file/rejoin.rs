//! Locating a file of a checkpoint: under its name, or under another one in its folder.

use std::collections::HashMap;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use super::tail::{SeenTail, identity};
use crate::files::Base;

/// Files by folder and inode; each folder is read once, however many files were renamed.
#[derive(Default)]
pub(super) struct Candidates(HashMap<PathBuf, HashMap<u64, Vec<PathBuf>>>);

impl Candidates {
    /// The paths with the device and inode of `seen`, its old path first.
    pub(super) fn of(&mut self, seen: &SeenTail, base: &Base) -> Vec<PathBuf> {
        let path = base.join(seen.written());
        // Other files may be pipes, which must not be opened.
        let is_it = |path: &Path| {
            path.metadata().is_ok_and(|meta| meta.is_file() && identity(&meta) == seen.identity)
        };
        if is_it(&path) {
            return vec![path];
        }
        let folder = crate::files::folder(&path).to_owned();
        let inodes = self.0.entry(folder).or_insert_with_key(|folder| inodes(folder));
        let named = inodes.get(&seen.identity.1).into_iter().flatten();
        named.filter(|path| is_it(path)).cloned().collect()
    }
}

/// The names in a folder by inode; empty if it cannot be read.
fn inodes(folder: &Path) -> HashMap<u64, Vec<PathBuf>> {
    let mut inodes: HashMap<u64, Vec<PathBuf>> = HashMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        inodes.entry(entry.ino()).or_default().push(entry.path());
    }
    inodes
}
