//! The file that holds a secret.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use zeroize::Zeroize;

use crate::error::{Error, Result};
use crate::files::FilePath;

/// Bytes of a secret at most: any key is smaller, and a wrong path is not read into memory.
const LARGEST: usize = 64 << 10;

/// Permission of users who are neither the owner nor of the group.
const READ_BY_OTHERS: u32 = 0o004;

/// What is in such a file.
pub(super) struct Contents {
    pub(super) text: String,
    /// Whether every user may read it.
    pub(super) is_open: bool,
}

/// Reads the secret in the file at `path`, without one line end at its end.
pub(super) fn read(path: &FilePath) -> Result<Contents> {
    let wrong = |what: &str| Error::config(format!("{path} {what}"));
    let failed = |error: std::io::Error| path.cannot_read(&error);
    // Nobody waits for whoever might open the other end of a pipe.
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path.place()).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(wrong("is not a regular file").with_help("a secret is in a text file"));
    }
    let mut bytes = Vec::with_capacity(LARGEST + 1);
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > LARGEST {
        bytes.zeroize();
        return Err(wrong("is larger than 64 KiB").with_help("name the file that holds the secret alone"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        error.into_bytes().zeroize();
        wrong("is not UTF-8").with_help("a secret is in a text file")
    })?;
    let length =
        text.strip_suffix('\n').map_or(text.len(), |text| text.strip_suffix('\r').unwrap_or(text).len());
    text.truncate(length);
    if text.is_empty() {
        return Err(wrong("is empty").with_help("write the secret into it"));
    }
    Ok(Contents { text, is_open: meta.permissions().mode() & READ_BY_OTHERS != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    fn read_of(bytes: &[u8], mode: u32) -> Result<Contents> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        fs::write(&path, bytes).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
        read(&FilePath::from(path.to_string_lossy()))
    }

    #[test]
    fn one_line_end_is_no_part_of_it() {
        for (bytes, text) in [
            (&b"abc"[..], "abc"),
            (b"abc\n", "abc"),
            (b"abc\r\n", "abc"),
            (b"abc\n\n", "abc\n"),
            (b"a\nb ", "a\nb "),
            (b"abc\r", "abc\r"),
        ] {
            assert_eq!(read_of(bytes, 0o600).expect("a secret").text, text);
        }
    }

    #[test]
    fn what_everybody_may_read_is_told_from_what_only_some_may() {
        let is_open = |mode| read_of(b"abc", mode).expect("a secret").is_open;
        assert_eq!([0o600, 0o400, 0o640, 0o604, 0o644].map(is_open), [false, false, false, true, true]);
    }

    #[test]
    fn what_is_no_secret_is_said_without_being_shown() {
        let large = vec![b'x'; LARGEST + 1];
        for (bytes, wrong) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (&large, "larger than 64 KiB"),
            (b"ab\xffcd", "not UTF-8"),
        ] {
            let error = read_of(bytes, 0o600).err().expect("no secret");
            assert!(error.message().ends_with(wrong), "{error}");
            assert!(!error.to_string().contains("xxx"), "{error}");
        }
        let full = read_of(&large[1..], 0o600).expect("64 KiB");
        assert_eq!(full.text.len(), LARGEST);
        for (path, wrong) in [
            ("/nowhere/at/all", "no such file"),
            ("/dev", "is not a regular file"),
            ("/dev/null", "is not a regular file"),
        ] {
            let error = read(&FilePath::from(path)).err().expect("no secret");
            assert!(error.message().contains(wrong), "{error}");
        }
    }
}
