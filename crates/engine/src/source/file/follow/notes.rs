//! Remarks for the end of the run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Follower;
use crate::source::file::paths::FoundFiles;

/// Maximum number of events reported one by one; the rest are counted.
pub(super) const TOLD: usize = 20;

impl Follower {
    /// Remarks for the end of the run.
    pub(in crate::source::file) fn summary(&self) -> Vec<String> {
        let mut remarks = self.notes.clone();
        let listed = |paths: &BTreeSet<PathBuf>| {
            let first = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
            let more = paths.len().saturating_sub(1);
            if more == 0 { first } else { format!("{first} and {more} more") }
        };
        if self.more_notes > 0 {
            remarks.push(format!("and {} more of that kind", self.more_notes));
        }
        if !self.packed.is_empty() {
            let packed = listed(&self.packed);
            remarks.push(format!("not followed, because compressed files do not grow: {packed}"));
        }
        remarks.extend(FoundFiles::remark(&self.own));
        if !self.unnamed.is_empty() {
            let unnamed = listed(&self.unnamed);
            remarks.push(format!("not read, because `sensor_from` does not match: {unnamed}"));
        }
        if !self.closed.is_empty() {
            remarks.push(format!("not read, because it cannot be opened: {}", listed(&self.closed)));
        }
        remarks.extend(self.remark_of_rest());
        remarks.extend(self.remarks_of_copies());
        remarks
    }

    /// If the copy of a file that was then truncated matches the patterns too, its records are read twice: the two cannot be told apart by
    /// content.
    fn remarks_of_copies(&self) -> Vec<String> {
        let open = self.tails.iter().filter_map(|tail| Some((tail.fingerprint()?, tail.path.clone())));
        let gone = self.gone.values().filter_map(|seen| Some((seen.fingerprint()?, seen.written())));
        let there: Vec<_> = open.chain(gone).collect();
        let copies = self.cut.iter().filter_map(|(beginning, path)| {
            let (_, copy) = there.iter().find(|(other, copy)| other == beginning && copy != path)?;
            Some((copy.display(), path.display()))
        });
        copies
            .map(|(copy, path)| {
                format!("{copy} begins as {path} did before it was truncated: the records of a copy are read twice; let `path` match no copies")
            })
            .collect()
    }

    pub(super) fn note(&mut self, note: String) {
        match self.notes.len() < TOLD {
            true => self.notes.push(note),
            false => self.more_notes += 1,
        }
    }
}
