//! Decompression on a thread of its own.
//!
//! The thread `decompress` is started when a compressed file is opened. It blocks when the channel of [`QUEUE`] blocks is full, and on
//! reading the file. It ends at the end of the file, at the first error, which it sends, or when the reader is dropped and the channel is
//! closed; dropping the reader joins it.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};

use super::packing::{Packing, error_of};
use crate::source::stream::wait::{Arrival, PATIENCE};

/// Blocks queued: enough to keep both sides busy, few enough not to matter for memory.
const QUEUE: usize = 4;
/// Bytes per block.
const BLOCK: usize = 256 << 10;

/// How much is sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceSize {
    /// Full blocks.
    Full,
    /// What is available, for live input.
    AsTheyCome,
}

/// Starts the thread for compressed data; `consumed` counts compressed bytes.
pub(super) fn start(
    packing: Packing,
    packed: Box<dyn Read + Send>,
    consumed: Arc<AtomicU64>,
    pieces: PieceSize,
    is_gone: Arc<AtomicBool>,
) -> io::Result<Unpacked> {
    let packed = counted(packed, consumed);
    spawn(move || packing.reader(packed), pieces, is_gone)
}

/// The `packed` bytes for a decoder, counted in `consumed`.
pub(super) fn counted<R: Read + Send>(
    packed: R,
    consumed: Arc<AtomicU64>,
) -> io::BufReader<impl Read + Send + use<R>> {
    io::BufReader::with_capacity(BLOCK, CountedReader { inner: packed, consumed })
}

/// Starts the thread with the decoder that `begin` creates on it.
pub(super) fn spawn(
    begin: impl FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'static,
    pieces: PieceSize,
    is_gone: Arc<AtomicBool>,
) -> io::Result<Unpacked> {
    let (sender, blocks) = bounded(QUEUE);
    let thread = std::thread::Builder::new().name("decompress".into()).spawn(move || {
        let unpacked = begin().and_then(|reader| pump(reader, pieces, |block| sender.send(Ok(block)).ok()));
        if let Err(error) = unpacked {
            drop(sender.send(Err(error_of(error))));
        }
    })?;
    Ok(Unpacked { blocks: Some(blocks), block: io::Cursor::default(), thread: Some(thread), is_gone })
}

/// Sends the output of `reader` in blocks, to its end or until nobody reads on, which is `None`. Bytes before an error are valid, and sent.
pub(super) fn pump(
    mut reader: impl Read,
    pieces: PieceSize,
    mut send: impl FnMut(Vec<u8>) -> Option<()>,
) -> io::Result<Option<()>> {
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        let result = match pieces {
            PieceSize::Full => reader.by_ref().take(BLOCK as u64).read_to_end(&mut block),
            PieceSize::AsTheyCome => read_some(&mut reader, &mut block),
        };
        let has_ended = block.is_empty();
        if !has_ended && send(block).is_none() {
            return Ok(None);
        }
        result?;
        if has_ended {
            return Ok(Some(()));
        }
    }
}

/// Reads once.
fn read_some(reader: &mut impl Read, block: &mut Vec<u8>) -> io::Result<usize> {
    block.resize(BLOCK, 0);
    loop {
        match reader.read(block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                block.truncate(*read.as_ref().unwrap_or(&0));
                return read;
            }
        }
    }
}

/// The decompressed bytes.
pub(super) struct Unpacked {
    /// `None` once dropped.
    blocks: Option<Receiver<io::Result<Vec<u8>>>>,
    block: io::Cursor<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
    is_gone: Arc<AtomicBool>,
}

impl Unpacked {
    /// The next decompressed bytes, in `block`; waits briefly if there are none.
    pub(super) fn next(&mut self, block: &mut Vec<u8>) -> io::Result<Arrival> {
        let Some(blocks) = &self.blocks else { return Ok(Arrival::End) };
        match blocks.recv_timeout(PATIENCE) {
            Ok(unpacked) => {
                *block = unpacked?;
                Ok(Arrival::Bytes(block.len()))
            }
            Err(RecvTimeoutError::Timeout) => Ok(Arrival::Nothing),
            Err(RecvTimeoutError::Disconnected) => self.join().map(|()| Arrival::End),
        }
    }

    /// Joins the thread, which has ended or is about to.
    fn join(&mut self) -> io::Result<()> {
        let joined = self.thread.take().map_or(Ok(()), JoinHandle::join);
        // If the thread panicked, its remaining output must not be lost silently.
        joined.map_err(|_| io::Error::other("the decompression thread panicked"))
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        self.is_gone.store(true, Ordering::Relaxed);
        self.blocks = None;
        let _nobody_reads_on = self.join();
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.block.read(buffer)? {
                0 if !buffer.is_empty() => match self.blocks.as_ref().and_then(|blocks| blocks.recv().ok()) {
                    Some(block) => self.block = io::Cursor::new(block?),
                    None => return self.join().map(|()| 0),
                },
                read => return Ok(read),
            }
        }
    }
}

struct CountedReader<R> {
    inner: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for CountedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Not every decoder can resume after a read interrupted by a signal.
        let read = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::source::stream::wait::Patient;

    /// Records that it was dropped.
    struct Told<R>(R, Arc<AtomicBool>);

    impl<R: Read> Read for Told<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl<R> Drop for Told<R> {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Release);
        }
    }

    #[test]
    fn the_thread_ends_with_its_reader_though_its_input_is_silent() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let (is_gone, is_dropped) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let silent = Told(Patient { file, is_gone: Arc::clone(&is_gone) }, Arc::clone(&is_dropped));
        let pieces = PieceSize::AsTheyCome;
        let unpacked = start(Packing::Gzip, Box::new(silent), Arc::default(), pieces, is_gone);
        drop(unpacked.expect("started"));
        assert!(is_dropped.load(Ordering::Acquire), "the thread is there still");
        drop(writer);
    }

    struct Panics;

    impl Read for Panics {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            panic!("in the decoder")
        }
    }

    #[test]
    fn a_panic_of_a_decoder_is_no_end_of_its_input() {
        let unpacked =
            start(Packing::Zstd, Box::new(Panics), Arc::default(), PieceSize::Full, Arc::default());
        let read = unpacked.expect("started").read(&mut [0; 10]);
        assert!(read.expect_err("a panic").to_string().contains("panicked"));
    }
}
