//! The options that name the input of text sources.

use std::collections::HashMap;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FileSource;
use super::input_file::InputFile;
use super::naming::Naming;
use super::packing::is_packed;
use super::paths::{self, FoundFiles, PathSearch};
use super::recording::{is_of_open_input, is_recording};
use crate::atomic::Outputs;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{Base, is_address};
use crate::format::Format;
use crate::source::sockets::Address;
use crate::source::{OpenOptions, Recovery, Traits};

/// The files to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileOptions {
    /// A file, a glob, a folder, or a list of them; "-" is standard input. Text compressed as .gz, .zst, .xz, .bz2 or .lz4 is decompressed.
    /// A .zip stands for the files in it, "a.zip/x.csv" and "a.zip/*.csv" for some of them. Parquet needs files. A list may end with an
    /// address from which records keep arriving: "tcp-listen://host:port", "tcp://host:port", "udp://host:port", "unix-listen:///path" or
    /// "unix:///path". With the feature `objects`, an address such as `s3://bucket/year=*/*.csv` stands for files in an object store.
    pub path: OneOrMany,
    /// Whether to keep reading files as they grow, and to read new files that match: for example rotated logs.
    #[serde(default)]
    pub follow: bool,
    /// Where the sensor is in a file's path, if no column has it: "stem" (the name without folder and extension), "path" (as written,
    /// without extension), or a pattern with {sensor} such as "plant-{sensor}-*", "device={sensor}" or "{sensor}/*", which matches the end
    /// of the path (or, without a slash, one of its names); * matches any part of a name. By default, the path from the first wildcard on,
    /// without extension.
    #[serde(default)]
    pub sensor_from: Option<String>,
    /// The folder against which relative paths are resolved.
    #[serde(skip)]
    pub base: Base,
}

/// A text or a list of texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a path or a list of paths")]
pub enum OneOrMany {
    /// One text.
    One(String),
    /// Several texts, in this order.
    Many(Vec<String>),
}

impl<T: Into<String>> From<T> for FileOptions {
    fn from(path: T) -> Self {
        Self { path: OneOrMany::One(path.into()), follow: false, sensor_from: None, base: Base::default() }
    }
}

impl FileOptions {
    pub(super) fn patterns(&self) -> &[String] {
        match &self.path {
            OneOrMany::One(path) => std::slice::from_ref(path),
            OneOrMany::Many(paths) => paths,
        }
    }

    /// What of it no other source can read at the same time.
    pub(in crate::source) fn exclusive(&self) -> Vec<String> {
        let of = |text: &String| match Address::parse(text) {
            Ok(Some(address)) => address.is_listened_at().then(|| address.with_base(&self.base).to_string()),
            Ok(None) if matches!(&**text, "-" | "/dev/stdin") => Some("-".to_owned()),
            Ok(None) => pipe(&self.base.join(text)),
            Err(_) => None,
        };
        self.patterns().iter().filter_map(of).collect()
    }

    /// The same files, whose relative paths start from `base`.
    pub(in crate::source) fn with_base(&self, base: &Base) -> Self {
        Self { base: base.clone(), ..self.clone() }
    }

    /// All files, in order; in folders, those with one of these `extensions` (a compression suffix may follow). Globs and folders skip what
    /// is in `outputs`.
    ///
    /// # Errors
    /// If a file does not exist, a pattern matches none, or a file has no sensor where `sensor_from` looks for it.
    pub fn files(&self, extensions: &[&str], outputs: &Outputs) -> Result<Vec<InputFile>> {
        self.find(self.patterns(), extensions, outputs, &Arc::default()).map(|found| found.files)
    }

    /// The same for a run, which may be to stop meanwhile.
    ///
    /// # Errors
    /// As for [`FileOptions::files`].
    pub(in crate::source) fn files_of_run(
        &self,
        extensions: &[&str],
        options: &OpenOptions,
    ) -> Result<Vec<InputFile>> {
        self.find(self.patterns(), extensions, &options.outputs, &options.stop).map(|found| found.files)
    }

    /// The same for followed files, which may appear later and cannot be archives.
    ///
    /// # Errors
    /// Permanent errors: an invalid pattern, a pipe, only files without a sensor where `sensor_from` looks for it.
    pub(super) fn growing(&self, extensions: &[&str], outputs: &Outputs) -> Result<Vec<InputFile>> {
        let mut all = FoundFiles::default();
        for pattern in self.patterns().chunks(1) {
            let found = match self.look(pattern, extensions, outputs, false, &Arc::default()) {
                Err(error) if error.kind() != ErrorKind::Config => continue,
                found => found?,
            };
            all.files.extend(found.files);
            all.unnamed.extend(found.unnamed);
        }
        match all.unnamed.pop() {
            Some((_, error)) if all.files.is_empty() => Err(error),
            _ => Ok(all.files),
        }
    }

    fn find(
        &self,
        patterns: &[String],
        extensions: &[&str],
        outputs: &Outputs,
        stop: &Arc<AtomicBool>,
    ) -> Result<FoundFiles> {
        let mut found = self.look(patterns, extensions, outputs, true, stop)?;
        match found.unnamed.pop() {
            None => Ok(found),
            Some((_, error)) => Err(error),
        }
    }

    fn look(
        &self,
        patterns: &[String],
        extensions: &[&str],
        outputs: &Outputs,
        archives: bool,
        stop: &Arc<AtomicBool>,
    ) -> Result<FoundFiles> {
        let naming = Naming::parse(self.sensor_from.as_deref())?;
        let search = PathSearch { base: &self.base, extensions, outputs, naming: &naming, archives, stop };
        search.expand(patterns)
    }

    /// The same; a resumed run may lack some files, which is handled when its position is located.
    fn there(&self, extensions: &[&str], options: &OpenOptions) -> Result<FoundFiles> {
        let (patterns, outputs, stop) = (self.patterns(), &options.outputs, &options.stop);
        if !options.keeps_place || options.resume.is_none() {
            return self.find(patterns, extensions, outputs, stop);
        }
        let (mut found, mut missing) = (FoundFiles::default(), None);
        for pattern in patterns.chunks(1) {
            match self.find(pattern, extensions, outputs, stop) {
                Err(error) if error.kind() == ErrorKind::Unavailable => missing = missing.or(Some(error)),
                one => {
                    let one = one?;
                    found.files.extend(one.files);
                    found.own.extend(one.own);
                }
            }
        }
        match missing.filter(|_| found.files.is_empty()) {
            Some(error) => Err(error.with_help(
                "restore it; or give `--finish` to end the run with what it had read before the checkpoint",
            )),
            None => Ok(found),
        }
    }

    /// Checks that files after which sensors are named have different sensors.
    ///
    /// # Errors
    /// A configuration error if two files have the same sensor, or `sensor_from` has no effect.
    pub(in crate::source) fn check_sensors(&self, files: &[InputFile], are_named: bool) -> Result<()> {
        let is_file = |file: &&InputFile| file.path.is_some();
        if let Some(from) = &self.sensor_from
            && (!are_named || !self.follow && !files.iter().any(|file| is_file(&file)))
        {
            return Err(Error::config(format!(
                "`sensor_from` {from:?} has no effect: no sensor is named after a file"
            ))
            .with_help("leave it out, or leave out the option that names the sensor"));
        }
        if !are_named || self.sensor_from.is_some() {
            return Ok(());
        }
        // A rotated file is in the same folder as its predecessors.
        let is_rotated = |one: &InputFile, other: &InputFile| {
            self.follow && crate::files::folder(&one.written) == crate::files::folder(&other.written)
        };
        let mut known: HashMap<&str, &InputFile> = HashMap::new();
        for file in files.iter().filter(is_file) {
            let other = known.insert(&file.stem, file);
            if let Some(other) = other.filter(|other| other.name != file.name && !is_rotated(other, file)) {
                let message =
                    format!("`{}` and `{}` both have the sensor `{}`", other.name, file.name, file.stem);
                return Err(Error::config(message).with_help(
                "`sensor_from = \"path\"` keeps them apart, `sensor_from = \"stem\"` merges them; or name the column that has the sensor",
                ));
            }
        }
        Ok(())
    }

    /// Opens the files that the options name, of one format.
    ///
    /// # Errors
    /// If a file does not exist or has another format.
    pub fn open(
        &self,
        format: Arc<dyn Format>,
        extensions: &[&str],
        options: &OpenOptions,
    ) -> Result<FileSource> {
        let are_named = format.names_sensors_after_files();
        let source = match &options.resume {
            Some(resume) if resume.finishes => FileSource::finished(format, resume, options)?,
            _ if self.follow => {
                check_growing(self)?;
                let there = self.growing(extensions, &options.outputs)?;
                // A resumed run knows the owners of sensors already.
                let is_new = options.resume.is_none();
                self.check_sensors(if is_new { &there } else { &[] }, are_named)?;
                FileSource::follow(format, self, there, extensions, options)?
            }
            _ => {
                let found = self.there(extensions, options)?;
                self.check_sensors(&found.files, are_named)?;
                let mut source = FileSource::open(format, found.files, options)?;
                source.remarks.extend(FoundFiles::remark(&found.own));
                source
            }
        };
        if let Some(recorder) = &options.record {
            recorder.take(self.traits().is_open);
        }
        Ok(source)
    }

    /// The existing files, for display.
    pub fn paths(&self, extensions: &[&str], outputs: &Outputs) -> Vec<PathBuf> {
        let files = if self.follow {
            self.growing(extensions, outputs).unwrap_or_default()
        } else {
            // A resumed run may do without some.
            let found =
                |pattern| self.find(pattern, extensions, outputs, &Arc::default()).unwrap_or_default().files;
            self.patterns().chunks(1).flat_map(found).collect()
        };
        let mut paths: Vec<_> = files.into_iter().filter_map(|file| file.path).collect();
        // Members of an archive share its path.
        paths.dedup();
        paths
    }

    /// The first path of a file at rest, whose records have no arrival time: not a pipe, a socket or a recording.
    pub(in crate::source) fn at_rest(&self) -> Option<&str> {
        let comes =
            |path: &str| !self.follow && (paths::may_wait(path, &self.base) || self.is_recording(path));
        self.patterns().iter().map(String::as_str).find(|path| !comes(path))
    }

    /// Whether it is received live, or was when it was recorded, in any part.
    pub(in crate::source) fn ticks(&self) -> bool {
        let comes = |path: &String| paths::may_wait(path, &self.base) || self.is_recording(path);
        self.follow || self.patterns().iter().any(comes)
    }

    /// Whether it is a recording of live input.
    fn is_recording(&self, path: &str) -> bool {
        is_recording(&self.base.join(path))
    }

    /// Files end and can be read again; standard input and named pipes cannot, and whether they end is only known when they do.
    pub fn traits(&self) -> Traits {
        let patterns = self.patterns();
        let is_bounded = !self.follow && !patterns.iter().any(|path| paths::may_wait(path, &self.base));
        let is_replayable = is_bounded && !patterns.iter().any(|path| path == "-");
        let was_sent = |path: &str| is_of_open_input(&self.base.join(path));
        let is_sent = |path: &String| !matches!(Address::parse(path), Ok(None)) || was_sent(path);
        let is_open = self.follow || patterns.iter().any(is_sent);
        let recovery = if self.follow || is_replayable { Recovery::Replayed } else { Recovery::Lost };
        Traits { is_bounded, is_replayable, is_open, recovery }
    }
}

/// Checks that the input consists of plain files, since only those grow.
fn check_growing(options: &FileOptions) -> Result<()> {
    if let Some(path) = options
        .patterns()
        .iter()
        .find(|path| is_address(Path::new(path)) && matches!(Address::parse(path), Ok(None)))
    {
        return Err(Error::config(format!(
            "`{path}` is an address, where files do not grow: it cannot be followed"
        ))
        .with_help("leave out `follow`, and run the pipeline again for new files"));
    }
    if let Some(path) =
        options.patterns().iter().find(|path| *path == "-" || !matches!(Address::parse(path), Ok(None)))
    {
        return Err(Error::config(format!("`{path}` is not a file and cannot be followed"))
            .with_help("leave out `follow`: data that arrives there is read as it arrives anyway"));
    }
    if let Some(path) = options.patterns().iter().find(|path| is_packed(Path::new(path))) {
        return Err(Error::config(format!("`{path}` is compressed, and compressed files do not grow"))
            .with_help(
                "leave out `follow` to read it as it is, or follow the file before it is compressed",
            ));
    }
    let is_stream = |path: &&String| {
        options.base.join(path).metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
    };
    if let Some(path) = options.patterns().iter().find(is_stream) {
        return Err(Error::config(format!("`{path}` is a pipe or a device and cannot be followed"))
            .with_help("leave out `follow`: data that arrives there is read as it arrives anyway"));
    }
    Ok(())
}
/// The place of a named pipe, whatever it is called; `None` for anything else.
fn pipe(path: &Path) -> Option<String> {
    let is_pipe = path.metadata().is_ok_and(|meta| meta.file_type().is_fifo());
    let place = is_pipe.then(|| path.canonicalize().ok()).flatten()?;
    Some(place.display().to_string())
}
