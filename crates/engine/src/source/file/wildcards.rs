//! Files that match a glob.
//!
//! `*`, `?` and `[…]` match parts of a name, `**` any number of folders. A name that begins with a dot only matches a pattern that begins
//! with one. In names that are not UTF-8, each invalid byte counts as one character.

use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::remote::RemoteFile;
use crate::error::{Error, Result};
use crate::files::Base;

/// A file that matches, and the length of its path before the first name with a wildcard.
pub(super) struct GlobMatch {
    pub(super) path: PathBuf,
    pub(super) fixed: PathBuf,
    /// The file, if the path is an address.
    pub(super) remote: Option<RemoteFile>,
}

/// Whether a text contains wildcards.
pub(super) fn has_wildcards(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// One name of a pattern.
enum NamePattern {
    Fixed(String),
    Wild(Pattern),
    /// `**`
    Folders,
}

/// The files that match `pattern`, resolved against `base` if it is relative, sorted by path.
///
/// # Errors
/// A configuration error if it is not a valid glob; an I/O error if a folder cannot be read.
pub(super) fn matches(pattern: &str, base: &Base) -> Result<Vec<GlobMatch>> {
    let is_no_glob =
        |error: &glob::PatternError| Error::config(format!("`{pattern}` is not a valid glob: {error}"));
    // Parsed as a whole, so that positions in the message are right.
    Pattern::new(pattern).map_err(|error| is_no_glob(&error))?;
    let mut names = Vec::new();
    for name in pattern.split('/').filter(|name| !name.is_empty()) {
        names.push(match name {
            "**" => NamePattern::Folders,
            name if has_wildcards(name) => {
                NamePattern::Wild(Pattern::new(name).map_err(|error| is_no_glob(&error))?)
            }
            name => NamePattern::Fixed(name.to_owned()),
        });
    }
    if matches!(names.last(), Some(NamePattern::Folders)) {
        names.push(NamePattern::Wild(Pattern::new("*").map_err(|error| is_no_glob(&error))?));
    }
    let fixed = names.iter().map_while(|name| match name {
        NamePattern::Fixed(name) => Some(name.as_str()),
        _ => None,
    });
    let root = if pattern.starts_with('/') { Path::new("/") } else { base.folder() };
    let fixed: PathBuf = std::iter::once(root).chain(fixed.map(Path::new)).collect();
    let mut paths = Vec::new();
    walk(root, &names, &mut paths).map_err(|(path, error)| Error::io("look at", path.display(), &error))?;
    paths.sort();
    paths.dedup();
    Ok(paths.into_iter().map(|path| GlobMatch { path, fixed: fixed.clone(), remote: None }).collect())
}

type Failure = (PathBuf, io::Error);

/// Adds the files below `folder` that match `names`.
fn walk(folder: &Path, names: &[NamePattern], found: &mut Vec<PathBuf>) -> std::result::Result<(), Failure> {
    let Some((name, rest)) = names.split_first() else { return Ok(()) };
    match name {
        NamePattern::Fixed(name) => {
            let path = folder.join(name);
            match rest {
                [] if path.is_file() => found.push(path),
                [] => {}
                rest => walk(&path, rest, found)?,
            }
        }
        NamePattern::Wild(pattern) => {
            for entry in entries(folder, |name| fits(pattern, name))? {
                match rest {
                    [] if entry.is_file => found.push(entry.path),
                    [] => {}
                    rest if entry.is_folder => walk(&entry.path, rest, found)?,
                    _ => {}
                }
            }
        }
        NamePattern::Folders => {
            walk(folder, rest, found)?;
            // Links to folders could form cycles.
            for entry in entries(folder, |name| !name.starts_with('.'))? {
                if entry.is_folder && !entry.is_link {
                    walk(&entry.path, names, found)?;
                }
            }
        }
    }
    Ok(())
}

fn fits(pattern: &Pattern, name: &str) -> bool {
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    pattern.matches_with(name, options)
}

struct FolderEntry {
    path: PathBuf,
    is_file: bool,
    is_folder: bool,
    is_link: bool,
}

/// The entries of `folder` with a matching name; empty if there is no such folder.
fn entries(folder: &Path, fits: impl Fn(&str) -> bool) -> std::result::Result<Vec<FolderEntry>, Failure> {
    let read = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed = |error| (read.to_owned(), error);
    let all = match std::fs::read_dir(read) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        all => all.map_err(failed)?,
    };
    let mut entries = Vec::new();
    for entry in all {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if !fits(&name.to_string_lossy()) {
            continue;
        }
        let (path, kind) = (folder.join(name), entry.file_type().map_err(failed)?);
        let (is_file, is_folder) = match kind.is_symlink() {
            true => (path.is_file(), path.is_dir()),
            false => (kind.is_file(), kind.is_dir()),
        };
        entries.push(FolderEntry { path, is_file, is_folder, is_link: kind.is_symlink() });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_takes_what_fits_and_nothing_hidden() {
        let place = tempfile::tempdir().expect("a folder");
        let root = place.path();
        for name in
            ["a.csv", "b.txt", ".hidden.csv", "d/a.csv", "d/e/b.csv", ".d/c.csv", "d/.e/d.csv", "[x]/e.csv"]
        {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        std::os::unix::fs::symlink("..", root.join("d/up")).expect("linked");
        let found = |pattern: &str| -> Vec<String> {
            let fits = matches(pattern, &Base::new(root)).expect("a glob");
            let whole = matches(&format!("{}/{pattern}", root.display()), &Base::default());
            let paths = |fits: &[GlobMatch]| fits.iter().map(|fit| fit.path.clone()).collect::<Vec<_>>();
            assert_eq!(paths(&fits), paths(&whole.expect("a glob")));
            let own =
                |fit: GlobMatch| fit.path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
            fits.into_iter().map(own).collect()
        };
        assert_eq!(found("*"), ["a.csv", "b.txt"]);
        assert_eq!(found(".*"), [".hidden.csv"]);
        assert_eq!(found("*/a.csv"), ["d/a.csv"]);
        assert_eq!(found("**/*.csv"), ["[x]/e.csv", "a.csv", "d/a.csv", "d/e/b.csv"]);
        assert_eq!(found("d/**"), ["d/a.csv", "d/e/b.csv"]);
        assert_eq!(found(".?/*.csv"), [".d/c.csv"]);
        assert_eq!(found("d/.e/*"), ["d/.e/d.csv"]);
        assert_eq!(found("[[]x]/*"), ["[x]/e.csv"]);
        assert_eq!(found("none/*"), [""; 0]);
    }
}
