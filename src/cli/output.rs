//! Writing to standard output and standard error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use super::exit::{Failure, Outcome};
use crate::atomic::{self, AtomicFile};
use crate::error::{Error, ErrorKind};
use crate::pipeline::environment;

/// Writes data to standard output.
pub(super) fn data(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
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

/// Writes `text` to the file at `path`, which appears only when complete, or to standard output (`-`). Without
/// `replace`, a file that is there is left alone.
pub(super) fn file(path: &Path, text: &str, replace: bool) -> Outcome {
    if atomic::is_stdout(path) {
        return data(text);
    }
    write(AtomicFile::create(path)?, text, replace)
}

/// The same, in place of one that is there, for a text that holds data: nobody else can read the file.
pub(super) fn private_file(path: &Path, text: &str) -> Outcome {
    if atomic::is_stdout(path) {
        return data(text);
    }
    write(AtomicFile::create_private(path)?, text, true)
}

fn write(mut file: AtomicFile, text: &str, replace: bool) -> Outcome {
    file.write_all(text.as_bytes()).map_err(|error| file.failed(&error))?;
    let committed = if replace { file.commit() } else { file.commit_new() };
    committed.map_err(|error| match error.kind() {
        ErrorKind::Usage => error.with_help("give another name, or --force to overwrite it").into(),
        _ => error.into(),
    })
}

/// Sees to it that a file could be written at `path`, before hours of work are put into its content.
pub(super) fn check_file(path: &Path) -> Outcome {
    AtomicFile::create(path).map(drop).map_err(Failure::from)
}
