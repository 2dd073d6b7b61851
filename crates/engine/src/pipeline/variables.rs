//! `${NAME}` and `${NAME:-default}` in the text and in the keys of a pipeline file; `$${` stands for `${` itself.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secrets::Secrets;
use super::written::Written;
use crate::error::Spelling;
use crate::options::{Diagnostic, Untyped};

/// Looks up the value of a variable.
pub(super) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The result of an expansion.
#[derive(Default)]
pub(super) struct Expanded {
    /// Texts that came from variables, whose type the option determines.
    pub(super) untyped: Vec<Untyped>,
    /// All texts with values from the environment.
    pub(super) secrets: Secrets,
}

/// Replaces the variables in all text and all keys of `table`; mistakes are reported.
pub(super) fn expand(
    table: &mut DeTable<'_>,
    written: &Written,
    lookup: &Lookup<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Expanded {
    let (path, expanded) = (Vec::new(), Expanded::default());
    let mut expansion = Expansion { written, lookup, diagnostics, path, expanded };
    expansion.table(table);
    expansion.expanded
}

struct Expansion<'e> {
    written: &'e Written,
    lookup: &'e Lookup<'e>,
    diagnostics: &'e mut Vec<Diagnostic>,
    /// The path of the current value: tables, options, list indices.
    path: Vec<String>,
    expanded: Expanded,
}

/// The origin of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Environment,
    /// The default in the pipeline file.
    File,
}

/// A piece of text with variables.
#[derive(Debug, PartialEq)]
enum TextPiece<'t> {
    Plain(&'t str),
    Variable { name: &'t str, default: Option<&'t str> },
    Unclosed,
}

impl Expansion<'_> {
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>) {
        let span = value.span();
        match value.get_mut() {
            DeValue::Table(table) => self.table(table),
            DeValue::Array(list) => {
                for (at, element) in list.iter_mut().enumerate() {
                    self.inside(at.to_string(), element);
                }
            }
            DeValue::String(text) if text.contains("${") => *text = self.text(text, span).into(),
            _ => {}
        }
    }

    fn table(&mut self, table: &mut DeTable<'_>) {
        if table.keys().any(|key| key.get_ref().contains("${")) {
            self.keys(table);
        }
        for (key, value) in table.iter_mut() {
            self.inside(key.get_ref().to_string(), value);
        }
    }

    /// Keys are expanded like values, and must differ afterwards.
    fn keys(&mut self, table: &mut DeTable<'_>) {
        let has_variable = |key: &Spanned<Cow<'_, str>>| key.get_ref().contains("${");
        let plain: HashSet<String> =
            table.keys().filter(|key| !has_variable(key)).map(|key| key.get_ref().to_string()).collect();
        for (key, value) in std::mem::take(table) {
            if !has_variable(&key) {
                table.insert(key, value);
                continue;
            }
            let (span, written) = (key.span(), key.into_inner());
            let name = self.key(&written, span.clone());
            if plain.contains(&*name) || table.contains_key(&*name) {
                // Naming the other key would reveal the value.
                let message = format!("the key `{written}` is the same as another one of its table");
                let help = "the keys of a table must differ after variables are replaced: rename one of them";
                self.diagnostics.push(Diagnostic::new(span, message).with_help(help));
            } else {
                table.insert(Spanned::new(span, name), value);
            }
        }
    }

    fn key<'k>(&mut self, written: &str, span: Range<usize>) -> Cow<'k, str> {
        let (name, spellings) = self.spelt(written, &span);
        self.path.push(name.clone());
        if spellings.iter().any(|piece| piece.is_secret) {
            self.expanded.secrets.add_key(&self.path, written, spellings);
        }
        self.path.pop();
        name.into()
    }

    fn inside(&mut self, name: String, value: &mut Spanned<DeValue<'_>>) {
        self.path.push(name);
        self.value(value);
        self.path.pop();
    }

    fn text(&mut self, text: &str, span: Range<usize>) -> String {
        let (result, spellings) = self.spelt(text, &span);
        if spellings.iter().any(|piece| piece.is_secret) {
            self.expanded.secrets.add(&self.path, text, &result, spellings);
        }
        if split(text).iter().any(|piece| matches!(piece, TextPiece::Variable { .. })) {
            self.expanded.untyped.push(Untyped { span, text: result.clone() });
        }
        result
    }

    /// Expands `text`, also piece by piece. A variable without a value is left as it is.
    fn spelt(&mut self, text: &str, span: &Range<usize>) -> (String, Vec<Spelling>) {
        let mut spellings = Vec::new();
        for piece in split(text) {
            match piece {
                TextPiece::Plain(plain) => spellings.push(spelling(plain, plain, Origin::File)),
                TextPiece::Variable { name, default } => {
                    let written = format!("${{{name}}}");
                    match self.lookup(name, default) {
                        Ok((value, origin)) => spellings.push(spelling(&value, &written, origin)),
                        Err((message, help)) => {
                            let place = self.place(span, &format!("${{{name}"));
                            self.diagnostics.push(Diagnostic::new(place, message).with_help(help));
                            spellings.push(spelling(&written, &written, Origin::File));
                        }
                    }
                }
                TextPiece::Unclosed => {
                    let place = self.place(span, "${");
                    let help = "write `$${` for the two characters themselves";
                    self.diagnostics.push(Diagnostic::new(place, "`${` without its `}`").with_help(help));
                }
            }
        }
        (spellings.iter().map(|piece| &*piece.value).collect(), spellings)
    }

    fn lookup(&self, name: &str, default: Option<&str>) -> Result<(String, Origin), (String, String)> {
        if !is_name(name) {
            let message = format!("`{name}` is not a variable name");
            return Err((message, "names are letters, digits and `_`, and do not begin with a digit".into()));
        }
        // As in a shell, a default also replaces an empty value.
        match ((self.lookup)(name), default) {
            (Some(value), None) => Ok((value, Origin::Environment)),
            (Some(value), Some(_)) if !value.is_empty() => Ok((value, Origin::Environment)),
            (_, Some(default)) => Ok((default.to_owned(), Origin::File)),
            (None, None) => Err((
                format!("the variable `{name}` is not set"),
                format!("set it, or give it a default: `${{{name}:-…}}`"),
            )),
        }
    }

    /// The position of `what` within `span`; all of `span` if it is written with escapes.
    fn place(&self, span: &Range<usize>, what: &str) -> Range<usize> {
        let at = self.written.get(span).and_then(|text| {
            let start = text.find(what)?;
            let end = text[start..].find('}').map_or(start + what.len(), |length| start + length + 1);
            Some(span.start + start..span.start + end)
        });
        at.unwrap_or_else(|| span.clone())
    }
}

/// A piece of text, `written` so, with this `value`; it is secret only if it came from the environment.
fn spelling(value: &str, written: &str, origin: Origin) -> Spelling {
    let is_secret = origin == Origin::Environment;
    Spelling {
        value: value.to_owned(),
        written: if is_secret { written } else { value }.to_owned(),
        is_secret,
    }
}

fn is_name(name: &str) -> bool {
    let is_first_fine = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    is_first_fine && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn split(text: &str) -> Vec<TextPiece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            pieces.push(TextPiece::Plain(&rest[..at - 1]));
            pieces.push(TextPiece::Plain("${"));
            rest = &rest[at + 2..];
            continue;
        }
        if at > 0 {
            pieces.push(TextPiece::Plain(&rest[..at]));
        }
        let Some((inside, after)) = rest[at + 2..].split_once('}') else {
            pieces.push(TextPiece::Unclosed);
            return pieces;
        };
        pieces.push(match inside.split_once(":-") {
            Some((name, default)) => TextPiece::Variable { name, default: Some(default) },
            None => TextPiece::Variable { name: inside, default: None },
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(TextPiece::Plain(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expanded tables of a file, or the mistakes and their positions.
    fn filled(toml: &str) -> Result<(DeTable<'_>, Expanded), Vec<String>> {
        let mut written = Written::default();
        written.push("p.toml", toml);
        let mut table = DeTable::parse(toml).expect("toml").into_inner();
        let mut diagnostics = Vec::new();
        let lookup = |name: &str| match name {
            "DIR" => Some("data".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let expanded = expand(&mut table, &written, &lookup, &mut diagnostics);
        let places = |d: &Diagnostic| format!("{}: {}", d.message, &toml[d.span.clone()]);
        match diagnostics.is_empty() {
            true => Ok((table, expanded)),
            false => Err(diagnostics.iter().map(places).collect()),
        }
    }

    fn expanded(text: &str) -> Result<String, Vec<String>> {
        let toml = format!("a = '{text}'");
        filled(&toml).map(|(table, _)| table["a"].get_ref().as_str().expect("text").to_owned())
    }

    #[test]
    fn keys_are_filled_in_as_values_are_and_stay_in_their_order() {
        let toml = "z = 1\n'${DIR}-x' = { 'in ${NONE:-it}' = '${DIR}' }\n'$${DIR}' = 2\ny = 3";
        let (table, Expanded { secrets, .. }) = filled(toml).expect("filled in");
        let names: Vec<_> = table.keys().map(|key| &**key.get_ref()).collect();
        assert_eq!(names, ["z", "data-x", "${DIR}", "y"]);
        let inner = table["data-x"].get_ref().as_table().expect("a table");
        assert_eq!(inner["in it"].get_ref().as_str(), Some("data"));
        let options = serde_json::json!({ "z": 1, "data-x": { "in it": "data" }, "${DIR}": 2, "data": 3 });
        let masked = secrets.masked(&[], options, None).to_string();
        assert_eq!(masked, r#"{"z":1,"${DIR}-x":{"in it":"${DIR}"},"${DIR}":2,"data":3}"#);
    }

    #[test]
    fn keys_that_come_to_one_are_pointed_at_and_not_told_which() {
        let wrong =
            |key: &str| vec![format!("the key `{key}` is the same as another one of its table: '{key}'")];
        assert_eq!(filled("data-x = 1\n'${DIR}-x' = 2").err(), Some(wrong("${DIR}-x")));
        assert_eq!(filled("'${DIR}-x' = 2\ndata-x = 1").err(), Some(wrong("${DIR}-x")));
        assert_eq!(filled("a.'${DIR}' = 2\na.'${EMPTY}${DIR}' = 1").err(), Some(wrong("${EMPTY}${DIR}")));
        let no = ["the variable `NO` is not set: ${NO}", "the variable `NO` is not set: ${NO}"];
        assert_eq!(filled("'a${NO}' = 1\n'${NO}' = 2").err(), Some(no.map(str::to_owned).to_vec()));
    }

    #[test]
    fn variables_defaults_and_escapes() {
        assert_eq!(expanded("${DIR}/x").as_deref(), Ok("data/x"));
        assert_eq!(expanded("${NONE:-d/e}/x${EMPTY:-f}${EMPTY}").as_deref(), Ok("d/e/xf"));
        assert_eq!(expanded("$${DIR} $5 $").as_deref(), Ok("${DIR} $5 $"));
    }

    #[test]
    fn what_cannot_be_put_in_is_pointed_at() {
        assert_eq!(
            expanded("${DIR}/${NO}/${ME}"),
            Err(vec![
                "the variable `NO` is not set: ${NO}".to_owned(),
                "the variable `ME` is not set: ${ME}".to_owned()
            ])
        );
        assert_eq!(expanded("x${DIR"), Err(vec!["`${` without its `}`: ${".to_owned()]));
        assert_eq!(expanded("${1 2}"), Err(vec!["`1 2` is not a variable name: ${1 2}".to_owned()]));
    }
}
