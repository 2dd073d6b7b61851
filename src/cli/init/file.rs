//! What is in one file, or in one of an archive's.

use std::path::Path;

use crate::cli::guess::{self, FileKind, Guess};
use tidemill_core::error::{Error, Result};
use tidemill_core::format::encoding::{sniff, to_utf8};
use tidemill_engine::source::{InputFile, beginning, parquet_sample};

/// How many records of a Parquet file are looked at.
const PARQUET_SAMPLE: usize = 1000;

/// What is in it.
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
    // A NUL or two, or the bell of a terminal, are found in text; in other files, every eighth byte is such.
    // What RFC 7464 puts before every value of JSON is text too.
    let is_binary =
        |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace() && !matches!(**byte, 0 | 0x1e);
    if utf8.iter().filter(is_binary).count() * 50 > utf8.len() {
        return Err(Error::data(format!("{name} is neither text nor Parquet"))
            .with_help("name a file of delimited text, JSON, line protocol or Parquet"));
    }
    let none =
        || Error::data(format!("{name} has no records to look at")).with_help("name a file that has some");
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
    // A byte order mark has the last word anyway.
    let is_marked =
        [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| bytes.starts_with(mark));
    guess.encoding = Some(encoding).filter(|encoding| !is_marked && *encoding != "UTF-8");
    Ok(guess)
}

/// A Parquet file says itself where its records are.
fn parquet(path: &Path) -> Result<Guess> {
    let sample = parquet_sample(path, PARQUET_SAMPLE)?;
    let mut guess = guess::of_records(FileKind::Parquet, sample.names, sample.records);
    guess.unreadable = sample.unreadable;
    // That of times stored as such, and the usual one.
    if let Some(time) = guess.roles.time.as_mut().filter(|time| time.format == "rfc3339") {
        time.format.clear();
    }
    Ok(guess)
}
