//! Secrets in use: all text for people has the reference in place of the value. This is the second line of defence; the first is that a secret prints as its
//! reference.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use zeroize::Zeroizing;

use super::Error;
use super::forms::{SHORTEST, forms};

/// A line of a longer secret, such as a key in PEM, that is looked for by itself.
const SHORTEST_LINE: usize = 8;

/// The values of all secrets in use. Weak, so that the last owner of a value wipes it.
static IN_USE: RwLock<Vec<Weak<Value>>> = RwLock::new(Vec::new());

/// A value that is masked in all text for people as long as this or a clone of it lives. The last one wipes it from memory.
#[derive(Clone)]
pub struct Hidden(Arc<Value>);

struct Value {
    text: Zeroizing<String>,
    /// As it may be written; the longest first.
    forms: Vec<Zeroizing<String>>,
    /// What is written instead.
    written: String,
}

impl Hidden {
    /// Hides `value` from now on: `written` stands in its place.
    pub fn new(value: String, written: String) -> Self {
        let text = Zeroizing::new(value);
        let lines = text.lines().filter(|line| line.len() >= SHORTEST_LINE);
        let mut forms: Vec<_> =
            lines.chain([text.as_str()]).flat_map(forms).chain([percent_encoded(&text)]).collect();
        forms.retain(|form| !form.trim().is_empty());
        forms.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        let forms = forms.into_iter().map(Zeroizing::new).collect();
        let value = Arc::new(Value { text, forms, written });
        let mut all = IN_USE.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|value| value.strong_count() > 0);
        all.push(Arc::downgrade(&value));
        Self(value)
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.0.text
    }

    /// The same text, of the same length, with stars in place of the value.
    pub fn blank(&self, text: &str) -> String {
        let stars = |text, form: &Zeroizing<String>| replaced(text, form, &"*".repeat(form.len()));
        self.0.forms.iter().fold(Cow::Borrowed(text), stars).into_owned()
    }
}

/// The same text without the value of any secret that is in use.
pub fn hide_secrets(text: &str) -> Cow<'_, str> {
    let all: Vec<_> = {
        let all = IN_USE.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    };
    let mut forms: Vec<_> = all
        .iter()
        .flat_map(|value| value.forms.iter().map(|form| (form.as_str(), &*value.written)))
        .collect();
    // A secret may be a part of another one.
    forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
    forms.into_iter().fold(Cow::Borrowed(text), |text, (form, written)| replaced(text, form, written))
}

/// The same error, without the value of any secret that is in use.
pub fn without_secrets(error: Error) -> Error {
    let hide = |text: &str| hide_secrets(text).into_owned();
    error.map_text(hide).map_file(hide)
}

/// `text` with `written` in place of `form`; of one that is short, where it stands as a word.
fn replaced<'t>(text: Cow<'t, str>, form: &str, written: &str) -> Cow<'t, str> {
    let is_short = form.chars().count() < SHORTEST;
    let is_word_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    let is_word = |at: usize| {
        !text[..at].ends_with(is_word_letter) && !text[at + form.len()..].starts_with(is_word_letter)
    };
    let places = text.match_indices(form).map(|(at, _)| at).filter(|&at| !is_short || is_word(at));
    let places: Vec<_> = places.collect();
    if places.is_empty() {
        return text;
    }
    let (mut hidden, mut end) = (String::with_capacity(text.len()), 0);
    for at in places {
        hidden += &text[end..at];
        hidden += written;
        end = at + form.len();
    }
    hidden += &text[end..];
    Cow::Owned(hidden)
}

/// As it stands in an address.
fn percent_encoded(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_hidden_as_long_as_somebody_holds_it() {
        let secret = Hidden::new("n0-Such \"Pass\"/wörd".into(), "{ env = \"A\" }".into());
        let shown = [
            secret.value().to_owned(),
            format!("{:?}", secret.value()),
            serde_json::Value::from(secret.value()).to_string(),
            "x n0-Such%20%22Pass%22%2Fw%C3%B6rd@host".to_owned(),
        ];
        for text in &shown {
            let hidden = hide_secrets(text);
            assert!(hidden.contains("{ env = \"A\" }") && !hidden.contains("n0-Such"), "{text}: {hidden}");
        }
        let copy = secret.clone();
        drop(secret);
        assert!(!hide_secrets(&shown[0]).contains("n0-Such"));
        drop(copy);
        assert_eq!(hide_secrets(&shown[0]), shown[0]);
    }

    #[test]
    fn what_is_short_is_a_word_and_a_part_of_another_one_tells_nothing_of_that() {
        let _short = Hidden::new("q9w".into(), "<short>".into());
        let _one = Hidden::new("k7-Part".into(), "<one>".into());
        let _other = Hidden::new("k7-Part-of-it".into(), "<other>".into());
        assert_eq!(hide_secrets("q9w, q9w_x, xq9w `q9w`"), "<short>, q9w_x, xq9w `<short>`");
        assert_eq!(hide_secrets("k7-Part-of-it and k7-Part"), "<other> and <one>");
    }

    #[test]
    fn a_line_of_a_key_is_hidden_by_itself() {
        let _key = Hidden::new("-----BEGIN-----\nMIIEvQIBADANBgkq\n-----END-----\n".into(), "<key>".into());
        assert_eq!(hide_secrets("no key in MIIEvQIBADANBgkq"), "no key in <key>");
    }
}
