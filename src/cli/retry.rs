//! `tidemill retry`: sends dead letters through the pipeline again, after somebody has repaired them.
//!
//! They are input of their own, in the format of the source: for each file that they came from, its header and then their raw text; of messages, the lines that
//! they became, with their fields. What windows and other stages remember of the first run is not there.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use serde::Deserialize;

use super::args::{FileArgs, RetryArgs};
use super::failure::Outcome;
use super::load::{self, locate, run_options};
use super::output;
use super::run::drive_with;
use super::summary::plural;
use tidemill_core::error::{Error, Result};
use tidemill_engine::pipeline::{Pipeline, SinkEntry};
use tidemill_engine::sink::{DeadLetter, Takes};
use tidemill_engine::source::OpenOptions;

/// A line of dead letters; the rest of it says why, and changes with the next attempt.
#[derive(Deserialize)]
struct Letter {
    file: String,
    raw: String,
    raw_hex: Option<String>,
}

/// The records of one file.
struct Records {
    file: String,
    raw: Vec<Vec<u8>>,
}

pub(super) fn retry(args: &RetryArgs) -> Outcome {
    let all = read(&args.rejects)?;
    let count: u64 = all.iter().map(|records| records.raw.len() as u64).sum();
    if count == 0 {
        output::note("there are no dead letters: nothing to do");
        return Ok(());
    }
    let own = load::pipeline(&args.pipeline)?;
    let folder = tempfile::tempdir().map_err(|error| Error::io("create", "a temporary folder", &error))?;
    let mut options = run_options(&args.drive);
    let mut instead = vec!["source.max_rejects=1.0".to_owned()];
    match Origin::of(&all, &own.pipeline)? {
        Origin::Files(headers) => {
            let paths = write(&all, &headers, &own.pipeline, folder.path())?;
            let paths: Vec<_> = paths.iter().map(|path| format!("{:?}", path.to_string_lossy())).collect();
            instead.extend([format!("source.path=[{}]", paths.join(", ")), "source.follow=false".to_owned()]);
        }
        Origin::Messages(letters) => options.open.letters = Some(letters),
    }
    let FileArgs { file, mut set, base } = args.pipeline.clone();
    // All that are rejected again are counted, however many.
    set.extend(instead);
    let mut resolved = load::pipeline(&FileArgs { file, set, base })?;
    let rest = absolute(args.rest.clone().unwrap_or_else(|| args.rejects.with_extension("rest.jsonl")))
        .map_err(|error| Error::io("find", "the current folder", &error))?;
    check_new(&rest)?;
    resolved.pipeline.sinks.retain(|sink| sink.spec.takes() != Takes::Rejections);
    check_outputs(&resolved.pipeline)?;
    // What is retried has no checkpoints: who repeats the command sends them once more.
    resolved.pipeline.sinks.iter_mut().for_each(|sink| sink.delivery = None);
    let letters = DeadLetter::new(rest.display().to_string());
    resolved.pipeline.sinks.push(SinkEntry::new(letters));
    resolved.pipeline.check_touched(&[]).map_err(|error| locate(&resolved, error))?;
    let report = drive_with(&resolved, &args.drive, &options)?;
    let again = report.rejects.malformed + report.rejects.late + report.rejects.ahead;
    let (passed, letters) = (count.saturating_sub(again), plural(count, "dead letter"));
    match again {
        0 => {
            // Nobody needs an empty file.
            let _stays = std::fs::remove_file(&rest);
            output::note(&format!("all of {letters} passed"));
        }
        again => {
            let rest = rest.display();
            output::note(&format!("{passed} of {letters} passed; {} in {rest}", plural(again, "record")));
        }
    }
    Ok(())
}

/// The dead letters in the file at `path`, by the files that they came from, in order.
fn read(path: &Path) -> Result<Vec<Records>> {
    let failed = |error: std::io::Error| Error::io("read", path.display(), &error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut all = Vec::<Records>::new();
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(failed)?;
        if line.trim().is_empty() {
            continue;
        }
        let letter: Letter = serde_json::from_str(&line).map_err(|error| {
            Error::data(format!("line {} of {} is no dead letter: {error}", at + 1, path.display()))
                .with_help("each line is a JSON object as the sink `dead_letter` writes it: `raw` may be changed, lines may be removed")
        })?;
        let raw = letter.bytes();
        match all.iter_mut().find(|records| records.file == letter.file) {
            Some(records) => records.raw.push(raw),
            None => all.push(Records { file: letter.file, raw: vec![raw] }),
        }
    }
    Ok(all)
}

impl Letter {
    /// The bytes of the record: those of `raw`, unless nobody has changed it since they were no UTF-8.
    fn bytes(&self) -> Vec<u8> {
        let hex = self.raw_hex.as_deref().and_then(from_hex);
        let original = hex.filter(|bytes| String::from_utf8_lossy(bytes) == self.raw);
        original.unwrap_or_else(|| self.raw.clone().into_bytes())
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    Some(digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect())
}

/// What the dead letters came from.
enum Origin {
    /// Files of text, each with this header.
    Files(Vec<Vec<u8>>),
    /// Messages: these lines.
    Messages(Arc<[Vec<u8>]>),
}

impl Origin {
    fn of(all: &[Records], pipeline: &Pipeline) -> Result<Self> {
        let [source] = &pipeline.sources[..] else {
            return Err(Error::config("dead letters do not say which of several sources they came from")
                .with_help("give the pipeline without the other sources, or repair their files"));
        };
        let spec = &source.spec;
        let headers = all.iter().map(|records| spec.header(&records.file)).collect::<Result<Vec<_>>>()?;
        if let Some(headers) = headers.into_iter().collect() {
            return Ok(Self::Files(headers));
        }
        let letters: Arc<[_]> = all.iter().flat_map(|records| records.raw.iter().cloned()).collect();
        let options = OpenOptions { letters: Some(Arc::clone(&letters)), ..OpenOptions::default() };
        match spec.open(&options)?.reads_letters() {
            true => Ok(Self::Messages(letters)),
            false => {
                let name = spec.name();
                let what =
                    format!("the source `{name}` does not read text: dead letters are no input for it");
                Err(Error::config(what).with_help(
                    "sources of text files (csv, tsv, jsonl, influx) and of messages (such as http, kafka and mqtt) can be retried",
                ))
            }
        }
    }
}

/// Writes the records into files in `folder`, behind their headers, as the source of the pipeline reads them; returns their paths.
fn write(all: &[Records], headers: &[Vec<u8>], pipeline: &Pipeline, folder: &Path) -> Result<Vec<PathBuf>> {
    let encodings = pipeline.sources.iter().map(|source| source.spec.parameters()["encoding"].clone());
    for encoding in encodings.filter_map(|encoding| Some(encoding.as_str()?.to_ascii_lowercase())) {
        if !["utf-8", "utf8", "auto"].contains(&&*encoding) {
            return Err(Error::config(format!("the input is in {encoding}, and dead letters are not"))
                .with_help(
                    "write the records into a file in UTF-8, and run the pipeline over that without `encoding`",
                ));
        }
    }
    let mut paths = Vec::new();
    for (at, (Records { raw, .. }, header)) in all.iter().zip(headers).enumerate() {
        let path = folder.join(format!("{at}.txt"));
        let failed = |error: std::io::Error| Error::io("write", path.display(), &error);
        let mut text = header.clone();
        raw.iter().for_each(|record| text.extend(record.iter().chain(b"\n")));
        std::fs::File::create(&path).and_then(|mut file| file.write_all(&text)).map_err(failed)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Output of the first run is not replaced by that of a few records.
fn check_outputs(pipeline: &Pipeline) -> Result<()> {
    for (at, sink) in pipeline.sinks.iter().enumerate() {
        if let Some(path) = sink.spec.file().filter(|path| path.exists()) {
            let what = format!("sink {at} ({}) would replace {}", sink.spec.name(), path.display());
            return Err(Error::config(what).with_help(format!(
                "write what passes elsewhere: --set sink.{at}.path=repaired.csv; a database or rolling files would add to what is there"
            )));
        }
    }
    Ok(())
}

fn check_new(rest: &Path) -> Result<()> {
    match rest.exists() {
        false => Ok(()),
        true => {
            Err(Error::usage(format!("{} exists, with dead letters of an earlier attempt", rest.display()))
                .with_help("repair and retry those, or name another file: --rest FILE"))
        }
    }
}
