//! What was found in the files, separately and joined.

use std::path::{Path, PathBuf};

use crate::cli::guess::{FileKind, Guess};
use tidemill_core::error::{Error, Result};

/// What was found.
pub(super) struct InputsFound {
    /// What the pipeline reads.
    pub(super) paths: Vec<String>,
    /// The first file inspected; `None` for standard input.
    pub(super) first: Option<PathBuf>,
    /// How many files were inspected.
    pub(super) files: usize,
    /// Files of folders and archives that the pipeline does not read, and why.
    pub(super) left_out: Vec<(PathBuf, String)>,
    pub(super) guess: Guess,
}

impl InputsFound {
    /// What was guessed of the file at `path`.
    pub(super) fn of(path: &Path, guess: Guess) -> Self {
        let paths = vec![path.display().to_string()];
        Self { paths, first: Some(path.to_owned()), files: 1, left_out: Vec::new(), guess }
    }

    pub(super) fn is_measured(&self) -> bool {
        !self.guess.roles.measurements.is_empty()
    }

    /// Whether records have a time, or a count from a start that the user must give.
    pub(super) fn has_time(&self) -> bool {
        let roles = &self.guess.roles;
        self.guess.kind == FileKind::Influx || roles.time.is_some() || roles.relative.is_some()
    }
}

/// Joins what was found in other files.
pub(super) fn join(all: &mut Option<InputsFound>, other: InputsFound) -> Result<()> {
    let Some(known) = all else {
        *all = Some(other);
        return Ok(());
    };
    if let Some(why) = known.guess.differs_in(&other.guess) {
        let name = |found: &InputsFound| {
            found.first.as_ref().map(|first| first.display().to_string()).unwrap_or_default()
        };
        return Err(Error::usage(format!(
            "{} and {} cannot be read by one source: {why}",
            name(known),
            name(&other)
        ))
        .with_help(
            "run `init` for each kind of file separately; `a.zip/*.csv` selects files of an archive",
        ));
    }
    known.guess.join(other.guess);
    known.files += other.files;
    known.paths.extend(other.paths);
    known.left_out.extend(other.left_out);
    Ok(())
}
