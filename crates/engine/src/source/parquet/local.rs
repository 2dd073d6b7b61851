//! The bytes of a Parquet file of this machine. Every read says where: the library's own way moves the position that all handles of a file share, and several workers
//! read at once.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::files::FileHandle;
use crate::source::file::read_exact_at;

/// What is read at once of the header of a page, which has some dozens of bytes.
const HEADER: usize = 512;

/// A file that is read by several threads. Clones share it.
#[derive(Clone)]
pub(super) struct LocalParquet {
    file: Arc<File>,
    size: u64,
}

impl LocalParquet {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), size })
    }
}

impl Length for LocalParquet {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for LocalParquet {
    type T = BufReader<LocalRead>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let read = LocalRead { file: Arc::clone(&self.file), place: start };
        Ok(BufReader::with_capacity(HEADER, read))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let too_short = || ParquetError::EOF(format!("there are no {length} bytes at {start}"));
        let is_inside = start.checked_add(length as u64).is_some_and(|end| end <= self.size);
        if !is_inside {
            return Err(too_short());
        }
        let mut bytes = vec![0; length];
        read_exact_at(&*self.file, &mut bytes, start).map_err(|error| match error.kind() {
            io::ErrorKind::StaleNetworkFileHandle => too_short(),
            _ => error.into(),
        })?;
        Ok(bytes.into())
    }
}

/// Reads from some place on.
pub(super) struct LocalRead {
    file: Arc<File>,
    place: u64,
}

impl Read for LocalRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = FileHandle::read_at(&*self.file, buffer, self.place)?;
        self.place += read as u64;
        Ok(read)
    }
}
