//! Zip archives, whose members are read as files.
//!
//! The directory at the end of an archive gives the offset of each member; it is read when files are listed, and a member when its turn
//! comes. Nothing is written to disk, so the names of members cannot do any harm.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flate2::bufread::DeflateDecoder;
use glob::{MatchOptions, Pattern};
use rawzip::{
    CompressionMethod, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, RECOMMENDED_BUFFER_SIZE, RangeReader,
    ZipArchive, ZipArchiveEntryWayfinder, ZipFileHeaderRecord,
};

use super::decompress::{self, PieceSize, Unpacked};
use super::naming::shown;
use super::packing::{ARCHIVE, Packing, has_extension};
use super::wildcards::has_wildcards;
use crate::error::{Error, Result};
use crate::files::Base;

/// Maximum number of members in an archive, since each takes memory.
const MOST: usize = 1_000_000;

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path in the archive.
    pub(super) name: PathBuf,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    /// The CRC-32 of its content, from the archive's directory.
    checksum: u32,
}

/// Whether `start` has the magic number of an archive.
pub(super) fn begins(start: &[u8]) -> bool {
    matches!(start, [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..])
}

/// Whether the file at `path` is an archive: by its magic number, or by its name if the file is truncated.
pub(super) fn is_archive(path: &Path) -> bool {
    let mut start = Vec::new();
    let is_read = path.metadata().is_ok_and(|meta| meta.is_file())
        && File::open(path).and_then(|file| file.take(4).read_to_end(&mut start)).is_ok();
    let is_cut =
        || matches!(*start, [b'P'] | [b'P', b'K'] | [b'P', b'K', 1..=8]) && has_extension(path, ARCHIVE);
    is_read && (begins(&start) || is_cut())
}

/// The kind of an archive whose files cannot be read, judged by its name.
pub(super) fn other_kind(path: &Path) -> Option<&'static str> {
    let kinds = [
        ("tar", "a tar"),
        ("tgz", "a tar"),
        ("tbz", "a tar"),
        ("tbz2", "a tar"),
        ("txz", "a tar"),
        ("7z", "a 7z"),
        ("rar", "a RAR"),
    ];
    let stem = path.file_stem().map(Path::new).filter(|_| super::packing::is_packed(path));
    kinds
        .into_iter()
        .find(|(extension, _)| {
            [Some(path), stem].into_iter().flatten().any(|path| has_extension(path, extension))
        })
        .map(|kind| kind.1)
}

/// The files in the archive at `path`, called `archive` in messages, sorted by name, without hidden files.
///
/// # Errors
/// If the archive or one of its members cannot be read, or two members have the same name.
pub(super) fn members(path: &Path, archive: &str) -> Result<Vec<Member>> {
    let file = File::open(path).map_err(|error| Error::io("read", archive, &error))?;
    let (zip, mut members) = (open(file, archive)?, Vec::new());
    let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let mut entries = zip.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(|error| damaged(archive, &error))? {
        members.extend(member(archive, &entry)?);
        if members.len() > MOST {
            return Err(
                Error::data(format!("`{archive}` has more than {MOST} files")).with_help("unpack it first")
            );
        }
    }
    if members.is_empty() {
        return Err(Error::data(format!("the archive `{archive}` has no files"))
            .with_help("check that it is the right one"));
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    match members.windows(2).find(|pair| pair[0].name == pair[1].name) {
        None => Ok(members),
        Some(pair) => Err(Error::data(format!("`{archive}` has two files named `{}`", shown(&pair[0].name)))
            .with_help("unpack it first, and keep the right one")),
    }
}

/// The member for an entry of an archive's directory; `None` for folders and hidden files.
fn member(archive: &str, entry: &ZipFileHeaderRecord<'_>) -> Result<Option<Member>> {
    let raw = entry.file_path();
    if raw.as_bytes() == b"[Content_Types].xml" {
        return Err(
            Error::data(format!("`{archive}` is an office document")).with_help("export its sheet as CSV")
        );
    }
    let name = path_of(raw.as_bytes());
    let is_hidden = name.iter().any(|part| part.as_bytes().starts_with(b"."));
    if entry.is_dir() || is_hidden {
        return Ok(None);
    }
    let (flags, method) = (entry.flags(), entry.compression_method());
    let why_not = if flags.is_encrypted() || flags.has_strong_encryption() || flags.is_masked() {
        "it is encrypted".to_owned()
    } else if entry.mode().is_symlink() {
        "it is a link".to_owned()
    } else if !METHODS.contains(&method) {
        let method = method.name().map_or_else(|| method.as_u16().to_string(), str::to_owned);
        format!("it uses the compression method {method}")
    } else {
        return Ok(Some(Member { name, place: entry.wayfinder(), method, checksum: entry.crc32() }));
    };
    Err(Error::data(format!("`{archive}/{}` cannot be read: {why_not}", shown(&name)))
        .with_help("unpack the archive first, or leave that file out of it"))
}

/// The path for the name of a member, always below the archive.
fn path_of(name: &[u8]) -> PathBuf {
    let parts = name.split(|byte| matches!(byte, b'/' | b'\\'));
    parts.filter(|part| !matches!(*part, b"" | b"." | b"..")).map(OsStr::from_bytes).collect()
}

fn open(file: File, archive: &str) -> Result<ZipArchive<FileReader>> {
    ZipArchive::from_file(file, &mut vec![0; RECOMMENDED_BUFFER_SIZE])
        .map_err(|error| damaged(archive, &error))
}

fn damaged(archive: &str, error: &rawzip::Error) -> Error {
    match error.kind() {
        rawzip::ErrorKind::IO(error) if error.raw_os_error().is_some() => Error::io("read", archive, error),
        _ => Error::data(format!("`{archive}` is not a valid zip archive, or it is truncated: {error}"))
            .with_help("fetch the file again"),
    }
}

/// The supported compression methods.
const METHODS: [CompressionMethod; 5] = [
    CompressionMethod::STORE,
    CompressionMethod::DEFLATE,
    CompressionMethod::BZIP2,
    CompressionMethod::ZSTD,
    CompressionMethod::XZ,
];

impl Member {
    /// Its compressed length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.place.compressed_size_hint()
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.place.uncompressed_size_hint() == 0
    }

    /// Extends a CRC-32C with its entry in the archive's directory: name, lengths, checksum.
    pub(super) fn add_to_checksum(&self, crc: u32) -> u32 {
        let crc = crc32c::crc32c_append(crc, self.name.as_os_str().as_bytes());
        let (packed, plain) = (self.place.compressed_size_hint(), self.place.uncompressed_size_hint());
        let numbers = [packed, plain, u64::from(self.checksum)];
        // The zero byte terminates the name, which cannot contain one.
        numbers.iter().fold(crc32c::crc32c_append(crc, &[0]), |crc, number| {
            crc32c::crc32c_append(crc, &number.to_le_bytes())
        })
    }

    /// Decompresses it from the archive `file`; `name` is its name in messages, `consumed` counts compressed bytes. The result is checked
    /// against the size and the checksum in the archive's directory.
    pub(super) fn unpack(&self, file: &File, name: &str, consumed: Arc<AtomicU64>) -> Result<Unpacked> {
        let failed = |error| Error::io("read", name, &error);
        let twin = || file.try_clone().map_err(failed);
        let zip = open(twin()?, name)?;
        let entry = zip.get_entry(self.place).map_err(|error| damaged(name, &error))?;
        let (start, end) = entry.compressed_data_range();
        let packed = RangeReader::new(FileReader::from(twin()?), start..end);
        let packed = decompress::counted(Box::new(packed), consumed);
        let content = self.content(packed).map_err(failed)?;
        let checked = entry.verifying_reader(content);
        decompress::spawn(move || Ok(Box::new(checked)), PieceSize::Full, Arc::default()).map_err(failed)
    }

    fn content(&self, packed: impl io::BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        match self.method {
            CompressionMethod::DEFLATE => Ok(Box::new(DeflateDecoder::new(packed))),
            CompressionMethod::BZIP2 => Packing::Bzip2.reader(packed),
            CompressionMethod::ZSTD => Packing::Zstd.reader(packed),
            CompressionMethod::XZ => Packing::Xz.reader(packed),
            _ => Ok(Box::new(packed)),
        }
    }
}

/// The selected files in an archive: a path or a glob.
pub(super) struct Inside {
    written: String,
    pattern: Pattern,
    /// The part before the first name with a wildcard.
    pub(super) fixed: PathBuf,
}

impl Inside {
    /// Splits a pattern that continues after the name of an archive into the archive's path and the selection in it.
    ///
    /// # Errors
    /// A configuration error if the selection is not a valid glob.
    pub(super) fn split<'a>(written: &'a str, base: &Base) -> Result<Option<(&'a str, Self)>> {
        let parts = written.match_indices('/').map(|(at, _)| (&written[..at], &written[at + 1..]));
        let is_archive = |path: &str| has_extension(Path::new(path), ARCHIVE) && !base.join(path).is_dir();
        let Some((archive, inside)) =
            parts.into_iter().find(|(path, rest)| is_archive(path) && !rest.is_empty())
        else {
            return Ok(None);
        };
        let pattern = Pattern::new(inside)
            .map_err(|error| Error::config(format!("`{inside}` is not a valid glob: {error}")))?;
        let folders = Path::new(inside).parent().into_iter().flat_map(Path::iter);
        let fixed = folders.take_while(|name| !has_wildcards(&name.to_string_lossy())).collect();
        Ok(Some((archive, Self { written: inside.to_owned(), pattern, fixed })))
    }

    pub(super) fn fits(&self, member: &Member) -> bool {
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        member.name == Path::new(&self.written) || self.pattern.matches_with(&shown(&member.name), options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_its_archive() {
        for (name, path) in [
            ("a.csv", "a.csv"),
            ("x/./y//a.csv", "x/y/a.csv"),
            ("../../etc/a.csv", "etc/a.csv"),
            ("/etc/a.csv", "etc/a.csv"),
            ("x\\y\\a.csv", "x/y/a.csv"),
        ] {
            assert_eq!(path_of(name.as_bytes()), Path::new(path));
        }
    }

    #[test]
    fn archives_that_are_not_read_are_known_by_name() {
        for name in ["a.tar", "a.TAR.gz", "a.tgz", "a.tar.xz", "x/a.7z", "a.rar"] {
            assert!(other_kind(Path::new(name)).is_some(), "{name}");
        }
        for name in ["a.csv", "a.tar.csv", "tar", "a.zip", "a.csv.gz"] {
            assert_eq!(other_kind(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_pattern_may_go_on_behind_an_archive() {
        let split = |pattern: &str| {
            let found = Inside::split(pattern, &Base::default()).expect("a pattern")?;
            Some((found.0.to_owned(), found.1.written, found.1.fixed))
        };
        let of = |archive: &str, inside: &str, fixed: &str| {
            Some((archive.to_owned(), inside.to_owned(), fixed.into()))
        };
        assert_eq!(split("data/a.zip/x.csv"), of("data/a.zip", "x.csv", ""));
        assert_eq!(split("data/*.ZIP/plant/v-*.csv"), of("data/*.ZIP", "plant/v-*.csv", "plant"));
        assert_eq!(split("data/a.zip"), None);
        assert_eq!(split("data/a.zip/"), None);
    }
}
