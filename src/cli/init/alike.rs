//! Groups the files of a folder by extension, and names a group in the pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::inputs::{extension, plain_extension};
use crate::cli::guess::FileKind;

/// Extensions of data files, without the extension of a compression.
const EXTENSIONS: [&str; 11] =
    ["csv", "tsv", "txt", "dat", "jsonl", "ndjson", "json", "json-seq", "lp", "influx", "parquet"];

/// Files grouped by extension: extensions of data files first, then by total size, the largest first.
pub(super) fn sorts(files: &[PathBuf], size: &dyn Fn(&Path) -> u64) -> Vec<Vec<PathBuf>> {
    let mut sorts: BTreeMap<String, (Vec<PathBuf>, u64)> = BTreeMap::new();
    for file in files {
        let (files, bytes) = sorts.entry(plain_extension(file)).or_default();
        files.push(file.clone());
        *bytes += size(file);
    }
    let mut sorts: Vec<_> = sorts.into_iter().collect();
    sorts.sort_by_key(|(ending, (_, bytes))| (!EXTENSIONS.contains(&ending.as_str()), u64::MAX - bytes));
    sorts.into_iter().map(|(_, (files, _))| files).collect()
}

/// Files of a folder that have the same extension.
pub(super) struct SimilarFiles<'f> {
    pub(super) files: &'f [PathBuf],
    /// All files of the folder.
    pub(super) all: &'f [PathBuf],
}

impl SimilarFiles<'_> {
    /// How the pipeline names these files of `folder`, which `kind` reads: by a glob that matches exactly these files, or by the folder if it
    /// contains no others, or one by one.
    pub(super) fn paths(&self, folder: &str, kind: FileKind) -> Vec<String> {
        let all = |is_such: &dyn Fn(&Path) -> bool| {
            self.all.iter().filter(|file| is_such(file)).eq(self.files.iter())
        };
        let Some(ending) = ending(self.files) else {
            let extensions = extensions(kind);
            return match all(&|file| extensions.contains(&plain_extension(file).as_str())) {
                true => vec![folder.to_owned()],
                false => self.names(),
            };
        };
        match all(&|file| extension(file) == ending) {
            true => vec![glob_of(&glob::Pattern::escape(folder), ending)],
            false => self.names(),
        }
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.display().to_string()).collect()
    }
}

/// The extensions of the files that the source reads from a folder.
fn extensions(kind: FileKind) -> &'static [&'static str] {
    match kind {
        FileKind::Delimited => &["csv", "tsv", "txt"],
        FileKind::Json => &["jsonl", "ndjson", "json", "json-seq"],
        FileKind::Influx => &["lp", "influx"],
        FileKind::Parquet => &["parquet"],
    }
}

/// The common extension of all `files`, if there is one.
pub(super) fn ending(files: &[PathBuf]) -> Option<&str> {
    let endings: BTreeSet<&str> = files.iter().map(|file| extension(file)).collect();
    let mut endings = endings.into_iter();
    endings.next().filter(|_| endings.next().is_none())
}

/// The glob for the files of a folder with this extension.
pub(super) fn glob_of(folder: &str, ending: &str) -> String {
    format!("{}/*.{}", folder.trim_end_matches('/'), glob::Pattern::escape(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(files: &[&str], alike: &[&str]) -> Vec<String> {
        let paths = |names: &[&str]| names.iter().map(|name| Path::new("a[b]").join(name)).collect();
        let (all, files): (Vec<_>, Vec<_>) = (paths(files), paths(alike));
        SimilarFiles { files: &files, all: &all }.paths("a[b]/", FileKind::Delimited)
    }

    #[test]
    fn the_sort_that_has_the_most_bytes_comes_first() {
        let files = ["LICENSE", "a.csv", "b.csv.gz", "big.log", "notes.txt"].map(PathBuf::from);
        let size = |file: &Path| if file.starts_with("big.log") { 1000 } else { 10 };
        let first = |sorts: &[Vec<PathBuf>]| sorts.iter().map(|sort| sort[0].clone()).collect::<Vec<_>>();
        let names = ["a.csv", "notes.txt", "big.log", "LICENSE"].map(PathBuf::from);
        assert_eq!(first(&sorts(&files, &size)), names);
    }

    #[test]
    fn the_pipeline_names_all_files_of_one_sort_and_no_others() {
        assert_eq!(paths(&["1.csv", "2.csv", "n.txt"], &["1.csv", "2.csv"]), ["a[[]b[]]/*.csv"]);
        assert_eq!(paths(&["1.csv", "2.csv.gz", "3.csv"], &["1.csv", "2.csv.gz", "3.csv"]), ["a[b]/"]);
        assert_eq!(paths(&["A.CSV", "b.csv", "n.txt"], &["A.CSV", "b.csv"]), ["a[b]/A.CSV", "a[b]/b.csv"]);
        assert_eq!(paths(&["1.csv", "2.csv", "bad.csv"], &["1.csv", "2.csv"]), ["a[b]/1.csv", "a[b]/2.csv"]);
    }
}
