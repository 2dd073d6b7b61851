//! The files that `init` was given: names, folders, globs, standard input.

use std::path::{Path, PathBuf};

use tidemill_core::error::{Error, Result};
use tidemill_engine::atomic::Outputs;
use tidemill_engine::source::{FileOptions, packed_extensions};

/// What one argument names.
#[derive(Debug)]
pub(super) struct InitInput {
    /// The `path` in the pipeline.
    pub(super) path: String,
    /// The files, in order.
    pub(super) files: Vec<PathBuf>,
    /// Whether other files than data files may be among them, which are then left out.
    pub(super) is_folder: bool,
}

impl InitInput {
    pub(super) fn is_stdin(&self) -> bool {
        self.path == STDIN
    }
}

const STDIN: &str = "-";

/// What all arguments name.
pub(super) fn inputs(arguments: &[PathBuf]) -> Result<Vec<InitInput>> {
    let inputs = arguments.iter().map(|path| input(path)).collect::<Result<Vec<_>>>()?;
    if inputs.len() > 1 && inputs.iter().any(InitInput::is_stdin) {
        return Err(Error::usage("standard input cannot be combined with files")
            .with_help("name either `-` or files"));
    }
    Ok(inputs)
}

fn input(path: &Path) -> Result<InitInput> {
    let Some(text) = path.to_str() else {
        return Err(Error::usage(format!("the name of {} is not UTF-8", path.display()))
            .with_help("rename it: a pipeline file is UTF-8 text"));
    };
    if path.is_dir() {
        return folder(path);
    }
    let is_pattern = text.contains(['*', '?', '[']) && !path.exists();
    let files = if is_pattern { matches(text)? } else { vec![path.to_owned()] };
    Ok(InitInput { path: text.to_owned(), files, is_folder: false })
}

/// The files that a glob matches; hidden files are never matched.
fn matches(pattern: &str) -> Result<Vec<PathBuf>> {
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::default() };
    let found = glob::glob_with(pattern, options).map_err(|error| {
        Error::usage(format!("the glob `{pattern}` cannot be used: {error}")).with_help("check its brackets")
    })?;
    let files: Vec<PathBuf> =
        found.filter_map(std::result::Result::ok).filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return in_archive(pattern);
    }
    Ok(files)
}

/// A glob for members of an archive is kept as it is: the reader of the archive expands it.
fn in_archive(pattern: &str) -> Result<Vec<PathBuf>> {
    let none = || {
        Error::unavailable(format!("no file matches `{pattern}`"))
            .with_help("check the glob; it is relative to the current folder")
    };
    let path = Path::new(pattern);
    let is_inside = path.ancestors().skip(1).any(Path::is_file);
    match FileOptions::from(pattern).files(&[], &Outputs::default()) {
        Ok(files) if !files.is_empty() => Ok(vec![path.to_owned()]),
        Err(error) if is_inside => Err(error),
        _ => Err(none()),
    }
}

/// The files in a folder. The pipeline gets a glob for those of one extension.
fn folder(path: &Path) -> Result<InitInput> {
    let name = &path.display().to_string();
    let entries = std::fs::read_dir(path).map_err(|error| Error::io("read the folder", name, &error))?;
    let is_hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.is_file() && !is_hidden(path));
    files.sort();
    if files.is_empty() {
        return Err(Error::unavailable(format!("the folder {name} has no files"))
            .with_help("name the files, or a folder with files"));
    }
    Ok(InitInput { path: name.clone(), files, is_folder: true })
}

/// The extension of a file, including that of a compression: `csv.gz`.
pub(super) fn extension(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |packed| name.strip_suffix(packed)?.strip_suffix('.');
    let stem = packed_extensions().find_map(plain).unwrap_or(name);
    stem.rfind('.').map_or("", |dot| &name[dot + 1..])
}

/// The extension in lower case, without that of a compression: `csv`.
pub(super) fn plain_extension(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
    extension(Path::new(&name)).split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_in_what_files_are() {
        assert_eq!(plain_extension(Path::new("a[b]/c.CSV.gz")), "csv");
        assert_eq!(extension(Path::new("x/y.csv.bz2")), "csv.bz2");
        assert_eq!(extension(Path::new("x/y.tar/z")), "");
    }

    #[test]
    fn a_glob_finds_no_hidden_files_and_says_when_it_finds_none() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.csv", "b.csv", ".c.csv"] {
            std::fs::write(folder.path().join(name), "t,v\n").expect("written");
        }
        let glob = |end: &str| input(&folder.path().join(end));
        assert_eq!(glob("*.csv").expect("files").files.len(), 2);
        assert!(glob("*.tsv").expect_err("none").to_string().contains("no file matches"));
    }

    #[test]
    fn standard_input_stands_alone() {
        assert!(inputs(&[PathBuf::from("-")]).expect("an input")[0].is_stdin());
        assert!(inputs(&[PathBuf::from("-"), PathBuf::from("a.csv")]).is_err());
    }
}
