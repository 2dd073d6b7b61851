//! The columns of files that grow, where neither the options nor a checkpoint say them: those of the first file whose beginning is there.
//!
//! Whoever writes a file may be in the middle of its header or of its first record: what has come of a line says nothing until the line
//! has ended. So a run waits for it, as it waits for a file that is not there yet.

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
use crate::notes::say;
use crate::source::OpenOptions;
use crate::source::file::HEAD;
use crate::source::file::input_file::InputFile;
use crate::source::file::looks::REST;
use crate::source::file::open_file::{head, stopped};
use crate::source::file::options::FileOptions;
use crate::source::file::packing::is_packed;
use crate::source::file::wait::PATIENCE;

/// How many records have to be there, where the columns are known by what records have.
const RECORDS: usize = 1;

/// How long to wait at least before looking again. Tests do not wait.
const LEAST: Duration = if cfg!(test) { Duration::ZERO } else { PATIENCE };

/// Looks at files until one of them says what the columns are.
pub(in crate::source::file) struct Awaited<'a> {
    pub(in crate::source::file) format: &'a Arc<dyn Format>,
    pub(in crate::source::file) options: &'a FileOptions,
    pub(in crate::source::file) extensions: &'a [&'a str],
    pub(in crate::source::file) open: &'a OpenOptions,
}

impl Awaited<'_> {
    /// The columns, as `there`, the files that are there, say them, or the options, or files that come later.
    ///
    /// # Errors
    /// When a file is not what the options say; when the run is to stop, or nobody wants to wait, before anything says what the columns are.
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
                say(&self.open.masks.hide(&self.waits_for(&there)));
            }
            pause((start.elapsed() * REST).max(LEAST), &self.open.stop)?;
            // What cannot be found now may be the next time: what can never be has been told at the start.
            there = self.options.growing(self.extensions, &self.open.outputs).unwrap_or_default();
        }
    }

    /// The columns of the first of `files` that says them, with those of others where the options join them.
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

    /// The columns of a file, where its beginning is there; the first one `is_to_fit` the options in all it says there.
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

    /// What is said to people who wonder why nothing happens.
    fn waits_for(&self, there: &[InputFile]) -> String {
        let begun = there.iter().find(|file| !file.is_empty());
        let what = match begun {
            Some(file) => format!("`{}` has its first lines, up to a whole record", file.name),
            None => format!("a file that fits `{}` has its first record", self.pattern()),
        };
        format!("waiting until {what}: they say what the columns are; {NAMED}, the run begins at once")
    }

    /// Nobody waits.
    fn unknown(&self) -> Error {
        let what = format!(
            "the columns are not known yet: no file that fits `{}` has its first lines, up to a whole record",
            self.pattern()
        );
        Error::unavailable(what)
            .with_help(format!("`tidemill run` waits for one; {NAMED}, the columns are known without"))
    }
}

/// What says which columns there are.
const NAMED: &str = "with `measurements`, and for csv `names` too";

/// The first bytes of the file at `path`; nothing where it is gone again, or no file.
fn beginning(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // What has taken its place since it was looked for may be a pipe.
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
/// As soon as the run is to stop.
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
