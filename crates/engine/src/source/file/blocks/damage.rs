//! Input that cannot be read as it is: archives in a stream, compressed data that are damaged or cut short.

use crate::error::Error;
use crate::source::file::archive;
use crate::source::file::packing::Packing;
use crate::source::file::remote;

/// Rejects an archive: those in regular files were recognized before.
pub(super) fn check_no_archive(start: &[u8]) -> std::io::Result<()> {
    let why = "it is a zip archive, and those are read from files only, and not out of one another";
    if archive::begins(start) {
        Err(std::io::Error::new(std::io::ErrorKind::Unsupported, why))
    } else {
        Ok(())
    }
}

/// Checks that `start`, the first bytes of `name`, is not the truncated header of a compressed file.
pub(super) fn check_whole(start: &[u8], name: &str) -> std::io::Result<()> {
    if Packing::is_cut(start, name) { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// The error of a failed read, with a remedy for damaged compressed files.
pub(super) fn read_error(name: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::data(format!("`{name}` is cut short: its compressed data end in the middle"))
                .with_help("fetch the file again")
        }
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
            Error::data(format!("`{name}` is damaged: {error}")).with_help("fetch the file again")
        }
        std::io::ErrorKind::Unsupported => Error::data(format!("`{name}` cannot be unpacked: {error}"))
            .with_help("decompress it with the tool that compressed it, and read the result"),
        _ => remote::read_error(name, error),
    }
}
