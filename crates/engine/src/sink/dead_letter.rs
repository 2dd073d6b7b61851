//! `dead_letter`: rejected records with position, reason and raw text (clause 7).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::Text;
use super::{Component, FileTarget, Repeat, Roll, Sink, SinkCheckpoint, SinkContext, SinkSpec, Takes};
use crate::batch::{Batch, Schema};
use crate::error::{Error, Rejection, Result};
use crate::files::{Base, FilePath};
use crate::options::parameters_of;
use crate::sensor::Sensors;

/// A file of JSON Lines: file, line, offset, column, kind (malformed, late or ahead), reason, raw; also `raw_hex` if the raw bytes are not
/// UTF-8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// The file; "-" is standard output. Missing folders are created.
    pub path: FilePath,
    /// When to end a file and begin another, and how long to keep files: `{ every = "1h", size = "256MiB", keep = "30d" }`. `path` is then
    /// a template: "rejects/{epoch}.jsonl".
    #[serde(default)]
    pub roll: Option<Roll>,
}

inventory::submit! { Component::of::<DeadLetter>("dead_letter", "rejected and late records, with the reason") }

impl DeadLetter {
    /// A file at `path`.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self { path: path.into(), roll: None }
    }

    fn written(&self) -> FileTarget {
        FileTarget::new(self.path.clone(), self.roll.clone())
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
        self.written().repeat()
    }

    fn target(&self) -> Option<FileTarget> {
        Some(self.written())
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base), ..self.clone() }))
    }

    fn check(&self, _schema: &Schema) -> Result<()> {
        // What was set aside may have no time.
        self.written().check(None)
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, _schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(DeadLetterFile(self.written().open_text(Vec::new(), context)?)))
    }
}

/// The sink in use.
struct DeadLetterFile(Text);

/// One line of the file.
#[derive(Serialize)]
struct DeadLetterLine<'a> {
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

impl DeadLetterLine<'_> {
    /// The line for a rejected record.
    fn line(rejection: &Rejection) -> Result<Vec<u8>> {
        let raw = String::from_utf8_lossy(&rejection.raw);
        let is_utf8 = std::str::from_utf8(&rejection.raw).is_ok();
        let letter = DeadLetterLine {
            file: &rejection.position.file,
            line: rejection.position.line,
            offset: rejection.position.offset,
            column: rejection.column.as_deref(),
            kind: rejection.kind.as_str(),
            reason: &rejection.reason,
            raw: &raw,
            raw_hex: (!is_utf8).then(|| rejection.raw.iter().map(|byte| format!("{byte:02x}")).collect()),
        };
        let mut line = serde_json::to_vec(&letter).map_err(|error| Error::internal(error.to_string()))?;
        line.push(b'\n');
        Ok(line)
    }
}

impl Sink for DeadLetterFile {
    fn write(&mut self, _batch: &Batch, _sensors: &Sensors) -> Result<()> {
        Ok(())
    }

    fn reject(&mut self, rejection: &Rejection) -> Result<()> {
        self.0.write(None, &DeadLetterLine::line(rejection)?)
    }

    fn push(&mut self) -> Result<()> {
        self.0.push()
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }

    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        self.0.save(epoch)
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        Ok(self.0.pause())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.0.commit()
    }
}
