//! Writing to standard output and standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::exit::{Failure, Outcome};
use crate::error::Error;
use crate::pipeline::environment;

/// Writes data to standard output.
pub(super) fn data(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::Closed,
        _ => Error::io("write to", "standard output", &error).into(),
    })
}

/// Writes a line for people to standard error. That nobody reads it is no error.
pub(super) fn note(text: &str) {
    let _closed = writeln!(io::stderr().lock(), "{text}");
}

/// Whether standard error takes colours: it is a terminal, and `NO_COLOR` is not set to anything.
pub(super) fn is_styled() -> bool {
    is_terminal() && environment::variable("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard error is a terminal.
pub(super) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// `text` so that it stands out, where that can be.
pub(super) fn bold_red(text: &str) -> String {
    if is_styled() { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() }
}

/// Whether a path means standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes `text` to the file at `path`, which appears only when complete, or to standard output (`-`). Without
/// `replace`, a file that is there is left alone. A named pipe or a device takes the text as it is, and is never replaced.
pub(super) fn file(path: &Path, text: &str, replace: bool) -> Outcome {
    if is_stdout(path) {
        return data(text);
    }
    let name = &path.display().to_string();
    if is_special(path) {
        return std::fs::write(path, text).map_err(|error| Error::io("write", name, &error).into());
    }
    let mut part = part_of(path)?;
    part.write_all(text.as_bytes()).map_err(|error| Error::io("write", name, &error))?;
    readable(part.as_file()).map_err(|error| Error::io("write", name, &error))?;
    let persisted = if replace { part.persist(path) } else { part.persist_noclobber(path) };
    match persisted {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            Err(Error::usage(format!("{name} is there already"))
                .with_help("give another name, or --force to overwrite it")
                .into())
        }
        Err(error) => Err(Error::io("write", name, &error.error).into()),
    }
}

/// Whether a named pipe or a device is there.
fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Sees to it that a file could be written at `path`, before hours of work are put into its content.
pub(super) fn check_file(path: &Path) -> Outcome {
    if is_stdout(path) || is_special(path) {
        return Ok(());
    }
    if path.is_dir() {
        let error = io::Error::from(ErrorKind::IsADirectory);
        return Err(Error::io("write", path.display(), &error).into());
    }
    part_of(path).map(drop)
}

/// A temporary file in the folder of the final one.
fn part_of(path: &Path) -> Outcome<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let part = tempfile::Builder::new().prefix(".tidemill-").tempfile_in(folder);
    part.map_err(|error| Error::io("write", path.display(), &error).into())
}

/// Gives a temporary file, which only its owner may read, the rights of any other file.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_file: &std::fs::File) -> io::Result<()> {
    Ok(())
}
