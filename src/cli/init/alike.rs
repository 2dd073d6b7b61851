//! Which files of a folder are of one sort, and how the pipeline names them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::inputs::{Input, extension, plain_extension};
use crate::cli::guess::Kind;

/// What a folder has.
#[derive(Debug, Default)]
pub(super) struct Alike {
    /// The files of the sort of the first one that has measurements.
    pub(super) files: Vec<PathBuf>,
    /// The others, and why each is left out.
    pub(super) left_out: Vec<(PathBuf, String)>,
}

impl Alike {
    /// Whether `file` is called as those are that were found so far.
    pub(super) fn is_like(&self, file: &Path) -> bool {
        self.files.first().is_none_or(|first| plain_extension(first) == plain_extension(file))
    }

    /// How the pipeline names these files of `folder`, which `kind` reads: by a glob that finds those alone, or as the folder if its files are
    /// those alone, or each.
    pub(super) fn paths(&self, folder: &Input, kind: Kind) -> Vec<String> {
        let all = |is_such: &dyn Fn(&Path) -> bool| {
            let such = folder.files.iter().chain(&folder.others).filter(|file| is_such(file));
            such.eq(self.files.iter())
        };
        let endings: BTreeSet<&str> = self.files.iter().map(|file| extension(file)).collect();
        let [ending] = endings.into_iter().collect::<Vec<_>>()[..] else {
            let extensions = extensions(kind);
            return match all(&|file| extensions.contains(&plain_extension(file).as_str())) {
                true => vec![folder.path.clone()],
                false => self.names(),
            };
        };
        match all(&|file| extension(file) == ending) {
            true => vec![glob_of(&folder.path, ending)],
            false => self.names(),
        }
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.display().to_string()).collect()
    }
}

/// What the names of files end in that the source takes from a folder.
fn extensions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Delimited => &["csv", "tsv", "txt"],
        Kind::Json => &["jsonl", "ndjson", "json"],
        Kind::Influx => &["lp", "influx"],
        Kind::Parquet => &["parquet"],
    }
}

fn glob_of(folder: &str, ending: &str) -> String {
    format!("{}/*.{}", glob::Pattern::escape(folder).trim_end_matches('/'), glob::Pattern::escape(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(files: &[&str], alike: &[&str]) -> Vec<String> {
        let paths = |names: &[&str]| names.iter().map(|name| Path::new("a[b]").join(name)).collect();
        let folder = Input { path: "a[b]/".into(), files: paths(files), is_folder: true, others: Vec::new() };
        Alike { files: paths(alike), left_out: Vec::new() }.paths(&folder, Kind::Delimited)
    }

    #[test]
    fn the_pipeline_names_all_files_of_one_sort_and_no_others() {
        assert_eq!(paths(&["1.csv", "2.csv", "n.txt"], &["1.csv", "2.csv"]), ["a[[]b[]]/*.csv"]);
        assert_eq!(paths(&["1.csv", "2.csv.gz", "3.csv"], &["1.csv", "2.csv.gz", "3.csv"]), ["a[b]/"]);
        assert_eq!(paths(&["A.CSV", "b.csv", "n.txt"], &["A.CSV", "b.csv"]), ["a[b]/A.CSV", "a[b]/b.csv"]);
        assert_eq!(paths(&["1.csv", "2.csv", "bad.csv"], &["1.csv", "2.csv"]), ["a[b]/1.csv", "a[b]/2.csv"]);
    }
}
