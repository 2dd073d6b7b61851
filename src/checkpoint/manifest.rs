//! One checkpoint, and its bytes.

use std::io::{self, BufWriter, Write};

use serde::{Deserialize, Serialize};

use super::Orphan;
use crate::atomic::Output;
use crate::error::{Error, Result};
use crate::sensor::SensorNames;

/// What a checkpoint file begins with.
const MAGIC: &[u8; 8] = b"tidemill";

/// How the bytes behind it are laid out. A file of another version is refused.
const VERSION: u32 = 3;

/// Bytes before the content: magic, version, length of the content.
const HEAD: usize = 8 + 4 + 8;

/// Bytes behind it: CRC-32C of everything before.
const TAIL: usize = 4;

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;

/// Everything that a run needs to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// When it was made, in nanoseconds since 1970, by the machine's clock; for people.
    pub made: i64,
    /// How the run stands.
    pub ending: Ending,
    /// The pipeline as it was written: source, stages, sinks, in order.
    pub pipeline: Vec<PartSpec>,
    /// Under what the fingerprints are made that stand there in place of values from the environment.
    pub key: [u8; 32],
    /// How many records the source has given.
    pub records: u64,
    /// Where the source goes on; `None` for one that begins anew.
    pub source: Option<Vec<u8>>,
    /// The sensors, by id.
    pub sensors: SensorNames,
    /// What every stage keeps, in order.
    pub stages: Vec<Vec<u8>>,
    /// What every sink has made, in order; `None` for those that begin anew.
    pub sinks: Vec<Option<Vec<u8>>>,
    /// The file that every sink writes, in order; `None` for those that write none, or to a stream.
    pub outputs: Vec<Option<Output>>,
    /// What the run has counted.
    pub counts: Vec<u8>,
    /// Files in the making with which no sink goes on any more: they are set aside when this checkpoint is durable.
    pub orphans: Vec<Orphan>,
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

impl Manifest {
    /// Writes the bytes of a checkpoint file: magic, version, length, content, CRC-32C of all that. Neither the names nor what the stages
    /// keep, both of which may be large, are copied as a whole.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut length = Length(0);
        self.write_content(&mut length)?;
        let mut out = BufWriter::with_capacity(BUFFER, Summed { out, crc: 0 });
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&length.0.to_le_bytes())?;
        self.write_content(&mut out)?;
        let Summed { mut out, crc } = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        out.write_all(&crc.to_le_bytes())?;
        out.flush()
    }

    /// One field after the other, as all of them together would be written.
    fn write_content(&self, out: &mut impl Write) -> io::Result<()> {
        let Self {
            made,
            ending,
            pipeline,
            key,
            records,
            source,
            sensors,
            stages,
            sinks,
            outputs,
            counts,
            orphans,
        } = self;
        out.write_all(&encoded(&(made, ending, pipeline, key, records, source))?)?;
        write_length(out, sensors.len())?;
        sensors.iter().try_for_each(|name| write_bytes(out, name.as_bytes()))?;
        write_length(out, stages.len())?;
        stages.iter().try_for_each(|stage| write_bytes(out, stage))?;
        out.write_all(&encoded(&(sinks, outputs, counts, orphans))?)
    }

    /// The checkpoint in `bytes`.
    ///
    /// # Errors
    /// A data error that says what is wrong with them: not one bit may be another.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::data(format!("it is no whole checkpoint: {what}"));
        let (body, crc) = bytes.split_last_chunk::<TAIL>().ok_or_else(|| wrong("it is too short"))?;
        if body.len() < HEAD || !body.starts_with(MAGIC) {
            return Err(wrong("it does not begin like one"));
        }
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(wrong("its checksum is not that of its content"));
        }
        let version = u32::from_le_bytes([body[8], body[9], body[10], body[11]]);
        if version != VERSION {
            let what =
                format!("it is a checkpoint of version {version}, and this goes on from version {VERSION}");
            return Err(Error::data(what).with_help(
                "go on with the version of tidemill that wrote it, or start anew with another --state",
            ));
        }
        let content = &body[HEAD..];
        if body[12..HEAD] != (content.len() as u64).to_le_bytes() {
            return Err(wrong("its length is another"));
        }
        match postcard::take_from_bytes(content) {
            Ok((manifest, [])) => Ok(manifest),
            Ok(_) => Err(wrong("something follows its content")),
            Err(error) => Err(wrong(&error.to_string())),
        }
    }
}

fn encoded(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

/// Writes a text or a list of bytes.
fn write_bytes(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write_length(out, bytes.len())?;
    out.write_all(bytes)
}

/// Writes what a list of so many begins with.
fn write_length(out: &mut impl Write, length: usize) -> io::Result<()> {
    let mut buffer = [0; 10];
    out.write_all(postcard::to_slice(&length, &mut buffer).map_err(io::Error::other)?)
}

/// Counts bytes.
struct Length(u64);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands bytes on, and has their CRC-32C.
struct Summed<W> {
    out: W,
    crc: u32,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.crc = crc32c::crc32c_append(self.crc, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn manifest() -> Manifest {
        let part = |place: &str, name: &str| PartSpec {
            place: place.into(),
            name: name.into(),
            options: "{}".into(),
        };
        let output = Output { path: "a".into(), part: ".a.part-1".into(), length: 3, crc: 5, end: 6 };
        Manifest {
            made: 1,
            ending: Ending::Running,
            pipeline: vec![part("source", "csv"), part("sink 0 (csv)", "csv")],
            key: [3; 32],
            records: 7,
            source: Some(vec![1, 2, 3]),
            sensors: ["a", "b"].iter().collect(),
            stages: vec![vec![], vec![0; 40]],
            sinks: vec![Some(vec![9]), None],
            outputs: vec![Some(output.clone()), None],
            counts: vec![5],
            orphans: vec![Orphan { output, records: 3, aside: "a.until-3".into() }],
        }
    }

    fn bytes() -> Vec<u8> {
        let mut bytes = Vec::new();
        manifest().write(&mut bytes).expect("bytes");
        bytes
    }

    #[test]
    fn a_checkpoint_reads_back() {
        let bytes = bytes();
        assert_eq!(Manifest::from_bytes(&bytes).expect("a checkpoint"), manifest());
        let content = postcard::to_stdvec(&manifest()).expect("bytes");
        assert_eq!(bytes[HEAD..bytes.len() - TAIL], content, "fields are written as those of the whole");
    }

    #[test]
    fn one_of_another_version_is_refused_by_name() {
        let mut bytes = bytes();
        bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
        let body = bytes.len() - TAIL;
        let crc = crc32c::crc32c(&bytes[..body]);
        bytes[body..].copy_from_slice(&crc.to_le_bytes());
        let error = Manifest::from_bytes(&bytes).expect_err("another version");
        assert!(error.message().contains("a checkpoint of version 2"), "{error}");
    }

    /// Keeps the sizes of what is written, and takes less than it is given now and then.
    #[derive(Default)]
    struct Pieces(Vec<usize>, Vec<u8>);

    impl Write for Pieces {
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
        let mut pieces = Pieces::default();
        many.write(&mut pieces).expect("bytes");
        assert!(pieces.0.iter().all(|&size| size <= BUFFER), "{:?}", pieces.0);
        assert_eq!(Manifest::from_bytes(&pieces.1).expect("a checkpoint"), many);
    }

    #[test]
    fn every_flipped_bit_and_every_missing_or_additional_byte_is_noticed() {
        let bytes = bytes();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Manifest::from_bytes(&damaged).is_err(), "byte {at}, bit {bit}");
            }
            assert!(Manifest::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Manifest::from_bytes(&longer).is_err());
    }
}
