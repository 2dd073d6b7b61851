//! Files that a run reads or writes: checks that none is written twice, or written while it is read.

use std::collections::HashMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Pipeline, StageEntry};
use crate::atomic::{Outputs, Template};
use crate::error::{Error, PartIndex, Result};
use crate::source::OpenOptions;

/// Standard output as a path, which other parts may name too.
const STDOUT: &str = "/dev/stdout";

/// A file or folder that a run reads or writes.
#[derive(Clone, Debug)]
pub struct Touched {
    path: PathBuf,
    /// Its role in the run.
    role: String,
    access: Access,
    part: Option<PartIndex>,
    /// The template of rolling files.
    template: Option<Template>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    /// A state folder.
    State,
}

impl Touched {
    /// A file that is read in this role.
    pub fn read(path: impl Into<PathBuf>, role: impl Into<String>) -> Self {
        Self { path: path.into(), role: role.into(), access: Access::Read, part: None, template: None }
    }

    /// A file that is written in this role.
    pub fn written(path: impl Into<PathBuf>, role: impl Into<String>) -> Self {
        Self { path: path.into(), role: role.into(), access: Access::Write, part: None, template: None }
    }

    /// A state folder.
    pub fn state(path: impl Into<PathBuf>) -> Self {
        let (role, access) = ("the state folder".into(), Access::State);
        Self { path: path.into(), role, access, part: None, template: None }
    }

    /// Files named by `template` that are written in this role.
    fn rolled(template: Template, role: String) -> Self {
        Self { template: Some(template.clone()), ..Self::written(template.path(), role) }
    }

    fn of(self, part: PartIndex) -> Self {
        Self { part: Some(part), ..self }
    }

    /// Whether it must not be shared. A device such as a terminal or a serial line may be read and written at once; those of memory, such
    /// as /dev/null, keep nothing.
    fn minds_others(&self) -> bool {
        let driver = |path: &Path| rustix::fs::stat(path).ok().map(|stat| rustix::fs::major(stat.st_rdev));
        if crate::atomic::is_stdout(&self.path) {
            return false;
        }
        match self.path.metadata() {
            Ok(meta) if meta.file_type().is_char_device() => {
                self.access != Access::Read && driver(&self.path) != driver("/dev/null".as_ref())
            }
            _ => true,
        }
    }
}

impl Pipeline {
    /// The files that its sources will read, in a run that writes `outputs`.
    pub fn files(&self, outputs: &Outputs) -> impl Iterator<Item = PathBuf> {
        self.sources.iter().flat_map(|source| source.spec.files(outputs))
    }

    /// Its outputs: globs and folders do not match them as input.
    pub fn outputs(&self) -> Outputs {
        let mut outputs = Outputs::default();
        self.sinks.iter().filter_map(|sink| sink.spec.file()).for_each(|file| outputs.add(&file));
        self.sinks.iter().filter_map(|sink| sink.spec.rolls()).for_each(|rolled| outputs.add_rolled(rolled));
        self.stages.iter().filter_map(|entry| entry.stage.saves()).for_each(|file| outputs.add(file.place()));
        if self.sinks.iter().any(|sink| sink.spec.is_stdout()) {
            outputs.add_stdout();
        }
        outputs
    }

    /// The options for opening its sources, in a run that may write other files than the pipeline's.
    pub(crate) fn opening(&self, options: &OpenOptions) -> OpenOptions {
        let mut outputs = self.outputs();
        outputs.extend(&options.outputs);
        OpenOptions { outputs: outputs.into(), masks: Arc::clone(self.secrets.masks()), ..options.clone() }
    }

    /// Checks that the run does not write to a file that it reads or writes already; `others` are its files besides those of the pipeline.
    ///
    /// # Errors
    /// A configuration error that names the file and both roles.
    pub fn check_touched(&self, others: &[Touched]) -> Result<()> {
        let mut outputs = self.outputs();
        outputs.extend(&written(others));
        let mut all: Vec<_> = self.files(&outputs).map(|file| Touched::read(file, "the input")).collect();
        for (at, StageEntry { stage, .. }) in self.stages.iter().enumerate() {
            let role = |what: &str| format!("{what} of stage {at} ({})", stage.name());
            let part = PartIndex::Stage(at);
            let loaded = stage.loads().map(|file| Touched::read(file.place(), role("the constants to load")));
            let saved = stage.saves().map(|file| Touched::written(file.place(), role("the saved constants")));
            all.extend(loaded.into_iter().chain(saved).map(|touched| touched.of(part)));
        }
        for (at, sink) in self.sinks.iter().enumerate() {
            let role = format!("the output of sink {at} ({})", sink.spec.name());
            let stdout = sink.spec.is_stdout().then(|| STDOUT.into());
            let path = sink.spec.file().or_else(|| sink.spec.stream()).or(stdout);
            let written = match sink.spec.rolls() {
                Some(template) => Some(Touched::rolled(template, role)),
                None => path.map(|path| Touched::written(path, role)),
            };
            all.extend(written.map(|touched| touched.of(PartIndex::Sink(at))));
        }
        all.extend_from_slice(others);
        check(&all)
    }
}

/// Those of `all` that are written.
pub fn written(all: &[Touched]) -> Outputs {
    let mut outputs = Outputs::default();
    for touched in all {
        match touched.access {
            Access::Read => {}
            Access::Write => match &touched.template {
                Some(template) => outputs.add_rolled(template.clone()),
                None => outputs.add(&touched.path),
            },
            Access::State => outputs.add_state(&touched.path),
        }
    }
    outputs
}

/// Checks that no file in `all` is written in addition to another use.
///
/// # Errors
/// A configuration error that names the file and both roles.
pub fn check(all: &[Touched]) -> Result<()> {
    let mut known: HashMap<FileKey, &Touched> = HashMap::new();
    for touched in all.iter().filter(|touched| touched.minds_others()) {
        for key in keys(&touched.path) {
            match known.get(&key) {
                Some(other) if touched.access != Access::Read || other.access != Access::Read => {
                    return Err(conflict(other, touched));
                }
                Some(_) => {}
                None => drop(known.insert(key, touched)),
            }
        }
    }
    for (at, touched) in all.iter().enumerate() {
        let Some(template) = &touched.template else { continue };
        let is_alike = |other: &Touched| match &other.template {
            Some(other) => template.overlaps(other),
            None => template.has(&place(&other.path)) || template.has(&other.path),
        };
        let mut others = all.iter().enumerate().filter(|(other, _)| *other != at);
        if let Some((other, also)) = others.find(|(_, other)| other.minds_others() && is_alike(other)) {
            return Err(if other < at { conflict(also, touched) } else { conflict(touched, also) });
        }
    }
    for state in all.iter().filter(|touched| touched.access == Access::State) {
        let mut kept = Outputs::default();
        kept.add_state(&state.path);
        if let Some(inside) = all.iter().find(|touched| kept.has(&touched.path)) {
            return Err(conflict(state, inside));
        }
    }
    Ok(())
}

fn conflict(one: &Touched, other: &Touched) -> Error {
    // The written one is to blame.
    let (first, second) = if other.access == Access::Read { (other, one) } else { (one, other) };
    let name = second.path.display();
    let error = Error::config(format!("`{name}` is both {} and {}", first.role, second.role))
        .with_help(format!("{} needs a file of its own: give it another name", second.role));
    match second.part.or(first.part) {
        Some(part) => error.with_part(part),
        None => error,
    }
}

/// The identity of a file.
#[derive(PartialEq, Eq, Hash)]
enum FileKey {
    Place(PathBuf),
    /// Device and inode: a file may have several names.
    Inode(u64, u64),
}

fn keys(path: &Path) -> Vec<FileKey> {
    let inode = path.metadata().ok().map(|meta| FileKey::Inode(meta.dev(), meta.ino()));
    [Some(FileKey::Place(place(path))), inode].into_iter().flatten().collect()
}

/// The canonical path of a file, which may not exist yet.
fn place(path: &Path) -> PathBuf {
    let path = &crate::files::where_link_leads(path);
    let folder = crate::files::folder(path);
    let made = || Some(folder.canonicalize().ok()?.join(path.file_name()?));
    let written = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.canonicalize().ok().or_else(made).unwrap_or_else(written)
}
