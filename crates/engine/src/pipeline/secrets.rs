//! Values from the environment (`${NAME}`): used, but neither shown nor stored. A name does not tell whether its value is a password, so all are treated as
//! secrets.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Masks, PartIndex, Spelling, each_text, without_secrets};
use crate::secret::FoundSecrets;

/// What fingerprints of values depend on: they can be compared under one key, and tell nothing without it.
pub(crate) type Key = [u8; 32];

/// The values that a pipeline was given by the environment.
#[derive(Clone, Default)]
pub struct Secrets {
    places: Vec<Place>,
    masks: Arc<Masks>,
    /// Those of options that hold a secret: they are hidden for as long as the pipeline is there.
    pub(super) found: Arc<FoundSecrets>,
}

/// An option with a value from the environment, or the key of one.
#[derive(Clone)]
struct Place {
    /// Table, option and what is inside, such as `sink`, `0`, `path`; of a key, with what it came to.
    path: Vec<String>,
    is_key: bool,
    /// As it stands in the file.
    written: String,
    /// What that came to.
    value: String,
    /// Both, piece by piece.
    pieces: Vec<Spelling>,
}

/// A new random key.
pub(crate) fn new_key() -> Key {
    let mut key = Key::default();
    for part in key.chunks_exact_mut(8) {
        // Seeded by the system, and new each time.
        part.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
    }
    key
}

impl Secrets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.found.hidden.is_empty()
    }

    /// What is worth knowing about the options that hold a secret.
    pub fn remarks(&self) -> &[String] {
        &self.found.remarks
    }

    /// All text with values: what it came to, and how it is written.
    pub(super) fn values(&self) -> Vec<(String, String)> {
        let texts = self.places.iter().filter(|place| !place.is_key);
        texts.map(|place| (place.value.clone(), place.written.clone())).collect()
    }

    /// The option at `path`, which is `written` so and came to `value`, in these pieces.
    pub(super) fn add(&mut self, path: &[String], written: &str, value: &str, pieces: Vec<Spelling>) {
        self.add_place(Place {
            path: path.to_vec(),
            is_key: false,
            written: written.to_owned(),
            value: value.to_owned(),
            pieces,
        });
    }

    /// The key at the end of `path`, which is `written` so and came to that, in these pieces.
    pub(super) fn add_key(&mut self, path: &[String], written: &str, pieces: Vec<Spelling>) {
        self.add_place(Place {
            path: path.to_vec(),
            is_key: true,
            written: written.to_owned(),
            value: path.last().cloned().unwrap_or_default(),
            pieces,
        });
    }

    fn add_place(&mut self, mut place: Place) {
        // Of one source, which is no list.
        if let [table, rest @ ..] = &place.path[..]
            && table == "source"
            && rest.first().is_none_or(|name| name.parse::<usize>().is_err())
        {
            place.path.insert(1, "0".into());
        }
        Arc::make_mut(&mut self.masks).add(&place.pieces);
        self.places.push(place);
    }

    /// The options of the part at `path`.
    fn places_of<'a>(&'a self, path: &'a [&str]) -> impl Iterator<Item = &'a Place> {
        let is_of = move |place: &&Place| {
            place.path.iter().zip(path).filter(|(name, of)| name == of).count() == path.len()
        };
        self.places.iter().filter(is_of)
    }

    /// What is said in place of the values in the options of the part at `path`.
    pub fn masks_of(&self, path: &[&str]) -> Masks {
        let mut masks = Masks::default();
        self.places_of(path).for_each(|place| masks.add(&place.pieces));
        masks
    }

    /// What is said in place of the values.
    pub fn masks(&self) -> &Arc<Masks> {
        &self.masks
    }

    /// The same text, with `${NAME}` in place of every value.
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.masks.hide(text)
    }

    /// The same for all text in a JSON value, where what is short stands for itself.
    pub fn hide_in(&self, value: &mut Value) {
        each_text(value, &|text| self.masks.hide_long(text).into_owned());
    }

    /// The same for what is said of a part, or of one of its options: no piece of a value that it was given is said either.
    pub(super) fn hide_about(&self, text: &str, part: PartIndex, option: Option<&str>) -> String {
        let (kind, at) = match part {
            PartIndex::Source(at) => ("source", at.to_string()),
            PartIndex::Stage(at) => ("stage", at.to_string()),
            PartIndex::Sink(at) => ("sink", at.to_string()),
        };
        let path: Vec<_> = [kind, &at].into_iter().chain(option).collect();
        let before = path.len() - usize::from(option.is_some());
        // Those of options and of variables are no piece of a value.
        let names = self.places_of(&path).flat_map(|place| {
            place.path.get(before).map(String::as_str).into_iter().chain(variables(&place.written))
        });
        let names: Vec<_> = names.collect();
        self.masks_of(&path).hide_pieces(&self.hide(text), &names).into_owned()
    }

    /// The same for all text of an error about `option` of its part, if it is known, and for the file that it is about.
    pub(super) fn hide_error(&self, error: Error, option: Option<&str>) -> Error {
        if self.is_empty() {
            return without_secrets(error);
        }
        let part = error.part();
        let error = error.map_text(|text| match part {
            Some(part) => self.hide_about(text, part, option),
            None => self.hide(text).into_owned(),
        });
        error.map_file(|file| self.masks.hide_value(file).into_owned())
    }

    /// The `options` of the part at `path`, as they are written; with a `key`, each with a fingerprint of its value beside it.
    pub(super) fn masked(&self, path: &[&str], mut options: Value, key: Option<&Key>) -> Value {
        let mut places: Vec<_> = self.places_of(path).collect();
        // Values are found by the names that their keys came to: these are written last, and the inmost first.
        places.sort_by_key(|place| (place.is_key, std::cmp::Reverse(place.path.len())));
        let mut elsewhere = Vec::new();
        for Place { path: of, is_key, written, value, .. } in places {
            let inside = &of[path.len()..];
            let shown = match key {
                None => written.clone(),
                Some(key) => format!("{written} (a value with the fingerprint {})", fingerprint(key, value)),
            };
            let is_there = match is_key {
                true => rename(&mut options, inside, &shown) || rename_anywhere(&mut options, value, &shown),
                false => replace(&mut options, inside, written, &shown),
            };
            if !is_there {
                elsewhere.push((self.masks.hide_value(&inside.join(".")).into_owned(), shown));
            }
        }
        // What a part keeps under another name.
        if let (Value::Object(fields), Some(_)) = (&mut options, key) {
            fields.extend(elsewhere.into_iter().map(|(name, shown)| (name, shown.into())));
        }
        self.masks_of(path).hide_values(&mut options);
        self.hide_in(&mut options);
        options
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.places.iter().map(|place| &place.written)).finish()
    }
}

/// The names of the variables in a text as it is written.
fn variables(written: &str) -> impl Iterator<Item = &str> {
    written.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next())
}

/// Puts `shown` in the place `inside` the options; whether it is there. What is shown as it is `written` already holds a secret, which may change.
fn replace(options: &mut Value, inside: &[String], written: &str, shown: &str) -> bool {
    let place = inside.iter().try_fold(options, |value, name| step(value, name));
    place.is_some_and(|option| {
        if option.as_str() != Some(written) {
            *option = shown.into();
        }
        true
    })
}

/// The same for the key there.
fn rename(options: &mut Value, inside: &[String], shown: &str) -> bool {
    let Some((name, table)) = inside.split_last() else { return false };
    let table = table.iter().try_fold(options, |value, name| step(value, name));
    table.is_some_and(|table| rename_in(table, name, shown))
}

/// The same for all keys of that name, where a part keeps its tables otherwise.
fn rename_anywhere(options: &mut Value, name: &str, shown: &str) -> bool {
    let is_here = rename_in(options, name, shown);
    let inside = |value| rename_anywhere(value, name, shown);
    // All of them, not only the first.
    let inside: Vec<bool> = match options {
        Value::Object(fields) => fields.values_mut().map(inside).collect(),
        Value::Array(list) => list.iter_mut().map(inside).collect(),
        _ => Vec::new(),
    };
    is_here || inside.contains(&true)
}

fn rename_in(table: &mut Value, name: &str, shown: &str) -> bool {
    let Value::Object(fields) = table else { return false };
    if !fields.contains_key(name) {
        return false;
    }
    let named = |(key, value)| (if key == name { shown.to_owned() } else { key }, value);
    *fields = std::mem::take(fields).into_iter().map(named).collect();
    true
}

fn step<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(fields) => fields.get_mut(name),
        Value::Array(list) => list.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// 32 bits that say whether a value is another, and not what it is: it cannot be told from a four-billionth of all values.
fn fingerprint(key: &Key, value: &str) -> String {
    blake3::keyed_hash(key, value.as_bytes()).to_hex()[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::visible;
    use serde_json::json;

    fn piece(value: &str, written: &str) -> Spelling {
        Spelling { value: value.into(), written: written.into(), is_secret: value != written }
    }

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        let path = ["sink", "0", "name"].map(str::to_owned);
        let token = vec![piece("to ", "to "), piece("s3cr\"et\n", "${TOKEN}")];
        secrets.add(&path, "to ${TOKEN}", "to s3cr\"et\n", token);
        let path = ["stage", "0", "max"].map(str::to_owned);
        secrets.add(&path, "${MAX}", "1000", vec![piece("1000", "${MAX}")]);
        secrets
    }

    #[test]
    fn a_value_is_hidden_however_it_is_written() {
        let secrets = secrets();
        let value = "s3cr\"et\n";
        for text in
            [value.to_owned(), format!("{value:?}"), json!([value]).to_string(), visible(value).into_owned()]
        {
            let hidden = secrets.hide(&text);
            assert!(hidden.contains("${TOKEN}") && !hidden.contains("s3cr"), "{text} is shown as {hidden}");
        }
        assert_eq!(secrets.hide("1000 records"), "1000 records", "a number stands there for other reasons");
        assert!(!format!("{secrets:?}").contains("s3cr"));
    }

    #[test]
    fn options_are_as_they_are_written_and_a_change_is_seen() {
        let secrets = secrets();
        let options = json!({ "name": "to s3cr\"et\n", "also": "x s3cr\"et\n" });
        let masked = secrets.masked(&["sink", "0"], options.clone(), None);
        assert_eq!(masked, json!({ "name": "to ${TOKEN}", "also": "x ${TOKEN}" }));
        assert_eq!(
            secrets.masked(&["stage", "0"], json!({ "max": 1000.0 }), None),
            json!({ "max": "${MAX}" })
        );
        let (one, other) = (new_key(), new_key());
        let kept = |key| secrets.masked(&["stage", "0"], json!({ "max": 1000.0 }), Some(key)).to_string();
        assert_eq!(kept(&one), kept(&one));
        assert!(kept(&one) != kept(&other) && !kept(&one).contains("1000"));
        let mut changed = secrets.clone();
        changed.places[1].value = "1001".into();
        assert_ne!(
            changed.masked(&["stage", "0"], json!({ "max": 1001.0 }), Some(&one)).to_string(),
            kept(&one)
        );
    }
}
