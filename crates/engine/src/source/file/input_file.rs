//! One file of an input: its name in messages and its location.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Member;
use super::naming::{Naming, shown};
use super::remote::RemoteFile;
use crate::files::Base;
use crate::source::sockets::Address;

/// One file of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// The name in messages.
    pub name: Arc<str>,
    /// The sensor of a file without a sensor column: its name without folder and extension, or as `sensor_from` says.
    pub stem: Arc<str>,
    /// The path of the file, or of its archive; `None` for standard input and addresses.
    pub path: Option<PathBuf>,
    /// The member of an archive.
    pub member: Option<Member>,
    /// The path as the pipeline has it: relative if its pattern is.
    pub(super) written: PathBuf,
    /// The socket address, if records come over one.
    pub address: Option<Address>,
    /// The file, if `path` is an address such as `s3://bucket/key`.
    pub(in crate::source) remote: Option<RemoteFile>,
}

impl InputFile {
    /// The file at `path`.
    pub fn new(path: &Path) -> Self {
        Self::written(path, path)
    }

    /// The file at `path`, called `written` in messages.
    pub(super) fn written(path: &Path, written: &Path) -> Self {
        let own = Path::new(path.file_name().unwrap_or_default());
        let stem = Naming::Stem.sensor(path, own).unwrap_or_default();
        Self {
            name: shown(written).into(),
            stem: stem.into(),
            path: Some(path.to_owned()),
            member: None,
            written: written.to_owned(),
            address: None,
            remote: None,
        }
    }

    pub(super) fn stdin() -> Self {
        Self::without_path("-".into(), "stdin".into(), None)
    }

    pub(super) fn socket(address: &Address, base: &Base) -> Self {
        let name: Arc<str> = address.to_string().into();
        Self::without_path(Arc::clone(&name), name, Some(address.with_base(base)))
    }

    fn without_path(name: Arc<str>, stem: Arc<str>, address: Option<Address>) -> Self {
        Self { name, stem, path: None, member: None, written: PathBuf::new(), address, remote: None }
    }

    /// The file `member` of the archive at `path`, called `archive` in messages.
    pub(super) fn in_archive(path: &Path, archive: &Path, member: Member) -> Self {
        Self { member: Some(member.clone()), ..Self::written(path, &archive.join(&member.name)) }
    }

    /// The name of the file itself in messages; of a member, its archive.
    pub(super) fn container(&self) -> String {
        let Some(member) = &self.member else { return self.name.to_string() };
        let archive = self.written.ancestors().nth(member.name.components().count());
        shown(archive.unwrap_or(&self.written))
    }

    /// Whether both are in the same archive.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.member.is_some() && other.member.is_some() && self.path == other.path
    }

    /// Whether it is complete and can be read again: a regular file, or one with an address.
    pub(in crate::source) fn is_at_rest(&self) -> bool {
        self.remote.is_some() || self.regular().is_some()
    }

    /// The path of a regular file of this machine; standard input may be one too.
    pub(in crate::source) fn regular(&self) -> Option<PathBuf> {
        let path = match (&self.path, &self.address) {
            (Some(path), _) => path.clone(),
            (None, None) => PathBuf::from(STDIN),
            (None, Some(_)) => return None,
        };
        path.metadata().is_ok_and(|meta| meta.is_file()).then_some(path)
    }

    /// The length in bytes as stored, if known.
    pub fn len(&self) -> Option<u64> {
        if let Some(remote) = &self.remote {
            return Some(remote.length());
        }
        if let Some(member) = &self.member {
            return Some(member.len());
        }
        let meta = std::fs::metadata(self.path.as_ref()?).ok()?;
        meta.is_file().then_some(meta.len())
    }

    /// Whether it is known to be empty.
    pub fn is_empty(&self) -> bool {
        self.member.as_ref().map_or_else(|| self.len() == Some(0), Member::is_empty)
    }
}

/// Reopens standard input, for a file offset of its own.
pub(super) const STDIN: &str = "/dev/fd/0";
