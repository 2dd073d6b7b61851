//! The complete files of a rolling sink: they are renamed after the checkpoint that closes them, and removed when they are old.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::atomic::{SavedPart, Template, marks, rename_beside};
use crate::context::SinkContext;
use crate::error::{Error, Result, plain};
use crate::files::{FileSystem, folder, kind_if_there, path_bytes};
use crate::time::{Clock, format_duration};

/// A complete file, which may not have its final name yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Closed {
    /// The epoch that ended with it.
    pub(super) epoch: u64,
    /// Its final name, below the root.
    #[serde(with = "path_bytes")]
    pub(super) name: PathBuf,
    /// Under its temporary name.
    pub(super) file: SavedPart,
}

/// Delivers closed files by renaming them, in the order of their epochs. Idempotent.
pub(super) struct ClosedFiles {
    files: Arc<dyn FileSystem>,
    template: Template,
    /// The state folder.
    state: Option<PathBuf>,
    keep: Option<i64>,
    clock: Clock,
    inner: Mutex<Delivered>,
}

#[derive(Default)]
struct Delivered {
    /// Those still to be delivered.
    closed: VecDeque<Closed>,
    /// The number of delivered files, including those of the runs that this one resumed.
    count: u64,
    /// The last delivered file.
    last: Option<PathBuf>,
    /// Files found neither under their temporary nor under their final name.
    taken: Vec<PathBuf>,
    /// The number of removed files.
    removed: u64,
    /// Why an old file could not be removed.
    kept: Option<String>,
}

/// The error if the part file `part` is to be called `path`, and another file is.
fn taken(part: &Path, path: &Path) -> Error {
    let (part, path) = (part.display(), path.display());
    Error::unavailable(format!("cannot deliver {part} as {path}: another file has that name"))
        .with_help("move that file away, then run the same command again; or, if another run writes there, give this one another `path`")
}

impl ClosedFiles {
    /// The files of a sink: `closed` are still to be delivered, `count` have been.
    pub(super) fn new(
        template: &Template,
        keep: Option<i64>,
        context: &SinkContext,
        closed: Vec<Closed>,
        count: u64,
    ) -> Self {
        Self {
            files: Arc::clone(&context.files),
            template: template.clone(),
            state: context.state.clone(),
            keep,
            clock: context.clock.clone(),
            inner: Mutex::new(Delivered { closed: closed.into(), count, ..Delivered::default() }),
        }
    }

    /// Adds a complete file, which follows all others.
    pub(super) fn add(&self, closed: Closed) {
        self.inner().closed.push_back(closed);
    }

    /// Delivers what was closed up to `epoch`.
    pub(super) fn deliver(&self, epoch: u64) -> Result<()> {
        loop {
            // The next cut reads what is left: it must not wait for the disk.
            let next = self.inner().closed.front().filter(|closed| closed.epoch <= epoch).cloned();
            let Some(closed) = next else { break };
            self.one(&closed)?;
            self.inner().closed.pop_front();
            self.done(closed.name);
        }
        self.remove_old();
        Ok(())
    }

    fn one(&self, Closed { name, file, .. }: &Closed) -> Result<()> {
        let path = self.template.root().join(name);
        let files = &*self.files;
        let failed = |error: io::Error| Error::io("deliver", path.display(), &error);
        // Its folder may have been moved with all that is in it.
        let part = folder(&path).join(file.part.file_name().unwrap_or_default());
        match files.open_own(&part) {
            Ok(handle) => {
                SavedPart { part: part.clone(), ..file.clone() }.check_closed(&*handle)?;
                let unmark = || self.state.iter().for_each(|state| marks::remove(files, &part, state));
                match rename_beside(files, &part, &path, unmark) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        return Err(taken(&part, &path));
                    }
                    renamed => renamed.map_err(&failed)?,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A reader may have moved it away.
                if kind_if_there(files, &path).map_err(&failed)?.is_none() {
                    self.inner().taken.push(path.clone());
                    return Ok(());
                }
            }
            Err(error) => return Err(failed(error)),
        }
        // The name is durable once the folder is synced; the run that renamed the file may have been killed before that.
        files.sync_folder(folder(&path)).map_err(failed)
    }

    /// Counts the file `name`, below the root, as delivered.
    pub(super) fn done(&self, name: PathBuf) {
        let mut inner = self.inner();
        inner.count += 1;
        inner.last = Some(name);
    }

    /// The files still to be delivered, and the number of delivered ones.
    pub(super) fn pending(&self) -> (Vec<Closed>, u64) {
        let inner = self.inner();
        (inner.closed.iter().cloned().collect(), inner.count)
    }

    /// Removes files that fit the template and are older than `keep`. Failed removals are retried next time.
    pub(super) fn remove_old(&self) {
        let Some(keep) = self.keep else { return };
        let oldest = self.clock.read().as_nanos().saturating_sub(keep);
        let (mut removed, mut kept) = (0, None);
        let found = self.template.look(&*self.files).unwrap_or_default();
        for file in found.files {
            let is_old = self.files.modified(&file.path).map(|modified| modified.as_nanos() < oldest);
            match is_old
                .and_then(|is_old| if is_old { self.files.remove(&file.path).map(|()| 1) } else { Ok(0) })
            {
                Ok(count) => removed += count,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => kept = Some(format!("{}: {}", file.path.display(), plain(&error))),
            }
        }
        let mut inner = self.inner();
        inner.removed += removed;
        inner.kept = kept;
    }

    /// Remarks for the end of the run.
    pub(super) fn remarks(&self) -> Vec<String> {
        let (inner, shown) = (self.inner(), self.template.path());
        let shown = shown.display();
        let files = |count: u64| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        let mut remarks = Vec::new();
        if inner.count > 0 {
            let last = inner
                .last
                .as_ref()
                .map_or_else(String::new, |last| format!(", the last one {}", last.display()));
            remarks.push(format!("{shown}: {} delivered{last}", files(inner.count)));
        }
        remarks.extend(
            inner
                .taken
                .iter()
                .map(|path| format!("{} has been moved or removed since it was delivered", path.display())),
        );
        if let Some(keep) = self.keep.filter(|_| inner.removed > 0) {
            remarks.push(format!(
                "{shown}: {} older than {} removed",
                files(inner.removed),
                format_duration(keep)
            ));
        }
        remarks
            .extend(inner.kept.iter().map(|why| format!("{shown}: older files could not be removed: {why}")));
        remarks
    }

    fn inner(&self) -> MutexGuard<'_, Delivered> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
