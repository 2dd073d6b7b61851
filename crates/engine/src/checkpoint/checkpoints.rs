//! Reads checkpoints, each with those on which it stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::chain::Link;
use super::folder::{name, ordinal};
use super::manifest::{Manifest, Standing, WholeFile, wrong};
use super::pieces::StageState;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{FileSystem, folder, kind_if_there};
use crate::sensor::SensorNames;

/// The checkpoints of a folder. Each file is read once, however many others stand on it.
#[derive(Debug)]
pub struct Checkpoints<'a> {
    files: &'a dyn FileSystem,
    /// Whether the pieces of the stages' states can be read afterwards: the files stay open for that.
    stay_open: bool,
    /// What was read, or what is wrong with it.
    known: BTreeMap<PathBuf, std::result::Result<Base, Flaw>>,
}

/// What is wrong with a checkpoint.
#[derive(Debug)]
struct Flaw {
    why: String,
    /// The same for those that stand on it: which file is damaged.
    of_others: String,
}

/// What others need of a checkpoint that stand on it.
#[derive(Debug)]
struct Base {
    link: Link,
    sensors: SensorNames,
    stages: Vec<StageState>,
}

impl<'a> Checkpoints<'a> {
    /// Reads from `files`.
    pub fn new(files: &'a dyn FileSystem) -> Self {
        Self { files, stay_open: true, known: BTreeMap::new() }
    }

    /// The same without the pieces of the stages' states: each file is closed when it was read.
    pub(super) fn closing(files: &'a dyn FileSystem) -> Self {
        Self { stay_open: false, ..Self::new(files) }
    }

    /// The checkpoint at `path`.
    ///
    /// # Errors
    /// A data error that says what is wrong with it, or with one on which it stands. What the system says.
    pub fn read(&mut self, path: &Path) -> Result<Manifest> {
        if let Some(Err(Flaw { why, .. })) = self.known.get(path) {
            return Err(Error::data(why.clone()));
        }
        let mut of_others = format!("it stands on {}, which is not intact", path.display());
        let read = self.read_anew(path, &mut of_others);
        let base = match &read {
            Ok((link, manifest)) => {
                Ok(Base { link: *link, sensors: manifest.sensors.clone(), stages: manifest.stages.clone() })
            }
            Err(error) => Err(Flaw { why: error.message().to_owned(), of_others }),
        };
        if read.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Data) {
            self.known.insert(path.to_owned(), base);
        }
        read.map(|(_, manifest)| manifest)
    }

    /// Where it stands on one that is damaged, `flaw` says so.
    fn read_anew(&mut self, path: &Path, flaw: &mut String) -> Result<(Link, Manifest)> {
        let file = self.files.open(path).map_err(|error| Error::io("read", path.display(), &error))?;
        let file = WholeFile::check(file, path)?;
        let base = file.base().map(|link| self.base(link, path, flaw)).transpose()?;
        let on = base.map(|base| Standing { sensors: &base.sensors, stages: &base.stages });
        let mut manifest = file.read(on)?;
        if !self.stay_open {
            manifest.stages.iter_mut().for_each(StageState::close);
        }
        Ok((file.link(ordinal(path).unwrap_or_default()), manifest))
    }

    /// What `link` names, on which the one at `path` stands.
    fn base(&mut self, link: Link, path: &Path, flaw: &mut String) -> Result<&Base> {
        if ordinal(path).is_none_or(|own| own <= link.ordinal) {
            return Err(wrong("it stands on one that is not older"));
        }
        let base = folder(path).join(name(link.ordinal));
        let mut is_flawed = |why: String| {
            *flaw = why;
            wrong(flaw)
        };
        let stands = |what: &str| format!("it stands on {}, {what}", base.display());
        if !self.known.contains_key(&base) {
            match kind_if_there(self.files, &base) {
                Ok(None) => return Err(is_flawed(stands("which is not there"))),
                Ok(Some(_)) => {}
                Err(error) => return Err(Error::io("look at", base.display(), &error)),
            }
            match self.read(&base) {
                Err(error) if error.kind() != ErrorKind::Data => return Err(error),
                _ => {}
            }
        }
        match &self.known[&base] {
            Err(Flaw { of_others, .. }) => Err(is_flawed(of_others.clone())),
            Ok(found) if found.link != link => Err(is_flawed(stands("of which another one is there"))),
            Ok(found) => Ok(found),
        }
    }
}
