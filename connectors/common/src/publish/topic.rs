//! Topics of messages: a text with columns in braces, whose values cannot be anything but a part of a level.

use tidemill_engine::batch::{Batch, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;

use crate::template::{Language, Template};

/// What a topic is made of, by protocol.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The name of the option.
    pub option: &'static str,
    /// Between levels.
    pub separator: char,
    /// Wildcards.
    pub wildcards: [char; 2],
    /// Whether spaces are allowed.
    pub spaces: bool,
    /// Whether levels may be empty.
    pub empty_levels: bool,
    /// Bytes, at most.
    pub longest: usize,
    /// An example.
    pub example: &'static str,
}

impl Rules {
    /// Whether `letter` can be in a topic.
    fn allows(&self, letter: char) -> bool {
        !self.wildcards.contains(&letter) && !letter.is_control() && (self.spaces || !letter.is_whitespace())
    }
}

/// A topic such as `plant/{sensor}/temp`.
#[derive(Clone, Debug)]
pub struct Topic {
    parts: Vec<Part>,
    rules: Rules,
    /// Whether values may have several levels.
    levels: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Column(Template),
}

impl Topic {
    /// Reads `text`. With `levels`, values may have several levels.
    ///
    /// # Errors
    /// A configuration error if it is not a topic, or a placeholder is not a column.
    pub fn new(text: &str, rules: Rules, levels: bool, schema: &Schema) -> Result<Self> {
        let wrong = |why: &str| {
            Error::config(format!("`{}` {text:?}: {why}", rules.option))
                .with_help(format!("such as {:?}", rules.example))
        };
        let is_empty = |level: &str| level.is_empty();
        if !rules.empty_levels && text.split(rules.separator).any(is_empty) {
            return Err(wrong("a level is empty"));
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (literal, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            if literal.chars().any(|letter| letter == '}' || !rules.allows(letter)) {
                return Err(wrong("it contains a wildcard, a single brace, or a letter that is not allowed"));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            if after.is_empty() {
                break;
            }
            let end = after.find('}').ok_or_else(|| wrong("a brace is not closed"))?;
            let (column, after) = after.split_at(end + 1);
            if column == "{*}" || column == "{}" {
                return Err(wrong("a placeholder is the name of a column"));
            }
            parts.push(Part::Column(Template::new(rules.option, column, Language::Plain, schema)?));
            rest = after;
        }
        match parts.first() {
            None => Err(wrong("it is empty")),
            Some(Part::Literal(literal)) if literal.starts_with('$') => {
                Err(wrong("what begins with $ belongs to the broker"))
            }
            Some(_) => Ok(Self { parts, rules, levels }),
        }
    }

    /// The topic of record `row`, in `out`.
    pub fn write(&self, batch: &Batch, row: usize, sensors: &Sensors, out: &mut String) {
        out.clear();
        let mut value = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Column(template) => {
                    value.clear();
                    template.write(batch, row, sensors, &mut value);
                    self.push(&value, out);
                }
            }
        }
        if out.len() > self.rules.longest {
            let end = (0..=self.rules.longest).rev().find(|&at| out.is_char_boundary(at)).unwrap_or_default();
            out.truncate(end);
        }
    }

    /// Appends a value; what would make it something else than a level is replaced by an underscore.
    fn push(&self, value: &str, out: &mut String) {
        let Self { rules, levels, .. } = self;
        let begin = out.len();
        for letter in value.chars() {
            let is_separator = letter == rules.separator;
            // An empty level, unless the protocol has them.
            let is_empty =
                is_separator && !rules.empty_levels && (out.is_empty() || out.ends_with(rules.separator));
            let is_wrong = match letter {
                '$' => out.is_empty(),
                _ if is_separator => !levels || is_empty,
                _ => !rules.allows(letter),
            };
            out.push(if is_wrong { '_' } else { letter });
        }
        let is_empty = out.len() == begin || (!rules.empty_levels && out.ends_with(rules.separator));
        if is_empty {
            out.push('_');
        }
    }
}
