//! Which files of a folder or an archive are of one sort, and what they have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::alike::sorts;
use super::found::{InputsFound, join};
use super::twins;
use tidemill_core::error::{Error, Result};

/// How many files are looked at.
pub(super) const MOST_FILES: usize = 50;

/// Those of `files`, which lie in one `place`, that are of the first sort with measurements and, if any has it, with a time; and what is to be
/// known of them.
pub(super) fn of_one(
    place: &str,
    files: &[PathBuf],
    size: &dyn Fn(&Path) -> u64,
    look: &dyn Fn(&Path) -> Result<InputsFound>,
) -> Result<(Vec<PathBuf>, InputsFound)> {
    let mut why_not = BTreeMap::new();
    let mut best = Sort::default();
    for sort in sorts(files, size) {
        let sort = Sort::of(&sort, look, &mut why_not);
        if best.rank() < sort.rank() {
            best = sort;
        }
        if best.has_time() {
            break;
        }
    }
    if best.looked.iter().all(|(_, found)| !found.is_measured()) {
        let first = files.iter().find_map(|file| Some(format!(": {}", why_not.get(file)?)));
        return Err(Error::unavailable(format!(
            "{place} has no files with measurements{}",
            first.unwrap_or_default()
        ))
        .with_help("name a file, to hear what it has"));
    }
    let (alike, mut found) = best.joined(&mut why_not)?;
    let left_out = files.iter().filter(|file| !alike.contains(file)).map(|file| {
        let why = why_not.remove(file).unwrap_or_else(|| "its name ends otherwise".to_owned());
        (file.clone(), why)
    });
    found.left_out.extend(left_out);
    Ok((alike, found))
}

/// Files whose names end alike.
#[derive(Default)]
struct Sort {
    /// Those that could be looked at.
    looked: Vec<(PathBuf, InputsFound)>,
    /// Those that were not looked at, because that is enough.
    rest: Vec<PathBuf>,
}

impl Sort {
    /// Looks at `files`, and says why some of them are not to be read.
    fn of(
        files: &[PathBuf],
        look: &dyn Fn(&Path) -> Result<InputsFound>,
        why_not: &mut BTreeMap<PathBuf, String>,
    ) -> Self {
        let mut sort = Self::default();
        let (mut known, mut seen): (Vec<PathBuf>, usize) = (Vec::new(), 0);
        for file in files {
            if let Some(twin) = twins::of(file, &known) {
                why_not
                    .insert(file.clone(), format!("it has the same as {}, packed otherwise", twin.display()));
                continue;
            }
            if seen >= MOST_FILES {
                sort.rest.push(file.clone());
                known.push(file.clone());
                continue;
            }
            seen += 1;
            match look(file) {
                Err(error) => drop(why_not.insert(file.clone(), error.to_string())),
                Ok(found) => {
                    known.push(file.clone());
                    sort.looked.push((file.clone(), found));
                }
            }
        }
        sort
    }

    /// Whether any has measurements, and a time.
    fn rank(&self) -> (bool, bool) {
        (self.looked.iter().any(|(_, found)| found.is_measured()), self.has_time())
    }

    fn has_time(&self) -> bool {
        self.looked.iter().any(|(_, found)| found.is_measured() && found.has_time())
    }

    /// The files, and what they have together. Where some have a time, others are not of their sort; those with the same names are, whatever
    /// they have.
    fn joined(self, why_not: &mut BTreeMap<PathBuf, String>) -> Result<(Vec<PathBuf>, InputsFound)> {
        let is_timed = self.has_time();
        let is_data = |found: &InputsFound| found.is_measured() && (!is_timed || found.has_time());
        let first = self.looked.iter().find(|(_, found)| is_data(found));
        let names = first.map(|(_, found)| found.guess.names.clone()).unwrap_or_default();
        let (mut files, mut paths, mut all) = (Vec::new(), Vec::new(), None);
        for (file, found) in self.looked {
            let is_data = is_data(&found);
            if !is_data && !found.guess.names.iter().all(|name| names.contains(name)) {
                let what = if found.is_measured() { "time" } else { "measurements" };
                why_not.insert(file, format!("it has no {what}"));
                continue;
            }
            files.push(file);
            paths.extend(found.paths.iter().cloned());
            if is_data {
                join(&mut all, found)?;
            }
        }
        paths.extend(self.rest.iter().map(|file| file.display().to_string()));
        files.extend(self.rest);
        let found = all.ok_or_else(|| Error::usage("there is nothing to look at"))?;
        Ok((files, InputsFound { paths, ..found }))
    }
}
