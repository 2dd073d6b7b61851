//! The columns of followed files where neither the options nor a checkpoint give them: those of the first file whose beginning is complete.
//!
//! The writer of a file may be in the middle of its header or first record, and an incomplete line says nothing. So a run waits for it, as
//! it waits for a file that does not exist yet.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::format::columns::Columns;
use crate::notes::Event;
use crate::source::OpenOptions;
use crate::source::file::input_file::InputFile;
use crate::source::file::looks::REST;
use crate::source::file::open_file::{head, stopped};
use crate::source::file::options::FileOptions;
use crate::source::file::packing::is_packed;
use crate::source::stream::HEAD;
use crate::source::stream::wait::PATIENCE;

/// Records needed where they determine the columns.
const RECORDS: usize = 1;

/// Minimum wait before checking again. Tests do not wait.
const LEAST: Duration = if cfg!(test) { Duration::ZERO } else { PATIENCE };

/// Waits for files until one of them determines the columns.
pub(in crate::source::file) struct Awaited<'a> {
    pub(in crate::source::file) format: &'a Arc<dyn Format>,
    pub(in crate::source::file) options: &'a FileOptions,
    pub(in crate::source::file) extensions: &'a [&'a str],
    pub(in crate::source::file) open: &'a OpenOptions,
}

impl Awaited<'_> {
    /// The columns, determined by the files in `there`, the options, or files that appear later.
    ///
    /// # Errors
    /// If a file does not fit the options; if the run is to stop, or does not wait, before the columns are known.
    pub(in crate::source::file) fn columns(&self, mut there: Vec<InputFile>) -> Result<Schema> {
        let mut is_said = false;
        loop {
            let start = Instant::now();
            if let Some(schema) = self.of_files(&there)? {
                return self.format.columns().declared(&schema);
            }
            if let Some(schema) = self.format.declared(self.pattern())? {
                return self.format.columns().declared(&schema);
            }
            if !self.open.waits {
                return Err(self.unknown());
            }
            if !std::mem::replace(&mut is_said, true) {
                Event::info("waiting_for_input").say(&self.open.masks, &self.waits_for(&there));
            }
            pause((start.elapsed() * REST).max(LEAST), &self.open.stop)?;
            // A failing search may succeed next time; permanent errors were reported at the start.
            there = self.options.growing(self.extensions, &self.open.outputs).unwrap_or_default();
        }
    }

    /// The columns of the first of `files` that determines them, merged with those of others if the options ask for that.
    fn of_files(&self, files: &[InputFile]) -> Result<Option<Schema>> {
        let mut all: Option<Schema> = None;
        for file in files {
            let Some(own) = self.of_file(file, all.is_none())? else { continue };
            all = Some(all.map_or(Ok(own.clone()), |all| Columns::joined(&all, &own))?);
            if !self.format.columns().are_joined() {
                break;
            }
        }
        Ok(all)
    }

    /// The columns of a file, if its beginning is complete; everything in the first one `is_to_fit` the options.
    fn of_file(&self, file: &InputFile, is_to_fit: bool) -> Result<Option<Schema>> {
        let is_packed = file.path.as_ref().is_some_and(|path| is_packed(path));
        let Some(path) = file.path.as_ref().filter(|_| !is_packed && !file.is_empty()) else {
            return Ok(None);
        };
        let failed = |error| Error::io("read", &file.name, &error);
        let Some(bytes) = beginning(path).map_err(failed)? else { return Ok(None) };
        let head = head(file, &bytes, false);
        if bytes.is_empty() || bytes.len() < HEAD && !self.format.knows_columns(head, RECORDS) {
            return Ok(None);
        }
        let schema = self.format.schema(head)?;
        if is_to_fit && self.format.can_bind(head) {
            self.format.bind(head, &Arc::new(self.format.columns().declared(&schema)?))?;
        }
        Ok(Some(schema))
    }

    fn pattern(&self) -> &str {
        self.options.patterns().first().map_or("", String::as_str)
    }

    /// The note shown while waiting.
    fn waits_for(&self, there: &[InputFile]) -> String {
        let begun = there.iter().find(|file| !file.is_empty());
        let what = match begun {
            Some(file) => format!("`{}` has its first lines, including a complete record", file.name),
            None => format!("a file that matches `{}` has its first record", self.pattern()),
        };
        format!("waiting until {what}: they determine the columns; {NAMED}, the run begins at once")
    }

    /// The error if the run does not wait.
    fn unknown(&self) -> Error {
        let what = format!(
            "the columns are not known yet: no file that matches `{}` has its first lines, including a complete record",
            self.pattern()
        );
        Error::unavailable(what).with_help(format!(
            "`tidemill run` waits for one; {NAMED}, the columns are known from the options"
        ))
    }
}

/// The options that determine the columns.
const NAMED: &str = "with `measurements`, and for csv `names` too";

/// The first bytes of the file at `path`; `None` if it was removed or is not a regular file.
fn beginning(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // The file may have been replaced by a pipe since the scan.
    let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Waits for `length`.
///
/// # Errors
/// If the run is to stop.
fn pause(length: Duration, stop: &AtomicBool) -> Result<()> {
    let end = Instant::now() + length;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(PATIENCE));
    }
}
