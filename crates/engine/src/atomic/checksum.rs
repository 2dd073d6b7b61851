//! Checksums of a part file, to find out whether it still has what was written: the CRC-32C of all its bytes, and that of its last ones. When a run resumes a
//! part file it reads only the last bytes, however long the file is.

use std::io;

use crate::files::FileHandle;

/// The number of last bytes that have a checksum of their own.
const END: usize = 4 << 10;

/// Bytes read at once.
const BLOCK: usize = 256 << 10;

/// The same of an object, of which each read is a request.
const REMOTE_BLOCK: usize = 8 << 20;

/// The checksums of a file that is being written.
#[derive(Debug, Default)]
pub(super) struct Checksum {
    all: u32,
    end: Vec<u8>,
}

impl Checksum {
    /// The checksums of bytes written before: `all` is that of all of them, `end` the last of them.
    pub(super) fn behind(all: u32, end: Vec<u8>) -> Self {
        Self { all, end }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.all = crc32c::crc32c_append(self.all, bytes);
        let kept = END.saturating_sub(bytes.len()).min(self.end.len());
        self.end.drain(..self.end.len() - kept);
        self.end.extend_from_slice(&bytes[bytes.len().saturating_sub(END)..]);
    }

    pub(super) fn of_all(&self) -> u32 {
        self.all
    }

    pub(super) fn of_end(&self) -> u32 {
        crc32c::crc32c(&self.end)
    }
}

/// The last bytes of the first `length` bytes of a file; fewer of them if the file is shorter.
pub(super) fn end(file: &dyn FileHandle, length: u64) -> io::Result<Vec<u8>> {
    let wanted = length.min(END as u64);
    let (mut bytes, mut filled) = (vec![0; wanted as usize], 0);
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], length - wanted + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The CRC-32C of the first `length` bytes of a file; of the whole file if it is shorter.
pub(super) fn all(file: &dyn FileHandle, length: u64) -> io::Result<u32> {
    let block = if file.version().is_some() { REMOTE_BLOCK } else { BLOCK };
    let (mut buffer, mut at, mut crc) = (vec![0; block], 0, 0);
    while at < length {
        let wanted = (length - at).min(block as u64) as usize;
        match file.read_at(&mut buffer[..wanted], at)? {
            0 => break,
            read => {
                crc = crc32c::crc32c_append(crc, &buffer[..read]);
                at += read as u64;
            }
        }
    }
    Ok(crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_that_of_all_bytes_however_they_come() {
        let bytes: Vec<u8> = (0..3 * END).map(|at| (at % 251) as u8).collect();
        for size in [1, 7, END - 1, END, END + 1, 3 * END] {
            let mut checksum = Checksum::default();
            for (at, piece) in bytes.chunks(size).enumerate() {
                checksum.add(piece);
                let written = &bytes[..bytes.len().min((at + 1) * size)];
                let end = &written[written.len().saturating_sub(END)..];
                let expected = (crc32c::crc32c(written), crc32c::crc32c(end));
                assert_eq!((checksum.of_all(), checksum.of_end()), expected, "in pieces of {size}");
            }
        }
    }
}
