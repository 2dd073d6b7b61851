//! The file at a path, or the data files of the archive at a path; other files of the archive are left out of the pipeline's `path`.

use std::path::{Path, PathBuf};

use super::alike::{ending, glob_of};
use super::file;
use super::found::InputsFound;
use super::inputs::InitInput;
use super::sort;
use tidemill_core::error::{Error, Result};
use tidemill_engine::atomic::Outputs;
use tidemill_engine::source::{FileOptions, InputFile};

/// Inspects the file at `path`; of an archive, its files of one extension.
pub(super) fn look(path: &Path) -> Result<InputsFound> {
    let written = path.to_str().unwrap_or_default();
    let files = FileOptions::from(written).files(&[], &Outputs::default())?;
    match files.as_slice() {
        [only] => file::look(only).map(|guess| InputsFound::of(path, guess)),
        members => of_members(path, members),
    }
}

fn of_members(path: &Path, members: &[InputFile]) -> Result<InputsFound> {
    let written = path.display().to_string();
    let names: Vec<PathBuf> = members.iter().map(|member| PathBuf::from(&*member.name)).collect();
    let member = |name: &Path| members.iter().find(|member| Path::new(&*member.name) == name);
    let size = |name: &Path| member(name).and_then(InputFile::len).unwrap_or(0);
    let look = |name: &Path| match member(name) {
        Some(member) => file::look(member).map(|guess| InputsFound::of(name, guess)),
        None => Err(Error::unavailable(format!("{} does not exist", name.display()))),
    };
    let (alike, found) = sort::of_one(&written, &names, &size, &look)?;
    let paths = if alike == names { vec![written] } else { paths(path, &alike) };
    Ok(InputsFound { paths, first: Some(path.to_owned()), files: 1, ..found })
}

/// How the pipeline names `files` of the archive at `path`: by a glob that matches exactly these, or one by one.
fn paths(path: &Path, files: &[PathBuf]) -> Vec<String> {
    let written = path.display().to_string();
    let finds = |pattern: &String| {
        let found = FileOptions::from(pattern.as_str()).files(&[], &Outputs::default()).unwrap_or_default();
        found.iter().map(|file| Path::new(&*file.name)).eq(files.iter().map(PathBuf::as_path))
    };
    let globs = ending(files).into_iter().flat_map(|ending| {
        let inside = files[0].parent().and_then(|folder| folder.strip_prefix(path).ok());
        let inside = inside.map(|folder| glob::Pattern::escape(&folder.display().to_string()));
        // A glob within the path is extended.
        let beside =
            path.parent().filter(|_| written.contains('*')).map(|folder| folder.display().to_string());
        let folders =
            [inside.map(|folder| format!("{written}/{folder}")), beside, Some(format!("{written}/**"))];
        folders.into_iter().flatten().map(move |folder| glob_of(&folder, ending))
    });
    let names = || files.iter().map(|file| file.display().to_string()).collect();
    globs.into_iter().find(finds).map_or_else(names, |glob| vec![glob])
}

/// How the pipeline names the files of `input`; `paths` has, for the first of them, what is read of each. If these agree, the input is named as the user wrote it.
pub(super) fn named(input: &InitInput, paths: Vec<Vec<String>>) -> Vec<String> {
    let inside = |(file, paths): (&PathBuf, &Vec<String>)| {
        let [only] = paths.as_slice() else { return None };
        only.strip_prefix(&file.display().to_string()).map(str::to_owned)
    };
    let mut all = input.files.iter().zip(&paths).map(inside);
    if let Some(first) = all.next().flatten()
        && all.all(|other| other.as_ref() == Some(&first))
    {
        return vec![format!("{}{first}", input.path)];
    }
    let rest = input.files[paths.len()..].iter().map(|file| file.display().to_string());
    let rest: Vec<String> = rest.collect();
    paths.into_iter().flatten().chain(rest).collect()
}
