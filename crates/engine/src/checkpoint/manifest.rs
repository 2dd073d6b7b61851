//! One checkpoint, and its file.
//!
//! | part | what it has |
//! |---|---|
//! | head | magic, version, the checkpoint on which it [stands](super::chain): ordinal, length, checksum; zeros where it stands alone |
//! | first part | how the run stands, the pipeline, the places of the sources |
//! | sensors | how many names the one before does not have at their ids, then for each the number of ids passed by since the last, and the name |
//! | stages | how many, then for each whether its state is complete (1) or what has changed since the one before (0), its pieces, and an empty one behind the last |
//! | last part | what the sinks have made, what was counted |
//! | tail | the length of all before it, then the CRC-32C of all before that |
//!
//! Parts, names and pieces begin with their length. So all of it is written in one go, before it is known how long the stages' states are,
//! and read without any of them in memory.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Orphan;
use super::chain::{Chain, Link};
use super::pieces::{SavedCut, StageState};
use super::reader::{Reader, damaged};
use crate::atomic::SavedPart;
use crate::error::{Error, Result};
use crate::files::{FileHandle, FileSystem};
use crate::sensor::SensorNames;
use crate::stage::{Cut, CutKind, Pieces};

/// What a checkpoint file begins with.
const MAGIC: &[u8; 8] = b"tidemill";

/// How the bytes behind it are laid out. A file of another version is refused.
const VERSION: u32 = 7;

/// Bytes before the content: magic, version, on which it stands.
const HEAD: usize = BEFORE_LINK + Link::SIZE;

const BEFORE_LINK: usize = 8 + 4;

/// Bytes behind it: the length of everything before, CRC-32C of everything before that.
const TAIL: usize = 8 + CHECKSUM;

const CHECKSUM: usize = 4;

/// How much there is of a stage's state.
const CHANGES: u64 = 0;
const COMPLETE: u64 = 1;

/// Bytes that are written or read at once.
const BUFFER: usize = 256 << 10;

/// Everything that a run needs to go on.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// When it was made, in nanoseconds since 1970, by the machine's clock; for people.
    pub made: i64,
    /// How the run stands.
    pub ending: Ending,
    /// The pipeline as it was written: sources, stages, sinks, in order.
    pub pipeline: Vec<PartSpec>,
    /// Under what the fingerprints are made that stand there in place of values from the environment.
    pub key: [u8; 32],
    /// How many records the sources have given.
    pub records: u64,
    /// Where each source goes on; `None` for those that begin anew.
    pub sources: Vec<Option<Vec<u8>>>,
    /// The sensors, by id.
    pub sensors: SensorNames,
    /// What every stage keeps, in order, where it was read; what is written is given besides.
    pub stages: Vec<StageState>,
    /// What every sink has made, in order; `None` for those that begin anew.
    pub sinks: Vec<Option<Vec<u8>>>,
    /// The files that every sink has in the making, in order; none for those that write to a stream.
    pub outputs: Vec<Vec<SavedPart>>,
    /// What the run has counted.
    pub counts: Vec<u8>,
    /// Files in the making with which no sink goes on any more: they are set aside when this checkpoint is durable.
    pub orphans: Vec<Orphan>,
    /// The ordinal of the checkpoint on which it stands, where it was read; `None` where it stands alone.
    pub base: Option<u64>,
}

/// How a run stands at a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// More input is to come.
    Running,
    /// All input has gone through; the output is complete and is about to get its names.
    Complete,
    /// The output has its names.
    Published,
}

/// One part of a pipeline as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSpec {
    /// How messages name it, such as `stage 0 (threshold)`.
    pub place: String,
    /// Its type.
    pub name: String,
    /// Its options with their defaults, as JSON; of a value from the environment there is but a fingerprint.
    pub options: String,
}

/// Why a checkpoint could not be written.
#[derive(Debug)]
pub enum Unwritten {
    /// The disk would not have it.
    Disk(io::Error),
    /// What is to be in it could not be made.
    Run(Error),
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}

impl Manifest {
    /// Writes the bytes of a checkpoint file that stands alone, with `stages` as what the stages keep. Neither that nor the names, both of which may be
    /// large, are copied as a whole.
    ///
    /// # Errors
    /// What `out` says, or a stage.
    pub fn write(&self, out: impl Write, stages: Vec<Pieces>) -> std::result::Result<(), Unwritten> {
        let stages = stages.into_iter().map(Cut::complete).collect();
        self.clone().write_completed(out, None, stages, |_| Ok(())).map(drop)
    }

    /// The same of one that stands on the last one of `chain`, if there is one; `complete` adds what the sinks have made and what was counted, once all of `stages` is on its
    /// way. Gives the length and the checksum of the file.
    pub(super) fn write_completed(
        &mut self,
        out: impl Write,
        chain: Option<&Chain>,
        stages: Vec<Cut>,
        complete: impl FnOnce(&mut Self) -> Result<()>,
    ) -> std::result::Result<Link, Unwritten> {
        let mut out = BufWriter::with_capacity(BUFFER, Summed { out, length: 0, crc: 0 });
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&chain.map_or_else(Link::default, |chain| chain.last).to_bytes())?;
        self.write_first(&mut out)?;
        write_names(&mut out, &self.sensors, chain.map_or(&SensorNames::default(), |chain| &chain.names))?;
        write_stages(&mut out, stages)?;
        // Where that fails, nothing more is to be written.
        out.flush()?;
        complete(self)?;
        self.write_last(&mut out)?;
        out.flush()?;
        let length = out.get_ref().length;
        out.write_all(&length.to_le_bytes())?;
        let Summed { mut out, crc, length } = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        out.write_all(&crc.to_le_bytes())?;
        out.flush()?;
        Ok(Link { ordinal: 0, length: length + CHECKSUM as u64, crc })
    }

    /// What is known before the stages are written.
    fn write_first(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { made, ending, pipeline, key, records, sources, .. } = self;
        write_bytes(out, &encoded(&(made, ending, pipeline, key, records, sources))?)
    }

    fn write_last(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { sinks, outputs, counts, orphans, .. } = self;
        write_bytes(out, &encoded(&(sinks, outputs, counts, orphans))?)
    }
}

/// What a checkpoint has of the one on which it stands.
pub(super) struct Standing<'a> {
    pub(super) sensors: &'a SensorNames,
    pub(super) stages: &'a [StageState],
}

/// A file that is a checkpoint as it was written.
pub(super) struct WholeFile {
    file: Arc<dyn FileHandle>,
    path: PathBuf,
    base: Link,
    /// Where its content ends.
    end: u64,
    crc: u32,
}

impl WholeFile {
    /// Checks that the file at `path` is one: not one bit may be another.
    ///
    /// # Errors
    /// A data error that says what is wrong with it. What the system says.
    pub(super) fn check(file: Arc<dyn FileHandle>, path: &Path) -> Result<Self> {
        let failed = |error| failed(&error, path);
        let size = file.size().map_err(failed)?;
        if size < (HEAD + TAIL) as u64 {
            return Err(wrong("it is too short"));
        }
        let bytes = |place: u64, bytes: &mut [u8]| read_all_at(&*file, bytes, place).map_err(failed);
        let (mut head, mut length, mut crc) = ([0; HEAD], [0; TAIL - CHECKSUM], [0; CHECKSUM]);
        bytes(0, &mut head)?;
        bytes(size - TAIL as u64, &mut length)?;
        bytes(size - CHECKSUM as u64, &mut crc)?;
        if !head.starts_with(MAGIC) {
            return Err(wrong("it does not begin like one"));
        }
        let (version, base) = split_head(head);
        let crc = u32::from_le_bytes(crc);
        if crc_of(&*file, size - CHECKSUM as u64).map_err(failed)? != crc {
            return Err(wrong("its checksum is not that of its content"));
        }
        if version != VERSION {
            let what =
                format!("it is a checkpoint of version {version}, and this goes on from version {VERSION}");
            return Err(Error::data(what).with_help(
                "go on with the version of tidemill that wrote it, or start anew with another --state",
            ));
        }
        let end = size - TAIL as u64;
        if u64::from_le_bytes(length) != end {
            return Err(wrong("its length is another"));
        }
        Ok(Self { file, path: path.to_owned(), base, end, crc })
    }

    /// The checkpoint on which it stands; `None` where it stands alone.
    pub(super) fn base(&self) -> Option<Link> {
        (self.base != Link::default()).then_some(self.base)
    }

    /// What tells it from any other, where it is the one with this ordinal.
    pub(super) fn link(&self, ordinal: u64) -> Link {
        Link { ordinal, length: self.end + TAIL as u64, crc: self.crc }
    }

    /// What it has, over what there is of the one on which it stands.
    ///
    /// # Errors
    /// As [`WholeFile::check`].
    pub(super) fn read(&self, on: Option<Standing<'_>>) -> Result<Manifest> {
        let failed = |error| failed(&error, &self.path);
        let mut reader = Reader::between(&self.file, HEAD as u64, self.end);
        let manifest = self.read_content(&mut reader, on).map_err(failed)?;
        if reader.is_at_end() { Ok(manifest) } else { Err(wrong("something follows its content")) }
    }

    fn read_content(&self, reader: &mut Reader, on: Option<Standing<'_>>) -> io::Result<Manifest> {
        let (made, ending, pipeline, key, records, sources) = reader.part()?;
        let (sensors, before) = on.map_or_else(Default::default, |on| (on.sensors.clone(), on.stages));
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
                _ => return Err(damaged("it has changes of a state that is not there")),
            });
        }
        Ok(stages)
    }
}

/// Whether the file at `path` says that it stands alone; whether it is intact is not looked at.
pub(super) fn stands_alone(files: &dyn FileSystem, path: &Path) -> bool {
    let mut head = [0; HEAD];
    let is_read = files.open(path).is_ok_and(|file| read_all_at(&*file, &mut head, 0).is_ok());
    is_read && split_head(head) == (VERSION, Link::default())
}

/// The version, and the checkpoint on which it stands.
fn split_head(head: [u8; HEAD]) -> (u32, Link) {
    let mut link = [0; Link::SIZE];
    link.copy_from_slice(&head[BEFORE_LINK..]);
    (u32::from_le_bytes([head[8], head[9], head[10], head[11]]), Link::from_bytes(link))
}

/// Writes those of `names` that `before` does not have.
fn write_names(out: &mut impl Write, names: &SensorNames, before: &SensorNames) -> io::Result<()> {
    write_length(out, names.since(before).count())?;
    let mut next = 0;
    for (at, name) in names.since(before) {
        write_length(out, at - next)?;
        write_bytes(out, name.as_bytes())?;
        next = at + 1;
    }
    Ok(())
}

/// Reads them over those that there are.
fn read_names(reader: &mut Reader, mut names: SensorNames) -> io::Result<SensorNames> {
    let (mut at, mut name) = (0_usize, Vec::new());
    for _ in 0..reader.number()? {
        at = at.saturating_add(reader.number()? as usize);
        reader.bytes(&mut name)?;
        if !names.put(at, std::str::from_utf8(&name).map_err(damaged)?) {
            return Err(damaged("it has the name of a sensor that does not follow the others"));
        }
        at += 1;
    }
    Ok(names)
}

fn write_stages(out: &mut impl Write, stages: Vec<Cut>) -> std::result::Result<(), Unwritten> {
    write_length(out, stages.len())?;
    for Cut { kind, pieces } in stages {
        out.write_all(match kind {
            CutKind::Complete => &[COMPLETE as u8],
            CutKind::Changes => &[CHANGES as u8],
        })?;
        for piece in pieces {
            let piece = piece?;
            if !piece.is_empty() {
                write_bytes(out, &piece)?;
            }
        }
        write_length(out, 0)?;
    }
    Ok(())
}

/// The error of a file that is not as it was written.
pub(super) fn wrong(what: &str) -> Error {
    Error::data(format!("it is no whole checkpoint: {what}"))
}

fn failed(error: &io::Error, path: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => wrong(&error.to_string()),
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

fn read_all_at(file: &dyn FileHandle, mut bytes: &mut [u8], mut place: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.read_at(bytes, place) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => (bytes, place) = (&mut bytes[read..], place + read as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn encoded(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

/// Writes how long it is, then a text or a list of bytes.
fn write_bytes(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write_length(out, bytes.len())?;
    out.write_all(bytes)
}

fn write_length(out: &mut impl Write, length: usize) -> io::Result<()> {
    let mut buffer = [0; 10];
    out.write_all(postcard::to_slice(&length, &mut buffer).map_err(io::Error::other)?)
}

/// Hands bytes on, and has their number and CRC-32C.
struct Summed<W> {
    out: W,
    length: u64,
    crc: u32,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.crc = crc32c::crc32c_append(self.crc, &bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::stage::in_one_piece;

    fn manifest() -> Manifest {
        let part = |place: &str, name: &str| PartSpec {
            place: place.into(),
            name: name.into(),
            options: "{}".into(),
        };
        let output = SavedPart { path: "a".into(), part: ".a.part-1".into(), length: 3, crc: 5, end: 6 };
        Manifest {
            made: 1,
            ending: Ending::Running,
            pipeline: vec![part("source", "csv"), part("sink 0 (csv)", "csv")],
            key: [3; 32],
            records: 7,
            sources: vec![Some(vec![1, 2, 3]), None],
            sensors: ["a", "b"].iter().collect(),
            stages: Vec::new(),
            sinks: vec![Some(vec![9]), None],
            outputs: vec![vec![output.clone()], vec![]],
            counts: vec![5],
            orphans: vec![Orphan { output, records: 3, aside: "a.until-3".into() }],
            base: None,
        }
    }

    fn states() -> Vec<Vec<Vec<u8>>> {
        vec![vec![], vec![vec![0; 40]], vec![vec![1], vec![2, 3], vec![4; 300]], vec![]]
    }

    fn bytes(manifest: &Manifest) -> Vec<u8> {
        let pieces = |state: Vec<Vec<u8>>| Box::new(state.into_iter().map(Ok)) as Pieces;
        let mut bytes = Vec::new();
        manifest.write(&mut bytes, states().into_iter().map(pieces).collect()).expect("bytes");
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Manifest> {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(bytes, 0).expect("written");
        WholeFile::check(Arc::new(file), Path::new("checkpoint"))?.read(None)
    }

    /// All that it says but for the stages' states, which are where they were read.
    fn said(manifest: &Manifest) -> String {
        format!("{:?}", Manifest { stages: Vec::new(), ..manifest.clone() })
    }

    fn kept(manifest: &Manifest) -> Vec<Vec<Vec<u8>>> {
        let pieces = |state: &StageState| {
            state.cuts().into_iter().flatten().collect::<Result<Vec<_>>>().expect("pieces")
        };
        manifest.stages.iter().map(pieces).collect()
    }

    #[test]
    fn a_checkpoint_reads_back() {
        let found = read(&bytes(&manifest())).expect("a checkpoint");
        assert_eq!((said(&found), kept(&found)), (said(&manifest()), states()));
        assert_eq!(found.stages.iter().map(StageState::bytes).collect::<Vec<_>>(), [0, 40, 303, 0]);
    }

    #[test]
    fn one_of_another_version_is_refused_by_name() {
        let mut bytes = bytes(&manifest());
        bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
        let body = bytes.len() - CHECKSUM;
        let crc = crc32c::crc32c(&bytes[..body]);
        bytes[body..].copy_from_slice(&crc.to_le_bytes());
        let error = read(&bytes).expect_err("another version");
        assert!(error.message().contains("a checkpoint of version 2"), "{error}");
    }

    /// Keeps the sizes of what is written, and takes less than it is given now and then.
    #[derive(Default)]
    struct Halting(Vec<usize>, Vec<u8>);

    impl Write for Halting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = if self.0.len() % 3 == 1 { bytes.len().div_ceil(2) } else { bytes.len() };
            self.0.push(taken);
            self.1.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn many_names_are_written_in_small_pieces() {
        let sensors = (0..20_000).map(|at| format!("{at:0100}")).collect();
        let many = Manifest { sensors, ..manifest() };
        let mut written = Halting::default();
        many.write(&mut written, Vec::new()).expect("bytes");
        assert!(written.0.iter().all(|&size| size <= BUFFER), "{:?}", written.0);
        assert_eq!(said(&read(&written.1).expect("a checkpoint")), said(&many));
    }

    #[test]
    fn what_a_stage_cannot_save_is_told_as_it_says_it() {
        let failing = Box::new([Ok(vec![1_u8]), Err(Error::internal("no state"))].into_iter()) as Pieces;
        let stages = vec![in_one_piece(vec![1; 9]), failing];
        let unwritten = manifest().write(Vec::new(), stages).expect_err("not written");
        assert!(
            matches!(&unwritten, Unwritten::Run(error) if error.message() == "no state"),
            "{unwritten:?}"
        );
    }

    #[test]
    fn every_flipped_bit_and_every_missing_or_additional_byte_is_noticed() {
        let bytes = bytes(&manifest());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(read(&damaged).is_err(), "byte {at}, bit {bit}");
            }
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(read(&longer).is_err());
    }

    /// Whoever can forge a checksum gets errors, and no memory that is not there.
    #[test]
    fn lengths_are_not_believed() {
        let bytes = bytes(&manifest());
        for at in HEAD..bytes.len() - TAIL {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut forged = bytes.clone();
                forged[at] = value;
                let end = forged.len() - CHECKSUM;
                let crc = crc32c::crc32c(&forged[..end]).to_le_bytes();
                forged[end..].copy_from_slice(&crc);
                if let Ok(found) = read(&forged) {
                    let mut pieces = found.stages.iter().flat_map(StageState::cuts).flatten();
                    assert!(pieces.all(|piece| piece.is_ok()));
                }
            }
        }
    }
}
