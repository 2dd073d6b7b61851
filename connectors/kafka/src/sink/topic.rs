//! The topic of a record: a name, or a template with columns.

use tidemill_engine::batch::{Batch, Schema};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sensor::Sensors;

use super::cells::write_cell;

/// The longest name of a topic.
const LONGEST: usize = 249;

/// The topic as the options write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// The same for all records.
    Fixed(String),
    /// Text and columns.
    Template(Vec<Piece>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// The index of a column.
    Column(usize),
}

impl Topic {
    /// Parses `written` for records of `schema`.
    ///
    /// # Errors
    /// A configuration error if it cannot be the name of a topic, or names no column.
    pub(super) fn parse(written: &str, schema: &Schema) -> Result<Self> {
        if !written.contains('{') {
            check_name(written)?;
            return Ok(Self::Fixed(written.to_owned()));
        }
        let (mut pieces, mut rest) = (Vec::new(), written);
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| {
                Error::config(format!("`topic` {written:?}: a `{{` is not closed"))
                    .with_help("write \"plant.{sensor}\", for one")
            })?;
            check_text(text)?;
            pieces.push(Piece::Text(text.to_owned()));
            pieces.push(Piece::Column(column(name, "topic", schema)?));
            rest = after;
        }
        check_text(rest)?;
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self::Template(pieces))
    }

    /// Writes the topic of a record to `out`; nothing for a fixed one.
    pub(super) fn write(&self, batch: &Batch, row: usize, sensors: &Sensors, out: &mut Vec<u8>) {
        let Self::Template(pieces) = self else { return };
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Column(column) => {
                    let start = out.len();
                    write_cell(batch, *column, row, sensors, out);
                    out[start..]
                        .iter_mut()
                        .filter(|byte| !is_permitted(**byte))
                        .for_each(|byte| *byte = b'_');
                }
            }
        }
        out.truncate(LONGEST);
        if out.is_empty() || *out == b"." || *out == b".." {
            out.push(b'_');
        }
    }
}

/// The index of the column `name`, which `option` names.
pub(super) fn column(name: &str, option: &str, schema: &Schema) -> Result<usize> {
    schema.index_of(name).ok_or_else(|| {
        let names: Vec<_> = schema.fields().iter().map(|field| &*field.name).collect();
        Error::config(format!("`{option}` names the column `{name}`, which does not exist"))
            .with_help(format!("the columns are {}", names.join(", ")))
    })
}

fn is_permitted(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn check_text(text: &str) -> Result<()> {
    match text.bytes().all(is_permitted) {
        true => Ok(()),
        false => Err(Error::config(format!("`topic` contains {text:?}"))
            .with_help("the name of a topic has letters, digits, `.`, `_` and `-` only")),
    }
}

/// Checks the whole name of a topic.
pub(crate) fn check_name(name: &str) -> Result<()> {
    check_text(name)?;
    match name.is_empty() || name.len() > LONGEST || name == "." || name == ".." {
        false => Ok(()),
        true => Err(Error::config(format!("`topic` {name:?} is not the name of a topic"))
            .with_help(format!("it has 1 to {LONGEST} letters, digits, `.`, `_` and `-`"))),
    }
}

#[cfg(test)]
mod tests {
    use tidemill_engine::batch::Field;

    use super::*;

    fn schema() -> Schema {
        Schema::new(vec![Field::time("time"), Field::sensor("sensor"), Field::measurement("value")])
            .expect("a schema")
    }

    #[test]
    fn a_template_names_columns() {
        let topic = Topic::parse("plant.{sensor}", &schema()).expect("a template");
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(topic, Topic::Template(vec![text("plant."), Piece::Column(1), text("")]));
        let error = Topic::parse("plant.{site}", &schema()).expect_err("no such column");
        assert!(error.message().contains("`site`"), "{error}");
        assert!(Topic::parse("plant.{sensor", &schema()).is_err());
    }

    #[test]
    fn a_name_has_few_kinds_of_characters() {
        assert!(Topic::parse("a.b_c-1", &schema()).is_ok());
        for wrong in ["", ".", "..", "a/b", "a b", "ä"] {
            assert!(Topic::parse(wrong, &schema()).is_err(), "{wrong}");
        }
        assert!(Topic::parse(&"a".repeat(250), &schema()).is_err());
    }
}
