//! Reading of a file that is read by requests: block after block, several of them in advance.
//!
//! Each block is read on a thread of its own, `read ahead`, which ends when the block has been read, also if nobody wants it any more. A block that was read waits in memory:
//! at most [`AHEAD`] and the one being used.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::read_stream::Skips;
use crate::files::FileHandle;
use crate::source::file::remote::{RemoteFile, read_exact_at};

/// Bytes per request: large enough for its delay not to matter.
const BLOCK: usize = 4 << 20;

/// The number of requests in advance.
const AHEAD: usize = 3;

/// Reads a file from its beginning.
pub(super) struct ReadAhead {
    file: Arc<dyn FileHandle>,
    size: u64,
    /// Where it reads on; moved by skips too.
    place: Arc<AtomicU64>,
    block: Block,
    /// The blocks after it, in order.
    ahead: VecDeque<Coming>,
}

/// A piece of the file.
#[derive(Default)]
struct Block {
    start: u64,
    bytes: Vec<u8>,
}

/// A block being read.
struct Coming {
    start: u64,
    thread: JoinHandle<io::Result<Block>>,
}

/// Moves the place of a [`ReadAhead`].
pub(super) struct Place(Arc<AtomicU64>);

impl Skips for Place {
    fn skip(&mut self, length: u64) -> io::Result<()> {
        self.0.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }
}

impl ReadAhead {
    pub(super) fn new(file: &RemoteFile) -> Self {
        Self {
            file: Arc::clone(file.handle()),
            size: file.length(),
            place: Arc::default(),
            block: Block::default(),
            ahead: VecDeque::new(),
        }
    }

    /// What skips bytes of it.
    pub(super) fn skips(&self) -> Place {
        Place(Arc::clone(&self.place))
    }

    /// The block with the byte at `place`, and those after it on their way. Most files are opened for their beginning alone, so nothing is read in advance before a second block is
    /// needed.
    fn advance(&mut self, place: u64) -> io::Result<()> {
        let is_next = self.ahead.front().is_some_and(|next| next.start == place);
        if !is_next {
            self.ahead.clear();
            self.block = read(&*self.file, place, self.size)?;
            return Ok(());
        }
        if let Some(next) = self.ahead.pop_front() {
            self.block = next
                .thread
                .join()
                .map_err(|_| io::Error::other("the thread that reads ahead panicked"))??;
        }
        Ok(())
    }

    /// Requests the blocks after the current one.
    fn request(&mut self) -> io::Result<()> {
        let end = |block: &Block| block.start + block.bytes.len() as u64;
        let mut start = self.ahead.back().map_or_else(|| end(&self.block), |last| last.start + BLOCK as u64);
        while self.ahead.len() < AHEAD && start < self.size {
            let (file, size) = (Arc::clone(&self.file), self.size);
            let thread = std::thread::Builder::new().name("read ahead".into());
            let thread = thread.spawn(move || read(&*file, start, size))?;
            self.ahead.push_back(Coming { start, thread });
            start += BLOCK as u64;
        }
        Ok(())
    }
}

/// Reads the block at `start` of a file of `size` bytes.
fn read(file: &dyn FileHandle, start: u64, size: u64) -> io::Result<Block> {
    let mut bytes = vec![0; size.saturating_sub(start).min(BLOCK as u64) as usize];
    read_exact_at(file, &mut bytes, start)?;
    Ok(Block { start, bytes })
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let place = self.place.load(Ordering::Relaxed);
        if place >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let is_there = |block: &Block| (block.start..block.start + block.bytes.len() as u64).contains(&place);
        if !is_there(&self.block) {
            let is_second = !self.block.bytes.is_empty();
            self.advance(place)?;
            if is_second {
                self.request()?;
            }
        }
        let rest = &self.block.bytes[(place - self.block.start) as usize..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        self.place.store(place + read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileSystem;
    use crate::files::memory::Memory;
    use std::path::Path;

    fn object(name: &str, length: usize) -> (RemoteFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        Memory::put(name, &bytes);
        (RemoteFile::new(Memory.open(Path::new(name)).expect("there")).expect("a file"), bytes)
    }

    #[test]
    fn all_bytes_come_in_order_whatever_is_skipped() {
        let length = 3 * BLOCK + 12_345;
        let (file, bytes) = object("memory://ahead/all", length);
        for skip in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, length - 1, length] {
            let mut reader = ReadAhead::new(&file);
            let mut start = [0; 10];
            reader.read_exact(&mut start).expect("read");
            assert_eq!(start, bytes[..10]);
            reader.skips().skip((skip as u64).saturating_sub(10)).expect("skipped");
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).expect("read");
            assert!(rest == bytes[skip.max(10)..], "after {skip} bytes");
        }
    }

    #[test]
    fn an_object_that_is_replaced_is_an_error() {
        let (file, _) = object("memory://ahead/replaced", 2 * BLOCK);
        let mut reader = ReadAhead::new(&file);
        reader.read_exact(&mut [0; 10]).expect("read");
        Memory::put("memory://ahead/replaced", &[0; 2 * BLOCK]);
        let error = reader.read_to_end(&mut Vec::new()).expect_err("another object");
        assert_eq!(error.kind(), io::ErrorKind::StaleNetworkFileHandle);
    }
}
