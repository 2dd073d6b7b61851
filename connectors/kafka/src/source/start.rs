//! Where a partition is read from if neither a checkpoint nor the group has a position.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::format::columns::ColumnOptions;

/// As written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"earliest\", \"latest\", a time or an offset")]
pub enum Start {
    /// An offset in every partition.
    Offset(i64),
    /// "earliest", "latest" or a time.
    Text(String),
}

/// As meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Earliest,
    Latest,
    /// In every partition.
    At(i64),
    /// The first message that is not older, in milliseconds since 1970.
    Since(i64),
}

impl Default for Start {
    fn default() -> Self {
        Self::Text("earliest".to_owned())
    }
}

impl Start {
    /// What it means.
    ///
    /// # Errors
    /// A configuration error if it means nothing.
    pub(super) fn parse(&self) -> Result<From> {
        match self {
            Self::Offset(at) if *at >= 0 => Ok(From::At(*at)),
            Self::Text(text) if text == "earliest" => Ok(From::Earliest),
            Self::Text(text) if text == "latest" => Ok(From::Latest),
            Self::Text(text) => match ColumnOptions::default().times()?.moment(text) {
                Ok(time) => Ok(From::Since(time.as_nanos().div_euclid(1_000_000))),
                Err(why) => Err(wrong(&format!("{text:?}: {why}"))),
            },
            Self::Offset(at) => Err(wrong(&at.to_string())),
        }
    }
}

impl From {
    /// Where a partition begins; `is_new` if it did not exist when the run began: then all of its messages are later.
    pub(super) fn of(self, is_new: bool) -> Self {
        if is_new { Self::Earliest } else { self }
    }
}

fn wrong(what: &str) -> Error {
    Error::config(format!("`offset` {what}"))
        .with_help("write \"earliest\", \"latest\", a time such as \"2026-01-31T08:00:00Z\", or an offset")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_times_and_offsets() {
        let parse = |text: &str| Start::Text(text.to_owned()).parse();
        assert_eq!(parse("latest").expect("a word"), From::Latest);
        assert_eq!(parse("1970-01-01T00:00:01Z").expect("a time"), From::Since(1000));
        assert_eq!(Start::Offset(5).parse().expect("an offset"), From::At(5));
        assert!(parse("last week").is_err());
        assert!(Start::Offset(-1).parse().is_err());
    }
}
