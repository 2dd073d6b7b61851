//! Where unfinished files with addresses are: *staged* on this machine, in a folder of their own. That is in the state folder of a run that can resume, else in the system's folder for
//! temporary files.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::disk::{refused, user};
use super::{FileHandle, FileSystem, make_lasting_folder};

/// The name of the folder.
const STAGED: &str = "staged";

/// The folder of staged files.
#[derive(Clone, Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    /// Whether it is where other users could create it first.
    is_shared: bool,
}

/// A staged file.
#[derive(Debug)]
struct StagedFile {
    inner: Arc<dyn FileHandle>,
    staging: Staging,
}

impl Staging {
    /// That of a run with the state folder `state`, or without one.
    pub(super) fn of_run(state: Option<&Path>) -> Self {
        let folder = match state {
            Some(state) => state.join(STAGED),
            None => std::env::temp_dir().join(format!("tidemill-{STAGED}-{}", user())),
        };
        Self { folder, is_shared: state.is_none() }
    }

    /// Where the file with the address `path` is staged. No component leads out of the folder.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        let names = path.components().filter(|part| matches!(part, Component::Normal(_)));
        self.folder.join(names.collect::<PathBuf>())
    }

    /// Creates the folder in which files of the remote folder `path` are staged, in the file system `local`.
    ///
    /// # Errors
    /// An I/O error; `PermissionDenied` if another user could have created it.
    pub(super) fn make(&self, local: &dyn FileSystem, path: &Path) -> io::Result<()> {
        local.make_folder(&self.folder, true)?;
        if self.is_shared {
            check_own(&self.folder)?;
        }
        make_lasting_folder(local, &self.path(path), true)
    }

    /// The handle of a file that is staged here.
    pub(super) fn file(&self, inner: Arc<dyn FileHandle>) -> Arc<dyn FileHandle> {
        Arc::new(StagedFile { inner, staging: self.clone() })
    }
}

/// Checks that only this user can write to the folder at `path`, which is no link.
fn check_own(path: &Path) -> io::Result<()> {
    let meta = path.symlink_metadata()?;
    match () {
        () if !meta.is_dir() => Err(refused("the folder for unfinished uploads is a link or a file")),
        () if meta.uid() != user() => {
            Err(refused("the folder for unfinished uploads belongs to another user"))
        }
        () if meta.mode() & 0o022 != 0 => {
            Err(refused("other users may write to the folder for unfinished uploads"))
        }
        () => Ok(()),
    }
}

impl FileHandle for StagedFile {
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        self.inner.write_at(bytes, place)
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, place)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.inner.truncate(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn hold(&self) -> io::Result<()> {
        self.inner.hold()
    }

    fn has_name(&self, name: &Path) -> io::Result<bool> {
        self.inner.has_name(&self.staging.path(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;

    #[test]
    fn no_address_leads_out_of_the_folder() {
        let staging = Staging { folder: "/staged".into(), is_shared: false };
        for (path, staged) in [
            ("s3://bucket/a/.x", "/staged/s3:/bucket/a/.x"),
            ("s3://bucket/../../../.x", "/staged/s3:/bucket/.x"),
            ("s3://bucket//etc/.x", "/staged/s3:/bucket/etc/.x"),
        ] {
            assert_eq!(staging.path(Path::new(path)), Path::new(staged));
        }
    }

    #[test]
    fn a_folder_of_another_is_not_used() {
        let place = tempfile::tempdir().expect("a folder");
        let staging = |folder: PathBuf| Staging { folder, is_shared: true };
        let (elsewhere, link) = (place.path().join("elsewhere"), place.path().join("link"));
        std::fs::create_dir(&elsewhere).expect("made");
        std::os::unix::fs::symlink(&elsewhere, &link).expect("a link");
        let at = Path::new("memory://routed/x");
        let error = staging(link).make(&Disk, at).expect_err("a link");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        staging(place.path().join("own")).make(&Disk, at).expect("made");
    }
}
