//! Unpublished files that no sink resumes.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic::{SavedPart, UNTIL, marks};
use crate::files::{FileSystem, folder, kind_if_there, path_bytes};

/// An unpublished file that no sink resumes: its content is preserved under another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The file, and how much of it belongs to the checkpoint.
    pub output: SavedPart,
    /// The number of records until then.
    pub records: u64,
    /// The name under which it is preserved.
    #[serde(with = "path_bytes")]
    pub aside: PathBuf,
}

impl Orphan {
    /// The file `output`, written until there were `records` records, with a free name to preserve it.
    pub(crate) fn of(files: &dyn FileSystem, output: &SavedPart, records: u64) -> Self {
        let name = |suffix: String| {
            let mut name = output.path.clone().into_os_string();
            name.push(format!("{UNTIL}{records}{suffix}"));
            PathBuf::from(name)
        };
        let mut aside = name(String::new());
        for number in 2.. {
            if matches!(kind_if_there(files, &aside), Ok(None) | Err(_)) {
                break;
            }
            aside = name(format!("-{number}"));
        }
        Self { output: output.clone(), records, aside }
    }

    /// Whether it still has its temporary name.
    pub(crate) fn is_there(&self, files: &dyn FileSystem) -> bool {
        matches!(kind_if_there(files, &self.output.part), Ok(Some(_)) | Err(_))
    }

    /// Renames it to the name under which it is preserved; a second time is harmless.
    pub(super) fn preserve(&self, files: &dyn FileSystem, state: &Path) -> io::Result<()> {
        let file = match files.open_own(&self.output.part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        file.truncate(self.output.length)?;
        file.sync()?;
        marks::remove(files, &self.output.part, state);
        files.rename(&self.output.part, &self.aside)?;
        files.sync_folder(folder(&self.aside))
    }
}
