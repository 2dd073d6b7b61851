//! Files whose paths are addresses, such as objects in a store, by address, glob and folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, Pattern};

use super::remote::{RemoteFile, read_error};
use super::wildcards::{GlobMatch, has_wildcards};
use crate::error::{Error, Result};
use crate::files::{FileHandle, FileSystem};

/// Opens the file at `path`; `None` if there is none.
///
/// # Errors
/// An I/O error.
pub(super) fn open(path: &Path, files: &dyn FileSystem) -> Result<Option<RemoteFile>> {
    match files.open(path).and_then(RemoteFile::new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => file.map(Some).map_err(|error| read_error(&path.to_string_lossy(), &error)),
    }
}

/// Whether an address has wildcards behind the host or bucket.
pub(super) fn is_glob(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split_once('/').is_some_and(|(_, names)| has_wildcards(names))
}

/// The files that match `address`, sorted by path. A name that begins with a dot only matches a pattern that begins with one.
///
/// # Errors
/// A configuration error if it is not a valid glob; an I/O error.
pub(super) fn matches(address: &str, files: &dyn FileSystem) -> Result<Vec<GlobMatch>> {
    let pattern = Pattern::new(address)
        .map_err(|error| Error::config(format!("`{address}` is not a valid glob: {error}")))?;
    let options = MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..MatchOptions::new()
    };
    let is_fixed = |end: &usize| !has_wildcards(&address[..*end]);
    let fixed = address.match_indices('/').map(|(at, _)| at).take_while(is_fixed).last();
    let fixed = Path::new(fixed.map_or(address, |end| &address[..end]));
    let fits = |path: &Path| pattern.matches_path_with(path, options);
    below(fixed, fixed, &fits, files).map_err(|error| read_error(address, &error))
}

/// The files in the folder at `path` that are wanted, sorted by name.
///
/// # Errors
/// An I/O error.
pub(super) fn folder(
    path: &Path,
    is_wanted: impl Fn(&Path) -> bool,
    files: &dyn FileSystem,
) -> Result<Vec<GlobMatch>> {
    let fits = |file: &Path| file.parent() == Some(path) && is_wanted(file);
    match below(path, path, &fits, files) {
        // Where nothing can be listed, there are no folders.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Vec::new()),
        found => found.map_err(|error| read_error(&path.to_string_lossy(), &error)),
    }
}

fn below(
    folder: &Path,
    fixed: &Path,
    fits: &dyn Fn(&Path) -> bool,
    files: &dyn FileSystem,
) -> io::Result<Vec<GlobMatch>> {
    let mut found = files.files_below(folder, fits)?;
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let fit = |(path, handle): (PathBuf, Arc<dyn FileHandle>)| {
        Ok(GlobMatch { path, fixed: fixed.to_owned(), remote: Some(RemoteFile::new(handle)?) })
    };
    found.into_iter().map(fit).collect()
}

#[cfg(test)]
mod tests {
    use crate::atomic::Outputs;
    use crate::files::memory::Memory;
    use crate::source::file::FileOptions;
    use crate::source::file::seen::Seen;

    fn found(path: &str) -> Vec<String> {
        let files = FileOptions::from(path).files(&["csv"], &Outputs::default());
        let mut names: Vec<_> =
            files.map(|files| files.iter().map(|file| file.name.to_string()).collect()).unwrap_or_default();
        names.iter_mut().for_each(|name: &mut String| *name = name.replace("memory://search/", ""));
        names
    }

    #[test]
    fn addresses_globs_and_folders_are_those_of_paths() {
        for key in [
            "b.csv",
            "a.csv",
            "deep/c.csv.gz",
            "deep/er/d.csv",
            "deep/.hidden.csv",
            "deep/note.txt",
            "x[1].csv",
        ] {
            Memory::put(format!("memory://search/{key}"), b"t,v\n");
        }
        for (path, expected) in [
            ("memory://search/a.csv", &["a.csv"][..]),
            ("memory://search/*.csv", &["a.csv", "b.csv", "x[1].csv"]),
            ("memory://search/?.csv", &["a.csv", "b.csv"]),
            ("memory://search/**/*.csv", &["a.csv", "b.csv", "deep/er/d.csv", "x[1].csv"]),
            ("memory://search/deep/*", &["deep/c.csv.gz", "deep/note.txt"]),
            ("memory://search/deep/.*.csv", &["deep/.hidden.csv"]),
            ("memory://search/deep", &["deep/c.csv.gz"]),
            ("memory://search/deep/", &["deep/c.csv.gz"]),
            ("memory://search/nothing.csv", &[]),
            ("memory://search/nothing/*.csv", &[]),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
    }

    #[test]
    fn another_content_is_another_file() {
        let look = || {
            FileOptions::from("memory://search/seen/x.csv")
                .files(&["csv"], &Outputs::default())
                .expect("found")
                .remove(0)
        };
        Memory::put("memory://search/seen/x.csv", b"one");
        let (first, seen) = (look(), Seen::of(&look()).expect("seen"));
        assert_eq!(Seen::of(&look()).expect("seen"), seen);
        assert!(first.is_at_rest() && first.len() == Some(3));
        Memory::put("memory://search/seen/x.csv", b"two");
        assert_ne!(Seen::of(&look()).expect("seen"), seen);
    }
}
