//! Chooses the data files among the files of a folder or an archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::alike::sorts;
use super::found::{InputsFound, join};
use super::twins;
use tidemill_core::error::{Error, Result};

/// How many files are inspected.
pub(super) const MOST_FILES: usize = 50;

/// Of `files`, all in one `place`, the first group with measurements and, if any group has one, with a time; and what was found in
/// them.
pub(super) fn of_one(
    place: &str,
    files: &[PathBuf],
    size: &dyn Fn(&Path) -> u64,
    look: &dyn Fn(&Path) -> Result<InputsFound>,
) -> Result<(Vec<PathBuf>, InputsFound)> {
    let mut why_not = BTreeMap::new();
    let mut best = FileGroup::default();
    for sort in sorts(files, size) {
        let sort = FileGroup::of(&sort, look, &mut why_not);
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
        .with_help("name one file to see what it contains"));
    }
    let (alike, mut found) = best.joined(&mut why_not)?;
    let left_out = files.iter().filter(|file| !alike.contains(file)).map(|file| {
        let why = why_not.remove(file).unwrap_or_else(|| "its name has another extension".to_owned());
        (file.clone(), why)
    });
    found.left_out.extend(left_out);
    Ok((alike, found))
}

/// Files with the same extension.
#[derive(Default)]
struct FileGroup {
    /// Those that were inspected.
    looked: Vec<(PathBuf, InputsFound)>,
    /// Those beyond the number of files that are inspected.
    rest: Vec<PathBuf>,
}

impl FileGroup {
    /// Inspects `files`; `why_not` gets the reason for each that is not read.
    fn of(
        files: &[PathBuf],
        look: &dyn Fn(&Path) -> Result<InputsFound>,
        why_not: &mut BTreeMap<PathBuf, String>,
    ) -> Self {
        let mut sort = Self::default();
        let (mut known, mut seen): (Vec<PathBuf>, usize) = (Vec::new(), 0);
        for file in files {
            if let Some(twin) = twins::of(file, &known) {
                why_not.insert(
                    file.clone(),
                    format!("it has the same content as {}, compressed differently", twin.display()),
                );
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

    /// The files, and what was found in all of them. If some have a time, those without one are left out, unless they have the same column
    /// names.
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
        let found = all.ok_or_else(|| Error::usage("there is no input"))?;
        Ok((files, InputsFound { paths, ..found }))
    }
}
