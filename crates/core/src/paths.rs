//! Paths in pipelines: relative ones are resolved against the folder of the pipeline file, or against a given base.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf, absolute};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// The folder against which the relative paths of a pipeline are resolved; by default the current folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base(PathBuf);

/// Standard input or output instead of a path.
const STREAM: &str = "-";

/// The scheme of an address such as `s3://bucket/key`; `None` for a path of this machine.
pub fn scheme(path: &Path) -> Option<&str> {
    let (scheme, _) = path.to_str()?.split_once("://")?;
    let is_in_schemes = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (is_scheme && scheme.bytes().all(is_in_schemes)).then_some(scheme)
}

impl Base {
    /// The base `folder`; a relative one is resolved against the current folder.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self(folder.as_ref().components().filter(|part| *part != Component::CurDir).collect())
    }

    /// The folder; empty for the current one.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Resolves the path `written`. A stream (`-`) and an address such as `s3://bucket/key` are returned unchanged.
    pub fn join(&self, written: impl AsRef<Path>) -> PathBuf {
        let written = written.as_ref();
        let is_path = written != Path::new(STREAM) && scheme(written).is_none();
        if is_path { self.0.join(written) } else { written.to_owned() }
    }

    /// The written form of the file at `path` that the relative path or pattern `written` resolved to; `path` itself if `written` is not
    /// relative.
    pub fn as_written<'p>(&self, path: &'p Path, written: &str) -> &'p Path {
        match Path::new(written).is_absolute() {
            true => path,
            false => path.strip_prefix(&self.0).unwrap_or(path),
        }
    }

    /// The path `written`, resolved against this base.
    pub fn path(&self, written: &str) -> FilePath {
        FilePath::from(written).with_base(self)
    }
}

/// The path of one file in a pipeline: as written, and resolved. Two are equal if they are written the same way.
#[derive(Clone)]
pub struct FilePath {
    written: String,
    place: PathBuf,
}

impl FilePath {
    /// The path as written in the pipeline.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The resolved path.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The same path, resolved against `base`.
    #[must_use]
    pub fn with_base(&self, base: &Base) -> Self {
        Self { place: base.join(&self.written), written: self.written.clone() }
    }

    /// The error of the operating system, with the resolved path if nothing exists there.
    pub fn cannot_read(&self, error: &io::Error) -> Error {
        let failed = Error::io("read", self, error);
        match error.kind() {
            io::ErrorKind::NotFound => failed.with_help(self.looked_for(Path::new(&self.written).exists())),
            _ => failed,
        }
    }

    /// Help for a path or pattern that was not found: where it was searched, and what else may be meant. `is_here` says that the current
    /// folder has it.
    pub fn looked_for(&self, is_here: bool) -> String {
        let place = absolute(&self.place).unwrap_or_else(|_| self.place.clone());
        let mut help = format!("it was looked for at {}", place.display());
        if is_here && self.place != Path::new(&self.written) {
            help += ", because relative paths start from the folder of the pipeline file; the current folder has it: `--base .` starts there";
        }
        help
    }
}

impl<T: Into<String>> From<T> for FilePath {
    fn from(written: T) -> Self {
        let written = written.into();
        Self { place: PathBuf::from(&written), written }
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        &self.place
    }
}

impl PartialEq for FilePath {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.place, f)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.display().fmt(f)
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for FilePath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FilePath".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_from_the_base_and_all_others_stay() {
        let base = Base::new("./jobs");
        for (written, place) in [
            ("in.csv", "jobs/in.csv"),
            ("../in.csv", "jobs/../in.csv"),
            ("/data/in.csv", "/data/in.csv"),
            ("~/in.csv", "jobs/~/in.csv"),
            ("-", "-"),
            ("s3://bucket/in.csv", "s3://bucket/in.csv"),
            ("1://in.csv", "jobs/1://in.csv"),
            ("a/b://in.csv", "jobs/a/b://in.csv"),
        ] {
            let path = FilePath::from(written).with_base(&base);
            assert_eq!((path.written(), path.place()), (written, Path::new(place)));
            assert_eq!(path.with_base(&Base::new(".")).place(), Path::new(written), "the last one counts");
        }
        assert_eq!(base.as_written(Path::new("jobs/a/b.csv"), "a/*"), Path::new("a/b.csv"));
        assert_eq!(base.as_written(Path::new("jobs/a/b.csv"), "/a/*"), Path::new("jobs/a/b.csv"));
        assert_eq!(Base::new("./"), Base::default());
    }

    #[test]
    fn a_file_that_is_not_there_was_looked_for_somewhere() {
        let path = Base::new("/jobs").path("in.csv");
        assert_eq!(path.looked_for(false), "it was looked for at /jobs/in.csv");
        assert!(path.looked_for(true).ends_with("`--base .` starts there"));
        assert!(!FilePath::from("in.csv").looked_for(true).contains("--base"));
    }
}
