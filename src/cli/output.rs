//! Writing to standard output and standard error.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::ops::Deref;
use std::path::Path;

use tracing::Level;

use super::failure::{Failure, Outcome};
use super::{log, masked};
use tidemill_core::error::{Error, ErrorKind, visible, visible_lines};
use tidemill_engine::atomic::{self, AtomicFile};
use tidemill_engine::{environment, notes};

/// Writes data to standard output.
pub(super) fn data(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Error::io("write to", "standard output", &error).into(),
    })
}

/// Text for a terminal, under construction. Control characters written into it are escaped; names or text from outside must also go
/// through [`visible`], so that they stay on their line.
#[derive(Clone, Debug, Default)]
pub(super) struct TerminalText(String);

impl TerminalText {
    /// Adds `text`, highlighted if the terminal supports it.
    pub(super) fn strong(&mut self, text: &str) {
        let text = visible(text);
        if is_styled() {
            self.0 += &format!("\x1b[1;31m{text}\x1b[0m");
        } else {
            self.0 += &text;
        }
    }

    /// Adds rendered text, including its styles.
    pub(super) fn rendered(&mut self, text: &str) {
        self.0 += text;
    }
}

impl fmt::Write for TerminalText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += &visible_lines(text);
        Ok(())
    }
}

impl From<&str> for TerminalText {
    fn from(text: &str) -> Self {
        Self(visible_lines(text).into_owned())
    }
}

impl fmt::Display for TerminalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Deref for TerminalText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Writes a page to standard output.
pub(super) fn page(page: &TerminalText) -> Outcome {
    data(&masked::data(page))
}

/// Writes a line to standard error. It is not an error if nothing reads it.
pub(super) fn note(text: &str) {
    notes(&TerminalText::from(text));
}

/// Writes lines to standard error, likewise.
pub(super) fn notes(page: &TerminalText) {
    match log::is_json() {
        true => log::page(Level::INFO, "note", page),
        false => notes::write(&format!("{}\n", masked::message(page))),
    }
}

/// Writes the error that ends the command to standard error, likewise.
pub(super) fn error(page: &TerminalText) {
    match log::is_json() {
        true => log::page(Level::ERROR, "error", page),
        false => notes(page),
    }
}

/// Writes the summary of a run to standard error, likewise: short secrets have been masked in it already, and must not be masked in its data.
pub(super) fn told(page: &TerminalText) {
    // The event at the end of the run has its counts.
    if !log::is_json() {
        notes::write(&format!("{}\n", masked::data(page)));
    }
}

/// Whether standard error supports colours: it is a terminal, and `NO_COLOR` is empty or not set.
pub(super) fn is_styled() -> bool {
    !log::is_json() && is_terminal() && environment::variable("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard error is a terminal.
pub(super) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Writes `text` to the file at `path`, which appears only when complete, or to standard output (`-`). Without
/// `replace`, an existing file is kept.
pub(super) fn file(path: &Path, text: &str, replace: bool) -> Outcome {
    if atomic::is_stdout(path) {
        return data(text);
    }
    write(AtomicFile::create(path)?, text, replace)
}

/// The same, replacing an existing file, for text that holds data: only the owner can read the file.
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

/// Checks that a file can be written at `path`, before a long run that writes it at its end.
pub(super) fn check_file(path: &Path) -> Outcome {
    AtomicFile::create(path).map(drop).map_err(Failure::from)
}
