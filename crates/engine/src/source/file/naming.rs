//! The sensor of a file without a sensor column.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::error::{Error, Result};

/// Where a file's sensor is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The path from the pattern's first wildcard on, without extension.
    Relative,
    /// The file's name, without extension.
    Stem,
    /// The path as written, without extension.
    Path,
    /// The text matched by `{sensor}` in a pattern; one list of tokens per name.
    Pattern { written: String, names: Vec<Vec<Token>> },
}

/// A token of a pattern for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Text(String),
    /// `*`
    Any,
    /// `{sensor}`
    Sensor,
}

const SENSOR: &str = "{sensor}";

impl Naming {
    /// Parses `sensor_from`.
    ///
    /// # Errors
    /// A configuration error if it is neither a known word nor a pattern.
    pub(super) fn parse(written: Option<&str>) -> Result<Self> {
        match written {
            None => Ok(Self::Relative),
            Some("stem") => Ok(Self::Stem),
            Some("path") => Ok(Self::Path),
            Some(pattern) if pattern.matches(SENSOR).count() == 1 => {
                let names = pattern.split('/').map(tokens).collect();
                Ok(Self::Pattern { written: pattern.to_owned(), names })
            }
            Some(other) => Err(Error::config(format!("`sensor_from` {other:?} does not say where the sensor is"))
                .with_help("give \"stem\", \"path\", or a pattern with {sensor} such as \"plant-{sensor}-*\" or \"device={sensor}\"")),
        }
    }

    /// The sensor of the file at `path`; `relative` is the part of the path after the fixed part of the pattern that found it.
    ///
    /// # Errors
    /// A configuration error if the pattern does not match.
    pub(super) fn sensor(&self, path: &Path, relative: &Path) -> Result<String> {
        match self {
            Self::Relative => Ok(without_extension(relative)),
            Self::Stem => Ok(without_extension(Path::new(path.file_name().unwrap_or_default()))),
            Self::Path => Ok(without_extension(path)),
            Self::Pattern { written, names } => find(names, path).ok_or_else(|| {
                Error::config(format!("`sensor_from` {written:?} does not match `{}`", shown(path)))
                    .with_help(
                        "it must match the end of every file's path, or one of its names if it has no slash",
                    )
            }),
        }
    }
}

fn tokens(mut name: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    while let Some(first) = name.chars().next() {
        let (token, rest) = if let Some(rest) = name.strip_prefix(SENSOR) {
            (Token::Sensor, rest)
        } else if first == '*' {
            (Token::Any, &name[1..])
        } else {
            let end = name.find('*').into_iter().chain(name.find(SENSOR)).min().unwrap_or(name.len());
            (Token::Text(name[..end].to_owned()), &name[end..])
        };
        tokens.push(token);
        name = rest;
    }
    tokens
}

/// The sensor in the last names of `path`; for a pattern of one name, in the innermost name that matches.
fn find(pattern: &[Vec<Token>], path: &Path) -> Option<String> {
    let names: Vec<String> = path.components().map(|name| escaped(name.as_os_str().as_bytes())).collect();
    let (file, folders) = names.split_last()?;
    let short = without_extension(Path::new(file));
    let (last, before) = pattern.split_last()?;
    if before.is_empty() {
        let in_file = matched(last, &short).or_else(|| matched(last, file));
        let of = |found: Option<&str>| found.filter(|sensor| !sensor.is_empty()).map(str::to_owned);
        return of(in_file).or_else(|| folders.iter().rev().find_map(|name| of(matched(last, name))));
    }
    let folders = &folders[folders.len().checked_sub(before.len())?..];
    let above: Vec<&str> =
        before.iter().zip(folders).map(|(tokens, name)| matched(tokens, name)).collect::<Option<_>>()?;
    let own = matched(last, &short).or_else(|| matched(last, file))?;
    above.into_iter().chain([own]).find(|sensor| !sensor.is_empty()).map(str::to_owned)
}

/// Whether a name matches, and the text for the sensor: empty if the pattern has none. Matches are as short as possible.
fn matched<'n>(tokens: &[Token], name: &'n str) -> Option<&'n str> {
    let ends =
        |from: usize| name.char_indices().map(|(at, _)| at).chain([name.len()]).filter(move |&at| at >= from);
    match tokens.split_first() {
        None => name.is_empty().then_some(""),
        Some((Token::Text(text), rest)) => matched(rest, name.strip_prefix(text.as_str())?),
        Some((Token::Any, rest)) => ends(0).find_map(|end| matched(rest, &name[end..])),
        Some((Token::Sensor, rest)) => {
            ends(1).find(|&end| matched(rest, &name[end..]).is_some()).map(|end| &name[..end])
        }
    }
}

/// The names of a path joined by slashes, the last one without its extension and its compression suffix.
fn without_extension(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    let plain = Path::new(name);
    let plain = if super::packing::is_packed(plain) { plain.file_stem().unwrap_or_default() } else { name };
    let stem = Path::new(plain).file_stem().unwrap_or_default();
    let folders = path.parent().into_iter().flat_map(Path::components);
    let folders = folders.filter_map(|folder| match folder {
        Component::CurDir | Component::RootDir => None,
        folder => Some(escaped(folder.as_os_str().as_bytes())),
    });
    folders.chain([escaped(stem.as_bytes())]).collect::<Vec<_>>().join("/")
}

/// A path as text: bytes that are not UTF-8 are written as `\xff`, so that different paths look different.
pub(super) fn shown(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes())
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    fn sensor(from: Option<&str>, path: &str, fixed: &str) -> String {
        let (path, naming) = (Path::new(path), Naming::parse(from).expect("a naming"));
        let relative = path.strip_prefix(fixed).expect("below");
        naming.sensor(path, relative).unwrap_or_else(|error| error.message().to_owned())
    }

    #[test]
    fn a_sensor_is_named_by_what_the_pattern_leaves_open() {
        assert_eq!(sensor(None, "data/a.csv", "data"), "a");
        assert_eq!(sensor(None, "data/valve1/0.csv.gz", "data"), "valve1/0");
        assert_eq!(sensor(None, "v1.2/b.tar.csv", ""), "v1.2/b.tar");
        assert_eq!(sensor(Some("stem"), "data/valve1/0.csv", "data"), "0");
        assert_eq!(sensor(Some("path"), "./data/valve1/0.csv", "./data/valve1"), "data/valve1/0");
        let odd = Path::new(OsStr::from_bytes(b"b\xfcro/a.csv"));
        assert_eq!(Naming::Relative.sensor(odd, odd).expect("named"), "b\\xfcro/a");
    }

    #[test]
    fn a_pattern_takes_the_sensor_out_of_a_path() {
        let found = |pattern: &str, path: &str| sensor(Some(pattern), path, "");
        assert_eq!(found("plant-{sensor}-*", "x/plant-7-2024-01.csv"), "7");
        assert_eq!(found("{sensor}.log", "a/b.log"), "b");
        assert_eq!(found("device={sensor}", "site=eu/device=p4/part-0.parquet"), "p4");
        assert_eq!(found("{sensor}/*", "data/valve1/0.csv"), "valve1");
        assert_eq!(found("*/{sensor}/*/*.csv", "a/b/c/d.csv"), "b");
        assert_eq!(found("{sensor}", "a.csv"), "a");
        assert!(found("plant-{sensor}", "x/other.csv").contains("does not match `x/other.csv`"));
        assert!(found("{sensor}/*/*", "a.csv").contains("does not match"));
        for wrong in ["name", "{sensor}{sensor}", ""] {
            assert!(Naming::parse(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
