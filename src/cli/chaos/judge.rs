//! What has arrived at each sink, against what a run without faults has written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::child::Ended;
use super::compare::{Difference, compare, lines};
use super::setup::{CHAOS, QUIET, Setup};
use super::sinks::{Evidence, Promise, SinkSetup};
use super::supervise::Supervised;
use tidemill_core::error::{Error, Result};
use tidemill_engine::chaos::{Event, Line, recorded};

/// What is known about the records of a sink.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SinkVerdict {
    pub(super) sink: String,
    pub(super) promise: String,
    /// How that was found out.
    pub(super) judged_by: JudgedBy,
    /// The records of a run without faults.
    pub(super) expected: Option<u64>,
    /// The records that have arrived.
    pub(super) arrived: Option<u64>,
    pub(super) lost: Option<u64>,
    /// The records that have arrived more than once; at most so many, if judged by acknowledgements.
    pub(super) repeated: Option<u64>,
    /// The records that a run without faults does not have.
    pub(super) unexpected: Option<u64>,
    /// Whether the promise was kept, as far as that is known.
    pub(super) is_kept: Option<bool>,
    /// What is wrong, apart from those figures.
    pub(super) remark: Option<String>,
}

/// What the figures of a sink are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum JudgedBy {
    /// The bytes of its file.
    Bytes,
    /// Its records, in any order.
    Records,
    /// The number of records in its target: what was lost and what came twice may cancel each other.
    Count,
    /// What its target has acknowledged.
    Acknowledgements,
    Nothing,
}

/// The number of records in the target of each sink that has a command for it.
pub(super) fn counts(setup: &Setup) -> Result<Vec<Option<u64>>> {
    let count = |sink: &SinkSetup| sink.count.as_deref().map(counted).transpose();
    setup.sinks.iter().map(count).collect()
}

fn counted(command: &str) -> Result<u64> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = shell.output().map_err(|error| Error::io("run", "sh", &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.trim().parse().ok().filter(|_| output.status.success());
    number.ok_or_else(|| {
        Error::unavailable(format!("--count-by: the command `{command}` prints no number of records"))
            .with_help("it must print one number and end with success")
    })
}

/// Judges all sinks; `before` has the numbers of records in their targets before the run.
pub(super) fn judge(
    setup: &Setup,
    quiet: &Ended,
    run: &Supervised,
    before: &[Option<u64>],
) -> Result<Vec<SinkVerdict>> {
    let after = counts(setup)?;
    let judged =
        setup.sinks.iter().enumerate().map(|(at, sink)| match (sink.evidence, before[at], after[at]) {
            (Evidence::Acknowledgements, Some(before), Some(after)) => {
                by_count(sink, expected(&quiet.lines, at), before, after)
            }
            (Evidence::File, ..) => by_file(sink, &setup.output(QUIET, at), &setup.output(CHAOS, at)),
            (Evidence::Files, ..) => by_files(sink, &setup.output(QUIET, at), &setup.output(CHAOS, at)),
            (Evidence::StandIn, ..) => {
                by_stand_in(sink, &setup.stand_in(QUIET, at), &setup.stand_in(CHAOS, at))
            }
            (Evidence::Acknowledgements, ..) => {
                Ok(by_acknowledgements(sink, expected(&quiet.lines, at), &run.lines, at))
            }
            (Evidence::Nothing, ..) => Ok(unjudged(sink, None)),
        });
    judged.collect()
}

/// The records that the stand-in of sink `at` was sent, which in a run without faults is once.
fn expected(quiet: &[Line], at: usize) -> u64 {
    epochs(quiet, at).values().sum()
}

/// By epoch that sink `at` has delivered: its records.
fn epochs(lines: &[Line], at: usize) -> BTreeMap<u64, u64> {
    let delivered = lines.iter().filter_map(|line| match line.event {
        Event::Delivered { sink, epoch, records } if sink == at => Some((epoch, records)),
        _ => None,
    });
    delivered.collect()
}

fn by_stand_in(sink: &SinkSetup, quiet: &Path, chaos: &Path) -> Result<SinkVerdict> {
    let (quiet, chaos) = (recorded(quiet)?, recorded(chaos)?);
    Ok(found(sink, JudgedBy::Records, compare(lines(&quiet), lines(&chaos))))
}

fn by_file(sink: &SinkSetup, quiet: &Path, chaos: &Path) -> Result<SinkVerdict> {
    let (expected, Some(arrived)) = (read(quiet)?.unwrap_or_default(), read(chaos)?) else {
        return Ok(missing(sink, "the file was not published"));
    };
    if std::str::from_utf8(&expected).is_err() || std::str::from_utf8(&arrived).is_err() {
        return Ok(match expected == arrived {
            true => SinkVerdict {
                is_kept: Some(true),
                lost: Some(0),
                repeated: Some(0),
                unexpected: Some(0),
                ..unjudged(sink, Some(JudgedBy::Bytes))
            },
            false => missing(sink, "the bytes of the file differ"),
        });
    }
    let headers = headers(sink);
    let difference = compare(lines(&expected).skip(headers), lines(&arrived).skip(headers));
    let verdict = found(sink, JudgedBy::Bytes, difference);
    let is_reordered = expected != arrived
        && verdict.is_kept == Some(true)
        && !sink.promise.may_repeat
        && !sink.promise.may_lose;
    Ok(match is_reordered {
        true => SinkVerdict {
            is_kept: Some(false),
            remark: Some("the records are in another order".into()),
            ..verdict
        },
        false => verdict,
    })
}

/// Files that roll begin at other records under faults: their records are compared, without the headers.
fn by_files(sink: &SinkSetup, quiet: &Path, chaos: &Path) -> Result<SinkVerdict> {
    if sink.name == "parquet" {
        let why = "rolling Parquet files begin at other records in each run, and are not compared";
        return Ok(SinkVerdict { remark: Some(why.into()), ..unjudged(sink, None) });
    }
    let (headers, quiet, chaos) = (headers(sink), texts(quiet)?, texts(chaos)?);
    fn records(texts: &[Vec<u8>], headers: usize) -> impl Iterator<Item = &[u8]> {
        texts.iter().flat_map(move |text| lines(text).skip(headers))
    }
    let difference = compare(records(&quiet, headers), records(&chaos, headers));
    Ok(found(sink, JudgedBy::Records, difference))
}

/// The lines before the first record of each file.
fn headers(sink: &SinkSetup) -> usize {
    usize::from(sink.name == "csv")
}

fn by_count(sink: &SinkSetup, expected: u64, before: u64, after: u64) -> Result<SinkVerdict> {
    let arrived = after.checked_sub(before).ok_or_else(|| {
        Error::unavailable(format!("{}: its target has fewer records than before the run", sink.label))
            .with_help("count a table or topic that nothing else changes")
    })?;
    let difference = Difference {
        expected,
        arrived,
        lost: expected.saturating_sub(arrived),
        repeated: arrived.saturating_sub(expected),
        unexpected: 0,
    };
    Ok(found(sink, JudgedBy::Count, difference))
}

/// A real target that cannot be read: what it has acknowledged has arrived; what was sent again has arrived once more, unless the target recognises it.
fn by_acknowledgements(sink: &SinkSetup, expected: u64, lines: &[Line], at: usize) -> SinkVerdict {
    let arrived: u64 = epochs(lines, at).values().sum();
    let sent = lines.iter().map(|line| match line.event {
        Event::Delivered { sink, records, .. } | Event::Unacknowledged { sink, records, .. }
            if sink == at =>
        {
            records
        }
        _ => 0,
    });
    let difference = Difference {
        expected,
        arrived,
        lost: expected.saturating_sub(arrived),
        repeated: sent.sum::<u64>().saturating_sub(arrived),
        unexpected: arrived.saturating_sub(expected),
    };
    // Repeats are an upper bound, and break no promise.
    let promise = Promise { may_repeat: true, ..sink.promise.clone() };
    let is_kept = Some(keeps(&promise, &difference));
    SinkVerdict { is_kept, ..found(sink, JudgedBy::Acknowledgements, difference) }
}

fn found(sink: &SinkSetup, judged_by: JudgedBy, difference: Difference) -> SinkVerdict {
    let Difference { expected, arrived, lost, repeated, unexpected } = difference;
    SinkVerdict {
        expected: Some(expected),
        arrived: Some(arrived),
        lost: Some(lost),
        repeated: Some(repeated),
        unexpected: Some(unexpected),
        is_kept: Some(keeps(&sink.promise, &difference)),
        ..unjudged(sink, Some(judged_by))
    }
}

fn keeps(promise: &Promise, difference: &Difference) -> bool {
    let Difference { lost, repeated, unexpected, .. } = *difference;
    (lost == 0 || promise.may_lose) && (repeated == 0 || promise.may_repeat) && unexpected == 0
}

fn unjudged(sink: &SinkSetup, judged_by: Option<JudgedBy>) -> SinkVerdict {
    SinkVerdict {
        sink: sink.label.clone(),
        promise: sink.promise.told.clone(),
        judged_by: judged_by.unwrap_or(JudgedBy::Nothing),
        expected: None,
        arrived: None,
        lost: None,
        repeated: None,
        unexpected: None,
        is_kept: None,
        remark: None,
    }
}

fn missing(sink: &SinkSetup, why: &str) -> SinkVerdict {
    SinkVerdict { is_kept: Some(false), remark: Some(why.into()), ..unjudged(sink, Some(JudgedBy::Bytes)) }
}

/// The content of a file; `None` if it does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path.display(), &error)),
    }
}

/// The content of all files below `folder` that are complete.
fn texts(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    find(folder, &mut paths)?;
    Ok(paths.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn find(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error| Error::io("read", folder.display(), &error);
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // Part files are hidden.
        let is_part = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        match path.is_dir() {
            true => find(&path, paths)?,
            false if is_part => {}
            false => paths.push(path),
        }
    }
    Ok(())
}
