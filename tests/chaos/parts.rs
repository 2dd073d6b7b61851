//! Parts that make mistakes when a run is started again.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::batch::{Batch, Schema};
use tidemill::files::Base;
use tidemill::sensor::{SensorLookup, Sensors};
use tidemill::sink::{
    self, Block, CsvFile, FileTarget, Prepare, Repeat, Sink, SinkCheckpoint, SinkContext, SinkSpec,
};
use tidemill::source::{self, Csv, Input, Offset, OpenOptions, Progress, Source, SourceSpec, Traits};
use tidemill::{Error, Result};

/// A CSV file with a mistake in it, after the first process.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Careless {
    /// The file.
    path: String,
    /// What goes wrong: loses, repeats, refuses, none.
    mistake: String,
}

tidemill::submit! { sink::Component::of::<Careless>("careless", "a CSV file, with mistakes") }

impl Careless {
    fn inner(&self) -> CsvFile {
        CsvFile::new(self.path.as_str())
    }
}

impl SinkSpec for Careless {
    fn name(&self) -> &str {
        "careless"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn target(&self) -> Option<FileTarget> {
        self.inner().target()
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        let is_again = is_again(&self.path, context)?;
        if is_again && self.mistake == "refuses" {
            return Err(Error::unavailable("it can be opened once").with_help("do not start it again"));
        }
        let times = match (is_again, &*self.mistake) {
            (true, "loses") => 0,
            (true, "repeats") => 2,
            _ => 1,
        };
        Ok(Box::new(CarelessFile { inner: self.inner().open(schema, context)?, times }))
    }
}

/// Whether an earlier process has opened it.
fn is_again(path: &str, context: &SinkContext) -> Result<bool> {
    let folder = context.state.clone().unwrap_or_default();
    let folder = folder.parent().map(PathBuf::from).unwrap_or_default();
    let marker = folder.join(format!("{}.opened", path.replace('/', "-")));
    let is_again = marker.exists();
    fs::write(&marker, "").map_err(|error| Error::io("write", marker.display(), &error))?;
    Ok(is_again)
}

/// It in use.
struct CarelessFile {
    inner: Box<dyn Sink>,
    /// How often the next batch is written.
    times: u32,
}

impl Sink for CarelessFile {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        for _ in 0..std::mem::replace(&mut self.times, 1) {
            self.inner.write(batch, sensors)?;
        }
        Ok(())
    }

    fn push(&mut self) -> Result<()> {
        self.inner.push()
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }

    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        self.inner.save(epoch)
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        self.inner.pause()
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        self.inner.commit()
    }
}

/// A target that takes a line for each record, and says that it recognises epochs.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Target {
    /// The file behind it.
    path: String,
    /// What goes wrong: loses, repeats, none.
    #[serde(default)]
    mistake: String,
}

tidemill::submit! { sink::Component::of::<Target>("target", "delivers by epochs, with mistakes") }

impl SinkSpec for Target {
    fn name(&self) -> &str {
        "target"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn delivers(&self) -> bool {
        true
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SinkSpec>> {
        let path = base.join(&self.path).to_string_lossy().into_owned();
        Some(Arc::new(Self { path, ..self.clone() }))
    }

    fn open(&self, _schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Delivering { target: self.clone(), newest: 0 }))
    }
}

/// It in use.
struct Delivering {
    target: Target,
    newest: u64,
}

struct Lines;

impl Prepare for Lines {
    fn prepare(&self, batch: &Batch, _sensors: &Sensors) -> Result<Block> {
        Ok(Box::new(b"record\n".repeat(batch.len())))
    }
}

impl Sink for Delivering {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Lines))
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let Target { path, mistake } = &self.target;
        let is_known = epoch <= self.newest;
        self.newest = self.newest.max(epoch);
        if mistake == "loses" || is_known && mistake != "repeats" {
            return Ok(());
        }
        let failed = |error| Error::io("write", path, &error);
        let mut file = File::options().append(true).create(true).open(path).map_err(failed)?;
        for block in rows {
            file.write_all(&block?).map_err(failed)?;
        }
        Ok(())
    }
}

/// A CSV file that is read behind the position to be resumed from.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Skipping {
    /// The file.
    path: String,
}

tidemill::submit! { source::Component::of::<Skipping>("skipping", "a CSV file, with gaps") }

impl Skipping {
    fn inner(&self) -> Csv {
        Csv::new(self.path.as_str()).time("t").sensor("s")
    }
}

impl SourceSpec for Skipping {
    fn name(&self) -> &str {
        "skipping"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn traits(&self) -> Traits {
        self.inner().traits()
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(Gaps { inner: self.inner().open(options)?, path: self.path.clone(), skips: false }))
    }
}

/// It in use.
struct Gaps {
    inner: Box<dyn Source>,
    path: String,
    /// Whether the next item is lost.
    skips: bool,
}

impl Source for Gaps {
    fn schema(&self) -> &Arc<Schema> {
        self.inner.schema()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        if std::mem::take(&mut self.skips) && self.inner.next(sensors)?.is_some() {
            let marker = format!("{}.resumed", self.path);
            fs::write(&marker, "").map_err(|error| Error::io("write", &marker, &error))?;
        }
        self.inner.next(sensors)
    }

    fn offset(&self) -> Offset {
        self.inner.offset()
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.inner.seek(offset)
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        self.inner.save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.skips = true;
        self.inner.restore(state)
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }
}
