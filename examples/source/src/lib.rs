//! `frames`: the file of a data logger. A frame has 16 bytes, little-endian: seconds since 1970 (`u32`), channel (`u32`), value (`f64`).
//! A program that links this crate can use it in pipeline files, as the command in `main.rs` does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::batch::{Batch, Column, Field, Numbers, Origins, Schema, Span, Text, TimeColumn};
use tidemill::files::{Base, FilePath, Outputs};
use tidemill::sensor::SensorLookup;
use tidemill::source::{
    Component, Input, Offset, OpenOptions, Progress, Recovery, Source, SourceSpec, Traits,
};
use tidemill::time::Timestamp;
use tidemill::{Error, Result};

/// Bytes of a frame, and frames of a batch.
const FRAME: usize = 16;
const BATCH: u64 = 4096;

/// The frames of a file, as records of `time`, `channel` and `value`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// The file of the logger.
    pub path: FilePath,
}

tidemill::submit! { Component::of::<Frames>("frames", "the file of a data logger: 16 bytes per reading") }

impl SourceSpec for Frames {
    fn name(&self) -> &str {
        "frames"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({ "path": self.path.written() })
    }

    fn traits(&self) -> Traits {
        Traits { is_bounded: true, is_replayable: true, is_open: false, recovery: Recovery::Replayed }
    }

    fn files(&self, _outputs: &Outputs) -> Vec<PathBuf> {
        vec![self.path.place().to_owned()]
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        Some(Arc::new(Self { path: self.path.with_base(base) }))
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let failed = |error: std::io::Error| Error::io("read", &self.path, &error);
        let file = File::open(self.path.place()).map_err(failed)?;
        let frames = file.metadata().map_err(failed)?.len() / FRAME as u64;
        let fields = vec![Field::time("time"), Field::sensor("channel"), Field::measurement("value")];
        let (path, schema) = (self.path.clone(), Arc::new(Schema::new(fields)?));
        Ok(Box::new(Reader { file, path, schema, frames, next: 0, origins: options.origins }))
    }
}

/// The running source.
struct Reader {
    file: File,
    path: FilePath,
    schema: Arc<Schema>,
    frames: u64,
    /// The next frame, from 0.
    next: u64,
    origins: bool,
}

impl Reader {
    fn read(&self, count: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count as usize * FRAME];
        let read = self.file.read_exact_at(&mut bytes, self.next * FRAME as u64);
        read.map_err(|error| Error::io("read", &self.path, &error))?;
        Ok(bytes)
    }
}

impl Source for Reader {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let count = BATCH.min(self.frames - self.next);
        let (mut times, mut channels, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut origins = self.origins.then(|| Origins::of_file(self.path.written().into()));
        let bytes = self.read(count)?;
        let (frames, _) = bytes.as_chunks::<FRAME>();
        for (frame, at) in frames.iter().zip(self.next..) {
            let [a, b, c, d, e, f, g, h, value @ ..] = *frame;
            times.push(Timestamp::from_nanos(i64::from(u32::from_le_bytes([a, b, c, d])) * 1_000_000_000));
            channels.push(sensors.id(&u32::from_le_bytes([e, f, g, h]).to_string())?);
            values.push(f64::from_le_bytes(value));
            origins.iter_mut().for_each(|all| all.push(at + 1, at * FRAME as u64, Span::NULL));
        }
        self.next += count;
        let times = TimeColumn { values: times.into(), text: Vec::new() };
        let columns = vec![Column::Time(times), Column::Sensor(channels), Column::F64(Numbers::all(values))];
        let mut batch = Batch::new(Arc::clone(&self.schema), columns, Text::default());
        batch.origins = origins;
        Ok((count > 0).then(|| batch.into()))
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: self.next, line: 0 }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.next = offset.at.min(self.frames);
        Ok(())
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.next.to_le_bytes().into()))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let saved = state.try_into().map(u64::from_le_bytes).ok().filter(|&next| next <= self.frames);
        self.next = saved.ok_or_else(|| {
            Error::data(format!("{} is shorter than when the checkpoint was made", self.path))
                .with_help("resume with the file that was there, or use another --state")
        })?;
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress { done: self.next, total: Some(self.frames) }
    }
}
