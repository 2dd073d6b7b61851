//! Reading the file of a checkpoint.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BUFFER, CHANGES, CHECKSUM, COMPLETE, HEAD, MAGIC, TAIL, VERSION, read_all_at, split_head};
use crate::checkpoint::Manifest;
use crate::checkpoint::chain::Link;
use crate::checkpoint::pieces::{SavedCut, StageState};
use crate::checkpoint::reader::{Reader, damaged};
use crate::error::{Error, Result};
use crate::files::FileHandle;
use crate::sensor::SensorNames;

/// The content of the base to which the changes in a checkpoint refer.
pub(in crate::checkpoint) struct BaseContent<'a> {
    pub(in crate::checkpoint) sensors: &'a SensorNames,
    pub(in crate::checkpoint) stages: &'a [StageState],
}

/// An intact file of a checkpoint.
pub(in crate::checkpoint) struct CheckpointFile {
    file: Arc<dyn FileHandle>,
    path: PathBuf,
    base: Link,
    /// The offset at which its content ends.
    end: u64,
    crc: u32,
}

impl CheckpointFile {
    /// Checks that the file at `path` is a checkpoint, and every bit of it.
    ///
    /// # Errors
    /// A data error that says what is wrong with it; an I/O error.
    pub(in crate::checkpoint) fn check(file: Arc<dyn FileHandle>, path: &Path) -> Result<Self> {
        let failed = |error| failed(&error, path);
        let size = file.size().map_err(failed)?;
        if size < (HEAD + TAIL) as u64 {
            return Err(not_intact("it is too short"));
        }
        let bytes = |place: u64, bytes: &mut [u8]| read_all_at(&*file, bytes, place).map_err(failed);
        let (mut head, mut length, mut crc) = ([0; HEAD], [0; TAIL - CHECKSUM], [0; CHECKSUM]);
        bytes(0, &mut head)?;
        bytes(size - TAIL as u64, &mut length)?;
        bytes(size - CHECKSUM as u64, &mut crc)?;
        if !head.starts_with(MAGIC) {
            return Err(not_intact("it has another magic number"));
        }
        let (version, base) = split_head(head);
        let crc = u32::from_le_bytes(crc);
        if crc_of(&*file, size - CHECKSUM as u64).map_err(failed)? != crc {
            return Err(not_intact("its checksum does not match its content"));
        }
        if version != VERSION {
            let what =
                format!("it is a checkpoint of version {version}, and this release reads version {VERSION}");
            return Err(Error::data(what).with_help(
                "resume with the release of tidemill that wrote it, or start a new run with another --state",
            ));
        }
        let end = size - TAIL as u64;
        if u64::from_le_bytes(length) != end {
            return Err(not_intact("it has another length than it says"));
        }
        Ok(Self { file, path: path.to_owned(), base, end, crc })
    }

    /// The link to its base; `None` if it is complete.
    pub(in crate::checkpoint) fn base(&self) -> Option<Link> {
        (self.base != Link::default()).then_some(self.base)
    }

    /// The link to it, if it is the checkpoint `ordinal`.
    pub(in crate::checkpoint) fn link(&self, ordinal: u64) -> Link {
        Link { ordinal, length: self.end + TAIL as u64, crc: self.crc }
    }

    /// Reads its content, over that of its base if it has one.
    ///
    /// # Errors
    /// As [`CheckpointFile::check`].
    pub(in crate::checkpoint) fn read(&self, base: Option<BaseContent<'_>>) -> Result<Manifest> {
        let failed = |error| failed(&error, &self.path);
        let mut reader = Reader::between(&self.file, HEAD as u64, self.end);
        let manifest = self.read_content(&mut reader, base).map_err(failed)?;
        if reader.is_at_end() { Ok(manifest) } else { Err(not_intact("bytes follow its content")) }
    }

    fn read_content(&self, reader: &mut Reader, base: Option<BaseContent<'_>>) -> io::Result<Manifest> {
        let (made, ending, pipeline, key, records, sources) = reader.part()?;
        let (sensors, before) =
            base.map_or_else(Default::default, |base| (base.sensors.clone(), base.stages));
        let sensors = read_names(reader, sensors)?;
        let stages = self.read_stages(reader, before)?;
        let (sinks, outputs, counts, orphans) = reader.part()?;
        Ok(Manifest {
            made,
            ending,
            pipeline,
            key,
            records,
            sources,
            sensors,
            stages,
            sinks,
            outputs,
            counts,
            orphans,
            base: self.base().map(|base| base.ordinal),
        })
    }

    fn read_stages(&self, reader: &mut Reader, before: &[StageState]) -> io::Result<Vec<StageState>> {
        let mut stages = Vec::new();
        for _ in 0..reader.number()? {
            let is_complete = reader.number()?;
            let (start, mut end, mut bytes) = (reader.place(), reader.place(), 0);
            loop {
                match reader.pass()? {
                    0 => break,
                    length => (end, bytes) = (reader.place(), bytes + length),
                }
            }
            let cut = SavedCut { file: Some(Arc::clone(&self.file)), start, end, bytes };
            stages.push(match (is_complete, before.get(stages.len())) {
                (COMPLETE, _) => StageState::complete(cut),
                (CHANGES, Some(before)) => before.followed_by(cut),
                _ => return Err(damaged("it has changes of a state that its base does not have")),
            });
        }
        Ok(stages)
    }
}

/// Reads names over those of the base.
fn read_names(reader: &mut Reader, mut names: SensorNames) -> io::Result<SensorNames> {
    let (mut at, mut name) = (0_usize, Vec::new());
    for _ in 0..reader.number()? {
        at = at.saturating_add(reader.number()? as usize);
        reader.bytes(&mut name)?;
        if !names.put(at, std::str::from_utf8(&name).map_err(damaged)?) {
            return Err(damaged("it has the name of a sensor without the names before it"));
        }
        at += 1;
    }
    Ok(names)
}

/// The error for a file that is not what was written.
pub(in crate::checkpoint) fn not_intact(what: &str) -> Error {
    Error::data(format!("not an intact checkpoint: {what}"))
}

fn failed(error: &io::Error, path: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => not_intact(&error.to_string()),
        _ => Error::io("read", path.display(), error),
    }
}

/// The CRC-32C of the first `length` bytes of a file.
fn crc_of(file: &dyn FileHandle, length: u64) -> io::Result<u32> {
    let (mut buffer, mut crc, mut place) = (vec![0; BUFFER], 0, 0);
    while place < length {
        let part = &mut buffer[..(length - place).min(BUFFER as u64) as usize];
        read_all_at(file, part, place)?;
        crc = crc32c::crc32c_append(crc, part);
        place += part.len() as u64;
    }
    Ok(crc)
}
