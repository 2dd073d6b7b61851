//! Reading of live input: once at a time, waiting briefly.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::damage::{check_no_archive, check_whole, read_error};
use super::read_stream::{LiveInput, ReadStream};
use crate::error::Result;
use crate::source::file::decompress;
use crate::source::file::packing::{MAGIC, Packing};
use crate::source::stream::wait::{self, Arrival, Readable, is_for_later};

/// Bytes per read of a live input.
const READ: usize = 256 << 10;

/// Maximum bytes per read with random sizes: a few records at most, usually part of one.
const SHREDS: u64 = 200;

impl ReadStream {
    /// Reads once, waiting briefly if nothing is available.
    pub(super) fn more(&mut self, name: &str) -> Result<Arrival> {
        let arrived = match &mut self.live {
            None => return Ok(Arrival::End),
            Some(LiveInput::Plain(file)) => {
                let most = self.sizes.as_mut().map_or(READ, |sizes| 1 + sizes.below(SHREDS) as usize);
                self.scratch.resize(most.max(self.scratch.len()), 0);
                read_once(file, &mut self.scratch[..most])
            }
            Some(LiveInput::Packed(unpacked)) => unpacked.next(&mut self.scratch),
        };
        let arrived = arrived.map_err(|error| read_error(name, &error))?;
        match arrived {
            Arrival::Bytes(read) => {
                self.buffer.extend_from_slice(&self.scratch[..read]);
                if self.is_plain {
                    self.note_plain(read as u64).map_err(|error| read_error(name, &error))?;
                }
            }
            Arrival::Nothing => {}
            Arrival::End => {
                if self.is_plain && self.is_start() {
                    check_whole(&self.buffer, name).map_err(|error| read_error(name, &error))?;
                }
                self.has_ended = true;
            }
        }
        Ok(arrived)
    }

    /// Counts the bytes read last, and looks for the magic number of a compression format, which may arrive in pieces.
    fn note_plain(&mut self, read: u64) -> std::io::Result<()> {
        let before = self.consumed.fetch_add(read, Ordering::Relaxed);
        if before >= MAGIC as u64 || !self.is_start() {
            return Ok(());
        }
        check_no_archive(&self.buffer)?;
        Packing::of(&self.buffer).map_or(Ok(()), |packing| self.unpack(packing))
    }

    /// Whether nothing has been taken yet.
    fn is_start(&self) -> bool {
        self.buffer.len() as u64 == self.consumed.load(Ordering::Relaxed)
    }

    /// The input is compressed: decompresses it from here on.
    fn unpack(&mut self, packing: Packing) -> std::io::Result<()> {
        let Some(LiveInput::Plain(file)) = self.live.take() else { return Ok(()) };
        let start = std::io::Cursor::new(std::mem::take(&mut self.buffer));
        let is_gone = Arc::new(AtomicBool::new(false));
        let packed = start.chain(wait::Patient { file, is_gone: Arc::clone(&is_gone) });
        let pieces = decompress::PieceSize::AsTheyCome;
        let unpacked =
            decompress::start(packing, Box::new(packed), Arc::clone(&self.consumed), pieces, is_gone)?;
        self.live = Some(LiveInput::Packed(unpacked));
        self.consumed.store(0, Ordering::Relaxed);
        self.is_plain = false;
        Ok(())
    }
}

/// Reads once into `scratch`, waiting briefly if nothing is available.
fn read_once(file: &mut File, scratch: &mut [u8]) -> std::io::Result<Arrival> {
    if wait::readable(&*file)? == Readable::NotYet {
        return Ok(Arrival::Nothing);
    }
    match file.read(scratch) {
        Ok(0) => Ok(Arrival::End),
        Ok(read) => Ok(Arrival::Bytes(read)),
        Err(error) if is_for_later(&error) => Ok(Arrival::Nothing),
        Err(error) => Err(error),
    }
}
