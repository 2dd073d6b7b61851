//! Names in SQL.

use tidemill_engine::error::{Error, Result};

/// A quoted identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted text. Backslashes have no meaning in it, since a session sets `standard_conforming_strings`.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Quoted identifiers, separated by commas.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// The name of a table as the option says it: `table`, `schema.table`; a part in double quotes may contain a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableName(Vec<String>);

impl TableName {
    /// Reads the option `table`.
    ///
    /// # Errors
    /// A configuration error if it is no name.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!("`table` {text:?} is not the name of a table"))
                .with_help("write \"table\" or \"schema.table\" as the database shows it; a name with a dot in double quotes: 'plant.\"a.b\"'")
        };
        let (mut parts, mut rest) = (Vec::new(), text);
        loop {
            let (part, after) = part(rest).ok_or_else(wrong)?;
            parts.push(part);
            match after.strip_prefix('.') {
                Some(more) => rest = more,
                None if after.is_empty() && parts.len() <= 2 => return Ok(Self(parts)),
                None => return Err(wrong()),
            }
        }
    }

    /// The name as SQL has it.
    pub(crate) fn as_sql(&self) -> String {
        self.0.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(".")
    }

    /// The schema, if the option names one.
    pub(crate) fn schema(&self) -> Option<&str> {
        self.0.first().filter(|_| self.0.len() > 1).map(String::as_str)
    }
}

/// The first part of a name, and what follows.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        let (part, rest) = text.split_at(end);
        let is_name = !part.is_empty() && !part.contains(['"', '\0']);
        return is_name.then(|| (part.to_owned(), rest));
    };
    let mut part = String::new();
    let mut letters = quoted.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\0' => return None,
            '"' if letters.next_if(|(_, next)| *next == '"').is_some() => part.push('"'),
            '"' => return (!part.is_empty()).then(|| (part, &quoted[at + 1..])),
            letter => part.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_they_contain() {
        let sql =
            |text: &str| TableName::parse(text).map(|name| name.as_sql()).map_err(|error| error.to_string());
        for (text, expected) in [
            ("readings", "\"readings\""),
            ("plant.Readings", "\"plant\".\"Readings\""),
            ("plant.\"a.b\"\"c\"", "\"plant\".\"a.b\"\"c\""),
            ("x; DROP TABLE y", "\"x; DROP TABLE y\""),
        ] {
            assert_eq!(sql(text).as_deref(), Ok(expected));
        }
        for wrong in ["", ".", "a.", "a.b.c", "a\"b", "\"a", "\"\"", "\"a\"b", "a\0"] {
            assert!(sql(wrong).expect_err("no name").contains("not the name of a table"), "{wrong}");
        }
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(TableName::parse("a.b").expect("a name").schema(), Some("a"));
        assert_eq!(TableName::parse("b").expect("a name").schema(), None);
    }
}
