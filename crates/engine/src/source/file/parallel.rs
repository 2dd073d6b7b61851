//! Decompression of several parts of a file at the same time, where their lengths are known before ([`complete_parts`]).
//!
//! Threads take groups of parts in turn, from the start of the file, and decompress each by itself; the reader gets the groups in order. Where
//! the next part has no known length, or is too long, one thread decompresses all that is left, as if it had begun with the first part.
//!
//! The threads `decompress` are started when the file is opened. They block when [`QUEUE`] blocks of each of as many groups as there are threads
//! wait for the reader, and on reading the file. They end at the end of the file, or when the reader is dropped, which joins them.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::decompress::{PieceSize, counted, pump};
use super::extents::complete_parts;
use super::packing::{MAGIC, Packing, error_of};

/// Blocks queued of each group, 2 MiB: a usual group whole, a quarter of a frame of `pzstd`.
const QUEUE: usize = 8;

/// How many bytes of the file are decompressed at a time.
#[derive(Clone, Copy, Debug)]
struct GroupSize {
    /// As long as a group has to be for its overhead not to matter.
    usual: usize,
    /// Longer parts are not read ahead, for the memory that they need.
    most: usize,
}

impl Default for GroupSize {
    fn default() -> Self {
        Self { usual: 256 << 10, most: 4 << 20 }
    }
}

/// What a group gives.
enum Piece {
    Block(Vec<u8>),
    /// The group has ended, and another one follows.
    Next,
    /// The file has ended.
    End,
    Failed(io::Error),
}

/// The text of a group, in order.
type Pieces = Receiver<Piece>;

/// What a thread decompresses.
enum Work {
    /// Whole parts, the first of which is at `at`.
    Parts { at: u64, bytes: Vec<u8> },
    /// Everything from this byte on.
    Rest(u64),
}

/// The compressed file.
struct PackedFile {
    file: File,
    packing: Packing,
    /// The first byte of the content, which is 0 but for a standard input that was begun.
    start: u64,
    size: GroupSize,
    consumed: Arc<AtomicU64>,
}

impl PackedFile {
    /// What is to be decompressed from `at` on.
    fn work(&self, at: u64) -> io::Result<Work> {
        let GroupSize { usual, most } = self.size;
        let (mut bytes, mut wanted) = (Vec::new(), usual);
        while wanted <= most {
            bytes.reserve_exact(wanted - bytes.len());
            let from = At { file: &self.file, at: at + bytes.len() as u64 };
            from.take((wanted - bytes.len()) as u64).read_to_end(&mut bytes)?;
            let whole = complete_parts(self.packing, &bytes, usual);
            if whole > 0 {
                bytes.truncate(whole);
                return Ok(Work::Parts { at, bytes });
            }
            wanted *= 2;
        }
        Ok(Work::Rest(at))
    }

    /// The decoder that stands at `at`, the start of the file or of another part.
    fn decoder<'a>(
        &self,
        at: u64,
        packed: impl io::BufRead + Send + 'a,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        if at == self.start { self.packing.reader(packed) } else { Ok(self.packing.next_reader(packed)) }
    }

    /// Decompresses whole parts. If that fails, what is wrong with them may depend on what follows them: then the rest of the file is
    /// decompressed from their start, as it is without threads, and no other group counts.
    fn parts(&self, at: u64, bytes: &[u8], pieces: &Sender<Piece>) -> Option<()> {
        self.consumed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut given = 0;
        let decoder = self.decoder(at, bytes);
        let result = decoder.and_then(|decoder| {
            pump(decoder, PieceSize::Full, |block| {
                given += block.len() as u64;
                pieces.send(Piece::Block(block)).ok()
            })
        });
        match result {
            Ok(is_done) => is_done.and_then(|()| pieces.send(Piece::Next).ok()),
            Err(_) => {
                self.consumed.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                self.rest(at, given, pieces)
            }
        }
    }

    /// Decompresses everything from `at` on, without the first `given` bytes of it.
    fn rest(&self, at: u64, given: u64, pieces: &Sender<Piece>) -> Option<()> {
        let packed = At { file: &self.file, at };
        let decoder = self.decoder(at, counted(packed, Arc::clone(&self.consumed)));
        let result = decoder.and_then(|mut decoder| {
            io::copy(&mut decoder.by_ref().take(given), &mut io::sink())?;
            pump(decoder, PieceSize::Full, |block| pieces.send(Piece::Block(block)).ok())
        });
        let last = match result {
            Ok(is_done) => is_done.map(|()| Piece::End)?,
            Err(error) => Piece::Failed(error_of(error)),
        };
        pieces.send(last).ok()
    }
}

/// What follows a place in a file; it does not move the offset of the file.
struct At<'f> {
    file: &'f File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Where the threads take their work.
struct Queue {
    /// The first byte that no thread has taken.
    at: u64,
    /// `None` once all is taken.
    groups: Option<Sender<Pieces>>,
}

impl Queue {
    /// Takes the next work, and announces its text to the reader; `None` if there is none, or no reader.
    fn take(&mut self, file: &PackedFile) -> Option<(io::Result<Work>, Sender<Piece>)> {
        let groups = self.groups.take()?;
        let (sender, pieces) = bounded(QUEUE);
        groups.send(pieces).ok()?;
        let work = file.work(self.at);
        if let Ok(Work::Parts { bytes, .. }) = &work {
            self.at += bytes.len() as u64;
            self.groups = Some(groups);
        }
        Some((work, sender))
    }
}

/// The decompressed bytes.
pub(super) struct ParallelUnpacked {
    /// `None` once dropped.
    groups: Option<Receiver<Pieces>>,
    /// The group being read.
    pieces: Pieces,
    block: io::Cursor<Vec<u8>>,
    threads: Vec<JoinHandle<()>>,
    has_ended: bool,
}

/// Decompresses `file` from its offset on by `threads` threads; `None` if it is not compressed, or one thread is to do that. `consumed` counts
/// compressed bytes.
pub(super) fn start(
    file: &File,
    threads: usize,
    consumed: &Arc<AtomicU64>,
) -> io::Result<Option<ParallelUnpacked>> {
    let (mut magic, start) = (Vec::new(), (&*file).stream_position()?);
    At { file, at: start }.take(MAGIC as u64).read_to_end(&mut magic)?;
    let Some(packing) = Packing::of(&magic).filter(|_| threads > 1) else { return Ok(None) };
    let (file, consumed) = (file.try_clone()?, Arc::clone(consumed));
    let packed = PackedFile { file, packing, start, size: GroupSize::default(), consumed };
    let has_more = packed.file.metadata()?.len() > start + packed.size.usual as u64;
    match has_more && matches!(packed.work(start)?, Work::Parts { .. }) {
        true => ParallelUnpacked::new(packed, threads).map(Some),
        false => Ok(None),
    }
}

impl ParallelUnpacked {
    fn new(file: PackedFile, threads: usize) -> io::Result<Self> {
        let (sender, groups) = bounded(threads);
        let shared = Arc::new((Mutex::new(Queue { at: file.start, groups: Some(sender) }), file));
        // The first group follows one that is empty.
        let (before, pieces) = bounded(1);
        let _it_has_room = before.send(Piece::Next);
        let mut unpacked = Self {
            groups: Some(groups),
            pieces,
            block: io::Cursor::default(),
            threads: Vec::new(),
            has_ended: false,
        };
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("decompress".into());
            unpacked.threads.push(thread.spawn(move || work(&shared.0, &shared.1))?);
        }
        Ok(unpacked)
    }

    /// The next block; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while !self.has_ended {
            match self.pieces.recv() {
                Ok(Piece::Block(block)) => return Ok(Some(block)),
                Ok(Piece::Next) => {
                    let groups = self.groups.as_ref();
                    self.pieces = groups.and_then(|groups| groups.recv().ok()).ok_or_else(panicked)?;
                }
                Ok(Piece::End) => self.has_ended = true,
                Ok(Piece::Failed(error)) => {
                    self.has_ended = true;
                    return Err(error);
                }
                Err(_) => return Err(panicked()),
            }
        }
        Ok(None)
    }
}

/// The life of a thread.
fn work(queue: &Mutex<Queue>, file: &PackedFile) {
    loop {
        let taken = queue.lock().unwrap_or_else(PoisonError::into_inner).take(file);
        let is_read = taken.and_then(|(work, pieces)| match work {
            Ok(Work::Parts { at, bytes }) => file.parts(at, &bytes, &pieces),
            Ok(Work::Rest(at)) => file.rest(at, 0, &pieces),
            Err(error) => pieces.send(Piece::Failed(error_of(error))).ok(),
        });
        if is_read.is_none() {
            return;
        }
    }
}

/// A thread ends without a last piece only if it panics: the end of the text would be lost silently.
fn panicked() -> io::Error {
    io::Error::other("the decompression thread panicked")
}

impl Read for ParallelUnpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.block.read(buffer)? {
                0 if !buffer.is_empty() => match self.next()? {
                    Some(block) => self.block = io::Cursor::new(block),
                    None => return Ok(0),
                },
                read => return Ok(read),
            }
        }
    }
}

impl Drop for ParallelUnpacked {
    /// The threads wait for room in the groups: each ends with one whose text nobody takes.
    fn drop(&mut self) {
        self.pieces = bounded(0).1;
        self.groups.take().into_iter().flatten().for_each(drop);
        for thread in self.threads.drain(..) {
            let _nobody_reads_on = thread.join();
        }
    }
}

#[cfg(test)]
#[path = "parallel_tests.rs"]
mod tests;
