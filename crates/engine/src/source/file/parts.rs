//! Compressed files of several parts, which result from concatenation or from appending: gzip members, xz and bzip2 streams, lz4 and zstd
//! frames. Each part is decompressed separately, in order.

use std::io::{self, BufRead, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;
use zstd::stream::read::Decoder as ZstdDecoder;

/// A decoder for one part, which returns its input at the end of the part.
pub(super) trait PartDecoder<R: BufRead>: Read + Sized {
    /// The magic number of a part.
    const MAGIC: &[u8];

    fn begin(packed: R) -> io::Result<Self>;
    fn end(self) -> R;

    /// Skips meaningless bytes between parts; returns whether anything follows.
    fn skip(packed: &mut R) -> io::Result<bool> {
        skip_zeros(packed)
    }
}

/// Decompresses all parts of a file. Zeros after a part are ignored, since tapes and block devices leave them there and xz uses them as
/// padding. Anything else that is not a part is an error.
pub(super) struct MultipartDecoder<R, P>(PartsState<R, P>);

enum PartsState<R, P> {
    Part(Box<P>),
    /// Between two parts.
    Between(R),
    End,
}

impl<R: BufRead, P: PartDecoder<R>> MultipartDecoder<R, P> {
    /// Reads `packed`, which begins with a part.
    pub(super) fn new(packed: R) -> io::Result<Self> {
        Ok(Self(PartsState::Part(Box::new(P::begin(packed)?))))
    }

    /// Reads `packed`, which begins after a part.
    pub(super) fn after_part(packed: R) -> Self {
        Self(PartsState::Between(packed))
    }
}

impl<R: BufRead, P: PartDecoder<R>> Read for MultipartDecoder<R, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.0, PartsState::End) {
                PartsState::End => return Ok(0),
                PartsState::Between(mut packed) => {
                    if P::skip(&mut packed)? {
                        // Compares what is there: a truncated magic number is reported as truncation, not as other data.
                        if packed.fill_buf()?.iter().zip(P::MAGIC).any(|(byte, magic)| byte != magic) {
                            return Err(no_part());
                        }
                        self.0 = PartsState::Part(Box::new(P::begin(packed)?));
                    }
                }
                PartsState::Part(mut part) => match part.read(buffer) {
                    Ok(0) if !buffer.is_empty() => self.0 = PartsState::Between(part.end()),
                    read => {
                        self.0 = PartsState::Part(part);
                        return read;
                    }
                },
            }
        }
    }
}

impl<R: BufRead> PartDecoder<R> for GzDecoder<R> {
    const MAGIC: &[u8] = b"\x1f\x8b";

    fn begin(packed: R) -> io::Result<Self> {
        Ok(Self::new(packed))
    }

    fn end(self) -> R {
        self.into_inner()
    }
}

impl<R: BufRead> PartDecoder<R> for BzDecoder<R> {
    const MAGIC: &[u8] = b"BZh";

    fn begin(packed: R) -> io::Result<Self> {
        Ok(Self::new(packed))
    }

    fn end(self) -> R {
        self.into_inner()
    }
}

impl<R: BufRead> PartDecoder<R> for ZstdDecoder<'static, R> {
    const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

    fn begin(packed: R) -> io::Result<Self> {
        Ok(Self::with_buffer(packed)?.single_frame())
    }

    fn end(self) -> R {
        self.finish()
    }

    fn skip(packed: &mut R) -> io::Result<bool> {
        skip_between_frames(packed)
    }
}

/// An xz stream.
pub(super) struct XzStream<R: Read>(XzReader<R>);

/// Memory limit of a stream in KiB: a window of 128 MiB, as for zstd, and the decoder's own needs.
const XZ_MEMORY: u32 = (129 << 20) >> 10;

impl<R: BufRead> PartDecoder<R> for XzStream<R> {
    const MAGIC: &[u8] = b"\xfd7zXZ\0";

    fn begin(packed: R) -> io::Result<Self> {
        Ok(Self(XzReader::new_mem_limit(packed, false, XZ_MEMORY)))
    }

    fn end(self) -> R {
        self.0.into_inner()
    }
}

impl<R: Read> Read for XzStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// An lz4 frame. The decoder takes the end of the input between two blocks for the end of the frame, which has a mark of its own, so that
/// truncation is detected here.
pub(super) struct Lz4Frame<R: Read>(FrameDecoder<ToTheEnd<R>>);

impl<R: BufRead> PartDecoder<R> for Lz4Frame<R> {
    const MAGIC: &[u8] = b"\x04\x22\x4d\x18";

    fn begin(packed: R) -> io::Result<Self> {
        Ok(Self(FrameDecoder::new(ToTheEnd { packed, has_ended: false })))
    }

    fn end(self) -> R {
        self.0.into_inner().packed
    }

    fn skip(packed: &mut R) -> io::Result<bool> {
        skip_between_frames(packed)
    }
}

impl<R: Read> Read for Lz4Frame<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if self.0.get_ref().has_ended => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// Records whether a read reached the end of the input.
struct ToTheEnd<R> {
    packed: R,
    has_ended: bool,
}

impl<R: Read> Read for ToTheEnd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.packed.read(buffer)?;
        self.has_ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}

/// Skips meaningless bytes between frames; returns whether anything follows.
fn skip_between_frames(packed: &mut impl BufRead) -> io::Result<bool> {
    skip_zeros(packed)?;
    skip_frames(packed)?;
    skip_zeros(packed)
}

/// Skips zeros; returns whether anything follows.
fn skip_zeros(packed: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = packed.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let zeros = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
        let is_over = zeros < bytes.len();
        packed.consume(zeros);
        if is_over {
            return Ok(true);
        }
    }
}

/// Skips skippable frames of zstd and lz4: a magic number from 0x184D2A50 to 0x184D2A5F, the length, the content.
pub(super) fn skip_frames(packed: &mut impl BufRead) -> io::Result<()> {
    while matches!(packed.fill_buf()?.first(), Some(0x50..=0x5f)) {
        let mut header = [0; 8];
        packed.read_exact(&mut header)?;
        if header[1..4] != [0x2a, 0x4d, 0x18] {
            return Err(no_part());
        }
        let length = u64::from(u32::from_le_bytes([header[4], header[5], header[6], header[7]]));
        if io::copy(&mut packed.by_ref().take(length), &mut io::sink())? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn no_part() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the compressed data is followed by something else")
}

#[cfg(test)]
mod tests {
    use super::super::packing::{Packing, error_of};
    use super::super::testing::packed;

    use super::*;

    const ALL: [Packing; 5] = [Packing::Gzip, Packing::Zstd, Packing::Xz, Packing::Bzip2, Packing::Lz4];

    /// The output for `bytes` that arrive in pieces of `piece` bytes, and how it ends.
    fn unpacked(packing: Packing, bytes: &[u8], piece: usize) -> (Vec<u8>, io::Result<()>) {
        let mut text = Vec::new();
        let packed = io::BufReader::with_capacity(piece, bytes);
        let read = packing.reader(packed).and_then(|mut reader| reader.read_to_end(&mut text));
        (text, read.map(|_| ()).map_err(error_of))
    }

    #[test]
    fn parts_follow_one_another_and_zeros_follow_them() {
        for packing in ALL {
            let two = [packed(packing, b"one\n"), packed(packing, b""), packed(packing, b"two\n")].concat();
            for zeros in [0, 1, 4, 10, 20_000] {
                for piece in [1, 7, 4096] {
                    let padded = [&two[..], &vec![0; zeros], &two, &vec![0; zeros]].concat();
                    let (text, end) = unpacked(packing, &padded, piece);
                    end.unwrap_or_else(|error| panic!("{packing:?}, {zeros} zeros, {piece}: {error}"));
                    assert_eq!(text, b"one\ntwo\none\ntwo\n", "{packing:?}, {zeros} zeros, {piece}");
                }
            }
        }
    }

    #[test]
    fn anything_else_behind_the_last_part_is_an_error() {
        for packing in ALL {
            let one = packed(packing, b"one\n");
            let (cut, other) = (io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData);
            let rests =
                [(&b"x"[..], other), (b"garbage, and more of it", other), (&one[..1], cut), (&one[..3], cut)];
            for (rest, expected) in rests {
                let (text, end) = unpacked(packing, &[&one[..], rest].concat(), 4096);
                assert_eq!(end.expect_err("an error").kind(), expected, "{packing:?} {rest:?}");
                assert_eq!(text, b"one\n", "{packing:?} {rest:?}");
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_anywhere_gives_what_comes_before_and_an_error() {
        let text: Vec<u8> =
            (0..150).flat_map(|n| format!("{n},{}\n", n * 7919 % 1009).into_bytes()).collect();
        for packing in ALL {
            let (first, second) = (packed(packing, &text[..500]), packed(packing, &text[500..]));
            let whole = [&first[..], &second].concat();
            for length in (4..whole.len()).filter(|&length| length != first.len()) {
                let (found, end) = unpacked(packing, &whole[..length], 64);
                let kind = end.expect_err("cut").kind();
                assert_eq!(kind, io::ErrorKind::UnexpectedEof, "{packing:?}, {length} of {}", whole.len());
                assert!(text.starts_with(&found), "{packing:?}, {length}");
            }
        }
    }

    #[test]
    fn a_damaged_file_never_gives_something_else_in_silence() {
        let text: Vec<u8> =
            (0..150).flat_map(|n| format!("{n},{}\n", n * 7919 % 1009).into_bytes()).collect();
        for packing in ALL {
            let whole = packed(packing, &text);
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x10;
                // Any value of a byte that does not affect the content, such as the time in a header, is accepted.
                let (found, end) = unpacked(packing, &damaged, 4096);
                assert!(end.is_err() || found == text, "{packing:?}, byte {at}");
            }
        }
    }

    #[test]
    fn frames_that_are_to_be_skipped_mean_nothing() {
        for packing in [Packing::Zstd, Packing::Lz4] {
            let (skipped, one) = (b"\x5e\x2a\x4d\x18\x03\0\0\0abc", packed(packing, b"one\n"));
            let mixed = [&skipped[..], skipped, &one, skipped, &one, skipped].concat();
            // The first bytes do not tell the two apart.
            assert_eq!(Packing::of(&mixed), Some(Packing::Zstd));
            for piece in [1, 4096] {
                let (text, end) = unpacked(Packing::Zstd, &mixed, piece);
                end.unwrap_or_else(|error| panic!("{packing:?}: {error}"));
                assert_eq!(text, b"one\none\n", "{packing:?}");
            }
            let (text, end) = unpacked(Packing::Zstd, &mixed[..mixed.len() - 1], 4096);
            assert!(end.is_err() && text == b"one\none\n", "{packing:?}");
        }
    }

    #[test]
    fn a_window_larger_than_the_limit_is_refused_and_not_taken() {
        // After the 12 bytes of the stream's header comes that of the block: its size, flags, the filter and the code of its window, a
        // checksum.
        let mut bytes = packed(Packing::Xz, b"one\n");
        let length = (usize::from(bytes[12]) + 1) * 4;
        assert_eq!(bytes[13..16], [0, 0x21, 1]);
        bytes[16] = 32; // 256 MiB
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..12 + length - 4]);
        bytes[12 + length - 4..12 + length].copy_from_slice(&crc.sum().to_le_bytes());
        let (text, end) = unpacked(Packing::Xz, &bytes, 4096);
        assert_eq!(end.expect_err("too large").kind(), io::ErrorKind::Unsupported);
        assert!(text.is_empty());
    }
}
