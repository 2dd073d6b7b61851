//! Masks secret values: messages and reports show the variable's name instead of its value.

use std::borrow::Cow;

use serde_json::Value;

use super::forms::{SHORTEST, forms};
use super::hidden::hide_secrets;
use super::pieces::PieceMasks;

/// A number with at least this many characters is matched as a word everywhere: a count is unlikely to be equal.
const LONG_NUMBER: usize = 6;

/// Values and their replacements.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    /// The forms of each value in text, with its replacement; the longest first.
    anywhere: Vec<(String, String)>,
    words: Vec<Word>,
    /// The forms of each value, also of those within its option's whole text, with its replacement.
    values: Vec<(String, String)>,
}

/// A part of an option's text: its value, and its form in the pipeline file.
#[derive(Clone, Debug)]
pub struct Spelling {
    /// The value after substitution.
    pub value: String,
    /// The form in the pipeline file.
    pub written: String,
    /// Whether the value is secret; otherwise value and form are equal.
    pub is_secret: bool,
}

/// A value that is masked only as a word: within its option's text, or by itself.
#[derive(Clone, Debug, PartialEq)]
struct Word {
    form: String,
    instead: String,
    is_number: bool,
    /// Whether it is masked only in values of the pipeline, and in text that quotes them.
    only_quoted: bool,
    /// Whether a template or a wildcard precedes and follows it, so that any text may be next to it.
    is_open: [bool; 2],
}

/// The kind of a text, which decides where it contains values of the pipeline.
#[derive(Clone, Copy, PartialEq)]
enum Text {
    /// A message, with quoted values of the pipeline and unrelated numbers.
    Message,
    /// A value of the pipeline, or a text derived from one.
    Value,
    /// A rendered pipeline, whose values are masked individually: short texts elsewhere are literal.
    Page,
}

impl Masks {
    /// Adds the values in an option's text. Values of variables, with the text around them, are replaced by their form in the pipeline
    /// file.
    pub fn add(&mut self, pieces: &[Spelling]) {
        for piece in pieces.iter().filter(|piece| piece.is_secret) {
            self.add_alone(piece);
            self.values.extend(forms(&piece.value).into_iter().map(|form| (form, piece.written.clone())));
        }
        let whole =
            |text: fn(&Spelling) -> &String| pieces.iter().map(|piece| &**text(piece)).collect::<String>();
        self.values.push((whole(|piece| &piece.value), whole(|piece| &piece.written)));
        segments(pieces).for_each(|(segment, is_open)| self.add_word(&segment, is_open));
        self.add_word(pieces, [false; 2]);
        self.anywhere.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        self.words.sort_by_key(|word| std::cmp::Reverse(word.form.len()));
    }

    fn add_alone(&mut self, piece: &Spelling) {
        let Spelling { value, written, .. } = piece;
        if value.chars().count() < SHORTEST || value.parse::<f64>().is_ok() {
            return self.add_word(std::slice::from_ref(piece), [false; 2]);
        }
        for form in forms(value) {
            if !form.trim().is_empty() && self.anywhere.iter().all(|(known, _)| *known != form) {
                self.anywhere.push((form, written.clone()));
            }
        }
    }

    fn add_word(&mut self, pieces: &[Spelling], is_open: [bool; 2]) {
        let value: String = pieces.iter().map(|piece| &*piece.value).collect();
        let instead: String = pieces.iter().map(|piece| &*piece.written).collect();
        if value.trim().is_empty() {
            return;
        }
        let is_number = value.parse::<f64>().is_ok();
        for form in forms(&value) {
            let length = form.chars().count();
            let only_quoted = length < SHORTEST || is_number && length < LONG_NUMBER;
            let word = Word { form, instead: instead.clone(), is_number, only_quoted, is_open };
            let is_known = |known: &Word| known.form == word.form && known.is_open == word.is_open;
            if !self.words.iter().any(is_known) {
                self.words.push(word);
            }
        }
    }

    /// The text of a message with all values masked.
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hide_in(text, Text::Message)
    }

    /// The same for a message about the options with these values: parts of a value are masked too. `names` of options are not.
    pub fn hide_pieces<'t>(&self, text: &'t str, names: &[&str]) -> Cow<'t, str> {
        match self.hide(text) {
            Cow::Borrowed(text) => PieceMasks { values: &self.values, names }.hide(text),
            Cow::Owned(text) => {
                Cow::Owned(PieceMasks { values: &self.values, names }.hide(&text).into_owned())
            }
        }
    }

    /// The same for a value of the pipeline, or a name derived from one.
    pub fn hide_value<'t>(&self, value: &'t str) -> Cow<'t, str> {
        self.hide_in(value, Text::Value)
    }

    /// The same for all text in the options of a component.
    pub fn hide_values(&self, options: &mut Value) {
        each_text(options, &|text| self.hide_value(text).into_owned());
    }

    /// The same for a rendered pipeline, whose values were masked individually by [`Masks::hide_value`].
    pub fn hide_long<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hide_in(text, Text::Page)
    }

    fn hide_in<'t>(&self, text: &'t str, what: Text) -> Cow<'t, str> {
        let mut text = hide_secrets(text);
        for (form, instead) in &self.anywhere {
            if text.contains(form) {
                text = Cow::Owned(text.replace(form, instead));
            }
        }
        for word in self.words.iter().filter(|word| what != Text::Page || !word.only_quoted) {
            let found = |(at, _): (usize, &str)| word.stands(&text, at, what).then_some(at);
            let places: Vec<usize> = text.match_indices(&word.form).filter_map(found).collect();
            for at in places.into_iter().rev() {
                text.to_mut().replace_range(at..at + word.form.len(), &word.instead);
            }
        }
        text
    }
}

impl Word {
    /// Whether the word occurs at byte `at` of `text`, not as part of another word.
    fn stands(&self, text: &str, at: usize, what: Text) -> bool {
        let (before, after) = (&text[..at], &text[at + self.form.len()..]);
        let is_value = what == Text::Value || is_quoted(before);
        let is_shown = !self.only_quoted || is_value || is_in_path(before, after);
        let [open_before, open_after] = self.is_open.map(|is_open| is_open && is_value);
        let is_apart_before = open_before || !self.continues(before.chars().rev(), is_value);
        // Templates append suffixes such as `_avg`.
        let is_stem = what == Text::Value && after.starts_with('_');
        let is_apart_after = open_after || is_stem || !self.continues(after.chars(), is_value);
        // Replacements are not matched again.
        let is_name = before.rfind("${").is_some_and(|start| !before[start..].contains('}'));
        is_shown && is_apart_before && is_apart_after && !is_name
    }

    /// Whether the characters next to a word continue it; numbers may be joined: 1.5, 12:30, 2026-01. In a value of the pipeline, longer
    /// values are also matched within derived names.
    fn continues(&self, mut beside: impl Iterator<Item = char>, is_value: bool) -> bool {
        match beside.next() {
            Some('.' | ',' | ':' | '-' | '+') if self.is_number => {
                beside.next().is_some_and(|letter| letter.is_ascii_digit())
            }
            Some(letter) if is_value && self.form.chars().count() >= SHORTEST => {
                self.is_number && letter.is_ascii_digit()
            }
            next => next.is_some_and(is_word_letter),
        }
    }
}

fn is_word_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Applies `change` to all text in a JSON value.
pub fn each_text(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(list) => list.iter_mut().for_each(|element| each_text(element, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| each_text(field, change)),
        _ => {}
    }
}

/// Whether the text after `before` is inside quotes that are opened and closed on the same line.
fn is_quoted(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    ['`', '"'].iter().any(|quote| line.matches(*quote).count() % 2 == 1)
}

/// Whether the text in between is a file or folder name in a path, not part of a fraction.
fn is_in_path(before: &str, after: &str) -> bool {
    let ends = |letter: char| letter == '/' || letter.is_whitespace();
    let is_folder = |name: &str| name.chars().any(|letter| !letter.is_ascii_digit());
    let is_behind = |before: &str| {
        before.is_empty() || before.ends_with('/') || before.rsplit(ends).next().is_some_and(is_folder)
    };
    before.strip_suffix('/').is_some_and(is_behind)
        || after.strip_prefix('/').is_some_and(|after| after.split(ends).next().is_some_and(is_folder))
}

/// The segments of an option's text that contain a value, between characters that end a word, and whether a template or wildcard is next to
/// them.
fn segments(pieces: &[Spelling]) -> impl Iterator<Item = (Vec<Spelling>, [bool; 2])> {
    let plain = |text: &str| Spelling { value: text.to_owned(), written: text.to_owned(), is_secret: false };
    let (mut segments, mut segment) = (Vec::new(), Vec::new());
    let mut before = None;
    for piece in pieces {
        if piece.is_secret {
            segment.push(piece.clone());
            continue;
        }
        let mut rest = &*piece.value;
        while let Some((at, end)) = rest.char_indices().find(|(_, letter)| !is_word_letter(*letter)) {
            segment.push(plain(&rest[..at]));
            segments.push((std::mem::take(&mut segment), [before, Some(end)]));
            (before, rest) = (Some(end), &rest[at + end.len_utf8()..]);
        }
        segment.push(plain(rest));
    }
    segments.push((segment, [before, None]));
    let is_open = |beside: [Option<char>; 2]| {
        let [before, after] = beside;
        [before.is_some_and(|end| "*?]}".contains(end)), after.is_some_and(|end| "*?[{".contains(end))]
    };
    segments
        .into_iter()
        .filter(|(segment, _)| segment.iter().any(|piece| piece.is_secret))
        .map(move |(segment, beside)| (segment, is_open(beside)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{visible, visible_lines};

    /// The parts of `written`, whose variables have these values.
    fn pieces(written: &str, variables: &[(&str, &str)]) -> Vec<Spelling> {
        let plain = |text: &str| Spelling { value: text.into(), written: text.into(), is_secret: false };
        let mut pieces = Vec::new();
        for piece in written.split_inclusive('}') {
            let (before, name) = piece.split_once("${").unwrap_or((piece, ""));
            pieces.push(plain(before));
            if let Some((name, value)) = variables.iter().find(|(of, _)| name.trim_end_matches('}') == *of) {
                let written = format!("${{{name}}}");
                pieces.push(Spelling { value: (*value).into(), written, is_secret: true });
            }
        }
        pieces
    }

    fn masks(options: &[&str], variables: &[(&str, &str)]) -> Masks {
        let mut masks = Masks::default();
        options.iter().for_each(|written| masks.add(&pieces(written, variables)));
        masks
    }

    #[test]
    fn what_is_short_or_a_number_is_hidden_as_a_word() {
        let variables =
            [("DEC", "abc"), ("PIN", "73519462"), ("MAX", "1000"), ("ONE", "1"), ("SEP", ";"), ("NO", " ")];
        let masks = masks(&["${DEC}", "${PIN}", "${MAX}", "${ONE}", "${SEP}", "${NO}"], &variables);
        for (text, hidden) in [
            ("found text \"abc\"", "found text \"${DEC}\""),
            ("the command `x abc` failed", "the command `x ${DEC}` failed"),
            ("abc is no word of the pipeline", "abc is no word of the pipeline"),
            ("`abcd` and `a_abc`", "`abcd` and `a_abc`"),
            ("data/73519462/in.csv: 73519462.", "data/${PIN}/in.csv: ${PIN}."),
            ("173519462 and 7351946.25 and 0.73519462", "173519462 and 7351946.25 and 0.73519462"),
            ("1000 records, at most `1000`", "1000 records, at most `${MAX}`"),
            ("`2026-01-1` of 1, `1.5`, `1`", "`2026-01-1` of 1, `1.5`, `${ONE}`"),
            ("an odd `\n1 record, 1/2 of all, data/1000", "an odd `\n1 record, 1/2 of all, data/${MAX}"),
            ("it was looked for at /data/t8/abc", "it was looked for at /data/t8/${DEC}"),
            ("`;` stands", "`${SEP}` stands"),
            ("a ; and ` `", "a ; and ` `"),
        ] {
            assert_eq!(masks.hide(text), hidden);
        }
        assert_eq!(masks.hide_long("max = \"1000\", 73519462"), "max = \"1000\", ${PIN}");
        assert_eq!(masks.hide_value("1000 of 1"), "${MAX} of ${ONE}");
    }

    #[test]
    fn what_stands_beside_a_value_in_its_option_stands_beside_it_in_text() {
        let variables = [("PIN", "12345"), ("ONE", "1"), ("AB", "ab")];
        let options = [
            "o-${PIN}.csv",
            "line${PIN}",
            "{column}_${ONE}",
            "data/*${PIN}?/x",
            "${AB}${ONE}",
            "n ${ONE} of",
        ];
        let masks = masks(&options, &variables);
        for (text, hidden) in [
            ("delivery: o-12345.csv appears", "delivery: o-${PIN}.csv appears"),
            ("columns: line12345 (f64)", "columns: line${PIN} (f64)"),
            ("alert ab1: 5 raised", "alert ab1: 5 raised"),
            ("alert `ab1`: 5 raised", "alert `${AB}${ONE}`: 5 raised"),
            ("12345 records, line 12345, o-123456.csv", "12345 records, line 12345, o-123456.csv"),
            ("data/a123451/x", "data/a123451/x"),
            ("`data/a123456/x`", "`data/a${PIN}6/x`"),
            ("outline12345s", "outline12345s"),
            ("`line12345_avg` and `x12345`", "`line${PIN}_avg` and `x${PIN}`"),
        ] {
            assert_eq!(masks.hide(text), hidden);
        }
        assert_eq!(masks.hide_value("value_1"), "value_${ONE}");
        assert_eq!(masks.hide_value("value_12"), "value_12");
        assert_eq!(
            masks.hide_value("line12345_avg_1, ab1_avg, p_12345"),
            "line${PIN}_avg_${ONE}, ${AB}${ONE}_avg, p_${PIN}"
        );
        assert_eq!(
            masks.hide_long("lasts 12345 records of o-12345.csv"),
            "lasts 12345 records of o-${PIN}.csv"
        );
    }

    #[test]
    fn a_number_is_hidden_as_it_is_said_too() {
        let masks = masks(&["${A}", "${B}"], &[("A", "012.50"), ("B", "7e2")]);
        assert_eq!(masks.hide_value("12.5, 012.50, 700, 700.0 and 7"), "${A}, ${A}, ${B}, ${B} and 7");
    }

    #[test]
    fn a_value_of_several_lines_is_hidden_however_it_is_shown() {
        let value = "ab\n\u{1b}cd";
        let masks = masks(&["x${A}"], &[("A", value)]);
        for text in [
            value.to_owned(),
            visible(value).into_owned(),
            visible_lines(value).into_owned(),
            format!("{value:?}"),
        ] {
            assert!(!masks.hide(&text).contains("cd"), "{text:?}");
        }
    }
}
