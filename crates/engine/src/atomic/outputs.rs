//! The files that a run writes, under all their names: sources that search for input leave them out.

use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::UNTIL;
use super::hidden::PART;
use super::marks::{MARK, TWIN};
use super::template::Template;
use crate::files::{folder, where_link_leads};

/// The files that a run writes.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    all: Vec<Known>,
    /// The names of rolled files, whose number is not known in advance.
    rolled: Vec<Template>,
    /// Device and inode of standard output, if it is a file and a sink writes to it.
    stdout: Option<(u64, u64)>,
}

/// Files of one kind in one folder.
#[derive(Clone, Debug)]
struct Known {
    folder: PathBuf,
    names: Names,
}

#[derive(Clone, Debug)]
enum Names {
    /// The file of this name, its part files and their marks, and files that were [kept](UNTIL).
    File(Vec<u8>),
    /// The files of a state folder.
    State,
}

impl Outputs {
    /// Adds the file at `path`.
    pub fn add(&mut self, path: &Path) {
        let target = where_link_leads(path);
        if target != path {
            self.add_name(&target);
        }
        self.add_name(path);
    }

    fn add_name(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or_default().as_bytes().to_vec();
        self.all.push(Known { folder: folder(path).to_owned(), names: Names::File(name) });
    }

    /// Adds all files whose names fit `template`.
    pub fn add_rolled(&mut self, template: Template) {
        self.rolled.push(template);
    }

    /// Adds the state folder at `path`.
    pub fn add_state(&mut self, path: &Path) {
        self.all.push(Known { folder: path.to_owned(), names: Names::State });
    }

    /// Adds the file that standard output is, if it is one.
    pub fn add_stdout(&mut self) {
        let file = std::io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let meta = file.and_then(|file| file.metadata()).ok().filter(Metadata::is_file);
        self.stdout = meta.map(|meta| (meta.dev(), meta.ino()));
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: &Self) {
        self.all.extend(others.all.iter().cloned());
        self.rolled.extend(others.rolled.iter().cloned());
        self.stdout = self.stdout.or(others.stdout);
    }

    /// Whether the file at `path` is one of them, complete or not.
    pub fn has(&self, path: &Path) -> bool {
        let is_stdout = || path.metadata().is_ok_and(|meta| Some((meta.dev(), meta.ino())) == self.stdout);
        let is_link = !(self.all.is_empty() && self.rolled.is_empty()) && path.is_symlink();
        let target = if is_link { path.canonicalize().ok() } else { None };
        let is_rolled = |path: &Path| self.rolled.iter().any(|template| template.has(path));
        let has_name = |path: &Path| self.has_name(path) || is_rolled(path);
        has_name(path)
            || target.is_some_and(|target| has_name(&target))
            || self.stdout.is_some() && is_stdout()
    }

    fn has_name(&self, path: &Path) -> bool {
        let Some(name) = path.file_name() else { return false };
        // Folders are resolved only if the name fits, because that takes system calls.
        self.all.iter().filter(|known| known.names.is(name.as_bytes())).any(|known| {
            let place = |folder: &Path| folder.canonicalize().ok();
            known.folder == folder(path)
                || place(&known.folder).is_some_and(|ours| Some(ours) == place(folder(path)))
        })
    }
}

impl Names {
    fn is(&self, name: &[u8]) -> bool {
        match self {
            Self::File(own) => {
                let beside = name.strip_prefix(&own[..]);
                let made = name.strip_prefix(b".").and_then(|name| name.strip_prefix(&own[..]));
                beside.is_some_and(|rest| rest.is_empty() || rest.starts_with(UNTIL.as_bytes()))
                    || made
                        .is_some_and(|rest| [PART, MARK].iter().any(|kind| rest.starts_with(kind.as_bytes())))
            }
            Self::State => {
                let begins = |start: &str| name.starts_with(start.as_bytes());
                [&b"lock"[..], b"id", b"run"].contains(&name)
                    || ["checkpoint-", ".checkpoint", ".id.", ".run.", "outbox-", "rows-", TWIN]
                        .into_iter()
                        .any(begins)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_known_under_all_its_names_and_no_other_file_is() {
        let place = tempfile::tempdir().expect("a folder");
        let path = |name: &str| place.path().join(name);
        std::fs::write(path("out.csv"), "").expect("written");
        std::os::unix::fs::symlink("out.csv", path("link.csv")).expect("linked");
        let mut outputs = Outputs::default();
        outputs.add(&path("./out.csv"));
        outputs.add_state(&path("state"));
        std::fs::create_dir(path("state")).expect("made");
        let known = [
            "out.csv",
            ".out.csv.part-1-2",
            ".out.csv.state-1-2",
            "out.csv.until-30",
            "link.csv",
            "state/lock",
            "state/checkpoint-1",
            "state/id",
            "state/run",
            "state/rows-0123-1-0-0000000001",
            "state/outbox-0123-1-1-0000000001",
            "state/made-1-2",
        ];
        known.iter().for_each(|name| assert!(outputs.has(&path(name)), "{name}"));
        let others =
            ["in.csv", "out.csv.1", ".out.csv.swp", "out.csvx", "lock", "state/out.csv", "other/out.csv"];
        others.iter().for_each(|name| assert!(!outputs.has(&path(name)), "{name}"));
    }
}
