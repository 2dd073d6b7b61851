//! Writing the file of a checkpoint.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::{BUFFER, CHANGES, CHECKSUM, COMPLETE, MAGIC, VERSION};
use crate::checkpoint::Manifest;
use crate::checkpoint::chain::{Chain, Link};
use crate::error::{Error, Result};
use crate::sensor::SensorNames;
use crate::stage::{Cut, CutKind, Pieces};

/// Why a checkpoint could not be written.
#[derive(Debug)]
pub enum Unwritten {
    /// An I/O error of its file.
    Disk(io::Error),
    /// An error of the run, in making its content.
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
    /// Writes a complete checkpoint, with the state of each stage in `stages`. Neither the state nor the names, both of which may be large, are copied as a
    /// whole.
    ///
    /// # Errors
    /// An error of `out` or of a stage.
    pub fn write(&self, out: impl Write, stages: Vec<Pieces>) -> std::result::Result<(), Unwritten> {
        let stages = stages.into_iter().map(Cut::complete).collect();
        self.clone().write_completed(out, None, stages, |_| Ok(())).map(drop)
    }

    /// Writes a checkpoint whose base is the last one of `chain`, if any; `complete` adds the state of the sinks and the counts, once all of `stages` is
    /// written. Returns the length and the checksum of the file.
    pub(in crate::checkpoint) fn write_completed(
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
        // If this fails, nothing more may be written.
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

    /// Writes what is known before the state of the stages.
    fn write_first(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { made, ending, pipeline, key, records, sources, .. } = self;
        write_bytes(out, &encoded(&(made, ending, pipeline, key, records, sources))?)
    }

    fn write_last(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { sinks, outputs, counts, orphans, .. } = self;
        write_bytes(out, &encoded(&(sinks, outputs, counts, orphans))?)
    }
}

/// Writes the `names` that `before` does not have.
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

fn encoded(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

/// Writes a length, then as many bytes.
fn write_bytes(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write_length(out, bytes.len())?;
    out.write_all(bytes)
}

fn write_length(out: &mut impl Write, length: usize) -> io::Result<()> {
    let mut buffer = [0; 10];
    out.write_all(postcard::to_slice(&length, &mut buffer).map_err(io::Error::other)?)
}

/// Passes bytes on, and sums up their number and CRC-32C.
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
