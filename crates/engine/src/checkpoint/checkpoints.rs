//! Reads checkpoints, each with its base.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Manifest;
use super::chain::Link;
use super::file::{BaseContent, CheckpointFile, not_intact};
use super::names::{name, ordinal};
use super::pieces::StageState;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{FileSystem, folder, kind_if_there};
use crate::sensor::SensorNames;

/// The checkpoints of a folder. Each file is read once, however many refer to it.
#[derive(Debug)]
pub struct Checkpoints<'a> {
    files: &'a dyn FileSystem,
    /// Whether the files stay open, so that the pieces of the stages' states can be read afterwards.
    stay_open: bool,
    /// The files that were read.
    known: BTreeMap<PathBuf, std::result::Result<Base, Flaw>>,
}

/// What is wrong with a checkpoint.
#[derive(Debug)]
struct Flaw {
    why: String,
    /// The reason for checkpoints whose base it is: names the damaged file.
    of_dependents: String,
}

/// The content of a checkpoint that other checkpoints need, whose base it is.
#[derive(Debug)]
struct Base {
    link: Link,
    sensors: SensorNames,
    stages: Vec<StageState>,
}

impl<'a> Checkpoints<'a> {
    /// Reads checkpoints of `files`.
    pub fn new(files: &'a dyn FileSystem) -> Self {
        Self { files, stay_open: true, known: BTreeMap::new() }
    }

    /// The same, but closes each file after reading it.
    pub(super) fn closing(files: &'a dyn FileSystem) -> Self {
        Self { stay_open: false, ..Self::new(files) }
    }

    /// The checkpoint at `path`.
    ///
    /// # Errors
    /// A data error that says what is wrong with it or its base; an I/O error.
    pub fn read(&mut self, path: &Path) -> Result<Manifest> {
        if let Some(Err(Flaw { why, .. })) = self.known.get(path) {
            return Err(Error::data(why.clone()));
        }
        let mut of_dependents = format!("its base {} is not intact", path.display());
        let read = self.read_anew(path, &mut of_dependents);
        let base = match &read {
            Ok((link, manifest)) => {
                Ok(Base { link: *link, sensors: manifest.sensors.clone(), stages: manifest.stages.clone() })
            }
            Err(error) => Err(Flaw { why: error.message().to_owned(), of_dependents }),
        };
        if read.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Data) {
            self.known.insert(path.to_owned(), base);
        }
        read.map(|(_, manifest)| manifest)
    }

    /// Reads the file at `path`. If its base is damaged, `flaw` is set to that.
    fn read_anew(&mut self, path: &Path, flaw: &mut String) -> Result<(Link, Manifest)> {
        let file = self.files.open(path).map_err(|error| Error::io("read", path.display(), &error))?;
        let file = CheckpointFile::check(file, path)?;
        let base = file.base().map(|link| self.base(link, path, flaw)).transpose()?;
        let base = base.map(|base| BaseContent { sensors: &base.sensors, stages: &base.stages });
        let mut manifest = file.read(base)?;
        if !self.stay_open {
            manifest.stages.iter_mut().for_each(StageState::close);
        }
        Ok((file.link(ordinal(path).unwrap_or_default()), manifest))
    }

    /// The base of the checkpoint at `path`, to which `link` points.
    fn base(&mut self, link: Link, path: &Path, flaw: &mut String) -> Result<&Base> {
        if ordinal(path).is_none_or(|own| own <= link.ordinal) {
            return Err(not_intact("its base is not older"));
        }
        let base = folder(path).join(name(link.ordinal));
        let mut is_flawed = |why: String| {
            *flaw = why;
            not_intact(flaw)
        };
        let its_base = |what: &str| format!("its base {} {what}", base.display());
        if !self.known.contains_key(&base) {
            match kind_if_there(self.files, &base) {
                Ok(None) => return Err(is_flawed(its_base("does not exist"))),
                Ok(Some(_)) => {}
                Err(error) => return Err(Error::io("look at", base.display(), &error)),
            }
            match self.read(&base) {
                Err(error) if error.kind() != ErrorKind::Data => return Err(error),
                _ => {}
            }
        }
        match &self.known[&base] {
            Err(Flaw { of_dependents, .. }) => Err(is_flawed(of_dependents.clone())),
            Ok(found) if found.link != link => Err(is_flawed(its_base("was replaced by another file"))),
            Ok(found) => Ok(found),
        }
    }
}
