//! Values that are not said: whatever is written for people has the name of the variable in their place.

use std::borrow::Cow;

use serde_json::Value;

use super::visible;

/// Shorter values, and numbers, stand in text for other reasons too: they are looked for as words, where a value of the pipeline is quoted.
const SHORTEST: usize = 4;

/// A number of so many characters is looked for as a word everywhere: no count of anything is likely to be the same.
const LONG_NUMBER: usize = 6;

/// Values, and what stands for them.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    /// A value as it may be written, and what is written instead; the longest first.
    anywhere: Vec<(String, String)>,
    words: Vec<Word>,
}

/// A value that is masked as a word only.
#[derive(Clone, Debug)]
struct Word {
    form: String,
    instead: String,
    is_number: bool,
    /// Whether that holds for quoted text only.
    only_quoted: bool,
}

impl Masks {
    /// Puts `${name}` in place of `value`.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if value.trim().is_empty() {
            return;
        }
        let (instead, length) = (format!("${{{name}}}"), value.chars().count());
        let is_number = value.parse::<f64>().is_ok();
        for form in forms(value) {
            let is_known = self.anywhere.iter().map(|(form, _)| form);
            if is_known.chain(self.words.iter().map(|word| &word.form)).any(|known| *known == form) {
                continue;
            }
            let instead = instead.clone();
            match length >= SHORTEST && !is_number {
                true => self.anywhere.push((form, instead)),
                false => {
                    let only_quoted = !is_number || length < LONG_NUMBER;
                    self.words.push(Word { form, instead, is_number, only_quoted });
                }
            }
        }
        self.anywhere.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        self.words.sort_by_key(|word| std::cmp::Reverse(word.form.len()));
    }

    /// The same text without the values, for messages.
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hide_words(self.hide_anywhere(text), |_| true)
    }

    /// The same for a value of the pipeline, which a message will not quote.
    pub(crate) fn hide_value(&self, value: &str) -> String {
        self.hide(&format!("`{value}`")).trim_matches('`').to_owned()
    }

    /// The same, for text that shows a pipeline: there, what is short stands for itself.
    pub(crate) fn hide_long<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hide_words(self.hide_anywhere(text), |word| !word.only_quoted)
    }

    fn hide_anywhere<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for (form, instead) in &self.anywhere {
            if text.contains(form) {
                text = Cow::Owned(text.replace(form, instead));
            }
        }
        text
    }

    fn hide_words<'t>(&self, mut text: Cow<'t, str>, is_meant: impl Fn(&Word) -> bool) -> Cow<'t, str> {
        for word in self.words.iter().filter(|word| is_meant(word)) {
            let found = |(at, _): (usize, &str)| word.stands(&text, at).then_some(at);
            let places: Vec<usize> = text.match_indices(&word.form).filter_map(found).collect();
            for at in places.into_iter().rev() {
                text.to_mut().replace_range(at..at + word.form.len(), &word.instead);
            }
        }
        text
    }
}

impl Word {
    /// Whether what is at byte `at` of `text` is the word, and no part of another one.
    fn stands(&self, text: &str, at: usize) -> bool {
        let (before, after) = (&text[..at], &text[at + self.form.len()..]);
        let is_quoted = ['`', '"'].iter().any(|quote| before.matches(*quote).count() % 2 == 1);
        let is_apart = !self.goes_on(before.chars().rev()) && !self.goes_on(after.chars());
        (is_quoted || !self.only_quoted) && is_apart
    }

    /// Whether the characters beside a word, from there on, belong to it; those of a number may be joined: 1.5, 12:30, 2026-01.
    fn goes_on(&self, mut beside: impl Iterator<Item = char>) -> bool {
        match beside.next() {
            Some('.' | ',' | ':' | '-' | '+') if self.is_number => {
                beside.next().is_some_and(|letter| letter.is_ascii_digit())
            }
            next => next.is_some_and(|letter| letter.is_alphanumeric() || letter == '_'),
        }
    }
}

/// A value as it may be written in messages, JSON and TOML.
fn forms(value: &str) -> Vec<String> {
    let inside = |text: String| text.trim_matches(['"', '\'']).to_owned();
    let mut forms = vec![
        value.to_owned(),
        visible(value).into_owned(),
        value.escape_debug().to_string(),
        inside(Value::from(value).to_string()),
        inside(toml::Value::from(value).to_string()),
    ];
    let shortest = SHORTEST.min(value.chars().count());
    forms.retain(|form| form.chars().count() >= shortest);
    forms.sort_unstable();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_or_a_number_is_hidden_as_a_word() {
        let mut masks = Masks::default();
        for (name, value) in
            [("DEC", "abc"), ("PIN", "73519462"), ("MAX", "1000"), ("ONE", "1"), ("SEP", ";"), ("NO", " ")]
        {
            masks.add(name, value);
        }
        for (text, hidden) in [
            ("found text \"abc\"", "found text \"${DEC}\""),
            ("the command `x abc` failed", "the command `x ${DEC}` failed"),
            ("abc is no word of the pipeline", "abc is no word of the pipeline"),
            ("`abcd` and `a_abc`", "`abcd` and `a_abc`"),
            ("data/73519462/in.csv: 73519462.", "data/${PIN}/in.csv: ${PIN}."),
            ("173519462 and 7351946.25 and 0.73519462", "173519462 and 7351946.25 and 0.73519462"),
            ("1000 records, at most `1000`", "1000 records, at most `${MAX}`"),
            ("`2026-01-1` of 1, `1.5`, `1`", "`2026-01-1` of 1, `1.5`, `${ONE}`"),
            ("`;` stands", "`${SEP}` stands"),
            ("a ; and ` `", "a ; and ` `"),
        ] {
            assert_eq!(masks.hide(text), hidden);
        }
        assert_eq!(masks.hide_long("max = \"1000\", 73519462"), "max = \"1000\", ${PIN}");
    }
}
