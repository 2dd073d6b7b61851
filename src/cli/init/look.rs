//! Looks at the files, and puts together what they have.

use std::path::{Path, PathBuf};

use super::alike::Alike;
use super::inputs::Input;
use super::series::of_one_logger;
use super::twins;
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
    /// Files of folders that the pipeline does not read, and why.
    pub(super) left_out: Vec<(PathBuf, String)>,
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
        let paths = vec![inputs[0].path.clone()];
        return Ok(Found { paths, first: None, files: 1, left_out: Vec::new(), guess });
    }
    let mut found: Option<Found> = None;
    let (mut paths, mut left_out, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for input in inputs {
        if input.is_folder {
            let mut alike = folder(input, &mut found)?;
            let kind = found.as_ref().map_or(Kind::Delimited, |found| found.guess.kind);
            paths.extend(alike.paths(input, kind));
            left_out.append(&mut alike.left_out);
            files.append(&mut alike.files);
            continue;
        }
        for file in &input.files {
            if !is_enough(found.as_ref()) {
                join(&mut found, file, look(file)?)?;
            }
            files.push(file.clone());
        }
        paths.push(input.path.clone());
    }
    let mut found = found.ok_or_else(|| Error::usage("there is nothing to look at"))?;
    found.guess.doubts.extend(twins::doubts(&files));
    if found.guess.roles.sensor.is_empty()
        && found.guess.station.is_none()
        && found.guess.kind != Kind::Influx
    {
        found.guess.series = of_one_logger(&files);
    }
    Ok(Found { paths, left_out, ..found })
}

fn is_enough(found: Option<&Found>) -> bool {
    found.is_some_and(|found| found.files >= MOST_FILES)
}

/// The files of a folder that are like the first one that has measurements.
fn folder(input: &Input, found: &mut Option<Found>) -> Result<Alike> {
    let mut alike = Alike::default();
    for file in &input.files {
        let is_like = alike.is_like(file);
        let twin = twins::of(file, &alike.files);
        let mut leave_out = |why: String| alike.left_out.push((file.clone(), why));
        if !is_like {
            leave_out("its name ends otherwise".to_owned());
            continue;
        }
        if let Some(twin) = twin {
            leave_out(format!("it has the same as {}, packed otherwise", twin.display()));
            continue;
        }
        if !is_enough(found.as_ref()) {
            match look(file) {
                Err(error) => {
                    leave_out(error.to_string());
                    continue;
                }
                Ok(guess) if guess.roles.measurements.is_empty() => {
                    leave_out("it has no measurements".to_owned());
                    continue;
                }
                Ok(guess) => join(found, file, guess)?,
            }
        }
        alike.files.push(file.clone());
    }
    if alike.files.is_empty() {
        return Err(Error::unavailable(format!("the folder {} has no files with measurements", input.path))
            .with_help("name a file, to hear what it has"));
    }
    let others = input.others.iter().map(|file| (file.clone(), "its name ends otherwise".to_owned()));
    alike.left_out.extend(others);
    Ok(alike)
}

/// Adds what `file` has.
fn join(found: &mut Option<Found>, file: &Path, guess: Guess) -> Result<()> {
    match found {
        None => {
            let first = Some(file.to_owned());
            *found = Some(Found { paths: Vec::new(), first, files: 1, left_out: Vec::new(), guess });
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
    // What RFC 7464 puts before every value of JSON is text too.
    let is_binary =
        |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace() && !matches!(**byte, 0 | 0x1e);
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
    let sample = parquet_sample(path, PARQUET_SAMPLE)?;
    let mut guess = guess::of_records(Kind::Parquet, sample.names, sample.records);
    guess.unreadable = sample.unreadable;
    // That of times stored as such, and the usual one.
    if let Some(time) = guess.roles.time.as_mut().filter(|time| time.format == "rfc3339") {
        time.format.clear();
    }
    Ok(guess)
}
