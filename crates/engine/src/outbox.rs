//! What the sinks of a run have not delivered: the outboxes in its state folder, for people. A run may be using the folder meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::checkpoint::{self, Manifest, none_intact};
use crate::error::{Error, Result};
use crate::files::FileSystem;
use crate::rows::{self, Purpose, RowReader, Segment};
use crate::runtime::outlet::delivering::Memory;

/// What one sink has not delivered, according to the newest checkpoint.
#[derive(Debug, Serialize)]
pub struct Outbox {
    /// The sink, as messages name it.
    pub sink: String,
    /// The epochs, in order. A run that is using the folder may have delivered some of them.
    pub epochs: Vec<Undelivered>,
    #[serde(skip)]
    reader: RowReader,
}

/// An epoch that is not delivered.
#[derive(Clone, Debug, Serialize)]
pub struct Undelivered {
    /// Its number.
    pub epoch: u64,
    /// How many records the sink got in it; `None` if the checkpoint is of an earlier version.
    pub records: Option<u64>,
    /// Its size.
    pub bytes: u64,
    /// When its file was last written.
    pub written: Option<SystemTime>,
    #[serde(skip)]
    segment: Segment,
}

/// What one epoch contains, every checksum of which is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The pieces in which its rows were prepared.
    pub blocks: u64,
    /// The bytes of its rows.
    pub bytes: u64,
}

impl Outbox {
    /// The number of records, as far as it is known.
    pub fn records(&self) -> Option<u64> {
        self.epochs.iter().map(|epoch| epoch.records).sum()
    }

    /// The size of all epochs.
    pub fn bytes(&self) -> u64 {
        self.epochs.iter().map(|epoch| epoch.bytes).sum()
    }

    /// How long the oldest epoch has waited.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        let oldest = self.epochs.iter().filter_map(|epoch| epoch.written).min()?;
        Some(now.duration_since(oldest).unwrap_or_default())
    }

    /// Reads an epoch and checks its checksums; `None` if a run has delivered it meanwhile.
    ///
    /// # Errors
    /// A data error if it is damaged; an error of the system.
    pub fn check(&self, epoch: &Undelivered) -> Result<Option<Content>> {
        if !self.reader.has(epoch.segment) {
            return Ok(None);
        }
        let mut content = Content { blocks: 0, bytes: 0 };
        for frame in self.reader.rows(epoch.segment)? {
            let (_, rows) = frame?;
            content.blocks += 1;
            content.bytes += rows.len() as u64;
        }
        Ok(Some(content))
    }
}

/// The outboxes in the state folder `folder` that are not empty, according to the newest checkpoint that is intact.
///
/// # Errors
/// If there is none; an error of the system.
pub fn outboxes(files: &Arc<dyn FileSystem>, folder: &Path) -> Result<Vec<Outbox>> {
    let all = checkpoint::list(&**files, folder)?;
    if all.is_empty() {
        return Err(Error::unavailable(format!("there is no checkpoint in {}", folder.display()))
            .with_help("name the folder that was given as --state"));
    }
    let newest = all.iter().rev().find_map(|listed| listed.content.as_ref().ok());
    let damaged = all.iter().filter_map(|listed| Some((&*listed.path, listed.content.as_ref().err()?)));
    let newest = newest.ok_or_else(|| none_intact(folder, damaged))?;
    of_manifest(files, folder, newest)
}

fn of_manifest(files: &Arc<dyn FileSystem>, folder: &Path, manifest: &Manifest) -> Result<Vec<Outbox>> {
    let there =
        rows::look(&**files, folder).map_err(|error| Error::io("look into", folder.display(), &error))?;
    let sinks = manifest.pipeline.iter().filter(|part| part.place.starts_with("sink"));
    let mut outboxes = Vec::new();
    for (part, state) in sinks.zip(&manifest.sinks) {
        // The states of other sinks are something else.
        let Some(Ok((memory, more))) = state.as_deref().map(Memory::read) else { continue };
        if memory.kept.is_empty() || !there.iter().any(|(_, name, _)| **name == *memory.name) {
            continue;
        }
        let reader = RowReader::new(files, folder, Purpose::Outbox, &memory.name);
        let epochs = memory.kept.into_iter().map(|segment| Undelivered {
            epoch: segment.first,
            records: more.rows.get(&segment.first).copied(),
            bytes: segment.length,
            written: written(&reader.path(segment)),
            segment,
        });
        outboxes.push(Outbox { sink: part.place.clone(), epochs: epochs.collect(), reader });
    }
    Ok(outboxes)
}

fn written(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Checks a file of an outbox by itself, such as one that was copied away: all of it must be intact.
///
/// # Errors
/// A data error if it is damaged, or is no such file; an error of the system.
pub fn check_file(files: &Arc<dyn FileSystem>, path: &Path) -> Result<Content> {
    let file = files.open(path).map_err(|error| Error::io("read", path.display(), &error))?;
    let length = file.size().map_err(|error| Error::io("read", path.display(), &error))?;
    let mut content = Content { blocks: 0, bytes: 0 };
    for frame in rows::Frames::of_file(files, PathBuf::from(path), length)? {
        let (_, rows) = frame?;
        content.blocks += 1;
        content.bytes += rows.len() as u64;
    }
    Ok(content)
}
