//! `dead_letter`: the records that were set aside, with position, reason and raw text (clause 7).

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::roll::{self, Roll};
use super::rolling::RollingText;
use super::{Component, Outset, Repeat, Saved, Sink, SinkSpec, Takes, Template};
use crate::atomic::{self, AtomicFile};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Rejection, RejectionKind, Result};
use crate::files::{Base, FilePath};
use crate::options::parameters_of;
use crate::sensor::Sensors;

/// A file of JSON Lines: file, line, offset, column, kind (malformed, late or ahead), reason, raw; `raw_hex` too where the
/// raw bytes are not UTF-8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// The file; "-" is standard output. Folders on the way are made.
    pub path: FilePath,
    /// When a file ends and another begins, and how long they stay: `{ every = "1h", size = "256MiB", keep = "30d" }`. `path` says then how they
    /// are called: "rejects/{epoch}.jsonl".
    #[serde(default)]
    pub roll: Option<Roll>,
}

inventory::submit! { Component::of::<DeadLetter>("dead_letter", "the records that were set aside, and why") }

impl DeadLetter {
    /// The file `path`.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self { path: path.into(), roll: None }
    }
}

impl SinkSpec for DeadLetter {
    fn name(&self) -> &str {
        "dead_letter"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn takes(&self) -> Takes {
        Takes::Rejections
    }

    fn repeat(&self) -> Repeat {
        Repeat::of(&self.path)
    }

    fn file(&self) -> Option<PathBuf> {
        self.roll.is_none().then(|| atomic::file(&self.path)).flatten()
    }

    fn rolls(&self) -> Option<Template> {
        roll::template(&self.path, self.roll.as_ref())
    }

    fn stream(&self) -> Option<PathBuf> {
        self.roll.is_none().then(|| atomic::stream(&self.path)).flatten()
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base), ..self.clone() }))
    }

    fn is_stdout(&self) -> bool {
        atomic::is_stdout(&self.path)
    }

    fn check(&self, _schema: &Schema) -> Result<()> {
        match &self.roll {
            // What was set aside may have no time.
            Some(roll) => roll.check(&self.path, None),
            None => atomic::check(&self.path),
        }
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, _schema: &Arc<Schema>, outset: &Outset) -> Result<Box<dyn Sink>> {
        Ok(match &self.roll {
            Some(roll) => Box::new(Rolling(RollingText::open(&self.path, roll, Vec::new(), outset)?)),
            None => Box::new(Open(AtomicFile::begin(&self.path, outset)?.0)),
        })
    }
}

struct Open(AtomicFile);

/// The same in files that roll.
struct Rolling(RollingText);

/// One line of the file.
#[derive(Serialize)]
struct Letter<'a> {
    file: &'a str,
    line: u64,
    offset: u64,
    column: Option<&'a str>,
    kind: &'static str,
    reason: &'a str,
    raw: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_hex: Option<String>,
}

impl Letter<'_> {
    /// The line for a record that was set aside.
    fn line(rejection: &Rejection) -> Result<Vec<u8>> {
        let raw = String::from_utf8_lossy(&rejection.raw);
        let is_utf8 = std::str::from_utf8(&rejection.raw).is_ok();
        let letter = Letter {
            file: &rejection.position.file,
            line: rejection.position.line,
            offset: rejection.position.offset,
            column: rejection.column.as_deref(),
            kind: match rejection.kind {
                RejectionKind::Malformed | RejectionKind::OtherHeader => "malformed",
                RejectionKind::Late => "late",
                RejectionKind::Ahead => "ahead",
            },
            reason: &rejection.reason,
            raw: &raw,
            raw_hex: (!is_utf8).then(|| rejection.raw.iter().map(|byte| format!("{byte:02x}")).collect()),
        };
        let mut line = serde_json::to_vec(&letter).map_err(|error| Error::internal(error.to_string()))?;
        line.push(b'\n');
        Ok(line)
    }
}

impl Sink for Open {
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<()> {
        Ok(())
    }

    fn reject(&mut self, rejection: &Rejection) -> Result<()> {
        self.0.write_all(&Letter::line(rejection)?).map_err(|error| self.0.failed(&error))
    }

    fn push(&mut self) -> Result<()> {
        self.0.finish()
    }

    fn flush(&mut self) -> Result<()> {
        self.0.finish()
    }

    fn save(&mut self, _epoch: u64) -> Result<Option<Saved>> {
        self.0.save()
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.0.commit()?;
        Ok(Vec::new())
    }
}

impl Sink for Rolling {
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<()> {
        Ok(())
    }

    fn reject(&mut self, rejection: &Rejection) -> Result<()> {
        self.0.write(&Letter::line(rejection)?)
    }

    fn push(&mut self) -> Result<()> {
        self.0.push()
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }

    fn save(&mut self, epoch: u64) -> Result<Option<Saved>> {
        self.0.save(epoch)
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        Ok(self.0.pause())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.0.commit()
    }
}
