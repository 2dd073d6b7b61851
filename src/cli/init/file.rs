//! Inspects one file, or one member of an archive.

use std::path::Path;

use crate::cli::guess::{self, FileKind, Guess};
use tidemill_core::error::{Error, Result};
use tidemill_core::format::encoding::{sniff, to_utf8};
use tidemill_engine::source::{InputFile, beginning, parquet_sample};

/// How many records of a Parquet file are inspected.
const PARQUET_SAMPLE: usize = 1000;

/// Inspects a file.
pub(super) fn look(file: &InputFile) -> Result<Guess> {
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
    // Text may have a few NULs or bells; in binary files, about every eighth byte is a control character.
    // The record separator of RFC 7464 belongs to JSON text.
    let is_binary =
        |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace() && !matches!(**byte, 0 | 0x1e);
    if utf8.iter().filter(is_binary).count() * 50 > utf8.len() {
        return Err(Error::data(format!("{name} is neither text nor Parquet"))
            .with_help("name a file of delimited text, JSON, line protocol or Parquet"));
    }
    let none = || Error::data(format!("{name} has no records")).with_help("name a file with records");
    if utf8.trim_ascii().is_empty() {
        return Err(none());
    }
    let mut guess = guess::guess(&utf8, bytes.len() < guess::SAMPLE);
    if let Some(refusal) = guess.refusal {
        return Err(Error::data(format!("no options read {name}: {}", refusal.why)).with_help(refusal.help));
    }
    if guess.names.is_empty() {
        return Err(none());
    }
    // A byte order mark overrides the option anyway.
    let is_marked =
        [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| bytes.starts_with(mark));
    guess.encoding = Some(encoding).filter(|encoding| !is_marked && *encoding != "UTF-8");
    Ok(guess)
}

/// A Parquet file describes its own columns.
fn parquet(path: &Path) -> Result<Guess> {
    let sample = parquet_sample(path, PARQUET_SAMPLE)?;
    let mut guess = guess::of_records(FileKind::Parquet, sample.names, sample.records);
    guess.unreadable = sample.unreadable;
    // The default, and that of columns of a timestamp type.
    if let Some(time) = guess.roles.time.as_mut().filter(|time| time.format == "rfc3339") {
        time.format.clear();
    }
    Ok(guess)
}
