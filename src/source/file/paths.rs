//! From what the user wrote to the files that are meant (clause 6).

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::address::Address;
use crate::error::{Error, Result};

/// One file of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// The name as messages show it.
    pub name: Arc<str>,
    /// The name without folder and extensions: the sensor of a file without a sensor column.
    pub stem: Arc<str>,
    /// Where it is; `None` for standard input and addresses.
    pub path: Option<PathBuf>,
    /// Where its records come in, where that is over a socket.
    pub address: Option<Address>,
}

impl InputFile {
    /// The file at `path`.
    pub fn new(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = [".gz", ".zst"].iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
        let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
        Self {
            name: path.to_string_lossy().into(),
            stem: (&*stem).into(),
            path: Some(path.to_owned()),
            address: None,
        }
    }

    fn stdin() -> Self {
        Self { name: "-".into(), stem: "stdin".into(), path: None, address: None }
    }

    fn socket(address: Address) -> Self {
        let name: Arc<str> = address.to_string().into();
        Self { name: Arc::clone(&name), stem: name, path: None, address: Some(address) }
    }

    /// The path of a regular file, which standard input may be too.
    pub(super) fn regular(&self) -> Option<PathBuf> {
        let path = match (&self.path, &self.address) {
            (Some(path), _) => path.clone(),
            (None, None) => PathBuf::from(STDIN),
            (None, Some(_)) => return None,
        };
        path.metadata().is_ok_and(|meta| meta.is_file()).then_some(path)
    }

    /// How many bytes it has, if that is known.
    pub fn len(&self) -> Option<u64> {
        let meta = std::fs::metadata(self.path.as_ref()?).ok()?;
        meta.is_file().then_some(meta.len())
    }

    /// Whether it is known to have none.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

/// Standard input, to be opened once more: then whoever reads it has its own place in it.
pub(super) const STDIN: &str = "/dev/fd/0";

/// Whether a pattern means something that may keep its reader waiting.
pub(super) fn may_wait(pattern: &str) -> bool {
    if !matches!(Address::parse(pattern), Ok(None)) {
        return true;
    }
    let meta = match pattern {
        "-" => std::io::stdin().as_fd().try_clone_to_owned().and_then(|stdin| File::from(stdin).metadata()),
        path => std::fs::metadata(path),
    };
    meta.is_ok_and(|meta| super::blocks::may_wait(&meta))
}

/// Whether it is live input that was recorded.
pub(super) fn is_recording(pattern: &str) -> bool {
    super::recording::is_recording(Path::new(pattern))
}

pub(super) fn expand(patterns: &[String], extensions: &[&str]) -> Result<Vec<InputFile>> {
    check_order(patterns)?;
    let mut files = Vec::new();
    for pattern in patterns {
        if pattern == "-" {
            files.push(InputFile::stdin());
            continue;
        }
        if let Some(address) = Address::parse(pattern)? {
            files.push(InputFile::socket(address));
            continue;
        }
        if pattern.is_empty() {
            return Err(Error::config("`path` is empty")
                .with_help("name a file, a folder or a glob; \"-\" is standard input"));
        }
        let path = Path::new(pattern);
        if path.is_dir() {
            files.extend(folder(path, extensions)?);
        } else if path.exists() || !pattern.contains(['*', '?', '[']) {
            // The last of a hundred files should not be missed only when the others have been read.
            std::fs::metadata(path).map_err(|error| Error::io("read", path.display(), &error))?;
            files.push(InputFile::new(path));
        } else {
            files.extend(matches(pattern)?);
        }
    }
    Ok(files)
}

/// What stands behind an address would never be read: nothing ends there.
fn check_order(patterns: &[String]) -> Result<()> {
    let Some((_, before)) = patterns.split_last() else { return Ok(()) };
    for pattern in before {
        if Address::parse(pattern)?.is_some() {
            return Err(Error::config(format!(
                "`{pattern}` does not end, so what `path` names behind it is never read"
            ))
            .with_help("name files first and one address last; a second address needs a run of its own"));
        }
    }
    Ok(())
}

/// The files of a folder that look like data, in name order.
fn folder(path: &Path, extensions: &[&str]) -> Result<Vec<InputFile>> {
    let shown = path.display();
    let entries = std::fs::read_dir(path).map_err(|error| Error::io("read the folder", shown, &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Error::io("read the folder", path.display(), &error))?.path();
        if path.is_file() && is_wanted(&path, extensions) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        let help = format!("files there should end in .{}", extensions.join(", ."));
        return Err(
            Error::unavailable(format!("the folder `{}` has no data files", path.display())).with_help(help)
        );
    }
    Ok(paths.iter().map(|path| InputFile::new(path)).collect())
}

/// Whether the name says that the file is packed.
pub(super) fn is_packed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["gz", "zst"].iter().any(|packed| extension.eq_ignore_ascii_case(packed)))
}

fn is_wanted(path: &Path, extensions: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
    !name.starts_with('.')
        && extensions.iter().any(|extension| name.strip_suffix(extension).is_some_and(|n| n.ends_with('.')))
}

/// The files that fit a glob, in name order.
fn matches(pattern: &str) -> Result<Vec<InputFile>> {
    let paths =
        glob::glob(pattern).map_err(|error| Error::config(format!("`{pattern}` is no glob: {error}")))?;
    let mut paths: Vec<PathBuf> = paths
        .collect::<Result<_, _>>()
        .map_err(|error| Error::io("look at", error.path().display(), error.error()))?;
    paths.retain(|path| path.is_file());
    paths.sort();
    if paths.is_empty() {
        return Err(Error::unavailable(format!("no file fits `{pattern}`"))
            .with_help("check the path; it is relative to the current folder"));
    }
    Ok(paths.iter().map(|path| InputFile::new(path)).collect())
}
