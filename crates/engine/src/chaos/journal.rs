//! What happens during a chaos run, as lines of JSON that are appended to a file: it outlives processes that are killed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::time::Clock;

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// When, by the machine's own clock: nanoseconds since 1970.
    pub nanos: i64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// An item of the input was read.
    Read,
    /// A fault of the schedule begins: from now on it can have an effect.
    Began {
        /// Its number in the schedule.
        fault: usize,
    },
    /// It has had an effect for the first time.
    Struck {
        /// Its number in the schedule.
        fault: usize,
    },
    /// It has no more effect.
    Ended {
        /// Its number in the schedule.
        fault: usize,
    },
    /// A sink has delivered an epoch, and the run knows it.
    Delivered {
        /// The sink.
        sink: usize,
        /// The epoch.
        epoch: u64,
        /// Its records.
        records: u64,
    },
    /// A sink has delivered an epoch, and the run was told that it has not, or was killed.
    Unacknowledged {
        /// The sink.
        sink: usize,
        /// The epoch.
        epoch: u64,
        /// Its records.
        records: u64,
    },
    /// A delivery has failed by itself.
    Failed {
        /// The sink.
        sink: usize,
        /// The epoch.
        epoch: u64,
    },
    /// A checkpoint is durable.
    Durable,
}

/// The journal, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    /// Opens the journal at `path`, or begins it.
    ///
    /// # Errors
    /// An I/O error.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::options().append(true).create(true).open(path);
        let file = file.map_err(|error| Error::io("write", path.display(), &error))?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Appends a line, in one call of the system: a kill does not tear it.
    ///
    /// # Errors
    /// An I/O error: without its journal, a run cannot be judged.
    pub(super) fn note(&self, event: Event) -> Result<()> {
        let line = Line { nanos: Clock::default().read().as_nanos(), event };
        let mut text = serde_json::to_string(&line)
            .map_err(|error| Error::internal(format!("a line of the journal has no text: {error}")))?;
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes()).map_err(|error| Error::io("write", self.path.display(), &error))
    }
}

/// The lines of the journal at `path`; none if nothing has been written yet.
///
/// # Errors
/// An I/O error, or a data error if it is no journal.
pub fn read_journal(path: &Path) -> Result<Vec<Line>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| Error::io("read", path.display(), &error))?,
    };
    let line = |(at, text): (usize, &str)| {
        serde_json::from_str(text).map_err(|error| {
            Error::data(format!("{}, line {}: not a line of a journal: {error}", path.display(), at + 1))
                .with_help("leave the folder of a chaos run as it is until the run ends")
        })
    };
    text.lines().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_continued_and_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        assert_eq!(read_journal(&path).expect("none yet"), []);
        let events = [
            Event::Read,
            Event::Began { fault: 3 },
            Event::Delivered { sink: 1, epoch: 7, records: 40 },
            Event::Durable,
        ];
        for event in &events {
            Journal::open(&path).and_then(|journal| journal.note(event.clone())).expect("noted");
        }
        let lines = read_journal(&path).expect("lines");
        assert!(
            lines.iter().map(|line| &line.event).eq(&events) && lines.is_sorted_by_key(|line| line.nanos)
        );
        std::fs::write(&path, "{}\n").expect("written");
        let error = read_journal(&path).expect_err("no journal");
        assert!(error.message().contains("line 1: not a line of a journal"), "{error}");
    }
}
