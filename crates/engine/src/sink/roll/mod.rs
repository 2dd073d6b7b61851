//! `roll`: when a sink ends a file and begins another, and how long it keeps them.
//!
//! | | |
//! |---|---|
//! | this file | the option |
//! | `files` | the unfinished file, when it is due, its state in a checkpoint |
//! | `closed` | complete files: they are renamed, and removed when they are old |
//! | `text` | text in such files |

mod closed;
mod files;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Result, SinkContext};
use crate::atomic::Template;
use crate::batch::Schema;
use crate::error::Error;
use crate::files::FilePath;
use crate::time::parse_duration;

use files::Policy;
pub(super) use files::RollingFiles;
pub(super) use text::RollingText;

/// When a file is due to end, and another begins with the next record; at least one of `every` and `size`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// How long after its first record came a file is due, by the machine's clock: "1h".
    #[serde(default)]
    pub every: Option<String>,
    /// With how many bytes a file is due: "256MiB".
    #[serde(default)]
    pub size: Option<String>,
    /// How long a file stays once it was written, by the machine's clock: "30d". Older ones are removed, if they are called as `path` says.
    /// All stay if not given.
    #[serde(default)]
    pub keep: Option<String>,
}

impl Roll {
    /// Files that are due after so much time, such as `"1h"`.
    pub fn every(duration: impl Into<String>) -> Self {
        Self { every: Some(duration.into()), ..Self::default() }
    }

    /// Files that are due with so many bytes, such as `"256MiB"`.
    pub fn size(size: impl Into<String>) -> Self {
        Self { size: Some(size.into()), ..Self::default() }
    }

    fn policy(&self) -> Result<Policy> {
        let duration = |name: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(parse_duration).transpose();
            parsed.map_err(|why| Error::config(format!("`roll.{name}`: {why}")))
        };
        let size = self.size.as_deref().map(parse_size).transpose();
        let size = size.map_err(|why| Error::config(format!("`roll.size`: {why}")))?;
        let policy =
            Policy { every: duration("every", &self.every)?, size, keep: duration("keep", &self.keep)? };
        match (policy.every, policy.size) {
            (None, None) => {
                Err(Error::config("`roll` has neither `every` nor `size`, so no file would ever end")
                    .with_help("write `roll = { every = \"1h\" }` or `roll = { size = \"256MiB\" }`"))
            }
            _ => Ok(policy),
        }
    }

    /// Checks the options against `path` and the columns that the sink will receive, if it receives records.
    pub(super) fn check(&self, path: &FilePath, schema: Option<&Schema>) -> Result<()> {
        self.policy()?;
        let template = Template::new(path)?;
        if template.tells_time() && schema.is_none_or(|schema| schema.time().is_none()) {
            return Err(Error::config(format!(
                "`path` \"{}\" has {{date}} or {{hour}}, but the records have no time column",
                path.written()
            ))
            .with_help(
                "name the column in [source] `time`, or use {epoch} alone, such as `out/{epoch}.csv`",
            ));
        }
        Ok(())
    }

    /// The files that a sink writes to `path`, and its state in the checkpoint that it resumes from.
    pub(super) fn open(
        &self,
        path: &FilePath,
        context: &SinkContext,
    ) -> Result<(RollingFiles, Option<Vec<u8>>)> {
        RollingFiles::open(Template::new(path)?, self.policy()?, context)
    }
}

/// The units of a size, with their bytes.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Parses a size, such as `256MiB`, to bytes.
pub(crate) fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let fail = |why: &str| {
        format!(
            "`{text}` is not a size: {why}; write `256MiB` or `1GB`, with one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"
        )
    };
    let digits = text.trim().find(|c: char| !c.is_ascii_digit()).unwrap_or(text.trim().len());
    let (count, unit) = text.trim().split_at(digits);
    let (_, bytes) =
        UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(|| match unit.trim() {
            "" => fail("it has no unit"),
            _ if count.is_empty() => fail("expected a whole number"),
            other => fail(&format!("unknown unit `{other}`")),
        })?;
    if count.is_empty() {
        return Err(fail("expected a whole number"));
    }
    let size = count.parse::<u64>().ok().and_then(|count| count.checked_mul(*bytes));
    match size {
        Some(0) => Err(fail("it must be greater than zero")),
        Some(size) => Ok(size),
        None => Err(fail("it is too large")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_people_write_them() {
        let sizes = [
            ("1B", 1),
            ("256MiB", 256 << 20),
            (" 3 kB ", 3000),
            ("2GiB", 2 << 30),
            ("5TB", 5_000_000_000_000),
        ];
        sizes.into_iter().for_each(|(text, size)| assert_eq!(parse_size(text), Ok(size), "{text}"));
        for (text, why) in [
            ("", "no unit"),
            ("256", "no unit"),
            ("MiB", "a whole number"),
            ("1.5GiB", "unknown unit"),
            ("-1B", "a whole number"),
            ("1mb", "unknown unit `mb`"),
            ("0B", "greater than zero"),
            ("99999999999TiB", "too large"),
        ] {
            let error = parse_size(text).expect_err(text);
            assert!(error.contains(why) && error.contains("write `256MiB`"), "{text}: {error}");
        }
    }

    #[test]
    fn what_rolls_never_or_has_no_time_is_refused() {
        let path = FilePath::from("out/{hour}-{epoch}.csv");
        let error =
            |roll: Roll, schema: Option<&Schema>| roll.check(&path, schema).expect_err("refused").to_string();
        assert!(error(Roll::default(), None).contains("neither `every` nor `size`"));
        assert!(error(Roll { keep: Some("1d".into()), ..Roll::default() }, None).contains("neither"));
        assert!(error(Roll::every("soon"), None).contains("`roll.every`"));
        assert!(error(Roll::size("much"), None).contains("`roll.size`"));
        assert!(error(Roll { keep: Some("x".into()), ..Roll::every("1h") }, None).contains("`roll.keep`"));
        assert!(error(Roll::every("1h"), None).contains("no time column"));
    }
}
