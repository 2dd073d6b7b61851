//! The fields of the envelope: everything that a message has besides its payload.

use tidemill_engine::error::{Error, Result};

/// The field with the time of arrival, in RFC 3339; every source of messages has it.
pub const ARRIVAL: &str = "@arrival";

/// The fields that the messages of a source have besides their payload.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// Those that every message has, such as `@topic`. Their names begin with `@`, so that they differ from the fields of a payload.
    pub fields: &'static [&'static str],
    /// Beginnings of names of which there are any number, such as `@header:`.
    pub prefixes: &'static [&'static str],
    /// The names in a [topic pattern](super::TopicPattern): they are columns without being asked for.
    pub names: Vec<String>,
    /// The field that is the sensor if no option says otherwise, such as `@topic`.
    pub sensor: &'static str,
}

impl Envelope {
    /// Whether messages have the field `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        let has_prefix = |prefix: &&str| name.len() > prefix.len() && name.starts_with(*prefix);
        name == ARRIVAL
            || self.fields.contains(&name)
            || self.names.iter().any(|own| own == name)
            || self.prefixes.iter().any(has_prefix)
    }

    /// Checks that messages have the field `name`, which the option `option` names.
    ///
    /// # Errors
    /// A configuration error that lists the fields.
    pub(super) fn check(&self, option: &str, name: &str) -> Result<()> {
        if self.has(name) {
            return Ok(());
        }
        let prefixes = self.prefixes.iter().map(|prefix| format!("{prefix}NAME"));
        let all = self.fields.iter().copied().chain([ARRIVAL]).map(str::to_owned);
        let all: Vec<String> = all.chain(prefixes).chain(self.names.iter().cloned()).collect();
        Err(Error::config(format!("`{option}` names `{name}`, which messages of this source do not have"))
            .with_help(format!("they have {}", all.join(", "))))
    }

    /// The fields that `text` refers to: its own name, or the names in braces.
    pub(super) fn named_in<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let in_braces = text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
        in_braces.chain([text]).filter(|name| self.has(name)).collect()
    }
}
