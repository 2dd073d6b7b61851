//! Where a reading of files goes on after a restart, and whether they are still those files.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::paths::InputFile;
use crate::error::{Error, Result};
use crate::offset::Offset;

/// Bytes at the beginning of a file that tell it from another of its name.
const BEGINNING: u64 = 1 << 10;

/// The place in an input, by how it is read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Place {
    /// Of files, one after the other: what [`save`] gave.
    Files(Vec<u8>),
    /// Of files that grow: what their follower gave.
    Growing(Vec<u8>),
}

impl Place {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(unsaved)
    }

    pub(super) fn from_bytes(state: &[u8]) -> Result<Self> {
        postcard::from_bytes(state).map_err(unread)
    }
}

/// A place in a list of files, and what they looked like.
#[derive(Debug, Serialize, Deserialize)]
struct InFiles {
    offset: Offset,
    /// Those that were read, wholly or in part.
    files: Vec<Seen>,
}

/// A file that has been read.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    name: String,
    /// `None` for what is no regular file.
    bytes: Option<u64>,
    /// CRC-32C of the first bytes, and how many those are.
    beginning: (u32, u64),
}

/// The place `offset` in `files`.
pub(super) fn save(files: &[InputFile], offset: Offset) -> Result<Vec<u8>> {
    let read = files.iter().take(offset.file as usize + 1);
    let files = read.map(|file| seen(file, BEGINNING)).collect::<Result<_>>()?;
    postcard::to_stdvec(&InFiles { offset, files }).map_err(unsaved)
}

fn unsaved(error: postcard::Error) -> Error {
    Error::internal(format!("the place in the input cannot be saved: {error}"))
}

fn unread(error: postcard::Error) -> Error {
    Error::data(format!("the place in the input cannot be read: {error}"))
}

/// The place that `state` says, for people.
pub(in crate::source) fn place(state: &[u8]) -> Option<String> {
    let Place::Files(place) = Place::from_bytes(state).ok()? else { return None };
    let InFiles { offset, files } = postcard::from_bytes(&place).ok()?;
    Some(match files.get(offset.file as usize) {
        Some(file) => format!("{}, byte {}", file.name, offset.at),
        None => format!("behind {}, the last one", files.last()?.name),
    })
}

/// The place that `state` says, if `files` are still those.
pub(super) fn check(files: &[InputFile], state: &[u8]) -> Result<Offset> {
    let place: InFiles = postcard::from_bytes(state).map_err(unread)?;
    for (at, was) in place.files.iter().enumerate() {
        let file = files.get(at).ok_or_else(|| changed(&was.name, "is no longer part of the input"))?;
        if *file.name != *was.name {
            return Err(changed(
                &was.name,
                &format!("was file {at} of the input, and now `{}` is", file.name),
            ));
        }
        let is = seen(file, was.beginning.1)?;
        let is_done = (at as u64) < place.offset.file;
        let grows = !is_done && is.bytes >= was.bytes;
        // A pipe begins anew, a file goes on: one cannot stand for the other.
        let is_other_kind = is.bytes.is_some() != was.bytes.is_some();
        if is_other_kind || is.beginning != was.beginning || is.bytes != was.bytes && !grows {
            return Err(changed(&was.name, "is another file than it was"));
        }
        if !is_done && is.bytes != was.bytes && !goes_on_behind_a_line(file, place.offset.at)? {
            return Err(changed(&was.name, "has grown in the middle of a record that was read"));
        }
    }
    Ok(place.offset)
}

fn seen(file: &InputFile, beginning: u64) -> Result<Seen> {
    let name = file.name.to_string();
    let Some(path) = file.regular() else { return Ok(Seen { name, bytes: None, beginning: (0, 0) }) };
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(beginning).read_to_end(&mut bytes));
    read.map_err(|error| Error::io("read", &name, &error))?;
    let length = std::fs::metadata(&path).map(|meta| meta.len()).ok();
    Ok(Seen { bytes: length, beginning: (crc32c::crc32c(&bytes), bytes.len() as u64), name })
}

/// Whether a file that has grown has a whole line before `at`: its last one may have had no end yet. What a packed file has at a
/// place cannot be told without unpacking it, and packed files do not grow.
fn goes_on_behind_a_line(file: &InputFile, at: u64) -> Result<bool> {
    let (Some(path), Some(last)) = (file.regular(), at.checked_sub(1)) else { return Ok(true) };
    if [".gz", ".zst"].iter().any(|packed| file.name.ends_with(packed)) {
        return Ok(false);
    }
    let mut byte = [0];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut byte, last));
    read.map_err(|error| Error::io("read", &file.name, &error))?;
    Ok(matches!(byte, [b'\n' | b'\r']))
}

fn changed(name: &str, what: &str) -> Error {
    Error::data(format!("the input is not what it was at the checkpoint: `{name}` {what}"))
        .with_help("bring back the files as they were, or start anew with another --state")
}
