//! Subjects to receive, and what their tokens are.

use std::borrow::Cow;

use tidemill_connect::message::{Envelope, TopicPattern};
use tidemill_engine::error::{Error, Result};

use crate::source::Arrived;

/// The subjects of a source: filters for the server, and patterns that give names to tokens.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    pub(crate) filters: Vec<String>,
    patterns: Vec<(TopicPattern, Vec<String>)>,
}

impl Subjects {
    /// Reads subjects such as `plant.*.temp` and `plant.{line}.{sensor}.>`.
    ///
    /// # Errors
    /// A configuration error that says what is wrong with a subject.
    pub(crate) fn new(subjects: &[String]) -> Result<Self> {
        if subjects.is_empty() {
            return Err(Error::config("`subject` has no subject"));
        }
        let filters = subjects.iter().map(|subject| filter_of(subject)).collect::<Result<_>>()?;
        let pattern = |subject: &String| TopicPattern::new("subject", subject, '.');
        Ok(Self { filters, patterns: subjects.iter().map(pattern).collect::<Result<_>>()? })
    }

    /// The names of tokens, each once.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::<String>::new();
        for name in self.patterns.iter().flat_map(|(_, names)| names) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The text of the token with this name, by the first pattern that has it and matches.
    fn token<'s>(&self, subject: &'s str, name: &str) -> Option<&'s str> {
        self.patterns
            .iter()
            .find_map(|(pattern, names)| pattern.get(subject, names.iter().position(|own| own == name)?))
    }
}

/// The filter for the server: each name in braces stands for any token.
fn filter_of(subject: &str) -> Result<String> {
    let wrong = |why: &str| {
        Error::config(format!("`subject` {subject:?}: {why}"))
            .with_help("such as \"plant.*.temp\" or \"plant.>\"")
    };
    if subject.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err(wrong("it contains spaces"));
    }
    let is_name = |token: &str| token.starts_with('{') && token.ends_with('}');
    let tokens: Vec<&str> =
        subject.split('.').map(|token| if is_name(token) { "*" } else { token }).collect();
    for (at, token) in tokens.iter().enumerate() {
        if token.is_empty() {
            return Err(wrong("a token is empty"));
        }
        if *token == ">" && at + 1 < tokens.len() {
            return Err(wrong("> must be the last token"));
        }
        if token.len() > 1 && token.contains(['*', '>']) {
            return Err(wrong("* and > must be whole tokens"));
        }
    }
    Ok(tokens.join("."))
}

/// A field of the envelope.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Subject,
    /// The number of the message in its stream.
    Sequence,
    /// When the stream has stored it.
    Stored,
    Header(String),
    /// A token with this name.
    Token(String),
    /// Written by others: the time of arrival.
    Other,
}

/// The beginning of the names of headers.
const HEADER: &str = "@header:";

impl Field {
    /// The envelope of messages of these subjects, of a stream or not.
    pub(crate) fn envelope(subjects: &Subjects, is_stored: bool) -> Envelope {
        Envelope {
            fields: if is_stored { &["@subject", "@sequence", "@stored"] } else { &["@subject"] },
            prefixes: &[HEADER],
            names: subjects.names(),
            sensor: "@subject",
        }
    }

    pub(crate) fn of(name: &str) -> Self {
        match name {
            "@subject" => Self::Subject,
            "@sequence" => Self::Sequence,
            "@stored" => Self::Stored,
            _ => match name.strip_prefix(HEADER) {
                Some(header) => Self::Header(header.to_owned()),
                None if name.starts_with('@') => Self::Other,
                None => Self::Token(name.to_owned()),
            },
        }
    }

    /// Its value in a message.
    pub(crate) fn value<'m>(&self, subjects: &Subjects, message: &'m Arrived) -> Option<Cow<'m, str>> {
        match self {
            Self::Subject => Some(Cow::Borrowed(message.subject.as_str())),
            Self::Sequence => message.stored.as_ref().map(|stored| stored.sequence.to_string().into()),
            Self::Stored => message.stored.as_ref().map(|stored| stored.at.to_string().into()),
            Self::Header(name) => {
                let value = message.headers.as_ref()?.get(name.as_str())?;
                Some(Cow::Borrowed(value.as_str()))
            }
            Self::Token(name) => subjects.token(message.subject.as_str(), name).map(Cow::Borrowed),
            Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(subjects: &[&str]) -> Result<Subjects> {
        Subjects::new(&subjects.iter().map(|&subject| subject.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_in_braces_are_tokens_and_wildcards_for_the_server() {
        let subjects = subjects(&["plant.{line}.{sensor}.*", "lab.{sensor}", "a.>"]).expect("subjects");
        assert_eq!(subjects.filters, ["plant.*.*.*", "lab.*", "a.>"]);
        assert_eq!(subjects.names(), ["line", "sensor"]);
        assert_eq!(subjects.token("plant.north.t1.temp", "line"), Some("north"));
        assert_eq!(subjects.token("lab.t2", "sensor"), Some("t2"));
        assert_eq!(subjects.token("lab.t2", "line"), None);
    }

    #[test]
    fn filters_that_the_server_would_refuse_are_mistakes() {
        for wrong in ["", "a..b", "a.", ".a", "a b", "a.>.b", "a*", "a>", "{a", "{a}.{a}"] {
            let error = subjects(&[wrong]).expect_err(wrong);
            assert!(error.message().contains("subject"), "{error}");
        }
        assert!(subjects(&[]).is_err());
    }
}
