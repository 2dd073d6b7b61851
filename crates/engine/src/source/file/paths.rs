//! From what the user wrote to the files that are meant (clause 6).

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::address::Address;
use super::archive::{self, Inside};
use super::input_file::InputFile;
use super::naming::{Naming, shown};
use super::packing::without_packing;
use super::wildcards::{self, Fit, has_wildcards};
use crate::atomic::Outputs;
use crate::error::{Error, Result};
use crate::files::Base;

/// Whether a pattern means something that may keep its reader waiting.
pub(super) fn may_wait(pattern: &str, base: &Base) -> bool {
    if !matches!(Address::parse(pattern), Ok(None)) {
        return true;
    }
    let meta = match pattern {
        "-" => std::io::stdin().as_fd().try_clone_to_owned().and_then(|stdin| File::from(stdin).metadata()),
        path => base.join(path).metadata(),
    };
    meta.is_ok_and(|meta| super::wait::may_wait(&meta))
}

/// How files are looked for.
pub(super) struct Search<'a> {
    /// Where relative paths start.
    pub(super) base: &'a Base,
    /// Of a folder's files, those with one of these extensions are meant; what says that they are packed may follow.
    pub(super) extensions: &'a [&'a str],
    /// What globs and folders must not take.
    pub(super) outputs: &'a Outputs,
    pub(super) naming: &'a Naming,
    /// Whether the files of an archive are meant by it.
    pub(super) archives: bool,
}

/// What is looked for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    pattern: &'a str,
    /// Of archives, some files only.
    inside: Option<&'a Inside>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<InputFile>,
    /// Files that fit and are the run's own output.
    pub(super) own: BTreeSet<PathBuf>,
    /// Files that fit and have no sensor, and why.
    pub(super) unnamed: Vec<(PathBuf, Error)>,
}

impl Search<'_> {
    /// All files that `patterns` mean, in order.
    pub(super) fn expand(&self, patterns: &[String]) -> Result<Found> {
        check_order(patterns)?;
        let mut found = Found::default();
        for pattern in patterns {
            self.one(Wanted { pattern, inside: None }, &mut found)?;
        }
        Ok(found)
    }

    fn one(&self, wanted: Wanted<'_>, found: &mut Found) -> Result<()> {
        let pattern = wanted.pattern;
        if pattern == "-" {
            found.files.push(InputFile::stdin());
            return Ok(());
        }
        if let Some(address) = Address::parse(pattern)? {
            found.files.push(InputFile::socket(&address, self.base));
            return Ok(());
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
            return self.inside(pattern, Wanted { pattern: archive, inside: Some(&inside) }, found);
        }
        if path.exists() || !has_wildcards(pattern) {
            // The last of a hundred files should not be missed only when the others have been read.
            path.metadata().map_err(|error| self.base.path(pattern).cannot_read(&error))?;
            return self.named(wanted, path, None, found);
        }
        self.take(wanted, wildcards::matches(pattern, self.base)?, found, |but| {
            let is_here = wildcards::matches(pattern, &Base::default()).is_ok_and(|fits| !fits.is_empty());
            Error::unavailable(format!("no file fits `{pattern}`{but}"))
                .with_help(self.base.path(pattern).looked_for(is_here))
        })
    }

    /// Adds the files in archives that `pattern` means, which is `wanted` in two parts.
    fn inside(&self, pattern: &str, wanted: Wanted<'_>, found: &mut Found) -> Result<()> {
        let before = found.files.len();
        self.one(wanted, found)?;
        if self.archives && found.files.len() == before {
            return Err(Error::unavailable(format!("no file fits `{pattern}`")).with_help(
                "check the path behind the archive's name; `*` stands for a part of one name there",
            ));
        }
        Ok(())
    }

    /// Takes what fits a glob or lies in a folder, but for what the run writes itself.
    fn take(
        &self,
        wanted: Wanted<'_>,
        fits: Vec<Fit>,
        found: &mut Found,
        none: impl FnOnce(&str) -> Error,
    ) -> Result<()> {
        let (mut is_none, mut but) = (true, "");
        for Fit { path, fixed } in fits {
            if self.outputs.has(&path) {
                but = " but for those that this run writes";
                found.own.insert(path);
                continue;
            }
            is_none = false;
            self.named(wanted, &path, Some(path.strip_prefix(&fixed).unwrap_or(&path)), found)?;
        }
        if is_none { Err(none(but)) } else { Ok(()) }
    }

    /// Takes the file at `path`, of which `relative` is what lies behind the fixed part of the pattern, if that has another one; or those
    /// in it, where it is an archive.
    fn named(
        &self,
        wanted: Wanted<'_>,
        path: &Path,
        relative: Option<&Path>,
        found: &mut Found,
    ) -> Result<()> {
        let written = self.base.as_written(path, wanted.pattern);
        if self.archives && archive::is_archive(path) {
            return self.members(path, written, relative, wanted.inside, found);
        }
        if let Some(kind) = archive::other_kind(path) {
            return Err(Error::config(format!(
                "`{}` is {kind} archive, which cannot be read",
                shown(written)
            ))
            .with_help("unpack it and name its files, or pack them as zip"));
        }
        let own = || Path::new(path.file_name().unwrap_or_default());
        let sensor = self.naming.sensor(written, relative.unwrap_or_else(own));
        found.add(InputFile::written(path, written), sensor);
        Ok(())
    }

    /// Takes the files of the archive at `path`, as if it were a folder.
    fn members(
        &self,
        path: &Path,
        written: &Path,
        relative: Option<&Path>,
        inside: Option<&Inside>,
        found: &mut Found,
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

impl Found {
    fn add(&mut self, file: InputFile, sensor: Result<String>) {
        let is_recording =
            |file: &InputFile| file.path.as_deref().is_some_and(super::recording::is_recording);
        match sensor {
            Ok(sensor) => self.files.push(InputFile { stem: sensor.into(), ..file }),
            // It brings the sensors with it.
            Err(_) if is_recording(&file) => self.files.push(file),
            Err(error) => self.unnamed.extend(file.path.map(|path| (path, error))),
        }
    }

    /// What is worth knowing of the run's own output.
    pub(super) fn remark(own: &BTreeSet<PathBuf>) -> Option<String> {
        let more = own.len().checked_sub(1)?;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("not read, because this run writes it: {}{more}", shown(own.first()?)))
    }
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
fn folder(path: &Path, extensions: &[&str]) -> Result<Vec<Fit>> {
    let shown = path.display();
    let entries = std::fs::read_dir(path).map_err(|error| Error::io("read the folder", shown, &error))?;
    let mut fits = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| Error::io("read the folder", path.display(), &error))?.path();
        if is_wanted(&file, extensions) && file.is_file() {
            fits.push(Fit { path: file, fixed: path.to_owned() });
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
