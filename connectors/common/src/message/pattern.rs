//! Fields from the levels of a topic.

use std::fmt;

use tidemill_engine::error::{Error, Result};

/// A pattern such as `plant/{line}/{sensor}/+`: a name in braces is a field with the text of that level, `+` or `*` matches one level, `#` or `>` at the end the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicPattern {
    written: String,
    separator: char,
    levels: Vec<Level>,
    /// Whether further levels may follow.
    is_open: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Level {
    Text(String),
    Any,
    /// The ordinal of its name.
    Field(usize),
}

impl TopicPattern {
    /// Parses a pattern whose levels are separated by `separator`, and returns it with its names in order.
    ///
    /// # Errors
    /// A configuration error if a name is missing or occurs twice, or the rest is matched before the end.
    pub fn new(option: &str, written: &str, separator: char) -> Result<(Self, Vec<String>)> {
        let wrong = |why: &str| Error::config(format!("`{option}` {written:?}: {why}"));
        let (mut names, mut levels, mut is_open) = (Vec::<String>::new(), Vec::new(), false);
        for level in written.split(separator) {
            if is_open {
                return Err(wrong("the rest can only be matched at the end"));
            }
            match level {
                "#" | ">" => is_open = true,
                "+" | "*" => levels.push(Level::Any),
                _ => match level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                    None if level.contains(['{', '}']) => return Err(wrong("a name takes a whole level")),
                    None => levels.push(Level::Text(level.to_owned())),
                    Some(name) if name.is_empty() || name.starts_with('@') || name.contains(['{', '}']) => {
                        return Err(wrong("a name in braces must not be empty or begin with @"));
                    }
                    Some(name) if names.iter().any(|own| own == name) => {
                        return Err(wrong("a name occurs twice"));
                    }
                    Some(name) => {
                        levels.push(Level::Field(names.len()));
                        names.push(name.to_owned());
                    }
                },
            }
        }
        Ok((Self { written: written.to_owned(), separator, levels, is_open }, names))
    }

    /// Whether `topic` has the levels of the pattern.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let mut own = self.levels.iter();
        for text in topic.split(self.separator) {
            match own.next() {
                Some(Level::Text(level)) if level != text => return false,
                Some(_) => {}
                None => return self.is_open,
            }
        }
        own.next().is_none()
    }

    /// The text of field `field` in `topic`; `None` if the topic does not match.
    #[must_use]
    pub fn get<'t>(&self, topic: &'t str, field: usize) -> Option<&'t str> {
        let (mut found, mut own) = (None, self.levels.iter());
        for text in topic.split(self.separator) {
            match own.next() {
                Some(Level::Text(level)) if level != text => return None,
                Some(Level::Field(at)) if *at == field => found = Some(text),
                Some(_) => {}
                None if self.is_open => return found,
                None => return None,
            }
        }
        found.filter(|_| own.next().is_none())
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
