//! Which files, or what else text comes from.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FileSource;
use super::address::Address;
use super::paths::{self, InputFile};
use crate::error::{ErrorKind, Result};
use crate::format::Format;
use crate::source::{OpenOptions, Traits};

/// Which files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileOptions {
    /// A file, a glob, a directory, or a list of them; "-" is standard input. Text packed as .gz or .zst
    /// is decompressed. Parquet needs files. A list may end with an address from which records go on coming in:
    /// "tcp-listen://host:port", "tcp://host:port", "udp://host:port", "unix-listen:///path" or "unix:///path".
    pub path: OneOrMany,
    /// Whether files are read on as they grow, and new ones that fit are read too: such as logs that are rotated.
    #[serde(default)]
    pub follow: bool,
}

/// A text or a list of texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a path or a list of paths")]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Many, in this order.
    Many(Vec<String>),
}

impl<T: Into<String>> From<T> for FileOptions {
    fn from(path: T) -> Self {
        Self { path: OneOrMany::One(path.into()), follow: false }
    }
}

impl FileOptions {
    pub(super) fn patterns(&self) -> &[String] {
        match &self.path {
            OneOrMany::One(path) => std::slice::from_ref(path),
            OneOrMany::Many(paths) => paths,
        }
    }

    /// All files, in order; of directories those with one of these `extensions` (.gz and .zst may follow).
    ///
    /// # Errors
    /// When a file is not there, or a pattern fits none.
    pub fn files(&self, extensions: &[&str]) -> Result<Vec<InputFile>> {
        paths::expand(self.patterns(), extensions)
    }

    /// The same; with `goes_on`, files in front of live input may be gone, for they have been read.
    fn there(&self, extensions: &[&str], goes_on: bool) -> Result<Vec<InputFile>> {
        let Some((feed, history)) = self.patterns().split_last().filter(|_| goes_on) else {
            return self.files(extensions);
        };
        if !paths::may_wait(feed) {
            return self.files(extensions);
        }
        let mut files = Vec::new();
        for pattern in history {
            match paths::expand(std::slice::from_ref(pattern), extensions) {
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                found => files.extend(found?),
            }
        }
        files.extend(paths::expand(std::slice::from_ref(feed), extensions)?);
        Ok(files)
    }

    /// Opens what the options name, of one format.
    ///
    /// # Errors
    /// When a file is not there, or not of the format.
    pub fn open(
        &self,
        format: Arc<dyn Format>,
        extensions: &[&str],
        options: &OpenOptions,
    ) -> Result<FileSource> {
        let source = match (&options.resume, self.follow) {
            (Some(resume), _) if resume.finishes => FileSource::finished(format, resume, options),
            (_, true) => FileSource::follow(format, self, extensions, options),
            (resume, false) => FileSource::open(format, self.there(extensions, resume.is_some())?, options),
        }?;
        if let Some(recorder) = &options.record {
            recorder.take();
        }
        Ok(source)
    }

    /// The files that there are, for people.
    pub fn paths(&self, extensions: &[&str]) -> Vec<PathBuf> {
        self.files(extensions).unwrap_or_default().into_iter().filter_map(|file| file.path).collect()
    }

    /// Files end and can be read again; standard input and named pipes cannot, and whether they end is known when they have.
    pub fn traits(&self) -> Traits {
        let patterns = self.patterns();
        let is_bounded = !self.follow && !patterns.iter().any(|path| paths::may_wait(path));
        let is_replayable = is_bounded && !patterns.iter().any(|path| path == "-");
        let is_sent = |path: &String| !matches!(Address::parse(path), Ok(None)) || paths::is_recording(path);
        let is_open = self.follow || patterns.iter().any(is_sent);
        let is_kept = self.follow || is_replayable;
        Traits { is_bounded, is_replayable, is_open, is_kept }
    }
}
