//! Looks at the files, and puts together what they have.

use std::path::{Path, PathBuf};

use super::alike::Alike;
use super::archive;
use super::found::{InputsFound, join};
use super::inputs::Input;
use super::series::of_one_logger;
use super::sort::{self, MOST_FILES};
use super::twins;
use crate::cli::guess::FileKind;
use tidemill_core::error::{Error, Result};

/// Looks at the files of all inputs.
pub(super) fn at(inputs: &[Input]) -> Result<InputsFound> {
    if inputs[0].is_stdin() {
        return Ok(InputsFound { first: None, ..archive::look(Path::new("-"))? });
    }
    let (mut all, mut files) = (None, Vec::new());
    for input in inputs {
        let more = match input.is_folder {
            true => folder(input, &mut files)?,
            false => {
                files.extend(input.files.iter().cloned());
                named(input)?
            }
        };
        join(&mut all, more)?;
    }
    let mut found = all.ok_or_else(|| Error::usage("there is nothing to look at"))?;
    found.guess.doubts.extend(twins::doubts(&files));
    if found.guess.roles.sensor.is_empty()
        && found.guess.station.is_none()
        && found.guess.kind != FileKind::Influx
    {
        found.guess.series = of_one_logger(&files);
    }
    Ok(found)
}

/// The files that a name or a glob means.
fn named(input: &Input) -> Result<InputsFound> {
    let (mut all, mut seen, mut paths) = (None, 0, Vec::new());
    for file in &input.files {
        if seen >= MOST_FILES {
            break;
        }
        let found = archive::look(file)?;
        seen += found.files;
        paths.push(found.paths.clone());
        join(&mut all, found)?;
    }
    let found = all.ok_or_else(|| Error::usage("there is nothing to look at"))?;
    Ok(InputsFound { paths: archive::named(input, paths), ..found })
}

/// The files of a folder that are of one sort; they are added to `files`.
fn folder(input: &Input, files: &mut Vec<PathBuf>) -> Result<InputsFound> {
    let size = |file: &Path| file.metadata().map_or(0, |meta| meta.len());
    let (alike, found) =
        sort::of_one(&format!("the folder {}", input.path), &input.files, &size, &archive::look)?;
    let names = |files: &[PathBuf]| files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
    let is_whole = found.paths == names(&alike);
    let paths = match is_whole {
        true => Alike { files: &alike, all: &input.files }.paths(&input.path, found.guess.kind),
        // Some are archives of which not all is read.
        false => found.paths,
    };
    files.extend(alike);
    Ok(InputsFound { paths, ..found })
}
