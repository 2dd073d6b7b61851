//! Resolving the paths, globs and folders that the user gave to files (clause 6).

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::archive::{self, Inside};
use super::input_file::InputFile;
use super::naming::{Naming, shown};
use super::packing::{ARCHIVE, has_extension, without_packing};
use super::remote::RemoteFile;
use super::remote_paths;
use super::wildcards::{self, GlobMatch, has_wildcards};
use crate::atomic::Outputs;
use crate::error::{Error, Result};
use crate::files::{Base, FileSystem, scheme};
use crate::source::sockets::Address;
use crate::source::stream::wait;

/// Whether a pattern names a live input, from which reads may block.
pub(super) fn may_wait(pattern: &str, base: &Base) -> bool {
    if !matches!(Address::parse(pattern), Ok(None)) {
        return true;
    }
    let meta = match pattern {
        "-" => std::io::stdin().as_fd().try_clone_to_owned().and_then(|stdin| File::from(stdin).metadata()),
        path => base.join(path).metadata(),
    };
    meta.is_ok_and(|meta| wait::may_wait(&meta))
}

/// How files are searched for.
pub(super) struct PathSearch<'a> {
    /// The folder against which relative paths are resolved.
    pub(super) base: &'a Base,
    /// Extensions of the files to read in a folder; a compression suffix may follow.
    pub(super) extensions: &'a [&'a str],
    /// Files that globs and folders skip.
    pub(super) outputs: &'a Outputs,
    pub(super) naming: &'a Naming,
    /// Whether an archive stands for the files in it.
    pub(super) archives: bool,
    /// Set when the run is to stop: then requests to a store end.
    pub(super) stop: &'a Arc<AtomicBool>,
}

/// What a pattern selects.
#[derive(Clone, Copy)]
struct Selection<'a> {
    pattern: &'a str,
    /// The selection within archives.
    inside: Option<&'a Inside>,
}

/// The result of a search.
#[derive(Debug, Default)]
pub(super) struct FoundFiles {
    pub(super) files: Vec<InputFile>,
    /// Matching files that are the run's own output.
    pub(super) own: BTreeSet<PathBuf>,
    /// Matching files without a sensor, and the reason.
    pub(super) unnamed: Vec<(PathBuf, Error)>,
}

impl PathSearch<'_> {
    /// All files that `patterns` select, in order.
    pub(super) fn expand(&self, patterns: &[String]) -> Result<FoundFiles> {
        check_order(patterns)?;
        let mut found = FoundFiles::default();
        for pattern in patterns {
            self.one(Selection { pattern, inside: None }, &mut found)?;
        }
        Ok(found)
    }

    fn one(&self, wanted: Selection<'_>, found: &mut FoundFiles) -> Result<()> {
        let pattern = wanted.pattern;
        if pattern == "-" {
            found.files.push(InputFile::stdin());
            return Ok(());
        }
        if let Some(address) = Address::parse(pattern)? {
            found.files.push(InputFile::socket(&address, self.base));
            return Ok(());
        }
        if let Some(files) = scheme::files_of_pipeline(Path::new(pattern))? {
            return match files.until(self.stop) {
                Some(files) => self.remote(wanted, &*files, found),
                None => self.remote(wanted, files, found),
            };
        }
        if pattern.is_empty() {
            return Err(Error::config("`path` is empty")
                .with_help("name a file, a folder or a glob; \"-\" is standard input"));
        }
        let path = &self.base.join(pattern);
        if path.is_dir() {
            let files = folder(path, self.extensions)?;
            return self.take(wanted, files, found, |but| {
                let help = format!("files there should end in .{}", self.extensions.join(", ."));
                Error::unavailable(format!("the folder `{pattern}` has no data files{but}")).with_help(help)
            });
        }
        if wanted.inside.is_none()
            && !path.exists()
            && let Some((archive, inside)) = Inside::split(pattern, self.base)?
        {
            return self.inside(pattern, Selection { pattern: archive, inside: Some(&inside) }, found);
        }
        if path.exists() || !has_wildcards(pattern) {
            // A missing file must be reported at the start, not when its turn comes.
            path.metadata().map_err(|error| self.base.path(pattern).cannot_read(&error))?;
            return self.named(wanted, path, None, None, found);
        }
        self.take(wanted, wildcards::matches(pattern, self.base)?, found, |but| {
            let is_here = wildcards::matches(pattern, &Base::default()).is_ok_and(|fits| !fits.is_empty());
            Error::unavailable(format!("no file matches `{pattern}`{but}"))
                .with_help(self.base.path(pattern).looked_for(is_here))
        })
    }

    /// Adds the files with addresses that are selected.
    fn remote(&self, wanted: Selection<'_>, files: &dyn FileSystem, found: &mut FoundFiles) -> Result<()> {
        let pattern = wanted.pattern;
        if remote_paths::is_glob(pattern) {
            return self.take(wanted, remote_paths::matches(pattern, files)?, found, |but| {
                Error::unavailable(format!("no file matches `{pattern}`{but}")).with_help(
                    "check the bucket and the names before the first wildcard; upper and lower case differ",
                )
            });
        }
        let (path, is_folder) = (Path::new(pattern.trim_end_matches('/')), pattern.ends_with('/'));
        let file = if is_folder { None } else { remote_paths::open(path, files)? };
        if let Some(file) = file {
            return self.named(wanted, path, None, Some(file), found);
        }
        let fits = remote_paths::folder(path, |file| is_wanted(file, self.extensions), files)?;
        self.take(wanted, fits, found, |but| {
            let extensions = self.extensions.join(", .");
            Error::unavailable(format!("there is no file `{pattern}`, and no folder with data files{but}"))
                .with_help(format!(
                    "upper and lower case differ; files in a folder should end in .{extensions}"
                ))
        })
    }

    /// Adds the files in archives that `pattern` selects; `wanted` is the pattern split at the archive.
    fn inside(&self, pattern: &str, wanted: Selection<'_>, found: &mut FoundFiles) -> Result<()> {
        let before = found.files.len();
        self.one(wanted, found)?;
        if self.archives && found.files.len() == before {
            return Err(Error::unavailable(format!("no file matches `{pattern}`"))
                .with_help("check the path after the archive's name; `*` matches a part of one name there"));
        }
        Ok(())
    }

    /// Adds the files that match a glob or are in a folder, except the run's own output.
    fn take(
        &self,
        wanted: Selection<'_>,
        fits: Vec<GlobMatch>,
        found: &mut FoundFiles,
        none: impl FnOnce(&str) -> Error,
    ) -> Result<()> {
        let (mut is_none, mut but) = (true, "");
        for GlobMatch { path, fixed, remote } in fits {
            if self.outputs.has(&path) {
                but = " except those that this run writes";
                found.own.insert(path);
                continue;
            }
            is_none = false;
            let relative = path.strip_prefix(&fixed).unwrap_or(&path);
            self.named(wanted, &path, Some(relative), remote, found)?;
        }
        if is_none { Err(none(but)) } else { Ok(()) }
    }

    /// Adds the file at `path`, or those in it if it is an archive. `relative` is the part of the path after the fixed part of the pattern,
    /// if the pattern has one; `remote` is the file itself, if the path is an address.
    fn named(
        &self,
        wanted: Selection<'_>,
        path: &Path,
        relative: Option<&Path>,
        remote: Option<RemoteFile>,
        found: &mut FoundFiles,
    ) -> Result<()> {
        let written = self.base.as_written(path, wanted.pattern);
        if remote.is_some() && has_extension(path, ARCHIVE) {
            return Err(Error::config(format!(
                "`{}` is a zip archive, which is read from this machine only",
                shown(path)
            ))
            .with_help("unpack it, or copy it to this machine"));
        }
        if self.archives && remote.is_none() && archive::is_archive(path) {
            return self.members(path, written, relative, wanted.inside, found);
        }
        if let Some(kind) = archive::other_kind(path) {
            return Err(Error::config(format!(
                "`{}` is {kind} archive, which cannot be read",
                shown(written)
            ))
            .with_help("unpack it and name its files, or repack them as zip"));
        }
        let own = || Path::new(path.file_name().unwrap_or_default());
        let sensor = self.naming.sensor(written, relative.unwrap_or_else(own));
        found.add(InputFile { remote, ..InputFile::written(path, written) }, sensor);
        Ok(())
    }

    /// Adds the files of the archive at `path`, as if it were a folder.
    fn members(
        &self,
        path: &Path,
        written: &Path,
        relative: Option<&Path>,
        inside: Option<&Inside>,
        found: &mut FoundFiles,
    ) -> Result<()> {
        let mut all = archive::members(path, &shown(written))?;
        all.retain(|member| inside.is_none_or(|inside| inside.fits(member)));
        for member in all {
            let fixed = inside.map_or(Path::new(""), |inside| &inside.fixed);
            let open = relative.map_or_else(
                || member.name.strip_prefix(fixed).unwrap_or(&member.name).to_owned(),
                |relative| relative.join(&member.name),
            );
            let sensor = self.naming.sensor(&written.join(&member.name), &open);
            found.add(InputFile::in_archive(path, written, member), sensor);
        }
        Ok(())
    }
}

impl FoundFiles {
    fn add(&mut self, file: InputFile, sensor: Result<String>) {
        let is_recording =
            |file: &InputFile| file.path.as_deref().is_some_and(super::recording::is_recording);
        match sensor {
            Ok(sensor) => self.files.push(InputFile { stem: sensor.into(), ..file }),
            // A recording contains the names of its sensors.
            Err(_) if is_recording(&file) => self.files.push(file),
            Err(error) => self.unnamed.extend(file.path.map(|path| (path, error))),
        }
    }

    /// The remark about the run's own output.
    pub(super) fn remark(own: &BTreeSet<PathBuf>) -> Option<String> {
        let more = own.len().checked_sub(1)?;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("not read, because this run writes it: {}{more}", shown(own.first()?)))
    }
}

/// Rejects patterns after an address, which would never be read because an address has no end.
fn check_order(patterns: &[String]) -> Result<()> {
    let Some((_, before)) = patterns.split_last() else { return Ok(()) };
    for pattern in before {
        if Address::parse(pattern)?.is_some() {
            return Err(Error::config(format!(
                "`{pattern}` does not end, so what follows it in `path` would never be read"
            ))
            .with_help("list files first and one address last; a second address needs a source of its own"));
        }
    }
    Ok(())
}

/// The data files of a folder, sorted by name.
fn folder(path: &Path, extensions: &[&str]) -> Result<Vec<GlobMatch>> {
    let shown = path.display();
    let entries = std::fs::read_dir(path).map_err(|error| Error::io("read the folder", shown, &error))?;
    let mut fits = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| Error::io("read the folder", path.display(), &error))?.path();
        if is_wanted(&file, extensions) && file.is_file() {
            fits.push(GlobMatch { path: file, fixed: path.to_owned(), remote: None });
        }
    }
    fits.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(fits)
}

fn is_wanted(path: &Path, extensions: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = without_packing(&name);
    !name.starts_with('.')
        && extensions.iter().any(|extension| name.strip_suffix(extension).is_some_and(|n| n.ends_with('.')))
}
