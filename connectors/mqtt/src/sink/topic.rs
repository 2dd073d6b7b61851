//! Topics of messages: a text with columns in braces, whose values cannot be anything but a part of a level.

use tidemill_connect::template::{Language, Template};
use tidemill_engine::batch::{Batch, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;

/// The longest topic of the protocol.
const LONGEST: usize = 65_535;

/// A topic such as `plant/{sensor}/temp`.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    parts: Vec<Part>,
    /// Whether values may have several levels.
    slashes: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Column(Template),
}

impl Topic {
    /// # Errors
    /// A configuration error if it is not a topic, or a placeholder is not a column.
    pub(super) fn new(text: &str, slashes: bool, schema: &Schema) -> Result<Self> {
        let wrong = |why: &str| {
            Error::config(format!("`topic` {text:?}: {why}")).with_help("such as \"plant/{sensor}/temp\"")
        };
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (literal, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            if literal.contains(['+', '#', '\0', '}']) {
                return Err(wrong("it contains +, #, a zero byte or a single brace"));
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
            parts.push(Part::Column(Template::new("topic", column, Language::Plain, schema)?));
            rest = after;
        }
        match parts.first() {
            None => Err(wrong("it is empty")),
            Some(Part::Literal(literal)) if literal.starts_with('$') => {
                Err(wrong("topics that begin with $ belong to the broker"))
            }
            Some(_) => Ok(Self { parts, slashes }),
        }
    }

    /// The topic of record `row`, in `out`.
    pub(super) fn write(&self, batch: &Batch, row: usize, sensors: &Sensors, out: &mut String) {
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
        if out.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|&at| out.is_char_boundary(at)).unwrap_or_default();
            out.truncate(end);
        }
    }

    /// Appends a value; what would make it something else than a level is replaced by an underscore.
    fn push(&self, value: &str, out: &mut String) {
        if value.is_empty() {
            out.push('_');
        }
        for letter in value.chars() {
            let is_wrong = match letter {
                '+' | '#' => true,
                '/' => !self.slashes,
                '$' => out.is_empty(),
                _ => letter.is_control(),
            };
            out.push(if is_wrong { '_' } else { letter });
        }
    }
}
