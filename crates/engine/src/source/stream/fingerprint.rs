//! Fingerprints of files: checksums of the first bytes, and of those before the offset read up to.
//!
//! Device and inode identify a file, but they stay the same if it is truncated and rewritten, and the inode of a deleted file may be
//! reused. Many files begin with the same wide header, so the bytes before the offset count too.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// Maximum bytes compared.
const LENGTH: usize = 1 << 10;

/// The CRC-32C of a run of bytes, and its length: at most 1 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct Fingerprint {
    crc: u32,
    length: u32,
}

impl Fingerprint {
    /// The fingerprint of the last of `bytes`.
    pub(in crate::source) fn of_last(bytes: &[u8]) -> Self {
        let last = last(bytes);
        Self { crc: crc32c::crc32c(last), length: last.len() as u32 }
    }

    /// The fingerprint of the first bytes of a file.
    pub(in crate::source) fn of_beginning(file: &File) -> io::Result<Self> {
        let mut buffer = [0; LENGTH];
        let length = fill(file, &mut buffer, 0)?;
        Ok(Self::of_last(&buffer[..length]))
    }

    /// The fingerprint of the bytes of a file before `end`.
    pub(in crate::source) fn before(file: &File, end: u64) -> io::Result<Self> {
        let mut buffer = [0; LENGTH];
        let wanted = end.min(LENGTH as u64) as usize;
        let length = fill(file, &mut buffer[..wanted], end - wanted as u64)?;
        Ok(Self::of_last(&buffer[..length]))
    }

    /// Extends the fingerprint of a file's first bytes with bytes at offset `place`.
    pub(in crate::source) fn extend(&mut self, place: u64, bytes: &[u8]) {
        let Some(known) = u64::from(self.length).checked_sub(place) else { return };
        let new = bytes.get(known as usize..).unwrap_or_default();
        let new = &new[..new.len().min(LENGTH - self.length as usize)];
        self.crc = crc32c::crc32c_append(self.crc, new);
        self.length += new.len() as u32;
    }

    /// Whether the file begins with these bytes.
    pub(in crate::source) fn begins(self, file: &File) -> io::Result<bool> {
        self.ends(file, u64::from(self.length))
    }

    /// The fingerprint of the first of `bytes`.
    pub(in crate::source) fn of_first(bytes: &[u8]) -> Self {
        Self::of_last(&bytes[..bytes.len().min(LENGTH)])
    }

    /// Whether these bytes are in the file at `start`.
    pub(in crate::source) fn stands_at(self, file: &File, start: u64) -> io::Result<bool> {
        self.ends(file, start + u64::from(self.length))
    }

    /// Whether these are the bytes of the file before `end`.
    pub(in crate::source) fn ends(self, file: &File, end: u64) -> io::Result<bool> {
        let mut buffer = [0; LENGTH];
        let buffer = &mut buffer[..LENGTH.min(self.length as usize)];
        let Some(start) = end.checked_sub(buffer.len() as u64) else { return Ok(false) };
        Ok(fill(file, buffer, start)? == buffer.len() && crc32c::crc32c(buffer) == self.crc)
    }
}

/// The last bytes read from a file, for their [`Fingerprint`].
#[derive(Debug, Default)]
pub(in crate::source) struct Trail(Vec<u8>);

impl Trail {
    /// The bytes of a file before `end`.
    pub(in crate::source) fn before(file: &File, end: u64) -> io::Result<Self> {
        let mut bytes = vec![0; end.min(LENGTH as u64) as usize];
        let start = end - bytes.len() as u64;
        let length = fill(file, &mut bytes, start)?;
        bytes.truncate(length);
        Ok(Self(bytes))
    }

    /// Appends bytes that were read.
    pub(in crate::source) fn push(&mut self, bytes: &[u8]) {
        let bytes = last(bytes);
        let surplus = (self.0.len() + bytes.len()).saturating_sub(LENGTH);
        self.0.drain(..surplus);
        self.0.extend_from_slice(bytes);
    }

    pub(in crate::source) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_last(&self.0)
    }

    /// The fingerprint after reading `more`.
    pub(in crate::source) fn with(&self, more: &[u8]) -> Fingerprint {
        if more.len() >= LENGTH {
            return Fingerprint::of_last(more);
        }
        Fingerprint::of_last(&[&self.0, more].concat())
    }
}

fn last(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(LENGTH)..]
}

/// Reads from offset `place` until `buffer` is full or the file ends; returns the number of bytes.
fn fill(file: &File, buffer: &mut [u8], place: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], place + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        use std::io::Write;
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    #[test]
    fn the_beginning_is_the_same_however_it_comes() {
        let bytes: Vec<u8> = (0..3000_u32).map(|at| (at * 7 % 251) as u8).collect();
        let file = file(&bytes);
        let whole = Fingerprint::of_beginning(&file).expect("read");
        for step in [1, 7, 1000, 1024, 3000] {
            let (mut known, mut place) = (Fingerprint::default(), 0);
            for piece in bytes.chunks(step) {
                // What was read before a restart is read again.
                known.extend(place, piece);
                known.extend(place, piece);
                place += piece.len() as u64;
            }
            assert_eq!(known, whole, "{step}");
        }
        assert!(whole.begins(&file).expect("read"));
    }

    #[test]
    fn a_trail_is_what_stands_before_a_place_and_nothing_else_is() {
        let bytes: Vec<u8> = (0..5000_u32).map(|at| (at * at % 253) as u8).collect();
        let (file, mut trail) = (file(&bytes), Trail::default());
        let mut place = 0;
        for length in [0, 1, 3, 1020, 1500, 40] {
            trail.push(&bytes[place..place + length]);
            place += length;
            let end = place as u64;
            assert_eq!(trail.fingerprint(), Fingerprint::before(&file, end).expect("read"));
            assert_eq!(trail.fingerprint(), Trail::before(&file, end).expect("read").fingerprint());
            let more = &bytes[place..place + 70];
            assert!(trail.with(more).ends(&file, end + 70).expect("read"));
            assert!(!trail.with(more).ends(&file, end + 71).expect("read"));
        }
        assert!(!trail.fingerprint().ends(&file, 9000).expect("read"), "behind its end");
        assert!(!trail.fingerprint().ends(&file, 10).expect("read"), "before its beginning");
    }
}
