//! Topics to subscribe to, and what their levels are.

use std::borrow::Cow;

use tidemill_connect::message::{Envelope, TopicPattern};
use tidemill_engine::error::{Error, Result};

/// The topics of a source: filters for the broker, and patterns that give names to levels.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    pub(crate) filters: Vec<String>,
    patterns: Vec<(TopicPattern, Vec<String>)>,
}

impl Topics {
    /// Reads topics such as `plant/+/temp` and `plant/{line}/{sensor}/#`; `share` is the group of shared subscriptions.
    ///
    /// # Errors
    /// A configuration error that says what is wrong with a topic.
    pub(crate) fn new(topics: &[String], share: Option<&str>) -> Result<Self> {
        if topics.is_empty() {
            return Err(Error::config("`topic` has no topic"));
        }
        if let Some(group) = share.filter(|group| group.is_empty() || group.contains(['/', '+', '#', '\0'])) {
            return Err(Error::config(format!("`share` {group:?} is not the name of a group"))
                .with_help("use letters and digits"));
        }
        let (mut filters, mut patterns) = (Vec::new(), Vec::new());
        for topic in topics {
            let (group, topic) = split_share(topic);
            let filter = filter_of(topic)?;
            filters.push(match group.or(share) {
                Some(group) => format!("$share/{group}/{filter}"),
                None => filter,
            });
            patterns.push(TopicPattern::new("topic", topic, '/')?);
        }
        Ok(Self { filters, patterns })
    }

    /// The filters, for a client that is not one of a group.
    pub(crate) fn unshared(&self) -> Vec<String> {
        self.filters.iter().map(|filter| split_share(filter).1.to_owned()).collect()
    }

    /// The names of levels, each once.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::<String>::new();
        for name in self.patterns.iter().flat_map(|(_, names)| names) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The text of the level with this name, by the first pattern that has it and matches.
    pub(crate) fn level<'t>(&self, topic: &'t str, name: &str) -> Option<&'t str> {
        self.patterns
            .iter()
            .find_map(|(pattern, names)| pattern.get(topic, names.iter().position(|own| own == name)?))
    }
}

/// The group and the filter of `$share/group/filter`.
fn split_share(topic: &str) -> (Option<&str>, &str) {
    let shared = topic.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    shared.map_or((None, topic), |(group, topic)| (Some(group), topic))
}

/// The filter for the broker: each name in braces stands for any level.
fn filter_of(topic: &str) -> Result<String> {
    let wrong = |why: &str| {
        Error::config(format!("`topic` {topic:?}: {why}"))
            .with_help("such as \"plant/+/temp\" or \"plant/#\"")
    };
    if topic.is_empty() || topic.len() > 65_000 || topic.contains('\0') {
        return Err(wrong("it is empty, too long, or contains a zero byte"));
    }
    let is_name = |level: &str| level.starts_with('{') && level.ends_with('}');
    let levels: Vec<&str> = topic.split('/').map(|level| if is_name(level) { "+" } else { level }).collect();
    for (at, level) in levels.iter().enumerate() {
        if level.contains('#') && (*level != "#" || at + 1 < levels.len()) {
            return Err(wrong("# must be the whole last level"));
        }
        if level.contains('+') && *level != "+" {
            return Err(wrong("+ must be a whole level"));
        }
    }
    Ok(levels.join("/"))
}

/// A field of the envelope.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Topic,
    Qos,
    Retained,
    Repeated,
    ContentType,
    /// A user property of MQTT 5.
    Property(String),
    /// A level with this name.
    Level(String),
    /// Written by others: the time of arrival.
    Other,
}

/// The beginning of the names of user properties.
const PROPERTY: &str = "@property:";

impl Field {
    /// The envelope of messages of these topics.
    pub(crate) fn envelope(topics: &Topics) -> Envelope {
        Envelope {
            fields: &["@topic", "@qos", "@retained", "@repeated", "@content_type"],
            prefixes: &[PROPERTY],
            names: topics.names(),
            sensor: "@topic",
        }
    }

    pub(crate) fn of(name: &str) -> Self {
        match name {
            "@topic" => Self::Topic,
            "@qos" => Self::Qos,
            "@retained" => Self::Retained,
            "@repeated" => Self::Repeated,
            "@content_type" => Self::ContentType,
            _ => match name.strip_prefix(PROPERTY) {
                Some(property) => Self::Property(property.to_owned()),
                None if name.starts_with('@') => Self::Other,
                None => Self::Level(name.to_owned()),
            },
        }
    }

    /// Its value in a message.
    pub(crate) fn value<'m>(
        &self,
        topics: &Topics,
        topic: &'m str,
        message: &'m crate::client::Message,
    ) -> Option<Cow<'m, str>> {
        let flag = |flag: bool| Some(if flag { "true" } else { "false" });
        let properties = message.properties.as_deref();
        let text = match self {
            Self::Topic => Some(topic),
            Self::Qos => Some(match message.qos {
                0 => "0",
                1 => "1",
                _ => "2",
            }),
            Self::Retained => flag(message.is_retained),
            Self::Repeated => flag(message.is_repeated),
            Self::ContentType => properties.and_then(|all| all.content_type.as_deref()),
            Self::Property(name) => properties
                .and_then(|all| all.user.iter().find(|(own, _)| own == name))
                .map(|(_, value)| value.as_str()),
            Self::Level(name) => topics.level(topic, name),
            Self::Other => None,
        };
        text.map(Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(topics: &[&str], share: Option<&str>) -> Result<Topics> {
        Topics::new(&topics.iter().map(|&topic| topic.to_owned()).collect::<Vec<_>>(), share)
    }

    #[test]
    fn names_in_braces_are_levels_and_wildcards_for_the_broker() {
        let topics =
            topics(&["plant/{line}/{sensor}/+", "$share/g/lab/{sensor}", "a/#"], Some("h")).expect("topics");
        assert_eq!(topics.filters, ["$share/h/plant/+/+/+", "$share/g/lab/+", "$share/h/a/#"]);
        assert_eq!(topics.names(), ["line", "sensor"]);
        let level = |topic, name| topics.level(topic, name);
        assert_eq!(level("plant/north/t1/temp", "line"), Some("north"));
        assert_eq!(level("plant/north/t1/temp", "sensor"), Some("t1"));
        assert_eq!((level("lab/t2", "sensor"), level("lab/t2", "line")), (Some("t2"), None));
        assert_eq!(level("plant/north/t1", "sensor"), None);
    }

    #[test]
    fn filters_that_the_broker_would_refuse_are_mistakes() {
        for wrong in ["", "a/#/b", "a#", "a/b+", "a\0", "{a", "a/{x}y", "{a}/{a}"] {
            let error = topics(&[wrong], None).expect_err(wrong);
            assert!(error.message().contains("topic"), "{error}");
        }
        assert!(topics(&[], None).is_err());
        assert!(topics(&["a"], Some("a/b")).is_err());
    }
}
