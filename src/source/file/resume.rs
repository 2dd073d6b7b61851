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

/// A place in a list of files, and what they looked like.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
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
    postcard::to_stdvec(&Place { offset, files })
        .map_err(|error| Error::internal(format!("the place in the input cannot be saved: {error}")))
}

/// The place that `state` says, for people.
pub(in crate::source) fn place(state: &[u8]) -> Option<String> {
    let Place { offset, files } = postcard::from_bytes(state).ok()?;
    Some(match files.get(offset.file as usize) {
        Some(file) => format!("{}, byte {}", file.name, offset.at),
        None => format!("behind {}, the last one", files.last()?.name),
    })
}

/// The place that `state` says, if `files` are still those.
pub(super) fn check(files: &[InputFile], state: &[u8]) -> Result<Offset> {
    let place: Place = postcard::from_bytes(state)
        .map_err(|error| Error::data(format!("the place in the input cannot be read: {error}")))?;
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
        if is.beginning != was.beginning || is.bytes != was.bytes && !grows {
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
    let Some(path) = file.path.as_ref().filter(|_| file.len().is_some()) else {
        return Ok(Seen { name, bytes: None, beginning: (0, 0) });
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(beginning).read_to_end(&mut bytes));
    read.map_err(|error| Error::io("read", &name, &error))?;
    Ok(Seen { bytes: file.len(), beginning: (crc32c::crc32c(&bytes), bytes.len() as u64), name })
}

/// Whether a file that has grown has a whole line before `at`: its last one may have had no end yet. What a packed file has at a
/// place cannot be told without unpacking it, and packed files do not grow.
fn goes_on_behind_a_line(file: &InputFile, at: u64) -> Result<bool> {
    let (Some(path), Some(last)) = (&file.path, at.checked_sub(1)) else { return Ok(true) };
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
