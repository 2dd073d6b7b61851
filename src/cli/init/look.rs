//! Looks at the files, and puts together what they have.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::inputs::{Input, extension, files_like};
use crate::cli::guess::{self, Guess, Kind};
use crate::error::{Error, Result};
use crate::format::encoding::{sniff, to_utf8};
use crate::source::{beginning, parquet_sample};

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
        let guess = standard_input()?;
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

fn look(path: &Path) -> Result<Guess> {
    let bytes = beginning(path, guess::SAMPLE)?;
    if bytes.starts_with(b"PAR1") {
        return parquet(path);
    }
    text(&path.display().to_string(), &bytes)
}

fn standard_input() -> Result<Guess> {
    let mut bytes = Vec::new();
    let mut input = std::io::stdin().lock().take(guess::SAMPLE as u64);
    input.read_to_end(&mut bytes).map_err(|error| Error::io("read", "standard input", &error))?;
    if bytes.starts_with(b"PAR1") {
        return Err(Error::usage("Parquet cannot be read from standard input").with_help("name the file"));
    }
    text("standard input", &bytes)
}

fn text(name: &str, bytes: &[u8]) -> Result<Guess> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(
            Error::data(format!("{name} is a zip archive")).with_help("unpack it, and name its files")
        );
    }
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
