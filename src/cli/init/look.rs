//! Inspects the files, and joins what was found.

use std::path::{Path, PathBuf};

use super::alike::SimilarFiles;
use super::archive;
use super::found::{InputsFound, join};
use super::inputs::InitInput;
use super::series::of_one_logger;
use super::sort::{self, MOST_FILES};
use super::twins;
use crate::cli::guess::FileKind;
use tidemill_core::error::{Error, Result};

/// Inspects the files of all inputs.
pub(super) fn at(inputs: &[InitInput]) -> Result<InputsFound> {
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
    let mut found = all.ok_or_else(|| Error::usage("there is no input"))?;
    found.guess.doubts.extend(twins::doubts(&files));
    if found.guess.roles.sensor.is_empty()
        && found.guess.station.is_none()
        && found.guess.kind != FileKind::Influx
    {
        found.guess.series = of_one_logger(&files);
    }
    Ok(found)
}

/// Inspects the files that a name or a glob stands for.
fn named(input: &InitInput) -> Result<InputsFound> {
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
    let found = all.ok_or_else(|| Error::usage("there is no input"))?;
    Ok(InputsFound { paths: archive::named(input, paths), ..found })
}

/// Inspects the files of a folder with one extension; they are added to `files`.
fn folder(input: &InitInput, files: &mut Vec<PathBuf>) -> Result<InputsFound> {
    let size = |file: &Path| file.metadata().map_or(0, |meta| meta.len());
    let (alike, found) =
        sort::of_one(&format!("the folder {}", input.path), &input.files, &size, &archive::look)?;
    let names = |files: &[PathBuf]| files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
    let is_whole = found.paths == names(&alike);
    let paths = match is_whole {
        true => SimilarFiles { files: &alike, all: &input.files }.paths(&input.path, found.guess.kind),
        // Some are archives that are read in part.
        false => found.paths,
    };
    files.extend(alike);
    Ok(InputsFound { paths, ..found })
}
