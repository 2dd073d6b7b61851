//! Compression formats: file name suffixes, magic numbers and decoders.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek};
use std::ops::RangeInclusive;
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::parts::{Lz4Frame, MultipartDecoder, XzStream, skip_frames};

/// A compression format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Lz4,
}

/// The allowed values of one byte of a magic number.
type Byte = RangeInclusive<u8>;

const fn is(byte: u8) -> Byte {
    byte..=byte
}

/// Per format: the suffix of file names, and the magic number.
const KINDS: [(Packing, &str, &[Byte]); 7] = [
    (Packing::Gzip, "gz", &[is(0x1f), is(0x8b)]),
    (Packing::Zstd, "zst", &[is(0x28), is(0xb5), is(0x2f), is(0xfd)]),
    // A skippable frame, with which some tools begin; lz4 has the same.
    (Packing::Zstd, "zst", &[0x50..=0x5f, is(0x2a), is(0x4d), is(0x18)]),
    (Packing::Xz, "xz", &[is(0xfd), is(b'7'), is(b'z'), is(b'X'), is(b'Z'), is(0)]),
    // `BZh` and a digit could be text: a block header or an end mark must follow.
    (
        Packing::Bzip2,
        "bz2",
        &[
            is(b'B'),
            is(b'Z'),
            is(b'h'),
            b'1'..=b'9',
            is(0x31),
            is(0x41),
            is(0x59),
            is(0x26),
            is(0x53),
            is(0x59),
        ],
    ),
    (
        Packing::Bzip2,
        "bz2",
        &[
            is(b'B'),
            is(b'Z'),
            is(b'h'),
            b'1'..=b'9',
            is(0x17),
            is(0x72),
            is(0x45),
            is(0x38),
            is(0x50),
            is(0x90),
        ],
    ),
    (Packing::Lz4, "lz4", &[is(0x04), is(0x22), is(0x4d), is(0x18)]),
];

/// The suffix of archives.
pub(super) const ARCHIVE: &str = "zip";

/// Maximum length of a magic number in bytes.
pub(super) const MAGIC: usize = 10;

/// A file that ends within a magic number counts as truncated if it has at least this many of its bytes, or the matching suffix.
const TELLING: usize = 3;

/// The suffixes of compressed files and of archives.
pub fn packed_extensions() -> impl Iterator<Item = &'static str> {
    let alone = KINDS.iter().enumerate().filter(|(at, kind)| *at == 0 || KINDS[at - 1].1 != kind.1);
    alone.map(|(_, kind)| kind.1).chain([ARCHIVE])
}

/// Whether the suffix of `path` is that of a compressed file.
pub(super) fn is_packed(path: &Path) -> bool {
    packed_extensions().any(|packed| has_extension(path, packed))
}

pub(super) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension))
}

/// A name in lower case without its compression suffix.
pub(super) fn without_packing(name: &str) -> &str {
    let plain = |packed: &str| name.strip_suffix(packed)?.strip_suffix('.');
    packed_extensions().find_map(plain).unwrap_or(name)
}

/// Whether `start` is the beginning of a magic number, or contains all of it.
fn agree(start: &[u8], magic: &[Byte]) -> bool {
    start.iter().zip(magic).all(|(byte, may_be)| may_be.contains(byte))
}

impl Packing {
    /// Detects the format by the first bytes of a file.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let is_whole = |magic: &[Byte]| start.len() >= magic.len() && agree(start, magic);
        KINDS.iter().find(|(_, _, magic)| is_whole(magic)).map(|kind| kind.0)
    }

    /// Detects the format of `file` and rewinds it.
    pub(super) fn of_file(file: &mut File) -> io::Result<Option<Self>> {
        let mut start = Vec::new();
        file.take(MAGIC as u64).read_to_end(&mut start)?;
        file.rewind()?;
        Ok(Self::of(&start))
    }

    /// Whether `start`, the whole content of the file `name`, is a truncated magic number.
    pub(super) fn is_cut(start: &[u8], name: &str) -> bool {
        let is_cut = |(_, extension, magic): &(Self, &str, &[Byte])| {
            let is_telling = start.len() >= TELLING || has_extension(Path::new(name), extension);
            !start.is_empty() && start.len() < magic.len() && is_telling && agree(start, magic)
        };
        KINDS.iter().any(is_cut)
    }

    /// A decoder for `packed`. It needs a few MiB of memory and the window of the encoder: 128 MiB at most.
    pub(super) fn reader<'a>(
        self,
        mut packed: impl BufRead + Send + 'a,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(MultipartDecoder::<_, GzDecoder<_>>::new(packed)?),
            Self::Bzip2 => Box::new(MultipartDecoder::<_, bzip2::bufread::BzDecoder<_>>::new(packed)?),
            Self::Xz => Box::new(MultipartDecoder::<_, XzStream<_>>::new(packed)?),
            Self::Lz4 => Box::new(MultipartDecoder::<_, Lz4Frame<_>>::new(packed)?),
            Self::Zstd => {
                skip_frames(&mut packed)?;
                match packed.fill_buf()?.first() {
                    Some(0x04) => return Self::Lz4.reader(packed),
                    _ => {
                        Box::new(MultipartDecoder::<_, zstd::stream::read::Decoder<'static, _>>::new(packed)?)
                    }
                }
            }
        })
    }

    /// A decoder for what follows a part of a file.
    pub(super) fn next_reader<'a>(self, packed: impl BufRead + Send + 'a) -> Box<dyn Read + Send + 'a> {
        match self {
            Self::Gzip => Box::new(MultipartDecoder::<_, GzDecoder<_>>::after_part(packed)),
            Self::Bzip2 => Box::new(MultipartDecoder::<_, bzip2::bufread::BzDecoder<_>>::after_part(packed)),
            Self::Xz => Box::new(MultipartDecoder::<_, XzStream<_>>::after_part(packed)),
            Self::Lz4 => Box::new(MultipartDecoder::<_, Lz4Frame<_>>::after_part(packed)),
            Self::Zstd => {
                Box::new(MultipartDecoder::<_, zstd::stream::read::Decoder<'static, _>>::after_part(packed))
            }
        }
    }
}

/// Normalizes the error of a decoder: `InvalidData` for damaged input, `UnexpectedEof` for truncated input, `Unsupported` for valid input
/// that cannot be decompressed here.
pub(super) fn error_of(error: io::Error) -> io::Error {
    let is_of_system = error.raw_os_error().is_some();
    let text = error.to_string();
    match error.kind() {
        _ if is_of_system => error,
        io::ErrorKind::OutOfMemory => too_much_memory(),
        io::ErrorKind::Other if text.contains("too much memory") => too_much_memory(),
        io::ErrorKind::Other => io::Error::new(io::ErrorKind::InvalidData, error),
        _ => error,
    }
}

fn too_much_memory() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "decompressing it would take more than 128 MiB of memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packing_is_known_by_its_first_bytes() {
        let all: [(&[u8], _); 8] = [
            (b"\x1f\x8b\x08", Packing::Gzip),
            (b"\x28\xb5\x2f\xfd", Packing::Zstd),
            (b"\x5e\x2a\x4d\x18", Packing::Zstd),
            (b"\xfd7zXZ\0", Packing::Xz),
            (b"BZh91AY&SY", Packing::Bzip2),
            (b"BZh1\x17\x72\x45\x38\x50\x90", Packing::Bzip2),
            (b"\x04\x22\x4d\x18", Packing::Lz4),
            (b"\x04\x22\x4d\x18and more", Packing::Lz4),
        ];
        for (start, packing) in all {
            assert_eq!(Packing::of(start), Some(packing), "{start:?}");
            assert!(start.len() <= MAGIC || packing == Packing::Lz4);
        }
        for text in ["", "BZh9,1AY&SY\n", "time,value\n", "(", "7z"] {
            assert_eq!(Packing::of(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_file_that_ends_within_its_magic_number_is_cut() {
        assert!(Packing::is_cut(b"BZh", "-") && Packing::is_cut(b"\xfd7zX", "a.csv"));
        assert!(Packing::is_cut(b"\x1f", "a.csv.gz") && Packing::is_cut(b"B", "a.bz2"));
        for (text, name) in
            [("", "a.csv.gz"), ("B", "a.csv"), ("B", "a.csv.gz"), ("BZh9,a\n1\n", "a.csv.bz2")]
        {
            assert!(!Packing::is_cut(text.as_bytes(), name), "{text:?} {name}");
        }
    }

    #[test]
    fn names_say_that_files_are_packed() {
        let all: Vec<_> = packed_extensions().collect();
        assert_eq!(all, ["gz", "zst", "xz", "bz2", "lz4", "zip"]);
        assert!(is_packed(Path::new("a.csv.XZ")) && !is_packed(Path::new("a.gz.csv")));
        assert_eq!(
            (without_packing("a.csv.bz2"), without_packing("a.csv"), without_packing("gz")),
            ("a.csv", "a.csv", "gz")
        );
    }
}
