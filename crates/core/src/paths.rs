//! Paths in pipelines: a relative one starts from the folder that the pipeline file lies in, or from the base that was given instead.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf, absolute};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// The folder from which the relative paths of a pipeline start; without one, they start from the current folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base(PathBuf);

/// Standard input or output in place of a path.
const STREAM: &str = "-";

impl Base {
    /// `folder`, itself seen from the current folder where it is relative.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self(folder.as_ref().components().filter(|part| *part != Component::CurDir).collect())
    }

    /// The folder; empty for the current one.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Where the path is that is written as `written`. What is no path of a file (`-`) stays as it is.
    pub fn join(&self, written: impl AsRef<Path>) -> PathBuf {
        let written = written.as_ref();
        if written == Path::new(STREAM) { written.to_owned() } else { self.0.join(written) }
    }

    /// How the file at `path` is written, which the relative path or pattern `written` has led to; all paths where that is not relative.
    pub fn as_written<'p>(&self, path: &'p Path, written: &str) -> &'p Path {
        match Path::new(written).is_absolute() {
            true => path,
            false => path.strip_prefix(&self.0).unwrap_or(path),
        }
    }

    /// The path that is written as `written`.
    pub fn path(&self, written: &str) -> FilePath {
        FilePath::from(written).with_base(self)
    }
}

/// The path of one file in a pipeline: as it is written, and where that is. Two are the same that are written alike.
#[derive(Clone)]
pub struct FilePath {
    written: String,
    place: PathBuf,
}

impl FilePath {
    /// As it stands in the pipeline.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Where it is.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The same path, starting from `base`.
    #[must_use]
    pub fn with_base(&self, base: &Base) -> Self {
        Self { place: base.join(&self.written), written: self.written.clone() }
    }

    /// What the system says of it, and, where nothing is there, where it was looked for.
    pub fn cannot_read(&self, error: &io::Error) -> Error {
        let failed = Error::io("read", self, error);
        match error.kind() {
            io::ErrorKind::NotFound => failed.with_help(self.looked_for(Path::new(&self.written).exists())),
            _ => failed,
        }
    }

    /// Where it, or what fits it, was looked for in vain, and what else could be meant: `is_here` says that it would be found from the
    /// current folder.
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
