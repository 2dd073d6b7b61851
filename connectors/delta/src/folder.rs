//! A folder of this machine as an object store: a file is on the disk, under its name, when a write returns.
//!
//! The store below writes a file aside and renames it, but synchronises nothing: after a power failure, a commit could be there without its bytes, or refer to data that are not
//! there. Here every file is synchronised, then its folder. What readers look for by its name, in the log, is synchronised before it takes that name.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use delta_kernel::object_store::local::LocalFileSystem;
use delta_kernel::object_store::path::{Path, PathPart};
use delta_kernel::object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, RenameTargetMode, Result, UploadPart,
};
use futures_util::stream::BoxStream;
use uuid::Uuid;

/// The folder of the log.
const LOG: &str = "_delta_log";

/// The object store of a table in the folder `root`.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    files: Arc<LocalFileSystem>,
    root: PathBuf,
}

impl Folder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { files: Arc::new(LocalFileSystem::new()), root }
    }

    /// Waits until the file is on the disk, under its name if that is new.
    fn sync_file(&self, location: &Path) -> Result<()> {
        let path = self.files.path_to_filesystem(location)?;
        File::open(path).and_then(|file| file.sync_all()).map_err(failed)
    }

    /// Waits until the names of the file, and of the folders of the table that it is in, are on the disk.
    fn sync_names(&self, location: &Path) -> Result<()> {
        for folder in self.folders(location)? {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        // It may be a folder of others, which may not be opened.
        let above = self.root.parent().and_then(|above| File::open(above).ok());
        above.map_or(Ok(()), |above| above.sync_all()).map_err(failed)
    }

    /// The folders of the table that a file is in.
    fn folders(&self, location: &Path) -> Result<Vec<PathBuf>> {
        let path = self.files.path_to_filesystem(location)?;
        let is_inside = |folder: &&std::path::Path| folder.starts_with(&self.root);
        let folders: Vec<_> = path.ancestors().skip(1).take_while(is_inside).map(PathBuf::from).collect();
        match folders.is_empty() {
            // Nothing would be durable.
            true => Err(failed(io::Error::other(format!("{} is not in the table", path.display())))),
            false => Ok(folders),
        }
    }

    /// Gives the file `aside` its name.
    async fn publish(&self, aside: &Path, location: &Path, mode: &PutMode) -> Result<()> {
        self.sync_file(aside)?;
        match mode {
            PutMode::Create => {
                let options = CopyOptions::new().with_mode(CopyMode::Create);
                let copied = self.files.copy_opts(aside, location, options).await;
                // An error leaves a file that no reader looks for.
                let _left = self.files.delete(aside).await;
                copied?;
            }
            _ => {
                let options = RenameOptions::new().with_target_mode(RenameTargetMode::Overwrite);
                self.files.rename_opts(aside, location, options).await?;
            }
        }
        self.sync_names(location)
    }
}

/// Creates a folder, and those above it, so that their names are on the disk.
pub(crate) fn create(folder: &std::path::Path) -> io::Result<()> {
    let missing = folder.ancestors().take_while(|folder| !folder.exists());
    let missing: Vec<_> = missing.filter_map(std::path::Path::parent).collect();
    std::fs::create_dir_all(folder)?;
    missing.into_iter().try_for_each(|above| File::open(above)?.sync_all())
}

fn failed(error: io::Error) -> Error {
    Error::Generic { store: "folder", source: Box::new(error) }
}

/// A name in the folder of the table, if `location` is in its log: there readers look for names, and nobody would remove what a run that was killed has left.
fn aside(location: &Path) -> Option<Path> {
    let parts: Vec<_> = location.parts().collect();
    let log = parts.iter().rposition(|part| part.as_ref() == LOG)?;
    let name = format!("{}.{}.tmp", parts.last()?.as_ref(), Uuid::new_v4());
    Some(Path::from_iter(parts[..log].iter().cloned().chain([PathPart::from(name)])))
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.display().fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let Some(aside) = aside(location) else {
            let put = self.files.put_opts(location, payload, options).await?;
            self.sync_file(location)?;
            self.sync_names(location)?;
            return Ok(put);
        };
        let put = self.files.put(&aside, payload).await?;
        self.publish(&aside, location, &options.mode).await?;
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let aside = aside(location).unwrap_or_else(|| location.clone());
        let upload = self.files.put_multipart_opts(&aside, options).await?;
        Ok(Box::new(Upload { folder: self.clone(), upload, aside, location: location.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await?;
        self.sync_file(to)?;
        self.sync_names(to)
    }
}

/// A long file, such as a checkpoint.
#[derive(Debug)]
struct Upload {
    folder: Folder,
    upload: Box<dyn MultipartUpload>,
    aside: Path,
    location: Path,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let put = self.upload.complete().await?;
        self.folder.publish(&self.aside, &self.location, &PutMode::Overwrite).await?;
        Ok(put)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_log_are_written_aside() {
        let commit = Path::from("lake/t/_delta_log/00000000000000000001.json");
        let aside = aside(&commit).expect("a name").to_string();
        assert!(aside.starts_with("lake/t/00000000000000000001.json."), "{aside}");
        assert_eq!(super::aside(&Path::from("lake/t/day=2026-01-01/a.parquet")), None);
    }

    #[test]
    fn the_folders_of_a_file_are_those_of_the_table_and_no_others() {
        let folder = Folder::new(PathBuf::from("/lake/t"));
        let of = |location: &str| folder.folders(&Path::from(location));
        let folders = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            of("lake/t/_delta_log/0.json").expect("folders"),
            folders(&["/lake/t/_delta_log", "/lake/t"])
        );
        assert_eq!(of("lake/t/a.parquet").expect("folders"), folders(&["/lake/t"]));
        assert!(of("lake/t2/a.parquet").is_err());
    }
}
