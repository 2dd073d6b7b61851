//! Writing to standard output and standard error.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::ops::Deref;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::failure::{Failure, Outcome};
use tidemill_core::error::{Error, ErrorKind, visible, visible_lines};
use tidemill_engine::atomic::{self, AtomicFile};
use tidemill_engine::notes;
use tidemill_engine::pipeline::{Secrets, environment};

/// Writes data to standard output.
pub(super) fn data(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Error::io("write to", "standard output", &error).into(),
    })
}

/// Text for people in the making. Nothing that is written into it is obeyed by a terminal; whatever holds names or text from outside goes
/// through [`visible`] before, so that it stays on its line.
#[derive(Clone, Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// Adds `text` so that it stands out, where that can be.
    pub(super) fn strong(&mut self, text: &str) {
        let text = visible(text);
        if is_styled() {
            self.0 += &format!("\x1b[1;31m{text}\x1b[0m");
        } else {
            self.0 += &text;
        }
    }

    /// Adds what a renderer has made of it, styles and all.
    pub(super) fn rendered(&mut self, text: &str) {
        self.0 += text;
    }
}

impl fmt::Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += &visible_lines(text);
        Ok(())
    }
}

impl From<&str> for Page {
    fn from(text: &str) -> Self {
        Self(visible_lines(text).into_owned())
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Deref for Page {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// What is not said: what the environment has given to the pipeline of this process.
static SECRETS: Mutex<Vec<Secrets>> = Mutex::new(Vec::new());

/// From now on, nothing for people has these in it.
pub(super) fn hide(secrets: &Secrets) {
    if !secrets.is_empty() {
        SECRETS.lock().unwrap_or_else(PoisonError::into_inner).push(secrets.clone());
    }
}

fn hidden(page: &Page, hide: impl Fn(&Secrets, &str) -> String) -> String {
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    secrets.iter().fold(page.0.clone(), |text, secrets| hide(secrets, &text))
}

/// Writes text for people, which shows what there is, to standard output.
pub(super) fn page(page: &Page) -> Outcome {
    data(&hidden(page, |secrets, text| secrets.masks().hide_long(text).into_owned()))
}

/// Writes a line for people to standard error. That nobody reads it is no error.
pub(super) fn note(text: &str) {
    notes(&Page::from(text));
}

/// Writes lines for people to standard error, likewise.
pub(super) fn notes(page: &Page) {
    let text = hidden(page, |secrets, text| secrets.hide(text).into_owned());
    notes::write(&format!("{text}\n"));
}

/// Writes what was told of a run to standard error, likewise: a report has hidden what is short already, and has data in it.
pub(super) fn told(page: &Page) {
    let text = hidden(page, |secrets, text| secrets.masks().hide_long(text).into_owned());
    notes::write(&format!("{text}\n"));
}

/// Whether standard error takes colours: it is a terminal, and `NO_COLOR` is not set to anything.
pub(super) fn is_styled() -> bool {
    is_terminal() && environment::variable("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard error is a terminal.
pub(super) fn is_terminal() -> bool {
    io::stderr().is_terminal()
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
