//! Everything that a run reads or writes: nothing is written over what is read, and nothing is written twice.

use std::collections::HashMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Pipeline, StageEntry};
use crate::atomic::{Outputs, Template};
use crate::error::{Error, Part, Result};
use crate::source::OpenOptions;

/// Standard output, as a file that others may name too.
const STDOUT: &str = "/dev/stdout";

/// One file or folder that a run reads or writes.
#[derive(Clone, Debug)]
pub struct Touched {
    path: PathBuf,
    /// What it is to the run.
    role: String,
    access: Access,
    part: Option<Part>,
    /// How the files are called that it is, where they roll.
    template: Option<Template>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    /// A folder of checkpoints.
    State,
}

impl Touched {
    /// A file that is read as `role`.
    pub fn read(path: impl Into<PathBuf>, role: impl Into<String>) -> Self {
        Self { path: path.into(), role: role.into(), access: Access::Read, part: None, template: None }
    }

    /// A file that is written as `role`.
    pub fn written(path: impl Into<PathBuf>, role: impl Into<String>) -> Self {
        Self { path: path.into(), role: role.into(), access: Access::Write, part: None, template: None }
    }

    /// A folder that checkpoints are kept in.
    pub fn state(path: impl Into<PathBuf>) -> Self {
        let (role, access) = ("the state folder".into(), Access::State);
        Self { path: path.into(), role, access, part: None, template: None }
    }

    /// The files that are called as `template` says, which are written as `role`.
    fn rolled(template: Template, role: String) -> Self {
        Self { template: Some(template.clone()), ..Self::written(template.path(), role) }
    }

    fn of(self, part: Part) -> Self {
        Self { part: Some(part), ..self }
    }

    /// Whether it matters who else writes there. A device such as a terminal or a serial line may be read and written at once; those of
    /// memory, such as /dev/null, keep nothing apart.
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

    /// What it writes: globs and folders do not take that for input.
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

    /// How its sources are opened, in a run that may write more than the pipeline says.
    pub(crate) fn opening(&self, options: &OpenOptions) -> OpenOptions {
        let mut outputs = self.outputs();
        outputs.extend(&options.outputs);
        OpenOptions { outputs: outputs.into(), masks: Arc::clone(self.secrets.masks()), ..options.clone() }
    }

    /// Checks that a run writes nothing over what it reads, and nothing twice; `others` is what it reads and writes beside what the
    /// pipeline says.
    ///
    /// # Errors
    /// A configuration error that names the file and what it would be.
    pub fn check_touched(&self, others: &[Touched]) -> Result<()> {
        let mut outputs = self.outputs();
        outputs.extend(&written(others));
        let mut all: Vec<_> = self.files(&outputs).map(|file| Touched::read(file, "the input")).collect();
        for (at, StageEntry { stage, .. }) in self.stages.iter().enumerate() {
            let role = |what: &str| format!("{what} of stage {at} ({})", stage.name());
            let part = Part::Stage(at);
            let loaded = stage.loads().map(|file| Touched::read(file.place(), role("what is loaded")));
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
            all.extend(written.map(|touched| touched.of(Part::Sink(at))));
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

/// Checks that nothing in `all` is written over something else in it.
///
/// # Errors
/// A configuration error that names the file and what it would be.
pub fn check(all: &[Touched]) -> Result<()> {
    let mut known: HashMap<Key, &Touched> = HashMap::new();
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
    // What is written is at fault.
    let (first, second) = if other.access == Access::Read { (other, one) } else { (one, other) };
    let name = second.path.display();
    let error = Error::config(format!("`{name}` is both {} and {}", first.role, second.role))
        .with_help(format!("{} needs a file of its own: give it another name", second.role));
    match second.part.or(first.part) {
        Some(part) => error.with_part(part),
        None => error,
    }
}

/// What tells whether two paths are one file.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Place(PathBuf),
    /// Device and inode: a file may have several names.
    Inode(u64, u64),
}

fn keys(path: &Path) -> Vec<Key> {
    let inode = path.metadata().ok().map(|meta| Key::Inode(meta.dev(), meta.ino()));
    [Some(Key::Place(place(path))), inode].into_iter().flatten().collect()
}

/// Where a file is, or will be, however its path is written.
fn place(path: &Path) -> PathBuf {
    let path = &crate::files::where_link_leads(path);
    let folder = crate::files::folder(path);
    let made = || Some(folder.canonicalize().ok()?.join(path.file_name()?));
    let written = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.canonicalize().ok().or_else(made).unwrap_or_else(written)
}
