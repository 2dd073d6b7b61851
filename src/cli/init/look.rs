//! Looks at the files, and puts together what they have.

use std::path::{Path, PathBuf};

use super::inputs::{Input, extension, files_like};
use crate::atomic::Outputs;
use crate::cli::guess::{self, Guess, Kind};
use crate::error::{Error, Result};
use crate::format::encoding::{sniff, to_utf8};
use crate::source::{FileOptions, InputFile, beginning, parquet_sample};

/// What was found.
pub(super) struct Found {
    /// What the pipeline reads.
    pub(super) paths: Vec<String>,
    /// The file that the guess is mostly about; `None` for standard input.
    pub(super) first: Option<PathBuf>,
    /// How many files were looked at.
    pub(super) files: usize,
    pub(super) guess: Guess,
}

/// How many files are looked at.
const MOST_FILES: usize = 50;

/// How many records of a Parquet file are looked at.
const PARQUET_SAMPLE: usize = 1000;

/// Looks at the files of all inputs.
pub(super) fn at(inputs: &[Input]) -> Result<Found> {
    if inputs[0].is_stdin() {
        let guess = look(Path::new("-"))?;
        return Ok(Found { paths: vec![inputs[0].path.clone()], first: None, files: 1, guess });
    }
    let mut found: Option<Found> = None;
    let mut paths = Vec::new();
    for input in inputs {
        let mut of_input: Option<PathBuf> = None;
        for file in &input.files {
            // A folder's glob is for the files that are like the first one.
            let is_other = |first: &PathBuf| extension(first) != extension(file);
            if input.is_folder && of_input.as_ref().is_some_and(is_other) {
                continue;
            }
            let guess = match look(file) {
                Err(_) if input.is_folder => continue,
                guess => guess?,
            };
            if input.is_folder && guess.roles.measurements.is_empty() {
                continue;
            }
            of_input.get_or_insert_with(|| file.clone());
            join(&mut found, file, guess)?;
            if found.as_ref().is_some_and(|found| found.files == MOST_FILES) {
                break;
            }
        }
        paths.push(match of_input {
            Some(first) if input.is_folder => files_like(&input.path, &first),
            None if input.is_folder => {
                return Err(Error::unavailable(format!(
                    "the folder {} has no files with measurements",
                    input.path
                ))
                .with_help("name a file, to hear what it has"));
            }
            _ => input.path.clone(),
        });
    }
    let found = found.ok_or_else(|| Error::usage("there is nothing to look at"))?;
    Ok(Found { paths, ..found })
}

/// Adds what `file` has.
fn join(found: &mut Option<Found>, file: &Path, guess: Guess) -> Result<()> {
    match found {
        None => {
            *found = Some(Found { paths: Vec::new(), first: Some(file.to_owned()), files: 1, guess });
            Ok(())
        }
        Some(known) => {
            if let Some(why) = known.guess.differs_in(&guess) {
                let first = known.first.as_deref().unwrap_or(file);
                return Err(Error::usage(format!(
                    "{} and {} cannot be read by one source: {why}",
                    first.display(),
                    file.display()
                ))
                .with_help("look at those that are alike, each sort by itself"));
            }
            known.guess.join(guess);
            known.files += 1;
            Ok(())
        }
    }
}

/// What is in the file at `path`; in all of its files where it is an archive.
fn look(path: &Path) -> Result<Guess> {
    let written = path.to_str().unwrap_or_default();
    let files = FileOptions::from(written).files(&[], &Outputs::default())?;
    let mut guesses = files.iter().take(MOST_FILES).map(|file| look_at(file).map(|guess| (file, guess)));
    let (first, mut guess) = guesses.next().ok_or_else(|| Error::usage("there is nothing to look at"))??;
    for other in guesses {
        let (file, other) = other?;
        if let Some(why) = guess.differs_in(&other) {
            return Err(Error::usage(format!(
                "{} and {} cannot be read by one source: {why}",
                first.name, file.name
            ))
            .with_help(format!("name those that are alike, such as `{}/*.csv`", path.display())));
        }
        guess.join(other);
    }
    Ok(guess)
}

fn look_at(file: &InputFile) -> Result<Guess> {
    let bytes = beginning(file, guess::SAMPLE)?;
    match &file.path {
        Some(path) if bytes.starts_with(b"PAR1") && file.member.is_none() => parquet(path),
        _ if bytes.starts_with(b"PAR1") => {
            Err(Error::usage(format!("{} is Parquet, which is read from files only", file.name))
                .with_help("save it to a file, and name that"))
        }
        None => text("standard input", &bytes),
        _ => text(&file.name, &bytes),
    }
}

fn text(name: &str, bytes: &[u8]) -> Result<Guess> {
    let encoding = sniff(bytes);
    let utf8 = to_utf8(bytes, encoding);
    // A NUL or two, or the bell of a terminal, are found in text; in other files, every eighth byte is such.
    let is_binary = |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace() && **byte != 0;
    if utf8.iter().filter(is_binary).count() * 50 > utf8.len() {
        return Err(Error::data(format!("{name} is neither text nor Parquet"))
            .with_help("name a file of delimited text, JSON, line protocol or Parquet"));
    }
    let mut guess = guess::guess(&utf8, bytes.len() < guess::SAMPLE);
    if guess.names.is_empty() {
        return Err(
            Error::data(format!("{name} has no records to look at")).with_help("name a file that has some")
        );
    }
    if let Some(refusal) = guess.refusal {
        return Err(Error::data(format!("no options read {name}: {refusal}")).with_help(
            "a comma as decimal mark and as delimiter cannot be told apart: export it with another delimiter, or give it names for all fields",
        ));
    }
    // A byte order mark has the last word anyway.
    let is_marked =
        [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| bytes.starts_with(mark));
    guess.encoding = Some(encoding).filter(|encoding| !is_marked && *encoding != "UTF-8");
    Ok(guess)
}

/// A Parquet file says itself where its records are.
fn parquet(path: &Path) -> Result<Guess> {
    let (names, records) = parquet_sample(path, PARQUET_SAMPLE)?;
    let mut guess = guess::of_records(Kind::Parquet, names, records);
    // That of times stored as such, and the usual one.
    if let Some(time) = guess.roles.time.as_mut().filter(|time| time.format == "rfc3339") {
        time.format.clear();
    }
    Ok(guess)
}
