//! What a request has besides its body.

use std::borrow::Cow;

use hyper::HeaderMap;
use tidemill_connect::message::TopicPattern;

use super::access::parameter;

/// Where the value of each field comes from.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    origins: Vec<Origin>,
    pattern: TopicPattern,
}

#[derive(Clone, Debug, PartialEq)]
enum Origin {
    Path,
    Client,
    Header(String),
    Query(String),
    /// Of a time series.
    Label(String),
    /// A level of the path, by the ordinal of its name.
    Level(usize),
}

/// The values of the fields of one request: those of labels are not known yet.
pub(super) type Values = Vec<Option<String>>;

impl Fields {
    /// The fields with these names, in this order. Those without `@` are levels of the path, which `pattern` has in the order of `levels`.
    pub(super) fn new(names: &[String], pattern: TopicPattern, levels: &[String]) -> Self {
        let origin = |name: &String| match name.split_once(':') {
            _ if name == "@path" => Origin::Path,
            _ if name == "@client" => Origin::Client,
            Some(("@header", header)) => Origin::Header(header.to_ascii_lowercase()),
            Some(("@query", parameter)) => Origin::Query(parameter.to_owned()),
            Some(("@label", label)) => Origin::Label(label.to_owned()),
            // `@arrival` is never asked for.
            _ if name.starts_with('@') => Origin::Client,
            _ => Origin::Level(levels.iter().position(|level| level == name).unwrap_or_default()),
        };
        Self { origins: names.iter().map(origin).collect(), pattern }
    }

    /// Whether records may be sent to this path.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.pattern.matches(path)
    }

    /// The values in a request.
    pub(super) fn values(&self, path: &str, query: &str, headers: &HeaderMap, client: &str) -> Values {
        let value = |origin: &Origin| match origin {
            Origin::Path => Some(path.to_owned()),
            Origin::Client => Some(client.to_owned()),
            Origin::Header(name) => headers.get(name)?.to_str().ok().map(str::to_owned),
            Origin::Query(name) => parameter(query, name),
            Origin::Level(level) => self.pattern.get(path, *level).map(str::to_owned),
            Origin::Label(_) => None,
        };
        self.origins.iter().map(value).collect()
    }

    /// The value of field `at`, given those of the request and the labels of the time series.
    pub(super) fn value<'v>(
        &self,
        at: usize,
        values: &'v Values,
        labels: &'v [(String, String)],
    ) -> Option<Cow<'v, str>> {
        match &self.origins[at] {
            Origin::Label(name) => {
                labels.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str().into())
            }
            _ => values[at].as_deref().map(Cow::Borrowed),
        }
    }
}
